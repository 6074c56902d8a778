import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startHost } from './fake-network.ts'

test('try', async () => {
  const host = await startHost()
  const client = host.connect()
  const r = await client.call('Metadata', 9, { topics: null })
  assert.equal(r.brokers.length, 1)
  await host.createTopic('t', 2)
  assert.deepEqual(host.loggedErrors, [])
  await host.stop()
})

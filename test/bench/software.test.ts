/** What a process of this machine says of itself. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { describeCluster, softwareOf } from '../../bench/software.ts'
import { startBroker } from '../../broker/embedded.ts'
import { Client } from '../../client/client.ts'

const skip = existsSync('/proc/self/cmdline') ? false : 'no /proc'

test('a program of Node is known by its package, others by their name, none by nothing', {
  skip,
}, () => {
  assert.match(softwareOf([process.pid, process.pid]), /^ottla \d+\.\d+\.\d+$/)
  assert.equal(softwareOf([]), '')
  assert.equal(softwareOf([2 ** 30]), '')
})

test('the wire says versions of APIs, and what release of Kafka they are like', async () => {
  const broker = await startBroker()
  const admin = new Client({ bootstrap: broker.bootstrap }).admin()
  try {
    const text = await admin.cluster.run('test', {}, attempt =>
      describeCluster(admin.cluster, attempt),
    )
    const form =
      /^1 broker, cluster id \S+, Produce \d+, Fetch \d+, metadata\.version up to 30 as in Kafka 4\.3$/
    assert.match(text, form)
  } finally {
    admin.close()
    await broker.stop()
  }
})

/** What a connection holds for an answer is given back exactly once, however the answer or the connection ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Appended } from '../../broker/replication/partition.ts'
import { batchOf, fetchOne, produceOne } from './batches.ts'
import { idle } from './fake-network.ts'
import { type Host, startHost } from './host.ts'

async function withHost(run: (host: Host) => Promise<void>): Promise<void> {
  const host = await startHost()
  await host.createTopic('t')
  try {
    await run(host)
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
}

/** What a slice of the log gives back, counted. */
function countReleases(host: Host): { reads: number; releases: number } {
  const counted = { reads: 0, releases: 0 }
  const { log } = host.broker.replicas.partition('t', 0)
  const read = log.read.bind(log)
  log.read = request => {
    const slice = read(request)
    assert.ok(!(slice instanceof Promise))
    counted.reads++
    const release = slice.release.bind(slice)
    slice.release = () => {
      counted.releases++
      release()
    }
    return slice
  }
  return counted
}

for (const end of ['taken', 'lost before it was sent', 'lost while unsent', 'lost half sent']) {
  test(`the bytes of a fetch are given back once: answer ${end}`, () =>
    withHost(async host => {
      const client = host.connect()
      await client.call('Produce', 7, produceOne('t', 0, await batchOf(['x'.repeat(20_000)])))
      const counted = countReleases(host)
      client.socket.takesAll = false
      if (end === 'lost before it was sent') host.io.holdsTurns = true
      const answer = client.call('Fetch', 11, fetchOne('t', 0, 0))
      await idle()
      assert.equal(counted.releases, 0)
      assert.ok(host.broker.budget.used > 20_000)
      if (end === 'taken') client.socket.take()
      if (end === 'lost half sent') client.socket.take(10_000)
      if (end !== 'taken') client.socket.destroy()
      await answer.catch(() => {})
      await idle()
      if (end === 'lost before it was sent') host.io.endTurn()
      assert.deepEqual(counted, { reads: 1, releases: 1 })
      assert.equal(host.broker.budget.used, 0)
    }))
}

test('a fetch whose read ends after the connection gives its bytes back', () =>
  withHost(async host => {
    const client = host.connect()
    await client.call('Produce', 7, produceOne('t', 0, await batchOf(['x'.repeat(900_000)])))
    const { log } = host.broker.replicas.partition('t', 0)
    const read = log.read.bind(log)
    let released = 0
    let arrive = () => {}
    log.read = async request => {
      await new Promise<void>(resolve => {
        arrive = resolve
      })
      const slice = await read(request)
      const release = slice.release.bind(slice)
      slice.release = () => {
        released++
        release()
      }
      return slice
    }
    const answer = client.call('Fetch', 11, fetchOne('t', 0, 0))
    await idle()
    client.socket.destroy()
    await assert.rejects(answer)
    arrive()
    await idle()
    assert.equal(released, 1)
    assert.equal(host.broker.budget.used, 0)
  }))

test('a handler that fails unexpectedly ends its connection, once, and is logged with what it served', async () => {
  const host = await startHost()
  await host.createTopic('t')
  const partition = host.broker.replicas.partition('t', 0)
  partition.whenAcknowledged = () => {
    throw new TypeError('a bug')
  }
  partition.isAcknowledged = () => false
  const client = host.connect()
  const records = await batchOf(['a'])
  const answers = client.callAll('Produce', 7, [
    produceOne('t', 0, records, -1),
    produceOne('t', 0, records, -1),
  ])
  await assert.rejects(answers, /closed/)
  const lines = host.loggedErrors as { event: string; fields: Record<string, unknown> }[]
  assert.equal(lines.length, 1)
  assert.equal(lines[0]!.event, 'request failed')
  assert.equal(lines[0]!.fields['api'], 'Produce')
  await host.stop()
})

test('an answer that cannot be encoded gives back the bytes of all answers of its turn', async () => {
  const host = await startHost()
  await host.createTopic('t', 2)
  const client = host.connect()
  const partition = host.broker.replicas.partition('t', 0)
  const records = await batchOf(['a'])
  await client.call('Produce', 7, produceOne('t', 0, records))
  const append = partition.append.bind(partition)
  partition.append = (bytes, acks, nowMs) =>
    ({ ...append(bytes, acks, nowMs), baseOffset: 0.5 }) as Appended
  await assert.rejects(client.call('Produce', 7, produceOne('t', 0, records)), /closed/)
  assert.equal(host.broker.budget.used, 0)
  assert.equal(host.loggedErrors.length, 1)
  await host.stop()
})

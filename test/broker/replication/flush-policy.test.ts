/** flush.messages and flush.ms, from both sides: who waits for a sync, who shares one, and who does not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Partition } from '../../../broker/replication/partition.ts'
import { batchOf } from '../batches.ts'
import { type FakeIo, idle, START_MS } from '../fake-network.ts'
import { startHost } from '../host.ts'

interface Watched {
  readonly partition: Partition
  readonly io: FakeIo
  /** Syncs that were asked for. */
  syncs(): number
  /** While they are held, syncs do not begin. */
  hold(): void
  letGo(): void
  /** Appends a batch of one record and ends the turn. */
  write(): Promise<void>
  isAcknowledged(end: number): boolean
}

async function withPolicy(
  configs: Readonly<Record<string, string>>,
  run: (watched: Watched) => Promise<void>,
): Promise<void> {
  const host = await startHost()
  await host.createTopic('t', 1, configs)
  host.io.holdsTurns = true
  const partition = host.broker.replicas.partition('t', 0)
  const { log } = partition
  const sync = log.sync.bind(log)
  let syncs = 0
  let held: Promise<void> = Promise.resolve()
  let letGo = () => {}
  log.sync = async () => {
    syncs += 1
    await held
    await sync()
  }
  const hold = () => {
    held = new Promise(resolve => {
      letGo = resolve
    })
  }
  const write = async () => {
    await partition.append(await batchOf(['v']), -1, START_MS)
    host.io.endTurn()
  }
  const isAcknowledged = (end: number) => partition.isAcknowledged(-1, end)
  try {
    const { io } = host
    await run({
      partition,
      io,
      syncs: () => syncs,
      hold,
      letGo: () => letGo(),
      write,
      isAcknowledged,
    })
  } finally {
    letGo()
    await host.stop()
  }
}

test('by default an acknowledgement waits for no sync', () =>
  withPolicy({}, async ({ write, isAcknowledged, syncs, io }) => {
    await write()
    assert.ok(isAcknowledged(1))
    await io.advance(1000)
    assert.equal(syncs(), 0)
  }))

test('flush.messages=1: nothing is acknowledged before it is synced', () =>
  withPolicy({ 'flush.messages': '1' }, async it => {
    it.hold()
    await it.write()
    await idle()
    assert.equal(it.isAcknowledged(1), false)
    assert.equal(it.partition.log.durableOffset, 0)
    it.letGo()
    await idle()
    assert.ok(it.isAcknowledged(1))
    assert.equal(it.partition.log.durableOffset, 1)
  }))

test('flush.messages=3: two unsynced records wait for nothing, the third and who comes behind it do', () =>
  withPolicy({ 'flush.messages': '3' }, async it => {
    it.hold()
    await it.write()
    await it.write()
    assert.ok(it.isAcknowledged(2))
    assert.equal(it.syncs(), 0)
    await it.write()
    await idle()
    assert.deepEqual([it.isAcknowledged(3), it.syncs()], [false, 1])
    it.letGo()
    await idle()
    assert.ok(it.isAcknowledged(3))
    await it.write()
    await it.write()
    assert.ok(it.isAcknowledged(5))
    assert.equal(it.syncs(), 1)
  }))

test('whoever comes while a sync runs shares the next one', () =>
  withPolicy({ 'flush.messages': '1' }, async it => {
    it.hold()
    await it.write()
    await idle()
    for (let i = 0; i < 10; i++) await it.write()
    assert.equal(it.syncs(), 1)
    it.letGo()
    await idle()
    assert.ok(it.isAcknowledged(11))
    assert.ok(it.syncs() <= 2, `${it.syncs()} syncs for eleven writes`)
  }))

test('flush.ms: a record is acknowledged at once and synced when the time has passed, not before', () =>
  withPolicy({ 'flush.ms': '100' }, async it => {
    await it.write()
    assert.ok(it.isAcknowledged(1))
    await it.io.advance(50)
    await it.write()
    await it.io.advance(49)
    assert.equal(it.syncs(), 0)
    await it.io.advance(1)
    await idle()
    assert.equal(it.syncs(), 1)
    assert.equal(it.partition.log.durableOffset, 2)
    // Nothing new, nothing to sync.
    await it.io.advance(1000)
    assert.equal(it.syncs(), 1)
    await it.write()
    await it.io.advance(100)
    assert.equal(it.syncs(), 2)
  }))

test('a failed sync acknowledges nothing and is not tried again', () =>
  withPolicy({ 'flush.messages': '1' }, async it => {
    const { log } = it.partition
    let tries = 0
    log.sync = () => {
      tries += 1
      log.writer.fail(new Error('EIO'))
      return Promise.reject(new Error('EIO'))
    }
    await it.write()
    await idle()
    assert.equal(tries, 1)
    assert.throws(() => it.isAcknowledged(1), /KAFKA_STORAGE_ERROR/)
    await it.io.advance(1000)
    assert.equal(tries, 1)
  }))

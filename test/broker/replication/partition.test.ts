/** Partition: when a write is acknowledged, what a reader may see, and what waits end with. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Partition } from '../../../broker/replication/partition.ts'
import type { Outcome } from '../../../broker/replication/watermark.ts'
import { type ErrorName, ProtocolError } from '../../../protocol/errors.ts'
import { batchOf, noAsynchronousCodec } from '../batches.ts'
import { type FakeIo, idle, START_MS } from '../fake-network.ts'
import { startHost } from '../host.ts'

/** A partition of a running broker, whose turns the test ends. */
async function withPartition(
  run: (partition: Partition, io: FakeIo) => Promise<void>,
  configs: Readonly<Record<string, string>> = {},
): Promise<void> {
  const host = await startHost()
  await host.createTopic('t', 1, configs)
  host.io.holdsTurns = true
  try {
    await run(host.broker.replicas.partition('t', 0), host.io)
  } finally {
    await host.stop()
  }
}

const append = async (partition: Partition, ...values: string[]) =>
  partition.append(await batchOf(values), -1, START_MS)

const refusedWith = (error: ErrorName) => (thrown: unknown) =>
  thrown instanceof ProtocolError && thrown.error === error

test('a batch is acknowledged, and seen, when the turn has written it', () =>
  withPartition(async (partition, io) => {
    const appended = await append(partition, 'a', 'b')
    assert.equal(appended.baseOffset, 0)
    assert.equal(appended.endOffset, 2)
    for (const acks of [1, -1]) assert.equal(partition.isAcknowledged(acks, 2), false)
    assert.equal(partition.readableEnd(false), 0)
    io.endTurn()
    for (const acks of [1, -1]) assert.equal(partition.isAcknowledged(acks, 2), true)
    assert.equal(partition.isAcknowledged(-1, 3), false)
    assert.equal(partition.readableEnd(false), 2)
    assert.equal(partition.readableEnd(true), 2)
  }))

test('acks=1 needs the leader only, acks=-1 the high watermark', () =>
  withPartition(async partition => {
    await append(partition, 'a')
    partition.logEnd.advanceTo(1)
    assert.equal(partition.isAcknowledged(1, 1), true)
    assert.equal(partition.isAcknowledged(-1, 1), false)
    partition.highWatermark.advanceTo(1)
    assert.equal(partition.isAcknowledged(-1, 1), true)
  }))

test('who waits is told in the turn of the write, or when the time is over, once', () =>
  withPartition(async (partition, io) => {
    const outcomes: Outcome[] = []
    await append(partition, 'a')
    partition.whenAcknowledged(-1, 1, io.clock, 100, outcome => outcomes.push(outcome))
    partition.whenAcknowledged(-1, 2, io.clock, 100, outcome => outcomes.push(outcome))
    io.endTurn()
    assert.deepEqual(outcomes, ['reached'])
    await io.advance(99)
    assert.deepEqual(outcomes, ['reached'])
    await io.advance(1)
    assert.deepEqual(outcomes, ['reached', 'timeout'])
    await append(partition, 'b')
    io.endTurn()
    assert.equal(outcomes.length, 2)
    assert.equal(partition.highWatermark.waiting, 0)
  }))

test('after a failure nothing is acknowledged, appended or read, and who waited is told why', () =>
  withPartition(async (partition, io) => {
    await append(partition, 'a')
    const outcomes: Outcome[] = []
    for (const acks of [1, -1]) {
      partition.whenAcknowledged(acks, 1, io.clock, 1000, outcome => outcomes.push(outcome))
    }
    partition.fail('KAFKA_STORAGE_ERROR')
    assert.deepEqual(outcomes, ['KAFKA_STORAGE_ERROR', 'KAFKA_STORAGE_ERROR'])
    partition.whenAcknowledged(-1, 1, io.clock, 1000, outcome => outcomes.push(outcome))
    assert.equal(outcomes[2], 'KAFKA_STORAGE_ERROR')
    const batch = await batchOf(['b'])
    const storage = refusedWith('KAFKA_STORAGE_ERROR')
    assert.throws(() => partition.isAcknowledged(-1, 0), storage)
    assert.throws(() => partition.append(batch, -1, START_MS), storage)
    assert.throws(() => partition.read(0, 100, false, true), storage)
    assert.throws(() => partition.readableBytes(0, false), storage)
  }))

test(
  'a batch whose codec is asynchronous is not appended to a partition that failed meanwhile',
  { skip: noAsynchronousCodec },
  () =>
    withPartition(async partition => {
      const appended = partition.append(await batchOf(['a'], 'zstd'), -1, START_MS)
      assert.ok(appended instanceof Promise)
      partition.fail('UNKNOWN_TOPIC_OR_PARTITION')
      await assert.rejects(appended, refusedWith('UNKNOWN_TOPIC_OR_PARTITION'))
      assert.equal(partition.log.logEndOffset, 0)
    }),
)

test(
  'batches queue behind one with an asynchronous codec; a bad one holds up nobody; then the way is direct again',
  { skip: noAsynchronousCodec },
  () =>
    withPartition(async partition => {
      const bad = Buffer.from(await batchOf(['x'], 'zstd'))
      bad[bad.length - 1]! ^= 1
      const waits = [
        partition.append(await batchOf(['a'], 'zstd'), -1, START_MS),
        partition.append(bad, -1, START_MS),
        partition.append(await batchOf(['b']), -1, START_MS),
      ]
      for (const wait of waits) assert.ok(wait instanceof Promise)
      const outcomes = await Promise.allSettled(waits)
      const offsets = outcomes.map(one => (one.status === 'fulfilled' ? one.value.baseOffset : -1))
      assert.deepEqual(offsets, [0, -1, 1])
      const [, second] = outcomes
      assert.ok(second?.status === 'rejected' && refusedWith('CORRUPT_MESSAGE')(second.reason))
      await idle()
      assert.ok(!(partition.append(await batchOf(['c']), -1, START_MS) instanceof Promise))
    }),
)

test('the bytes of a queued batch are its own: the frame may be reused at once', () =>
  withPartition(async (partition, io) => {
    const frame = await batchOf(['kept'], 'zstd')
    const expected = Buffer.from(frame)
    const appended = partition.append(frame, -1, START_MS)
    frame.fill(0)
    await appended
    io.endTurn()
    const slice = await partition.read(0, 10_000, false, true)
    assert.deepEqual(slice.chunks[0]!.subarray(61), expected.subarray(61))
    slice.release()
  }))

test('the high watermark is the last offset that may be read from', () =>
  withPartition(async (partition, io) => {
    await append(partition, 'a', 'b')
    const range = refusedWith('OFFSET_OUT_OF_RANGE')
    assert.throws(() => partition.readableBytes(1, false), range)
    io.endTurn()
    assert.equal(partition.readableBytes(2, false), 0)
    assert.ok(partition.readableBytes(1, false) > 0)
    assert.throws(() => partition.readableBytes(3, false), range)
    assert.throws(() => partition.readableBytes(-1, false), range)
  }))

test('a leader epoch that is older, newer, the same, or not given', () =>
  withPartition(async partition => {
    partition.leaderEpoch = 3
    assert.doesNotThrow(() => partition.checkEpoch(-1))
    assert.doesNotThrow(() => partition.checkEpoch(3))
    assert.throws(() => partition.checkEpoch(2), refusedWith('FENCED_LEADER_EPOCH'))
    assert.throws(() => partition.checkEpoch(4), refusedWith('UNKNOWN_LEADER_EPOCH'))
  }))

test('acks=-1 needs min.insync.replicas before anything is appended', () =>
  withPartition(
    async partition => {
      const batch = await batchOf(['a'])
      const few = refusedWith('NOT_ENOUGH_REPLICAS')
      assert.throws(() => partition.append(batch, -1, START_MS), few)
      assert.equal(partition.log.logEndOffset, 0)
      partition.append(batch, 1, START_MS)
      assert.equal(partition.log.logEndOffset, 1)
    },
    { 'min.insync.replicas': '2' },
  ))

test('what a topic’s settings say about batches follows them', () =>
  withPartition(
    async partition => {
      assert.equal(partition.policy.maxMessageBytes, 1234)
      assert.equal(partition.policy.compressionType, 'gzip')
      assert.equal(partition.policy.compressionLevel, 9)
      assert.equal(partition.policy.compacted, true)
      assert.equal(partition.allowsDeletion, true)
    },
    {
      'max.message.bytes': '1234',
      'compression.type': 'gzip',
      'compression.gzip.level': '9',
      'cleanup.policy': 'compact,delete',
    },
  ))

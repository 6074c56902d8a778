/** Reading a partition of the offsets topic: in pieces, through transactions, past what cannot be read. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadPartition } from '../../../broker/group/loader.ts'
import { offsetRecord } from '../../../broker/group/offsets.ts'
import type { Partition } from '../../../broker/replication/partition.ts'
import { encodeOffsetsRecord } from '../../../protocol/messages/offsets-topic.ts'
import { lastOffset, restamp } from '../../../protocol/record-batch.ts'
import { type BatchOptions, encodeBatch } from '../../../protocol/records.ts'
import type { ReadRequest } from '../../../segment-store/log-reader.ts'

const COMMIT = {
  topic: 't',
  leaderEpoch: -1,
  metadata: '',
  commitTimestampMs: 1,
  expireTimestampMs: -1,
  topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
}

/** A log of whole batches that is read one batch at a time. */
class ToyLog {
  readonly batches: Buffer[] = []
  readonly logStartOffset = 0
  released = 0
  end = 0

  async add(options: BatchOptions, ...commits: readonly (readonly [number, number])[]) {
    const records = commits.map(([partition, offset]) => ({
      timestamp: 1,
      ...encodeOffsetsRecord(offsetRecord('g', { ...COMMIT, partition, offset })),
    }))
    await this.addBatch(await encodeBatch(records, 'none', options))
  }

  /** The marker that ends a transaction: 1 commits, 0 aborts. */
  async marker(producerId: number, kind: 0 | 1) {
    const options = { producerId, producerEpoch: 0, isTransactional: true, isControl: true }
    const record = { timestamp: 1, key: Buffer.from([0, 0, 0, kind]), value: Buffer.alloc(6) }
    await this.addBatch(await encodeBatch([record], 'none', options))
  }

  async addBatch(batch: Buffer) {
    restamp(batch, 0, this.end, 0)
    this.batches.push(batch)
    this.end = lastOffset(batch, 0) + 1
  }

  read({ offset }: ReadRequest) {
    const batch = this.batches.find(one => lastOffset(one, 0) >= offset)!
    const release = () => {
      this.released++
    }
    return { chunks: [batch], size: batch.length, aborted: null, release }
  }
}

async function load(log: ToyLog) {
  const offsets = new Map<number, number | null>()
  const partition = { log, highWatermark: { value: log.end }, toString: () => 'p' }
  const summary = await loadPartition(
    partition as unknown as Partition,
    1000,
    () => true,
    record => {
      assert.equal(record.name, 'OffsetCommit')
      if (record.name !== 'OffsetCommit') return
      offsets.set(record.key.partition, record.value?.offset ?? null)
    },
  )
  assert.equal(log.released, log.batches.length, 'every slice is released')
  return { offsets: [...offsets], summary }
}

const transaction = (producerId: number): BatchOptions => ({
  producerId,
  producerEpoch: 0,
  baseSequence: 0,
  isTransactional: true,
})

test('records come in order, the later ones of a key last', async () => {
  const log = new ToyLog()
  await log.add({}, [0, 1], [1, 1])
  await log.add({}, [0, 2])
  const { offsets, summary } = await load(log)
  assert.deepEqual(offsets, [
    [0, 2],
    [1, 1],
  ])
  assert.deepEqual([summary.records, summary.unreadable, summary.unfinished], [3, 0, 0])
})

test('transactions that Kafka wrote count from their commit on, aborted and open ones never', async () => {
  const log = new ToyLog()
  await log.add({}, [0, 1], [1, 1], [2, 1])
  await log.add(transaction(7), [0, 2])
  await log.add(transaction(8), [1, 3])
  await log.add(transaction(9), [2, 4])
  await log.marker(7, 1)
  await log.marker(8, 0)
  const { offsets, summary } = await load(log)
  assert.deepEqual(offsets, [
    [0, 2],
    [1, 1],
    [2, 1],
  ])
  assert.equal(summary.unfinished, 1)
})

test('what cannot be read is counted and named, and the rest is loaded', async () => {
  const log = new ToyLog()
  const { key, value } = encodeOffsetsRecord(
    offsetRecord('g', { ...COMMIT, partition: 3, offset: 1 }),
  )
  await log.add({}, [0, 1])
  const bad = { timestamp: 1, key, value: Buffer.from([0, 99]) }
  const foreign = { timestamp: 1, key: Buffer.from([0, 50, 1]), value }
  const keyless = { timestamp: 1, key: null, value }
  await log.addBatch(await encodeBatch([bad, foreign, keyless]))
  const mangled = (await encodeBatch([{ timestamp: 1, key, value }])) as Buffer
  mangled.fill(0xff, 61)
  await log.addBatch(mangled)
  await log.add({}, [1, 5])
  const { offsets, summary } = await load(log)
  assert.deepEqual(offsets, [
    [0, 1],
    [1, 5],
  ])
  assert.equal(summary.unreadable, 2)
  assert.match(summary.firstFault!, /^p at offset 1: .*version 99/)
})

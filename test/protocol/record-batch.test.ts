/** The batch header in place, against Kafka's own batches and at the edges of each field. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MalformedError } from '../../protocol/buffer.ts'
import { codecName } from '../../protocol/compression.ts'
import * as batches from '../../protocol/record-batch.ts'
import { withoutGolden } from '../wire/golden.ts'
import { goldenBatches } from '../wire/golden-batches.ts'

const header: batches.BatchHeader = { recordCount: 1, baseTimestamp: 5, maxTimestamp: 5 }
const body = Buffer.from([12, 0, 0, 0, 1, 1, 0])

test("every header field of Kafka's batches reads as Kafka's dump tool says", {
  skip: withoutGolden,
}, () => {
  const all = goldenBatches()
  assert.ok(all.length > 100)
  for (const { label, segment: b, position: p, batch } of all) {
    const read = {
      baseOffset: batches.baseOffset(b, p),
      lastOffset: batches.lastOffset(b, p),
      count: batches.recordCount(b, p),
      baseSequence: batches.baseSequence(b, p),
      lastSequence: batches.lastSequence(b, p),
      producerId: batches.producerId(b, p),
      producerEpoch: batches.producerEpoch(b, p),
      partitionLeaderEpoch: batches.leaderEpoch(b, p),
      isTransactional: batches.isTransactional(b, p),
      isControl: batches.isControl(b, p),
      [batches.timestampType(b, p)]: batches.maxTimestamp(b, p),
      size: batches.sizeInBytes(b, p),
      magic: batches.magic(b, p),
      compresscodec: codecName(batches.codec(b, p)),
      crc: batches.crc(b, p),
    }
    for (const [name, value] of Object.entries(read))
      assert.equal(String(value), batch[name], `${label} ${name}`)
    assert.equal(batches.computeCrc(b, p), batches.crc(b, p), label)
    assert.equal(batches.hasDeleteHorizon(b, p), false)
  }
})

test("a walk over Kafka's segments finds its batches and ends at the end", {
  skip: withoutGolden,
}, () => {
  const bySegment = new Map<Buffer, number[]>()
  for (const { segment, position } of goldenBatches()) {
    bySegment.set(segment, [...(bySegment.get(segment) ?? []), position])
  }
  for (const [segment, positions] of bySegment) {
    assert.deepEqual([...batches.batchPositions(segment)], positions)
    // A cut anywhere in the last batch loses that one, quietly.
    const last = positions.at(-1)!
    for (const end of [
      last,
      last + 1,
      last + 11,
      last + 12,
      last + 17,
      last + 61,
      segment.length - 1,
    ]) {
      assert.deepEqual(
        [...batches.batchPositions(segment, 0, end)],
        positions.slice(0, -1),
        `cut at ${end}`,
      )
    }
  }
})

test("built from its parts again, each of Kafka's batches has Kafka's bytes", {
  skip: withoutGolden,
}, () => {
  for (const { label, segment: b, position: p } of goldenBatches()) {
    const end = p + batches.sizeInBytes(b, p)
    const built = batches.buildBatch(
      {
        baseOffset: batches.baseOffset(b, p),
        leaderEpoch: batches.leaderEpoch(b, p),
        codec: batches.codec(b, p),
        timestampType: batches.timestampType(b, p),
        isTransactional: batches.isTransactional(b, p),
        isControl: batches.isControl(b, p),
        lastOffsetDelta: batches.lastOffsetDelta(b, p),
        baseTimestamp: batches.baseTimestamp(b, p),
        maxTimestamp: batches.maxTimestamp(b, p),
        producerId: batches.producerId(b, p),
        producerEpoch: batches.producerEpoch(b, p),
        baseSequence: batches.baseSequence(b, p),
        recordCount: batches.recordCount(b, p),
      },
      b.subarray(p + batches.RECORD_BATCH_OVERHEAD, end),
    )
    assert.ok(built.equals(b.subarray(p, end)), label)
  }
})

test('restamping changes offset and epoch and leaves the checksum true', () => {
  const batch = Buffer.concat([Buffer.alloc(3), batches.buildBatch(header, body)])
  const crc = batches.crc(batch, 3)
  for (const offset of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    batches.restamp(batch, 3, offset, 2 ** 31 - 1)
    assert.equal(batches.baseOffset(batch, 3), offset)
    assert.equal(batches.lastOffset(batch, 3), offset)
    assert.equal(batches.leaderEpoch(batch, 3), 2 ** 31 - 1)
    assert.equal(batches.crc(batch, 3), crc)
    assert.equal(batches.computeCrc(batch, 3), crc)
  }
  assert.equal(batch.readUIntBE(0, 3), 0)
})

test('the time type goes to and fro with the checksum made true and other attributes kept', () => {
  const options = {
    ...header,
    codec: 3,
    isTransactional: true,
    hasDeleteHorizon: true,
    producerId: 9,
  }
  const batch = batches.buildBatch(options, body)
  const attributes = batches.attributes(batch, 0)
  batches.setLogAppendTime(batch, 0, 1700000000123)
  assert.equal(batches.timestampType(batch, 0), 'LogAppendTime')
  assert.equal(batches.maxTimestamp(batch, 0), 1700000000123)
  assert.equal(batches.attributes(batch, 0), attributes | 0x08)
  assert.equal(batches.crc(batch, 0), batches.computeCrc(batch, 0))
  batches.setMaxTimestamp(batch, 0, 5)
  assert.ok(batch.equals(batches.buildBatch(options, body)))
  // Attributes that mean nothing go, as in Kafka, when a batch is rewritten.
  batch[batches.ATTRIBUTES] = 0xff
  batch[batches.ATTRIBUTES + 1] = 0xff
  batches.setMaxTimestamp(batch, 0, 5)
  assert.equal(batches.attributes(batch, 0), 0x77)
})

test('64-bit fields keep their sign and every bit up to 2^53', () => {
  for (const value of [0, -1, -2, -(2 ** 31), -(2 ** 32), 2 ** 32, 1 - 2 ** 53, 2 ** 53 - 1]) {
    const given = { recordCount: 1, baseTimestamp: value, maxTimestamp: value, producerId: value }
    const batch = batches.buildBatch({ ...given, baseOffset: value }, body)
    assert.equal(batches.baseTimestamp(batch, 0), value)
    assert.equal(batches.maxTimestamp(batch, 0), value)
    assert.equal(batches.producerId(batch, 0), value)
    assert.equal(batches.baseOffset(batch, 0), value)
    assert.equal(batch.readBigInt64BE(batches.BASE_TIMESTAMP), BigInt(value))
  }
  const greatest = batches.buildBatch({ ...header, maxTimestamp: 2 ** 63 }, body)
  assert.equal(greatest.readBigInt64BE(batches.MAX_TIMESTAMP), 2n ** 63n - 1n)
})

test('sequences wrap behind 2^31 - 1', () => {
  const last = (baseSequence: number, recordCount: number) =>
    batches.lastSequence(
      batches.buildBatch({ ...header, recordCount, baseSequence, producerId: 1 }, body),
      0,
    )
  assert.equal(last(0, 1), 0)
  assert.equal(last(2 ** 31 - 2, 2), 2 ** 31 - 1)
  assert.equal(last(2 ** 31 - 1, 1), 2 ** 31 - 1)
  assert.equal(last(2 ** 31 - 1, 2), 0)
  assert.equal(last(2 ** 31 - 3, 5), 1)
  assert.equal(last(-1, 5), -1)
  assert.equal(batches.sequenceAfter(2 ** 31 - 1, 1), 0)
})

test('producer epochs and small numbers read with their sign', () => {
  for (const value of [-1, 0, 1, 255, 256, 32767, -32768]) {
    const batch = batches.buildBatch({ ...header, producerEpoch: value }, body)
    assert.equal(batches.producerEpoch(batch, 0), value)
  }
  assert.equal(batches.leaderEpoch(batches.buildBatch(header, body), 0), -1)
})

test('what cannot be a batch is malformed; what is only cut off is not', () => {
  const whole = batches.buildBatch(header, body)
  const end = (change: (b: Buffer) => void, to?: number) => {
    const batch = Buffer.from(whole)
    change(batch)
    return batches.batchEnd(batch, 0, to)
  }
  const length = (value: number) => (b: Buffer) => void b.writeInt32BE(value, batches.BATCH_LENGTH)
  const magic = (value: number) => (b: Buffer) => void (b[batches.MAGIC] = value)
  assert.equal(
    end(() => {}),
    whole.length,
  )
  for (const to of [0, 11, 12, 16, 17, 61, whole.length - 1])
    assert.equal(
      end(() => {}, to),
      -1,
    )
  assert.equal(end(length(whole.length - 12 + 1)), -1)
  assert.equal(end(length(2 ** 31 - 1)), -1)
  assert.equal(end(length(49)), 61)
  for (const value of [48, 14, 13, 0, -1, -(2 ** 31)])
    assert.throws(() => end(length(value)), MalformedError)
  for (const value of [3, 127, 128, 255]) assert.throws(() => end(magic(value)), MalformedError)
  for (const value of [0, 1]) assert.equal(end(magic(value)), whole.length)
  const oldAndShort = (b: Buffer) => {
    magic(1)(b)
    length(14)(b)
  }
  assert.equal(end(oldAndShort), 26)
})

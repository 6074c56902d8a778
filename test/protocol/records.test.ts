/** Records inside a batch: against Kafka's own, there and back for any records, and with bytes that lie. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MalformedError, Writer } from '../../protocol/buffer.ts'
import type { CodecName } from '../../protocol/compression.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import * as batches from '../../protocol/record-batch.ts'
import {
  type DecodedRecord,
  decodeBatch,
  decodeRecords,
  encodeBatch,
  encodeRecords,
  RecordCursor,
  type RecordInput,
  varintSize,
} from '../../protocol/records.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import { withoutGolden } from '../wire/golden.ts'
import { goldenBatches } from '../wire/golden-batches.ts'

const LIMIT = 1 << 24
const CODECS: readonly CodecName[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** The records of an uncompressed section. */
function decode(section: Buffer, recordCount: number, baseTimestamp = 0): DecodedRecord[] {
  const given = { buffer: section, start: 0, end: section.length, baseOffset: 0 }
  return decodeRecords({ ...given, recordCount, baseTimestamp, logAppendTimeMs: null })
}

/** One record with this body, its length in front. */
function record(...body: number[]): Buffer {
  const writer = new Writer()
  writer.varint(body.length)
  writer.raw(Buffer.from(body))
  return writer.bytes()
}

const header = fc.record(
  {
    key: fc.string({ maxLength: 12, unit: 'binary' }),
    value: fc.option(fc.uint8Array({ maxLength: 200 }).map(array => Buffer.from(array))),
  },
  { noNullPrototype: true },
)
const bytes = fc.option(fc.uint8Array({ maxLength: 300 }).map(array => Buffer.from(array)))
const inputs: fc.Arbitrary<RecordInput[]> = fc.array(
  fc.record({
    timestamp: fc.oneof(fc.nat(), fc.integer({ min: -1, max: 2 ** 50 })),
    key: bytes,
    value: bytes,
    headers: fc.array(header, { maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 90 },
)

test("the records of Kafka's batches, of every codec, are those that Kafka's dump tool lists", {
  skip: withoutGolden,
}, async () => {
  let seen = 0
  for (const { label, segment, position, records } of goldenBatches()) {
    if (records.length === 0) continue
    const decoded = await decodeBatch(segment, position, LIMIT)
    assert.equal(decoded.length, records.length, label)
    for (const [i, dumped] of records.entries()) {
      const { offset, timestamp, key, value, headers } = decoded[i]!
      const where = `${label} record ${i}`
      assert.equal(String(offset), dumped['offset'], where)
      assert.equal(String(timestamp), dumped['CreateTime'], where)
      assert.equal(String(key?.length ?? -1), dumped['keySize'], where)
      assert.equal(String(value?.length ?? -1), dumped['valueSize'], where)
      assert.equal(`[${headers.map(({ key: name }) => name).join()}]`, dumped['headerKeys'], where)
      if (dumped['payload'] !== undefined) assert.equal(String(value), dumped['payload'], where)
      if (dumped['key'] !== undefined) assert.equal(String(key), dumped['key'], where)
      seen++
    }
  }
  assert.ok(seen >= 300)
})

test("Kafka's uncompressed records encode again to Kafka's bytes", {
  skip: withoutGolden,
}, async () => {
  for (const { label, segment: b, position: p } of goldenBatches()) {
    if (batches.codec(b, p) !== 0) continue
    const records = await decodeBatch(b, p, LIMIT)
    const section = b.subarray(p + batches.RECORD_BATCH_OVERHEAD, p + batches.sizeInBytes(b, p))
    assert.ok(encodeRecords(records, batches.baseTimestamp(b, p)).equals(section), label)
  }
})

test('any records come back from each codec as they went in', async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const back = async (records: RecordInput[], codec: CodecName) => {
    const batch = await encodeBatch(records, codec, { baseOffset: 100 })
    assert.equal(batches.batchEnd(batch, 0), batch.length)
    assert.equal(batches.crc(batch, 0), batches.computeCrc(batch, 0))
    const decoded = await decodeBatch(batch, 0, LIMIT)
    assert.deepEqual(
      decoded,
      records.map((record, i) => ({ offset: 100 + i, ...record })),
    )
  }
  await fc.assert(fc.asyncProperty(inputs, fc.constantFrom(...CODECS), back), {
    seed,
    numRuns: tier.propertyRuns,
  })
})

test('the cursor and the objects agree', t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const agree = (records: RecordInput[]) => {
    const section = encodeRecords(records, 1000)
    const buffer = Buffer.concat([Buffer.alloc(5, 0xff), section, Buffer.alloc(5, 0xff)])
    const cursor = new RecordCursor()
    cursor.reset(buffer, 5, 5 + section.length, records.length)
    let previousEnd = 5
    for (const [i, { timestamp, key, value, headers }] of records.entries()) {
      assert.equal(cursor.next(), true)
      assert.equal(cursor.start, previousEnd)
      previousEnd = cursor.end
      assert.equal(cursor.offsetDelta, i)
      assert.equal(cursor.timestampDelta, timestamp - 1000)
      assert.equal(cursor.keyLength, key?.length ?? -1)
      assert.equal(cursor.valueLength, value?.length ?? -1)
      assert.equal(cursor.headerCount, headers?.length ?? 0)
      const { keyStart, valueStart } = cursor
      if (key) assert.ok(key.equals(buffer.subarray(keyStart, keyStart + key.length)))
      if (value) assert.ok(value.equals(buffer.subarray(valueStart, valueStart + value.length)))
    }
    assert.equal(cursor.next(), false)
    assert.equal(cursor.next(), false)
  }
  fc.assert(fc.property(inputs, agree), { seed, numRuns: tier.propertyRuns })
})

test('timestamps far from each other and before 1970 survive', () => {
  const far = [
    0,
    -1,
    63,
    64,
    -64,
    -65,
    8191,
    8192,
    2 ** 31,
    -(2 ** 31),
    2 ** 34,
    -(2 ** 40),
    2 ** 53 - 1,
    1 - 2 ** 53,
  ]
  for (const delta of far) {
    const section = encodeRecords([{ timestamp: delta }], 0)
    assert.equal(decode(section, 1)[0]?.timestamp, delta, String(delta))
    const writer = new Writer()
    writer.varlong(delta)
    assert.equal(varintSize(delta), writer.bytes().length, String(delta))
  }
  // Ten bytes: the least 64-bit number, exact as a double.
  const least = record(0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 1, 1, 0)
  assert.equal(decode(least, 1)[0]?.timestamp, -(2 ** 63))
})

test('lengths at the edges of one, two and three bytes', () => {
  for (const size of [0, 1, 63, 64, 127, 128, 8191, 8192, 70000]) {
    const value = Buffer.alloc(size, 7)
    const headers = [{ key: 'h'.repeat(size), value }]
    const given = { timestamp: 0, key: value, value, headers }
    assert.deepEqual(decode(encodeRecords([given], 0), 1), [{ offset: 0, ...given }])
  }
})

test("where the log's time counts every record has it", async () => {
  const batch = await encodeBatch([{ timestamp: 5 }, { timestamp: 9 }])
  batches.setLogAppendTime(batch, 0, 77)
  const decoded = await decodeBatch(batch, 0, LIMIT)
  assert.deepEqual(
    decoded.map(({ timestamp }) => timestamp),
    [77, 77],
  )
})

test('a batch that compaction has emptied has no records, whatever its codec', async () => {
  for (const codec of [0, 1, 2, 3, 4]) {
    const given = { recordCount: 0, lastOffsetDelta: 4, baseTimestamp: 1, maxTimestamp: 1, codec }
    assert.deepEqual(await decodeBatch(batches.buildBatch(given, Buffer.alloc(0)), 0, LIMIT), [])
  }
})

test('odd but readable records are read as Kafka reads them', () => {
  const plain = { offset: 0, timestamp: 0, key: null, value: null, headers: [] }
  assert.deepEqual(decode(record(0, 0, 0, 1, 1, 0), 1), [plain])
  assert.deepEqual(decode(record(0, 0, 0, 3, 1, 0), 1), [plain], 'key length -2')
  assert.deepEqual(decode(record(0, 0, 0, 1, 3, 0), 1), [plain], 'value length -2')
  assert.deepEqual(decode(record(255, 0, 0, 1, 1, 0), 1), [plain], 'attributes')
  const padded = record(0, 0, 0x80, 0x80, 0x80, 0x80, 0, 1, 1, 0)
  assert.deepEqual(decode(padded, 1), [plain], 'five bytes for 0')
  const withHeader = decode(record(0, 0, 0, 1, 1, 2, 2, 65, 3), 1)
  assert.deepEqual(withHeader[0]?.headers, [{ key: 'A', value: null }], 'header value length -2')
})

test('records that do not add up are malformed', () => {
  const wrong: Record<string, Buffer> = {
    'nothing there': Buffer.alloc(0),
    'length only': Buffer.from([12]),
    'length -1': Buffer.from([1, 0, 0, 0, 1, 1, 0]),
    'empty body': record(),
    'body of five': record(0, 0, 0, 1, 1),
    'a byte too many': record(0, 0, 0, 1, 1, 0, 0),
    'bytes behind': Buffer.concat([record(0, 0, 0, 1, 1, 0), Buffer.from([0])]),
    'key leads out': record(0, 0, 0, 20, 1, 0),
    'value leads out': record(0, 0, 0, 1, 20, 0),
    'key leads far out': record(0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xf, 1, 0),
    'negative header count': record(0, 0, 0, 1, 1, 1),
    'headers missing': record(0, 0, 0, 1, 1, 10),
    'huge header count': record(0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0xf),
    'header without key': record(0, 0, 0, 1, 1, 2, 1, 1),
    'header leads out': record(0, 0, 0, 1, 1, 2, 20, 1),
    'header value leads out': record(0, 0, 0, 1, 1, 2, 0, 20),
    'varint of six bytes': record(0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1, 1, 0),
    'varlong of eleven': record(0, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0, 0, 1, 1, 0),
    'varint cut': record(0, 0, 0, 1, 1, 0x80),
  }
  for (const [name, section] of Object.entries(wrong)) {
    assert.throws(() => decode(section, 1), MalformedError, name)
    // What follows in the buffer must not help: the section ends where it ends.
    const behind = Buffer.concat([section, Buffer.alloc(40)])
    const given = { buffer: behind, start: 0, end: section.length, recordCount: 1 }
    const read = () =>
      decodeRecords({ ...given, baseOffset: 0, baseTimestamp: 0, logAppendTimeMs: null })
    assert.throws(read, MalformedError, name)
  }
  const two = encodeRecords([{ timestamp: 0 }, { timestamp: 0 }], 0)
  assert.equal(decode(two, 2).length, 2)
  assert.throws(() => decode(two, 1), MalformedError)
  assert.throws(() => decode(two, 3), MalformedError)
  assert.throws(() => decode(two, 0), MalformedError)
})

test('a batch with changed bytes decodes or is refused, and nothing else happens', async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const below = (n: number) => Math.floor(random() * n)
  const records = Array.from({ length: 20 }, (_, i) => ({
    timestamp: 1000 + i,
    key: Buffer.from(`key-${i}`),
    value: Buffer.from('abcdefgh'.repeat(i)),
    headers: [{ key: 'h', value: Buffer.from([i]) }],
  }))
  for (const codec of CODECS) {
    const good = await encodeBatch(records, codec)
    for (let round = 0; round < tier.seeds * 20; round++) {
      const bad = Buffer.from(good)
      for (let changes = 1 + below(3); changes > 0; changes--) {
        // Not the length: whole batches are what `batchEnd` lets through.
        bad[batches.ATTRIBUTES + 2 + below(bad.length - batches.ATTRIBUTES - 2)] = below(256)
      }
      try {
        await decodeBatch(bad, 0, LIMIT)
      } catch (error) {
        assert.ok(error instanceof MalformedError || error instanceof ProtocolError, String(error))
      }
    }
  }
})

/**
 * What a producer's batch must be like. The rows of the tables were tried on Apache Kafka 4.3.1 too; where its answer
 * is another than ours it stands behind ours.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Writer } from '../../protocol/buffer.ts'
import { type CodecName, codecs, compress, isAsynchronous } from '../../protocol/compression.ts'
import { type ErrorName, ProtocolError } from '../../protocol/errors.ts'
import * as batches from '../../protocol/record-batch.ts'
import {
  decodeBatch,
  encodeBatch,
  encodeRecords,
  type RecordInput,
  writeRecord,
} from '../../protocol/records.ts'
import {
  type BatchPolicy,
  InvalidRecordError,
  needsAsyncValidation,
  validateBatch,
} from '../../segment-store/validator.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'

const NOW = 1_700_000_000_000
const HOUR = 3_600_000
const CODECS: readonly CodecName[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Kafka's defaults. */
const policy: BatchPolicy = {
  maxMessageBytes: 1_048_588,
  timestampType: 'CreateTime',
  timestampBeforeMaxMs: 2 ** 63,
  timestampAfterMaxMs: HOUR,
  compressionType: 'producer',
  compressionLevel: undefined,
  compacted: false,
  maxDecompressedBytes: 1 << 24,
}
const logTime: BatchPolicy = { ...policy, timestampType: 'LogAppendTime' }

function records(count: number, from = NOW, hasKey = true): RecordInput[] {
  return Array.from({ length: count }, (_, i) => ({
    timestamp: from + i,
    key: hasKey ? Buffer.from(`key-${i}`) : null,
    value: Buffer.from(`value-${i}`),
    headers: i % 2 ? [{ key: 'h', value: null }] : [],
  }))
}

/** A changed copy; its checksum is made true again unless that is what is wrong. */
function changed(batch: Buffer, change: (b: Buffer) => unknown, trueCrc = true): Buffer {
  const copy = Buffer.from(batch)
  change(copy)
  if (trueCrc) copy.writeUInt32BE(batches.computeCrc(copy, 0), batches.CRC)
  return copy
}

const good = encodeBatch(records(3)) as Buffer

/** An uncompressed batch of one record with this body. */
function oneRecord(...body: number[]): Buffer {
  const writer = new Writer()
  writer.varint(body.length)
  writer.raw(Buffer.from(body))
  return batches.buildBatch(
    { recordCount: 1, baseTimestamp: NOW, maxTimestamp: NOW },
    writer.bytes(),
  )
}

/** Three records whose offset deltas are these. */
async function deltas(given: readonly number[], codec: CodecName): Promise<Buffer> {
  const writer = new Writer()
  for (const [i, delta] of given.entries()) writeRecord(writer, delta, i, { timestamp: 0 })
  const header = {
    recordCount: given.length,
    baseTimestamp: NOW,
    maxTimestamp: NOW + 2,
    codec: codecs[codec],
  }
  return batches.buildBatch(header, await compress(codecs[codec], Buffer.from(writer.bytes())))
}

async function outcome(
  batch: Buffer,
  given: BatchPolicy = policy,
): Promise<ErrorName | 'accepted'> {
  try {
    await validateBatch(Buffer.from(batch), given, NOW)
    return 'accepted'
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error))
    assert.notEqual(error.detail, '')
    return error.error
  }
}

/** A batch, our answer, and Kafka's if it is another. */
type Row = readonly [Buffer, ErrorName | 'accepted', (ErrorName | 'accepted')?]

async function check(rows: Readonly<Record<string, Row>>): Promise<void> {
  for (const [name, [batch, expected]] of Object.entries(rows)) {
    assert.equal(await outcome(batch), expected, name)
  }
}

const join = (...parts: Buffer[]) => Buffer.concat(parts)
const int32 = (at: number, value: number) => (b: Buffer) => b.writeInt32BE(value, at)
/** Zeros but for the length and the magic. */
const bare = (length: number) =>
  changed(
    Buffer.alloc(61),
    b => {
      b.writeInt32BE(length, batches.BATCH_LENGTH)
      b[batches.MAGIC] = 2
    },
    false,
  )

test('exactly one whole batch of format 2 is taken', () =>
  check({
    'one batch': [good, 'accepted'],
    nothing: [Buffer.alloc(0), 'INVALID_RECORD'],
    'ten bytes': [Buffer.alloc(10), 'INVALID_RECORD'],
    'cut in the header': [good.subarray(0, 40), 'INVALID_RECORD'],
    'cut in the records': [good.subarray(0, good.length - 1), 'INVALID_RECORD'],
    'two batches': [join(good, good), 'INVALID_RECORD'],
    'a cut tail of 1': [join(good, Buffer.from([1])), 'accepted'],
    'a cut tail of 70': [join(good, good.subarray(0, 70)), 'accepted'],
    'zeros behind': [join(good, Buffer.alloc(12)), 'CORRUPT_MESSAGE'],
    'garbage behind': [join(good, Buffer.alloc(20, 0x7f)), 'CORRUPT_MESSAGE'],
    'magic 0': [changed(good, b => (b[16] = 0)), 'INVALID_RECORD'],
    'magic 1': [changed(good, b => (b[16] = 1)), 'INVALID_RECORD'],
    'magic 3': [changed(good, b => (b[16] = 3)), 'CORRUPT_MESSAGE'],
    'magic -1': [changed(good, b => (b[16] = 255)), 'CORRUPT_MESSAGE'],
    'length 13': [bare(13), 'CORRUPT_MESSAGE'],
    'length 48': [bare(48), 'CORRUPT_MESSAGE'],
    'length -5': [bare(-5), 'CORRUPT_MESSAGE'],
    'length 2^31 - 1': [bare(2 ** 31 - 1), 'INVALID_RECORD', 'UNKNOWN_SERVER_ERROR'],
  }))

test('lengths and checksum hold', () =>
  check({
    'one bit in the checksum': [changed(good, b => (b[17]! ^= 1), false), 'CORRUPT_MESSAGE'],
    'one bit in the last byte': [
      changed(good, b => (b[b.length - 1]! ^= 1), false),
      'CORRUPT_MESSAGE',
    ],
    'length too small': [changed(good, int32(8, good.length - 13), false), 'CORRUPT_MESSAGE'],
    'length too small, checksum true': [
      changed(good, int32(8, good.length - 13)),
      'INVALID_RECORD',
    ],
  }))

test('a batch of exactly max.message.bytes is taken, one of a byte more is not', async () => {
  const limited = (maxMessageBytes: number) => outcome(good, { ...policy, maxMessageBytes })
  assert.equal(await limited(good.length), 'accepted')
  assert.equal(await limited(good.length - 1), 'MESSAGE_TOO_LARGE')
  assert.throws(
    () => validateBatch(good, { ...policy, maxMessageBytes: 99 }, NOW),
    /max\.message\.bytes is 99/,
  )
})

test('the header says only what a producer may say', () => {
  const made = (options: object) => encodeBatch(records(3), 'none', options) as Buffer
  const id = { producerId: 5, producerEpoch: 0 }
  return check({
    'base offset 5': [changed(good, b => (b[7] = 5)), 'INVALID_RECORD'],
    'base offset -1': [changed(good, b => b.fill(255, 0, 8)), 'INVALID_RECORD'],
    'a leader epoch': [made({ leaderEpoch: 7 }), 'accepted'],
    'count 0': [changed(good, int32(57, 0)), 'INVALID_RECORD'],
    'count -1': [changed(good, int32(57, -1)), 'INVALID_RECORD'],
    'no records, no offsets': [
      changed(changed(good, int32(57, 0)), int32(23, -1)),
      'INVALID_RECORD',
    ],
    'fewer records than offsets': [changed(good, int32(57, 2)), 'INVALID_RECORD'],
    'more records than offsets': [changed(good, int32(57, 4)), 'INVALID_RECORD'],
    'more offsets than records': [changed(good, int32(23, 3)), 'INVALID_RECORD'],
    'last offset before first': [changed(good, int32(23, -1)), 'INVALID_RECORD'],
    'control batch': [made({ isControl: true }), 'INVALID_RECORD'],
    'producer id and sequence 0': [made({ ...id, baseSequence: 0 }), 'accepted'],
    'producer id and sequence -1': [made({ ...id, baseSequence: -1 }), 'INVALID_RECORD'],
    'producer id and sequence -7': [made({ ...id, baseSequence: -7 }), 'INVALID_RECORD'],
    'no producer id, a sequence': [made({ baseSequence: 5 }), 'accepted'],
    'producer id -2': [made({ producerId: -2, baseSequence: -7 }), 'accepted'],
    // Kafka answers these two earlier, in its handler, if the request names no transactional id.
    'transaction with id': [
      made({ ...id, baseSequence: 0, isTransactional: true }),
      'accepted',
      'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
    ],
    'transaction without id': [
      made({ isTransactional: true }),
      'INVALID_RECORD',
      'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
    ],
    'unknown attributes': [changed(good, b => (b[21] = 0x55)), 'accepted'],
    'codec 5': [
      changed(good, b => (b[22] = 5)),
      'UNSUPPORTED_COMPRESSION_TYPE',
      'UNKNOWN_SERVER_ERROR',
    ],
    'codec 7': [
      changed(good, b => (b[22] = 7)),
      'UNSUPPORTED_COMPRESSION_TYPE',
      'UNKNOWN_SERVER_ERROR',
    ],
  })
})

test('in every codec the records are as many as the header says, and counted from 0', async () => {
  for (const codec of CODECS) {
    const batch = await encodeBatch(records(3), codec)
    const counted = (count: number) =>
      changed(batch, b => {
        int32(23, count - 1)(b)
        int32(57, count)(b)
      })
    const kafka = codec === 'none' ? 'accepted' : 'UNKNOWN_SERVER_ERROR'
    await check({
      [`${codec}: three`]: [batch, 'accepted'],
      [`${codec}: two`]: [counted(2), 'INVALID_RECORD'],
      [`${codec}: four`]: [counted(4), 'INVALID_RECORD'],
      [`${codec}: from 5`]: [await deltas([5, 6, 7], codec), 'INVALID_RECORD', kafka],
      [`${codec}: all 0`]: [await deltas([0, 0, 0], codec), 'INVALID_RECORD', kafka],
      [`${codec}: backwards`]: [await deltas([2, 1, 0], codec), 'INVALID_RECORD', kafka],
    })
  }
})

test('each record holds together', () =>
  check({
    'the least': [oneRecord(0, 0, 0, 1, 1, 0), 'accepted'],
    'key length -2': [oneRecord(0, 0, 0, 3, 1, 0), 'accepted'],
    'value length -2': [oneRecord(0, 0, 0, 1, 3, 0), 'accepted'],
    'header value length -2': [oneRecord(0, 0, 0, 1, 1, 2, 2, 65, 3), 'accepted'],
    'header key that is no text': [oneRecord(0, 0, 0, 1, 1, 2, 2, 255, 1), 'accepted'],
    'padded number': [oneRecord(0, 0, 128, 128, 128, 128, 0, 1, 1, 0), 'accepted'],
    'too long a number': [oneRecord(0, 0, 128, 128, 128, 128, 128, 0, 1, 1, 0), 'INVALID_RECORD'],
    'header count -1': [oneRecord(0, 0, 0, 1, 1, 1), 'INVALID_RECORD'],
    'headers missing': [oneRecord(0, 0, 0, 1, 1, 10), 'INVALID_RECORD'],
    'header without a key': [oneRecord(0, 0, 0, 1, 1, 2, 1, 1), 'INVALID_RECORD'],
    'a byte too many': [oneRecord(0, 0, 0, 1, 1, 0, 9), 'INVALID_RECORD'],
    'a byte too few': [oneRecord(0, 0, 0, 1, 1), 'INVALID_RECORD'],
    'nothing in it': [oneRecord(), 'INVALID_RECORD'],
    'key leads out': [oneRecord(0, 0, 0, 20, 1, 0), 'INVALID_RECORD'],
  }))

test('compressed bytes that cannot be read are refused', async () => {
  const section = encodeRecords(records(3), NOW)
  const header = { recordCount: 3, baseTimestamp: NOW, maxTimestamp: NOW + 2 }
  // Of zstd's empty stream Kafka says INVALID_RECORD, as we do.
  const kafka: ErrorName = 'UNKNOWN_SERVER_ERROR'
  for (const name of CODECS.slice(1)) {
    const codec = codecs[name]
    const packed = Buffer.from(await compress(codec, section))
    const made = (bytes: Buffer) => batches.buildBatch({ ...header, codec }, bytes)
    await check({
      [`${name}: whole`]: [made(packed), 'accepted'],
      [`${name}: nothing`]: [made(Buffer.alloc(0)), 'INVALID_RECORD', kafka],
      [`${name}: garbage`]: [made(Buffer.from('not compressed at all')), 'INVALID_RECORD', kafka],
      [`${name}: cut`]: [made(packed.subarray(0, packed.length - 5)), 'INVALID_RECORD', kafka],
    })
    // Kafka does not look behind the end of gzip and lz4.
    const behind = made(Buffer.concat([packed, Buffer.from('garbage!')]))
    assert.equal(await outcome(behind), 'INVALID_RECORD', `${name}: garbage behind`)
    const tooLarge = { ...policy, maxDecompressedBytes: section.length - 1 }
    assert.equal(await outcome(made(packed), tooLarge), 'MESSAGE_TOO_LARGE', name)
  }
})

test('times at the edges of the range are taken, beyond them the records at fault are named', async () => {
  const range = { ...policy, timestampBeforeMaxMs: 1000, timestampAfterMaxMs: 500 }
  for (const codec of CODECS) {
    const at = async (...timestamps: number[]) => {
      const batch = await encodeBatch(
        timestamps.map(timestamp => ({ timestamp })),
        codec,
      )
      return validateBatch(Buffer.from(batch), range, NOW)
    }
    assert.equal((await at(NOW - 1000, NOW + 500)).maxTimestamp, NOW + 500)
    assert.equal((await at(-1, -1)).maxTimestamp, -1, 'no time is a time')
    await assert.rejects(
      async () => at(NOW, NOW - 1001, NOW + 500, NOW + 501),
      (error: unknown) => {
        assert.ok(error instanceof InvalidRecordError)
        assert.equal(error.error, 'INVALID_TIMESTAMP')
        assert.deepEqual(
          error.recordErrors.map(({ batchIndex }) => batchIndex),
          [1, 3],
        )
        assert.match(error.recordErrors[0]!.message, /message\.timestamp\.before\.max\.ms/)
        return true
      },
    )
  }
  const old = encodeBatch(records(3, 5)) as Buffer
  assert.equal(await outcome(old), 'accepted', 'no lower limit by default')
  const early = encodeBatch([{ timestamp: -5 }, { timestamp: -7 }]) as Buffer
  assert.equal((await validateBatch(early, policy, NOW)).maxTimestamp, -1, 'before 1970')
})

test('a compacted topic takes empty keys but no missing ones, and names the records', async () => {
  const compacted = { ...policy, compacted: true }
  assert.equal(await outcome(good, compacted), 'accepted')
  const emptyKey = encodeBatch([{ timestamp: NOW, key: Buffer.alloc(0) }]) as Buffer
  assert.equal(await outcome(emptyKey, compacted), 'accepted')
  const keyless = records(1, NOW, false)
  const errorOf = async (given: RecordInput[], codec: CodecName) => {
    const batch = await encodeBatch(given, codec)
    const error = await Promise.resolve()
      .then(() => validateBatch(batch, compacted, NOW))
      .catch(thrown => thrown)
    assert.ok(error instanceof InvalidRecordError)
    return [error.error, ...error.recordErrors.map(({ batchIndex }) => batchIndex)]
  }
  for (const codec of CODECS) {
    const mixed = [...keyless, ...records(2), ...keyless]
    assert.deepEqual(await errorOf(mixed, codec), ['INVALID_RECORD', 0, 3])
    const late = records(1, NOW + 2 * HOUR)
    assert.deepEqual(await errorOf([...keyless, ...late], codec), ['INVALID_TIMESTAMP', 0, 1])
  }
  const many = records(3000, NOW, false)
  assert.equal((await errorOf(many, 'none')).length, 1 + 1000, 'a response has room for a thousand')
})

test('bytes that need no change stay as they are', async () => {
  for (const codec of CODECS) {
    const batch = Buffer.from(await encodeBatch(records(3), codec))
    const before = Buffer.from(batch)
    const valid = await validateBatch(batch, policy, NOW)
    assert.ok(valid.batch.equals(before))
    if (!isAsynchronous(codecs[codec])) assert.equal(valid.batch, batch)
    assert.deepEqual(
      [valid.recordCount, valid.maxTimestamp, valid.offsetOfMaxTimestamp, valid.logAppendTimeMs],
      [3, NOW + 2, 2, -1],
    )
  }
})

test('a cut tail is not stored', async () => {
  const valid = await validateBatch(join(good, good.subarray(0, 30)), policy, NOW)
  assert.ok(valid.batch.equals(good))
})

test('the greatest time is that of the records, whatever the header says', async () => {
  for (const codec of CODECS) {
    const batch = Buffer.from(
      await encodeBatch(
        [5, 9, 9, 7].map(timestamp => ({ timestamp })),
        codec,
      ),
    )
    for (const lie of [-1, 0, 8, 10, NOW * 2]) {
      const lying = changed(batch, b => b.writeBigInt64BE(BigInt(lie), batches.MAX_TIMESTAMP))
      const valid = await validateBatch(lying, policy, NOW)
      assert.ok(valid.batch.equals(batch), `${codec} ${lie}`)
      assert.deepEqual([valid.maxTimestamp, valid.offsetOfMaxTimestamp], [9, 1])
    }
  }
})

test("where the log's time counts every batch gets it, and times are not looked at", async () => {
  for (const codec of CODECS) {
    const batch = Buffer.from(await encodeBatch(records(3, NOW * 3), codec))
    const valid = await validateBatch(batch, logTime, NOW)
    assert.deepEqual(
      [valid.maxTimestamp, valid.offsetOfMaxTimestamp, valid.logAppendTimeMs],
      [NOW, 0, NOW],
    )
    assert.equal(batches.timestampType(valid.batch, 0), 'LogAppendTime')
    assert.equal(batches.maxTimestamp(valid.batch, 0), NOW)
    assert.equal(batches.crc(valid.batch, 0), batches.computeCrc(valid.batch, 0))
    const decoded = await decodeBatch(valid.batch, 0, 1 << 20)
    assert.ok(decoded.every(({ timestamp }) => timestamp === NOW))
  }
})

test("a producer may not claim the log's time", async () => {
  const claim = encodeBatch(records(2), 'none', { timestampType: 'LogAppendTime' }) as Buffer
  assert.equal(await outcome(claim, logTime), 'INVALID_TIMESTAMP')
  // Kafka lets it pass where producers' times count if the header's time is valid, and drops the claim.
  const valid = await validateBatch(Buffer.from(claim), policy, NOW)
  assert.ok(valid.batch.equals(encodeBatch(records(2)) as Buffer))
  const untimed = changed(claim, b => b.fill(255, batches.MAX_TIMESTAMP, batches.MAX_TIMESTAMP + 8))
  assert.equal(await outcome(untimed), 'INVALID_TIMESTAMP')
  const far = changed(claim, b => b.writeBigInt64BE(BigInt(NOW + HOUR + 1), batches.MAX_TIMESTAMP))
  assert.equal(await outcome(far), 'INVALID_TIMESTAMP')
})

test("every codec becomes the topic's, with the same records and producer", async () => {
  const options = { producerId: 91, producerEpoch: 3, baseSequence: 7, hasDeleteHorizon: true }
  for (const from of CODECS) {
    const batch = Buffer.from(await encodeBatch(records(40), from, options))
    for (const to of ['uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
      const target = codecs[to === 'uncompressed' ? 'none' : to]
      const valid = await validateBatch(Buffer.from(batch), { ...policy, compressionType: to }, NOW)
      const stored = valid.batch
      assert.equal(batches.codec(stored, 0), target)
      assert.equal(batches.crc(stored, 0), batches.computeCrc(stored, 0))
      assert.equal(batches.sizeInBytes(stored, 0), stored.length)
      assert.equal(batches.producerId(stored, 0), 91)
      assert.equal(batches.producerEpoch(stored, 0), 3)
      assert.equal(batches.baseSequence(stored, 0), 7)
      assert.equal(batches.maxTimestamp(stored, 0), NOW + 39)
      assert.equal(batches.hasDeleteHorizon(stored, 0), target === codecs[from])
      assert.deepEqual([valid.recordCount, valid.offsetOfMaxTimestamp], [40, 39])
      assert.deepEqual(await decodeBatch(stored, 0, 1 << 20), await decodeBatch(batch, 0, 1 << 20))
    }
  }
})

test('compression.level counts where the log compresses, and the result must still fit', async () => {
  const batch = encodeBatch(records(500)) as Buffer
  const at = async (compressionLevel: number) => {
    const given: BatchPolicy = { ...policy, compressionType: 'gzip', compressionLevel }
    return (await validateBatch(Buffer.from(batch), given, NOW)).batch.length
  }
  assert.ok((await at(9)) < (await at(1)))
  const gzipped = (await encodeBatch(records(500), 'gzip')) as Buffer
  const unpacked: BatchPolicy = {
    ...policy,
    compressionType: 'uncompressed',
    maxMessageBytes: batch.length,
  }
  assert.equal(await outcome(gzipped, unpacked), 'accepted')
  const tight = { ...unpacked, maxMessageBytes: batch.length - 1 }
  assert.equal(await outcome(gzipped, tight), 'MESSAGE_TOO_LARGE')
})

test('a promise is given exactly when needsAsyncValidation says so, and then the bytes may be used again', async () => {
  for (const codec of CODECS) {
    for (const compressionType of ['producer', 'uncompressed', 'gzip', 'zstd'] as const) {
      const batch = Buffer.from(await encodeBatch(records(3), codec))
      const given = { ...policy, compressionType }
      const expected = needsAsyncValidation(batch, given)
      const result = validateBatch(batch, given, NOW)
      assert.equal(result instanceof Promise, expected, `${codec} ${compressionType}`)
      if (expected) batch.fill(0)
      const decoded = await decodeBatch((await result).batch, 0, 1 << 20)
      assert.equal(String(decoded[2]?.value), 'value-2')
      assert.equal(
        expected,
        isAsynchronous(codecs.zstd) && [codec, compressionType].includes('zstd'),
      )
    }
  }
  assert.equal(needsAsyncValidation(Buffer.alloc(0), policy), false)
  assert.equal(needsAsyncValidation(Buffer.alloc(22, 0xff), policy), false)
})

test('changed bytes are taken or refused with a protocol error, and what is taken holds together', async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const below = (n: number) => Math.floor(random() * n)
  const policies: BatchPolicy[] = [
    policy,
    { ...logTime, compacted: true },
    { ...policy, compressionType: 'lz4', maxDecompressedBytes: 600 },
    { ...policy, compressionType: 'uncompressed' },
  ]
  const sources = await Promise.all(CODECS.map(codec => encodeBatch(records(12), codec)))
  for (let round = 0; round < tier.seeds * 50; round++) {
    let bytes: Buffer = Buffer.from(sources[below(sources.length)]!)
    for (let n = 1 + below(3); n > 0; n--) bytes[below(bytes.length)] = below(256)
    // Most with a true checksum, or nothing would get past it.
    if (below(5) > 0 && batches.sizeInBytes(bytes, 0) === bytes.length)
      bytes = changed(bytes, () => true)
    if (below(10) === 0) bytes = bytes.subarray(0, below(bytes.length))
    try {
      const { batch, recordCount } = await validateBatch(
        bytes,
        policies[below(policies.length)]!,
        NOW,
      )
      assert.equal(batches.batchEnd(batch, 0), batch.length)
      assert.equal(batches.crc(batch, 0), batches.computeCrc(batch, 0))
      assert.equal((await decodeBatch(batch, 0, 1 << 24)).length, recordCount)
    } catch (error) {
      assert.ok(error instanceof ProtocolError, `${bytes.toString('hex')}: ${error}`)
    }
  }
})

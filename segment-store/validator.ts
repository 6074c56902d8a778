/**
 * Is this batch from a producer fit to be stored? The rules are those of Kafka 4.3.1, with its error names, found by
 * sending each kind of batch to both (test/segment-store/validator.test.ts lists them):
 *
 * - exactly one batch of format 2 (INVALID_RECORD); a cut-off tail behind it is dropped;
 * - lengths, magic and checksum hold (CORRUPT_MESSAGE); at most `max.message.bytes` (MESSAGE_TOO_LARGE);
 * - the header says nothing a producer may not say: base offset 0, as many records as offsets and at least one, no
 *   control batch, no producer id without a sequence (INVALID_RECORD);
 * - each record holds together, and nothing is left behind the last (INVALID_RECORD);
 * - each record has a key if the topic is compacted (INVALID_RECORD) and a time in the topic's range
 *   (INVALID_TIMESTAMP); these two come with a list of the records at fault, and no record is kept.
 *
 * Stricter than Kafka: offset deltas must be 0, 1, 2, … in every batch. Kafka stores an uncompressed batch that lies
 * about them, and answers UNKNOWN_SERVER_ERROR to a compressed one. Clearer than Kafka: it also answers
 * UNKNOWN_SERVER_ERROR to compressed bytes it cannot read (here INVALID_RECORD) and to a codec that does not exist
 * (here UNSUPPORTED_COMPRESSION_TYPE).
 *
 * What is then made true in the batch, also as in Kafka: the timestamp type is the topic's; `maxTimestamp` is the
 * greatest of the records, or the log's time; the codec is the topic's `compression.type`, in which case the batch is
 * built anew. Otherwise the bytes stay as they came.
 */
import { MalformedError } from '../protocol/buffer.ts'
import {
  type CodecName,
  codecName,
  codecs,
  compress,
  decompress,
  isAsynchronous,
} from '../protocol/compression.ts'
import { ProtocolError } from '../protocol/errors.ts'
import {
  baseOffset,
  baseSequence,
  baseTimestamp,
  batchEnd,
  buildBatch,
  CURRENT_MAGIC,
  codec,
  computeCrc,
  crc,
  isControl,
  isTransactional,
  lastOffsetDelta,
  leaderEpoch,
  magic,
  maxTimestamp,
  NO_PRODUCER_ID,
  NO_TIMESTAMP,
  producerEpoch,
  producerId,
  RECORD_BATCH_OVERHEAD,
  recordCount,
  setLogAppendTime,
  setMaxTimestamp,
  sizeInBytes,
  type TimestampType,
  timestampType,
} from '../protocol/record-batch.ts'
import { type RecordScan, scanRecords } from '../protocol/record-scan.ts'
import { RecordCursor } from '../protocol/records.ts'

/** What a topic's settings say about the batches it takes. */
export interface BatchPolicy {
  /** `max.message.bytes`: of the batch as stored, header included. */
  readonly maxMessageBytes: number
  /** `message.timestamp.type`. */
  readonly timestampType: TimestampType
  /** `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`; looked at for CreateTime only. */
  readonly timestampBeforeMaxMs: number
  readonly timestampAfterMaxMs: number
  /** `compression.type`; 'producer' keeps what came. */
  readonly compressionType: 'producer' | 'uncompressed' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  /** `compression.<type>.level`; used when a batch is compressed here. */
  readonly compressionLevel: number | undefined
  /** `cleanup.policy` contains compact: a record without a key could never be cleaned. */
  readonly compacted: boolean
  /** Most that a batch may take when decompressed (MESSAGE_TOO_LARGE). */
  readonly maxDecompressedBytes: number
}

export interface ValidBatch {
  /** The batch to store: the bytes that came, or new ones. Base offset and leader epoch are still to be stamped. */
  readonly batch: Buffer
  readonly recordCount: number
  /** As in the batch's header; -1 if no record has a time. */
  readonly maxTimestamp: number
  /** Offset delta of the first record with that time; 0 for LogAppendTime, where all have it. */
  readonly offsetOfMaxTimestamp: number
  /** The time given to all records, or -1 for CreateTime. */
  readonly logAppendTimeMs: number
}

export interface RecordError {
  /** Place of the record in its batch, from 0. */
  readonly batchIndex: number
  readonly message: string
}

/** Some records of a batch were refused, and so the batch: the recordErrors of a Produce response. */
export class InvalidRecordError extends ProtocolError {
  readonly recordErrors: readonly RecordError[]

  constructor(error: 'INVALID_RECORD' | 'INVALID_TIMESTAMP', recordErrors: readonly RecordError[]) {
    super(error, `${recordErrors.length} refused records, the first: ${recordErrors[0]?.message}`)
    this.recordErrors = recordErrors
  }
}

/** A response lists at most so many records at fault; Kafka has no limit. */
const RECORD_ERRORS_MAX = 1000

// Used by one synchronous pass at a time.
const cursor = new RecordCursor()

/**
 * Whether `validateBatch` will return a promise for these bytes: the batch comes in, or is to be stored in, a codec
 * that is only asynchronous here. Safe on any bytes; sizes and the rest are not looked at.
 */
export function needsAsyncValidation(records: Buffer, policy: BatchPolicy): boolean {
  if (records.length < RECORD_BATCH_OVERHEAD) return false
  const source = codec(records, 0)
  if (source !== codecs.none && isAsynchronous(source)) return true
  return isAsynchronous(targetCodec(source, policy))
}

/**
 * Checks the records of one partition of a produce request, and makes timestamps and compression the topic's.
 *
 * Throws only ProtocolError (InvalidRecordError among them), at once or by rejecting the promise. Timestamps are
 * corrected in `records` itself, which must be the caller's to change; if a promise is returned, `records` has been
 * copied and may be used again.
 */
export function validateBatch(
  records: Buffer,
  policy: BatchPolicy,
  nowMs: number,
): ValidBatch | Promise<ValidBatch> {
  const size = wholeBatch(records)
  const batch = size === records.length ? records : records.subarray(0, size)
  checkBatch(batch, policy)
  checkHeader(batch)
  const source = codec(batch, 0)
  if (codecName(source) === undefined) {
    throw new ProtocolError('UNSUPPORTED_COMPRESSION_TYPE', `there is no codec ${source}`)
  }
  if (needsAsyncValidation(batch, policy)) return validateLater(Buffer.from(batch), policy, nowMs)
  if (source === codecs.none) {
    return conclude(batch, batch, RECORD_BATCH_OVERHEAD, policy, nowMs) as ValidBatch
  }
  const plain = unpack(source, batch, policy) as Buffer
  return conclude(batch, plain, 0, policy, nowMs) as ValidBatch
}

async function validateLater(
  batch: Buffer,
  policy: BatchPolicy,
  nowMs: number,
): Promise<ValidBatch> {
  const source = codec(batch, 0)
  if (source === codecs.none) return conclude(batch, batch, RECORD_BATCH_OVERHEAD, policy, nowMs)
  let plain: Buffer
  try {
    plain = await unpack(source, batch, policy)
  } catch (cause) {
    throw refusal(cause)
  }
  return conclude(batch, plain, 0, policy, nowMs)
}

/** Size of the only batch in `records`. */
function wholeBatch(records: Buffer): number {
  try {
    const end = batchEnd(records, 0)
    if (end === -1) throw new ProtocolError('INVALID_RECORD', 'no whole batch for this partition')
    if (magic(records, 0) !== CURRENT_MAGIC) {
      const format = magic(records, 0)
      throw new ProtocolError('INVALID_RECORD', `message format ${format}: only 2 is taken`)
    }
    if (batchEnd(records, end) !== -1) {
      throw new ProtocolError('INVALID_RECORD', 'more than one batch for this partition')
    }
    return end
  } catch (cause) {
    if (cause instanceof MalformedError) throw new ProtocolError('CORRUPT_MESSAGE', cause.message)
    throw cause
  }
}

function checkBatch(batch: Buffer, policy: BatchPolicy): void {
  if (baseOffset(batch, 0) !== 0) {
    const given = baseOffset(batch, 0)
    throw new ProtocolError('INVALID_RECORD', `base offset ${given}: a producer sends 0`)
  }
  checkMessageBytes(batch, policy)
  const stored = crc(batch, 0)
  const computed = computeCrc(batch, 0)
  if (stored !== computed) {
    throw new ProtocolError('CORRUPT_MESSAGE', `checksum ${stored}, but the bytes give ${computed}`)
  }
}

function checkMessageBytes(batch: Buffer, policy: BatchPolicy): void {
  if (sizeInBytes(batch, 0) > policy.maxMessageBytes) {
    throw new ProtocolError(
      'MESSAGE_TOO_LARGE',
      `batch of ${batch.length} bytes; max.message.bytes is ${policy.maxMessageBytes}`,
    )
  }
}

function checkHeader(batch: Buffer): void {
  const count = recordCount(batch, 0)
  const offsets = lastOffsetDelta(batch, 0) + 1
  if (count <= 0 || count !== offsets) {
    throw new ProtocolError('INVALID_RECORD', `${count} records for ${offsets} offsets`)
  }
  if (isControl(batch, 0)) {
    throw new ProtocolError('INVALID_RECORD', 'producers may not write control batches')
  }
  const hasProducerId = producerId(batch, 0) > NO_PRODUCER_ID
  if (hasProducerId && baseSequence(batch, 0) < 0) {
    const sequence = baseSequence(batch, 0)
    throw new ProtocolError('INVALID_RECORD', `producer id with sequence ${sequence}`)
  }
  if (isTransactional(batch, 0) && !hasProducerId) {
    throw new ProtocolError('INVALID_RECORD', 'transactional batch without a producer id')
  }
}

function unpack(source: number, batch: Buffer, policy: BatchPolicy): Buffer | Promise<Buffer> {
  try {
    const packed = batch.subarray(RECORD_BATCH_OVERHEAD)
    // Looked at and forgotten before the next batch is unpacked.
    return decompress(source, packed, policy.maxDecompressedBytes, true)
  } catch (cause) {
    throw refusal(cause)
  }
}

/** Records that cannot be read are the producer's mistake, and sending them again would not help. */
function refusal(cause: unknown): unknown {
  return cause instanceof MalformedError
    ? new ProtocolError('INVALID_RECORD', cause.message)
    : cause
}

/**
 * With the records at hand in `plain[start, …)`: checks each, and gives the batch to store. A promise only if it has
 * to be compressed by an asynchronous codec.
 */
function conclude(
  batch: Buffer,
  plain: Buffer,
  start: number,
  policy: BatchPolicy,
  nowMs: number,
): ValidBatch | Promise<ValidBatch> {
  const logTime = policy.timestampType === 'LogAppendTime'
  if (timestampType(batch, 0) === 'LogAppendTime') checkLogTimeFlag(batch, policy, nowMs)
  const latest = checkRecords(batch, plain, start, policy, nowMs)
  const timestamp = logTime ? nowMs : latest.timestamp
  const finish = (stored: Buffer): ValidBatch => ({
    batch: stored,
    recordCount: recordCount(stored, 0),
    maxTimestamp: timestamp,
    offsetOfMaxTimestamp: logTime ? 0 : latest.index,
    logAppendTimeMs: logTime ? nowMs : -1,
  })
  if (targetCodec(codec(batch, 0), policy) !== codec(batch, 0)) {
    const rebuilt = rebuild(batch, plain.subarray(start), timestamp, policy)
    return Buffer.isBuffer(rebuilt) ? finish(rebuilt) : rebuilt.then(finish)
  }
  if (logTime) setLogAppendTime(batch, 0, nowMs)
  else if (maxTimestamp(batch, 0) !== timestamp || timestampType(batch, 0) !== 'CreateTime') {
    setMaxTimestamp(batch, 0, timestamp)
  }
  return finish(batch)
}

/** Walks all records; returns the greatest time (-1 if there is none) and the place of the first that has it. */
const scan: RecordScan = { minDelta: 0, maxDelta: 0, indexOfMax: 0, hasNullKey: false }

function checkRecords(
  batch: Buffer,
  plain: Buffer,
  start: number,
  policy: BatchPolicy,
  nowMs: number,
): { timestamp: number; index: number } {
  const base = baseTimestamp(batch, 0)
  const anyTime = policy.timestampType === 'LogAppendTime'
  const earliest = anyTime ? -Infinity : nowMs - policy.timestampBeforeMaxMs
  const latest = anyTime ? Infinity : nowMs + policy.timestampAfterMaxMs
  const { compacted } = policy
  const count = recordCount(batch, 0)
  if (scanRecords(plain, start, plain.length, count, scan)) {
    const isInRange = base + scan.minDelta >= earliest && base + scan.maxDelta <= latest
    if (isInRange && !(compacted && scan.hasNullKey)) {
      return { timestamp: base + scan.maxDelta, index: scan.indexOfMax }
    }
  }
  let refused: RecordRefusals | null = null
  let greatest = NO_TIMESTAMP
  let indexOfMax = 0
  let index = 0
  try {
    cursor.reset(plain, start, plain.length, count)
    for (; cursor.next(); index++) {
      if (cursor.offsetDelta !== index) {
        throw new MalformedError(`record ${index} has offset delta ${cursor.offsetDelta}`)
      }
      const timestamp = base + cursor.timestampDelta
      if (compacted && cursor.keyLength < 0) {
        refused ??= new RecordRefusals()
        refused.add(index, 'INVALID_RECORD', 'no key, and the topic is compacted')
      } else if ((timestamp < earliest || timestamp > latest) && timestamp !== NO_TIMESTAMP) {
        refused ??= new RecordRefusals()
        refused.add(index, 'INVALID_TIMESTAMP', outOfRange(timestamp, earliest, latest))
      }
      if (timestamp > greatest) {
        greatest = timestamp
        indexOfMax = index
      }
    }
  } catch (cause) {
    throw refusal(cause)
  }
  refused?.raise()
  return { timestamp: greatest, index: indexOfMax }
}

class RecordRefusals {
  #error: 'INVALID_RECORD' | 'INVALID_TIMESTAMP' = 'INVALID_RECORD'
  readonly #list: RecordError[] = []

  /** One bad time makes INVALID_TIMESTAMP of the whole, as in Kafka. */
  add(batchIndex: number, error: 'INVALID_RECORD' | 'INVALID_TIMESTAMP', why: string): void {
    if (error === 'INVALID_TIMESTAMP') this.#error = error
    if (this.#list.length < RECORD_ERRORS_MAX) {
      this.#list.push({ batchIndex, message: `record ${batchIndex}: ${why}` })
    }
  }

  raise(): never {
    throw new InvalidRecordError(this.#error, this.#list)
  }
}

function outOfRange(timestamp: number, earliest: number, latest: number): string {
  return (
    `timestamp ${timestamp} is outside ${earliest} to ${latest} ` +
    '(message.timestamp.before.max.ms, message.timestamp.after.max.ms)'
  )
}

/**
 * Only a log may say that its time counts. Kafka still takes such a batch where producers' times count, if the time
 * in the header is a valid one.
 */
function checkLogTimeFlag(batch: Buffer, policy: BatchPolicy, nowMs: number): void {
  const timestamp = maxTimestamp(batch, 0)
  if (
    policy.timestampType === 'CreateTime' &&
    timestamp !== NO_TIMESTAMP &&
    timestamp >= nowMs - policy.timestampBeforeMaxMs &&
    timestamp <= nowMs + policy.timestampAfterMaxMs
  ) {
    return
  }
  const refused = new RecordRefusals()
  for (let i = 0; i < Math.min(recordCount(batch, 0), RECORD_ERRORS_MAX); i++) {
    refused.add(i, 'INVALID_TIMESTAMP', 'a producer may not set the type LogAppendTime')
  }
  refused.raise()
}

function targetCodec(source: number, policy: BatchPolicy): number {
  if (policy.compressionType === 'producer') return source
  const name: CodecName =
    policy.compressionType === 'uncompressed' ? 'none' : policy.compressionType
  return codecs[name]
}

/** The batch with its records in the topic's codec. As in Kafka, a delete horizon is not carried over. */
function rebuild(
  batch: Buffer,
  plain: Buffer,
  timestamp: number,
  policy: BatchPolicy,
): Buffer | Promise<Buffer> {
  const target = targetCodec(codec(batch, 0), policy)
  const build = (packed: Buffer): Buffer => {
    const rebuilt = buildBatch(
      {
        codec: target,
        leaderEpoch: leaderEpoch(batch, 0),
        timestampType: policy.timestampType,
        isTransactional: isTransactional(batch, 0),
        baseTimestamp: baseTimestamp(batch, 0),
        maxTimestamp: timestamp,
        producerId: producerId(batch, 0),
        producerEpoch: producerEpoch(batch, 0),
        baseSequence: baseSequence(batch, 0),
        recordCount: recordCount(batch, 0),
      },
      packed,
    )
    checkMessageBytes(rebuilt, policy)
    return rebuilt
  }
  const packed = compress(target, plain, policy.compressionLevel)
  return Buffer.isBuffer(packed) ? build(packed) : packed.then(build)
}

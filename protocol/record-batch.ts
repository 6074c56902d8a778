/**
 * A record batch (format 2, "magic 2") in place: fields are read and written where they lie in a buffer, and nothing
 * is allocated. The records behind the header are the business of `records.ts`.
 *
 *   offset size field
 *        0    8 baseOffset            offset of the first record
 *        8    4 batchLength           bytes that follow this field
 *       12    4 partitionLeaderEpoch  of the leader that assigned the offsets
 *       16    1 magic                 2
 *       17    4 crc                   CRC-32C of everything from attributes to the end of the batch
 *       21    2 attributes            bits 0-2 codec, 3 timestamp type (1: log append time), 4 transactional,
 *                                     5 control batch, 6 base timestamp is a delete horizon
 *       23    4 lastOffsetDelta       lastOffset - baseOffset
 *       27    8 baseTimestamp         records store their distance from it
 *       35    8 maxTimestamp
 *       43    8 producerId            -1: none
 *       51    2 producerEpoch         -1: none
 *       53    4 baseSequence          -1: none
 *       57    4 recordCount
 *       61      records               compressed as one piece if the codec says so
 *
 * The base offset and the leader epoch lie before the checksummed part, so a leader stamps them without touching the
 * checksum. Magic, batchLength and the offset stand at the same place in the older formats 0 and 1, which is how
 * those are recognised.
 *
 * Functions take (buffer, position of the batch). They trust that a whole header is there: establish that once with
 * `batchEnd`.
 */
import { INT64_MAX, MalformedError } from './buffer.ts'
import { crc32c } from './crc32c.ts'

export const BASE_OFFSET = 0
export const BATCH_LENGTH = 8
export const LEADER_EPOCH = 12
export const MAGIC = 16
export const CRC = 17
export const ATTRIBUTES = 21
export const LAST_OFFSET_DELTA = 23
export const BASE_TIMESTAMP = 27
export const MAX_TIMESTAMP = 35
export const PRODUCER_ID = 43
export const PRODUCER_EPOCH = 51
export const BASE_SEQUENCE = 53
export const RECORD_COUNT = 57

/** Bytes before the first record. */
export const RECORD_BATCH_OVERHEAD = 61
/** Bytes before the part that batchLength counts. */
export const LOG_OVERHEAD = 12
/** Least batchLength of any format (an empty format 0 message). */
const SMALLEST_BATCH_LENGTH = 14
/** Bytes needed to know the size and the format of a batch. */
const BYTES_TO_MAGIC = MAGIC + 1

export const CURRENT_MAGIC = 2
export const NO_TIMESTAMP = -1
export const NO_PRODUCER_ID = -1
export const NO_SEQUENCE = -1

export type TimestampType = 'CreateTime' | 'LogAppendTime'

const CODEC_MASK = 0x07
const LOG_APPEND_TIME_FLAG = 0x08
const TRANSACTIONAL_FLAG = 0x10
const CONTROL_FLAG = 0x20
const DELETE_HORIZON_FLAG = 0x40
const KNOWN_ATTRIBUTES = 0x7f

const TWO_32 = 4294967296

function int32At(b: Buffer, p: number): number {
  return (b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!
}

function int64At(b: Buffer, p: number): number {
  return int32At(b, p) * TWO_32 + (int32At(b, p + 4) >>> 0)
}

function putInt32(b: Buffer, p: number, value: number): void {
  b[p] = value >> 24
  b[p + 1] = value >> 16
  b[p + 2] = value >> 8
  b[p + 3] = value
}

function putInt64(b: Buffer, p: number, value: number): void {
  if (value >= INT64_MAX) {
    putInt32(b, p, 0x7fffffff)
    putInt32(b, p + 4, -1)
    return
  }
  const high = Math.floor(value / TWO_32)
  putInt32(b, p, high)
  putInt32(b, p + 4, (value - high * TWO_32) | 0)
}

export function baseOffset(b: Buffer, p: number): number {
  return int64At(b, p + BASE_OFFSET)
}

/** Bytes after the length field. From a peer or a disk: not to be trusted before `batchEnd` has agreed. */
export function batchLength(b: Buffer, p: number): number {
  return int32At(b, p + BATCH_LENGTH)
}

/** Bytes of the whole batch, header included. */
export function sizeInBytes(b: Buffer, p: number): number {
  return LOG_OVERHEAD + int32At(b, p + BATCH_LENGTH)
}

export function leaderEpoch(b: Buffer, p: number): number {
  return int32At(b, p + LEADER_EPOCH)
}

export function magic(b: Buffer, p: number): number {
  return (b[p + MAGIC]! << 24) >> 24
}

/** The stored checksum, unsigned. */
export function crc(b: Buffer, p: number): number {
  return int32At(b, p + CRC) >>> 0
}

export function attributes(b: Buffer, p: number): number {
  return (b[p + ATTRIBUTES]! << 8) | b[p + ATTRIBUTES + 1]!
}

/** 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 mean nothing. */
export function codec(b: Buffer, p: number): number {
  return b[p + ATTRIBUTES + 1]! & CODEC_MASK
}

export function timestampType(b: Buffer, p: number): TimestampType {
  return b[p + ATTRIBUTES + 1]! & LOG_APPEND_TIME_FLAG ? 'LogAppendTime' : 'CreateTime'
}

export function isTransactional(b: Buffer, p: number): boolean {
  return (b[p + ATTRIBUTES + 1]! & TRANSACTIONAL_FLAG) !== 0
}

/** A batch of transaction markers or other control records: never shown to applications. */
export function isControl(b: Buffer, p: number): boolean {
  return (b[p + ATTRIBUTES + 1]! & CONTROL_FLAG) !== 0
}

/** The base timestamp is the time from which compaction may drop this batch's tombstones and markers. */
export function hasDeleteHorizon(b: Buffer, p: number): boolean {
  return (b[p + ATTRIBUTES + 1]! & DELETE_HORIZON_FLAG) !== 0
}

export function lastOffsetDelta(b: Buffer, p: number): number {
  return int32At(b, p + LAST_OFFSET_DELTA)
}

/** Offset of the last record (inclusive). Compaction may have removed the record itself. */
export function lastOffset(b: Buffer, p: number): number {
  return int64At(b, p + BASE_OFFSET) + int32At(b, p + LAST_OFFSET_DELTA)
}

export function baseTimestamp(b: Buffer, p: number): number {
  return int64At(b, p + BASE_TIMESTAMP)
}

export function maxTimestamp(b: Buffer, p: number): number {
  return int64At(b, p + MAX_TIMESTAMP)
}

export function producerId(b: Buffer, p: number): number {
  return int64At(b, p + PRODUCER_ID)
}

export function producerEpoch(b: Buffer, p: number): number {
  return ((b[p + PRODUCER_EPOCH]! << 24) >> 16) | b[p + PRODUCER_EPOCH + 1]!
}

export function baseSequence(b: Buffer, p: number): number {
  return int32At(b, p + BASE_SEQUENCE)
}

/** Sequence of the last record (inclusive). Sequences go from 2^31 - 1 on to 0. */
export function lastSequence(b: Buffer, p: number): number {
  const first = baseSequence(b, p)
  return first === NO_SEQUENCE ? NO_SEQUENCE : sequenceAfter(first, lastOffsetDelta(b, p))
}

/** The sequence `steps` after `sequence`, wrapping from 2^31 - 1 to 0. */
export function sequenceAfter(sequence: number, steps: number): number {
  return (sequence + steps) & 0x7fffffff
}

export function recordCount(b: Buffer, p: number): number {
  return int32At(b, p + RECORD_COUNT)
}

/** What the stored checksum has to be. The batch must be whole. */
export function computeCrc(b: Buffer, p: number): number {
  return crc32c(b, p + ATTRIBUTES, p + sizeInBytes(b, p))
}

/** Gives a batch its place in the log. Neither field is checksummed. */
export function restamp(b: Buffer, p: number, base: number, epoch: number): void {
  putInt64(b, p + BASE_OFFSET, base)
  putInt32(b, p + LEADER_EPOCH, epoch)
}

/** Every record of the batch now has the time at which the log took it. Rewrites the checksum. */
export function setLogAppendTime(b: Buffer, p: number, timestamp: number): void {
  setTimestamps(b, p, LOG_APPEND_TIME_FLAG, timestamp)
}

/** Records keep the times their producer gave, of which `timestamp` is the greatest. Rewrites the checksum. */
export function setMaxTimestamp(b: Buffer, p: number, timestamp: number): void {
  setTimestamps(b, p, 0, timestamp)
}

function setTimestamps(b: Buffer, p: number, flag: number, timestamp: number): void {
  b[p + ATTRIBUTES] = 0
  b[p + ATTRIBUTES + 1] = (b[p + ATTRIBUTES + 1]! & KNOWN_ATTRIBUTES & ~LOG_APPEND_TIME_FLAG) | flag
  putInt64(b, p + MAX_TIMESTAMP, timestamp)
  putInt32(b, p + CRC, computeCrc(b, p))
}

/**
 * Where the batch at `position` ends, or -1 if it is not whole before `end`: nothing left, or a tail that a reader's
 * byte limit or a crash has cut. Throws MalformedError if what stands there can be no batch of any format. Formats 0
 * and 1 are let through, with their size, so that the caller can say what is wrong: look at `magic` first.
 */
export function batchEnd(buffer: Buffer, position: number, end: number = buffer.length): number {
  if (end - position < LOG_OVERHEAD) return -1
  const length = batchLength(buffer, position)
  if (length < SMALLEST_BATCH_LENGTH) throw tooShort(position, length)
  if (end - position < BYTES_TO_MAGIC) return -1
  const format = magic(buffer, position)
  if (format < 0 || format > CURRENT_MAGIC) {
    throw new MalformedError(`batch at ${position} has magic ${format}`)
  }
  if (format === CURRENT_MAGIC && length < RECORD_BATCH_OVERHEAD - LOG_OVERHEAD) {
    throw tooShort(position, length)
  }
  return length > end - position - LOG_OVERHEAD ? -1 : position + LOG_OVERHEAD + length
}

function tooShort(position: number, length: number): MalformedError {
  return new MalformedError(`batch at ${position} has length ${length}, less than a header`)
}

/** Positions of the whole batches in `buffer[start, end)`; stops quietly at a cut tail. */
export function* batchPositions(
  buffer: Buffer,
  start = 0,
  end: number = buffer.length,
): Generator<number, void, void> {
  let position = start
  for (let next = batchEnd(buffer, position, end); next !== -1; ) {
    yield position
    position = next
    next = batchEnd(buffer, position, end)
  }
}

/** What a batch header says, apart from what follows from the bytes (size, checksum). */
export interface BatchHeader {
  readonly recordCount: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly baseOffset?: number
  readonly leaderEpoch?: number
  readonly codec?: number
  readonly timestampType?: TimestampType
  readonly isTransactional?: boolean
  readonly isControl?: boolean
  readonly hasDeleteHorizon?: boolean
  /** `recordCount - 1` unless compaction has removed records. */
  readonly lastOffsetDelta?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
}

/**
 * Writes the header of a batch of `size` bytes (header included) whose records, compressed if the codec says so,
 * already lie behind it: the checksum covers them.
 */
export function writeBatchHeader(b: Buffer, p: number, size: number, header: BatchHeader): void {
  putInt64(b, p + BASE_OFFSET, header.baseOffset ?? 0)
  putInt32(b, p + BATCH_LENGTH, size - LOG_OVERHEAD)
  putInt32(b, p + LEADER_EPOCH, header.leaderEpoch ?? -1)
  b[p + MAGIC] = CURRENT_MAGIC
  b[p + ATTRIBUTES] = 0
  b[p + ATTRIBUTES + 1] =
    ((header.codec ?? 0) & CODEC_MASK) |
    (header.timestampType === 'LogAppendTime' ? LOG_APPEND_TIME_FLAG : 0) |
    (header.isTransactional ? TRANSACTIONAL_FLAG : 0) |
    (header.isControl ? CONTROL_FLAG : 0) |
    (header.hasDeleteHorizon ? DELETE_HORIZON_FLAG : 0)
  putInt32(b, p + LAST_OFFSET_DELTA, header.lastOffsetDelta ?? header.recordCount - 1)
  putInt64(b, p + BASE_TIMESTAMP, header.baseTimestamp)
  putInt64(b, p + MAX_TIMESTAMP, header.maxTimestamp)
  putInt64(b, p + PRODUCER_ID, header.producerId ?? NO_PRODUCER_ID)
  const epoch = header.producerEpoch ?? -1
  b[p + PRODUCER_EPOCH] = epoch >> 8
  b[p + PRODUCER_EPOCH + 1] = epoch
  putInt32(b, p + BASE_SEQUENCE, header.baseSequence ?? NO_SEQUENCE)
  putInt32(b, p + RECORD_COUNT, header.recordCount)
  putInt32(b, p + CRC, computeCrc(b, p))
}

/** A new batch of `header` and an encoded (and, if the codec says so, compressed) records section. */
export function buildBatch(header: BatchHeader, records: Buffer): Buffer {
  const batch = Buffer.allocUnsafe(RECORD_BATCH_OVERHEAD + records.length)
  batch.set(records, RECORD_BATCH_OVERHEAD)
  writeBatchHeader(batch, 0, batch.length, header)
  return batch
}

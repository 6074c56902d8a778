/**
 * What compaction leaves of one batch: all of it, nothing, some of its records, or an empty batch that only tells where
 * a producer or the log stands. The codec stays, and so do base offset, last offset and sequence numbers: readers find
 * the same offsets, and producers are recognised as before.
 *
 * A batch that first keeps a tombstone gets a *delete horizon*: from that time on its tombstones may go. The time stands
 * in the base timestamp (attribute bit 6 says so), hence the records' time deltas are written anew.
 */
import { Writer } from '../protocol/buffer.ts'
import { compress, decompress } from '../protocol/compression.ts'
import * as batches from '../protocol/record-batch.ts'
import { RecordCursor, varintSize } from '../protocol/records.ts'

/** Bounds what one batch may decompress to. */
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024

/** What becomes of a batch if none of its records stays. */
export type EmptyBatch = 'drop' | 'keep'

export interface BatchVerdict {
  /** No record stays, whatever `keeps` would say. */
  readonly discards: boolean
  readonly whenEmpty: EmptyBatch
  /** A marker that ends nothing any more: it goes when its delete horizon is over. */
  readonly isSpentMarker: boolean
}

/** Whether the record that the cursor stands at is to stay. */
export type RecordFilter = (buffer: Buffer, cursor: RecordCursor, offset: number) => boolean

export interface FilteredBatch {
  /** The batch is to be copied as it is. */
  readonly isUnchanged: boolean
  /** What takes its place; null: nothing. */
  readonly replacement: Buffer | null
  readonly records: number
}

const UNCHANGED = (records: number): FilteredBatch => ({
  isUnchanged: true,
  replacement: null,
  records,
})
const GONE: FilteredBatch = { isUnchanged: false, replacement: null, records: 0 }

export class BatchFilter {
  private readonly nowMs: number
  private readonly deleteRetentionMs: number
  private readonly cursor = new RecordCursor()
  /** Start and end of the records that stay; neighbours are one range. */
  private ranges: number[] = []

  constructor(nowMs: number, deleteRetentionMs: number) {
    this.nowMs = nowMs
    this.deleteRetentionMs = deleteRetentionMs
  }

  /** The batch at `at` must be whole and its checksum right. A promise only for a codec that is asynchronous. */
  filter(
    b: Buffer,
    at: number,
    verdict: BatchVerdict,
    keeps: RecordFilter,
  ): FilteredBatch | Promise<FilteredBatch> {
    if (batches.recordCount(b, at) === 0 || verdict.discards) return this.emptied(b, at, verdict)
    const codec = batches.codec(b, at)
    const start = at + batches.RECORD_BATCH_OVERHEAD
    const end = at + batches.sizeInBytes(b, at)
    if (codec === 0 || batches.isControl(b, at)) {
      return this.filterSection(b, at, { buffer: b, start, end }, verdict, keeps)
    }
    const plain = decompress(codec, b.subarray(start, end), MAX_DECOMPRESSED_BYTES, true)
    const go = (buffer: Buffer) =>
      this.filterSection(b, at, { buffer, start: 0, end: buffer.length }, verdict, keeps)
    return Buffer.isBuffer(plain) ? go(plain) : plain.then(go)
  }

  private filterSection(
    b: Buffer,
    at: number,
    section: { buffer: Buffer; start: number; end: number },
    verdict: BatchVerdict,
    keeps: RecordFilter,
  ): FilteredBatch | Promise<FilteredBatch> {
    const { cursor } = this
    const { buffer } = section
    const base = batches.baseOffset(b, at)
    const count = batches.recordCount(b, at)
    let kept = 0
    let hasTombstone = false
    let maxDelta = Number.NEGATIVE_INFINITY
    this.ranges = []
    let lastEnd = -1
    cursor.reset(buffer, section.start, section.end, count)
    while (cursor.next()) {
      if (!keeps(buffer, cursor, base + cursor.offsetDelta)) continue
      kept += 1
      if (cursor.valueLength < 0) hasTombstone = true
      if (cursor.timestampDelta > maxDelta) maxDelta = cursor.timestampDelta
      if (cursor.start === lastEnd) this.ranges[this.ranges.length - 1] = cursor.end
      else this.ranges.push(cursor.start, cursor.end)
      lastEnd = cursor.end
    }
    if (kept === 0) return this.emptied(b, at, verdict)
    const needsHorizon = (hasTombstone || verdict.isSpentMarker) && !batches.hasDeleteHorizon(b, at)
    if (kept === count && !needsHorizon) return UNCHANGED(count)
    const records = needsHorizon
      ? this.rebased(buffer, kept, batches.baseTimestamp(b, at) - this.horizonMs)
      : Buffer.concat(this.keptRanges(buffer))
    const isLogTime = batches.timestampType(b, at) === 'LogAppendTime'
    const maxTimestamp = isLogTime
      ? batches.maxTimestamp(b, at)
      : batches.baseTimestamp(b, at) + maxDelta
    const header: batches.BatchHeader = {
      ...headerOf(b, at),
      recordCount: kept,
      maxTimestamp,
      ...(needsHorizon ? { baseTimestamp: this.horizonMs, hasDeleteHorizon: true } : {}),
    }
    const codec = batches.codec(b, at)
    const packed = compress(codec, records)
    const build = (bytes: Buffer): FilteredBatch => ({
      isUnchanged: false,
      replacement: batches.buildBatch(header, bytes),
      records: kept,
    })
    return Buffer.isBuffer(packed) ? build(packed) : packed.then(build)
  }

  private get horizonMs(): number {
    return this.nowMs + this.deleteRetentionMs
  }

  private emptied(b: Buffer, at: number, verdict: BatchVerdict): FilteredBatch {
    if (verdict.whenEmpty === 'drop') return GONE
    if (batches.recordCount(b, at) === 0) return UNCHANGED(0)
    const header: batches.BatchHeader = {
      ...headerOf(b, at),
      recordCount: 0,
      codec: 0,
      baseTimestamp: batches.NO_TIMESTAMP,
      hasDeleteHorizon: false,
    }
    const replacement = batches.buildBatch(header, Buffer.alloc(0))
    return { isUnchanged: false, replacement, records: 0 }
  }

  private keptRanges(buffer: Buffer): Buffer[] {
    const parts: Buffer[] = []
    for (let i = 0; i < this.ranges.length; i += 2) {
      parts.push(buffer.subarray(this.ranges[i], this.ranges[i + 1]))
    }
    return parts
  }

  /** The records that stay, with `shift` added to their time deltas. */
  private rebased(buffer: Buffer, kept: number, shift: number): Buffer {
    const parts = this.keptRanges(buffer)
    const writer = new Writer(parts.reduce((sum, part) => sum + part.length, 0) + kept * 12)
    for (const part of parts) {
      for (let p = 0; p < part.length; ) {
        p = this.rebaseRecord(part, p, shift, writer)
      }
    }
    return writer.bytes()
  }

  private rebaseRecord(part: Buffer, p: number, shift: number, writer: Writer): number {
    const { cursor } = this
    // One record at a time: its length is all that has to be known beforehand, and it was checked.
    const end = p + recordSize(part, p)
    cursor.reset(part, p, end, 1)
    cursor.next()
    const bodyStart = p + sizeOfVarint(part, p)
    const deltaStart = bodyStart + 1
    const restStart = deltaStart + sizeOfVarint(part, deltaStart)
    const delta = cursor.timestampDelta + shift
    writer.varint(1 + varintSize(delta) + end - restStart)
    writer.int8(part.readInt8(bodyStart))
    writer.varlong(delta)
    writer.raw(part.subarray(restStart, end))
    return end
  }
}

/** Bytes of the varint at `p`. */
function sizeOfVarint(b: Buffer, p: number): number {
  let size = 1
  while (b[p + size - 1]! >= 0x80) size++
  return size
}

/** Bytes of the record at `p`, its length included. */
function recordSize(b: Buffer, p: number): number {
  const size = sizeOfVarint(b, p)
  let raw = 0
  for (let i = 0; i < size; i++) raw += (b[p + i]! & 0x7f) * 2 ** (7 * i)
  return size + Math.floor(raw / 2)
}

function headerOf(b: Buffer, at: number): batches.BatchHeader {
  return {
    recordCount: batches.recordCount(b, at),
    baseTimestamp: batches.baseTimestamp(b, at),
    maxTimestamp: batches.maxTimestamp(b, at),
    baseOffset: batches.baseOffset(b, at),
    leaderEpoch: batches.leaderEpoch(b, at),
    codec: batches.codec(b, at),
    timestampType: batches.timestampType(b, at),
    isTransactional: batches.isTransactional(b, at),
    isControl: batches.isControl(b, at),
    hasDeleteHorizon: batches.hasDeleteHorizon(b, at),
    lastOffsetDelta: batches.lastOffsetDelta(b, at),
    producerId: batches.producerId(b, at),
    producerEpoch: batches.producerEpoch(b, at),
    baseSequence: batches.baseSequence(b, at),
  }
}

/**
 * The work of compaction: sealed segments of one log in, `.cleaned` files out. It knows files only, nothing of a log that
 * lives: a job is plain data, so that it can be done by another thread as well as here.
 *
 *   1. read the dirty part, [firstDirtyOffset, bound), and note the newest offset of each key, until the map is full
 *   2. go through all segments below what was mapped, in groups that fit into one segment; write what stays:
 *        a record is dropped if a later one has its key, or it has no key, or it was aborted,
 *        or it is a tombstone whose delete horizon is over
 *   3. each group is on the medium before it is reported; the caller swaps it in (swap.ts)
 */

import { decompress } from '../protocol/compression.ts'
import { ProtocolError } from '../protocol/errors.ts'
import * as batches from '../protocol/record-batch.ts'
import { RecordCursor } from '../protocol/records.ts'
import { BatchFilter, type BatchVerdict, type RecordFilter } from './batch-filter.ts'
import { type BatchReader, readBatches } from './batch-reader.ts'
import { CleanedFile } from './cleaned-file.ts'
import { CleanedTransactions } from './cleaned-transactions.ts'
import type { Disk } from './disk.ts'
import { MAX_RELATIVE_OFFSET } from './offset-index.ts'
import { type HashKey, OffsetMap } from './offset-map.ts'
import { TIME_ENTRY_BYTES } from './time-index.ts'
import type { AbortedTransaction } from './txn-index.ts'

const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024

export interface CleanerLimits {
  /** `log.cleaner.dedupe.buffer.size` and `log.cleaner.io.buffer.load.factor`: how many keys one pass can know. */
  readonly dedupeBufferBytes: number
  readonly loadFactor: number
  /** `log.cleaner.io.buffer.size`: how much is read at a time. */
  readonly ioBufferBytes: number
}

export interface SourceSegment {
  readonly baseOffset: number
  readonly endOffset: number
  readonly size: number
}

export interface CleaningJob {
  readonly name: string
  readonly directory: string
  /** Sealed, in order, the log's first first; the last ends at `bound`. */
  readonly segments: readonly SourceSegment[]
  readonly firstDirtyOffset: number
  readonly bound: number
  /** Of all segments, also of those behind `bound`. */
  readonly aborted: readonly AbortedTransaction[]
  /** For each producer that is remembered: the last offset of its last batch (-1: none in this epoch) and its epoch. */
  readonly lastRecords: ReadonlyMap<number, { readonly lastOffset: number; readonly epoch: number }>
  readonly segmentBytes: number
  readonly segmentIndexBytes: number
  readonly indexIntervalBytes: number
  readonly deleteRetentionMs: number
  readonly nowMs: number
  readonly limits: CleanerLimits
  readonly hashKey: HashKey
}

/** A finished group: its files end in `.cleaned`. */
export interface CleanedGroup {
  /** Base offsets of the segments that it replaces; its own is the first. */
  readonly sources: readonly number[]
  readonly size: number
  readonly bytesBefore: number
}

export interface CleaningStats {
  bytesRead: number
  bytesWritten: number
  recordsRead: number
  recordsKept: number
  keys: number
  mapUtilization: number
}

export interface CleaningResult extends CleaningStats {
  /** Below it the log is clean now. */
  readonly endOffset: number
}

export interface CleaningEnvironment {
  readonly disk: Disk
  /** Called with the bytes just read or written; may take its time, and rejects when the job is to be given up. */
  pace(bytes: number): void | Promise<void>
  /** Swaps a group in. */
  finished(group: CleanedGroup): Promise<void>
}

/** Does a job. What it cannot read (damage) rejects with CORRUPT_MESSAGE; nothing is swapped in from then on. */
export async function clean(job: CleaningJob, env: CleaningEnvironment): Promise<CleaningResult> {
  return await new Cleaning(job, env).run()
}

class Cleaning {
  private readonly job: CleaningJob
  private readonly env: CleaningEnvironment
  private readonly map: OffsetMap
  private readonly reader: BatchReader
  private readonly cursor = new RecordCursor()
  /** Of each producer that is remembered, the last offset of its last batch of records in the dirty part. */
  private readonly lastDirty = new Map<number, number>()
  private readonly stats: CleaningStats = {
    bytesRead: 0,
    bytesWritten: 0,
    recordsRead: 0,
    recordsKept: 0,
    keys: 0,
    mapUtilization: 0,
  }

  constructor(job: CleaningJob, env: CleaningEnvironment) {
    this.job = job
    this.env = env
    const { dedupeBufferBytes, loadFactor } = job.limits
    // Offsets of the dirty part are consecutive or have gaps: there cannot be more keys than offsets.
    const offsets = job.bound - job.firstDirtyOffset
    this.map = new OffsetMap(offsets, dedupeBufferBytes, loadFactor, job.hashKey)
    this.reader = {
      disk: env.disk,
      windowBytes: job.limits.ioBufferBytes,
      pace: bytes => {
        this.stats.bytesRead += bytes
        return env.pace(bytes)
      },
    }
  }

  async run(): Promise<CleaningResult> {
    await this.fillMap()
    const endOffset = this.map.latestOffset + 1
    const transactions = new CleanedTransactions(this.job.aborted)
    for (const group of this.groups(endOffset)) await this.cleanGroup(group, transactions)
    this.stats.keys = this.map.size
    this.stats.mapUtilization = this.map.utilization
    return { ...this.stats, endOffset }
  }

  private path(baseOffset: number): string {
    return `${this.job.directory}/${String(baseOffset).padStart(20, '0')}`
  }

  // ------------------------------------------------------------------------------------------------- the map

  private async fillMap(): Promise<void> {
    const { job, map } = this
    const aborted = job.aborted.filter(({ lastOffset }) => lastOffset >= job.firstDirtyOffset)
    const transactions = new CleanedTransactions(aborted)
    map.latestOffset = job.firstDirtyOffset - 1
    for (const segment of job.segments) {
      if (segment.endOffset <= job.firstDirtyOffset) continue
      const visit = (b: Buffer, at: number) => this.mapBatch(b, at, transactions)
      const isWhole = await readBatches(this.reader, segment, this.path(segment.baseOffset), visit)
      if (!isWhole) return
      // Compaction may have left a gap at a segment's end.
      map.latestOffset = Math.max(map.latestOffset, segment.endOffset - 1)
    }
  }

  /** Answers false when the map is full: what follows is left to the next pass. */
  private mapBatch(
    b: Buffer,
    at: number,
    transactions: CleanedTransactions,
  ): boolean | Promise<boolean> {
    const last = batches.lastOffset(b, at)
    const isSkipped = transactions.visit(b, at) || batches.isControl(b, at)
    if (last < this.job.firstDirtyOffset) return true
    const producerId = batches.producerId(b, at)
    if (this.job.lastRecords.has(producerId) && !batches.isControl(b, at)) {
      this.lastDirty.set(producerId, last)
    }
    if (isSkipped || batches.recordCount(b, at) === 0) {
      this.map.latestOffset = last
      return true
    }
    const start = at + batches.RECORD_BATCH_OVERHEAD
    const end = at + batches.sizeInBytes(b, at)
    const codec = batches.codec(b, at)
    if (codec === 0) return this.mapRecords(b, at, b, start, end)
    const plain = decompress(codec, b.subarray(start, end), MAX_DECOMPRESSED_BYTES, true)
    if (Buffer.isBuffer(plain)) return this.mapRecords(b, at, plain, 0, plain.length)
    return plain.then(bytes => this.mapRecords(b, at, bytes, 0, bytes.length))
  }

  private mapRecords(b: Buffer, at: number, section: Buffer, start: number, end: number): boolean {
    const { cursor, map } = this
    const { firstDirtyOffset } = this.job
    const base = batches.baseOffset(b, at)
    cursor.reset(section, start, end, batches.recordCount(b, at))
    while (cursor.next()) {
      const offset = base + cursor.offsetDelta
      if (cursor.keyLength < 0 || offset < firstDirtyOffset) continue
      if (map.isFull) return false
      map.put(section, cursor.keyStart, cursor.keyStart + cursor.keyLength, offset)
    }
    map.latestOffset = batches.lastOffset(b, at)
    return true
  }

  // ---------------------------------------------------------------------------------------------- the groups

  /** Neighbours that fit into one segment together, by bytes, by index entries, and by their offsets. */
  private groups(endOffset: number): SourceSegment[][] {
    const { segmentBytes, segmentIndexBytes, indexIntervalBytes } = this.job
    const groups: SourceSegment[][] = []
    let size = 0
    for (const segment of this.job.segments) {
      if (segment.baseOffset >= endOffset) break
      const group = groups.at(-1)
      size += segment.size
      const entries = Math.floor(size / (indexIntervalBytes + 1)) + 2
      const fits =
        group !== undefined &&
        size <= segmentBytes &&
        entries * TIME_ENTRY_BYTES <= segmentIndexBytes &&
        segment.endOffset - 1 - group[0]!.baseOffset <= MAX_RELATIVE_OFFSET
      if (fits) group.push(segment)
      else {
        groups.push([segment])
        size = segment.size
      }
    }
    return groups
  }

  private async cleanGroup(
    group: readonly SourceSegment[],
    transactions: CleanedTransactions,
  ): Promise<void> {
    const { disk } = this.env
    const base = group[0]!.baseOffset
    const file = await CleanedFile.create(disk, this.path(base), base, this.job)
    try {
      transactions.index = file.txnIndex
      const filter = new BatchFilter(this.job.nowMs, this.job.deleteRetentionMs)
      for (const segment of group) {
        const visit = (b: Buffer, at: number) => this.cleanBatch(b, at, filter, transactions, file)
        await readBatches(this.reader, segment, this.path(segment.baseOffset), visit)
        await this.flush(file)
      }
      await file.finish()
    } catch (error) {
      await file.abandon()
      throw error
    }
    await this.env.finished({
      sources: group.map(({ baseOffset }) => baseOffset),
      size: file.size,
      bytesBefore: group.reduce((sum, { size }) => sum + size, 0),
    })
  }

  private async flush(file: CleanedFile): Promise<void> {
    const bytes = await file.flush()
    this.stats.bytesWritten += bytes
    await this.env.pace(bytes)
  }

  private cleanBatch(
    b: Buffer,
    at: number,
    filter: BatchFilter,
    transactions: CleanedTransactions,
    file: CleanedFile,
  ): boolean | Promise<boolean> {
    if (batches.crc(b, at) !== batches.computeCrc(b, at)) {
      const where = `batch at offset ${batches.baseOffset(b, at)}`
      throw new ProtocolError('CORRUPT_MESSAGE', `${this.job.name}: ${where} has a wrong checksum`)
    }
    this.stats.recordsRead += batches.recordCount(b, at)
    const outcome = filter.filter(b, at, this.verdictOn(b, at, transactions), this.keeps(b, at))
    const add = ({ isUnchanged, replacement, records }: Awaited<typeof outcome>) => {
      this.stats.recordsKept += records
      if (isUnchanged) file.add(b.subarray(at, at + batches.sizeInBytes(b, at)))
      else if (replacement !== null) file.add(replacement)
      return file.isFlushDue ? this.flush(file).then(() => true) : true
    }
    return outcome instanceof Promise ? outcome.then(add) : add(outcome)
  }

  private verdictOn(b: Buffer, at: number, transactions: CleanedTransactions): BatchVerdict {
    const { nowMs, bound } = this.job
    const canDiscard = transactions.visit(b, at)
    const isControl = batches.isControl(b, at)
    const isHorizonOver = batches.hasDeleteHorizon(b, at) && batches.baseTimestamp(b, at) <= nowMs
    const isEmpty = batches.recordCount(b, at) === 0
    return {
      discards: canDiscard && (!isControl || isHorizonOver || isEmpty),
      whenEmpty:
        this.isLastOfProducer(b, at) || batches.lastOffset(b, at) + 1 === bound ? 'keep' : 'drop',
      isSpentMarker: canDiscard && isControl,
    }
  }

  /**
   * It tells the last sequence, or the epoch, of a producer that may still write. What the producer wrote above the bound
   * does not count, because that may be truncated: so an emptied batch may stay until a later one is below the bound.
   */
  private isLastOfProducer(b: Buffer, at: number): boolean {
    const producerId = batches.producerId(b, at)
    const last = this.job.lastRecords.get(producerId)
    if (last === undefined) return false
    const offset = batches.lastOffset(b, at)
    if (batches.isControl(b, at))
      return last.lastOffset < 0 && batches.producerEpoch(b, at) === last.epoch
    const lastDirty = this.lastDirty.get(producerId)
    if (lastDirty !== undefined) return offset === lastDirty
    return offset === last.lastOffset || last.lastOffset >= this.job.bound
  }

  private keeps(b: Buffer, at: number): RecordFilter {
    if (batches.isControl(b, at)) return keepAlways
    const { map } = this
    const isHorizonOver =
      batches.hasDeleteHorizon(b, at) && batches.baseTimestamp(b, at) <= this.job.nowMs
    return (buffer, cursor, offset) => {
      if (offset > map.latestOffset) return true
      const { keyStart, keyLength } = cursor
      if (keyLength < 0) return false
      if (cursor.valueLength < 0 && isHorizonOver) return false
      return offset >= map.get(buffer, keyStart, keyStart + keyLength)
    }
  }
}

function keepAlways(): boolean {
  return true
}

/**
 * One segment of a log: a `.log` file of batches and what is known about it. Room 5 of 5 on the Produce path: it puts
 * bytes where it is told and decides nothing.
 *
 *   file:   ┌ batch ┬ batch ┬ … ┬ batch ┐┌ batches staged in this turn ┐
 *           0                 writtenSize                            size
 *
 * Only the newest segment of a log is written. The others are *sealed*: their file is opened and their indexes read when
 * somebody asks for them, and dropped again by `unload`.
 *
 * Invariants: the file's name is the base offset; `writtenSize <= size`; the indexes never point past `size`.
 */
import assert from 'node:assert/strict'
import { ProtocolError } from '../protocol/errors.ts'
import {
  lastOffset,
  maxTimestamp,
  RECORD_BATCH_OVERHEAD,
  sizeInBytes,
} from '../protocol/record-batch.ts'
import { type WalkEnd, walkBatches } from './batch-walker.ts'
import { type Disk, type File, isDiskFull } from './disk.ts'
import { MAX_RELATIVE_OFFSET, OffsetIndex } from './offset-index.ts'
import { StagedRuns, type Staging } from './staging.ts'
import { TailPositions } from './tail-positions.ts'
import { readLastEntry, TimeIndex } from './time-index.ts'
import { TxnIndex } from './txn-index.ts'

/** The settings of a log that its segments read. */
export interface SegmentConfig {
  readonly segmentIndexBytes: number
  readonly indexIntervalBytes: number
}

export interface SegmentPlace {
  readonly disk: Disk
  readonly directory: string
  readonly staging: Staging
}

/** `.log`, `.index`, …: file names are the base offset in 20 digits. */
export function segmentFileName(baseOffset: number, suffix: string): string {
  return `${String(baseOffset).padStart(20, '0')}${suffix}`
}

/** The files beside a `.log` file. */
export const INDEX_SUFFIXES: readonly string[] = ['.index', '.timeindex', '.txnindex']

const UNKNOWN = Number.NEGATIVE_INFINITY

export class Segment {
  readonly baseOffset: number
  /** Path of its files, without the suffix. */
  readonly path: string
  /** Bytes of the log file, staged ones included. */
  size: number
  /** Bytes handed to the kernel. */
  writtenSize: number
  /** The offset after its last batch, staged ones included. Of a sealed segment: the next segment's base offset. */
  endOffset: number
  /** maxTimestamp of the first batch: rolling by time counts from it. -1: no batch yet, or it has none. */
  firstTimestamp = -1
  readonly createdMs: number
  /** Batches aborted here; empty for nearly all segments. */
  txnIndex = new TxnIndex()
  /** The log file has bytes that were never synced. */
  isDirty = false
  /** It is the newest of its log. */
  isActive = false
  /** For `unload`: somebody has looked at the indexes since it was last asked. */
  wasUsed = false

  offsetIndex: OffsetIndex | null = null
  timeIndex: TimeIndex | null = null
  private greatestTimestamp = UNKNOWN
  private offsetOfGreatest: number
  private bytesSinceIndexEntry = 0

  private readonly disk: Disk
  private readonly staging: Staging
  private config: SegmentConfig
  private openFile: File | null = null
  private loading: Promise<void> | null = null
  private remaking: Promise<void> | 'done' | null = null
  /** Readers at work: the file stays open and the indexes in memory as long as there are any. */
  private users = 0
  private isClosing = false
  private staged: StagedRuns
  private idleRuns: StagedRuns | null = null
  private tail: TailPositions | null = null

  constructor(
    place: SegmentPlace,
    config: SegmentConfig,
    baseOffset: number,
    size: number,
    createdMs: number,
  ) {
    this.disk = place.disk
    this.staging = place.staging
    this.config = config
    this.baseOffset = baseOffset
    this.endOffset = baseOffset
    this.offsetOfGreatest = baseOffset
    this.path = `${place.directory}/${segmentFileName(baseOffset, '')}`
    this.size = size
    this.writtenSize = size
    this.createdMs = createdMs
    this.staged = new StagedRuns(place.staging)
  }

  /** A new, empty segment with its file, ready to be appended to. */
  static create(
    place: SegmentPlace,
    config: SegmentConfig,
    baseOffset: number,
    nowMs: number,
  ): Segment {
    const segment = new Segment(place, config, baseOffset, 0, nowMs)
    segment.openFile = place.disk.createSync(`${segment.path}.log`)
    segment.startIndexes()
    segment.isActive = true
    return segment
  }

  /** Takes an open file and what its index files say: of a sealed segment whose files have another ending for now. */
  adopt(file: File, offsets: Buffer | null, times: Buffer | null): void {
    this.openFile = file
    this.offsetIndex = new OffsetIndex(this.baseOffset, this.config.segmentIndexBytes, offsets)
    this.timeIndex = new TimeIndex(this.baseOffset, this.config.segmentIndexBytes, times)
    this.greatestTimestamp = this.timeIndex.lastTimestamp
    this.offsetOfGreatest = this.timeIndex.lastOffset
  }

  get file(): File {
    assert(this.openFile !== null, 'the segment is not loaded')
    return this.openFile
  }

  get isLoaded(): boolean {
    return this.openFile !== null && this.offsetIndex !== null
  }

  /** Greatest timestamp of its batches, -1 if they have none. Only after `load` or `loadMaxTimestamp`. */
  get maxTimestamp(): number {
    return this.greatestTimestamp
  }

  /** Last offset of the batch that holds the greatest timestamp. */
  get offsetOfMaxTimestamp(): number {
    return this.offsetOfGreatest
  }

  get hasStaged(): boolean {
    return !this.staged.isEmpty
  }

  /** Its files are closed for good, or will be when the last reader has finished. */
  get isGone(): boolean {
    return this.isClosing
  }
  updateConfig(config: SegmentConfig): void {
    this.config = config
  }

  /** Forgets the indexes and begins empty ones: for a new segment, or to fill them by walking the file. */
  startIndexes(): void {
    this.offsetIndex = new OffsetIndex(this.baseOffset, this.config.segmentIndexBytes)
    this.timeIndex = new TimeIndex(this.baseOffset, this.config.segmentIndexBytes)
    this.greatestTimestamp = -1
    this.offsetOfGreatest = this.baseOffset
    this.bytesSinceIndexEntry = 0
  }

  get areIndexesFull(): boolean {
    return this.offsetIndex!.isFull || this.timeIndex!.isFull
  }

  /** Index entries hold offsets relative to the base offset in 31 bits. */
  fits(offset: number): boolean {
    return offset - this.baseOffset <= MAX_RELATIVE_OFFSET
  }

  /**
   * Takes a copy of the batch. It lies at the answered position of `stagedBuffer` until the next write, for its offset
   * and epoch to be stamped.
   */
  stage(batch: Buffer, first: number, last: number, timestamp: number): number {
    if (this.size === 0) this.firstTimestamp = timestamp
    this.tail ??= new TailPositions()
    this.tail.add(first, this.size)
    this.note(last, timestamp, this.size, batch.length)
    this.size += batch.length
    this.endOffset = last + 1
    return this.staged.add(batch)
  }

  get stagedBuffer(): Buffer {
    return this.staged.lastBlock.buffer
  }

  /** Accounts for a batch in the indexes: an entry after every `indexIntervalBytes`, as Kafka's. */
  note(last: number, timestamp: number, position: number, size: number): void {
    if (timestamp > this.greatestTimestamp) {
      this.greatestTimestamp = timestamp
      this.offsetOfGreatest = last
    }
    if (this.bytesSinceIndexEntry > this.config.indexIntervalBytes) {
      this.offsetIndex!.append(last, position)
      this.timeIndex!.maybeAppend(this.greatestTimestamp, this.offsetOfGreatest)
      this.bytesSinceIndexEntry = 0
    }
    this.bytesSinceIndexEntry += size
  }

  /**
   * Hands everything staged to the disk. A number: done, `writtenSize` says so. A promise: the caller adds the bytes to
   * `writtenSize`. A failed write leaves `writtenSize` as it was and the file cut back to it.
   */
  write(): number | Promise<number> {
    const runs = this.staged
    this.isDirty = true
    try {
      const outcome = this.file.append(runs.chunks())
      if (typeof outcome === 'number') {
        runs.clear()
        this.writtenSize += outcome
        return outcome
      }
      this.staged = this.idleRuns ?? new StagedRuns(this.staging)
      this.idleRuns = null
      return this.written(runs, outcome)
    } catch (error) {
      runs.clear()
      return this.cutBack(error)
    }
  }

  private async written(runs: StagedRuns, outcome: Promise<number>): Promise<number> {
    try {
      return await outcome
    } catch (error) {
      return await this.cutBack(error)
    } finally {
      this.isDirty = true // a sync that began meanwhile may not have met these bytes
      runs.clear()
      this.idleRuns = runs
    }
  }

  /** After a full disk the file may end inside a batch. Nobody was told of these bytes, so they may go. */
  private async cutBack(error: unknown): Promise<never> {
    try {
      if (this.file.size > this.writtenSize) await this.file.truncate(this.writtenSize)
    } catch {
      // Recovery will cut the same bytes at the next start; the first error is the one to report.
    }
    throw error
  }

  /** Gives up what is staged: the log has failed, or is being deleted. */
  dropStaged(): void {
    this.staged.clear()
  }

  /** Position of the batch that contains `offset`, if it is among the newest; -1 if that is not known here. */
  tailPosition(offset: number): number {
    if (offset === this.endOffset) return this.size
    return this.tail === null ? -1 : this.tail.find(offset)
  }

  /** A position at or before the batch that contains `offset`, at most about an index interval before. */
  positionBefore(offset: number): number {
    this.wasUsed = true
    return this.offsetIndex!.lookup(offset)
  }

  /** The segment will not be written again. */
  seal(): void {
    this.timeIndex!.maybeAppend(this.greatestTimestamp, this.offsetOfGreatest)
    this.tail = null
    this.isActive = false
  }

  get areIndexesSaved(): boolean {
    const { offsetIndex, timeIndex, txnIndex } = this
    if (!txnIndex.isSaved) return false
    return offsetIndex?.entries.isSaved !== false && timeIndex?.entries.isSaved !== false
  }

  /** Makes the index files equal to what is in memory. */
  async saveIndexes(durable: boolean): Promise<void> {
    const { offsetIndex, timeIndex } = this
    if (offsetIndex !== null && timeIndex !== null) {
      await offsetIndex.entries.save(this.disk, `${this.path}.index`, durable)
      await timeIndex.entries.save(this.disk, `${this.path}.timeindex`, durable)
    }
    await this.txnIndex.save(this.disk, `${this.path}.txnindex`)
  }

  /** Opens the file without looking at the indexes, which the caller will fill. */
  async openForRecovery(): Promise<void> {
    this.openFile ??= await this.disk.open(`${this.path}.log`)
    this.startIndexes()
  }

  /** Opens the file and reads the indexes; rebuilds them where they are missing or cannot be right. */
  load(): Promise<void> {
    if (this.isLoaded) return Promise.resolve()
    this.loading ??= this.readIndexes().finally(() => {
      this.loading = null
    })
    return this.loading
  }

  private async readIndexes(): Promise<void> {
    if (this.isClosing) throw new ProtocolError('KAFKA_STORAGE_ERROR', `${this.path}.log is closed`)
    this.openFile ??= await this.disk.open(`${this.path}.log`)
    if (this.offsetIndex !== null) return
    const { segmentIndexBytes } = this.config
    const offsetBytes = await this.disk.readFile(`${this.path}.index`)
    const timeBytes = await this.disk.readFile(`${this.path}.timeindex`)
    if (offsetBytes !== null && timeBytes !== null) {
      const offsets = new OffsetIndex(this.baseOffset, segmentIndexBytes, offsetBytes)
      const times = new TimeIndex(this.baseOffset, segmentIndexBytes, timeBytes)
      if (offsets.isSane(this.size) && times.isSane(this.lastPossibleEnd)) {
        this.offsetIndex = offsets
        this.timeIndex = times
        this.greatestTimestamp = times.lastTimestamp
        this.offsetOfGreatest = times.lastOffset
        return
      }
    }
    await this.rebuildIndexes()
    this.seal()
    try {
      await this.saveIndexes(false)
    } catch (error) {
      // On a full disk one reads all the same; they stay in memory until they can be saved.
      if (!isDiskFull(error)) throw error
    }
  }

  /** While the last segment is being opened its end is not known yet. */
  private get lastPossibleEnd(): number {
    return this.endOffset > this.baseOffset ? this.endOffset : Number.POSITIVE_INFINITY
  }

  private async rebuildIndexes(): Promise<void> {
    this.startIndexes()
    const options = { checkCrc: false, firstOffset: this.baseOffset }
    await walkBatches(this.file, 0, this.writtenSize, options, (buffer, at, position) => {
      this.noteBatch(buffer, at, position)
    })
  }

  /** Makes indexes from the batches in place of some that proved to be another file's. False: that was done before. */
  async remakeIndexes(): Promise<boolean> {
    if (this.remaking === 'done') return false
    this.remaking ??= this.remake()
    await this.remaking
    return true
  }

  private async remake(): Promise<void> {
    const directory = this.path.slice(0, this.path.lastIndexOf('/'))
    const place = { disk: this.disk, directory, staging: this.staging }
    const fresh = new Segment(place, this.config, this.baseOffset, this.size, this.createdMs)
    fresh.openFile = this.openFile
    await fresh.rebuildIndexes()
    fresh.seal()
    const { offsetIndex, timeIndex, greatestTimestamp, offsetOfGreatest } = fresh
    Object.assign(this, { offsetIndex, timeIndex, greatestTimestamp, offsetOfGreatest })
    this.remaking = 'done'
    await this.saveIndexes(false)
  }

  /** `note` for a batch that lies in a buffer. */
  noteBatch(buffer: Buffer, at: number, position: number): void {
    const timestamp = maxTimestamp(buffer, at)
    if (position === 0) this.firstTimestamp = timestamp
    this.note(lastOffset(buffer, at), timestamp, position, sizeInBytes(buffer, at))
  }

  /** Learns a sealed segment's greatest timestamp from the last entry of its time index, without loading it. */
  async loadMaxTimestamp(): Promise<void> {
    if (this.greatestTimestamp !== UNKNOWN) return
    const last = await readLastEntry(this.disk, `${this.path}.timeindex`, this.baseOffset)
    // Removed while it was looked for: it has nothing to find any more.
    if (this.isClosing) return
    // A missing index is rebuilt by `load`.
    if (last === null || !last.isSane(this.lastPossibleEnd)) return this.load()
    this.greatestTimestamp = last.lastTimestamp
    this.offsetOfGreatest = last.lastOffset
  }

  /** Runs `work` with the segment loaded, and kept so until it is done even if the segment is removed meanwhile. */
  async use<T>(work: () => T | Promise<T>): Promise<T> {
    await this.hold()
    try {
      return await work()
    } finally {
      await this.letGo()
    }
  }

  /** Loads the segment and keeps it so until `letGo`. */
  async hold(): Promise<void> {
    this.users += 1
    try {
      await this.load()
    } catch (error) {
      await this.letGo()
      throw error
    }
  }

  async letGo(): Promise<void> {
    this.users -= 1
    if (this.isClosing) await this.close()
  }

  /**
   * Closes the file of a sealed segment and forgets its indexes; they are read again when needed. Does nothing while
   * somebody reads it, or while there is something to save or to sync.
   */
  async unload(): Promise<void> {
    if (this.users > 0 || this.loading !== null || this.isDirty || this.isActive) return
    if (!this.areIndexesSaved) return
    const file = this.openFile
    this.offsetIndex = null
    this.timeIndex = null
    this.openFile = null
    await file?.close()
  }

  /** Cuts the segment, also on the medium, so that `position` is its end and `endOffset` the next offset. */
  async truncateTo(position: number, endOffset: number): Promise<void> {
    await this.load()
    this.offsetIndex!.truncateToPosition(position)
    this.timeIndex!.truncateTo(endOffset)
    this.txnIndex.truncateTo(endOffset)
    await this.file.truncate(position)
    await this.file.sync()
    this.size = position
    this.writtenSize = position
    this.endOffset = endOffset
    this.tail = null
    this.isDirty = true
    this.greatestTimestamp = this.timeIndex!.lastTimestamp
    this.offsetOfGreatest = this.timeIndex!.lastOffset
    if (position === 0) this.firstTimestamp = -1
    await this.scanTail()
    this.endOffset = endOffset
  }

  /**
   * Walks what lies behind the last index entry, for what no index says: where the segment ends, and whether a batch there
   * has a greater timestamp. Answers what the walk found; the caller decides about damage.
   */
  async scanTail(): Promise<WalkEnd> {
    const from = this.offsetIndex!.lastPosition
    this.bytesSinceIndexEntry = 0
    const options = { checkCrc: false, firstOffset: this.baseOffset }
    const end = await walkBatches(this.file, from, this.size, options, (buffer, at, position) => {
      const timestamp = maxTimestamp(buffer, at)
      if (position === 0) this.firstTimestamp = timestamp
      this.bytesSinceIndexEntry += sizeInBytes(buffer, at)
      if (timestamp <= this.greatestTimestamp) return
      this.greatestTimestamp = timestamp
      this.offsetOfGreatest = lastOffset(buffer, at)
    })
    this.endOffset = end.nextOffset
    return end
  }

  /** Learns `firstTimestamp` from the first batch. */
  async loadFirstTimestamp(): Promise<void> {
    const header = Buffer.alloc(RECORD_BATCH_OVERHEAD)
    const filled = await this.file.read(0, header)
    if (filled === header.length) this.firstTimestamp = maxTimestamp(header, 0)
  }

  /** Closes the file, or leaves that to the last reader. */
  async close(): Promise<void> {
    this.isClosing = true
    this.isDirty = false
    if (this.users > 0) return
    await this.loading
    const file = this.openFile
    this.openFile = null
    await file?.close()
  }

  /** Removes the files. Readers that hold the file open may finish. */
  async remove(): Promise<void> {
    await this.close()
    for (const suffix of ['.log', ...INDEX_SUFFIXES]) await this.disk.remove(this.path + suffix)
  }
}

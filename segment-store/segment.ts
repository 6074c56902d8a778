/**
 * One segment of a log: a `.log` file of batches and what is known about it. Room 5 of 5 on the Produce path: it puts
 * bytes where it is told and decides nothing.
 *
 *   file:   ┌ batch ┬ batch ┬ … ┬ batch ┐┌ batches staged in this turn ┐
 *           0                 writtenSize                            size
 *
 * Only the newest segment is written; the others are *sealed*. What is needed is opened and read then, and dropped by `unload`.
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
import type { CleanSegment } from './clean-segments.ts'
import { type Disk, type File, isDiskFull } from './disk.ts'
import type { IndexOwner, LoadedIndexes } from './loaded-indexes.ts'
import { MAX_RELATIVE_OFFSET } from './offset-index.ts'
import { SegmentIndexes } from './segment-indexes.ts'
import { StagedWrites } from './staged-writes.ts'
import type { Staging } from './staging.ts'
import { TailPositions } from './tail-positions.ts'
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
  /** Where segments with indexes in memory are counted; without it there is no limit. */
  readonly indexes?: LoadedIndexes | undefined
}

/** `.log`, `.index`, …: file names are the base offset in 20 digits. */
export function segmentFileName(baseOffset: number, suffix: string): string {
  return `${String(baseOffset).padStart(20, '0')}${suffix}`
}

/** The files beside a `.log` file. */
export const INDEX_SUFFIXES: readonly string[] = ['.index', '.timeindex', '.txnindex']

export class Segment implements IndexOwner {
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

  readonly indexes: SegmentIndexes
  private readonly loadedIndexes: LoadedIndexes | undefined
  private readonly disk: Disk
  private config: SegmentConfig
  private openFile: File | null = null
  private loading: Promise<void> | null = null
  private remaking: Promise<void> | 'done' | null = null
  /** Readers at work: the file stays open and the indexes in memory as long as there are any. */
  private users = 0
  private isClosing = false
  private readonly staged: StagedWrites
  private tail: TailPositions | null = null

  constructor(
    place: SegmentPlace,
    config: SegmentConfig,
    baseOffset: number,
    size: number,
    createdMs: number,
  ) {
    this.disk = place.disk
    this.loadedIndexes = place.indexes
    this.config = config
    this.baseOffset = baseOffset
    this.endOffset = baseOffset
    this.path = `${place.directory}/${segmentFileName(baseOffset, '')}`
    this.indexes = new SegmentIndexes(baseOffset, this.path)
    this.size = size
    this.writtenSize = size
    this.createdMs = createdMs
    this.staged = new StagedWrites(place.staging)
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
    this.indexes.adopt(offsets, times, this.config.segmentIndexBytes)
  }

  get file(): File {
    assert(this.openFile !== null, 'the segment is not loaded')
    return this.openFile
  }

  get isLoaded(): boolean {
    return this.openFile !== null && this.indexes.areLoaded
  }

  /** Of its batches, -1 if they have none. Only after `load` or `loadMaxTimestamp`. */
  get maxTimestamp(): number {
    return this.indexes.greatestTimestamp
  }

  /** Last offset of the batch that holds the greatest timestamp. */
  get offsetOfMaxTimestamp(): number {
    return this.indexes.offsetOfGreatest
  }

  get hasStaged(): boolean {
    return !this.staged.isEmpty
  }

  /** Its files are closed for good, or will be once the last reader has finished. */
  get isGone(): boolean {
    return this.isClosing
  }

  updateConfig(config: SegmentConfig): void {
    this.config = config
  }

  /** Forgets the indexes and begins empty ones: for a new segment, or to fill them by walking the file. */
  startIndexes(): void {
    this.indexes.begin(this.config.segmentIndexBytes)
    this.loadedIndexes?.took(this)
  }

  get areIndexesFull(): boolean {
    return this.indexes.areFull
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
    this.indexes.note(last, timestamp, this.size, batch.length, this.config.indexIntervalBytes)
    this.size += batch.length
    this.endOffset = last + 1
    return this.staged.add(batch)
  }

  get stagedBuffer(): Buffer {
    return this.staged.buffer
  }

  /**
   * Hands everything staged to the disk. A number: done, `writtenSize` says so. A promise: the caller adds the bytes to
   * `writtenSize`. A failed write leaves `writtenSize` as it was and the file cut back to it.
   */
  write(): number | Promise<number> {
    this.isDirty = true
    const outcome = this.staged.write(this.file, this.writtenSize)
    // A sync that began meanwhile may not have met the bytes of a slow write.
    if (typeof outcome !== 'number') return outcome.finally(() => void (this.isDirty = true))
    this.writtenSize += outcome
    return outcome
  }

  /** Gives up what is staged: the log has failed, or is being deleted. */
  dropStaged(): void {
    this.staged.drop()
  }

  /** Position of the batch that contains `offset`, if it is among the newest; -1 if that is not known here. */
  tailPosition(offset: number): number {
    if (offset === this.endOffset) return this.size
    return this.tail === null ? -1 : this.tail.find(offset)
  }

  /** A position at or before the batch that contains `offset`, at most about an index interval before. */
  positionBefore(offset: number): number {
    this.wasUsed = true
    return this.indexes.positionBefore(offset)
  }

  /** An offset from which one may search for a record of this time or later. Only while it is loaded. */
  offsetBefore(timestamp: number): number {
    this.wasUsed = true
    return this.indexes.times!.lookup(timestamp)
  }

  /** Offset of the first indexed batch that begins at or behind `position`; null if none is. Only while it is loaded. */
  offsetBehind(position: number): number | null {
    return this.indexes.offsets!.offsetBehind(position)
  }

  /** The segment will not be written again. */
  seal(): void {
    this.indexes.seal()
    this.tail = null
    this.isActive = false
  }

  get areIndexesSaved(): boolean {
    return this.txnIndex.isSaved && this.indexes.areSaved
  }

  /** Makes the index files equal to what is in memory; not in place where no recovery would see a torn one. */
  async saveIndexes(inPlace: boolean): Promise<void> {
    await this.indexes.save(this.disk, inPlace)
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
    const { disk, path, indexes } = this
    const file = this.openFile ?? (await disk.open(`${path}.log`))
    if (this.openFile === null) this.openFile = file
    else if (this.openFile !== file) await file.close()
    if (indexes.areLoaded) return
    const offsets = await disk.readFile(`${path}.index`)
    const times = await disk.readFile(`${path}.timeindex`)
    if (indexes.areLoaded || this.take(offsets, times)) return
    const made = await this.indexesFromBatches()
    // An append that came meanwhile has not waited.
    if (indexes.areLoaded) return
    indexes.replaceBy(made)
    this.loadedIndexes?.took(this)
    try {
      await this.saveIndexes(false)
    } catch (error) {
      // On a full disk one reads all the same; they stay in memory until they can be saved.
      if (!isDiskFull(error)) throw error
    }
  }

  private take(offsets: Buffer | null, times: Buffer | null): boolean {
    const log = { bytes: this.size, endOffset: this.lastPossibleEnd }
    if (!this.indexes.take(offsets, times, this.config.segmentIndexBytes, log)) return false
    this.loadedIndexes?.took(this)
    return true
  }

  /** `load` for an append, which does not wait. Indexes that would have to be made first are gone on without. */
  loadNow(): void {
    if (this.isLoaded) return
    const { disk, path, indexes } = this
    this.openFile ??= disk.openSync(`${path}.log`)
    if (indexes.areLoaded) return
    if (this.take(disk.readFileSync(`${path}.index`), disk.readFileSync(`${path}.timeindex`)))
      return
    indexes.goOnWithout(this.config.segmentIndexBytes)
    this.loadedIndexes?.took(this)
  }

  /** What the next start may know of it without reading it; it is closed. */
  describe(modifiedMs: number): CleanSegment {
    const { baseOffset, size, endOffset, firstTimestamp } = this
    return { baseOffset, size, modifiedMs, endOffset, firstTimestamp, ...this.indexes.describe() }
  }

  /** Goes on where a clean stop left it, if the file is as it was then. */
  resume(clean: CleanSegment): boolean {
    if (!this.isAsIn(clean)) return false
    this.endOffset = clean.endOffset
    this.firstTimestamp = clean.firstTimestamp
    this.indexes.resume(clean)
    return true
  }

  /** Whether the file was, when it was opened, as a clean stop noted it, and is as long now. */
  isAsIn({ baseOffset, size, modifiedMs }: CleanSegment): boolean {
    return baseOffset === this.baseOffset && size === this.size && modifiedMs === this.createdMs
  }

  /** While the last segment is being opened its end is not known yet. */
  private get lastPossibleEnd(): number {
    return this.endOffset > this.baseOffset ? this.endOffset : Number.POSITIVE_INFINITY
  }

  /** Indexes made by walking the file; nobody sees them before they are whole. */
  private async indexesFromBatches(): Promise<SegmentIndexes> {
    const made = new SegmentIndexes(this.baseOffset, this.path)
    made.begin(this.config.segmentIndexBytes)
    const { indexIntervalBytes } = this.config
    const options = { checkCrc: false, firstOffset: this.baseOffset }
    await walkBatches(this.file, 0, this.writtenSize, options, (buffer, at, position) => {
      const size = sizeInBytes(buffer, at)
      const timestamp = maxTimestamp(buffer, at)
      if (position === 0) this.firstTimestamp = timestamp
      made.note(lastOffset(buffer, at), timestamp, position, size, indexIntervalBytes)
    })
    made.seal()
    return made
  }

  /** Makes indexes from the batches in place of some that proved to be another file's. False: that was done before. */
  async remakeIndexes(): Promise<boolean> {
    if (this.remaking === 'done') return false
    this.remaking ??= this.remake()
    await this.remaking
    return true
  }

  private async remake(): Promise<void> {
    this.indexes.replaceBy(await this.indexesFromBatches())
    this.remaking = 'done'
    await this.saveIndexes(false)
  }

  /** Accounts in the indexes for a batch that lies in a buffer. */
  noteBatch(buffer: Buffer, at: number, position: number): void {
    const timestamp = maxTimestamp(buffer, at)
    if (position === 0) this.firstTimestamp = timestamp
    const [last, size] = [lastOffset(buffer, at), sizeInBytes(buffer, at)]
    this.indexes.note(last, timestamp, position, size, this.config.indexIntervalBytes)
  }

  /** Learns a sealed segment's greatest timestamp from the last entry of its time index, without loading it. */
  async loadMaxTimestamp(): Promise<void> {
    if (this.indexes.knowsGreatest) return
    const isKnown = await this.indexes.loadGreatest(this.disk, this.lastPossibleEnd)
    // A missing index is rebuilt by `load`; what was removed meanwhile has nothing to find any more.
    if (!isKnown && !this.isClosing) await this.load()
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

  get indexBytes(): number {
    return this.indexes.bytes
  }

  /**
   * Forgets the indexes, which are read again when needed, and closes the file of a sealed segment. Does nothing while
   * somebody reads it, or while a sealed one has something to save or to sync.
   */
  async unload(): Promise<void> {
    const isUsed = () => this.users > 0 || this.loading !== null || this.hasStaged
    if (isUsed()) return
    if (this.isActive) return await this.unloadActive(isUsed)
    if (this.isDirty || !this.areIndexesSaved) return
    const file = this.openFile
    this.forgetIndexes()
    this.openFile = null
    await file?.close()
  }

  private async unloadActive(isUsed: () => boolean): Promise<void> {
    this.indexes.seal()
    await this.saveIndexes(true)
    if (isUsed() || !this.isActive || !this.areIndexesSaved) return
    this.forgetIndexes()
    this.tail = null
  }

  private forgetIndexes(): void {
    this.indexes.forget()
    this.loadedIndexes?.gave(this)
  }

  /** Cuts the segment, also on the medium, so that `position` is its end and `endOffset` the next offset. */
  async truncateTo(position: number, endOffset: number): Promise<void> {
    await this.load()
    this.indexes.truncateTo(position, endOffset)
    this.txnIndex.truncateTo(endOffset)
    await this.file.truncate(position)
    await this.file.sync()
    this.size = position
    this.writtenSize = position
    this.endOffset = endOffset
    this.tail = null
    this.isDirty = true
    if (position === 0) this.firstTimestamp = -1
    await this.scanTail()
    this.endOffset = endOffset
  }

  /**
   * Walks what lies behind the last index entry, for what no index says: where the segment ends, and whether a batch there
   * has a greater timestamp. Answers what the walk found; the caller decides about damage.
   */
  async scanTail(): Promise<WalkEnd> {
    const { indexes } = this
    const from = indexes.offsets!.lastPosition
    indexes.bytesSinceEntry = 0
    const options = { checkCrc: false, firstOffset: this.baseOffset }
    const end = await walkBatches(this.file, from, this.size, options, (buffer, at, position) => {
      const timestamp = maxTimestamp(buffer, at)
      if (position === 0) this.firstTimestamp = timestamp
      indexes.bytesSinceEntry += sizeInBytes(buffer, at)
      if (timestamp <= indexes.greatestTimestamp) return
      indexes.greatestTimestamp = timestamp
      indexes.offsetOfGreatest = lastOffset(buffer, at)
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
    this.loadedIndexes?.gave(this)
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

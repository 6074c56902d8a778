/**
 * One partition's log: ordered segments, of which the last is written. Room 4 of 5 on the Produce path: it drops repeated
 * batches, assigns offsets, and decides when to roll, to write and to sync.
 *
 *   logStartOffset ≤ … ≤ durableOffset ≤ writtenOffset ≤ logEndOffset
 *        oldest that        synced         with the        next to be
 *        may be read                       kernel          assigned
 *
 * `append` is synchronous: the batch is copied into the staging arena, and the turn's end writes everything that was
 * staged with one call. Only then is `writtenOffset` moved and `on.written` called; readers see nothing above it, and an
 * acknowledgement is due from there on.
 *
 * A failed write or sync is final (log-writer.ts). The log then refuses appends with KAFKA_STORAGE_ERROR; what was
 * written before can still be read.
 */
import type { BufferPool } from '../protocol/buffer-pool.ts'
import * as batches from '../protocol/record-batch.ts'
import { LEADER_EPOCHS } from './checkpoint.ts'
import {
  type CleaningOptions,
  type CleaningResult,
  cleanLog,
  type Dirtiness,
  dirtinessOf,
  isWorthCleaning,
} from './cleaner.ts'
import type { LogConfig } from './config.ts'
import { DeletedFiles } from './deleted-files.ts'
import { type Disk, isDiskFull, isDiskGone } from './disk.ts'
import type { EpochEndOffset, LeaderEpochs } from './leader-epochs.ts'
import type { LogOptions, StoreLog } from './log-options.ts'
import type { LogParts } from './log-parts.ts'
import type { LogSlice, ReadRequest } from './log-reader.ts'
import * as reader from './log-reader.ts'
import { LogWriter } from './log-writer.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import type { ActiveProducer, ProducerStates } from './producer-state.ts'
import { type OpenedLog, openLog } from './recovery.ts'
import { enforceRetention } from './retention.ts'
import { mustRoll } from './rolling.ts'
import { Segment, type SegmentPlace } from './segment.ts'
import * as shortening from './shortening.ts'
import type { Staging } from './staging.ts'
import { findByTimestamp, findMaxTimestamp, type TimestampAndOffset } from './time-search.ts'

export type { EpochEndOffset } from './leader-epochs.ts'
export type { LogCallbacks, LogOptions, StoreLog } from './log-options.ts'
export type { LogSlice, ReadRequest } from './log-reader.ts'
export type { ActiveProducer } from './producer-state.ts'
export type { TimestampAndOffset } from './time-search.ts'
export type { AbortedTransaction } from './txn-index.ts'

export interface AppendInfo {
  readonly baseOffset: number
  readonly lastOffset: number
  /** The batch had been appended before: these are the offsets it got then. */
  readonly duplicate: boolean
  /** The broker's time where the topic wants it in the records, otherwise -1. */
  readonly logAppendTimeMs: number
  readonly logStartOffset: number
}

/** Sealed segments whose indexes stay in memory after a roll; the rest are read again when needed. */
const LOADED_SEALED_SEGMENTS = 2

export class Log implements reader.ReadableLog, LogParts {
  readonly directory: string
  readonly name: string
  readonly buffers: BufferPool
  readonly damage: reader.ReadDamage
  logStartOffset: number
  logEndOffset: number
  /** Set by whoever knows; checkpointed by the log directory. -1: the written offset. */
  highWatermark = -1
  /** Below it compaction has been. */
  cleanedOffset: number

  // The insides: for the files of this room that do a part of the log's work (see log-parts.ts), and for nobody else.
  readonly disk: Disk
  readonly storeLog: StoreLog | undefined
  readonly writer: LogWriter
  config: LogConfig
  readonly segmentList: Segment[]
  active: Segment
  readonly producers: ProducerStates
  readonly epochs: LeaderEpochs
  readonly snapshots: ProducerSnapshots
  readonly deletedFiles: DeletedFiles
  /** The epoch file does not say what `epochs` says. */
  areEpochsDirty: boolean
  /** From here on the leader epochs are only in memory: recovery must find them in the batches. */
  private unsavedEpochsFrom = Number.POSITIVE_INFINITY
  private readonly staging: Staging
  private readonly options: LogOptions
  private changing: Promise<unknown> = Promise.resolve()

  static async open(options: LogOptions): Promise<Log> {
    return new Log(options, await openLog(options))
  }

  private constructor(options: LogOptions, opened: OpenedLog) {
    this.options = options
    this.directory = options.directory
    this.name = options.directory.slice(options.directory.lastIndexOf('/') + 1)
    this.buffers = options.buffers
    this.damage = new reader.ReadDamage(options.log)
    this.disk = options.disk
    this.staging = options.staging
    this.storeLog = options.log
    this.deletedFiles = options.deletedFiles ?? new DeletedFiles(options.disk, () => 0)
    this.config = options.config
    this.segmentList = opened.segments
    this.active = opened.segments.at(-1)!
    this.producers = opened.producers
    this.epochs = opened.epochs
    this.snapshots = opened.snapshots
    this.logStartOffset = opened.logStartOffset
    this.logEndOffset = opened.logEndOffset
    this.cleanedOffset = Math.min(options.cleanedOffset ?? 0, opened.logEndOffset)
    this.writer = new LogWriter({
      name: this.name,
      directory: options.directory,
      disk: options.disk,
      turn: options.turn,
      on: options.on,
      log: options.log,
      segments: opened.segments,
      writtenOffset: opened.logEndOffset,
      durableOffset: opened.durableOffset,
      space: options.space,
      rollBack: () => shortening.rollBack(this),
    })
    this.areEpochsDirty = opened.areEpochsDirty
    if (this.areEpochsDirty) this.unsavedEpochsFrom = opened.durableOffset
    this.saveEpochs()
    // A stop between moving the log's start and unlinking leaves segments below it.
    this.exclusively(() => shortening.deleteSegmentsBelowStart(this)).catch(error => {
      this.writer.fail(error)
    })
  }

  get segments(): readonly Segment[] {
    return this.segmentList
  }

  get overReadBytes(): number {
    return this.config.indexIntervalBytes
  }

  get sizeBytes(): number {
    let total = 0
    for (const segment of this.segmentList) total += segment.size
    return total
  }

  /** First offset of the oldest open transaction, otherwise the end of the log. */
  get lastStableOffset(): number {
    return this.producers.firstUnstableOffset ?? this.logEndOffset
  }

  /** New settings hold from the next append on. */
  updateConfig(config: LogConfig): void {
    this.config = config
    this.active.updateConfig(config)
  }

  // ------------------------------------------------------------------------------------------------ appending

  /**
   * Appends one validated batch (validator.ts). `maxTimestamp` is the batch's; the time index records it with the
   * batch's last offset, as Kafka 4 does, so `offsetOfMaxTimestamp` is not stored. The caller's buffer is only read.
   */
  append(
    batch: Buffer,
    maxTimestamp: number,
    _offsetOfMaxTimestamp: number,
    leaderEpoch: number,
    nowMs: number,
  ): AppendInfo {
    if (!this.writer.canAppend) throw this.writer.storageError()
    if (!this.active.isLoaded) this.loadActive()
    const producerId = batches.producerId(batch, 0)
    if (producerId !== batches.NO_PRODUCER_ID) {
      const earlier = this.checkProducer(batch, producerId)
      if (earlier !== null) return earlier
    }
    const baseOffset = this.logEndOffset
    const delta = batches.lastOffsetDelta(batch, 0)
    const lastOffset = baseOffset + delta
    if (mustRoll(this, batch.length, lastOffset, maxTimestamp, nowMs)) this.roll(nowMs)
    const segment = this.active
    const at = segment.stage(batch, baseOffset, lastOffset, maxTimestamp)
    batches.restamp(segment.stagedBuffer, at, baseOffset, leaderEpoch)
    if (leaderEpoch > this.epochs.latest) this.beginEpoch(leaderEpoch, baseOffset)
    if (producerId !== batches.NO_PRODUCER_ID) {
      this.producers.append(
        producerId,
        batches.producerEpoch(batch, 0),
        batches.lastSequence(batch, 0),
        lastOffset,
        delta,
        maxTimestamp,
        batches.isTransactional(batch, 0),
      )
    }
    this.logEndOffset = lastOffset + 1
    this.writer.staged()
    const logAppendTimeMs = batches.timestampType(batch, 0) === 'LogAppendTime' ? maxTimestamp : -1
    return {
      baseOffset,
      lastOffset,
      duplicate: false,
      logAppendTimeMs,
      logStartOffset: this.logStartOffset,
    }
  }

  /** The offsets of the same batch if it was appended before; throws if it does not follow what its producer sent. */
  private checkProducer(batch: Buffer, producerId: number): AppendInfo | null {
    const known = this.producers.entry(producerId)
    if (known === undefined) return null
    const epoch = batches.producerEpoch(batch, 0)
    const firstSequence = batches.baseSequence(batch, 0)
    const slot = known.findDuplicate(epoch, firstSequence, batches.lastSequence(batch, 0))
    if (slot === -1) {
      this.producers.checkAppend(known, epoch, firstSequence, this.logEndOffset)
      return null
    }
    const isLogTime = batches.timestampType(batch, 0) === 'LogAppendTime'
    return {
      baseOffset: known.baseOffsetOf(slot),
      lastOffset: known.lastOffsetOf(slot),
      duplicate: true,
      logAppendTimeMs: isLogTime ? known.timestampOf(slot) : -1,
      logStartOffset: this.logStartOffset,
    }
  }

  private loadActive(): void {
    try {
      this.active.loadNow()
    } catch (error) {
      this.writer.fail(error)
      throw this.writer.storageError()
    }
  }

  roll(nowMs: number): void {
    if (!this.active.isLoaded) this.loadActive()
    const old = this.active
    this.writer.flush()
    if (this.failure !== null) throw this.writer.storageError()
    let next: Segment
    try {
      next = Segment.create(this.place, this.config, this.logEndOffset, nowMs)
    } catch (error) {
      if (isDiskFull(error)) throw this.writer.fullError(error)
      this.writer.fail(error)
      throw this.writer.storageError()
    }
    old.seal()
    this.writer.sealed(old)
    this.segmentList.push(next)
    this.active = next
    this.writer.isDirectoryDirty = true
    const offset = this.logEndOffset
    const snapshot = this.producers.encodeSnapshot()
    this.storeLog?.info('segment rolled', {
      log: this.name,
      from: old.baseOffset,
      to: offset,
      bytes: old.size,
    })
    this.writer.inBackground(() => this.finishRoll(offset, snapshot))
  }

  get place(): SegmentPlace {
    const { disk, directory, staging } = this
    return { disk, directory, staging, indexes: this.options.indexes }
  }

  private async finishRoll(offset: number, snapshot: Buffer): Promise<void> {
    await this.writer.allWritten()
    // Rolled back, because the disk was full.
    if (this.segmentList.every(({ baseOffset }) => baseOffset !== offset)) return
    await this.snapshots.save(offset, snapshot)
    await this.sync()
    await this.snapshots.removeStray(this.segmentList)
    await this.unloadSealed(LOADED_SEALED_SEGMENTS)
  }

  private beginEpoch(epoch: number, startOffset: number): void {
    if (!this.epochs.assign(epoch, startOffset)) return
    this.areEpochsDirty = true
    this.unsavedEpochsFrom = Math.min(this.unsavedEpochsFrom, startOffset)
    this.saveEpochs()
  }

  // ------------------------------------------------------------------------------------- writing and syncing

  get writtenOffset(): number {
    return this.writer.writtenOffset
  }

  get durableOffset(): number {
    return this.writer.durableOffset
  }

  get recoveryPoint(): number {
    return Math.min(this.writer.durableOffset, this.unsavedEpochsFrom)
  }

  /** What stopped the log; null while it works. */
  get failure(): Error | null {
    return this.writer.failure
  }

  /** Writes what is staged. Answers the written offset; a promise while the disk is slow. */
  flushNow(): number | Promise<number> {
    return this.writer.flushNow()
  }

  /** Puts everything written so far on the medium and moves `durableOffset`. */
  sync(): Promise<void> {
    return this.writer.sync()
  }

  // ------------------------------------------------------------------------------------------------- reading

  /** See `readLog`. A promise only where the bytes may not be in memory. */
  read(request: ReadRequest): LogSlice | Promise<LogSlice> {
    return reader.readLog(this, request)
  }

  /** About how many bytes a read of [offset, upTo) could answer; exact near the end of the log. */
  bytesBetween(offset: number, upTo: number): number {
    return reader.bytesBetween(this, offset, upTo)
  }

  /** The first record written at `timestamp` or later. */
  offsetForTimestamp(timestamp: number): Promise<TimestampAndOffset | null> {
    return findByTimestamp(this, timestamp)
  }

  /** The record with the greatest timestamp. */
  maxTimestamp(): Promise<TimestampAndOffset | null> {
    return findMaxTimestamp(this)
  }

  /** The leader epoch that assigned `offset`; -1 where it is not known. */
  epochAt(offset: number): number {
    return this.epochs.epochAt(offset)
  }

  endOffsetForEpoch(leaderEpoch: number): EpochEndOffset {
    return this.epochs.endOffsetFor(leaderEpoch, this.logEndOffset)
  }

  get latestEpoch(): number {
    return this.epochs.latest
  }

  activeProducers(): ActiveProducer[] {
    return this.producers.active()
  }

  /** Once a minute: forgets producers that have gone and indexes of old segments that nobody read. */
  async housekeep(nowMs: number): Promise<void> {
    this.producers.removeExpired(nowMs)
    await this.unloadSealed(0)
  }

  private async unloadSealed(keep: number): Promise<void> {
    const loaded = this.segmentList.filter(
      segment => segment !== this.active && segment.isLoaded && !segment.isDirty,
    )
    for (const segment of loaded.slice(0, Math.max(0, loaded.length - keep))) {
      if (keep === 0 && segment.wasUsed) segment.wasUsed = false
      else await segment.unload()
    }
  }

  // ---------------------------------------------------------------------------------- shortening and closing

  /**
   * One pass of compaction at the time `nowMs`, if the topic's settings ask for one; null if not. See cleaner.ts. Nobody
   * may call it again before it has resolved.
   */
  async compact(nowMs: number, options: CleaningOptions = {}): Promise<CleaningResult | null> {
    const dirtiness = await dirtinessOf(this, nowMs)
    if (dirtiness === null || !isWorthCleaning(this, dirtiness)) return null
    return await cleanLog(this, nowMs, options).catch(error => {
      // A thread of its own has a disk of its own.
      if (isDiskGone(error)) this.writer.fail(error)
      throw error
    })
  }

  /** What there is to compact; null if the policy does not ask for compaction. */
  dirtiness(nowMs: number): Promise<Dirtiness | null> {
    return dirtinessOf(this, nowMs)
  }

  /** Whether the topic's settings ask for a pass. */
  isWorthCompacting(dirtiness: Dirtiness): boolean {
    return isWorthCleaning(this, dirtiness)
  }

  async cleanedMoved(): Promise<void> {
    await this.options.on.cleanedMoved?.()
  }

  /** Runs what adds, drops or replaces sealed segments, one after the other. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    const run = this.changing.then(task)
    this.changing = run.catch(() => {})
    return run
  }

  async startMoved(): Promise<void> {
    await this.options.on.startMoved?.()
  }

  /** DeleteRecords: nothing below `offset` can be read any more; segments that lie wholly below go. */
  async advanceLogStartTo(offset: number): Promise<void> {
    await this.exclusively(() => shortening.advanceLogStart(this, offset))
  }

  /** One pass of retention at the time `nowMs`; answers how many segments went. See retention.ts. */
  enforceRetention(nowMs: number): Promise<number> {
    return this.exclusively(() => enforceRetention(this, nowMs))
  }

  /**
   * Drops everything at and above `offset`, and the whole of a batch that contains it. The caller sees to it that
   * nothing is appended meanwhile.
   */
  truncateTo(offset: number): Promise<void> {
    return this.exclusively(() => shortening.truncate(this, offset))
  }

  /** Drops everything and starts again, empty, at `offset`. */
  truncateFullyTo(offset: number): Promise<void> {
    return this.exclusively(() => shortening.truncateFully(this, offset))
  }

  /** Waits until nothing is being written any more, neither batches nor what describes them. */
  async settle(): Promise<void> {
    await this.writer.allWritten()
    await this.writer.settled()
    if (!this.writer.canAppend) throw this.writer.storageError()
  }

  saveEpochs(): void {
    if (!this.areEpochsDirty) return
    this.writer.inBackground(async () => {
      if (!this.areEpochsDirty) return
      this.areEpochsDirty = false
      try {
        await this.disk.replaceFile(`${this.directory}/${LEADER_EPOCHS}`, this.epochs.encode())
      } catch (error) {
        this.areEpochsDirty = true
        throw error
      }
      if (!this.areEpochsDirty) this.unsavedEpochsFrom = Number.POSITIVE_INFINITY
    })
  }

  /** A clean stop: everything written, synced and described, so that the next start reads no batch. */
  async close(): Promise<void> {
    if (this.writer.isClosed) return
    await this.changing
    await this.writer.allWritten()
    this.saveEpochs()
    await this.writer.settled()
    if (this.failure === null) {
      this.active.seal()
      const end = this.logEndOffset
      const isNewer = end > Math.max(0, this.snapshots.latest)
      if (isNewer) await this.snapshots.save(end, this.producers.encodeSnapshot())
      await this.snapshots.removeStray(this.segmentList)
      // Of sealed segments too: what finds no room here may be tried again with the reserve.
      for (const segment of this.segmentList) await segment.saveIndexes(true)
      await this.sync()
    }
    this.writer.isClosed = true
    for (const segment of this.segmentList) await segment.close()
  }

  /** Stops at once, for a directory that is about to be deleted: nothing more is written. */
  async abandon(): Promise<void> {
    this.writer.isClosed = true
    for (const segment of this.segmentList) segment.dropStaged()
    await this.changing
    await this.writer.allWritten()
    await this.writer.settled()
    for (const segment of this.segmentList) await segment.close()
  }
}

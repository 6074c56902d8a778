/**
 * From the staging arena to the kernel, and from there to the medium: the writing half of a log.
 *
 * What a turn staged is written with one call at its end. While the disk is slow a write is under way for longer; then
 * later batches gather behind it and go together. Syncs are shared in the same manner: while one runs, everyone who
 * asks waits for the next.
 *
 * A failed write or sync is final: `failure` is set once, staged batches are given up, nothing more is written. (After a
 * failed fsync the kernel may have dropped the pages; a second one that succeeds would be a lie.)
 *
 * A full disk is no failure: it passes. What was appended and not written is dropped, whoever waits for it is told
 * (`on.dropped`), and the log is rolled back to what was written; until that is done it takes nothing.
 *
 * Slow work that nothing waits for runs in the background, one task after the other.
 */
import { ProtocolError } from '../protocol/errors.ts'
import type { Turn } from '../protocol/io.ts'
import { type Disk, isDiskFull } from './disk.ts'
import type { LogCallbacks, SpaceWatch, StoreLog } from './log-options.ts'
import type { Segment } from './segment.ts'

export interface LogWriterOptions {
  readonly name: string
  readonly directory: string
  readonly disk: Disk
  readonly turn: Turn
  readonly on: LogCallbacks
  readonly log?: StoreLog | undefined
  /** The log's own list; the last one is written. */
  readonly segments: readonly Segment[]
  readonly writtenOffset: number
  readonly durableOffset: number
  readonly space?: SpaceWatch | undefined
  /** Makes the log end at what was written; everything staged is gone already. */
  readonly rollBack: () => Promise<void>
}

export class LogWriter {
  writtenOffset: number
  durableOffset: number
  failure: Error | null = null
  /** Why the log takes nothing at the moment: the disk was full and it is being rolled back. */
  private suspended: Error | null = null
  /** Nothing is written any more, on purpose. */
  isClosed = false
  /** A file was created whose name is not yet on the medium. */
  isDirectoryDirty = true

  private readonly options: LogWriterOptions
  private isFlushDue = false
  private readonly flushTurn = (): void => {
    this.isFlushDue = false
    this.flush()
  }
  /** Segments sealed before their last bytes were written; only while the disk is slow. */
  private readonly unwrittenSealed: Segment[] = []
  private writing: Promise<void> | null = null
  private syncing: Promise<void> | null = null
  private nextSync: Promise<void> | null = null
  private background: Promise<void> = Promise.resolve()

  constructor(options: LogWriterOptions) {
    this.options = options
    this.writtenOffset = options.writtenOffset
    this.durableOffset = options.durableOffset
  }

  get canAppend(): boolean {
    return this.failure === null && !this.isClosed && this.suspended === null
  }

  private get isWorking(): boolean {
    return this.failure === null && !this.isClosed
  }

  /** Something was staged: it is written when the turn ends. */
  staged(): void {
    if (this.isFlushDue) return
    this.isFlushDue = true
    this.options.turn.write(this.flushTurn)
  }

  /** A segment takes no more batches; those it has staged come first. */
  sealed(segment: Segment): void {
    if (segment.hasStaged) this.unwrittenSealed.push(segment)
  }

  /** Writes what is staged. Answers the written offset; a promise while the disk is slow. */
  flushNow(): number | Promise<number> {
    this.flush()
    if (this.writing === null) return this.writtenOffset
    return this.allWritten().then(() => this.writtenOffset)
  }

  flush(): void {
    if (this.writing !== null || !this.canAppend) return
    const before = this.writtenOffset
    for (let segment = this.nextToWrite(); segment !== null; segment = this.nextToWrite()) {
      const end = segment.endOffset
      const outcome = segment.write()
      if (typeof outcome !== 'number') {
        this.writing = this.finishWrite(segment, outcome, end)
        break
      }
      this.writtenOffset = end
      this.options.space?.wrote(outcome)
    }
    if (this.writtenOffset > before) this.options.on.written(this.writtenOffset)
  }

  private nextToWrite(): Segment | null {
    if (this.unwrittenSealed.length > 0) return this.unwrittenSealed.shift()!
    const active = this.options.segments[this.options.segments.length - 1]!
    return active.hasStaged ? active : null
  }

  private async finishWrite(
    segment: Segment,
    outcome: Promise<number>,
    end: number,
  ): Promise<void> {
    try {
      const count = await outcome
      // Together with writtenOffset, so that no reader takes one for the other's value.
      segment.writtenSize += count
      this.options.space?.wrote(count)
    } catch (error) {
      if (isDiskFull(error) && this.isWorking) await this.dropUnwritten(error as Error)
      else this.fail(error)
      this.writing = null
      return
    }
    this.writing = null
    this.writtenOffset = end
    this.options.on.written(end)
    this.flush()
  }

  private async dropUnwritten(error: Error): Promise<void> {
    const { name, segments, log, on, space, rollBack } = this.options
    this.suspended = error
    this.unwrittenSealed.length = 0
    for (const segment of segments) segment.dropStaged()
    space?.ranOut()
    log?.warn('disk full, batches dropped', { log: name, error: error.message })
    on.dropped?.(this.writtenOffset)
    try {
      await rollBack()
    } catch (failure) {
      this.fail(failure)
    }
    this.suspended = null
  }

  /** Resolves when nothing is staged or being written. */
  async allWritten(): Promise<void> {
    this.flush()
    while (this.writing !== null) await this.writing
  }

  /** Resolves when all background tasks so far are done. */
  settled(): Promise<void> {
    return this.background
  }

  /** Puts everything written so far on the medium and moves `durableOffset`. */
  sync(): Promise<void> {
    if (this.syncing === null) {
      this.syncing = this.syncOnce().finally(() => {
        this.syncing = null
      })
      return this.syncing
    }
    this.nextSync ??= this.syncing
      .catch(() => {})
      .then(() => {
        this.nextSync = null
        return this.sync()
      })
    return this.nextSync
  }

  private async syncOnce(): Promise<void> {
    await this.allWritten()
    if (this.failure !== null) throw this.storageError()
    const { disk, directory, segments } = this.options
    const end = this.writtenOffset
    try {
      if (this.isDirectoryDirty) {
        this.isDirectoryDirty = false
        await disk.syncDirectory(directory)
      }
      for (const segment of [...segments]) {
        if (segment.isGone) continue
        if (segment.isDirty) {
          segment.isDirty = false
          await segment.file.sync()
        }
        // Recovery trusts the indexes of what lies below the recovery point.
        if (!segment.isActive && !segment.areIndexesSaved && !segment.isGone) {
          await this.saveIndexes(segment)
        }
      }
    } catch (error) {
      if (error instanceof NoRoomError) throw this.fullError(error)
      this.fail(error)
      throw this.storageError()
    }
    this.durableOffset = Math.max(this.durableOffset, end)
  }

  private async saveIndexes(segment: Segment): Promise<void> {
    try {
      await segment.saveIndexes(true)
    } catch (error) {
      throw isDiskFull(error) ? new NoRoomError((error as Error).message) : error
    }
  }

  /** The log now ends at `offset`, and all of it is written. */
  endAt(offset: number): void {
    this.writtenOffset = offset
    this.durableOffset = Math.min(this.durableOffset, offset)
  }

  fail(error: unknown): void {
    if (!this.isWorking) return
    const { segments, on } = this.options
    this.failure = error instanceof Error ? error : new Error(String(error))
    for (const segment of segments) segment.dropStaged()
    on.failed(this.failure)
  }

  storageError(): ProtocolError {
    if (this.failure === null && this.suspended !== null) return this.fullError(this.suspended)
    const why = this.failure?.message ?? 'closed'
    return new ProtocolError('KAFKA_STORAGE_ERROR', `log ${this.options.name}: ${why}`)
  }

  /** For what could not be done for lack of room, while the log itself goes on. */
  fullError(error: unknown): ProtocolError {
    this.options.space?.ranOut()
    const why = `the disk is full (${(error as Error).message}); it goes on when there is room again`
    return new ProtocolError('KAFKA_STORAGE_ERROR', `log ${this.options.name}: ${why}`)
  }

  inBackground(task: () => Promise<void>): void {
    this.background = this.background.then(async () => {
      if (!this.isWorking) return
      try {
        await task()
      } catch (error) {
        if (isDiskFull(error)) this.leaveUndone(error as Error)
        // A sync that found no room for an index has said so to whoever asked for it.
        else if (!(error instanceof ProtocolError)) this.fail(error)
      }
    })
  }

  /** What only describes the log (snapshots, epochs) is made again later, or from the log at the next start. */
  private leaveUndone(error: Error): void {
    const { name, log, space } = this.options
    space?.ranOut()
    log?.warn('disk full, a snapshot or checkpoint was left out', {
      log: name,
      error: error.message,
    })
  }
}

/** An index did not fit on the disk: the recovery point stays, the batches are synced. */
class NoRoomError extends Error {
  override readonly name = 'NoRoomError'
}

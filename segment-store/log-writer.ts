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
 * Slow work that nothing waits for runs in the background, one task after the other.
 */
import { ProtocolError } from '../protocol/errors.ts'
import type { Turn } from '../protocol/io.ts'
import type { Disk } from './disk.ts'
import type { LogCallbacks, StoreLog } from './log-options.ts'
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
}

export class LogWriter {
  writtenOffset: number
  durableOffset: number
  failure: Error | null = null
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
    }
    if (this.writtenOffset > before) this.options.on.written(this.writtenOffset)
  }

  private nextToWrite(): Segment | null {
    const segment = this.unwrittenSealed.shift()
    if (segment !== undefined) return segment
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
    } catch (error) {
      this.writing = null
      this.fail(error)
      return
    }
    this.writing = null
    this.writtenOffset = end
    this.options.on.written(end)
    this.flush()
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
          await segment.saveIndexes(true)
        }
      }
    } catch (error) {
      this.fail(error)
      throw this.storageError()
    }
    this.durableOffset = Math.max(this.durableOffset, end)
  }

  /** The log now ends at `offset`, and all of it is written. */
  endAt(offset: number): void {
    this.writtenOffset = offset
    this.durableOffset = Math.min(this.durableOffset, offset)
  }

  fail(error: unknown): void {
    if (!this.canAppend) return
    const { name, segments, log, on } = this.options
    this.failure = error instanceof Error ? error : new Error(String(error))
    for (const segment of segments) segment.dropStaged()
    log?.warn('log failed', { log: name, error: this.failure.message })
    on.failed(this.failure)
  }

  storageError(): ProtocolError {
    const why = this.failure?.message ?? 'closed'
    return new ProtocolError('KAFKA_STORAGE_ERROR', `log ${this.options.name}: ${why}`)
  }

  inBackground(task: () => Promise<void>): void {
    this.background = this.background.then(async () => {
      if (!this.canAppend) return
      try {
        await task()
      } catch (error) {
        this.fail(error)
      }
    })
  }
}

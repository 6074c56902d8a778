/**
 * Which log is compacted next, and how fast: the dirtiest one whose settings ask for it, one at a time, at most
 * `log.cleaner.io.max.bytes.per.second`. A log that cannot be compacted (damage) is named once and left alone until the
 * next start; its records stay readable as they are.
 */
import type { Io } from '../protocol/io.ts'
import type { CleaningEngine } from '../segment-store/cleaner.ts'
import type { Log } from '../segment-store/log.ts'
import type { HashKey } from '../segment-store/offset-map.ts'
import type { BrokerConfig } from './config.ts'
import type { Logger } from './logger.ts'

export interface LogCleanerOptions {
  readonly config: BrokerConfig
  readonly io: Pick<Io, 'clock' | 'random'>
  readonly logger: Logger
  readonly logs: () => Iterable<Log>
  /** Does the work on files elsewhere; without it, it is done here, a buffer at a time. */
  readonly engine?: CleaningEngine
}

export interface CleanerFigures {
  /** Cleanable part of the dirtiest log when it was last looked for, in percent. */
  maxDirtyPercent: number
  lastRunMs: number
  uncleanablePartitions: number
  /** Of the last pass: bytes written for 100 bytes read, use of the key table in percent, and seconds. */
  recopyPercent: number
  bufferUtilizationPercent: number
  cleanTimeSeconds: number
  /** Of the pass under way: what was read and written, as a part of what there is to do; 0 between passes. */
  progress: number
  passes: number
  bytesRead: number
  bytesWritten: number
}

/** The broker stops: the pass under way is given up. */
class CleanerStoppedError extends Error {
  override readonly name = 'CleanerStoppedError'
}

export class LogCleaner {
  readonly figures: CleanerFigures = {
    maxDirtyPercent: 0,
    lastRunMs: 0,
    uncleanablePartitions: 0,
    recopyPercent: 0,
    bufferUtilizationPercent: 0,
    cleanTimeSeconds: 0,
    progress: 0,
    passes: 0,
    bytesRead: 0,
    bytesWritten: 0,
  }
  private readonly options: LogCleanerOptions
  private readonly uncleanable = new WeakSet<Log>()
  private isStopped = false
  private wake: (() => void) | null = null

  constructor(options: LogCleanerOptions) {
    this.options = options
  }

  /** Nothing is begun any more, and a pass under way ends at its next buffer. */
  stop(): void {
    this.isStopped = true
    this.wake?.()
  }

  /** Compacts one log after the other until none asks for it. */
  async run(): Promise<void> {
    const { config } = this.options
    while (!this.isStopped && config.logCleanerEnable) {
      const log = await this.dirtiest()
      if (log === null || !(await this.compact(log))) return
    }
  }

  private async dirtiest(): Promise<Log | null> {
    const { io, logs } = this.options
    const nowMs = io.clock.nowMs()
    this.figures.lastRunMs = nowMs
    let chosen: Log | null = null
    let greatest = -1
    let maxRatio = 0
    let uncleanable = 0
    for (const log of [...logs()]) {
      if (log.failure !== null) continue
      if (this.uncleanable.has(log)) {
        uncleanable += 1
        continue
      }
      const dirtiness = await log.dirtiness(nowMs)
      if (dirtiness === null) continue
      maxRatio = Math.max(maxRatio, dirtiness.ratio)
      if (!log.isWorthCompacting(dirtiness) || dirtiness.ratio <= greatest) continue
      greatest = dirtiness.ratio
      chosen = log
    }
    this.figures.maxDirtyPercent = Math.round(maxRatio * 100)
    this.figures.uncleanablePartitions = uncleanable
    return chosen
  }

  /** Answers false if nothing came of it. */
  private async compact(log: Log): Promise<boolean> {
    const { config, io, logger, engine, logs } = this.options
    const { clock } = io
    const startMs = clock.monotonicMs()
    const expectedBytes = Math.max(1, log.sizeBytes * 2)
    let bytes = 0
    const pace = (count: number): void | Promise<void> => {
      if (this.isStopped) throw new CleanerStoppedError('the broker stops')
      bytes += count
      this.figures.progress = Math.min(1, bytes / expectedBytes)
      const dueMs = startMs + (bytes / config.logCleanerIoMaxBytesPerSecond) * 1000
      const waitMs = dueMs - clock.monotonicMs()
      if (waitMs >= 1) return this.wait(waitMs)
    }
    try {
      const result = await log.compact(clock.nowMs(), {
        limits: {
          dedupeBufferBytes: config.logCleanerDedupeBufferSize,
          loadFactor: config.logCleanerIoBufferLoadFactor,
          ioBufferBytes: config.logCleanerIoBufferSize,
        },
        hashKey: this.hashKey(),
        pace,
        ...(engine === undefined ? {} : { engine }),
      })
      if (result === null) return false
      const seconds = (clock.monotonicMs() - startMs) / 1000
      this.note(result, seconds)
      logger.info('log compacted', { log: log.name, ...result, seconds })
      return true
    } catch (error) {
      if (error instanceof CleanerStoppedError || this.isStopped) return false
      // Deleted, or failed for a reason of its own, while it was read.
      if (log.failure !== null || ![...logs()].includes(log)) return false
      this.uncleanable.add(log)
      this.figures.uncleanablePartitions += 1
      logger.error('log cannot be compacted, left alone until the next start', {
        log: log.name,
        error,
      })
      return true
    } finally {
      this.figures.progress = 0
    }
  }

  private note(
    result: { bytesRead: number; bytesWritten: number; mapUtilization: number },
    seconds: number,
  ): void {
    const { figures } = this
    figures.passes += 1
    figures.bytesRead += result.bytesRead
    figures.bytesWritten += result.bytesWritten
    figures.recopyPercent = Math.round((100 * result.bytesWritten) / Math.max(1, result.bytesRead))
    figures.bufferUtilizationPercent = Math.round(100 * result.mapUtilization)
    figures.cleanTimeSeconds = seconds
  }

  private wait(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = this.options.io.clock.timer(ms, resolve)
      this.wake = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  /** A new one for each pass: nobody can prepare keys that the table takes for one another. */
  private hashKey(): HashKey {
    const word = () => Math.floor(this.options.io.random() * 2 ** 32) | 0
    return [word(), word(), word(), word()]
  }
}

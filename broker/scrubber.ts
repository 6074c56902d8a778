/**
 * The background scrubber: reads the files of all logs round after round at a bounded rate (`log.scrub.bytes.per.second`)
 * and checks them as `ottla log verify` does. What it finds it logs, once for each place, and counts; it changes
 * nothing, and what to do about it is for a person to decide.
 */
import type { Clock, Timer } from '../protocol/io.ts'
import type { Disk } from '../segment-store/disk.ts'
import { checkLog } from '../segment-store/log-check.ts'
import type { Problem } from '../segment-store/segment-check.ts'
import type { Logger } from './logger.ts'

/** After a round, even a short one. */
const REST_MS = 60_000
/** How long something half written is given to become whole. */
const SETTLE_MS = 5_000
/** Places that are remembered, so that each is logged once and not every round. */
const REMEMBERED = 10_000

export interface ScrubberOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** 0: nothing is ever read. */
  readonly bytesPerSecond: number
  /** The logs that are open. */
  readonly logs: () => Iterable<{ readonly disk: Disk; readonly directory: string }>
}

class StoppedError extends Error {
  override readonly name = 'StoppedError'
}

export class Scrubber {
  bytes = 0
  problems = 0
  rounds = 0
  private readonly options: ScrubberOptions
  private readonly seen = new Set<string>()
  private isStopped = false
  private waiting: { readonly timer: Timer; readonly reject: (error: Error) => void } | null = null

  constructor(options: ScrubberOptions) {
    this.options = options
  }

  start(): void {
    if (this.options.bytesPerSecond > 0) void this.run()
  }

  stop(): void {
    this.isStopped = true
    this.waiting?.timer.cancel()
    this.waiting?.reject(new StoppedError())
  }

  private async run(): Promise<void> {
    try {
      while (true) {
        await this.pause(REST_MS)
        for (const { disk, directory } of [...this.options.logs()])
          await this.check(disk, directory)
        this.rounds += 1
      }
    } catch (error) {
      if (!(error instanceof StoppedError)) {
        this.options.logger.error('scrubber has stopped', { error })
      }
    }
  }

  private async check(disk: Disk, directory: string): Promise<void> {
    const { bytesPerSecond, logger } = this.options
    try {
      const { problems } = await checkLog({
        disk,
        directory,
        onBytes: bytes => {
          this.bytes += bytes
          return this.pause((bytes / bytesPerSecond) * 1000)
        },
        settle: () => this.pause(SETTLE_MS),
      })
      for (const problem of problems) this.report(problem)
    } catch (error) {
      if (error instanceof StoppedError) throw error
      logger.warn('log not scrubbed', { directory, error })
    }
  }

  private report({ file, position, problem }: Problem): void {
    const place = `${file} ${position}`
    if (this.seen.has(place)) return
    if (this.seen.size >= REMEMBERED) this.seen.clear()
    this.seen.add(place)
    this.problems += 1
    this.options.logger.error('damage found', { file, position, problem })
  }

  private pause(ms: number): Promise<void> {
    if (this.isStopped) return Promise.reject(new StoppedError())
    return new Promise((resolve, reject) => {
      const timer = this.options.clock.timer(ms, () => {
        this.waiting = null
        resolve()
      })
      this.waiting = { timer, reject }
    })
  }
}

/**
 * What a broker does for its logs by the clock, besides checkpoints: retention, every `log.retention.check.interval.ms`;
 * compaction, as long as a log asks for it, and then again after `log.cleaner.backoff.ms`; the removal of dropped files
 * when their delay is over; and a look at the free space each second. The work itself is in segment-store/.
 *
 * One log is looked at after the other, so that a broker with thousands of them stays responsive.
 */
import type { Clock, Timer } from '../protocol/io.ts'
import type { Log } from '../segment-store/log.ts'
import type { LogDirectories } from '../segment-store/log-directories.ts'
import type { LogDirectory } from '../segment-store/log-directory.ts'
import type { BrokerConfig } from './config.ts'
import type { LogCleaner } from './log-cleaner.ts'
import type { Logger } from './logger.ts'

/** How often dropped files are looked for whose delay is over. */
const SWEEP_INTERVAL_MS = 1000
/** How often the free space is asked for; what is written in between is counted. */
const SPACE_INTERVAL_MS = 1000

export interface LogMaintenanceOptions {
  readonly config: BrokerConfig
  readonly clock: Clock
  readonly logger: Logger
  readonly directories: LogDirectories
  readonly cleaner: LogCleaner
  /** The logs that are open now. */
  readonly logs: () => Iterable<Log>
}

export class LogMaintenance {
  private readonly options: LogMaintenanceOptions
  private readonly timers = new Map<string, Timer>()
  private readonly running = new Set<Promise<void>>()
  private isStopped = false

  constructor(options: LogMaintenanceOptions) {
    this.options = options
  }

  start(): void {
    const { config } = this.options
    this.repeat('retention', config.logInitialTaskDelayMs, {
      run: () => this.enforceRetention(),
      intervalMs: () => config.logRetentionCheckIntervalMs,
    })
    this.repeat('compaction', config.logCleanerBackoffMs, {
      run: () => this.options.cleaner.run(),
      intervalMs: () => config.logCleanerBackoffMs,
    })
    this.repeat('removal of dropped files', SWEEP_INTERVAL_MS, {
      run: () => this.inEach(({ deletedFiles, free }) => deletedFiles.sweep(free.isTight)),
      intervalMs: () => SWEEP_INTERVAL_MS,
    })
    this.repeat('free space', SPACE_INTERVAL_MS, {
      run: () => this.inEach(({ free }) => free.check()),
      intervalMs: () => SPACE_INTERVAL_MS,
    })
  }

  /** Nothing is begun any more; resolves when what was under way is done. */
  async stop(): Promise<void> {
    this.isStopped = true
    this.options.cleaner.stop()
    for (const timer of this.timers.values()) timer.cancel()
    await Promise.all(this.running)
  }

  private repeat(
    name: string,
    delayMs: number,
    task: { run: () => Promise<void>; intervalMs: () => number },
  ): void {
    if (this.isStopped) return
    const { clock, logger } = this.options
    const timer = clock.timer(delayMs, () => {
      const run = task
        .run()
        .catch(error => logger.error('log maintenance failed', { task: name, error }))
        .finally(() => {
          this.running.delete(run)
          this.repeat(name, task.intervalMs(), task)
        })
      this.running.add(run)
    })
    this.timers.set(name, timer)
  }

  private async inEach(run: (directory: LogDirectory) => Promise<void>): Promise<void> {
    await Promise.all(this.options.directories.online.map(run))
  }

  /** One pass over all logs. What goes wrong with one of them is logged, and does not keep the others. */
  async enforceRetention(): Promise<void> {
    const { clock, logger, logs } = this.options
    for (const log of [...logs()]) {
      if (this.isStopped) return
      try {
        await log.enforceRetention(clock.nowMs())
      } catch (error) {
        logger.error('retention failed', { log: log.name, error })
      }
    }
  }
}

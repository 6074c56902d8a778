/**
 * A broker with its listeners and its metrics server: started in the right order, stopped in the reverse. `main.ts` runs
 * one as a process, `embedded.ts` inside another program.
 */
import { createRequire } from 'node:module'
import type { Io } from '../protocol/io.ts'
import type { CleaningEngine } from '../segment-store/cleaner.ts'
import type { Disk } from '../segment-store/disk.ts'
import { Broker } from './broker.ts'
import type { BrokerConfig } from './config.ts'
import type { Logger } from './logger.ts'
import { Metrics } from './metrics.ts'
import { type MetricsServer, type Readiness, startMetricsServer } from './metrics-server.ts'
import { Server } from './server.ts'

export interface RunOptions {
  readonly config: BrokerConfig
  readonly io: Io
  readonly disk: Disk
  readonly logger: Logger
  /** See `BrokerOptions`. */
  readonly cleaningEngine?: CleaningEngine
}

export class RunningBroker {
  readonly broker: Broker
  readonly server: Server
  readonly metricsAddress: string | null
  private readonly metricsServer: MetricsServer | null
  /** Resolves when the broker has stopped because it could not go on, with the reason; otherwise never. */
  readonly failed: Promise<string>
  private reason: string | null = null
  private stopping: Promise<void> | null = null

  private constructor(broker: Broker, server: Server, metricsServer: MetricsServer | null) {
    this.broker = broker
    this.server = server
    this.metricsServer = metricsServer
    this.metricsAddress = metricsServer?.address ?? null
    this.failed = new Promise(resolve => {
      broker.onFailed = reason => {
        this.reason = reason
        // What cannot be closed in order any more is recovered by the next start.
        this.stop().then(
          () => resolve(reason),
          () => resolve(reason),
        )
      }
    })
    const already = broker.whyCannotGoOn()
    if (already !== null) broker.onFailed(already)
  }

  private get readiness(): Readiness {
    if (this.reason !== null) return { isReady: false, reason: this.reason }
    if (this.stopping !== null) return { isReady: false, reason: 'stopping' }
    const paths = this.broker.directories.offline.map(({ path }) => path)
    const remark = `data directories offline: ${paths.join(', ')}`
    return paths.length === 0 ? { isReady: true } : { isReady: true, remark }
  }

  /** Resolves when clients can connect. Rejects, with nothing left open, with what is wrong. */
  static async start(options: RunOptions): Promise<RunningBroker> {
    const metrics = new Metrics()
    let running: RunningBroker | null = null
    const current = (): Readiness => running?.readiness ?? { isReady: false, reason: 'starting' }
    const metricsServer = await openMetrics(options, metrics, current)
    try {
      const broker = await Broker.start({ ...options, metrics, version: VERSION })
      try {
        const server = await Server.open(broker)
        running = new RunningBroker(broker, server, metricsServer)
        return running
      } catch (error) {
        await broker.stop()
        throw error
      }
    } catch (error) {
      await metricsServer?.close()
      throw error
    }
  }

  /** Drains connections, closes the logs and marks the directory as clean. May be called more than once. */
  stop(): Promise<void> {
    this.stopping ??= this.stopOnce()
    return this.stopping
  }

  private async stopOnce(): Promise<void> {
    await this.server.stop()
    await this.broker.stop()
    await this.metricsServer?.close()
  }
}

async function openMetrics(
  options: RunOptions,
  metrics: Metrics,
  readiness: () => Readiness,
): Promise<MetricsServer | null> {
  const address = options.config.metricsListener
  if (address === null) return null
  try {
    return await startMetricsServer({ address, metrics, readiness })
  } catch (error) {
    const at = `${address.host}:${address.port}`
    if (!address.isDefault) {
      throw new Error(`metrics.listener ${at} cannot be bound: ${String(error)}`)
    }
    const why = `${at} cannot be bound (${String(error)}); set metrics.listener, or leave it empty`
    options.logger.warn('no metrics', { why })
    return null
  }
}

/** The version of this package. */
export const VERSION: string = (
  createRequire(import.meta.url)('../../package.json') as { version: string }
).version

/**
 * The broker as a process: reads the configuration, starts, says that it is ready, and stops on SIGTERM or SIGINT.
 * Exit codes: 0 stopped as asked, 1 could not start or failed, 2 the configuration is wrong.
 */
import { systemIo } from '../protocol/system-io.ts'
import { SystemDisk } from '../segment-store/system-disk.ts'
import { sayWhatAcksMean } from './acks-log.ts'
import { cleanInThread } from './cleaner-thread.ts'
import { type BrokerConfig, ConfigError, loadConfig } from './config.ts'
import type { Logger } from './logger.ts'
import { createLogger, type LogLevel } from './pino-logger.ts'
import { RunningBroker } from './running.ts'

export interface RunBrokerOptions {
  /** A `server.properties` file. */
  readonly file?: string
  /** `key=value` each. */
  readonly overrides: readonly string[]
  readonly port?: number
  readonly dataDir?: string
  readonly logLevel?: LogLevel
}

/** Reads the layers of the configuration. Throws ConfigError with all that is wrong. */
export async function readConfig(options: RunBrokerOptions): Promise<BrokerConfig> {
  const { file, overrides, port, dataDir } = options
  const flags = {
    ...(port === undefined ? {} : { port }),
    ...(dataDir === undefined ? {} : { dataDir }),
  }
  if (file === undefined) return loadConfig({ overrides, flags })
  const bytes = await new SystemDisk().readFile(file).catch((error: Error) => error)
  if (!Buffer.isBuffer(bytes)) {
    const why = bytes === null ? 'there is no such file' : bytes.message
    throw new ConfigError([`${file} cannot be read: ${why}`])
  }
  const text = bytes.toString('utf8')
  return loadConfig({ file: { name: file, text }, overrides, flags })
}

/** Runs until a signal stops it; sets the process's exit code. */
export async function runBroker(options: RunBrokerOptions): Promise<void> {
  const logger = createLogger({ level: options.logLevel ?? 'info' })
  let running: RunningBroker
  try {
    const config = await readConfig(options)
    for (const { because, names } of config.ignored) {
      logger.info('settings ignored', { names, because })
    }
    running = await RunningBroker.start({
      config,
      io: systemIo(),
      disk: new SystemDisk(),
      cleaningEngine: cleanInThread,
      logger,
    })
  } catch (error) {
    process.exitCode = error instanceof ConfigError ? 2 : 1
    return logger.error('broker not started', { reason: (error as Error).message })
  }
  // Whoever waits for the line may send a signal at once.
  stopOnSignal(running, logger)
  sayReady(running, logger)
  void running.failed.then(reason => {
    logger.error('broker stopped', { reason })
    process.exit(1)
  })
}

function sayReady(running: RunningBroker, logger: Logger): void {
  const { broker, server, metricsAddress } = running
  logger.info('broker ready', {
    nodeId: broker.config.nodeId,
    addresses: server.addresses.map(({ name, host, port }) => `${name}://${host}:${port}`),
    dataDirs: broker.directories.all.map(({ path }) => path),
    metrics: metricsAddress === null ? 'off' : `http://${metricsAddress}/metrics`,
    topics: broker.image.topics.size,
    // From the start of the process, module loading included.
    startMs: Math.round(process.uptime() * 1000),
  })
  sayWhatAcksMean(broker)
}

function stopOnSignal(running: RunningBroker, logger: Logger): void {
  let asked = 0
  const stop = (signal: NodeJS.Signals) => {
    asked++
    if (asked > 1) {
      logger.warn('stopped at once, not cleanly', { signal })
      process.exit(1)
    }
    logger.info('broker stopping', { signal })
    running.stop().then(
      () => {
        logger.info('broker stopped')
        process.exit(0)
      },
      error => {
        logger.error('broker not stopped cleanly', { error })
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

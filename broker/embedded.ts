/**
 * `ottla/broker`: a broker inside the caller's process, the same code as the real one. For tests: ready in milliseconds,
 * on a free port, with nothing left behind.
 *
 *   const broker = await startBroker()
 *   … connect any Kafka client to broker.bootstrap …
 *   await broker.stop()           or `await using broker = …`, where the language has it
 */
import { systemIo } from '../protocol/system-io.ts'
import { MemoryDisk } from '../segment-store/memory-disk.ts'
import { SystemDisk } from '../segment-store/system-disk.ts'
import { cleanInThread } from './cleaner-thread.ts'
import { loadConfig } from './config.ts'
import { type Logger, silentLogger } from './logger.ts'
import { RunningBroker } from './running.ts'

export interface StartBrokerOptions {
  /** 0, the default, takes a free port. */
  readonly port?: number
  /** Where the data is kept; without it the disk is memory, and gone with the broker. */
  readonly dataDir?: string
  /** Settings by Kafka's names. */
  readonly config?: Readonly<Record<string, string | number | boolean>>
  /** Without one the broker is silent. */
  readonly logger?: Logger
}

export interface EmbeddedBroker {
  /** `host:port`, for any client's bootstrap servers. */
  readonly bootstrap: string
  readonly port: number
  /** Takes all records of a topic away. Offsets go on where they were, so that clients at work do not notice. */
  truncate(topic: string): Promise<void>
  /**
   * Begins anew, on the same port: no topics, no groups, no settings. Clients lose their connections and come back. Only with
   * the data in memory; a `dataDir` is not ours to empty.
   */
  reset(): Promise<void>
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Resolves when clients can connect. Rejects with what is wrong, with nothing left open. */
export async function startBroker(options: StartBrokerOptions = {}): Promise<EmbeddedBroker> {
  let running = await run(options, options.port ?? 0)
  const { port } = running.server.addresses[0]!
  let isStopped = false
  const stop = () => {
    isStopped = true
    return running.stop()
  }
  const broker = {
    bootstrap: `127.0.0.1:${port}`,
    port,
    truncate: (topic: string) => truncate(running, topic),
    async reset() {
      if (options.dataDir !== undefined) {
        throw new Error(
          'reset() is for brokers in memory: empty the dataDir yourself, and start anew',
        )
      }
      if (isStopped) throw new Error('the broker is stopped')
      await running.stop()
      if (!isStopped) running = await run(options, port)
    },
    stop,
  }
  // The symbol is newer than the oldest Node that we run on: there, nobody looks for it.
  return Object.assign(broker, { [Symbol.asyncDispose ?? 'asyncDispose']: stop }) as EmbeddedBroker
}

function run(options: StartBrokerOptions, port: number): Promise<RunningBroker> {
  const { dataDir, config = {}, logger = silentLogger } = options
  const given = { listeners: `PLAINTEXT://127.0.0.1:${port}`, 'metrics.listener': '', ...config }
  // A free port is kept over a reset.
  const listeners = given.listeners.replace(/:0$/, `:${port}`)
  const overrides = Object.entries({ ...given, listeners }).map(
    ([name, value]) => `${name}=${value}`,
  )
  return RunningBroker.start({
    config: loadConfig({ overrides, flags: { dataDir: dataDir ?? '/ottla' } }),
    io: systemIo(),
    ...(dataDir === undefined
      ? { disk: new MemoryDisk() }
      : { disk: new SystemDisk(), cleaningEngine: cleanInThread }),
    logger,
  })
}

async function truncate({ broker }: RunningBroker, topic: string): Promise<void> {
  const partitions = [...broker.replicas.all()].filter(partition => partition.topic === topic)
  if (partitions.length === 0) throw new Error(`there is no topic '${topic}'`)
  await Promise.all(
    partitions.map(({ log, highWatermark }) => log.advanceLogStartTo(highWatermark.value)),
  )
}

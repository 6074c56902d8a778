/**
 * `ottla/broker`: a broker inside the caller's process, the same code as the real one. For tests: ready in milliseconds,
 * on a free port, with nothing left behind.
 *
 *   const broker = await startBroker()
 *   … connect any Kafka client to broker.bootstrap …
 *   await broker.stop()
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
  stop(): Promise<void>
  [Symbol.asyncDispose]?(): Promise<void>
}

/** Resolves when clients can connect. Rejects with what is wrong, with nothing left open. */
export async function startBroker(options: StartBrokerOptions = {}): Promise<EmbeddedBroker> {
  const { port = 0, dataDir, config = {}, logger = silentLogger } = options
  const overrides = Object.entries({
    listeners: `PLAINTEXT://127.0.0.1:${port}`,
    'metrics.listener': '',
    ...config,
  }).map(([name, value]) => `${name}=${value}`)
  const flags = { dataDir: dataDir ?? '/ottla' }
  const running = await RunningBroker.start({
    config: loadConfig({ overrides, flags }),
    io: systemIo(),
    ...(dataDir === undefined
      ? { disk: new MemoryDisk() }
      : { disk: new SystemDisk(), cleaningEngine: cleanInThread }),
    logger,
  })
  const bound = running.server.addresses[0]!
  const stop = () => running.stop()
  const broker: EmbeddedBroker = { bootstrap: `127.0.0.1:${bound.port}`, port: bound.port, stop }
  // The symbol is newer than the oldest Node that we run on.
  if (Symbol.asyncDispose !== undefined) return { ...broker, [Symbol.asyncDispose]: stop }
  return broker
}

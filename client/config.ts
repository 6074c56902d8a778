/**
 * The client's options: one table with what each means and its default. Where Kafka's clients have the same setting, its
 * name stands in the remark.
 */
import type { Registry } from 'prom-client'
import { meterIn } from './client-metrics.ts'
import { OptionError } from './errors.ts'
import { isLogger, type Logger, silent } from './logger.ts'
import { checkNames, type Names, sentenceOf, told } from './option-names.ts'
import { Telemetry } from './telemetry.ts'

/** How this client names itself to brokers (KIP-511). The version is package.json's; a test keeps them equal. */
export const SOFTWARE_NAME = 'ottla'
export const SOFTWARE_VERSION = '0.1.0'

export const DEFAULT_PORT = 9092

export interface Address {
  readonly host: string
  readonly port: number
}

export interface ClientOptions {
  /** Addresses to learn the cluster from: `host:port`, several as a list or with commas (bootstrap.servers). */
  readonly bootstrap: string | readonly string[]
  /** How brokers name this client in logs, quotas and metrics (client.id). Default: `ottla`. */
  readonly clientId?: string | undefined
  /** One request to one broker (request.timeout.ms). Default: 30 s. */
  readonly requestTimeoutMs?: number | undefined
  /** One call with all its retries (default.api.timeout.ms). Default: 60 s. */
  readonly apiTimeoutMs?: number | undefined
  /** Opening one connection (socket.connection.setup.timeout.ms). Default: 10 s. */
  readonly connectTimeoutMs?: number | undefined
  /** How long to go on trying while not one broker has ever answered; each address is tried once at least. Default: 10 s. */
  readonly bootstrapTimeoutMs?: number | undefined
  /** Wait before the first retry; doubles with each, with 20 % of jitter (retry.backoff.ms). Default: 100 ms. */
  readonly retryBackoffMs?: number | undefined
  /** Longest wait before a retry (retry.backoff.max.ms). Default: 1 s. */
  readonly retryBackoffMaxMs?: number | undefined
  /** How often a call is tried again at most (retries). Default: as often as its time allows. */
  readonly retries?: number | undefined
  /** Age at which the picture of the cluster is asked for again (metadata.max.age.ms). Default: 5 min. */
  readonly metadataMaxAgeMs?: number | undefined
  /** Whether asking about a topic that does not exist creates it, where brokers do that (allow.auto.create.topics). Default: no. */
  readonly allowAutoTopicCreation?: boolean | undefined
  /** Largest response that is accepted; what claims to be larger is no Kafka broker. Default: 128 MiB. */
  readonly maxResponseBytes?: number | undefined
  /** A registry of prom-client, for what this client counts about itself; clients may share one. Default: nothing is counted. */
  readonly metrics?: Registry | undefined
  /** A logger such as pino's, or the console. Null: none. Default: what somebody should look at, on standard error. */
  readonly logger?: Logger | null | undefined
  /** Spans and trace headers, where the program has set up OpenTelemetry. Default: yes. */
  readonly tracing?: boolean | undefined
}

export interface ClientConfig {
  readonly bootstrap: readonly Address[]
  readonly clientId: string
  readonly requestTimeoutMs: number
  readonly apiTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly bootstrapTimeoutMs: number
  readonly retryBackoffMs: number
  readonly retryBackoffMaxMs: number
  readonly retries: number
  readonly metadataMaxAgeMs: number
  readonly allowAutoTopicCreation: boolean
  readonly maxResponseBytes: number
  readonly telemetry: Telemetry
  readonly tracing: boolean
}

/** Default and lowest value of each option that is a number. */
const NUMBERS = {
  requestTimeoutMs: [30_000, 1],
  apiTimeoutMs: [60_000, 1],
  connectTimeoutMs: [10_000, 1],
  bootstrapTimeoutMs: [10_000, 0],
  retryBackoffMs: [100, 0],
  retryBackoffMaxMs: [1_000, 0],
  retries: [0x7fffffff, 0],
  metadataMaxAgeMs: [300_000, 0],
  maxResponseBytes: [134_217_728, 1024],
} as const satisfies { readonly [Name in keyof ClientOptions]?: readonly [number, number] }

const NAMES: Names<ClientOptions> = {
  bootstrap: true,
  clientId: true,
  requestTimeoutMs: true,
  apiTimeoutMs: true,
  connectTimeoutMs: true,
  bootstrapTimeoutMs: true,
  retryBackoffMs: true,
  retryBackoffMaxMs: true,
  retries: true,
  metadataMaxAgeMs: true,
  allowAutoTopicCreation: true,
  maxResponseBytes: true,
  metrics: true,
  logger: true,
  tracing: true,
}

/** Fills in the defaults; without a logger, none. Throws one OptionError that lists everything that is wrong. */
export function resolveClientConfig(options: ClientOptions): ClientConfig {
  if (!options) throw new OptionError("options are missing: give { bootstrap: 'host:port' }.")
  const wrong: string[] = []
  checkNames(options, NAMES, wrong)
  checkTypes('boolean', ['allowAutoTopicCreation', 'tracing'], options, wrong)
  const clientId = options.clientId ?? SOFTWARE_NAME
  if (typeof clientId !== 'string') wrong.push('clientId is not text')
  else if (Buffer.byteLength(clientId) > 32_767) wrong.push('clientId is longer than 32767 bytes')
  const config: ClientConfig = {
    bootstrap: addressesOf(options.bootstrap, wrong),
    clientId,
    ...numberOptions(NUMBERS, options, wrong),
    allowAutoTopicCreation: options.allowAutoTopicCreation ?? false,
    telemetry: telemetryOf(options, clientId, wrong),
    tracing: options.tracing ?? true,
  }
  if (wrong.length > 0) throw new OptionError(sentenceOf(wrong))
  return config
}

function telemetryOf(
  { logger, metrics }: ClientOptions,
  clientId: string,
  wrong: string[],
): Telemetry {
  const isRegistry = metrics === undefined || typeof metrics?.registerMetric === 'function'
  if (!isRegistry) wrong.push('metrics is not a Registry of prom-client')
  const hasMethods = logger === undefined || logger === null || isLogger(logger)
  if (!hasMethods) wrong.push('logger lacks one of the methods debug, info and warn')
  const meter = metrics === undefined || !isRegistry ? null : meterIn(metrics, clientId)
  return new Telemetry(clientId, logger ?? silent, meter)
}

/** Default, lowest and, where there is one, highest value. */
export type Bounds = readonly [otherwise: number, low: number, high?: number]

/** The options that are numbers, with their defaults. What is wrong is added to `wrong`. */
export function numberOptions<Name extends string>(
  bounds: { readonly [N in Name]: Bounds },
  options: NoInfer<{ readonly [N in Name]?: number | undefined }>,
  wrong: string[],
): { readonly [N in Name]: number } {
  const numbers: { [name: string]: number } = {}
  for (const [name, [otherwise, low, high = Number.MAX_SAFE_INTEGER]] of Object.entries<Bounds>(
    bounds,
  )) {
    const value = options[name as Name] ?? otherwise
    numbers[name] = value
    if (Number.isSafeInteger(value) && value >= low && value <= high) continue
    const limits =
      high === Number.MAX_SAFE_INTEGER ? `of at least ${low}` : `from ${low} to ${high}`
    wrong.push(`${name} is ${told(value)}, not a whole number ${limits}`)
  }
  return numbers as { readonly [N in Name]: number }
}

const TYPE_WORDS = { boolean: 'true or false', string: 'text' } as const

/** Options of one type; in JavaScript the text 'false' would be a yes. What is wrong is added to `wrong`. */
export function checkTypes<Name extends string>(
  type: keyof typeof TYPE_WORDS,
  names: readonly Name[],
  options: { readonly [N in Name]?: unknown },
  wrong: string[],
): void {
  for (const name of names) {
    const value = options[name]
    if (value == null || typeof value === type) continue
    wrong.push(`${name} is ${told(value)}, not ${TYPE_WORDS[type]}`)
  }
}

function addressesOf(given: string | readonly string[], wrong: string[]): Address[] {
  if (typeof given !== 'string' && !Array.isArray(given)) {
    wrong.push(`bootstrap is ${told(given)}: give host:port of a broker, or several`)
    return []
  }
  const texts = (typeof given === 'string' ? given.split(',') : given)
    .map(text => String(text).trim())
    .filter(text => text !== '')
  if (texts.length === 0) wrong.push('bootstrap is empty: give host:port of a broker')
  const addresses: Address[] = []
  for (const text of texts) {
    const address = parseAddress(text)
    if (address === null) wrong.push(`bootstrap address '${text}' is not host:port`)
    else addresses.push(address)
  }
  return addresses
}

/** Reads `host`, `host:port`, `[ipv6]` or `[ipv6]:port`; the port is 9092 where none is given. Null if it is neither. */
export function parseAddress(text: string): Address | null {
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:/[\]]+))(?::(\d{1,5}))?$/.exec(text)
  if (match === null) return null
  const port = match[3] === undefined ? DEFAULT_PORT : Number(match[3])
  if (port < 1 || port > 65_535) return null
  return { host: (match[1] ?? match[2])!, port }
}

/** The address as text that `parseAddress` reads. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

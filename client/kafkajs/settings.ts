/** What producers, consumers and admins of one `Kafka` have in common: where the cluster is, how long to try, whom to tell. */
import type { Io } from '../../protocol/io.ts'
import type { Api } from '../../protocol/schema.ts'
import { Cluster, type ClusterHooks } from '../cluster.ts'
import type { Logger as ClientLogger } from '../logger.ts'
import { kafkaJsError, type Retrying } from './error-mapping.ts'
import { KafkaJSNotImplemented } from './errors.ts'
import type { Events } from './events.ts'
import type { Logger } from './logger.ts'
import type { KafkaConfig, RetryOptions } from './shapes.ts'

/** Everything that one producer, consumer or admin is made of. */
export interface Settings {
  readonly io: Io
  readonly kafka: KafkaConfig
  readonly logger: Logger
}

export interface ClusterSettings {
  readonly retry?: RetryOptions | undefined
  readonly metadataMaxAge?: number | undefined
  readonly allowAutoTopicCreation?: boolean | undefined
}

type AnyEvents = Events<Readonly<Record<string, string>>>

/** kafkajs's defaults. */
const RETRIES = 5
const INITIAL_RETRY_MS = 300
const MAX_RETRY_MS = 30_000
const MULTIPLIER = 2
const CONNECTION_TIMEOUT_MS = 1_000
const REQUEST_TIMEOUT_MS = 30_000
export const CLIENT_ID = 'kafkajs'

export interface Retries extends Retrying {
  readonly multiplier: number
  readonly maxRetryTime: number
}

/** `retry` of the producer or consumer goes before that of `Kafka`. */
export function retriesOf(kafka: KafkaConfig, own: RetryOptions | undefined): Retries {
  const { retries, initialRetryTime, multiplier, maxRetryTime } = { ...kafka.retry, ...own }
  return {
    retries: retries ?? RETRIES,
    initialRetryTime: initialRetryTime ?? INITIAL_RETRY_MS,
    multiplier: multiplier ?? MULTIPLIER,
    maxRetryTime: maxRetryTime ?? MAX_RETRY_MS,
  }
}

/** The pause before retry number `retry`, from 0 on. */
export function retryTimeMs(retries: Retries, retry: number): number {
  const { initialRetryTime, multiplier, maxRetryTime } = retries
  return Math.min(maxRetryTime, initialRetryTime * multiplier ** Math.min(retry, 50))
}

/** How long all retries of one call may take together: pauses, and a request in each. */
export function triesMs(kafka: KafkaConfig, retries: Retries): number {
  let totalMs = 0
  for (let i = 0; i <= Math.min(retries.retries, 1_000); i++) {
    totalMs += retryTimeMs(retries, i) + (kafka.requestTimeout ?? REQUEST_TIMEOUT_MS)
  }
  return Math.min(0x7fffffff, totalMs)
}

/** A cluster as kafkajs's options describe it; nothing is connected yet. Throws one of kafkajs's errors. */
export async function openCluster(
  { io, kafka, logger }: Settings,
  { retry, metadataMaxAge, allowAutoTopicCreation = true }: ClusterSettings,
  hooks: ClusterHooks,
): Promise<Cluster> {
  for (const option of ['ssl', 'sasl', 'socketFactory'] as const) {
    if (!kafka[option]) continue
    throw new KafkaJSNotImplemented(`'${option}' is not supported yet: only plain connections are`)
  }
  const { brokers } = kafka
  const retries = retriesOf(kafka, retry)
  const totalMs = triesMs(kafka, retries)
  try {
    const bootstrap = typeof brokers === 'function' ? await brokers() : (brokers ?? [])
    return new Cluster(
      io,
      {
        bootstrap,
        clientId: kafka.clientId ?? CLIENT_ID,
        requestTimeoutMs: kafka.requestTimeout ?? REQUEST_TIMEOUT_MS,
        connectTimeoutMs: kafka.connectionTimeout ?? CONNECTION_TIMEOUT_MS,
        apiTimeoutMs: totalMs,
        bootstrapTimeoutMs: totalMs,
        retryBackoffMs: retries.initialRetryTime,
        retryBackoffMaxMs: retries.maxRetryTime,
        retries: retries.retries,
        metadataMaxAgeMs: metadataMaxAge,
        allowAutoTopicCreation: Boolean(allowAutoTopicCreation),
        metrics: kafka.metrics,
        logger: ownLogger(logger),
      },
      hooks,
    )
  } catch (error) {
    throw kafkaJsError(error, retries)
  }
}

/** Lines of our client in kafkajs's logger; what kafkajs has no line for is for debugging there. */
function ownLogger(logger: Logger): ClientLogger {
  return {
    debug: (fields, message) => logger.debug(message, fields),
    info: (fields, message) => logger.debug(message, fields),
    warn: (fields, message) => logger.warn(message, fields),
  }
}

/** Opens a connection, so that `connect` of kafkajs says whether there is a cluster. */
export async function reach(cluster: Cluster): Promise<void> {
  await cluster.run('connecting', {}, async attempt => void (await cluster.metadata([], attempt)))
}

/** Tells of requests as kafkajs's events do. `fetching` hears of Fetch, which has events of its own. */
export function watchRequests(
  { io, kafka }: Settings,
  events: AnyEvents,
  fetching?: { begun(nodeId: number): void; ended(nodeId: number, durationMs: number): void },
): Required<Pick<ClusterHooks, 'watch'>> {
  const clientId = kafka.clientId ?? CLIENT_ID
  const watch = (nodeId: number, label: string) => ({
    sent(api: Api) {
      if (api.name === 'Fetch') fetching?.begun(nodeId)
    },
    answered(api: Api, version: number, correlationId: number, sentAtMs: number, size: number) {
      const duration = Math.round(io.clock.monotonicMs() - sentAtMs)
      if (api.name === 'Fetch') fetching?.ended(nodeId, duration)
      const sentAt = io.clock.nowMs() - duration
      events.emit('network.request', {
        apiKey: api.key,
        apiName: api.name,
        apiVersion: version,
        broker: label.replace(/^broker \d+ at /, ''),
        clientId,
        correlationId,
        createdAt: sentAt,
        sentAt,
        pendingDuration: 0,
        duration,
        size,
      })
    },
  })
  return { watch }
}

/**
 * What a client tells about itself: lines for its logger, and counts for its registry where it has one. In the place where
 * something happens there is one call here; without logger and registry it does nothing.
 */
import type { ClientMeter } from './client-meter.ts'
import type { Connection } from './connection.ts'
import { AnswerError, ConnectionError, isRetriable, type Place } from './errors.ts'
import type { Logger } from './logger.ts'
import type { TopicPartition } from './topic-partition.ts'

/** From this attempt on, and with each doubling, a failure is more than passing: a topic that was just made takes two. */
const PERSISTENT_TRIES = 4

export class Telemetry {
  readonly clientId: string
  /** Null: nobody wants to know. */
  readonly meter: ClientMeter | null
  private readonly logger: Logger

  constructor(clientId: string, logger: Logger, meter: ClientMeter | null) {
    this.clientId = clientId
    this.logger = logger
    this.meter = meter
  }

  info(message: string, fields: object): void {
    this.logger.info({ clientId: this.clientId, ...fields }, message)
  }

  warn(message: string, fields: object): void {
    this.logger.warn({ clientId: this.clientId, ...fields }, message)
  }

  connected(connection: Connection): void {
    this.meter?.opened(connection)
    this.info('connected', { broker: connection.label })
  }

  disconnected(connection: Connection, { message }: Error): void {
    this.meter?.closed(connection)
    this.info('disconnected', { broker: connection.label, reason: message })
  }

  /** An attempt has failed for good; whoever made it hears of it. */
  failed(error: unknown): void {
    this.meter?.failed(apiOf(error), nameOf(error))
  }

  /** Attempt number `tries` at these partitions, of which there is one at least, has failed; `doing` as in `reading`. */
  attemptFailed(
    doing: string,
    partitions: readonly TopicPartition[],
    error: Error,
    tries: number,
  ): void {
    if (!isRetriable(error)) return this.failed(error)
    const [first] = listed(partitions.slice(0, 1))
    const which = partitions.length === 1 ? first : `${partitions.length} partitions`
    this.retrying(`${doing} ${which}`, error, tries)
  }

  /** Attempt number `tries` has failed, and another one follows. `what` was tried, as a phrase: `reading 3 partitions`. */
  retrying(what: string, error: unknown, tries: number, waitMs?: number): void {
    this.meter?.failed(apiOf(error), nameOf(error))
    this.meter?.retried(apiOf(error), nameOf(error))
    const { broker, topic, partition } = placeOf(error)
    const reason = error instanceof Error ? error.message : String(error)
    const fields = {
      clientId: this.clientId,
      api: apiOf(error),
      error: nameOf(error),
      broker,
      topic,
      partition,
      tries,
      waitMs: waitMs === undefined ? undefined : Math.round(waitMs),
      reason,
    }
    const isDoubled = (tries & (tries - 1)) === 0
    if (tries >= PERSISTENT_TRIES && isDoubled) this.logger.warn(fields, `${what} keeps failing`)
    else this.logger.debug(fields, `${what} failed, trying again`)
  }
}

function placeOf(error: unknown): Place {
  return error instanceof Error && 'place' in error ? (error.place as Place) : {}
}

/** The API that failed; `connect` where it did not come to a request. */
function apiOf(error: unknown): string {
  return placeOf(error).api ?? (error instanceof ConnectionError ? 'connect' : 'none')
}

/** Kafka's name of an error, or the class of ours. */
export function nameOf(error: unknown): string {
  if (error instanceof AnswerError) return error.error
  return error instanceof Error ? error.name : 'Error'
}

/** Partitions as a log shows them: `orders-0`. */
export function listed(partitions: readonly TopicPartition[]): string[] {
  return partitions.map(({ topic, partition }) => `${topic}-${partition}`)
}

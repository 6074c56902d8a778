/**
 * What can go wrong for a client, as types. Every error says in one line what failed, where (broker, API, topic,
 * partition) and what to do; `retriable` says whether the same call may work later. The cluster's retry loop has already
 * repeated what is retriable by the time an application sees it.
 *
 *   ConnectionError  a broker cannot be reached, or went away before it answered
 *   TimeoutError     no answer in time; what was asked may have happened all the same
 *   VersionError     client and broker share no version of an API that can say what was asked
 *   AnswerError      the broker answered with one of Kafka's errors
 *   PartialError     of several things asked at once, some failed
 *   ClosedError      the client was closed while the call was under way
 *   OptionError      the options given to the client are wrong
 *   SerializerError  a value cannot be written as bytes, or bytes cannot be read as a value
 *   RecordError      a record cannot be sent as it is
 */
import { type ErrorName, errorName, errors } from '../protocol/errors.ts'

/** Where something failed, as far as it is known. */
export interface Place {
  /** `host:port`, with the node id where it is known. */
  readonly broker?: string | undefined
  readonly api?: string | undefined
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  /** What else the error is about, in words: `broker 3`, `group g`. */
  readonly subject?: string | undefined
}

export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly retriable = true
  readonly place: Place
  readonly advice: string
  /** Whether no connection came about at all, as opposed to one that was lost. */
  readonly neverOpened: boolean

  constructor(
    reason: string,
    details: { place?: Place; advice?: string; neverOpened?: boolean; cause?: unknown },
  ) {
    const { place = {}, advice = '', neverOpened = false, cause } = details
    super(sentence(reason, advice), { cause })
    this.place = place
    this.advice = advice
    this.neverOpened = neverOpened
  }
}

export class TimeoutError extends Error {
  override readonly name = 'TimeoutError'
  readonly retriable: boolean
  readonly place: Place
  readonly advice: string

  constructor(
    reason: string,
    details: { place?: Place; advice?: string; retriable?: boolean; cause?: unknown },
  ) {
    const { place = {}, advice = '', retriable = true, cause } = details
    super(sentence(reason, advice), { cause })
    this.place = place
    this.advice = advice
    this.retriable = retriable
  }
}

export class VersionError extends Error {
  override readonly name = 'VersionError'
  readonly retriable = false
  readonly place: Place
  readonly advice: string

  constructor(reason: string, place: Place, advice: string) {
    super(sentence(reason, advice))
    this.place = place
    this.advice = advice
  }
}

export class ClosedError extends Error {
  override readonly name = 'ClosedError'
  readonly retriable = false

  constructor(reason = 'the client is closed') {
    super(reason)
  }
}

export class OptionError extends Error {
  override readonly name = 'OptionError'
  readonly retriable = false
}

/** A record as it stands in the log. */
export interface RawRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
}

/** A serializer's refusal; `topic` is set by the producer or consumer that used it. */
export class SerializerError extends Error {
  override readonly name = 'SerializerError'
  readonly retriable = false
  /** Where a consumer cannot read a record: the record, with its bytes. */
  record: RawRecord | undefined

  constructor(reason: string, cause?: unknown) {
    super(reason, { cause })
  }
}

/** A record that cannot be sent as it is: too large, or to a partition that does not exist. */
export class RecordError extends Error {
  override readonly name = 'RecordError'
  readonly retriable = false
  readonly place: Place
  readonly advice: string

  constructor(reason: string, place: Place, advice: string) {
    super(sentence(reason, advice))
    this.place = place
    this.advice = advice
  }
}

/** One of Kafka's errors, as a broker answered it. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError'
  /** Kafka's name of it: compare with this. */
  readonly error: ErrorName
  readonly code: number
  readonly retriable: boolean
  readonly place: Place
  readonly topic: string | undefined
  readonly partition: number | undefined
  readonly broker: string | undefined
  /** What the broker says about it, null where it says nothing. */
  readonly detail: string | null
  readonly advice: string

  /** `code` is the number from the wire; `detail` the broker's own errorMessage. */
  constructor(code: number, place: Place, detail: string | null = null, retriable?: boolean) {
    const error = errorName(code)
    const known = MEANINGS[error]
    const advice = known?.[1] ?? ''
    super(sentence(answerText(error, code, place, detail), advice))
    this.error = error
    this.code = code
    this.retriable = retriable ?? errors[error].retriable
    this.place = place
    this.topic = place.topic
    this.partition = place.partition
    this.broker = place.broker
    this.detail = detail
    this.advice = advice
  }
}

/** Several things were asked in one call; some of them failed. */
export class PartialError<T> extends Error {
  override readonly name = 'PartialError'
  readonly retriable = false
  readonly failures: readonly AnswerError[]
  readonly succeeded: readonly T[]

  constructor(failures: readonly AnswerError[], succeeded: readonly T[]) {
    const all = failures.length + succeeded.length
    super(`${failures.length} of ${all} failed. ${failures.map(f => f.message).join(' ')}`)
    this.failures = failures
    this.succeeded = succeeded
  }
}

/** Whether the same call may succeed when it is repeated. */
export function isRetriable(error: unknown): boolean {
  return error instanceof Error && 'retriable' in error && error.retriable === true
}

/** Whether the client's picture of the cluster may be what was wrong. */
export function needsMetadata(error: unknown): boolean {
  if (error instanceof ConnectionError) return true
  if (!(error instanceof AnswerError)) return false
  return errors[error.error].refreshMetadata || error.error === 'NOT_CONTROLLER'
}

/** The innermost error that is one of ours: what a call that gave up kept running into. */
export function rootError(error: unknown): unknown {
  return error instanceof TimeoutError && error.cause !== undefined ? rootError(error.cause) : error
}

function sentence(reason: string, advice: string): string {
  return advice === '' ? `${reason}.` : `${reason}: ${advice}.`
}

function answerText(error: ErrorName, code: number, place: Place, detail: string | null): string {
  const isSaid = detail !== null && detail !== '' && !detail.startsWith(SAYS_NOTHING)
  const said = isSaid ? detail.replace(/\.\s*$/, '') : (MEANINGS[error]?.[0] ?? 'refused')
  const subject = subjectOf(place)
  const name = errors[error].code === code ? error : `error code ${code}`
  const where = [name, place.api, place.broker].filter(part => part !== undefined).join(', ')
  return `${subject === '' ? '' : `${subject}: `}${said.replace(/\s*\n\s*/g, ' ')} (${where})`
}

/** Kafka's text for every topic that does not exist; users read it as a fault of the server. */
const SAYS_NOTHING = 'This server does not host this topic'

function subjectOf(place: Place): string {
  if (place.topic === undefined) return place.subject ?? ''
  const topic = `topic '${place.topic}'`
  return place.partition === undefined ? topic : `${topic} partition ${place.partition}`
}

/** What the errors mean that a person meets most, and what to do about them. */
const MEANINGS: { readonly [Name in ErrorName]?: readonly [meaning: string, advice: string] } = {
  UNKNOWN_SERVER_ERROR: ['the broker failed unexpectedly', "look into the broker's log"],
  UNKNOWN_TOPIC_OR_PARTITION: [
    'there is no such topic or partition',
    'check the name, or create the topic first',
  ],
  UNKNOWN_TOPIC_ID: ['there is no topic with this id', 'it may have been deleted; look up its id'],
  TOPIC_ALREADY_EXISTS: [
    'a topic with this name exists already',
    'choose another name, or use the topic that exists',
  ],
  INVALID_TOPIC_EXCEPTION: [
    'not a valid topic name',
    "use 1 to 249 of the characters a-z A-Z 0-9 . _ - (and neither '.' nor '..')",
  ],
  INVALID_PARTITIONS: [
    'this number of partitions is not possible',
    'give at least 1, and for a topic that exists more than it has',
  ],
  INVALID_REPLICATION_FACTOR: [
    'this replication factor is not possible',
    'give at most as many replicas as there are brokers',
  ],
  INVALID_REPLICA_ASSIGNMENT: [
    'replicas cannot be placed like this',
    'name for each partition, from 0 on, brokers that exist, each once',
  ],
  INVALID_CONFIG: ['a setting or its value is not valid', 'correct the setting'],
  INVALID_REQUEST: ['the broker does not accept this request', 'correct what the message names'],
  POLICY_VIOLATION: ["the cluster's policy does not allow it", 'ask who runs the cluster'],
  NOT_CONTROLLER: ['this broker is not the controller', 'try again'],
  LEADER_NOT_AVAILABLE: [
    'the partition has no leader at the moment',
    'try again; if it stays so, a broker that holds it is down',
  ],
  NOT_LEADER_OR_FOLLOWER: ['this broker does not lead the partition', 'try again'],
  REPLICA_NOT_AVAILABLE: ['this broker does not have the partition', 'try again'],
  BROKER_NOT_AVAILABLE: ['the broker is not available', 'check that it runs'],
  REQUEST_TIMED_OUT: [
    'the broker did not finish in time',
    'it may still finish: look at the result before repeating',
  ],
  KAFKA_STORAGE_ERROR: ["the broker's disk failed", "look into the broker's log and at its disk"],
  TOPIC_DELETION_DISABLED: [
    'the cluster does not delete topics',
    'set delete.topic.enable=true on the brokers',
  ],
  THROTTLING_QUOTA_EXCEEDED: ['too many changes at once for the quota', 'try again later'],
  REASSIGNMENT_IN_PROGRESS: [
    'replicas of the topic are being moved',
    'try again when the move has ended',
  ],
  TOPIC_AUTHORIZATION_FAILED: ['not allowed on this topic', 'ask for an ACL that allows it'],
  CLUSTER_AUTHORIZATION_FAILED: ['not allowed on this cluster', 'ask for an ACL that allows it'],
  UNSUPPORTED_VERSION: ['the broker does not know this version', 'use a newer broker'],
  SECURITY_DISABLED: ['the cluster has no authorizer', 'configure one on the brokers first'],
}

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
 *   OptionError      what was given to the client or to one of its calls is wrong
 *   SerializerError  a value cannot be written as bytes, or bytes cannot be read as a value
 *   RecordError      a record cannot be sent as it is
 */
import { type ErrorName, errorName, errors } from '../protocol/errors.ts'
import { errorMeanings } from './error-meanings.ts'

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
    const known = errorMeanings[error]
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
  const said = isSaid ? detail.replace(/\.\s*$/, '') : (errorMeanings[error]?.[0] ?? 'refused')
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

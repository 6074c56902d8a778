/**
 * The things that one administrative call asks for: topics to create, resources to describe, … Each succeeds or fails for
 * itself, and what fails in a way that may pass is asked for again while the rest is settled.
 */
import { type ErrorName, errorName, errors } from '../protocol/errors.ts'
import type { Attempt } from './cluster.ts'
import { AnswerError, PartialError, type Place } from './errors.ts'

/** How a broker says what became of one thing. */
interface Answer {
  readonly errorCode: number
  readonly errorMessage?: string | null
}

/** Retriable in Kafka's table, but here they are the answer: nobody should wait until the deadline to hear them. */
const FINAL: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'REQUEST_TIMED_OUT',
  'ELECTION_NOT_NEEDED',
  'ELIGIBLE_LEADERS_NOT_AVAILABLE',
  'PREFERRED_LEADER_NOT_AVAILABLE',
])

/** What repeating runs into when an earlier attempt, whose answer was lost, has already done what was asked. */
const DONE_ALREADY: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'TOPIC_ALREADY_EXISTS',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'INVALID_PARTITIONS',
])

export class AdminBatch<Item, Result> {
  private readonly open: Map<string, Item>
  private readonly failures: AnswerError[] = []
  private readonly succeeded: Result[] = []
  private retry: AnswerError | null = null

  /** `keyOf` gives what identifies an item in the answers. */
  constructor(items: readonly Item[], keyOf: (item: Item) => string) {
    this.open = new Map(items.map(item => [keyOf(item), item]))
  }

  /** What has to be asked for, still. */
  get pending(): Item[] {
    return [...this.open.values()]
  }

  isPending(key: string): boolean {
    return this.open.has(key)
  }

  /** Notes what became of the item with this key. */
  settle(key: string, answer: Answer, result: Result, place: Place, attempt: Attempt): void {
    if (!this.open.has(key)) return
    const { errorCode, errorMessage = null } = answer
    if (errorCode === 0) {
      this.open.delete(key)
      this.succeeded.push(result)
      return
    }
    const name = errorName(errorCode)
    const detail =
      attempt.mayBeDone && DONE_ALREADY.has(name)
        ? `${errorMessage ?? name}; an earlier attempt, whose answer was lost, may have done it`
        : errorMessage
    const retriable = errors[name].retriable && !FINAL.has(name)
    const error = new AnswerError(errorCode, { broker: attempt.asked, ...place }, detail, retriable)
    if (retriable) {
      this.retry = error
      return
    }
    this.open.delete(key)
    this.failures.push(error)
  }

  /** Ends an attempt: throws the reason to repeat it, if something is left. */
  endAttempt(api: string): void {
    const { retry } = this
    this.retry = null
    if (retry !== null) throw retry
    for (const key of this.open.keys()) {
      const reason = 'the broker did not say what became of it'
      this.failures.push(new AnswerError(-1, { api, subject: key }, reason))
    }
    this.open.clear()
  }

  /** Everything that succeeded; throws if something did not. */
  result(): Result[] {
    const { failures, succeeded } = this
    if (failures.length === 0) return succeeded
    throw failures.length === 1 && succeeded.length === 0
      ? failures[0]
      : new PartialError(failures, succeeded)
  }
}

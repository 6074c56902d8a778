/**
 * Finding offsets of many partitions at once: each partition's leader is asked, partitions that moved are asked for
 * again, and what is known when the deadline passes is returned together with the reasons for what is not.
 */
import type { RequestInput, ResponseOf } from '../protocol/apis.ts'
import type { Attempt, CallOptions, Cluster } from './cluster.ts'
import { AnswerError, isRetriable } from './errors.ts'
import { byTopic } from './topic-partition.ts'

export interface OffsetQuery {
  readonly topic: string
  readonly partition: number
  /** A time in milliseconds since 1970 asks for the first record from then on. */
  readonly at: 'earliest' | 'latest' | number
}

export interface OffsetAnswer extends OffsetQuery {
  /** -1 where there is no such record, or it could not be found out. */
  readonly offset: number
  /** Of the record, where a time was asked for; else -1. */
  readonly timestampMs: number
  readonly leaderEpoch: number
  readonly error: Error | null
}

/** Queries that one request can hold: one leader, and no partition twice. */
interface Ask {
  readonly leaderId: number
  readonly queries: Query[]
}

interface Query extends OffsetQuery {
  readonly index: number
}

const TIMESTAMPS = { earliest: -2, latest: -1 } as const
const NO_REPLICA = -1

/**
 * The answers, in the order of the queries; `settled` hears of each that will not change any more, while others are still asked
 * for. Throws only what no retry and no other broker can help.
 */
export async function listOffsets(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  options: CallOptions,
  settled: (index: number, answer: OffsetAnswer) => void = () => {},
): Promise<OffsetAnswer[]> {
  const answers = queries.map(query => unknown(query, null))
  const pending = new Map(queries.map((query, index) => [index, { ...query, index }]))
  /** Keeps the answer; returns the error where the query should be repeated. */
  const settle = (query: Query, answer: OffsetAnswer): Error | null => {
    answers[query.index] = answer
    const { error } = answer
    const isSettled = error === null || !isRetriable(error) || isUnknownTopic(error)
    if (isSettled) {
      pending.delete(query.index)
      settled(query.index, answer)
    }
    return isSettled ? null : error
  }
  const attempt = async (attempt: Attempt): Promise<void> => {
    const failures: (Error | null)[] = []
    const asks = await findLeaders(cluster, [...pending.values()], attempt, (query, error) =>
      failures.push(settle(query, unknown(query, error))),
    )
    await Promise.all(
      asks.map(async ask => {
        const outcome = await askLeader(cluster, ask, attempt)
        for (const [query, answer] of outcome) failures.push(settle(query, answer))
      }),
    )
    const failure = failures.find(error => error !== null)
    if (failure) throw failure
  }
  try {
    await cluster.run('listOffsets', options, attempt)
  } catch (error) {
    if (!isRetriable(error) || answers.every(answer => answer.error === null)) throw error
  }
  return answers
}

async function findLeaders(
  cluster: Cluster,
  queries: readonly Query[],
  attempt: Attempt,
  failed: (query: Query, error: Error) => void,
): Promise<Ask[]> {
  const asks = new Map<string, Ask>()
  cluster.track(queries.map(({ topic }) => topic))
  for (const query of queries) {
    try {
      const { leaderId } = await cluster.leader(query.topic, query.partition, attempt)
      const key = `${leaderId} ${query.at}`
      const ask = asks.get(key) ?? { leaderId, queries: [] }
      ask.queries.push(query)
      asks.set(key, ask)
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error
      failed(query, error)
    }
  }
  return [...asks.values()]
}

async function askLeader(
  cluster: Cluster,
  { leaderId, queries }: Ask,
  attempt: Attempt,
): Promise<(readonly [Query, OffsetAnswer])[]> {
  try {
    const answer = await cluster.request(leaderId, 'ListOffsets', requestFor(queries), attempt)
    return readAnswers(answer, queries, cluster.label(leaderId))
  } catch (error) {
    if (!isRetriable(error)) throw error
    return queries.map(query => [query, unknown(query, error as Error)] as const)
  }
}

function requestFor(queries: readonly Query[]): RequestInput<'ListOffsets'> {
  const topics = [...byTopic(queries)].map(([name, those]) => ({
    name,
    partitions: those.map(({ partition, at }) => {
      return { partitionIndex: partition, timestamp: typeof at === 'number' ? at : TIMESTAMPS[at] }
    }),
  }))
  return { replicaId: NO_REPLICA, topics }
}

function readAnswers(
  { topics }: ResponseOf<'ListOffsets'>,
  queries: readonly Query[],
  broker: string,
): (readonly [Query, OffsetAnswer])[] {
  const byTopic = new Map(topics.map(({ name, partitions }) => [name, partitions]))
  return queries.map(query => {
    const { topic, partition } = query
    const found = byTopic.get(topic)?.find(p => p.partitionIndex === partition)
    const place = { api: 'ListOffsets', broker, topic, partition }
    if (found === undefined) {
      return [query, unknown(query, new AnswerError(-1, place, 'the broker left it out'))] as const
    }
    const { errorCode, offset, timestamp: timestampMs, leaderEpoch } = found
    if (errorCode !== 0) return [query, unknown(query, new AnswerError(errorCode, place))] as const
    return [query, { ...ofQuery(query), offset, timestampMs, leaderEpoch, error: null }] as const
  })
}

function ofQuery({ topic, partition, at }: OffsetQuery): OffsetQuery {
  return { topic, partition, at }
}

function unknown(query: OffsetQuery, error: Error | null): OffsetAnswer {
  return { ...ofQuery(query), offset: -1, timestampMs: -1, leaderEpoch: -1, error }
}

/** Retriable in Kafka's table, since a topic may be about to appear; who asks for its offsets wants to hear it at once. */
function isUnknownTopic(error: Error): boolean {
  return error instanceof AnswerError && error.error === 'UNKNOWN_TOPIC_OR_PARTITION'
}

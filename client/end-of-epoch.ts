/** Where the leaders' logs left an epoch (OffsetForLeaderEpoch, KIP-320), of many partitions at once. */
import type { RequestInput, ResponseOf } from '../protocol/apis.ts'
import type { Attempt, Cluster, Leader } from './cluster.ts'
import { AnswerError } from './errors.ts'

/** A partition, and the epoch of what was read last of it. */
export interface EpochQuery {
  readonly partition: {
    readonly topic: string
    readonly partition: number
    readonly fetchEpoch: number
  }
}

export interface EndOfEpoch {
  /** Who said it. */
  readonly leader: Leader
  /** Offset behind the last record of this epoch, or of the last one before it that there is; -1: the log knows none. */
  readonly end: number
}

type Topics = RequestInput<'OffsetForLeaderEpoch'>['topics']
type Partitions = Topics[number]['partitions'][number][]
type EpochAnswer = ResponseOf<'OffsetForLeaderEpoch'>['topics'][number]['partitions'][number]

interface Ask {
  readonly topics: Map<string, Partitions>
  /** Who is asked about, by place in the list of queries. */
  readonly asked: { readonly index: number; readonly leader: Leader }[]
}

const CONSUMER = -1

/** In the order of the queries; one request to each leader, and no second attempt: an error is the outcome of each that it hit. */
export async function endsOfEpochs(
  cluster: Cluster,
  queries: readonly EpochQuery[],
  attempt: Attempt,
): Promise<(EndOfEpoch | Error)[]> {
  const outcomes: (EndOfEpoch | Error)[] = []
  const asks = new Map<number, Ask>()
  cluster.track(queries.map(({ partition: { topic } }) => topic))
  for (const [index, { partition: query }] of queries.entries()) {
    const { topic, partition, fetchEpoch: leaderEpoch } = query
    try {
      const leader = await cluster.leader(topic, partition, attempt)
      const ask = asks.get(leader.leaderId) ?? { topics: new Map<string, Partitions>(), asked: [] }
      asks.set(leader.leaderId, ask)
      const partitions = ask.topics.get(topic) ?? []
      ask.topics.set(topic, partitions)
      partitions.push({ partition, currentLeaderEpoch: leader.leaderEpoch, leaderEpoch })
      ask.asked.push({ index, leader })
    } catch (error) {
      outcomes[index] = error as Error
    }
  }
  const settle = async ([leaderId, { topics, asked }]: [number, Ask]): Promise<void> => {
    try {
      const answers = await askLeader(cluster, leaderId, topics, attempt)
      const broker = cluster.label(leaderId)
      for (const { index, leader } of asked) {
        const { topic, partition } = queries[index]!.partition
        const answer = answers.get(topic)?.get(partition)
        outcomes[index] = outcomeOf(answer, leader, { broker, topic, partition })
      }
    } catch (error) {
      for (const { index } of asked) outcomes[index] = error as Error
    }
  }
  await Promise.all([...asks].map(settle))
  return outcomes
}

async function askLeader(
  cluster: Cluster,
  leaderId: number,
  asked: ReadonlyMap<string, Partitions>,
  attempt: Attempt,
): Promise<Map<string, Map<number, EpochAnswer>>> {
  const topics: Topics = [...asked].map(([topic, partitions]) => ({ topic, partitions }))
  const request = { replicaId: CONSUMER, topics }
  const answer = await cluster.request(leaderId, 'OffsetForLeaderEpoch', request, attempt)
  return new Map(
    answer.topics.map(({ topic, partitions }) => {
      return [topic, new Map(partitions.map(one => [one.partition, one]))]
    }),
  )
}

function outcomeOf(
  answer: EpochAnswer | undefined,
  leader: Leader,
  from: { broker: string; topic: string; partition: number },
): EndOfEpoch | Error {
  const place = { api: 'OffsetForLeaderEpoch', ...from }
  if (answer === undefined) return new AnswerError(-1, place, 'the broker left it out')
  const { errorCode: code, leaderEpoch, endOffset } = answer
  if (code !== 0) return new AnswerError(code, place)
  return { leader, end: leaderEpoch < 0 ? -1 : endOffset }
}

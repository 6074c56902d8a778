/**
 * An incremental fetch session with one broker (KIP-227): the broker remembers which partitions are read and from where, so a
 * request names only what has changed since the last one. Epoch 0 opens a session; a broker that keeps none answers with
 * id 0, and every request is then a whole one.
 */
import type { RequestInput } from '../protocol/apis.ts'

export interface FetchPlace {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly fetchOffset: number
  /** That the reader believes in; -1: none. */
  readonly leaderEpoch: number
}

type Topics = RequestInput<'Fetch'>['topics']
type Forgotten = NonNullable<RequestInput<'Fetch'>['forgottenTopicsData']>

export interface SessionPart {
  readonly sessionId: number
  readonly sessionEpoch: number
  readonly topics: Topics
  readonly forgottenTopicsData: Forgotten
}

const MAX_EPOCH = 0x7fffffff

export class FetchSession {
  private readonly partitionMaxBytes: number
  private id = 0
  private epoch = 0
  /** What the broker knows, by topic id and partition. */
  private readonly known = new Map<string, FetchPlace>()

  constructor(partitionMaxBytes: number) {
    this.partitionMaxBytes = partitionMaxBytes
  }

  /** What the next request says so that the broker reads exactly `wanted`. */
  next(wanted: readonly FetchPlace[]): SessionPart {
    const { id: sessionId, epoch: sessionEpoch } = this
    const isWhole = sessionEpoch === 0
    const gone = new Map(isWhole ? [] : this.known)
    const changed: FetchPlace[] = []
    for (const place of wanted) {
      const key = keyOf(place)
      gone.delete(key)
      const before = isWhole ? undefined : this.known.get(key)
      const isKnown =
        before?.fetchOffset === place.fetchOffset && before.leaderEpoch === place.leaderEpoch
      if (!isKnown) changed.push(place)
    }
    this.known.clear()
    for (const place of wanted) this.known.set(keyOf(place), place)
    return {
      sessionId,
      sessionEpoch,
      topics: this.topicsOf(changed),
      forgottenTopicsData: forgottenOf([...gone.values()]),
    }
  }

  /** The request was answered without an error of its own. */
  answered(sessionId: number): void {
    if (sessionId === 0) return this.reset()
    this.id = sessionId
    this.epoch = this.epoch === MAX_EPOCH ? 1 : this.epoch + 1
  }

  /** The session is lost: the next request opens another. */
  reset(): void {
    this.id = 0
    this.epoch = 0
    this.known.clear()
  }

  private topicsOf(places: readonly FetchPlace[]): Topics {
    const { partitionMaxBytes } = this
    const topics = new Map<
      string,
      Topics[number] & { partitions: Topics[number]['partitions'][number][] }
    >()
    for (const { topic, topicId, partition, fetchOffset, leaderEpoch } of places) {
      const entry = topics.get(topicId + topic) ?? { topic, topicId, partitions: [] }
      const currentLeaderEpoch = leaderEpoch
      entry.partitions.push({ partition, currentLeaderEpoch, fetchOffset, partitionMaxBytes })
      topics.set(topicId + topic, entry)
    }
    return [...topics.values()]
  }
}

function forgottenOf(places: readonly FetchPlace[]): Forgotten {
  const topics = new Map<string, { topic: string; topicId: string; partitions: number[] }>()
  for (const { topic, topicId, partition } of places) {
    const entry = topics.get(topicId + topic) ?? { topic, topicId, partitions: [] }
    entry.partitions.push(partition)
    topics.set(topicId + topic, entry)
  }
  return [...topics.values()]
}

function keyOf({ topic, topicId, partition }: FetchPlace): string {
  return `${topic} ${topicId} ${partition}`
}

/**
 * An incremental fetch session with one broker (KIP-227): the broker remembers which partitions are read and from where, so a
 * request names only what has changed since the last one. Epoch 0 opens a session; a broker that keeps none answers with
 * id 0, and every request is then a whole one.
 */
import type { RequestInput } from '../protocol/apis.ts'

/** Where a partition is read. */
export interface FetchPlace {
  readonly partition: number
  readonly fetchOffset: number
  /** That the reader believes in; -1: none. */
  readonly leaderEpoch: number
}

/** What is read of a topic. */
export interface FetchTopic {
  readonly topic: string
  readonly topicId: string
  readonly places: readonly FetchPlace[]
}

type Topics = RequestInput<'Fetch'>['topics']
type AskedPlace = Topics[number]['partitions'][number]
type Forgotten = NonNullable<RequestInput<'Fetch'>['forgottenTopicsData']>

export interface SessionPart {
  readonly sessionId: number
  readonly sessionEpoch: number
  readonly topics: Topics
  readonly forgottenTopicsData: Forgotten
}

interface KnownPlace {
  fetchOffset: number
  leaderEpoch: number
  /** Number of the last request that wanted it. */
  wantedBy: number
}

/** What the broker knows of a topic, by partition. */
interface KnownTopic {
  readonly topicId: string
  readonly places: Map<number, KnownPlace>
}

const MAX_EPOCH = 0x7fffffff

export class FetchSession {
  private readonly partitionMaxBytes: number
  private id = 0
  private epoch = 0
  private requests = 0
  private readonly known = new Map<string, KnownTopic>()

  constructor(partitionMaxBytes: number) {
    this.partitionMaxBytes = partitionMaxBytes
  }

  /** What the next request says so that the broker reads exactly `wanted`. */
  next(wanted: readonly FetchTopic[]): SessionPart {
    const { id: sessionId, epoch: sessionEpoch } = this
    if (sessionEpoch === 0) this.known.clear()
    this.requests++
    const topics: Topics[number][] = []
    const forgotten: Forgotten[number][] = []
    for (const { topic, topicId, places } of wanted) {
      let known = this.known.get(topic)
      // One that was deleted and made anew is another.
      if (known !== undefined && known.topicId !== topicId) {
        forgotten.push({ topic, topicId: known.topicId, partitions: [...known.places.keys()] })
        known = undefined
      }
      known ??= { topicId, places: new Map() }
      this.known.set(topic, known)
      const partitions = this.changed(known, places)
      if (partitions.length > 0) topics.push({ topic, topicId, partitions })
    }
    this.forget(forgotten)
    return { sessionId, sessionEpoch, topics, forgottenTopicsData: forgotten }
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

  /** What the broker does not know yet, which it does from now on. */
  private changed({ places: known }: KnownTopic, places: readonly FetchPlace[]): AskedPlace[] {
    const { partitionMaxBytes, requests: wantedBy } = this
    const changed: AskedPlace[] = []
    for (const { partition, fetchOffset, leaderEpoch } of places) {
      const before = known.get(partition)
      if (before?.fetchOffset === fetchOffset && before.leaderEpoch === leaderEpoch) {
        before.wantedBy = wantedBy
        continue
      }
      known.set(partition, { fetchOffset, leaderEpoch, wantedBy })
      changed.push({ partition, currentLeaderEpoch: leaderEpoch, fetchOffset, partitionMaxBytes })
    }
    return changed
  }

  /** Drops what the last request did not want, and adds it to `forgotten`. */
  private forget(forgotten: Forgotten[number][]): void {
    for (const [topic, { topicId, places }] of this.known) {
      const partitions: number[] = []
      for (const [partition, { wantedBy }] of places) {
        if (wantedBy !== this.requests) partitions.push(partition)
      }
      if (partitions.length === 0) continue
      for (const partition of partitions) places.delete(partition)
      if (places.size === 0) this.known.delete(topic)
      forgotten.push({ topic, topicId, partitions })
    }
  }
}

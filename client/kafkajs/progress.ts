/** How far a kafkajs consumer is: what the handler has resolved, and what of it is committed. */
import type { Clock } from '../../protocol/io.ts'
import { partitionKey, type TopicPartition } from '../topic-partition.ts'
import type { TopicOffsets } from './events.ts'

interface Place extends TopicPartition {
  /** Of the next message. */
  readonly next: number
}

export class Progress {
  private readonly clock: Clock
  private readonly resolved = new Map<string, Place>()
  private readonly committed = new Map<string, number>()
  private committedAtMs: number

  constructor(clock: Clock) {
    this.clock = clock
    this.committedAtMs = clock.monotonicMs()
  }

  /** The next message of this partition is the one at `next`. */
  moveTo({ topic, partition }: TopicPartition, next: number): void {
    this.resolved.set(partitionKey({ topic, partition }), { topic, partition, next })
  }

  next(partition: TopicPartition): number | undefined {
    return this.resolved.get(partitionKey(partition))?.next
  }

  forget(partition: TopicPartition): void {
    this.resolved.delete(partitionKey(partition))
  }

  /** The share has changed: everything begins at what is committed. */
  clear(): void {
    this.resolved.clear()
    this.committed.clear()
  }

  get uncommitted(): readonly Place[] {
    return [...this.resolved]
      .filter(([key, { next }]) => this.committed.get(key) !== next)
      .map(([, place]) => place)
  }

  get uncommittedOffsets(): TopicOffsets[] {
    return byTopic(this.uncommitted)
  }

  wasCommitted(places: readonly Place[]): void {
    this.committedAtMs = this.clock.monotonicMs()
    for (const place of places) this.committed.set(partitionKey(place), place.next)
  }

  /** Whether what kafkajs calls interval or threshold has been reached. */
  isDue(intervalMs: number | null, threshold: number | null): boolean {
    const ageMs = this.clock.monotonicMs() - this.committedAtMs
    if (intervalMs !== null && ageMs >= intervalMs) return true
    if (threshold === null) return false
    let count = 0
    for (const [key, { next }] of this.resolved) count += next - (this.committed.get(key) ?? 0)
    return count >= threshold
  }
}

/** Places as kafkajs groups them. */
export function byTopic(places: readonly Place[]): TopicOffsets[] {
  const topics = new Map<string, { partition: number; offset: string }[]>()
  for (const { topic, partition, next } of places) {
    const list = topics.get(topic) ?? []
    list.push({ partition, offset: String(next) })
    topics.set(topic, list)
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
}

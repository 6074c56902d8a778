/**
 * How far a group has read: its committed offsets, as they are kept in memory and in `__consumer_offsets`.
 *
 * An offset expires when nobody in the group has read its topic for `offsets.retention.minutes` (KIP-211), or at the time
 * that a client of the oldest versions gave with it.
 */
import { ZERO_UUID } from '../../protocol/buffer.ts'
import type { OffsetsRecord, OffsetsRecordInput } from '../../protocol/messages/offsets-topic.ts'
import type { Group } from './step.ts'

export interface CommittedOffset {
  readonly offset: number
  /** -1 where the client said none. */
  readonly leaderEpoch: number
  readonly metadata: string
  readonly commitTimestampMs: number
  /** -1: as the broker's retention says. */
  readonly expireTimestampMs: number
  /** The zero id where it is not known, as from records of older brokers. */
  readonly topicId: string
}

export interface OffsetToCommit extends CommittedOffset {
  readonly topic: string
  readonly partition: number
}

type OffsetRecord = Extract<OffsetsRecord, { name: 'OffsetCommit' }>

export class GroupOffsets {
  private readonly byTopic = new Map<string, Map<number, CommittedOffset>>()
  private count = 0

  get size(): number {
    return this.count
  }

  get(topic: string, partition: number): CommittedOffset | undefined {
    return this.byTopic.get(topic)?.get(partition)
  }

  topics(): Iterable<readonly [string, ReadonlyMap<number, CommittedOffset>]> {
    return this.byTopic
  }

  partitionsOf(topic: string): Iterable<number> {
    return this.byTopic.get(topic)?.keys() ?? []
  }

  set(topic: string, partition: number, committed: CommittedOffset): void {
    let partitions = this.byTopic.get(topic)
    if (partitions === undefined) {
      partitions = new Map()
      this.byTopic.set(topic, partitions)
    }
    if (!partitions.has(partition)) this.count++
    partitions.set(partition, committed)
  }

  delete(topic: string, partition: number): void {
    const partitions = this.byTopic.get(topic)
    if (partitions === undefined || !partitions.delete(partition)) return
    this.count--
    if (partitions.size === 0) this.byTopic.delete(topic)
  }

  /** Takes a record of the log into the state. */
  replay({ key, value }: OffsetRecord): void {
    if (value === null) return this.delete(key.topic, key.partition)
    this.set(key.topic, key.partition, {
      offset: value.offset,
      leaderEpoch: value.leaderEpoch,
      metadata: value.metadata,
      commitTimestampMs: value.commitTimestamp,
      expireTimestampMs: value.expireTimestamp,
      topicId: value.topicId,
    })
  }

  /** Where offsets have expired, by the rules above. */
  *expired(group: Group, retentionMs: number, nowMs: number): Iterable<[string, number]> {
    for (const [topic, partitions] of this.byTopic) {
      for (const [partition, { commitTimestampMs, expireTimestampMs }] of partitions) {
        const base = group.expiryBase(topic, commitTimestampMs)
        if (base === null) continue
        const endMs = expireTimestampMs >= 0 ? expireTimestampMs : base + retentionMs
        if (endMs <= nowMs) yield [topic, partition]
      }
    }
  }
}

/** The record of a committed offset. */
export function offsetRecord(group: string, commit: OffsetToCommit): OffsetsRecordInput {
  const { topic, partition, expireTimestampMs, topicId } = commit
  const hasExpiry = expireTimestampMs >= 0
  return {
    name: 'OffsetCommit',
    key: { group, topic, partition },
    value: {
      offset: commit.offset,
      leaderEpoch: commit.leaderEpoch,
      metadata: commit.metadata,
      commitTimestamp: commit.commitTimestampMs,
      expireTimestamp: expireTimestampMs,
      topicId,
    },
    // Only version 1 has a time of expiry, only version 4 the id of the topic.
    version: hasExpiry ? 1 : topicId === ZERO_UUID ? 3 : 4,
  }
}

/** What makes a committed offset disappear from the log. */
export function offsetTombstone(
  group: string,
  topic: string,
  partition: number,
): OffsetsRecordInput {
  return { name: 'OffsetCommit', key: { group, topic, partition }, value: null }
}

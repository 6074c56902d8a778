/**
 * Who of a classic consumer group gets which partitions; the member that the coordinator calls leader computes it for all.
 * Names and results are those of Kafka's Java clients, so that groups of both kinds of members come to the same end.
 *
 *   range       topic by topic: to each subscriber, in order, a run of partitions; the first ones get one more
 *   roundrobin  all partitions of all topics, one after the other, to the subscribers in turn
 *   sticky, cooperative-sticky: see `assignors-sticky.ts`
 *
 * Members are ordered by their instance id, those without one behind those with one, by member id.
 */
import { byText } from './assignors-order.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface GroupSubscriber {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly topics: readonly string[]
  /** What it has at the moment. */
  readonly owned: readonly TopicPartition[]
  /** The generation in which it got that; -1 where it does not say (subscriptions before version 2). */
  readonly generation: number
  /** What its assignor of this name has to say (see `Assignor.userData`). */
  readonly userData: Buffer | null
}

export interface Assignor {
  /** All members must know it by this name. */
  readonly name: string
  /** Members keep what they have while the group meets (KIP-429); so do groups all of whose assignors say so. */
  readonly isCooperative?: boolean
  /** What a member tells the leader beside its topics: from its last share and generation; -1: it has had none. */
  userData?(owned: readonly TopicPartition[], generation: number): Buffer | null
  /** `partitionCounts` has the topics that exist. Members left out get nothing. */
  assign(
    members: readonly GroupSubscriber[],
    partitionCounts: ReadonlyMap<string, number>,
  ): Map<string, TopicPartition[]>
}

export const range: Assignor = {
  name: 'range',
  assign(members, partitionCounts) {
    const shares = emptyShares(members)
    for (const [topic, partitions] of sortedTopics(members, partitionCounts)) {
      const subscribers = sorted(members.filter(member => member.topics.includes(topic)))
      const each = Math.floor(partitions / subscribers.length)
      const extra = partitions % subscribers.length
      let next = 0
      for (const [i, { memberId }] of subscribers.entries()) {
        const end = next + each + (i < extra ? 1 : 0)
        for (; next < end; next++) shares.get(memberId)!.push({ topic, partition: next })
      }
    }
    return shares
  },
}

export const roundRobin: Assignor = {
  name: 'roundrobin',
  assign(members, partitionCounts) {
    const shares = emptyShares(members)
    const order = sorted(members)
    let turn = 0
    for (const [topic, partitions] of sortedTopics(members, partitionCounts)) {
      for (let partition = 0; partition < partitions; partition++) {
        while (!order[turn % order.length]!.topics.includes(topic)) turn++
        shares.get(order[turn++ % order.length]!.memberId)!.push({ topic, partition })
      }
    }
    return shares
  },
}

function emptyShares(members: readonly GroupSubscriber[]): Map<string, TopicPartition[]> {
  return new Map(members.map(({ memberId }) => [memberId, []]))
}

/** Topics that exist and that somebody wants, by name. */
function sortedTopics(
  members: readonly GroupSubscriber[],
  partitionCounts: ReadonlyMap<string, number>,
): [string, number][] {
  const wanted = new Set(members.flatMap(({ topics }) => topics))
  return [...partitionCounts]
    .filter(([topic, count]) => wanted.has(topic) && count > 0)
    .sort(([a], [b]) => byText(a, b))
}

function sorted(members: readonly GroupSubscriber[]): GroupSubscriber[] {
  return [...members].sort(byInstanceThenId)
}

function byInstanceThenId(a: GroupSubscriber, b: GroupSubscriber): number {
  const [ours, theirs] = [a.groupInstanceId, b.groupInstanceId]
  if (ours !== null && theirs !== null) return byText(ours, theirs)
  if (ours !== null) return -1
  if (theirs !== null) return 1
  return byText(a.memberId, b.memberId)
}

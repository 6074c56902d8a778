/**
 * Who of a classic consumer group gets which partitions; the member that the coordinator calls leader computes it for all.
 * Names and results are those of Kafka's Java clients, so that groups of both kinds of members come to the same end.
 *
 *   range       topic by topic, see `assignors-range.ts`
 *   roundrobin  all partitions of all topics, one after the other, to the subscribers in turn
 *   sticky, cooperative-sticky: see `assignors-sticky.ts`
 *
 * Members are ordered by their instance id, those without one behind those with one, by member id.
 */
import { emptyShares, sorted, sortedTopics } from './assignors-range.ts'
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
  /** Where it is; empty or left out: it does not say (subscriptions before version 3). */
  readonly rackId?: string | null
}

/** By topic and partition, in which racks its replicas are. */
export type PartitionRacks = ReadonlyMap<string, readonly ReadonlySet<string>[]>

export interface Assignor {
  /** All members must know it by this name. */
  readonly name: string
  /** Members keep what they have while the group meets (KIP-429); so do groups all of whose assignors say so. */
  readonly isCooperative?: boolean
  /** What a member tells the leader beside its topics: from its last share and generation; -1: it has had none. */
  userData?(owned: readonly TopicPartition[], generation: number): Buffer | null
  /**
   * `partitionCounts` has the topics that exist; `partitionRacks` is left out where no member says in which rack it is. Members
   * left out get nothing.
   */
  assign(
    members: readonly GroupSubscriber[],
    partitionCounts: ReadonlyMap<string, number>,
    partitionRacks?: PartitionRacks,
  ): Map<string, TopicPartition[]>
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

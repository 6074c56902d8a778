/**
 * The assignor `range`: topic by topic, to each subscriber, in order, a run of partitions; the first ones get one more.
 *
 * Where members say in which rack they are, and partitions have replicas in some of these racks but not in all (KIP-881,
 * RangeAssignor), a first pass gives out only what a member can read in its own rack, and a second one the rest, as if there
 * were no racks. No member gets more than without racks. Topics of the same subscribers and size are gone through together,
 * so that what has the same number stays with the same member: a partition goes to the first member to whom it is near in
 * all of them. A member that says nothing of its rack is near to everything.
 */

import type { Assignor, GroupSubscriber } from './assignors.ts'
import { byText } from './assignors-order.ts'
import type { TopicPartition } from './topic-partition.ts'

export const range: Assignor = {
  name: 'range',
  assign(members, partitionCounts, partitionRacks = new Map()) {
    const shares = emptyShares(members)
    const topics = sortedTopics(members, partitionCounts).map(([topic, count]) => {
      const subscribers = sorted(members.filter(member => member.topics.includes(topic)))
      return new TopicRange(topic, count, subscribers, partitionRacks.get(topic) ?? [], shares)
    })
    if (topics.some(topic => topic.hasNearAndFar)) {
      for (const together of alike(topics)) giveNear(together)
    }
    for (const topic of topics) topic.give(() => true)
    for (const share of shares.values()) share.sort(byTopicThenNumber)
    return shares
  },
}

/** One topic while it is being given out. */
class TopicRange {
  readonly count: number
  readonly subscribers: readonly GroupSubscriber[]
  /** Whether for somebody some partitions are near and others are not. */
  readonly hasNearAndFar: boolean
  private readonly topic: string
  private readonly racks: readonly ReadonlySet<string>[]
  private readonly shares: ReadonlyMap<string, TopicPartition[]>
  private readonly left: Set<number>
  private readonly given = new Map<string, number>()
  private readonly each: number
  /** How many may still get one more than the others. */
  private extra: number

  constructor(
    topic: string,
    count: number,
    subscribers: readonly GroupSubscriber[],
    racks: readonly ReadonlySet<string>[],
    shares: ReadonlyMap<string, TopicPartition[]>,
  ) {
    this.topic = topic
    this.count = count
    this.subscribers = subscribers
    this.racks = racks
    this.shares = shares
    this.left = new Set(Array.from({ length: count }, (_, partition) => partition))
    this.each = Math.floor(count / subscribers.length)
    this.extra = count % subscribers.length
    const all = new Set(racks.flatMap(one => [...one]))
    const isReachable = subscribers.map(rackOf).some(rack => rack !== '' && all.has(rack))
    this.hasNearAndFar = isReachable && racks.some(one => one.size < all.size)
  }

  isNear(member: GroupSubscriber, partition: number): boolean {
    const rack = rackOf(member)
    return rack === '' || this.racks[partition]?.has(rack) === true
  }

  /** How many more the member may get. */
  roomOf({ memberId }: GroupSubscriber): number {
    const most = this.each + (this.extra > 0 ? 1 : 0)
    return Math.max(0, most - (this.given.get(memberId) ?? 0))
  }

  /** To each member, in order, what is left of what it may have. */
  give(mayHave: (member: GroupSubscriber, partition: number) => boolean): void {
    for (const member of this.subscribers) {
      const partitions: number[] = []
      const room = this.roomOf(member)
      for (const partition of this.left) {
        if (partitions.length === room) break
        if (mayHave(member, partition)) partitions.push(partition)
      }
      this.giveTo(member, partitions)
    }
  }

  giveTo({ memberId }: GroupSubscriber, partitions: readonly number[]): void {
    if (partitions.length === 0) return
    const given = (this.given.get(memberId) ?? 0) + partitions.length
    this.given.set(memberId, given)
    if (given > this.each) this.extra--
    const share = this.shares.get(memberId)!
    for (const partition of partitions) {
      this.left.delete(partition)
      share.push({ topic: this.topic, partition })
    }
  }
}

/** Topics that are gone through together. */
function alike(topics: readonly TopicRange[]): TopicRange[][] {
  const groups = new Map<string, TopicRange[]>()
  for (const topic of topics) {
    const ids = topic.subscribers.map(({ memberId }) => memberId)
    const isAnywhere = topic.subscribers.some(member => rackOf(member) !== '')
    // Where no subscriber says where it is nothing is near or far.
    if (!isAnywhere) continue
    const key = JSON.stringify([topic.count, ids])
    groups.set(key, [...(groups.get(key) ?? []), topic])
  }
  return [...groups.values()]
}

function giveNear(topics: readonly TopicRange[]): void {
  const [first] = topics
  if (topics.length === 1) {
    if (first!.hasNearAndFar) first!.give((member, partition) => first!.isNear(member, partition))
    return
  }
  const remaining = new Set(first!.subscribers)
  for (let partition = 0; partition < first!.count; partition++) {
    const member = [...remaining].find(one =>
      topics.every(topic => topic.isNear(one, partition) && topic.roomOf(one) > 0),
    )
    if (member === undefined) continue
    for (const topic of topics) topic.giveTo(member, [partition])
    if (topics.every(topic => topic.roomOf(member) === 0)) remaining.delete(member)
  }
}

function rackOf({ rackId }: GroupSubscriber): string {
  return rackId ?? ''
}

export function emptyShares(members: readonly GroupSubscriber[]): Map<string, TopicPartition[]> {
  return new Map(members.map(({ memberId }) => [memberId, []]))
}

/** Topics that exist and that somebody wants, by name. */
export function sortedTopics(
  members: readonly GroupSubscriber[],
  partitionCounts: ReadonlyMap<string, number>,
): [string, number][] {
  const wanted = new Set(members.flatMap(({ topics }) => topics))
  return [...partitionCounts]
    .filter(([topic, count]) => wanted.has(topic) && count > 0)
    .sort(([a], [b]) => byText(a, b))
}

/** By instance id, those without one behind those with one, by member id. */
export function sorted(members: readonly GroupSubscriber[]): GroupSubscriber[] {
  return [...members].sort(byInstanceThenId)
}

function byInstanceThenId(a: GroupSubscriber, b: GroupSubscriber): number {
  const [ours, theirs] = [a.groupInstanceId, b.groupInstanceId]
  if (ours !== null && theirs !== null) return byText(ours, theirs)
  if (ours !== null) return -1
  if (theirs !== null) return 1
  return byText(a.memberId, b.memberId)
}

function byTopicThenNumber(a: TopicPartition, b: TopicPartition): number {
  return byText(a.topic, b.topic) || a.partition - b.partition
}

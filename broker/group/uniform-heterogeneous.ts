/**
 * The uniform assignor where members subscribe to different topics. What members have and still subscribe to stays; what is
 * free goes to the subscriber with the fewest, the scarcest topics first; then partitions move from who has more to who has
 * at least two fewer, until no move helps. Each move makes the sum of the squares of sizes smaller, so this ends.
 */
import {
  type Assignment,
  type AssignorMember,
  emptyAssignment,
  give,
  type PartitionCounts,
} from './assignment.ts'

interface Share {
  readonly member: AssignorMember
  size: number
}

interface Slot {
  readonly topicId: string
  readonly partition: number
  readonly subscribers: readonly Share[]
  owner: Share | null
}

export function assignHeterogeneous(
  members: readonly AssignorMember[],
  counts: PartitionCounts,
): Assignment {
  const slots = sorted(slotsOf(members, counts), counts)
  for (const slot of slots) {
    if (slot.owner === null) moveTo(slot, smallest(slot.subscribers))
  }
  const movable = slots.filter(({ subscribers }) => subscribers.length > 1)
  for (let hasMoved = true; hasMoved; ) {
    hasMoved = false
    for (const slot of movable) {
      const least = smallest(slot.subscribers)
      if (slot.owner!.size <= least.size + 1) continue
      moveTo(slot, least)
      hasMoved = true
    }
  }
  const assignment = emptyAssignment(members)
  for (const { owner, topicId, partition } of slots) {
    give(assignment, owner!.member.memberId, topicId, partition)
  }
  return assignment
}

function slotsOf(members: readonly AssignorMember[], counts: PartitionCounts): Slot[] {
  const subscribers = new Map<string, Share[]>()
  const shares = members.map(member => ({ member, size: 0 }))
  for (const share of shares) {
    for (const topicId of share.member.topicIds) {
      const others = subscribers.get(topicId)
      if (others === undefined) subscribers.set(topicId, [share])
      else others.push(share)
    }
  }
  const byTopic = new Map<string, Slot[]>()
  for (const [topicId, of] of subscribers) {
    const slots: Slot[] = []
    for (let partition = 0; partition < (counts.get(topicId) ?? 0); partition++) {
      slots.push({ topicId, partition, subscribers: of, owner: null })
    }
    byTopic.set(topicId, slots)
  }
  for (const share of shares) {
    for (const [topicId, partitions] of share.member.partitions) {
      if (!share.member.topicIds.has(topicId)) continue
      for (const partition of partitions) {
        const slot = byTopic.get(topicId)?.[partition]
        if (slot?.owner === null) moveTo(slot, share)
      }
    }
  }
  return [...byTopic.values()].flat()
}

/** Most partitions for each subscriber first, then the fewest subscribers, then by partition. */
function sorted(slots: readonly Slot[], counts: PartitionCounts): Slot[] {
  const load = ({ topicId, subscribers }: Slot) => counts.get(topicId)! / subscribers.length
  return [...slots].sort(
    (a, b) =>
      load(b) - load(a) || a.subscribers.length - b.subscribers.length || a.partition - b.partition,
  )
}

function smallest(shares: readonly Share[]): Share {
  let least = shares[0]!
  for (const share of shares) if (share.size < least.size) least = share
  return least
}

function moveTo(slot: Slot, share: Share): void {
  if (slot.owner !== null) slot.owner.size--
  slot.owner = share
  share.size++
}

/**
 * The uniform assignor where members subscribe to different topics. What members have and still subscribe to stays; what is
 * free goes to the subscriber with the fewest, the scarcest topics first; then partitions move from who has more to who has
 * at least two fewer, also by way of others who pass one of theirs on, until no way is left: then sizes are as even as
 * subscriptions allow. Each shift makes the sum of the squares of sizes smaller, so this ends.
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
    if (!hasMoved) hasMoved = shiftOne(movable)
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

/** Moves one partition each along a way from a member to one with at least two fewer; false if there is no such way. */
function shiftOne(movable: readonly Slot[]): boolean {
  const held = new Map<Share, Map<string, Slot>>()
  for (const slot of movable) {
    const topics = held.get(slot.owner!) ?? new Map<string, Slot>()
    held.set(slot.owner!, topics.set(slot.topicId, slot))
  }
  for (const start of held.keys()) {
    const path = wayFrom(start, held)
    for (const [slot, to] of path) moveTo(slot, to)
    if (path.length > 0) return true
  }
  return false
}

/** Breadth first, each topic looked at once: what moves to whom, the last first. */
function wayFrom(
  start: Share,
  held: ReadonlyMap<Share, ReadonlyMap<string, Slot>>,
): [Slot, Share][] {
  const cameBy = new Map<Share, Slot | null>([[start, null]])
  const seenTopics = new Set<string>()
  for (const share of cameBy.keys()) {
    if (share.size <= start.size - 2) return wayBack(share, cameBy)
    for (const [topicId, slot] of held.get(share) ?? []) {
      if (seenTopics.has(topicId)) continue
      seenTopics.add(topicId)
      for (const next of slot.subscribers) if (!cameBy.has(next)) cameBy.set(next, slot)
    }
  }
  return []
}

function wayBack(end: Share, cameBy: ReadonlyMap<Share, Slot | null>): [Slot, Share][] {
  const path: [Slot, Share][] = []
  let to = end
  for (let slot = cameBy.get(to); slot; slot = cameBy.get(to)) {
    path.push([slot, to])
    to = slot.owner!
  }
  return path
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

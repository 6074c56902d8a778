/**
 * The server-side assignors of KIP-848: who of a group's members shall read what. Both begin with what members have, so that
 * as little as possible moves; no partition has two owners, and every partition that somebody subscribes to has one.
 *
 *   uniform  all members get the same number of partitions, or one more; topics do not matter (with differing
 *            subscriptions: uniform-heterogeneous.ts)
 *   range    within each topic all its subscribers get the same number, or one more, in order: partition n of topics of
 *            one size goes to one member while nothing moves
 */
import {
  type Assignment,
  type AssignorMember,
  emptyAssignment,
  give,
  type PartitionCounts,
} from './assignment.ts'
import { assignHeterogeneous } from './uniform-heterogeneous.ts'

export type Assignor = (members: readonly AssignorMember[], counts: PartitionCounts) => Assignment

/** By the name that members and `group.consumer.assignors` choose them by. */
export const assignors: Readonly<Record<string, Assignor>> = { uniform, range }

function uniform(members: readonly AssignorMember[], counts: PartitionCounts): Assignment {
  const first = members[0]
  if (first === undefined) return new Map()
  const isSame = members.every(({ topicIds }) => isEqual(topicIds, first.topicIds))
  return isSame
    ? assignHomogeneous(members, first.topicIds, counts)
    : assignHeterogeneous(members, counts)
}

function isEqual(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const one of a) if (!b.has(one)) return false
  return true
}

function assignHomogeneous(
  members: readonly AssignorMember[],
  topicIds: ReadonlySet<string>,
  counts: PartitionCounts,
): Assignment {
  const free = new Map<string, Set<number>>()
  let total = 0
  for (const topicId of topicIds) {
    const count = counts.get(topicId) ?? 0
    free.set(topicId, new Set(Array(count).keys()))
    total += count
  }
  const assignment = emptyAssignment(members)
  const kept = members.map(member => keep(member, free))
  const quotas = quotasFor(
    total,
    kept.map(({ length }) => length),
  )
  for (const [i, { memberId }] of members.entries()) {
    for (const [n, [topicId, partition]] of kept[i]!.entries()) {
      if (n < quotas[i]!) give(assignment, memberId, topicId, partition)
      else free.get(topicId)!.add(partition)
    }
  }
  const rest = [...free].flatMap(([topicId, partitions]) =>
    [...partitions].sort((a, b) => a - b).map((p): [string, number] => [topicId, p]),
  )
  let next = 0
  for (const [i, { memberId }] of members.entries()) {
    for (let n = kept[i]!.length; n < quotas[i]!; n++) {
      give(assignment, memberId, ...rest[next++]!)
    }
  }
  return assignment
}

/** What the member has and may go on having; taken out of what is free. */
function keep({ partitions }: AssignorMember, free: Map<string, Set<number>>): [string, number][] {
  const kept: [string, number][] = []
  for (const [topicId, indexes] of partitions) {
    for (const index of indexes) {
      if (free.get(topicId)?.delete(index) === true) kept.push([topicId, index])
    }
  }
  return kept
}

/** Shares of `total` that differ by one at most; who holds more than the smaller share is first to get the larger one. */
function quotasFor(total: number, held: readonly number[]): number[] {
  const smaller = Math.floor(total / held.length)
  let larger = total % held.length
  const quotas = held.map(count => {
    if (count <= smaller || larger === 0) return smaller
    larger--
    return smaller + 1
  })
  for (let i = 0; larger > 0; i++) {
    if (quotas[i] !== smaller) continue
    quotas[i] = smaller + 1
    larger--
  }
  return quotas
}

function range(members: readonly AssignorMember[], counts: PartitionCounts): Assignment {
  const assignment = emptyAssignment(members)
  const subscribers = new Map<string, AssignorMember[]>()
  for (const member of members) {
    for (const topicId of member.topicIds) {
      const others = subscribers.get(topicId)
      if (others === undefined) subscribers.set(topicId, [member])
      else others.push(member)
    }
  }
  for (const [topicId, of] of subscribers) {
    rangeOf(topicId, of, counts.get(topicId) ?? 0, assignment)
  }
  return assignment
}

function rangeOf(
  topicId: string,
  members: readonly AssignorMember[],
  count: number,
  assignment: Assignment,
): void {
  const free = new Set(Array(count).keys())
  const held = members.map(({ partitions }) =>
    [...(partitions.get(topicId) ?? [])].sort((a, b) => a - b).filter(p => free.delete(p)),
  )
  const quotas = quotasFor(
    count,
    held.map(({ length }) => length),
  )
  for (const [i, { memberId }] of members.entries()) {
    for (const [n, partition] of held[i]!.entries()) {
      if (n < quotas[i]!) give(assignment, memberId, topicId, partition)
      else free.add(partition)
    }
  }
  const rest = [...free].sort((a, b) => a - b)
  let next = 0
  for (const [i, { memberId }] of members.entries()) {
    for (let n = held[i]!.length; n < quotas[i]!; n++) {
      give(assignment, memberId, topicId, rest[next++]!)
    }
  }
}

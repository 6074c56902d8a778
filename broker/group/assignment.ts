/** What assignors (assignors.ts) are given, and what they make of it. */

/** Partition indexes by topic id. */
export type Partitions = ReadonlyMap<string, ReadonlySet<number>>

export interface AssignorMember {
  readonly memberId: string
  readonly topicIds: ReadonlySet<string>
  /** What it was to have until now. */
  readonly partitions: Partitions
}

/** How many partitions a topic has, by topic id. */
export type PartitionCounts = ReadonlyMap<string, number>
export type Assignment = Map<string, Map<string, Set<number>>>

/** An assignment in which everybody has nothing. */
export function emptyAssignment(members: readonly AssignorMember[]): Assignment {
  return new Map(members.map(({ memberId }) => [memberId, new Map()]))
}

export function give(
  assignment: Assignment,
  memberId: string,
  topicId: string,
  partition: number,
): void {
  const topics = assignment.get(memberId)!
  const partitions = topics.get(topicId)
  if (partitions === undefined) topics.set(topicId, new Set([partition]))
  else partitions.add(partition)
}

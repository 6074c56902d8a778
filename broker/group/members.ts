/**
 * The members of a classic group: who is there, under which static id, who waits for which answer, and which protocols
 * all of them support. Counters are kept beside the map, so that a join into a group of thousands costs as much as one
 * into a group of two.
 */
import type { GroupClient, Ticket } from './step.ts'

export interface Protocol {
  readonly name: string
  readonly metadata: Buffer
}

/** A request that waits inside the group. */
export interface Waiting {
  readonly ticket: Ticket
  readonly apiVersion: number
}

export interface Member {
  memberId: string
  readonly groupInstanceId: string | null
  readonly client: GroupClient
  /** The connection over which it spoke last. */
  connectionId: number
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  protocols: readonly Protocol[]
  assignment: Buffer
  /** Its JoinGroup, while it waits for the next generation. */
  joining: Waiting | null
  /** Its SyncGroup, while it waits for the leader's assignment. */
  syncing: Waiting | null
  /** In no generation yet: it cannot heartbeat, so only its first JoinGroup speaks for it. */
  isNew: boolean
  /** When it counts as gone unless it is heard of; Infinity while a request of it waits here. */
  deadlineMs: number
  /** Its connection is closed, and it has not come back over another one. */
  isDisconnected: boolean
}

export class Members {
  leader: string | null = null
  private readonly byId = new Map<string, Member>()
  private readonly statics = new Map<string, string>()
  private readonly supporters = new Map<string, number>()
  private joiningCount = 0
  private bytes = 0

  get size(): number {
    return this.byId.size
  }

  /** Bytes of metadata and assignments that are kept. */
  get sizeBytes(): number {
    return this.bytes
  }

  get joiningSize(): number {
    return this.joiningCount
  }

  all(): Iterable<Member> {
    return this.byId.values()
  }

  get(memberId: string): Member | undefined {
    return this.byId.get(memberId)
  }

  /** The member id that a static id stands for now. */
  staticId(groupInstanceId: string): string | undefined {
    return this.statics.get(groupInstanceId)
  }

  add(member: Member): void {
    this.byId.set(member.memberId, member)
    if (member.groupInstanceId !== null) this.statics.set(member.groupInstanceId, member.memberId)
    if (member.joining !== null) this.joiningCount++
    this.leader ??= member.memberId
    this.count(member, 1)
  }

  remove(member: Member): void {
    this.setJoining(member, null)
    this.byId.delete(member.memberId)
    const { groupInstanceId } = member
    if (groupInstanceId !== null && this.statics.get(groupInstanceId) === member.memberId) {
      this.statics.delete(groupInstanceId)
    }
    this.count(member, -1)
    if (this.leader === member.memberId) {
      const [next] = this.byId.keys()
      this.leader = next ?? null
    }
  }

  /** A static member came back under another id; it keeps its place, also as leader. */
  rename(member: Member, memberId: string): void {
    const wasLeader = this.leader === member.memberId
    this.byId.delete(member.memberId)
    member.memberId = memberId
    this.byId.set(memberId, member)
    this.statics.set(member.groupInstanceId!, memberId)
    if (wasLeader) this.leader = memberId
  }

  setJoining(member: Member, joining: Waiting | null): void {
    this.joiningCount += (joining === null ? 0 : 1) - (member.joining === null ? 0 : 1)
    member.joining = joining
  }

  setProtocols(member: Member, protocols: readonly Protocol[]): void {
    this.count(member, -1)
    member.protocols = protocols
    this.count(member, 1)
  }

  setAssignment(member: Member, assignment: Buffer): void {
    this.bytes += assignment.length - member.assignment.length
    member.assignment = assignment
  }

  /** Protocols that every member supports, in the order of the first member. */
  commonProtocols(): string[] {
    const [first] = this.byId.values()
    if (first === undefined) return []
    return unique(first.protocols).filter(name => this.supporters.get(name) === this.size)
  }

  /** Whether somebody with these protocols could be in one generation with all members. */
  fits(protocols: readonly Protocol[]): boolean {
    if (this.size === 0) return protocols.length > 0
    return protocols.some(({ name }) => this.supporters.get(name) === this.size)
  }

  /** Every member votes for the first of its protocols that all support; the earlier one of the first member wins ties. */
  electProtocol(): string | null {
    const candidates = new Map(this.commonProtocols().map(name => [name, 0]))
    for (const { protocols } of this.byId.values()) {
      const choice = protocols.find(({ name }) => candidates.has(name))
      if (choice !== undefined) candidates.set(choice.name, candidates.get(choice.name)! + 1)
    }
    let best: string | null = null
    for (const [name, votes] of candidates) {
      if (best === null || votes > candidates.get(best)!) best = name
    }
    return best
  }

  /** Makes a member that rejoined the leader, the present one if it did; false if nobody rejoined. */
  electJoinedLeader(): boolean {
    if (this.leader === null) return false
    if (this.byId.get(this.leader)?.joining !== null) return true
    for (const { memberId, joining } of this.byId.values()) {
      if (joining === null) continue
      this.leader = memberId
      return true
    }
    return false
  }

  private count(member: Member, by: 1 | -1): void {
    for (const name of unique(member.protocols)) {
      const count = (this.supporters.get(name) ?? 0) + by
      if (count === 0) this.supporters.delete(name)
      else this.supporters.set(name, count)
    }
    this.bytes += by * (metadataBytes(member.protocols) + member.assignment.length)
  }
}

function unique(protocols: readonly Protocol[]): string[] {
  return [...new Set(protocols.map(({ name }) => name))]
}

/** Bytes of what a member says with these protocols. */
export function metadataBytes(protocols: readonly Protocol[]): number {
  return protocols.reduce((sum, { name, metadata }) => sum + name.length + metadata.length, 0)
}

/** Whether a member says exactly what it said before. */
export function sameProtocols(a: readonly Protocol[], b: readonly Protocol[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ name, metadata }, i) => name === b[i]!.name && metadata.equals(b[i]!.metadata))
  )
}

/** A member as a person recognises it. */
export function named({ memberId, groupInstanceId, client }: Member): string {
  const fixed = groupInstanceId === null ? '' : `, instance '${groupInstanceId}'`
  return `'${memberId}' (client '${client.clientId}' at ${client.clientHost}${fixed})`
}

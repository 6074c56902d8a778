/**
 * What a consumer group (KIP-848) keeps: exactly what its records in `__consumer_offsets` say. The running group changes it by
 * the same `apply` that reads the log at start, so the state after a start is the state before. Each change can be taken back
 * while nothing came after it: when its record could not be written.
 *
 * Invariants: a partition has one owner at most, who has it assigned or has not confirmed giving it up; epochs only grow; a
 * static id stands for one member.
 */
import type { OffsetsRecord } from '../../protocol/messages/offsets-topic.ts'
import type { Partitions } from './assignment.ts'
import {
  type ConsumerMember,
  memberTombstones,
  newMember,
  type OwnedPartitions,
  partitionMap,
  withCurrent,
  withMetadata,
} from './consumer-member.ts'
import { metadataBytes } from './members.ts'

export interface ResolvedPattern {
  readonly topics: readonly string[]
  readonly version: number
}

type Undo = () => void
const NOTHING: Undo = () => {}
const NO_PARTITIONS: Partitions = new Map()

export class ConsumerState {
  readonly groupId: string
  groupEpoch = 0
  assignmentEpoch = 0
  /** When the target was made; 0 where that is not known. */
  assignmentTimestamp = 0
  metadataHash = 0
  readonly members = new Map<string, ConsumerMember>()
  readonly statics = new Map<string, string>()
  readonly patterns = new Map<string, ResolvedPattern>()
  private readonly targets = new Map<string, Partitions>()
  private readonly owners = new Map<string, Map<number, string>>()
  /** How many members of the classic protocol support each of their protocols. */
  private readonly classicSupport = new Map<string, number>()
  private classicCount = 0
  private bytes = 0
  /** How many members subscribe to each name, and by each pattern: a group may have thousands of members. */
  private readonly nameCounts = new Map<string, number>()
  private readonly patternCounts = new Map<string, number>()
  /** What `subscriptions` gave, until other names or patterns are subscribed to. */
  private subscribed: ReadonlySet<string> | null = null

  constructor(groupId: string) {
    this.groupId = groupId
  }

  target(memberId: string): Partitions {
    return this.targets.get(memberId) ?? NO_PARTITIONS
  }

  /** Bytes of what members say of themselves. */
  get sizeBytes(): number {
    return this.bytes
  }

  /** Whether all members of the classic protocol but this one support a protocol of theirs. */
  allClassicSupport(protocol: string, besides: string): boolean {
    const itself = this.members.get(besides)?.classic ?? null
    const isItsOwn = itself?.supportedProtocols.some(({ name }) => name === protocol) === true
    const supporters = (this.classicSupport.get(protocol) ?? 0) - (isItsOwn ? 1 : 0)
    return supporters === this.classicCount - (itself === null ? 0 : 1)
  }

  /** Whether nobody else has what the member shall have. */
  isTargetFree({ memberId, assigned }: ConsumerMember): boolean {
    for (const [topicId, partitions] of this.target(memberId)) {
      for (const partition of partitions) {
        const isThere = assigned.get(topicId)?.has(partition) === true
        if (!isThere && !this.isFree(topicId, partition)) return false
      }
    }
    return true
  }

  isFree(topicId: string, partition: number): boolean {
    return this.owners.get(topicId)?.has(partition) !== true
  }

  staticMember(instanceId: string): ConsumerMember | undefined {
    return this.members.get(this.statics.get(instanceId) ?? '')
  }

  /** The names that a member subscribes to, by list and by pattern. */
  subscription({ subscribedTopicNames, subscribedTopicRegex }: ConsumerMember): readonly string[] {
    const matched = this.patterns.get(subscribedTopicRegex)?.topics ?? []
    if (matched.length === 0) return subscribedTopicNames
    return [...new Set([...subscribedTopicNames, ...matched])]
  }

  subscriptions(): ReadonlySet<string> {
    if (this.subscribed !== null) return this.subscribed
    const all = new Set(this.nameCounts.keys())
    for (const pattern of this.patternCounts.keys()) {
      for (const name of this.patterns.get(pattern)?.topics ?? []) all.add(name)
    }
    this.subscribed = all
    return all
  }

  /** The patterns that members subscribe by. */
  subscribedPatterns(): Iterable<string> {
    return this.patternCounts.keys()
  }

  isSubscribedBy(pattern: string): boolean {
    return this.patternCounts.has(pattern)
  }

  /** What makes the group disappear from the log. */
  tombstones(): OffsetsRecord[] {
    const { groupId } = this
    const key = { groupId }
    return [
      ...[...this.members.keys()].flatMap(memberId => memberTombstones(groupId, memberId)),
      ...[...this.patterns.keys()].map((regularExpression): OffsetsRecord => {
        const name = 'ConsumerGroupRegularExpression'
        return { name, key: { groupId, regularExpression }, value: null }
      }),
      { name: 'ConsumerGroupTargetAssignmentMetadata', key, value: null },
      { name: 'ConsumerGroupMetadata', key, value: null },
    ]
  }

  /** Takes a record into the state; what it gives back takes it out again. */
  apply(record: OffsetsRecord): Undo {
    switch (record.name) {
      case 'ConsumerGroupMetadata': {
        const { groupEpoch, metadataHash } = this
        this.groupEpoch = record.value?.epoch ?? 0
        this.metadataHash = record.value?.metadataHash ?? 0
        return () => Object.assign(this, { groupEpoch, metadataHash })
      }
      case 'ConsumerGroupTargetAssignmentMetadata': {
        const { assignmentEpoch, assignmentTimestamp } = this
        this.assignmentEpoch = record.value?.assignmentEpoch ?? 0
        this.assignmentTimestamp = record.value?.assignmentTimestamp ?? 0
        return () => Object.assign(this, { assignmentEpoch, assignmentTimestamp })
      }
      case 'ConsumerGroupMemberMetadata': {
        const { memberId } = record.key
        const { value } = record
        if (value === null) return this.setMember(memberId, undefined)
        return this.setMember(memberId, withMetadata(this.memberOrNew(memberId), value))
      }
      case 'ConsumerGroupCurrentMemberAssignment': {
        const { memberId } = record.key
        const { value } = record
        const member = this.members.get(memberId)
        if (value !== null) {
          return this.setMember(memberId, withCurrent(this.memberOrNew(memberId), value))
        }
        if (member === undefined) return NOTHING
        const { assigned, pendingRevocation, state } = newMember(memberId)
        return this.setMember(memberId, { ...member, assigned, pendingRevocation, state })
      }
      case 'ConsumerGroupTargetAssignmentMember': {
        const { value } = record
        const target = value === null ? undefined : partitionMap(value.topicPartitions)
        return set(this.targets, record.key.memberId, target)
      }
      case 'ConsumerGroupRegularExpression': {
        const { value } = record
        const pattern =
          value === null ? undefined : { topics: value.topics, version: value.version }
        const undo = set(this.patterns, record.key.regularExpression, pattern)
        this.subscribed = null
        return () => {
          undo()
          this.subscribed = null
        }
      }
      default:
        return NOTHING
    }
  }

  private memberOrNew(memberId: string): ConsumerMember {
    return this.members.get(memberId) ?? newMember(memberId)
  }

  private setMember(memberId: string, member: ConsumerMember | undefined): Undo {
    const before = this.members.get(memberId)
    this.exchange(memberId, before, member)
    return () => this.exchange(memberId, member, before)
  }

  private exchange(
    memberId: string,
    before: ConsumerMember | undefined,
    after: ConsumerMember | undefined,
  ): void {
    if (before !== undefined) {
      this.count(before, -1)
      this.release(memberId, before.assigned)
      this.release(memberId, before.pendingRevocation)
      const { instanceId } = before
      if (instanceId !== null && this.statics.get(instanceId) === memberId) {
        this.statics.delete(instanceId)
      }
    }
    if (after === undefined) {
      this.members.delete(memberId)
      return
    }
    this.count(after, 1)
    this.members.set(memberId, after)
    this.take(memberId, after.assigned)
    this.take(memberId, after.pendingRevocation)
    if (after.instanceId !== null) this.statics.set(after.instanceId, memberId)
  }

  private count(member: ConsumerMember, by: 1 | -1): void {
    this.bytes += by * saidBytes(member)
    const { classic, subscribedTopicNames, subscribedTopicRegex } = member
    let isOther = false
    for (const name of new Set(subscribedTopicNames)) {
      if (add(this.nameCounts, name, by)) isOther = true
    }
    if (subscribedTopicRegex !== '' && add(this.patternCounts, subscribedTopicRegex, by)) {
      isOther = true
    }
    if (isOther) this.subscribed = null
    if (classic === null) return
    this.classicCount += by
    for (const name of new Set(classic.supportedProtocols.map(one => one.name))) {
      add(this.classicSupport, name, by)
    }
  }

  private take(memberId: string, owned: OwnedPartitions): void {
    for (const [topicId, epochs] of owned) {
      let ofTopic = this.owners.get(topicId)
      if (ofTopic === undefined) this.owners.set(topicId, (ofTopic = new Map()))
      for (const partition of epochs.keys()) ofTopic.set(partition, memberId)
    }
  }

  private release(memberId: string, owned: OwnedPartitions): void {
    for (const [topicId, epochs] of owned) {
      const ofTopic = this.owners.get(topicId)
      if (ofTopic === undefined) continue
      for (const partition of epochs.keys()) {
        if (ofTopic.get(partition) === memberId) ofTopic.delete(partition)
      }
      if (ofTopic.size === 0) this.owners.delete(topicId)
    }
  }
}

/** Whether the name came or went by this. */
function add(counts: Map<string, number>, name: string, by: 1 | -1): boolean {
  const count = (counts.get(name) ?? 0) + by
  if (count === 0) counts.delete(name)
  else counts.set(name, count)
  return count === 0 || (count === 1 && by === 1)
}

function saidBytes(member: ConsumerMember): number {
  const { classic, subscribedTopicNames: names, subscribedTopicRegex } = member
  const topics = names.reduce((sum, name) => sum + name.length, subscribedTopicRegex.length)
  return topics + (classic === null ? 0 : metadataBytes(classic.supportedProtocols))
}

function set<V>(map: Map<string, V>, key: string, value: V | undefined): Undo {
  const before = map.get(key)
  const put = (one: V | undefined) => {
    if (one === undefined) map.delete(key)
    else map.set(key, one)
  }
  put(value)
  return () => put(before)
}

/**
 * A member of a consumer group (KIP-848) as a value: a change makes a new one, so that a step whose records were not kept
 * can be taken back. And its records: what it says of itself, what it has, what it shall have.
 *
 *   epoch  -2 a static member that has left for now, 0 not assigned yet, above: the assignment it has reached
 */
import type { OffsetsRecord } from '../../protocol/messages/offsets-topic.ts'
import type { Partitions } from './assignment.ts'

/** The epoch by which a member says that it leaves for good, and a static one that it leaves for now. */
export const LEAVE_EPOCH = -1
export const STATIC_LEAVE_EPOCH = -2

/** Kafka's numbers, as `__consumer_offsets` has them. */
export const STABLE = 0
export const UNREVOKED_PARTITIONS = 1
export const UNRELEASED_PARTITIONS = 2

/** What a member of the classic protocol said when it joined (online migration). */
export interface ClassicPart {
  readonly sessionTimeoutMs: number
  readonly supportedProtocols: readonly { readonly name: string; readonly metadata: Buffer }[]
}

/** The epoch in which each partition was given, by index, by topic id. */
export type OwnedPartitions = ReadonlyMap<string, ReadonlyMap<number, number>>

export interface ConsumerMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly subscribedTopicNames: readonly string[]
  readonly subscribedTopicRegex: string
  readonly rebalanceTimeoutMs: number
  readonly serverAssignor: string | null
  /** Null for a member that speaks the consumer protocol. */
  readonly classic: ClassicPart | null
  readonly memberEpoch: number
  readonly previousMemberEpoch: number
  readonly state: number
  readonly assigned: OwnedPartitions
  readonly pendingRevocation: OwnedPartitions
}

type RecordOf<N extends OffsetsRecord['name']> = Extract<OffsetsRecord, { readonly name: N }>

/** A member of whom nothing is known but its id. */
export function newMember(memberId: string): ConsumerMember {
  return {
    memberId,
    instanceId: null,
    rackId: null,
    clientId: '',
    clientHost: '',
    subscribedTopicNames: [],
    subscribedTopicRegex: '',
    rebalanceTimeoutMs: -1,
    serverAssignor: null,
    classic: null,
    memberEpoch: 0,
    previousMemberEpoch: 0,
    state: STABLE,
    assigned: new Map(),
    pendingRevocation: new Map(),
  }
}

/** A member as a person recognises it. */
export function namedMember({
  memberId,
  instanceId,
  clientId,
  clientHost,
}: ConsumerMember): string {
  const fixed = instanceId === null ? '' : `, instance '${instanceId}'`
  return `'${memberId}' (client '${clientId}' at ${clientHost}${fixed})`
}

/** The record of what the member says of itself. */
export function metadataRecord(
  groupId: string,
  member: ConsumerMember,
): RecordOf<'ConsumerGroupMemberMetadata'> {
  const { memberId, instanceId, rackId, clientId, clientHost, rebalanceTimeoutMs } = member
  const { classic } = member
  return {
    name: 'ConsumerGroupMemberMetadata',
    key: { groupId, memberId },
    value: {
      instanceId,
      rackId,
      clientId,
      clientHost,
      subscribedTopicNames: [...member.subscribedTopicNames],
      subscribedTopicRegex: member.subscribedTopicRegex,
      rebalanceTimeoutMs,
      serverAssignor: member.serverAssignor,
      classicMemberMetadata: classic && {
        ...classic,
        supportedProtocols: [...classic.supportedProtocols],
      },
    },
  }
}

/** What the member's metadata record says, over what was known of it. */
export function withMetadata(
  member: ConsumerMember,
  value: NonNullable<RecordOf<'ConsumerGroupMemberMetadata'>['value']>,
): ConsumerMember {
  const { instanceId, rackId, clientId, clientHost, rebalanceTimeoutMs, serverAssignor } = value
  const { classicMemberMetadata } = value
  // Ours of before said nothing where nothing is an empty one.
  const isEmpty = classicMemberMetadata?.supportedProtocols.length === 0
  const classic = isEmpty ? null : classicMemberMetadata
  return {
    ...member,
    instanceId,
    rackId,
    clientId,
    clientHost,
    rebalanceTimeoutMs,
    serverAssignor,
    subscribedTopicNames: value.subscribedTopicNames,
    subscribedTopicRegex: value.subscribedTopicRegex ?? '',
    classic: classic && {
      ...classic,
      supportedProtocols: classic.supportedProtocols.map(({ name, metadata }) => ({
        name,
        metadata: Buffer.from(metadata),
      })),
    },
  }
}

/** The record of where the member is: its epoch and what it has. */
export function currentRecord(
  groupId: string,
  member: ConsumerMember,
): RecordOf<'ConsumerGroupCurrentMemberAssignment'> {
  const { memberId, memberEpoch, previousMemberEpoch, state } = member
  return {
    name: 'ConsumerGroupCurrentMemberAssignment',
    key: { groupId, memberId },
    value: {
      memberEpoch,
      previousMemberEpoch,
      state,
      assignedPartitions: ownedList(member.assigned),
      partitionsPendingRevocation: ownedList(member.pendingRevocation),
    },
  }
}

/** Where the member's record says that it is, over what was known of it. */
export function withCurrent(
  member: ConsumerMember,
  value: NonNullable<RecordOf<'ConsumerGroupCurrentMemberAssignment'>['value']>,
): ConsumerMember {
  const { memberEpoch, previousMemberEpoch, state } = value
  return {
    ...member,
    memberEpoch,
    previousMemberEpoch,
    state,
    assigned: ownedMap(value.assignedPartitions, memberEpoch),
    pendingRevocation: ownedMap(value.partitionsPendingRevocation, memberEpoch),
  }
}

function ownedList(owned: OwnedPartitions) {
  return [...owned].map(([topicId, epochs]) => ({
    topicId,
    partitions: [...epochs.keys()],
    assignmentEpochs: [...epochs.values()],
  }))
}

function ownedMap(
  list:
    | ReturnType<typeof ownedList>
    | NonNullable<RecordOf<'ConsumerGroupCurrentMemberAssignment'>['value']>['assignedPartitions'],
  memberEpoch: number,
): OwnedPartitions {
  const entries = list.map(({ topicId, partitions, assignmentEpochs }) => {
    const epochs = partitions.map((p, i): [number, number] => [
      p,
      assignmentEpochs?.[i] ?? memberEpoch,
    ])
    return [topicId, new Map(epochs)] as const
  })
  return new Map(entries)
}

/** The record of what the member shall have. */
export function targetRecord(
  groupId: string,
  memberId: string,
  target: Partitions,
): RecordOf<'ConsumerGroupTargetAssignmentMember'> {
  return {
    name: 'ConsumerGroupTargetAssignmentMember',
    key: { groupId, memberId },
    value: { topicPartitions: partitionList(target) },
  }
}

/** What a member may read: what it is assigned, and what it has not confirmed to have given up. */
export function heldPartitions({ assigned, pendingRevocation }: ConsumerMember): Partitions {
  const held = new Map<string, Set<number>>()
  for (const owned of [assigned, pendingRevocation]) {
    for (const [topicId, epochs] of owned) {
      held.set(topicId, new Set([...(held.get(topicId) ?? []), ...epochs.keys()]))
    }
  }
  return held
}

/** As messages list partitions. */
export function partitionList(
  partitions: ReadonlyMap<string, ReadonlySet<number> | ReadonlyMap<number, number>>,
) {
  return [...partitions].map(([topicId, indexes]) => ({
    topicId,
    partitions: [...indexes.keys()].sort((a, b) => a - b),
  }))
}

/** What a message lists, by topic id. */
export function partitionMap(
  list: readonly { readonly topicId: string; readonly partitions: readonly number[] }[],
): Partitions {
  return new Map(list.map(({ topicId, partitions }) => [topicId, new Set(partitions)]))
}

/** Whether the two name the same partitions. */
export function samePartitions(a: Partitions, b: Partitions): boolean {
  if (a.size !== b.size) return false
  for (const [topicId, indexes] of a) {
    const others = b.get(topicId)
    if (others === undefined || others.size !== indexes.size) return false
    for (const index of indexes) if (!others.has(index)) return false
  }
  return true
}

/** What makes a member disappear from the log. */
export function memberTombstones(groupId: string, memberId: string): OffsetsRecord[] {
  const key = { groupId, memberId }
  return [
    { name: 'ConsumerGroupCurrentMemberAssignment', key, value: null },
    { name: 'ConsumerGroupTargetAssignmentMember', key, value: null },
    { name: 'ConsumerGroupMemberMetadata', key, value: null },
  ]
}

/**
 * A classic group with members becomes a consumer group (KIP-848) when a member of the consumer protocol comes, if
 * `group.consumer.migration.policy` has it so and its members are consumers: what they embed in the classic protocol is read.
 * As Kafka does it (GroupMetadataManager): the generation becomes the epoch, the last assignment is what everybody has and
 * shall have, and who waits in a rebalance is told to join again.
 */
import { errorCode, ProtocolError } from '../../protocol/errors.ts'
import {
  readWholeAssignment,
  readWholeSubscription,
} from '../../protocol/messages/consumer-protocol.ts'
import type { OffsetsRecord } from '../../protocol/messages/offsets-topic.ts'
import type { ClusterImage } from '../metadata/image.ts'
import { ConsumerGroup, type ConsumerGroupOptions } from './consumer-group.ts'
import {
  type ConsumerMember,
  currentRecord,
  metadataRecord,
  newMember,
  type OwnedPartitions,
  targetRecord,
} from './consumer-member.ts'
import type { ClassicGroup } from './group.ts'
import { metadataOf } from './group-record.ts'
import type { Member } from './members.ts'
import { policyAllows } from './migration-policy.ts'
import type { GroupEffect, GroupEvent } from './step.ts'
import { CONSUMER_PROTOCOL } from './subscription.ts'
import { topicsHash } from './topics-hash.ts'

type Heartbeat = Extract<GroupEvent, { readonly kind: 'consumerHeartbeat' }>

/** What comes of a heartbeat to a classic group with members: an upgrade, or the reason why not. */
export function stepOfUpgrade(
  classic: ClassicGroup,
  event: Heartbeat,
  options: ConsumerGroupOptions,
  nowMs: number,
): readonly GroupEffect[] {
  const { ticket } = event
  try {
    requireUpgradable(classic, options)
    const { group, records } = upgraded(classic, options, nowMs)
    const effects = group.step(event, nowMs)
    const isRefused = effects.some(
      one => one.kind === 'reply' && one.ticket === ticket && one.response.errorCode !== 0,
    )
    // Who is not let in changes nothing.
    if (isRefused) return effects.filter(({ kind }) => kind === 'reply')
    const fields = { epoch: classic.generation, members: classic.memberCount }
    return [
      ...classic.refuseAll('REBALANCE_IN_PROGRESS'),
      { kind: 'persist', records },
      { kind: 'log', level: 'info', event: 'group is a consumer group now', fields },
      { kind: 'become', group },
      ...effects,
    ]
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const { groupId } = classic
    const fields = { clientId: event.client.clientId, why: error.detail }
    const response = { errorCode: errorCode(error.error), errorMessage: error.detail }
    return [
      {
        kind: 'log',
        level: 'info',
        event: 'group stays a classic group',
        fields: { groupId, ...fields },
      },
      { kind: 'reply', ticket, response },
    ]
  }
}

function refused(groupId: string, why: string): ProtocolError {
  const detail = `Cannot upgrade classic group ${groupId} to consumer group because ${why}.`
  return new ProtocolError('GROUP_ID_NOT_FOUND', detail)
}

function requireUpgradable(classic: ClassicGroup, { settings }: ConsumerGroupOptions): void {
  const { groupId } = classic
  if (!policyAllows(settings.groupConsumerMigrationPolicy, 'upgrade')) {
    throw refused(groupId, 'online upgrade is disabled')
  }
  if (classic.protocolType !== CONSUMER_PROTOCOL) {
    throw refused(groupId, 'the group does not use the consumer embedded protocol')
  }
  if (classic.memberCount > settings.groupConsumerMaxSize) {
    throw refused(groupId, 'the group size exceeds the consumer group maximum size')
  }
}

/** The consumer group and the records that make it of the classic one, in Kafka's order. */
function upgraded(classic: ClassicGroup, options: ConsumerGroupOptions, nowMs: number) {
  const { groupId, generation } = classic
  const image = options.image()
  const protocol = classic.protocol ?? classic.members.electProtocol()
  const taken = new Set<string>()
  const members = [...classic.members.all()].map(member =>
    consumerMember(groupId, { member, protocol, generation, image, taken }),
  )
  const topics = new Set(members.flatMap(({ subscribedTopicNames }) => subscribedTopicNames))
  const key = { groupId }
  const made: OffsetsRecord[] = [
    ...members.map(member => metadataRecord(groupId, member)),
    {
      name: 'ConsumerGroupMetadata',
      key,
      value: { epoch: generation, metadataHash: topicsHash(topics, image) },
    },
    ...members.map(({ memberId, assigned }) =>
      targetRecord(groupId, memberId, partitionsOf(assigned)),
    ),
    {
      name: 'ConsumerGroupTargetAssignmentMetadata',
      key,
      value: { assignmentEpoch: generation, assignmentTimestamp: 0 },
    },
    ...members.map(member => currentRecord(groupId, member)),
  ]
  const group = new ConsumerGroup(groupId, options)
  for (const record of made) group.replay(record)
  group.nowMs = nowMs
  for (const { memberId, connectionId } of classic.members.all()) {
    group.isAlive(group.data.members.get(memberId)!, connectionId)
  }
  return { group, records: [...classic.tombstones(), ...made] }
}

function consumerMember(
  groupId: string,
  of: {
    readonly member: Member
    readonly protocol: string | null
    readonly generation: number
    readonly image: ClusterImage
    readonly taken: Set<string>
  },
): ConsumerMember {
  const { member, protocol, generation, image, taken } = of
  const subscription = readWholeSubscription(metadataOf(member, protocol))
  const nothing = { assignedPartitions: [], userData: null }
  const assignment =
    member.assignment.length === 0 ? nothing : readWholeAssignment(member.assignment)
  if (subscription === null || assignment === null) {
    throw refused(groupId, 'the embedded consumer protocol is malformed')
  }
  if (assignment.userData !== null && assignment.userData.length > 0) {
    throw refused(
      groupId,
      'an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor before re-attempting the upgrade',
    )
  }
  const { memberId, sessionTimeoutMs, protocols } = member
  return {
    ...newMember(memberId),
    instanceId: member.groupInstanceId,
    rackId: subscription.rackId,
    clientId: member.client.clientId,
    clientHost: member.client.clientHost,
    subscribedTopicNames: [...new Set(subscription.topics)].sort(),
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    classic: { sessionTimeoutMs, supportedProtocols: protocols },
    memberEpoch: generation,
    previousMemberEpoch: generation,
    assigned: ownedIn(assignment.assignedPartitions, { generation, image, taken }),
  }
}

/** Only what is there, and each partition once: a client has made this assignment. */
function ownedIn(
  assigned: NonNullable<ReturnType<typeof readWholeAssignment>>['assignedPartitions'],
  of: { readonly generation: number; readonly image: ClusterImage; readonly taken: Set<string> },
): OwnedPartitions {
  const owned = new Map<string, Map<number, number>>()
  for (const { topic: name, partitions } of assigned) {
    const topic = of.image.topics.get(name)
    for (const partition of partitions) {
      const key = `${name}/${partition}`
      if (topic?.partitions[partition] === undefined || of.taken.has(key)) continue
      of.taken.add(key)
      const epochs = owned.get(topic.id)
      if (epochs === undefined) owned.set(topic.id, new Map([[partition, of.generation]]))
      else epochs.set(partition, of.generation)
    }
  }
  return owned
}

function partitionsOf(owned: OwnedPartitions) {
  return new Map([...owned].map(([topicId, epochs]) => [topicId, new Set(epochs.keys())] as const))
}

/** ConsumerGroupHeartbeat: what a request must look like, and whether it may speak for its member. Both as Kafka says it. */
import type { RequestOf } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Partitions } from './assignment.ts'
import { assignors } from './assignors.ts'
import {
  type ClassicPart,
  type ConsumerMember,
  LEAVE_EPOCH,
  type OwnedPartitions,
  partitionMap,
  STATIC_LEAVE_EPOCH,
} from './consumer-member.ts'
import type { ConsumerState } from './consumer-state.ts'
import { sameProtocols } from './members.ts'

export type HeartbeatRequest = RequestOf<'ConsumerGroupHeartbeat'>

/** From here on members make their ids themselves. */
const OWN_IDS_SINCE_VERSION = 1

/** @throws INVALID_REQUEST or UNSUPPORTED_ASSIGNOR */
export function checkHeartbeat(
  request: HeartbeatRequest,
  apiVersion: number,
  offered: readonly string[],
): void {
  const { groupId, memberId, memberEpoch, instanceId, rackId, serverAssignor } = request
  if (groupId === '') throw invalid(`GroupId can't be empty.`)
  const needsId = memberEpoch !== 0 || apiVersion >= OWN_IDS_SINCE_VERSION
  if (memberId === '' && needsId) throw invalid(`MemberId can't be empty.`)
  if (instanceId === '') throw invalid(`InstanceId can't be empty.`)
  if (rackId === '') throw invalid(`RackId can't be empty.`)
  if (memberEpoch === 0) checkJoin(request)
  else if (memberEpoch === STATIC_LEAVE_EPOCH && instanceId === null) {
    throw invalid(`InstanceId can't be null.`)
  } else if (memberEpoch < STATIC_LEAVE_EPOCH) {
    throw invalid(`MemberEpoch ${memberEpoch} is invalid.`)
  }
  if (serverAssignor === null || offered.includes(serverAssignor)) return
  throw new ProtocolError(
    'UNSUPPORTED_ASSIGNOR',
    `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${offered.join(', ')}.`,
  )
}

function checkJoin(request: HeartbeatRequest): void {
  if (request.rebalanceTimeoutMs === -1) {
    throw invalid('RebalanceTimeoutMs must be provided in first request.')
  }
  if (request.topicPartitions === null || request.topicPartitions.length > 0) {
    throw invalid('TopicPartitions must be empty when (re-)joining.')
  }
  if (request.subscribedTopicNames === null && request.subscribedTopicRegex === null) {
    throw invalid(
      'Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.',
    )
  }
}

function invalid(detail: string): ProtocolError {
  return new ProtocolError('INVALID_REQUEST', detail)
}

/** Whether an assignor of this name is there and may be chosen. */
export function offeredAssignors(configured: readonly string[]): string[] {
  return configured.filter(name => assignors[name] !== undefined)
}

/**
 * The member that a heartbeat speaks for; null for one that is to be made (epoch 0 only).
 *
 * @throws UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, FENCED_INSTANCE_ID or UNRELEASED_INSTANCE_ID
 */
export function memberFor(state: ConsumerState, request: HeartbeatRequest): ConsumerMember | null {
  const { memberId, memberEpoch, instanceId } = request
  const known = instanceId === null ? state.members.get(memberId) : state.staticMember(instanceId)
  if (known === undefined) {
    if (memberEpoch === 0) return null
    throw unknownMember(state.groupId, request)
  }
  if (known.memberId !== memberId) {
    if (memberEpoch !== 0) throw fencedInstance(known, request)
    // Who changes its protocol does not say that it leaves first.
    if (known.memberEpoch === STATIC_LEAVE_EPOCH || known.classic !== null) return known
    throw new ProtocolError(
      'UNRELEASED_INSTANCE_ID',
      `Static member ${memberId} with instance id ${instanceId} cannot join the group because the instance id is owned by ${known.memberId} member.`,
    )
  }
  checkEpoch(known, request)
  return known
}

function unknownMember(groupId: string, request: HeartbeatRequest): ProtocolError {
  const { memberId, instanceId } = request
  const why =
    instanceId === null
      ? `Member ${memberId} is not a member of group ${groupId}.`
      : `Instance id ${instanceId} is unknown.`
  return new ProtocolError('UNKNOWN_MEMBER_ID', why)
}

function fencedInstance(known: ConsumerMember, request: HeartbeatRequest): ProtocolError {
  const { memberId, instanceId } = request
  return new ProtocolError(
    'FENCED_INSTANCE_ID',
    `Static member ${memberId} with instance id ${instanceId} was fenced by member ${known.memberId}.`,
  )
}

/** A member that did not get its last answer comes with the epoch before it, and with nothing that it was not given. */
function checkEpoch(member: ConsumerMember, request: HeartbeatRequest): void {
  const { memberEpoch, topicPartitions } = request
  if (memberEpoch <= 0 || memberEpoch === member.memberEpoch) return
  const isGreater = memberEpoch > member.memberEpoch
  const lostAnAnswer =
    memberEpoch === member.previousMemberEpoch &&
    topicPartitions !== null &&
    isSubset(partitionMap(topicPartitions), member.assigned)
  if (!isGreater && lostAnAnswer) return
  const size = isGreater ? 'greater' : 'smaller'
  throw new ProtocolError(
    'FENCED_MEMBER_EPOCH',
    `The consumer group member has a ${size} member epoch (${memberEpoch}) than the one known by the group coordinator (${member.memberEpoch}). The member must abandon all its partitions and rejoin.`,
  )
}

function isSubset(some: Partitions, owned: OwnedPartitions): boolean {
  for (const [topicId, partitions] of some) {
    for (const partition of partitions)
      if (owned.get(topicId)?.has(partition) !== true) return false
  }
  return true
}

/** The member that leaves. @throws UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID */
export function leavingMember(state: ConsumerState, request: HeartbeatRequest): ConsumerMember {
  const { memberId, instanceId } = request
  const known = instanceId === null ? state.members.get(memberId) : state.staticMember(instanceId)
  if (known === undefined) throw unknownMember(state.groupId, request)
  if (known.memberId !== memberId) throw fencedInstance(known, request)
  return known
}

/** Whether the member goes: for good, or for now as a static one. */
export const isLeave = ({ memberEpoch }: HeartbeatRequest): boolean =>
  memberEpoch === LEAVE_EPOCH || memberEpoch === STATIC_LEAVE_EPOCH

/** Whether the request is the short form that clients send most of the time, from where the member is known to be. */
function saysNothingNew(
  member: ConsumerMember,
  request: HeartbeatRequest,
  client: { readonly clientId: string; readonly clientHost: string },
): boolean {
  return (
    member.classic === null &&
    request.subscribedTopicNames === null &&
    request.subscribedTopicRegex === null &&
    request.rebalanceTimeoutMs === -1 &&
    request.serverAssignor === null &&
    request.rackId === null &&
    (request.instanceId ?? member.instanceId) === member.instanceId &&
    client.clientId === member.clientId &&
    client.clientHost === member.clientHost
  )
}

/** The member with what the request says anew of it. */
export function updatedBy(
  member: ConsumerMember,
  request: HeartbeatRequest,
  client: { readonly clientId: string; readonly clientHost: string },
): ConsumerMember {
  if (saysNothingNew(member, request, client)) return member
  const { subscribedTopicNames, rebalanceTimeoutMs } = request
  return {
    ...member,
    instanceId: request.instanceId ?? member.instanceId,
    rackId: request.rackId ?? member.rackId,
    clientId: client.clientId,
    clientHost: client.clientHost,
    subscribedTopicNames:
      subscribedTopicNames === null
        ? member.subscribedTopicNames
        : [...new Set(subscribedTopicNames)].sort(),
    subscribedTopicRegex: request.subscribedTopicRegex ?? member.subscribedTopicRegex,
    rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? member.rebalanceTimeoutMs : rebalanceTimeoutMs,
    serverAssignor: request.serverAssignor ?? member.serverAssignor,
    classic: null,
  }
}

/** Whether the two say the same of themselves. */
export function sameMetadata(a: ConsumerMember, b: ConsumerMember): boolean {
  return (
    a.instanceId === b.instanceId &&
    a.rackId === b.rackId &&
    a.clientId === b.clientId &&
    a.clientHost === b.clientHost &&
    a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
    a.serverAssignor === b.serverAssignor &&
    sameClassicPart(a.classic, b.classic) &&
    sameSubscription(a, b)
  )
}

function sameClassicPart(a: ClassicPart | null, b: ClassicPart | null): boolean {
  if (a === null || b === null) return a === b
  return (
    a.sessionTimeoutMs === b.sessionTimeoutMs &&
    sameProtocols(a.supportedProtocols, b.supportedProtocols)
  )
}

/** Whether the two subscribe to the same names and by the same pattern. */
export function sameSubscription(a: ConsumerMember, b: ConsumerMember): boolean {
  const names = a.subscribedTopicNames
  return (
    a.subscribedTopicRegex === b.subscribedTopicRegex &&
    names.length === b.subscribedTopicNames.length &&
    names.every((name, i) => name === b.subscribedTopicNames[i])
  )
}

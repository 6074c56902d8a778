/** The answers of a classic group to the four requests of its protocol. */
import type { ResponseInput } from '../../protocol/apis.ts'
import { type ErrorName, errorCode } from '../../protocol/errors.ts'
import type { ClassicGroup } from './group.ts'
import { metadataOf } from './group-record.ts'
import type { Member, Waiting } from './members.ts'
import type { GroupEffect, Ticket } from './step.ts'

/** Before version 7 a protocol name cannot be null. */
const noProtocol = (apiVersion: number) => (apiVersion >= 7 ? null : '')

/** A JoinGroup answer that says no. */
export function joinFailure(apiVersion: number, memberId: string, error: ErrorName) {
  return {
    errorCode: errorCode(error),
    generationId: -1,
    protocolName: noProtocol(apiVersion),
    leader: '',
    memberId,
    members: [],
  }
}

/** A JoinGroup that waits is answered with this error. */
export function joinRefusal(waiting: Waiting, memberId: string, error: ErrorName): GroupEffect {
  const { ticket, apiVersion } = waiting
  return { kind: 'reply', ticket, response: joinFailure(apiVersion, memberId, error) }
}

/** What a member of a generation hears of it; the leader also of all members. */
export function joinedReply(
  group: ClassicGroup,
  { memberId }: Member,
  { ticket, apiVersion }: Waiting,
  differing: Partial<ResponseInput<'JoinGroup'>>,
): GroupEffect {
  const { generation, protocolType, protocol, members } = group
  const leader = members.leader ?? ''
  const listed = (member: Member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    metadata: metadataOf(member, protocol),
  })
  const response = {
    errorCode: 0,
    generationId: generation,
    protocolType,
    protocolName: protocol ?? noProtocol(apiVersion),
    leader,
    memberId,
    members: leader === memberId ? [...members.all()].map(listed) : [],
    ...differing,
  }
  return { kind: 'reply', ticket, response }
}

/** A SyncGroup that waits is answered with this error. */
export function syncRefusal(ticket: Ticket, error: ErrorName): GroupEffect {
  return {
    kind: 'reply',
    ticket,
    response: { errorCode: errorCode(error), assignment: Buffer.alloc(0) },
  }
}

/** The answer to a Heartbeat. */
export function heartbeatReply(ticket: Ticket, error: ErrorName): GroupEffect {
  return { kind: 'reply', ticket, response: { errorCode: errorCode(error) } }
}

/** What a member of KIP-848 hears from a classic group that it does not join. */
export function notConsumers(ticket: Ticket, groupId: string): GroupEffect {
  const error = errorCode('GROUP_ID_NOT_FOUND')
  const errorMessage = `Group ${groupId} is not a consumer group.`
  return { kind: 'reply', ticket, response: { errorCode: error, errorMessage } }
}

export interface Left {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly error: ErrorName
}

/** Before version 3 there is one member, and its error is that of the request. */
export function leaveReply({ ticket, apiVersion }: Waiting, left: readonly Left[]): GroupEffect {
  if (apiVersion < 3) {
    return { kind: 'reply', ticket, response: { errorCode: errorCode(left[0]!.error) } }
  }
  const members = left.map(({ memberId, groupInstanceId, error }) => ({
    memberId,
    groupInstanceId,
    errorCode: errorCode(error),
  }))
  return { kind: 'reply', ticket, response: { errorCode: 0, members } }
}

/** What a member hears when the offsets topic could not be written: as Kafka says it. */
export function groupError(error: ErrorName): ErrorName {
  switch (error) {
    case 'UNKNOWN_TOPIC_OR_PARTITION':
    case 'NOT_ENOUGH_REPLICAS':
    case 'NOT_ENOUGH_REPLICAS_AFTER_APPEND':
    case 'REQUEST_TIMED_OUT':
      return 'COORDINATOR_NOT_AVAILABLE'
    case 'NOT_LEADER_OR_FOLLOWER':
    case 'KAFKA_STORAGE_ERROR':
      return 'NOT_COORDINATOR'
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return 'UNKNOWN_SERVER_ERROR'
    default:
      return error
  }
}

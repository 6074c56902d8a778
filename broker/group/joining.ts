/**
 * How a member gets into a classic group: who is let in, who keeps its place, and what begins a rebalance.
 *
 *   no member id, dynamic    an id is given out (MEMBER_ID_REQUIRED, KIP-394), or before version 4 it joins at once
 *   no member id, static     takes over from its old self (KIP-345), or joins
 *   a known member id        rejoins: a rebalance, unless it only asks again for what it was told already
 */
import type { RequestOf } from '../../protocol/apis.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { ClassicGroup, GroupSettings } from './group.ts'
import {
  type Member,
  metadataBytes,
  named,
  type Protocol,
  sameProtocols,
  type Waiting,
} from './members.ts'
import { joinRefusal } from './replies.ts'
import type { GroupEvent } from './step.ts'

type Join = Extract<GroupEvent, { readonly kind: 'join' }>
type Request = RequestOf<'JoinGroup'>

/** How long a new member waits for its first generation: it cannot heartbeat yet. Kafka's number. */
const NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000
/** What one member may say about itself: more would not fit into a record of the offsets topic. */
export const MAX_MEMBER_BYTES = 1024 * 1024
/** What all members of a group may say together. */
export const MAX_GROUP_BYTES = 32 * 1024 * 1024
/** Member ids that were given out and not used yet. */
export const MAX_PENDING_MEMBERS = 10_000

/** One JoinGroup. */
export function join(group: ClassicGroup, event: Join): void {
  const { request, ticket, apiVersion } = event
  const waiting: Waiting = { ticket, apiVersion }
  const { memberId } = request
  const refuse = (error: ErrorName, id = memberId) => group.effect(joinRefusal(waiting, id, error))
  if (!isSessionAllowed(request, group.settings)) return refuse('INVALID_SESSION_TIMEOUT')
  if (!hasRoomFor(group, event)) return refuse('GROUP_MAX_SIZE_REACHED', '')
  if (!isCompatible(group, event)) return refuse('INCONSISTENT_GROUP_PROTOCOL')
  if (memberId === '') return joinNew(group, event, waiting)
  if (group.pending.has(memberId)) return add(group, event, waiting, memberId)
  const error = group.memberError(memberId, request.groupInstanceId)
  if (error !== null) return refuse(error)
  rejoin(group, event, waiting, group.members.get(memberId)!)
}

/** Whether the session timeout that a member asks for is one of those that the broker allows. */
export function isSessionAllowed({ sessionTimeoutMs }: Request, settings: GroupSettings): boolean {
  const { groupMinSessionTimeoutMs, groupMaxSessionTimeoutMs } = settings
  return (
    sessionTimeoutMs >= groupMinSessionTimeoutMs && sessionTimeoutMs <= groupMaxSessionTimeoutMs
  )
}

function hasRoomFor(group: ClassicGroup, { request }: Join): boolean {
  const { members, pending, settings } = group
  const bytes = metadataBytes(request.protocols)
  const known = members.get(request.memberId)
  const isPreparing = group.state === 'PreparingRebalance'
  const isBounded =
    bytes <= MAX_MEMBER_BYTES &&
    members.sizeBytes + bytes <= MAX_GROUP_BYTES &&
    (request.memberId !== '' || pending.size < MAX_PENDING_MEMBERS)
  const isCounted = known !== undefined && (!isPreparing || known.joining !== null)
  const count = isPreparing ? members.joiningSize : members.size
  if (isBounded && (isCounted || count < settings.groupMaxSize)) return true
  group.log('warn', 'member refused: the group is full', {
    memberId: request.memberId,
    members: members.size,
    'group.max.size': settings.groupMaxSize,
    metadataBytes: bytes,
    groupBytes: members.sizeBytes,
    limits: { member: MAX_MEMBER_BYTES, group: MAX_GROUP_BYTES, pending: MAX_PENDING_MEMBERS },
  })
  return false
}

/** Whether the member could be in one generation with the others; the log gets both lists if not. */
function isCompatible(group: ClassicGroup, { request, client }: Join): boolean {
  const { members } = group
  const { protocolType, protocols } = request
  const isOfType = members.size === 0 ? protocolType !== '' : protocolType === group.protocolType
  if (isOfType && members.fits(protocols)) return true
  group.log('warn', 'member refused: no protocol in common', {
    memberId: request.memberId,
    clientId: client.clientId,
    clientHost: client.clientHost,
    itsProtocolType: protocolType,
    itsProtocols: protocols.map(({ name }) => name),
    groupProtocolType: group.protocolType,
    groupProtocols: members.commonProtocols(),
  })
  return false
}

function joinNew(group: ClassicGroup, event: Join, waiting: Waiting): void {
  const { request, newMemberId } = event
  const { groupInstanceId } = request
  if (groupInstanceId !== null) {
    const known = group.members.staticId(groupInstanceId)
    if (known !== undefined) return replace(group, event, waiting, group.members.get(known)!)
  } else if (waiting.apiVersion >= 4) {
    // A client whose answers get lost must not leave a member behind at each attempt.
    group.expect(newMemberId, request.sessionTimeoutMs)
    return group.effect(joinRefusal(waiting, newMemberId, 'MEMBER_ID_REQUIRED'))
  }
  add(group, event, waiting, newMemberId)
}

function add(group: ClassicGroup, event: Join, waiting: Waiting, memberId: string): void {
  const { request, client } = event
  const member: Member = {
    memberId,
    groupInstanceId: request.groupInstanceId,
    client,
    connectionId: client.connectionId,
    ...timeoutsOf(request),
    protocols: copiedProtocols(request.protocols),
    assignment: Buffer.alloc(0),
    joining: waiting,
    syncing: null,
    isNew: true,
    deadlineMs: Number.POSITIVE_INFINITY,
    isDisconnected: false,
  }
  group.add(member, request.protocolType, NEW_MEMBER_JOIN_TIMEOUT_MS)
  group.rebalance('member joined', `${named(member)} joined${reasonOf(request)}`)
}

function rejoin(group: ClassicGroup, event: Join, waiting: Waiting, member: Member): void {
  const { request } = event
  const isSame = sameProtocols(member.protocols, request.protocols)
  const isLeader = group.members.leader === member.memberId
  group.isAlive(member, event.client.connectionId)
  const isRepeated =
    group.state === 'CompletingRebalance' || (group.state === 'Stable' && !isLeader)
  if (isSame && isRepeated) return group.joined(member, waiting)
  waitForGeneration(group, member, waiting, request)
  if (isSame && isLeader) {
    return group.rebalance(
      'leader rejoined',
      `the leader ${named(member)} rejoined${reasonOf(request)}`,
    )
  }
  const did = isSame ? 'rejoined' : 'changed what it subscribes to or supports'
  group.rebalance('member changed', `${named(member)} ${did}${reasonOf(request)}`)
}

/** Takes what a known member says now, and lets it wait for the next generation. */
function waitForGeneration(
  group: ClassicGroup,
  member: Member,
  waiting: Waiting,
  request: Request,
): void {
  // A request of it that waits already was given up by its client, which asks anew.
  group.refuseWaiting(member, 'REBALANCE_IN_PROGRESS')
  Object.assign(member, timeoutsOf(request))
  group.members.setProtocols(member, copiedProtocols(request.protocols))
  group.members.setJoining(member, waiting)
}

/** A static member is back under a new id: its old self is fenced, its assignment stays (KIP-345). */
function replace(group: ClassicGroup, event: Join, waiting: Waiting, member: Member): void {
  const { members } = group
  const oldId = member.memberId
  const oldLeader = members.leader
  group.refuseWaiting(member, 'FENCED_INSTANCE_ID')
  group.rename(member, event.newMemberId)
  group.isAlive(member, event.client.connectionId)
  waitForGeneration(group, member, waiting, event.request)
  const detail = `static member ${named(member)} came back for '${oldId}'`
  const isUnchanged = group.state === 'Stable' && members.electProtocol() === group.protocol
  if (!isUnchanged) {
    return group.rebalance('member joined', `${detail}${reasonOf(event.request)}`)
  }
  group.log('info', 'static member replaced', { oldMemberId: oldId, memberId: member.memberId })
  group.persist()
  members.setJoining(member, null)
  // KIP-814 lets a leader know that there is nothing to assign; older versions are not told that they lead.
  if (waiting.apiVersion >= 9) {
    return group.joined(member, waiting, { skipAssignment: members.leader === member.memberId })
  }
  group.joined(member, waiting, { leader: oldLeader ?? '', members: [] })
}

/** The timeouts that a JoinGroup asks for, in ms; before version 1 the session is also the time to rejoin. */
export function timeoutsOf({ sessionTimeoutMs, rebalanceTimeoutMs }: Request) {
  // Version 0 has one timeout for both.
  const rebalanceMs = rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs
  return { sessionTimeoutMs, rebalanceTimeoutMs: rebalanceMs }
}

/** The frame that the request came in is reused. */
export function copiedProtocols(protocols: Request['protocols']): readonly Protocol[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) }))
}

function reasonOf({ reason }: Request): string {
  return reason === null || reason === '' ? '' : `; it says: ${reason.slice(0, 200)}`
}

/**
 * Members of the classic protocol in a consumer group (KIP-848), while an application changes over. Their JoinGroup is a
 * heartbeat that says all, in what consumers embed in the classic protocol; the generation they hear of is their epoch.
 *
 *   JoinGroup    leads the member one step towards its target; answered at once, it leads nobody and waits for nobody
 *   SyncGroup    what it has now
 *   Heartbeat    REBALANCE_IN_PROGRESS as long as a JoinGroup could bring it further; then it has its rebalance timeout for it
 *   LeaveGroup   also removes static members, of whichever protocol
 *
 * As Kafka does it (GroupMetadataManager, the ...ToConsumerGroup methods).
 */
import { type ErrorName, ProtocolError } from '../../protocol/errors.ts'
import {
  readWholeSubscription,
  type Subscription,
  writeAssignment,
} from '../../protocol/messages/consumer-protocol.ts'
import type { Partitions } from './assignment.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { sameSubscription } from './consumer-heartbeat.ts'
import {
  type ConsumerMember,
  newMember,
  UNRELEASED_PARTITIONS,
  UNREVOKED_PARTITIONS,
} from './consumer-member.ts'
import { maybeAssign, refreshTopics } from './consumer-target.ts'
import { canDowngrade, downgrade, isSettled } from './downgrade.ts'
import { copiedProtocols, isSessionAllowed, MAX_MEMBER_BYTES, timeoutsOf } from './joining.ts'
import { namedToLeave, saidOnLeaving } from './leaving.ts'
import { metadataBytes } from './members.ts'
import { policyMixes } from './migration-policy.ts'
import { heartbeatReply, joinRefusal, type Left, leaveReply, syncRefusal } from './replies.ts'
import type { GroupEvent, RebalanceCause } from './step.ts'
import { CONSUMER_PROTOCOL } from './subscription.ts'

type Event<K extends GroupEvent['kind']> = Extract<GroupEvent, { readonly kind: K }>
export type ClassicEvent = Event<'join' | 'sync' | 'heartbeat' | 'leave'>

/** One request of the classic protocol. */
export function answerClassic(group: ConsumerGroup, event: ClassicEvent): void {
  try {
    if (event.kind === 'join') join(group, event)
    else if (event.kind === 'sync') sync(group, event)
    else if (event.kind === 'heartbeat') heartbeat(group, event)
    else leave(group, event)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    group.effect(refusal(event, error.error))
  }
}

function refusal(event: ClassicEvent, error: ErrorName) {
  const { ticket } = event
  if (event.kind === 'join') return joinRefusal(event, event.request.memberId, error)
  if (event.kind === 'sync') return syncRefusal(ticket, error)
  return heartbeatReply(ticket, error)
}

// JoinGroup.

function join(group: ConsumerGroup, event: Event<'join'>): void {
  const { request, client, newMemberId } = event
  const { groupInstanceId } = request
  const isNew = request.memberId === ''
  const memberId = isNew ? newMemberId : request.memberId
  const { settings } = group.options
  if (!isSessionAllowed(request, settings)) throw new ProtocolError('INVALID_SESSION_TIMEOUT')
  if (!policyMixes(settings.groupConsumerMigrationPolicy)) {
    throw new ProtocolError('INCONSISTENT_GROUP_PROTOCOL', 'the groups do not migrate')
  }
  if (!group.data.members.has(memberId)) group.checkSize()
  const subscription = subscriptionOf(group, event)
  if (isNew && groupInstanceId === null && event.apiVersion >= 4) {
    return group.effect(joinRefusal(event, memberId, 'MEMBER_ID_REQUIRED'))
  }
  const known = memberFor(group, memberId, groupInstanceId, isNew)
  const said: ConsumerMember = {
    ...(known ?? newMember(memberId)),
    memberId,
    instanceId: groupInstanceId ?? known?.instanceId ?? null,
    rackId: subscription.rackId ?? known?.rackId ?? null,
    clientId: client.clientId,
    clientHost: client.clientHost,
    rebalanceTimeoutMs: timeoutsOf(request).rebalanceTimeoutMs,
    subscribedTopicNames: [...new Set(subscription.topics)].sort(),
    subscribedTopicRegex: '',
    classic: {
      sessionTimeoutMs: request.sessionTimeoutMs,
      supportedProtocols: copiedProtocols(request.protocols),
    },
  }
  const wasLastConsumer = known !== null && canDowngrade(group, [known], said)
  const { member } = group.enrol(known, said, ownedBy(group, subscription))
  group.isAlive(member, client.connectionId)
  group.timers.hasDone(memberId, 'join')
  group.timers.expect(memberId, 'sync', group.nowMs + said.rebalanceTimeoutMs)
  group.effect(joined(event, member))
  if (!wasLastConsumer) return
  const isQuiet = sameSubscription(known, said) && isSettled(group)
  downgrade(group, [], isQuiet ? null : ['member changed', 'a static member changed its protocol'])
}

/** What the member embeds. @throws INCONSISTENT_GROUP_PROTOCOL or GROUP_MAX_SIZE_REACHED */
function subscriptionOf({ data }: ConsumerGroup, { request }: Event<'join'>): Subscription {
  const { protocolType, protocols } = request
  if (metadataBytes(protocols) > MAX_MEMBER_BYTES) {
    throw new ProtocolError('GROUP_MAX_SIZE_REACHED', 'the member says too much')
  }
  const [first] = protocols
  const subscription = first === undefined ? null : readWholeSubscription(first.metadata)
  const isPossible =
    protocolType === CONSUMER_PROTOCOL &&
    protocols.some(({ name }) => data.allClassicSupport(name, request.memberId))
  if (isPossible && subscription !== null) return subscription
  throw new ProtocolError('INCONSISTENT_GROUP_PROTOCOL', 'the protocols are not supported')
}

/** Who joins; null for a member that is to be made. @throws UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID */
function memberFor(
  { data }: ConsumerGroup,
  memberId: string,
  instanceId: string | null,
  isNew: boolean,
): ConsumerMember | null {
  if (instanceId === null) return data.members.get(memberId) ?? null
  const known = data.staticMember(instanceId)
  if (isNew) return known ?? null
  return checked(known, memberId)
}

function checked(known: ConsumerMember | undefined, memberId: string): ConsumerMember {
  if (known === undefined) throw new ProtocolError('UNKNOWN_MEMBER_ID')
  if (known.memberId !== memberId) throw new ProtocolError('FENCED_INSTANCE_ID')
  return known
}

function ownedBy({ options }: ConsumerGroup, { ownedPartitions }: Subscription): Partitions {
  const { topics } = options.image()
  return new Map(
    ownedPartitions.flatMap(({ topic, partitions }) => {
      const id = topics.get(topic)?.id
      return id === undefined ? [] : [[id, new Set(partitions)] as const]
    }),
  )
}

function joined({ ticket }: Event<'join'>, { memberId, memberEpoch, classic }: ConsumerMember) {
  const response = {
    errorCode: 0,
    generationId: memberEpoch,
    protocolType: CONSUMER_PROTOCOL,
    protocolName: classic!.supportedProtocols[0]!.name,
    leader: '',
    memberId,
    members: [],
  }
  return { kind: 'reply', ticket, response } as const
}

// SyncGroup and Heartbeat.

/** The member that a request within a generation speaks for. @throws why it may not */
function memberOf(
  { data }: ConsumerGroup,
  request: {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly generationId: number
  },
): ConsumerMember {
  const { memberId, groupInstanceId, generationId } = request
  const member = checked(
    groupInstanceId === null ? data.members.get(memberId) : data.staticMember(groupInstanceId),
    memberId,
  )
  if (member.classic === null) throw new ProtocolError('UNKNOWN_MEMBER_ID')
  if (member.memberEpoch !== generationId) throw new ProtocolError('ILLEGAL_GENERATION')
  return member
}

function sync(group: ConsumerGroup, { request, ticket, client }: Event<'sync'>): void {
  const member = memberOf(group, request)
  const { protocolType, protocolName } = request
  const [first] = member.classic!.supportedProtocols
  const isOther =
    (protocolType !== null && protocolType !== CONSUMER_PROTOCOL) ||
    (protocolName !== null && protocolName !== first!.name)
  if (isOther) throw new ProtocolError('INCONSISTENT_GROUP_PROTOCOL')
  const isBehind = member.memberEpoch < group.data.assignmentEpoch
  // Who gives up partitions has rejoined already, and will again.
  if (isBehind && member.state !== UNREVOKED_PARTITIONS) {
    expectJoin(group, member)
    throw new ProtocolError('REBALANCE_IN_PROGRESS')
  }
  group.timers.hasDone(member.memberId, 'sync')
  group.isAlive(member, client.connectionId)
  const assignment = writeAssignment(assignedTo(group, member), first!.metadata)
  const response = { errorCode: 0, protocolType, protocolName, assignment }
  group.effect({ kind: 'reply', ticket, response })
}

function assignedTo({ options }: ConsumerGroup, { assigned }: ConsumerMember) {
  const { topicsById } = options.image()
  return [...assigned].flatMap(([topicId, epochs]) => {
    const topic = topicsById.get(topicId)
    const partitions = [...epochs.keys()].sort((a, b) => a - b)
    return topic === undefined ? [] : [{ topic: topic.name, partitions }]
  })
}

function heartbeat(group: ConsumerGroup, { request, ticket, client }: Event<'heartbeat'>): void {
  const member = memberOf(group, request)
  group.isAlive(member, client.connectionId)
  // Kafka leaves this to members of the consumer protocol; there may be none.
  refreshTopics(group, null)
  maybeAssign(group)
  const { data } = group
  const shouldRejoin =
    member.memberEpoch < data.assignmentEpoch ||
    member.state === UNREVOKED_PARTITIONS ||
    (member.state === UNRELEASED_PARTITIONS && data.isTargetFree(member))
  if (shouldRejoin) expectJoin(group, member)
  group.effect(heartbeatReply(ticket, shouldRejoin ? 'REBALANCE_IN_PROGRESS' : 'NONE'))
}

function expectJoin(group: ConsumerGroup, { memberId, rebalanceTimeoutMs }: ConsumerMember): void {
  group.timers.expect(memberId, 'join', group.nowMs + rebalanceTimeoutMs)
}

// LeaveGroup.

function leave(group: ConsumerGroup, event: Event<'leave'>): void {
  const { data } = group
  const gone = new Map<string, readonly [ConsumerMember, RebalanceCause, string]>()
  const did = `left${saidOnLeaving(event)}`
  const left = namedToLeave(event).map(({ memberId, groupInstanceId }): Left => {
    const known =
      groupInstanceId === null ? data.members.get(memberId) : data.staticMember(groupInstanceId)
    if (known === undefined) return { memberId, groupInstanceId, error: 'UNKNOWN_MEMBER_ID' }
    const isByInstance = memberId === '' && groupInstanceId !== null
    if (!isByInstance && known.memberId !== memberId) {
      return { memberId, groupInstanceId, error: 'FENCED_INSTANCE_ID' }
    }
    gone.set(known.memberId, [known, 'member left', did])
    return { memberId, groupInstanceId, error: 'NONE' }
  })
  group.effect(leaveReply(event, left))
  group.remove([...gone.values()])
}

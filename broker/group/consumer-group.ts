/**
 * `ConsumerGroup`: the group of KIP-848 as a pure step (step.ts). Members say in heartbeats what they subscribe to and what
 * they have; the group decides who shall read what (consumer-target.ts), and leads each member there in its own time
 * (reconcile.ts).
 *
 *   group epoch        rises when a member comes, goes or subscribes otherwise, or its topics change
 *   assignment epoch   the group epoch that the target assignment was made for
 *   member epoch       the assignment epoch that a member has reached
 *
 * Nobody waits for anybody else but for partitions. A member that is silent for its session timeout, or does not give up
 * partitions within its rebalance timeout, is fenced: removed, and told so when it comes again.
 *
 * Members of the classic protocol may be among them while an application changes over (classic-members.ts). A classic group
 * becomes one of this kind when the first member of the consumer protocol comes (upgrade.ts), and is one again when the last
 * of them goes (downgrade.ts).
 */
import type { ErrorName } from '../../protocol/errors.ts'
import { errorCode, ProtocolError } from '../../protocol/errors.ts'
import type { OffsetsRecord, OffsetsRecordInput } from '../../protocol/messages/offsets-topic.ts'
import type { BrokerConfig } from '../config.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { Partitions } from './assignment.ts'
import { answerClassic } from './classic-members.ts'
import {
  checkHeartbeat,
  type HeartbeatRequest,
  isLeave,
  leavingMember,
  memberFor,
  offeredAssignors,
  sameMetadata,
  sameSubscription,
  updatedBy,
} from './consumer-heartbeat.ts'
import {
  type ConsumerMember,
  currentRecord,
  memberTombstones,
  metadataRecord,
  namedMember,
  newMember,
  partitionList,
  partitionMap,
  STABLE,
  STATIC_LEAVE_EPOCH,
  targetRecord,
  UNREVOKED_PARTITIONS,
} from './consumer-member.ts'
import { ConsumerState } from './consumer-state.ts'
import { maybeAssign, refreshTopics, topicIdsOf, untilTargetMs } from './consumer-target.ts'
import { canDowngrade, downgrade } from './downgrade.ts'
import { explainConsumerGroup, type LastRebalance } from './explain.ts'
import type { GroupSettings } from './group.ts'
import { MAX_GROUP_BYTES } from './joining.ts'
import { MemberTimers, type Overdue } from './member-timers.ts'
import { reconcile, sameOwned } from './reconcile.ts'
import type {
  CommittedPartition,
  Group,
  GroupEffect,
  GroupEvent,
  GroupStateName,
  OffsetsClient,
  RebalanceCause,
} from './step.ts'
import type { TopicPatterns } from './topic-patterns.ts'

/** What a group may have settings of its own for. */
export interface GroupTiming {
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  readonly assignmentIntervalMs: number
}

export interface ConsumerGroupOptions {
  /** Read at the moment when they are needed. */
  readonly settings: GroupSettings &
    Pick<
      BrokerConfig,
      'groupConsumerAssignors' | 'groupConsumerMaxSize' | 'groupConsumerMigrationPolicy'
    >
  readonly timing: (groupId: string) => GroupTiming
  readonly image: () => ClusterImage
  readonly patterns: TopicPatterns
}

type HeartbeatEvent = Extract<GroupEvent, { readonly kind: 'consumerHeartbeat' }>

/** Before, OffsetCommit has no place for an epoch. */
const MEMBER_EPOCHS_SINCE_VERSION = 9

const OVERDUE: { readonly [W in Overdue]: readonly [cause: RebalanceCause, did: string] } = {
  session: ['member timed out', 'was not heard of in time'],
  disconnected: ['member disconnected', 'closed its connection and did not come back'],
  rebalance: ['member timed out', 'did not give up its partitions in time'],
  join: ['member timed out', 'did not rejoin in time'],
  sync: ['member did not sync', 'did not fetch its assignment in time'],
}

export class ConsumerGroup implements Group {
  readonly type = 'Consumer'
  readonly protocolType = 'consumer'
  readonly groupId: string
  readonly data: ConsumerState
  readonly options: ConsumerGroupOptions
  readonly timers = new MemberTimers()
  topicsMayDiffer = true
  nowMs = 0
  private undo: (() => void)[] = []
  private effects: GroupEffect[] = []
  private last: LastRebalance | null = null

  constructor(groupId: string, options: ConsumerGroupOptions) {
    this.groupId = groupId
    this.data = new ConsumerState(groupId)
    this.options = options
  }

  get state(): GroupStateName {
    const { members, groupEpoch, assignmentEpoch } = this.data
    if (members.size === 0) return 'Empty'
    if (groupEpoch > assignmentEpoch) return 'Assigning'
    for (const { state, memberEpoch } of members.values()) {
      if (state !== STABLE || memberEpoch !== assignmentEpoch) return 'Reconciling'
    }
    return 'Stable'
  }

  get memberCount(): number {
    return this.data.members.size
  }

  get isIdle(): boolean {
    return this.data.members.size === 0
  }

  /** The assignor that most members ask for; the first of the broker's where nobody asks. */
  get assignorName(): string {
    const offered = offeredAssignors(this.options.settings.groupConsumerAssignors)
    const [first = 'uniform'] = offered
    const votes = new Map<string, number>()
    for (const { serverAssignor } of this.data.members.values()) {
      if (serverAssignor === null || !offered.includes(serverAssignor)) continue
      votes.set(serverAssignor, (votes.get(serverAssignor) ?? 0) + 1)
    }
    let best = first
    for (const [name, count] of votes) if (count > (votes.get(best) ?? 0)) best = name
    return best
  }

  get timing(): GroupTiming {
    return this.options.timing(this.groupId)
  }

  step(event: GroupEvent, nowMs: number): readonly GroupEffect[] {
    this.nowMs = nowMs
    if (event.kind === 'writeFailed') this.takeBack()
    this.undo = []
    switch (event.kind) {
      case 'consumerHeartbeat':
        this.heartbeat(event)
        break
      case 'tick':
        this.tick()
        break
      case 'disconnected':
        this.disconnected(event.connectionId)
        break
      case 'topicsChanged':
        this.topicsMayDiffer = true
        break
      case 'writeFailed':
        break
      default:
        answerClassic(this, event)
    }
    return this.taken()
  }

  nextDeadlineMs(): number {
    return this.timers.wakeMs
  }

  effect(effect: GroupEffect): void {
    this.effects.push(effect)
  }

  /** A new group epoch has begun, for this reason. */
  began(cause: RebalanceCause, detail: string): void {
    this.last = { cause, detail, atMs: this.nowMs }
    this.effect({ kind: 'rebalance', cause, detail })
  }

  private heartbeat(event: HeartbeatEvent): void {
    const { ticket, request } = event
    try {
      const { settings } = this.options
      checkHeartbeat(request, event.apiVersion, offeredAssignors(settings.groupConsumerAssignors))
      const response = isLeave(request) ? this.leave(request) : this.alive(event)
      this.effect({ kind: 'reply', ticket, response: { errorCode: 0, ...response } })
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const refusal = { errorCode: errorCode(error.error), errorMessage: error.detail }
      this.effect({ kind: 'reply', ticket, response: refusal })
    }
  }

  private alive({ request, client, newMemberId }: HeartbeatEvent) {
    const memberId = request.memberId === '' ? newMemberId : request.memberId
    const asked = request.memberId === '' ? { ...request, memberId } : request
    const known = memberFor(this.data, asked)
    if (known === null) this.checkSize()
    const { topicPartitions } = request
    const updated = updatedBy(known ?? newMember(memberId), asked, client)
    const said = updated.memberId === memberId ? updated : { ...updated, memberId }
    if (said.subscribedTopicRegex !== '') this.options.patterns.check(said.subscribedTopicRegex)
    const owned = topicPartitions === null ? null : partitionMap(topicPartitions)
    const { before, member } = this.enrol(known, said, owned)
    const isFull =
      request.rebalanceTimeoutMs !== -1 &&
      (request.subscribedTopicNames !== null || request.subscribedTopicRegex !== null) &&
      topicPartitions !== null
    const tellsAll =
      request.memberEpoch === 0 || isFull || !sameOwned(before.assigned, member.assigned)
    this.isAlive(member, client.connectionId)
    const { heartbeatIntervalMs } = this.timing
    const isTargetDue = this.data.assignmentEpoch < this.data.groupEpoch
    const untilMs = isTargetDue ? untilTargetMs(this) : heartbeatIntervalMs
    return {
      memberId,
      memberEpoch: member.memberEpoch,
      heartbeatIntervalMs: Math.max(1, Math.min(heartbeatIntervalMs, untilMs)),
      assignment: tellsAll ? { topicPartitions: partitionList(member.assigned) } : null,
    }
  }

  /**
   * Takes what a member says (`known` is what was known of it, `owned` what it has still) and leads it one step towards its
   * target. @throws GROUP_MAX_SIZE_REACHED
   */
  enrol(
    known: ConsumerMember | null,
    said: ConsumerMember,
    owned: Partitions | null,
  ): { readonly before: ConsumerMember; readonly member: ConsumerMember } {
    const bytesBefore = this.data.sizeBytes
    const before = this.present(known, said)
    if (this.data.sizeBytes > Math.max(bytesBefore, MAX_GROUP_BYTES)) {
      this.takeBack()
      this.effects = []
      throw new ProtocolError(
        'GROUP_MAX_SIZE_REACHED',
        `What the members of the group say of themselves is more than ${MAX_GROUP_BYTES} bytes.`,
      )
    }
    refreshTopics(this, this.changed(known, said))
    maybeAssign(this)
    return { before, member: this.advance(said.memberId, owned) }
  }

  /** @throws GROUP_MAX_SIZE_REACHED */
  checkSize(): void {
    const { groupConsumerMaxSize } = this.options.settings
    if (this.data.members.size < groupConsumerMaxSize) return
    throw new ProtocolError(
      'GROUP_MAX_SIZE_REACHED',
      `The consumer group has reached its maximum capacity of ${groupConsumerMaxSize} members.`,
    )
  }

  /** Makes the member that heartbeats one of the group, in place of a static one that left for now. */
  private present(known: ConsumerMember | null, said: ConsumerMember): ConsumerMember {
    const { groupId, data } = this
    const { memberId } = said
    if (known !== null && known.memberId === memberId && known.memberEpoch >= 0) {
      if (!sameMetadata(known, said)) this.keep([metadataRecord(groupId, said)])
      return known
    }
    const fresh: ConsumerMember = { ...said, memberEpoch: 0, previousMemberEpoch: 0 }
    if (known === null) {
      this.keep([metadataRecord(groupId, said), currentRecord(groupId, fresh)])
      return fresh
    }
    const target = data.target(known.memberId)
    if (known.memberId !== memberId) {
      this.keep(memberTombstones(groupId, known.memberId))
      this.timers.delete(known.memberId)
    }
    this.keep([
      metadataRecord(groupId, said),
      targetRecord(groupId, memberId, target),
      currentRecord(groupId, fresh),
    ])
    return fresh
  }

  /** Why the target must be made anew because of this member; null if it need not be. */
  private changed(
    known: ConsumerMember | null,
    said: ConsumerMember,
  ): readonly [RebalanceCause, string] | null {
    if (known === null) return ['member joined', `${namedMember(said)} joined`]
    if (sameSubscription(known, said)) return null
    return ['member changed', `${namedMember(said)} changed its subscription`]
  }

  /** Leads the member one step towards its target. */
  private advance(memberId: string, owned: Partitions | null): ConsumerMember {
    const { data } = this
    const member = data.members.get(memberId)!
    if (member.state === STABLE && member.memberEpoch === data.assignmentEpoch) return member
    const next = reconcile(member, {
      epoch: data.assignmentEpoch,
      partitions: data.target(memberId),
      topicIds: topicIdsOf(this, member),
      owned,
      isFree: (topicId, partition) => data.isFree(topicId, partition),
    })
    if (next !== member) this.keep([currentRecord(this.groupId, next)])
    return next
  }

  private leave(request: HeartbeatRequest) {
    const member = leavingMember(this.data, request)
    const { memberId, memberEpoch } = request
    if (memberEpoch === STATIC_LEAVE_EPOCH) {
      const { memberEpoch: previousMemberEpoch } = member
      const away = { ...member, memberEpoch, previousMemberEpoch, pendingRevocation: new Map() }
      this.keep([currentRecord(this.groupId, { ...away, state: STABLE })])
      this.timers.hasDone(memberId, 'rebalance')
    } else this.remove([[member, 'member left', 'left']])
    return { memberId, memberEpoch }
  }

  /** Members are out, each for its reason; the group is a classic one then if only such members are left. */
  remove(gone: readonly (readonly [ConsumerMember, RebalanceCause, did: string])[]): void {
    const [first] = gone
    if (first === undefined) return
    const members = gone.map(([member]) => member)
    const [, cause, did] = first
    const isAlike = gone.every(([, , other]) => other === did)
    const detail = isAlike
      ? `${members.map(namedMember).join(', ')} ${did}`
      : gone.map(([member, , what]) => `${namedMember(member)} ${what}`).join(', ')
    for (const { memberId } of members) this.timers.delete(memberId)
    if (canDowngrade(this, members)) return downgrade(this, members, [cause, detail])
    for (const { memberId } of members) this.keep(memberTombstones(this.groupId, memberId))
    refreshTopics(this, [cause, detail])
  }

  /** A sign of life; begins to wait for partitions that the member must give up. */
  isAlive(member: ConsumerMember, connectionId: number): void {
    const { memberId, state, rebalanceTimeoutMs, classic } = member
    const sessionMs = classic?.sessionTimeoutMs ?? this.timing.sessionTimeoutMs
    this.timers.heard(memberId, this.nowMs + sessionMs, connectionId)
    if (classic === null && state === UNREVOKED_PARTITIONS) {
      this.timers.expect(memberId, 'rebalance', this.nowMs + rebalanceTimeoutMs)
    } else this.timers.hasDone(memberId, 'rebalance')
  }

  private tick(): void {
    const gone: [ConsumerMember, RebalanceCause, string][] = []
    for (const [memberId, why] of this.timers.due(this.nowMs)) {
      const member = this.data.members.get(memberId)
      if (member === undefined) this.timers.delete(memberId)
      else gone.push([member, ...OVERDUE[why]])
    }
    this.remove(gone)
  }

  private disconnected(connectionId: number): void {
    const { groupDropOnDisconnectMs } = this.options.settings
    if (groupDropOnDisconnectMs < 0) return
    this.timers.disconnected(connectionId, this.nowMs + groupDropOnDisconnectMs)
  }

  /** Changes the state by these records, and has them written. */
  keep(records: readonly OffsetsRecord[]): void {
    for (const record of records) this.undo.push(this.data.apply(record))
    this.effects.push({ kind: 'persist', records })
  }

  /** The last step's records were not kept: neither is what they said. */
  private takeBack(): void {
    for (const undo of this.undo.reverse()) undo()
    this.undo = []
    this.topicsMayDiffer = true
    this.startTimers()
  }

  private startTimers(): void {
    for (const member of this.data.members.values()) {
      if (!this.timers.has(member.memberId)) this.isAlive(member, -1)
    }
  }

  private taken(): readonly GroupEffect[] {
    const { effects } = this
    this.effects = []
    return effects
  }

  // The log of the past.

  replay(record: OffsetsRecord): void {
    this.data.apply(record)
  }

  loaded(nowMs: number): readonly GroupEffect[] {
    this.nowMs = nowMs
    this.startTimers()
    return this.taken()
  }

  tombstones(): readonly OffsetsRecordInput[] {
    return this.data.groupEpoch === 0 ? [] : this.data.tombstones()
  }

  // What the rest of the coordinator asks.

  checkCommit(
    client: OffsetsClient,
    _nowMs: number,
    partitions: readonly CommittedPartition[],
  ): ErrorName | null {
    const { memberId, generationIdOrMemberEpoch: epoch, apiVersion } = client
    if (epoch < 0 && this.isIdle) return null
    const member = this.data.members.get(memberId)
    if (member === undefined) return 'UNKNOWN_MEMBER_ID'
    if (member.classic === null && apiVersion < MEMBER_EPOCHS_SINCE_VERSION) {
      return 'UNSUPPORTED_VERSION'
    }
    if (epoch === member.memberEpoch) return null
    // A member may be behind: what it has had since then is still its own (KIP-1251).
    const isBehind = epoch < member.memberEpoch
    const isOwn = isBehind && partitions.every(one => this.givenIn(member, one) <= epoch)
    return isOwn ? null : staleEpoch(member)
  }

  /** The epoch in which the member was given a partition; Infinity if it has it no longer. */
  private givenIn(
    { assigned, pendingRevocation }: ConsumerMember,
    { topic, partition }: CommittedPartition,
  ): number {
    const topicId = this.options.image().topics.get(topic)?.id ?? ''
    const epoch = assigned.get(topicId)?.get(partition)
    return epoch ?? pendingRevocation.get(topicId)?.get(partition) ?? Number.POSITIVE_INFINITY
  }

  /**
   * A member of the classic protocol may be behind, as in a classic group, which asks nothing: its fetch may overtake the
   * JoinGroup on another connection, and @platformatic/kafka stops reading at an error. Kafka: ILLEGAL_GENERATION.
   */
  checkFetch(memberId: string, memberEpoch: number): ErrorName | null {
    const member = this.data.members.get(memberId)
    if (member === undefined) return 'UNKNOWN_MEMBER_ID'
    const isBehind = memberEpoch < member.memberEpoch
    const isFine = memberEpoch === member.memberEpoch || (isBehind && member.classic !== null)
    return isFine ? null : staleEpoch(member)
  }

  isSubscribedTo(topic: string): boolean {
    return this.data.subscriptions().has(topic)
  }

  expiryBase(topic: string, commitTimestampMs: number): number | null {
    return this.isSubscribedTo(topic) ? null : commitTimestampMs
  }

  explain(nowMs: number): string {
    return explainConsumerGroup(this, this.last, nowMs)
  }
}

function staleEpoch({ classic }: ConsumerMember): ErrorName {
  return classic === null ? 'STALE_MEMBER_EPOCH' : 'ILLEGAL_GENERATION'
}

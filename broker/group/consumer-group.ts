/**
 * `ConsumerGroup`: the group of KIP-848 as a pure step (step.ts). Members say in heartbeats what they subscribe to and what
 * they have; the group decides who shall read what, and leads each member there in its own time (reconcile.ts).
 *
 *   group epoch        rises when a member comes, goes or subscribes otherwise, or its topics change
 *   assignment epoch   the group epoch that the target assignment was made for
 *   member epoch       the assignment epoch that a member has reached
 *
 * Nobody waits for anybody else but for partitions. A member that is silent for its session timeout, or does not give up
 * partitions within its rebalance timeout, is fenced: removed, and told so when it comes again.
 */
import type { ErrorName } from '../../protocol/errors.ts'
import { errorCode, ProtocolError } from '../../protocol/errors.ts'
import type { OffsetsRecord, OffsetsRecordInput } from '../../protocol/messages/offsets-topic.ts'
import type { BrokerConfig } from '../config.ts'
import type { ClusterImage } from '../metadata/image.ts'
import { assignors } from './assignors.ts'
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
  samePartitions,
  targetRecord,
  UNRELEASED_PARTITIONS,
  UNREVOKED_PARTITIONS,
} from './consumer-member.ts'
import { ConsumerState } from './consumer-state.ts'
import { explainConsumerGroup, type LastRebalance } from './explain.ts'
import { reconcile, sameOwned } from './reconcile.ts'
import { refusalOfClassic } from './replies.ts'
import type {
  Group,
  GroupEffect,
  GroupEvent,
  GroupStateName,
  OffsetsClient,
  RebalanceCause,
} from './step.ts'
import type { TopicPatterns } from './topic-patterns.ts'
import { topicsHash } from './topics-hash.ts'

export interface ConsumerGroupOptions {
  /** Read at the moment when they are needed. */
  readonly settings: Pick<
    BrokerConfig,
    | 'groupConsumerAssignors'
    | 'groupConsumerHeartbeatIntervalMs'
    | 'groupConsumerMaxSize'
    | 'groupConsumerSessionTimeoutMs'
    | 'groupDropOnDisconnectMs'
  >
  readonly image: () => ClusterImage
  readonly patterns: TopicPatterns
}

type HeartbeatEvent = Extract<GroupEvent, { readonly kind: 'consumerHeartbeat' }>

/** When a member counts as gone. */
interface Timers {
  sessionDeadlineMs: number
  /** While it has to give up partitions. */
  rebalanceDeadlineMs: number
  connectionId: number
  isDisconnected: boolean
}

const NEVER = Number.POSITIVE_INFINITY

export class ConsumerGroup implements Group {
  readonly type = 'Consumer'
  readonly protocolType = 'consumer'
  readonly groupId: string
  readonly data: ConsumerState
  private readonly options: ConsumerGroupOptions
  private readonly timers = new Map<string, Timers>()
  private undo: (() => void)[] = []
  private effects: GroupEffect[] = []
  private topicsMayDiffer = true
  private last: LastRebalance | null = null
  private wakeMs = NEVER
  private nowMs = 0

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
      if (memberEpoch === STATIC_LEAVE_EPOCH) continue
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
    const [first = 'uniform'] = offeredAssignors(this.options.settings.groupConsumerAssignors)
    const votes = new Map<string, number>()
    for (const { serverAssignor } of this.data.members.values()) {
      if (serverAssignor === null || assignors[serverAssignor] === undefined) continue
      votes.set(serverAssignor, (votes.get(serverAssignor) ?? 0) + 1)
    }
    let best = first
    for (const [name, count] of votes) if (count > (votes.get(best) ?? 0)) best = name
    return best
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
        this.effects.push(refusalOfClassic(event))
    }
    return this.taken()
  }

  nextDeadlineMs(): number {
    return this.wakeMs
  }

  private heartbeat(event: HeartbeatEvent): void {
    const { ticket, request } = event
    try {
      const { settings } = this.options
      checkHeartbeat(request, event.apiVersion, offeredAssignors(settings.groupConsumerAssignors))
      const response = isLeave(request) ? this.leave(request) : this.alive(event)
      this.effects.push({ kind: 'reply', ticket, response: { errorCode: 0, ...response } })
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const refusal = { errorCode: errorCode(error.error), errorMessage: error.detail }
      this.effects.push({ kind: 'reply', ticket, response: refusal })
    }
  }

  private alive({ request, client, newMemberId }: HeartbeatEvent) {
    const memberId = request.memberId === '' ? newMemberId : request.memberId
    const asked = { ...request, memberId }
    const known = memberFor(this.data, asked)
    if (known === null) this.checkSize()
    const said = updatedBy(known ?? newMember(memberId), asked, client)
    if (said.subscribedTopicRegex !== '') this.options.patterns.check(said.subscribedTopicRegex)
    const before = this.present(known, { ...said, memberId })
    const wasChanged = this.changed(known, said)
    this.refreshTopics(wasChanged)
    this.maybeAssign()
    const member = this.advance(memberId, request)
    const isFull =
      request.rebalanceTimeoutMs !== -1 &&
      (request.subscribedTopicNames !== null || request.subscribedTopicRegex !== null) &&
      request.topicPartitions !== null
    const tellsAll =
      request.memberEpoch === 0 || isFull || !sameOwned(before.assigned, member.assigned)
    this.isAlive(member, client.connectionId)
    return {
      memberId,
      memberEpoch: member.memberEpoch,
      heartbeatIntervalMs: this.options.settings.groupConsumerHeartbeatIntervalMs,
      assignment: tellsAll ? { topicPartitions: partitionList(member.assigned) } : null,
    }
  }

  private checkSize(): void {
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

  /** Looks what patterns match and how large topics are, where that may have changed; begins a new group epoch if so. */
  private refreshTopics(because: readonly [RebalanceCause, string] | null): void {
    if (because === null && !this.topicsMayDiffer) return
    const { data, groupId } = this
    const image = this.options.image()
    const wanted = new Set([...data.members.values()].map(m => m.subscribedTopicRegex))
    for (const regularExpression of wanted) {
      if (regularExpression === '') continue
      const topics = [...this.options.patterns.resolve(regularExpression, image)]
      const known = data.patterns.get(regularExpression)
      if (known !== undefined && topics.join() === known.topics.join()) continue
      const value = { topics, version: image.revision, timestamp: this.nowMs }
      const key = { groupId, regularExpression }
      this.keep([{ name: 'ConsumerGroupRegularExpression', key, value }])
    }
    for (const regularExpression of data.patterns.keys()) {
      if (wanted.has(regularExpression)) continue
      const key = { groupId, regularExpression }
      this.keep([{ name: 'ConsumerGroupRegularExpression', key, value: null }])
    }
    this.topicsMayDiffer = false
    const hash = topicsHash(data.subscriptions(), image)
    if (because !== null) this.nextEpoch(...because, hash)
    else if (hash !== data.metadataHash) {
      this.nextEpoch('topics changed', 'topics that members subscribe to were changed', hash)
    }
  }

  private nextEpoch(cause: RebalanceCause, detail: string, metadataHash: number): void {
    const epoch = this.data.groupEpoch + 1
    const key = { groupId: this.groupId }
    this.keep([{ name: 'ConsumerGroupMetadata', key, value: { epoch, metadataHash } }])
    this.last = { cause, detail, atMs: this.nowMs }
    this.effects.push({ kind: 'rebalance', cause, detail })
  }

  /** Makes a target for the group epoch if there is none. */
  private maybeAssign(): void {
    const { data, groupId, nowMs } = this
    if (data.assignmentEpoch >= data.groupEpoch) return
    const { topics } = this.options.image()
    const counts = new Map<string, number>()
    const members = [...data.members.values()].map(member => {
      const topicIds = this.topicIdsOf(member)
      return { memberId: member.memberId, topicIds, partitions: data.target(member.memberId) }
    })
    for (const name of data.subscriptions()) {
      const topic = topics.get(name)
      if (topic !== undefined) counts.set(topic.id, topic.partitions.length)
    }
    const assignor = this.assignorName
    const assignment = assignors[assignor]!(members, counts)
    for (const { memberId } of members) {
      const target = assignment.get(memberId)!
      if (samePartitions(target, data.target(memberId))) continue
      this.keep([targetRecord(groupId, memberId, target)])
    }
    const value = { assignmentEpoch: data.groupEpoch, assignmentTimestamp: nowMs }
    const key = { groupId }
    this.keep([{ name: 'ConsumerGroupTargetAssignmentMetadata', key, value }])
    const fields = { epoch: data.groupEpoch, members: members.length, assignor }
    this.effects.push({ kind: 'log', level: 'info', event: 'assignment made', fields })
  }

  private topicIdsOf(member: ConsumerMember): ReadonlySet<string> {
    const { topics } = this.options.image()
    const ids = new Set<string>()
    for (const name of this.data.subscription(member)) {
      const topic = topics.get(name)
      if (topic !== undefined) ids.add(topic.id)
    }
    return ids
  }

  /** Leads the member one step towards its target. */
  private advance(memberId: string, { topicPartitions }: HeartbeatRequest): ConsumerMember {
    const { data } = this
    const member = data.members.get(memberId)!
    if (member.state === STABLE && member.memberEpoch === data.assignmentEpoch) return member
    const next = reconcile(member, {
      epoch: data.assignmentEpoch,
      partitions: data.target(memberId),
      topicIds: this.topicIdsOf(member),
      owned: topicPartitions === null ? null : partitionMap(topicPartitions),
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
      const timers = this.timers.get(memberId)
      if (timers !== undefined) timers.rebalanceDeadlineMs = NEVER
    } else this.remove('member left', [member], 'left')
    return { memberId, memberEpoch }
  }

  private remove(cause: RebalanceCause, gone: readonly ConsumerMember[], did: string): void {
    if (gone.length === 0) return
    for (const { memberId } of gone) {
      this.keep(memberTombstones(this.groupId, memberId))
      this.timers.delete(memberId)
    }
    const whom = gone.map(namedMember).join(', ')
    this.refreshTopics([cause, `${whom} ${did}`])
  }

  private isAlive(member: ConsumerMember, connectionId: number): void {
    const { memberId, state, rebalanceTimeoutMs } = member
    const { groupConsumerSessionTimeoutMs } = this.options.settings
    const before = this.timers.get(memberId)?.rebalanceDeadlineMs ?? NEVER
    const isRevoking = state === UNREVOKED_PARTITIONS
    const rebalanceDeadlineMs = isRevoking
      ? Math.min(before, this.nowMs + rebalanceTimeoutMs)
      : NEVER
    const sessionDeadlineMs = this.nowMs + groupConsumerSessionTimeoutMs
    const timers = { sessionDeadlineMs, rebalanceDeadlineMs, connectionId, isDisconnected: false }
    this.timers.set(memberId, timers)
    this.wakeMs = Math.min(this.wakeMs, sessionDeadlineMs, rebalanceDeadlineMs)
  }

  private tick(): void {
    const silent: ConsumerMember[] = []
    const dropped: ConsumerMember[] = []
    const stuck: ConsumerMember[] = []
    this.wakeMs = NEVER
    for (const [memberId, timers] of this.timers) {
      const { sessionDeadlineMs, rebalanceDeadlineMs, isDisconnected } = timers
      const member = this.data.members.get(memberId)
      if (member === undefined) this.timers.delete(memberId)
      else if (sessionDeadlineMs <= this.nowMs) (isDisconnected ? dropped : silent).push(member)
      else if (rebalanceDeadlineMs <= this.nowMs) stuck.push(member)
      else this.wakeMs = Math.min(this.wakeMs, sessionDeadlineMs, rebalanceDeadlineMs)
    }
    this.remove('member timed out', silent, 'was not heard of in time')
    this.remove('member disconnected', dropped, 'closed its connection and did not come back')
    this.remove('member timed out', stuck, 'did not give up its partitions in time')
  }

  private disconnected(connectionId: number): void {
    const { groupDropOnDisconnectMs } = this.options.settings
    if (groupDropOnDisconnectMs < 0) return
    for (const timers of this.timers.values()) {
      if (timers.connectionId !== connectionId) continue
      timers.isDisconnected = true
      const atMs = this.nowMs + groupDropOnDisconnectMs
      timers.sessionDeadlineMs = Math.min(timers.sessionDeadlineMs, atMs)
      this.wakeMs = Math.min(this.wakeMs, timers.sessionDeadlineMs)
    }
  }

  private keep(records: readonly OffsetsRecord[]): void {
    for (const record of records) this.undo.push(this.data.apply(record))
    this.effects.push({ kind: 'persist', records })
  }

  /** The last step's records were not kept: neither is what they said. */
  private takeBack(): void {
    for (const undo of this.undo.reverse()) undo()
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

  checkCommit(client: OffsetsClient): ErrorName | null {
    const { memberId, generationIdOrMemberEpoch: epoch, apiVersion } = client
    if (epoch < 0 && this.isIdle) return null
    const error = this.checkFetch(memberId, epoch)
    return error === 'STALE_MEMBER_EPOCH' && apiVersion < 9 ? 'ILLEGAL_GENERATION' : error
  }

  checkFetch(memberId: string, memberEpoch: number): ErrorName | null {
    const member = this.data.members.get(memberId)
    if (member === undefined) return 'UNKNOWN_MEMBER_ID'
    return memberEpoch === member.memberEpoch ? null : 'STALE_MEMBER_EPOCH'
  }

  isSubscribedTo(topic: string): boolean {
    return this.data.subscriptions().has(topic)
  }

  expiryBase(topic: string, commitTimestampMs: number): number | null {
    return this.isSubscribedTo(topic) ? null : commitTimestampMs
  }

  explain(nowMs: number): string {
    const members = [...this.data.members.values()]
    const { groupEpoch, assignmentEpoch } = this.data
    const revoking = members.filter(({ state }) => state === UNREVOKED_PARTITIONS)
    const waiting = members.filter(({ state }) => state === UNRELEASED_PARTITIONS)
    const behind = members.filter(
      one => one.state === STABLE && one.memberEpoch >= 0 && one.memberEpoch < assignmentEpoch,
    )
    const named = { revoking, waiting, behind }
    const size = members.length
    return explainConsumerGroup({ last: this.last, groupEpoch, size, ...named }, nowMs)
  }
}

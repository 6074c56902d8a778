/**
 * `ClassicGroup`: the group of the classic protocol as a pure step (step.ts). Members join, the coordinator chooses a leader
 * and a protocol that all support, the leader hands in an assignment that the coordinator does not look into.
 *
 *                 join                     all rejoined, or time is up              leader syncs
 *   ┌─────────┐ ───────▶ ┌────────────────────┐ ───────▶ ┌─────────────────────┐ ───────▶ ┌────────┐
 *   │  Empty  │          │ PreparingRebalance │          │ CompletingRebalance │          │ Stable │
 *   └─────────┘ ◀─────── └────────────────────┘ ◀─────── └─────────────────────┘          └────────┘
 *            nobody is left        ▲        a member comes, goes or changes                   │
 *                                  └──────────────────────────────────────────────────────────┘
 *
 * Invariants: a generation number only grows; it has one leader, one protocol and one assignment; a member acts only in
 * the current one. Every rebalance has a reason. A static member (KIP-345) keeps its place under a new member id, and the
 * new id is persisted before it is told. Members see for themselves that topics have changed, and rejoin.
 */
import type { ResponseInput } from '../../protocol/apis.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { OffsetsRecord, OffsetsRecordInput } from '../../protocol/messages/offsets-topic.ts'
import type { BrokerConfig } from '../config.ts'
import { explainGroup, type LastRebalance, namedList } from './explain.ts'
import { groupRecord, groupTombstone, membersOf } from './group-record.ts'
import { join } from './joining.ts'
import { leave } from './leaving.ts'
import { type Member, Members, type Waiting } from './members.ts'
import { heartbeatReply, joinedReply, joinRefusal, notConsumers, syncRefusal } from './replies.ts'
import type {
  Group,
  GroupEffect,
  GroupEvent,
  GroupStateName,
  OffsetsClient,
  RebalanceCause,
} from './step.ts'
import { CONSUMER_PROTOCOL, subscriptionsOf } from './subscription.ts'
import { sync } from './syncing.ts'

/** The settings that a classic group reads, at the moment when it needs them. */
export type GroupSettings = Pick<
  BrokerConfig,
  | 'groupMinSessionTimeoutMs'
  | 'groupMaxSessionTimeoutMs'
  | 'groupMaxSize'
  | 'groupInitialRebalanceDelayMs'
  | 'groupDropOnDisconnectMs'
>

type Event<K extends GroupEvent['kind']> = Extract<GroupEvent, { readonly kind: K }>

/** A rebalance that nobody joined is looked at again after this long, or the members' own timeout. */
const REJOIN_PAUSE_MS = 1000
const NEVER = Number.POSITIVE_INFINITY
const NO_BYTES = Buffer.alloc(0)

export class ClassicGroup implements Group {
  readonly type = 'Classic'
  readonly groupId: string
  readonly settings: GroupSettings
  readonly members: Members
  /** Member ids that were given out and not used yet, and until when they may be. */
  readonly pending = new Map<string, number>()
  state: GroupStateName = 'Empty'
  protocolType = ''
  generation = 0
  protocol: string | null = null
  /** When the state began; -1 for a group that only ever stored offsets. */
  private stateSinceMs = -1
  /** Who has not asked for its assignment in this generation. */
  private readonly pendingSync = new Set<string>()
  /** The topics that members read; null while they cannot be told. */
  private subscribed: ReadonlySet<string> | null = new Set()
  private last: LastRebalance | null = null
  private joinDeadlineMs = NEVER
  private syncDeadlineMs = NEVER
  /** While an empty group waits for more first members: by how much that may still be extended. */
  private extensionMs: number | null = null
  private hasGrown = false
  /** Not after the first deadline. */
  private wakeMs = NEVER
  /** Whether the last step wrote something of this group. */
  private writes = false
  private effects: GroupEffect[] = []
  private nowMs = 0

  constructor(groupId: string, settings: GroupSettings, members: Members = new Members()) {
    this.groupId = groupId
    this.settings = settings
    this.members = members
  }

  get memberCount(): number {
    return this.members.size
  }

  get isIdle(): boolean {
    return this.state === 'Empty' && this.pending.size === 0
  }

  step(event: GroupEvent, nowMs: number): readonly GroupEffect[] {
    this.nowMs = nowMs
    const hasWritten = this.writes
    this.writes = false
    switch (event.kind) {
      case 'join':
        join(this, event)
        break
      case 'sync':
        sync(this, event)
        break
      case 'heartbeat':
        this.effect(heartbeatReply(event.ticket, this.heartbeat(event)))
        break
      case 'leave':
        leave(this, event)
        break
      case 'tick':
        this.tick()
        break
      case 'disconnected':
        this.disconnected(event.connectionId)
        break
      case 'writeFailed':
        if (this.state === 'Stable' && hasWritten) {
          this.prepareRebalance('write failed', `the assignment was not kept: ${event.error}`)
        }
        break
      case 'consumerHeartbeat':
        return [notConsumers(event.ticket, this.groupId)]
    }
    return this.taken()
  }

  nextDeadlineMs(): number {
    return this.wakeMs
  }

  // What joining.ts is made of.

  effect(effect: GroupEffect): void {
    this.effects.push(effect)
  }

  log(level: 'info' | 'warn', event: string, fields: Readonly<Record<string, unknown>>): void {
    this.effects.push({ kind: 'log', level, event, fields })
  }

  /** Whether a request may speak for this member; null if so. */
  memberError(memberId: string, groupInstanceId: string | null): ErrorName | null {
    if (groupInstanceId !== null) {
      const current = this.members.staticId(groupInstanceId)
      if (current === undefined) return 'UNKNOWN_MEMBER_ID'
      if (current !== memberId) return 'FENCED_INSTANCE_ID'
    }
    return this.members.get(memberId) === undefined ? 'UNKNOWN_MEMBER_ID' : null
  }

  /** A member id was given out: its owner has so long to join with it. */
  expect(memberId: string, withinMs: number): void {
    this.pending.set(memberId, this.nowMs + withinMs)
    this.wakeAt(this.nowMs + withinMs)
  }

  add(member: Member, protocolType: string, withinMs: number): void {
    this.pending.delete(member.memberId)
    if (this.members.size === 0) this.protocolType = protocolType
    member.deadlineMs = this.nowMs + withinMs
    this.wakeAt(member.deadlineMs)
    this.members.add(member)
    this.hasGrown = true
  }

  rename(member: Member, memberId: string): void {
    if (this.pendingSync.delete(member.memberId)) this.pendingSync.add(memberId)
    this.members.rename(member, memberId)
  }

  /** The member has asked for its assignment. */
  hasSynced(member: Member): void {
    this.pendingSync.delete(member.memberId)
    if (this.pendingSync.size === 0) this.syncDeadlineMs = NEVER
  }

  isAlive(member: Member, connectionId: number): void {
    member.connectionId = connectionId
    member.isDisconnected = false
    member.deadlineMs = this.nowMs + member.sessionTimeoutMs
    this.wakeAt(member.deadlineMs)
  }

  /** Answers what waits of this member. */
  refuseWaiting(member: Member, error: ErrorName): void {
    const { joining, syncing } = member
    if (joining !== null) this.effect(joinRefusal(joining, member.memberId, error))
    if (syncing !== null) this.effect(syncRefusal(syncing.ticket, error))
    this.members.setJoining(member, null)
    member.syncing = null
  }

  /** Answers all that waits, because the group becomes one of the other kind. */
  refuseAll(error: ErrorName): readonly GroupEffect[] {
    this.writes = false
    for (const member of this.members.all()) this.refuseWaiting(member, error)
    return this.taken()
  }

  /** Tells a member of its generation; the leader also of all members. */
  joined(
    member: Member,
    waiting: Waiting,
    differing: Partial<ResponseInput<'JoinGroup'>> = {},
  ): void {
    this.effect(joinedReply(this, member, waiting, differing))
  }

  persist(): void {
    this.writes = true
    const { protocolType, generation, protocol, stateSinceMs, members } = this
    const leader = this.state === 'Empty' ? null : members.leader
    const head = { protocolType, generation, protocol, leader, currentStateTimestamp: stateSinceMs }
    const record = groupRecord(this.groupId, head, members.all())
    this.effect({ kind: 'persist', records: [record] })
  }

  // Generations.

  /** Begins a rebalance, or finishes the one that is under way if that was all it waited for. */
  rebalance(cause: RebalanceCause, detail: string): void {
    if (this.state === 'PreparingRebalance') this.maybeCompleteJoin()
    else this.prepareRebalance(cause, detail)
  }

  private prepareRebalance(cause: RebalanceCause, detail: string): void {
    for (const member of this.members.all()) {
      if (member.syncing !== null) {
        this.refuseWaiting(member, 'REBALANCE_IN_PROGRESS')
        this.isAlive(member, member.connectionId)
      }
      // An assignment that was never complete, or never kept, is nobody's.
      if (this.state === 'CompletingRebalance' || cause === 'write failed') {
        this.members.setAssignment(member, NO_BYTES)
      }
    }
    this.pendingSync.clear()
    this.syncDeadlineMs = NEVER
    this.last = { cause, detail, atMs: this.nowMs }
    this.effect({ kind: 'rebalance', cause, detail })
    const wasEmpty = this.state === 'Empty'
    this.enter('PreparingRebalance')
    const delayMs = this.settings.groupInitialRebalanceDelayMs
    if (!wasEmpty) {
      this.waitForJoins(this.rebalanceTimeoutMs())
      this.maybeCompleteJoin()
    } else if (delayMs > 0) {
      this.extensionMs = Math.max(0, this.rebalanceTimeoutMs() - delayMs)
      this.hasGrown = false
      this.waitForJoins(delayMs)
    } else this.completeJoin()
  }

  private waitForJoins(forMs: number): void {
    this.joinDeadlineMs = this.nowMs + forMs
    this.wakeAt(this.joinDeadlineMs)
  }

  maybeCompleteJoin(): void {
    const { members } = this
    if (this.state !== 'PreparingRebalance' || this.extensionMs !== null) return
    if (members.joiningSize >= members.size && this.pending.size === 0) this.completeJoin()
  }

  /** Waiting is over: who has not rejoined is out, unless it is static. */
  private completeJoin(): void {
    const { members } = this
    this.joinDeadlineMs = NEVER
    this.extensionMs = null
    const absent = [...members.all()].filter(m => m.joining === null && m.groupInstanceId === null)
    for (const member of absent) members.remove(member)
    if (absent.length > 0) {
      this.log('info', 'members removed: they did not rejoin', { members: namedList(absent) })
    }
    if (members.size > 0 && !members.electJoinedLeader()) {
      // Only static members are left, and none is back: their sessions decide.
      return this.waitForJoins(Math.max(this.rebalanceTimeoutMs(), REJOIN_PAUSE_MS))
    }
    this.generation++
    if (members.size > 0) return this.beginGeneration()
    this.protocol = null
    this.subscribed = new Set()
    this.enter('Empty')
    this.persist()
  }

  private beginGeneration(): void {
    const { members } = this
    this.protocol = members.electProtocol()
    this.subscribed = subscriptionsOf(this)
    this.enter('CompletingRebalance')
    this.syncDeadlineMs = this.nowMs + this.rebalanceTimeoutMs()
    this.wakeAt(this.syncDeadlineMs)
    for (const member of members.all()) {
      const { joining } = member
      members.setJoining(member, null)
      member.isNew = false
      this.pendingSync.add(member.memberId)
      this.isAlive(member, member.connectionId)
      if (joining !== null) this.joined(member, joining)
    }
    this.log('info', 'generation begun', {
      generation: this.generation,
      members: members.size,
      protocol: this.protocol,
      leader: members.leader,
    })
  }

  enter(state: GroupStateName): void {
    this.state = state
    this.stateSinceMs = this.nowMs
  }

  private rebalanceTimeoutMs(): number {
    let longest = 0
    for (const member of this.members.all()) longest = Math.max(longest, member.rebalanceTimeoutMs)
    return longest
  }

  // Within a generation.

  private heartbeat({ request, client }: Event<'heartbeat'>): ErrorName {
    const error = this.memberError(request.memberId, request.groupInstanceId)
    if (error !== null) return error
    if (request.generationId !== this.generation) return 'ILLEGAL_GENERATION'
    this.isAlive(this.members.get(request.memberId)!, client.connectionId)
    return this.state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE'
  }

  // What happens without a request.

  private tick(): void {
    const { nowMs } = this
    const gone: Member[] = []
    for (const member of this.members.all()) {
      if (member.deadlineMs > nowMs) continue
      // A request of it is here, so it is; but the first JoinGroup of a member speaks for a limited time.
      const isHere = (member.joining !== null && !member.isNew) || member.syncing !== null
      if (isHere && !member.isDisconnected) member.deadlineMs = NEVER
      else gone.push(member)
    }
    for (const member of gone) this.remove(member)
    for (const [memberId, deadlineMs] of this.pending) {
      if (deadlineMs <= nowMs) this.pending.delete(memberId)
    }
    const dropped = gone.filter(member => member.isDisconnected)
    const silent = gone.filter(member => !member.isDisconnected)
    if (silent.length > 0) this.afterLoss('member timed out', silent, 'was not heard of in time')
    this.afterLoss('member disconnected', dropped, 'closed its connection and did not come back')
    if (this.joinDeadlineMs <= nowMs) this.joinTimeIsUp()
    if (this.syncDeadlineMs <= nowMs) this.syncTimeIsUp()
    if (this.isIdle && this.generation === 0) this.effect({ kind: 'end' })
    this.wakeMs = Math.min(this.joinDeadlineMs, this.syncDeadlineMs)
    for (const deadlineMs of this.pending.values()) this.wakeAt(deadlineMs)
    for (const { deadlineMs } of this.members.all()) this.wakeAt(deadlineMs)
  }

  private joinTimeIsUp(): void {
    const { extensionMs } = this
    if (extensionMs === null || extensionMs === 0 || !this.hasGrown) return this.completeJoin()
    const delayMs = Math.min(this.settings.groupInitialRebalanceDelayMs, extensionMs)
    this.extensionMs = extensionMs - delayMs
    this.hasGrown = false
    this.waitForJoins(delayMs)
  }

  private syncTimeIsUp(): void {
    this.syncDeadlineMs = NEVER
    const late = [...this.pendingSync].map(id => this.members.get(id)).filter(m => m !== undefined)
    for (const member of late) this.remove(member)
    this.afterLoss('member did not sync', late, 'did not fetch its assignment in time')
  }

  private disconnected(connectionId: number): void {
    const { groupDropOnDisconnectMs } = this.settings
    if (groupDropOnDisconnectMs < 0) return
    for (const member of this.members.all()) {
      if (member.connectionId !== connectionId) continue
      member.isDisconnected = true
      member.deadlineMs = Math.min(member.deadlineMs, this.nowMs + groupDropOnDisconnectMs)
      this.wakeAt(member.deadlineMs)
    }
  }

  remove(member: Member): void {
    this.refuseWaiting(member, 'UNKNOWN_MEMBER_ID')
    this.pendingSync.delete(member.memberId)
    this.members.remove(member)
  }

  /** Members are gone, or ids that were expected: a rebalance, or the end of one. */
  afterLoss(cause: RebalanceCause, gone: readonly Member[], did: string): void {
    if (gone.length === 0 || this.state === 'PreparingRebalance') return this.maybeCompleteJoin()
    if (this.state !== 'Empty') this.prepareRebalance(cause, `${namedList(gone)} ${did}`)
  }

  private wakeAt(deadlineMs: number): void {
    if (deadlineMs < this.wakeMs) this.wakeMs = deadlineMs
  }

  private taken(): readonly GroupEffect[] {
    const { effects } = this
    this.effects = []
    return effects
  }

  // The past.

  /** Goes on with the members of what was a consumer group, in a rebalance if there is a reason for one. */
  continueFrom(
    generation: number,
    protocol: string | null,
    nowMs: number,
    because: readonly [RebalanceCause, string] | null,
  ): readonly GroupEffect[] {
    this.nowMs = nowMs
    Object.assign(this, { generation, protocol, protocolType: CONSUMER_PROTOCOL })
    this.subscribed = subscriptionsOf(this)
    for (const member of this.members.all()) this.isAlive(member, member.connectionId)
    this.enter('Stable')
    this.persist()
    if (because !== null) this.prepareRebalance(...because)
    return this.taken()
  }

  replay(record: OffsetsRecord): void {
    if (record.name !== 'GroupMetadata' || record.value === null) return
    const { value } = record
    for (const member of [...this.members.all()]) this.members.remove(member)
    for (const member of membersOf(value)) this.members.add(member)
    this.protocolType = value.protocolType
    this.generation = value.generation
    this.protocol = value.protocol
    this.members.leader = this.members.size === 0 ? null : value.leader
    this.state = this.members.size === 0 ? 'Empty' : 'Stable'
    this.stateSinceMs = value.currentStateTimestamp
    this.subscribed = subscriptionsOf(this)
  }

  loaded(nowMs: number): readonly GroupEffect[] {
    this.nowMs = nowMs
    for (const member of this.members.all()) this.isAlive(member, member.connectionId)
    const { groupMaxSize } = this.settings
    if (this.members.size > groupMaxSize) {
      const detail = `${this.members.size} members were loaded, group.max.size is ${groupMaxSize}`
      this.prepareRebalance('group too large', detail)
    }
    return this.taken()
  }

  tombstones(): readonly OffsetsRecordInput[] {
    return [groupTombstone(this.groupId)]
  }

  // What the rest of the coordinator asks.

  checkCommit(client: OffsetsClient, nowMs: number): ErrorName | null {
    const { memberId, groupInstanceId, generationIdOrMemberEpoch: generation } = client
    const isAnonymous = generation < 0 && memberId === '' && groupInstanceId === null
    if (this.state === 'Empty' && generation < 0) return null
    if (isAnonymous) return 'UNKNOWN_MEMBER_ID'
    const error = this.memberError(memberId, groupInstanceId)
    if (error !== null) return error
    if (generation !== this.generation) return 'ILLEGAL_GENERATION'
    if (this.state === 'CompletingRebalance') return 'REBALANCE_IN_PROGRESS'
    const member = this.members.get(memberId)!
    this.nowMs = nowMs
    this.isAlive(member, member.connectionId)
    return null
  }

  checkFetch(): ErrorName | null {
    return null
  }

  isSubscribedTo(topic: string): boolean {
    if (this.protocolType !== CONSUMER_PROTOCOL || this.members.size === 0) return false
    return this.subscribed?.has(topic) ?? true
  }

  expiryBase(topic: string, commitTimestampMs: number): number | null {
    if (this.protocolType === '') return commitTimestampMs
    if (this.state === 'Empty') return Math.max(this.stateSinceMs, commitTimestampMs)
    const isReadable = this.state === 'Stable' && this.subscribed !== null
    return isReadable && !this.isSubscribedTo(topic) ? commitTimestampMs : null
  }

  explain(nowMs: number): string {
    const { members, pendingSync, joinDeadlineMs, syncDeadlineMs, last, stateSinceMs } = this
    const deadlineMs = Math.min(joinDeadlineMs, syncDeadlineMs)
    const unsynced = [...pendingSync].flatMap(id => members.get(id) ?? [])
    return explainGroup(this, { last, unsynced, sinceMs: stateSinceMs, deadlineMs }, nowMs)
  }
}

/**
 * `GroupCoordinator`: the shell around the groups (step.ts has its rules). It turns requests into events, appends what
 * groups persist to `__consumer_offsets`, sends their answers when that is acknowledged, wakes them at their deadlines,
 * and loads them at start.
 *
 *   request ─▶ submit ─▶ group.step ─▶ persist ─▶ Partition.appendAsCoordinator ┄┄ write phase ┄┄▶ answer
 *
 * A group lives in one partition of the topic, by the hash of its id. Until that partition is loaded its groups answer
 * COORDINATOR_LOAD_IN_PROGRESS. Offsets and groups in memory may be ahead of what is acknowledged, but no answer is: each
 * waits for all that its group has written so far.
 */
import { type ErrorName, ProtocolError } from '../../protocol/errors.ts'
import type { Io, Timer } from '../../protocol/io.ts'
import {
  encodeOffsetsBatch,
  type OffsetsRecord,
  type OffsetsRecordInput,
} from '../../protocol/messages/offsets-topic.ts'
import type { BrokerConfig } from '../config.ts'
import { AfterTurn, type Answer } from '../context.ts'
import type { Logger } from '../logger.ts'
import { type ClusterImage, emptyImage } from '../metadata/image.ts'
import type { Partition } from '../replication/partition.ts'
import type { ReplicaManager } from '../replication/replica-manager.ts'
import { ClassicGroup } from './group.ts'
import { type GroupMakers, groupAfter, groupInstead, makersOf, stepOf } from './group-kind.ts'
import type { GroupMeter } from './group-meter.ts'
import { type Lag, LagWatch, NOTE_EVERY_MS } from './lag.ts'
import { loadPartition } from './loader.ts'
import { deleteOffsets, expireOffsets } from './offset-changes.ts'
import { GroupOffsets } from './offsets.ts'
import { hintFor, OFFSETS_TOPIC, partitionFor } from './offsets-partition.ts'
import { groupError } from './replies.ts'
import type { Group, GroupEffect, GroupEvent, GroupResponse, Ticket } from './step.ts'

/** A group with its offsets, and where it is kept. */
export interface GroupEntry {
  readonly groupId: string
  readonly offsets: GroupOffsets
  readonly shard: Shard
  group: Group
  /** Tombstones of the group of the other kind that was here, until they are written. */
  replaced: readonly OffsetsRecordInput[]
  /** The end of what the group wrote last: answers wait until it is acknowledged. */
  endOffset: number
  timer: Timer | null
  timerAtMs: number
}

/** The groups of one partition of the offsets topic. */
interface Shard {
  readonly partition: Partition
  readonly groups: Map<string, GroupEntry>
  state: 'loading' | 'active'
}

/** A request inside a group. */
interface Pending {
  readonly failed: (error: ErrorName) => GroupResponse
  readonly shard: Shard
  /** Set once the request waits beyond its turn. */
  settle: ((response: GroupResponse) => void) | null
  response: GroupResponse | null
}

export interface CoordinatorOptions {
  readonly config: BrokerConfig
  readonly io: Io
  readonly logger: Logger
  readonly meter: GroupMeter
  readonly replicas: ReplicaManager
}

const PROGRESS_EVERY_MS = 5000
/** The longest that one timer is set for; the group is asked again then. */
const TIMER_MAX_MS = 3_600_000

export class GroupCoordinator {
  readonly meter: GroupMeter
  private readonly options: CoordinatorOptions
  private readonly shards: (Shard | undefined)[] = []
  private readonly pendings = new Map<Ticket, Pending>()
  private nextTicket = 1
  private expiryTimer: Timer | null = null
  private lagTimer: Timer | null = null
  private readonly lagWatch: LagWatch
  private isStopped = false
  private loading: Promise<void> = Promise.resolve()
  private readonly makers: GroupMakers
  private image: ClusterImage = emptyImage('')
  /** Wall clock minus monotonic clock at start: groups' time does not jump when the wall clock is set. */
  private readonly clockOffsetMs: number

  constructor(options: CoordinatorOptions) {
    this.options = options
    this.meter = options.meter
    this.lagWatch = new LagWatch(options.replicas)
    const { clock } = options.io
    this.makers = makersOf(options.config, () => this.image)
    this.clockOffsetMs = clock.nowMs() - clock.monotonicMs()
  }

  /** Begins to load what is there; `loaded` tells when that is done. */
  start(image: ClusterImage): void {
    this.image = image
    this.follow()
    this.expireLater()
    this.noteLater()
  }

  /** Resolves when everything that was to be loaded is. */
  get loaded(): Promise<void> {
    return this.loading
  }

  /** Answers whoever waits, so that connections can drain; nothing is coordinated afterwards. */
  stop(): void {
    this.isStopped = true
    this.expiryTimer?.cancel()
    this.lagTimer?.cancel()
    for (const shard of this.shards) if (shard !== undefined) this.unload(shard)
    this.shards.length = 0
  }

  *entries(): Iterable<GroupEntry> {
    for (const shard of this.shards) {
      if (shard?.state === 'active') yield* shard.groups.values()
    }
  }

  /** Whether some groups cannot be told of yet. */
  get isLoading(): boolean {
    return this.shards.some(shard => shard?.state === 'loading')
  }

  nowMs(): number {
    return Math.floor(this.options.io.clock.monotonicMs() + this.clockOffsetMs)
  }

  topicsChanged(before: ClusterImage, after: ClusterImage): void {
    this.image = after
    if (before.topics === after.topics) return
    this.follow()
    for (const topic of before.topics.values()) {
      if (after.topics.get(topic.name)?.id !== topic.id) this.forgetTopic(topic.name)
    }
    for (const entry of this.entries()) {
      if (entry.group.type !== 'Classic') this.run(entry, { kind: 'topicsChanged' })
    }
  }

  /** Takes up the partitions of the offsets topic that are served here, and lets go of those that are not any more. */
  follow(): void {
    if (this.isStopped) return
    const count = this.image.topics.get(OFFSETS_TOPIC)?.partitions.length ?? 0
    const fresh: Shard[] = []
    for (let index = 0; index < Math.max(count, this.shards.length); index++) {
      const old = this.shards[index]
      const partition = index < count ? this.options.replicas.find(OFFSETS_TOPIC, index) : undefined
      if (old !== undefined && old.partition === partition) continue
      if (old !== undefined) this.unload(old)
      this.shards[index] = undefined
      if (partition === undefined) continue
      const shard: Shard = { partition, groups: new Map(), state: 'loading' }
      this.shards[index] = shard
      fresh.push(shard)
    }
    this.shards.length = count
    if (fresh.length > 0) this.loading = this.loading.then(() => this.load(fresh))
  }

  private unload(shard: Shard): void {
    for (const entry of shard.groups.values()) entry.timer?.cancel()
    shard.groups.clear()
    for (const [ticket, pending] of this.pendings) {
      if (pending.shard === shard) this.deliver(ticket, pending.failed('NOT_COORDINATOR'))
    }
  }

  /** A topic is deleted, and what was read of it is nothing to a new one of its name. */
  private forgetTopic(topic: string): void {
    for (const entry of this.entries()) {
      const partitions = [...entry.offsets.partitionsOf(topic)]
      deleteOffsets(
        this,
        entry,
        partitions.map((partition): [string, number] => [topic, partition]),
      )
    }
  }

  // Loading.

  private async load(shards: readonly Shard[]): Promise<void> {
    const { logger, io, config } = this.options
    const bufferBytes = config.offsetsLoadBufferSize
    const beganMs = io.clock.monotonicMs()
    let toldMs = beganMs
    const total = { records: 0, bytes: 0 }
    for (const [done, shard] of shards.entries()) {
      if (this.isStopped) return
      const isWanted = () => !this.isStopped && this.shards.includes(shard)
      const apply = (record: OffsetsRecord) => this.replay(shard, record)
      const summary = await loadPartition(shard.partition, bufferBytes, isWanted, apply)
      if (!isWanted()) continue
      total.records += summary.records
      total.bytes += summary.bytes
      const { unreadable, unfinished, firstFault } = summary
      if (unreadable > 0 || unfinished > 0) {
        const partition = shard.partition.toString()
        logger.error('groups loaded in part', { partition, unreadable, unfinished, firstFault })
      }
      this.activate(shard)
      const nowMs = io.clock.monotonicMs()
      if (nowMs - toldMs < PROGRESS_EVERY_MS) continue
      toldMs = nowMs
      logger.info('groups loading', { done: done + 1, of: shards.length, ...total })
    }
    const groups = shards.reduce((sum, shard) => sum + shard.groups.size, 0)
    const tookMs = Math.round(io.clock.monotonicMs() - beganMs)
    logger.info('groups loaded', { partitions: shards.length, groups, ...total, tookMs })
  }

  private replay(shard: Shard, record: OffsetsRecord): void {
    if (record.name === 'OffsetCommit') {
      return this.entryIn(shard, record.key.group).offsets.replay(record)
    }
    const { key } = record
    const entry = this.entryIn(shard, 'group' in key ? key.group : key.groupId)
    entry.group = groupAfter(entry.group, record, this.makers)
  }

  private activate(shard: Shard): void {
    shard.state = 'active'
    const nowMs = this.nowMs()
    for (const entry of shard.groups.values()) {
      if (this.isForgettable(entry)) shard.groups.delete(entry.groupId)
      else this.perform(entry, entry.group.loaded(nowMs))
    }
  }

  // Groups.

  /** @throws the error that says why groups of this id cannot be served here now */
  private shardOf(groupId: string): Shard {
    const shard = this.shards[partitionFor(groupId, Math.max(1, this.shards.length))]
    if (shard === undefined || this.isStopped) {
      throw new ProtocolError(
        'NOT_COORDINATOR',
        `${OFFSETS_TOPIC} is not there: find the coordinator`,
      )
    }
    if (shard.state === 'loading') {
      throw new ProtocolError('COORDINATOR_LOAD_IN_PROGRESS', `${shard.partition} is being loaded`)
    }
    return shard
  }

  /** The group of this id, if there is one. @throws why groups of this id cannot be served here now */
  find(groupId: string): GroupEntry | undefined {
    return this.shardOf(groupId).groups.get(groupId)
  }

  /** The group of this id, a new classic one if there is none. */
  findOrCreate(groupId: string): GroupEntry {
    return this.entryIn(this.shardOf(groupId), groupId)
  }

  private entryIn(shard: Shard, groupId: string): GroupEntry {
    let entry = shard.groups.get(groupId)
    if (entry !== undefined) return entry
    entry = {
      groupId,
      offsets: new GroupOffsets(),
      shard,
      group: new ClassicGroup(groupId, this.makers.classic),
      replaced: [],
      endOffset: 0,
      timer: null,
      timerAtMs: Number.POSITIVE_INFINITY,
    }
    shard.groups.set(groupId, entry)
    return entry
  }

  private isForgettable({ group, offsets }: GroupEntry): boolean {
    return group.isIdle && group.protocolType === '' && offsets.size === 0
  }

  forget(entry: GroupEntry): void {
    entry.timer?.cancel()
    entry.timer = null
    entry.shard.groups.delete(entry.groupId)
  }

  /**
   * Hands a request to a group and answers when the group does. `failed` makes the answer for an error of the coordinator.
   */
  submit<R extends GroupResponse>(
    entry: GroupEntry,
    eventFor: (ticket: Ticket) => GroupEvent,
    failed: (error: ErrorName) => R,
  ): Answer<R> {
    const ticket = this.nextTicket++
    const pending: Pending = { failed, shard: entry.shard, settle: null, response: null }
    this.pendings.set(ticket, pending)
    const event = eventFor(ticket)
    this.replaceFor(entry, event)
    this.run(entry, event)
    const { response } = pending
    if (response !== null) return this.afterWrites([entry], () => response as R, failed)
    return new Promise<R>(resolve => {
      pending.settle = answer => resolve(answer as R)
    })
  }

  private replaceFor(entry: GroupEntry, event: GroupEvent): void {
    const { group } = entry
    const other = groupInstead(group, event, this.makers)
    if (other === null) return
    if (group.protocolType !== '') entry.replaced = [...entry.replaced, ...group.tombstones()]
    entry.group = other
  }

  private run(entry: GroupEntry, event: GroupEvent): void {
    this.perform(entry, stepOf(entry.group, event, this.makers, this.nowMs()))
  }

  private perform(entry: GroupEntry, effects: readonly GroupEffect[]): void {
    const failure = this.persist(entry, effects)
    for (const effect of effects) {
      switch (effect.kind) {
        case 'reply':
          this.reply(entry, effect.ticket, effect.response, failure)
          break
        case 'rebalance':
          this.meter.rebalance(effect.cause)
          this.log(entry, 'info', 'rebalance begun', { cause: effect.cause, why: effect.detail })
          break
        case 'log':
          this.log(entry, effect.level, effect.event, effect.fields)
          break
        case 'become':
          if (failure === null) entry.group = effect.group
          break
        case 'end':
          if (entry.offsets.size === 0) this.forget(entry)
          break
        case 'persist':
          break
      }
    }
    if (failure !== null) this.run(entry, { kind: 'writeFailed', error: failure })
    this.wakeLater(entry)
  }

  private log(
    entry: GroupEntry,
    level: 'info' | 'warn',
    event: string,
    fields: Readonly<Record<string, unknown>>,
  ): void {
    this.options.logger[level](event, { groupId: entry.groupId, ...fields })
  }

  /** Appends what a step wants to keep; gives back why it could not. */
  private persist(entry: GroupEntry, effects: readonly GroupEffect[]): ErrorName | null {
    if (!effects.some(effect => effect.kind === 'persist')) return null
    const records = effects.flatMap(effect => (effect.kind === 'persist' ? effect.records : []))
    if (records.length === 0) return null
    try {
      this.append(entry, [...entry.replaced, ...records])
      entry.replaced = []
      return null
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const { groupId, shard } = entry
      const hint = hintFor(error.error)
      const fields = { groupId, partition: shard.partition.toString(), error: error.message, hint }
      this.options.logger.warn('group not written', fields)
      return error.error
    }
  }

  /** One batch into the group's partition. @throws ProtocolError for why not */
  append(entry: GroupEntry, records: readonly OffsetsRecordInput[]): void {
    const timestamp = this.options.io.clock.nowMs()
    const batch = encodeOffsetsBatch(records, timestamp)
    entry.endOffset = entry.shard.partition.appendAsCoordinator(batch, timestamp).endOffset
  }

  private reply(
    entry: GroupEntry,
    ticket: Ticket,
    response: GroupResponse,
    failure: ErrorName | null,
  ): void {
    const pending = this.pendings.get(ticket)
    if (pending === undefined) return
    const answer = failure === null ? response : pending.failed(groupError(failure))
    if (pending.settle === null) {
      pending.response = answer
      this.pendings.delete(ticket)
      return
    }
    if (entry.shard.partition.highWatermark.value >= entry.endOffset) {
      return this.deliver(ticket, answer)
    }
    this.whenWritten(entry, error => {
      this.deliver(ticket, error === null ? answer : pending.failed(groupError(error)))
    })
  }

  private deliver(ticket: Ticket, response: GroupResponse): void {
    const pending = this.pendings.get(ticket)
    this.pendings.delete(ticket)
    pending?.settle?.(response)
  }

  /** An answer that leaves when all that its groups wrote so far is acknowledged. */
  afterWrites<R>(
    entries: readonly GroupEntry[],
    answer: () => R,
    failed: (error: ErrorName) => R,
  ): R | AfterTurn<R> {
    const isWritten = ({ shard, endOffset }: GroupEntry) =>
      shard.partition.highWatermark.value >= endOffset
    if (entries.every(isWritten)) return answer()
    return new AfterTurn<R>(() => {
      const unwritten = entries.filter(entry => !isWritten(entry))
      if (unwritten.length === 0) return answer()
      return Promise.all(unwritten.map(entry => this.written(entry))).then(errors => {
        const error = errors.find(one => one !== null) ?? null
        return error === null ? answer() : failed(groupError(error))
      })
    })
  }

  private written(entry: GroupEntry): Promise<ErrorName | null> {
    return new Promise(resolve => this.whenWritten(entry, resolve))
  }

  private whenWritten(entry: GroupEntry, done: (error: ErrorName | null) => void): void {
    const { io, config } = this.options
    const { partition } = entry.shard
    const timeoutMs = config.offsetsCommitTimeoutMs
    partition.whenAcknowledged(-1, entry.endOffset, io.clock, timeoutMs, outcome => {
      if (outcome === 'reached') done(null)
      else done(outcome === 'timeout' ? 'REQUEST_TIMED_OUT' : outcome)
    })
  }

  private wakeLater(entry: GroupEntry): void {
    const deadlineMs = entry.group.nextDeadlineMs()
    if (deadlineMs >= entry.timerAtMs || this.isStopped) return
    entry.timer?.cancel()
    entry.timerAtMs = deadlineMs
    const delayMs = Math.min(TIMER_MAX_MS, Math.max(0, deadlineMs - this.nowMs()))
    entry.timer = this.options.io.clock.timer(delayMs, () => {
      entry.timer = null
      entry.timerAtMs = Number.POSITIVE_INFINITY
      this.run(entry, { kind: 'tick' })
    })
  }

  /** A connection is gone; only asked for with `group.drop.on.disconnect.ms`. */
  disconnected(connectionId: number): void {
    if (this.options.config.groupDropOnDisconnectMs < 0) return
    for (const entry of this.entries()) {
      if (entry.group.memberCount > 0) this.run(entry, { kind: 'disconnected', connectionId })
    }
  }

  /** How far a group is behind, for each partition that it has read. */
  lagOf(entry: GroupEntry): Iterable<Lag> {
    return this.lagWatch.of(entry, this.nowMs())
  }

  private noteLater(): void {
    this.lagTimer = this.options.io.clock.timer(NOTE_EVERY_MS, () => {
      this.lagWatch.note(this.entries(), this.nowMs())
      this.noteLater()
    })
  }

  private expireLater(): void {
    const { io, config, logger } = this.options
    const intervalMs = Math.min(config.offsetsRetentionCheckIntervalMs, TIMER_MAX_MS)
    this.expiryTimer = io.clock.timer(intervalMs, () => {
      const retentionMs = config.offsetsRetentionMinutes * 60_000
      expireOffsets(this, { retentionMs, nowMs: io.clock.nowMs(), logger })
      this.expireLater()
    })
  }
}

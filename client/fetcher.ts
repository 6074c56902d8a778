/**
 * Reads partitions ahead of the application: one Fetch at a time to each broker that leads some of them, in a session, into
 * a bounded amount of memory. A partition is asked for again when less than half of what one Fetch brings is left of it, so
 * that a reader that keeps up never waits for the network, and one that does not holds nothing up but itself.
 *
 * A broker may name a replica that is nearer (KIP-392); then that one is asked, until it fails or `metadataMaxAgeMs` is over.
 * When a partition has another leader than before, its log may have been cut: the place is held against that leader's epochs
 * before anything more is read (KIP-320, `verify`).
 *
 * A position is the offset of the record that the application gets next. `seek` and every change of the assignment drop
 * what was read ahead; an answer that comes later for the old place is dropped, too (`round`).
 */
import type { ResponseOf } from '../protocol/apis.ts'
import { ZERO_UUID } from '../protocol/buffer.ts'
import { errorCode } from '../protocol/errors.ts'
import type { Io } from '../protocol/io.ts'
import type { Cluster } from './cluster.ts'
import type { Connection } from './connection.ts'
import type { ConsumerConfig } from './consumer-config.ts'
import { AnswerError, ClosedError, isRetriable, needsMetadata } from './errors.ts'
import { FetchSession } from './fetch-session.ts'
import { FetchedRecords, type Reading } from './fetched-records.ts'
import { attemptNow, backoffMs, LeaderSearch } from './leader-search.ts'

export interface FetcherOwner<K, V> {
  /** Something can be taken, or `error` of a partition is to be told. */
  arrived(): void
  /** The partition's position is unknown or not in the log: `locate` it and `seek` there. */
  mislaid(partition: AssignedPartition<K, V>, isOutOfRange: boolean): void
  /** The partition has another leader: find out whether its log still holds what was read, and clear `isUnverified`. */
  unverified(partition: AssignedPartition<K, V>): void
  reading(topic: string, partition: number): Reading<K, V>
}

/** A partition that is read. */
export class AssignedPartition<K, V> {
  readonly topic: string
  readonly partition: number
  leaderId = -1
  leaderEpoch = -1
  /** A replica that is asked in the leader's place, until then; -1: none. */
  nearId = -1
  nearUntilMs = 0
  /** Offset of the next record for the application; -1: to be found out. */
  position = -1
  /** Leader epoch of the record before the position; -1: unknown. */
  positionEpoch = -1
  /** The same of `done`. */
  doneEpoch = -1
  /** The same of `fetchOffset`. */
  fetchEpoch = -1
  /** Whether the log may have been cut since it was read. */
  isUnverified = false
  /** Aborted when the partition goes to somebody else, or is not wanted any more. */
  readonly holding = new AbortController()
  /** Behind the last record that the application is done with; -1: nothing to commit. */
  done = -1
  /** Where the next Fetch goes on. */
  fetchOffset = -1
  isPaused = false
  /** It is about to go to another member: nothing more of it is handed out, so that what is committed is all. */
  isLeaving = false
  /** Broker that a Fetch of it is under way to; -1: none. */
  fetchingFrom = -1
  /** `round` when that was sent. */
  fetchRound = 0
  isLocating = false
  notBeforeMs = 0
  failures = 0
  /** Counts the places that it was moved to. */
  round = 0
  highWatermark = -1
  lastStableOffset = -1
  readonly fetched: FetchedRecords<K, V>[] = []
  /** What ends the reading of this partition, until it is told. */
  error: Error | null = null

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get bytesLeft(): number {
    let bytes = 0
    for (const fetched of this.fetched) bytes += fetched.bytesLeft
    return bytes
  }

  /** Whether there is something to hand out, or to tell. */
  get hasNews(): boolean {
    return this.fetched.length > 0 || this.error !== null
  }

  /** Moves to another place; what was read ahead is dropped. */
  seek(offset: number, leaderEpoch = -1): void {
    this.position = offset
    this.positionEpoch = leaderEpoch
    this.fetchOffset = offset
    this.fetchEpoch = leaderEpoch
    this.fetched.length = 0
    this.error = null
    this.round++
  }
}

type PartitionAnswer = ResponseOf<'Fetch'>['responses'][number]['partitions'][number]

interface AskedTopic<K, V> {
  readonly topic: string
  readonly topicId: string
  readonly places: AssignedPartition<K, V>[]
}

interface Lane {
  readonly nodeId: number
  readonly session: FetchSession
  isBusy: boolean
}

const SESSION_LOST: ReadonlySet<number> = new Set(
  (['FETCH_SESSION_ID_NOT_FOUND', 'INVALID_FETCH_SESSION_EPOCH'] as const).map(errorCode),
)
/** Longest wait for new records while a partition of the same broker has records left to be taken. */
const SHORT_WAIT_MS = 20

const OUT_OF_RANGE = errorCode('OFFSET_OUT_OF_RANGE')

export class Fetcher<K, V> {
  private readonly io: Io
  private readonly cluster: Cluster
  private readonly config: ConsumerConfig<K, V>
  private readonly owner: FetcherOwner<K, V>
  private readonly search: LeaderSearch<AssignedPartition<K, V>>
  private readonly lanes = new Map<number, Lane>()
  private assigned: AssignedPartition<K, V>[] = []
  /** The same by topic and partition. */
  private byTopic = new Map<string, Map<number, AssignedPartition<K, V>>>()
  private isScheduled = false
  private isClosed = false

  constructor(io: Io, cluster: Cluster, config: ConsumerConfig<K, V>, owner: FetcherOwner<K, V>) {
    this.io = io
    this.cluster = cluster
    this.config = config
    this.owner = owner
    this.search = new LeaderSearch(io, cluster, {
      found: (partition, { leaderEpoch }) => {
        const isNew = leaderEpoch > partition.leaderEpoch
        if (isNew && partition.fetchEpoch >= 0) partition.isUnverified = true
        partition.leaderEpoch = leaderEpoch
        this.schedule()
      },
      missed: (partition, error) => this.missed(partition, error),
    })
  }

  get assignment(): readonly AssignedPartition<K, V>[] {
    return this.assigned
  }

  /** What is assigned of this partition, if it is. */
  find(topic: string, partition: number): AssignedPartition<K, V> | undefined {
    return this.byTopic.get(topic)?.get(partition)
  }

  assign(partitions: readonly AssignedPartition<K, V>[]): void {
    const kept = new Set(partitions)
    for (const gone of this.assigned) if (!kept.has(gone)) this.drop(gone)
    this.assigned = [...partitions]
    this.byTopic = new Map()
    for (const one of partitions) {
      const ofTopic = this.byTopic.get(one.topic) ?? new Map<number, AssignedPartition<K, V>>()
      this.byTopic.set(one.topic, ofTopic.set(one.partition, one))
    }
    this.schedule()
  }

  /** Something has changed that may let a Fetch be sent. */
  schedule(): void {
    if (this.isScheduled || this.isClosed) return
    this.isScheduled = true
    this.io.turn.write(() => this.pump())
  }

  close(): void {
    this.isClosed = true
    this.search.close()
    for (const partition of this.assigned) this.drop(partition)
    this.assigned = []
    this.byTopic.clear()
  }

  /** Asks nothing of this partition for so long. */
  delay(partition: AssignedPartition<K, V>, delayMs: number): void {
    partition.notBeforeMs = this.io.clock.monotonicMs() + delayMs
    this.wakeFor(partition)
  }

  private drop(partition: AssignedPartition<K, V>): void {
    partition.seek(-1)
    partition.holding.abort(new ClosedError("the partition is not this consumer's any more"))
  }

  /** Whom to ask for it. */
  private nodeFor({ leaderId, nearId, nearUntilMs }: AssignedPartition<K, V>): number {
    return nearId >= 0 && nearUntilMs > this.io.clock.monotonicMs() ? nearId : leaderId
  }

  private pump(): void {
    this.isScheduled = false
    if (this.isClosed) return
    const nowMs = this.io.clock.monotonicMs()
    const wanted = new Map<number, AssignedPartition<K, V>[]>()
    const full = new Set<number>()
    let buffered = 0
    for (const partition of this.assigned) {
      buffered += partition.bytesLeft
      if (partition.fetched.length > 0) full.add(this.nodeFor(partition))
    }
    for (const partition of this.assigned) {
      if (!this.isReady(partition, nowMs)) continue
      if (buffered > 0 && buffered >= this.config.maxBufferedBytes) continue
      const nodeId = this.nodeFor(partition)
      const list = wanted.get(nodeId) ?? []
      list.push(partition)
      wanted.set(nodeId, list)
    }
    for (const [nodeId, partitions] of wanted) {
      this.fetch(this.lane(nodeId), partitions, full.has(nodeId))
    }
    if (this.assigned.length > 0) this.search.refresh()
  }

  private isReady(partition: AssignedPartition<K, V>, nowMs: number): boolean {
    if (
      partition.isPaused ||
      partition.isLeaving ||
      partition.fetchingFrom >= 0 ||
      partition.error !== null
    )
      return false
    if (partition.position < 0) {
      if (!partition.isLocating) this.owner.mislaid(partition, false)
      return false
    }
    if (partition.notBeforeMs > nowMs) return false
    if (partition.leaderId < 0) {
      this.search.add(partition)
      return false
    }
    if (partition.isUnverified) {
      this.owner.unverified(partition)
      return false
    }
    return partition.bytesLeft < this.config.maxPartitionBytes / 2
  }

  private lane(nodeId: number): Lane {
    let lane = this.lanes.get(nodeId)
    if (lane === undefined) {
      lane = { nodeId, session: new FetchSession(this.config.maxPartitionBytes), isBusy: false }
      this.lanes.set(nodeId, lane)
    }
    return lane
  }

  /** `isShort`: others of this broker will want to be asked for soon, so the answer must not wait long for new records. */
  private fetch(
    lane: Lane,
    partitions: readonly AssignedPartition<K, V>[],
    isShort: boolean,
  ): void {
    if (lane.isBusy) return
    lane.isBusy = true
    const connection = this.cluster.openConnection(lane.nodeId)
    if (connection === null) void this.open(lane, partitions)
    else this.send(lane, connection, partitions, isShort)
  }

  private async open(lane: Lane, partitions: readonly AssignedPartition<K, V>[]): Promise<void> {
    lane.session.reset()
    try {
      await this.cluster.connect(lane.nodeId, attemptNow(this.io, this.cluster))
    } catch (error) {
      this.failedAll(partitions, error as Error)
    }
    lane.isBusy = false
    this.schedule()
  }

  private send(
    lane: Lane,
    connection: Connection,
    partitions: readonly AssignedPartition<K, V>[],
    isShort: boolean,
  ): void {
    const { minBytes, maxBytes, isolation, rackId } = this.config
    const maxWaitMs = Math.min(this.config.maxWaitMs, isShort ? SHORT_WAIT_MS : Infinity)
    const asked = this.ask(partitions, lane.nodeId)
    const finish = (error: Error | null) => {
      lane.isBusy = false
      for (const partition of partitions) partition.fetchingFrom = -1
      if (error !== null) this.failedAll(partitions, error)
      this.schedule()
    }
    const request = {
      maxWaitMs,
      minBytes,
      maxBytes,
      isolationLevel: isolation === 'read_committed' ? 1 : 0,
      rackId,
      ...lane.session.next(asked),
    }
    const timeoutMs = maxWaitMs + this.cluster.config.requestTimeoutMs
    try {
      connection.submit('Fetch', request, timeoutMs, {
        keepsBytes: true,
        answered: response => {
          const error = this.answered(lane, response, asked, connection.label)
          finish(error)
          this.owner.arrived()
        },
        failed: error => {
          lane.session.reset()
          finish(error)
        },
      })
    } catch (error) {
      lane.session.reset()
      finish(error as Error)
    }
  }

  /** By topic. */
  private ask(partitions: readonly AssignedPartition<K, V>[], nodeId: number): AskedTopic<K, V>[] {
    const topics = new Map<string, AskedTopic<K, V>>()
    for (const partition of partitions) {
      const { topic, round } = partition
      partition.fetchingFrom = nodeId
      partition.fetchRound = round
      let entry = topics.get(topic)
      if (entry === undefined) {
        const topicId = this.cluster.knownTopic(topic)?.topicId ?? ZERO_UUID
        entry = { topic, topicId, places: [] }
        topics.set(topic, entry)
      }
      entry.places.push(partition)
    }
    return [...topics.values()]
  }

  /** Returns an error of the whole answer. */
  private answered(
    lane: Lane,
    { errorCode: code, sessionId, responses }: ResponseOf<'Fetch'>,
    asked: readonly AskedTopic<K, V>[],
    broker: string,
  ): Error | null {
    if (code !== 0) {
      lane.session.reset()
      return SESSION_LOST.has(code) ? null : new AnswerError(code, { api: 'Fetch', broker })
    }
    lane.session.answered(sessionId)
    const names = new Map(responses.length === 0 ? [] : asked.map(t => [t.topicId, t.topic]))
    for (const { topic, topicId, partitions } of responses) {
      const ofTopic = this.byTopic.get(topic === '' ? (names.get(topicId) ?? '') : topic)
      for (const answer of partitions) {
        const partition = ofTopic?.get(answer.partitionIndex)
        if (partition === undefined || partition.fetchingFrom !== lane.nodeId) continue
        // It has been sought elsewhere since.
        if (partition.fetchRound !== partition.round) continue
        this.take(partition, answer, broker)
      }
    }
    return null
  }

  private take(partition: AssignedPartition<K, V>, answer: PartitionAnswer, broker: string): void {
    const { topic, partition: index, fetchOffset } = partition
    const { errorCode: code, records, preferredReadReplica } = answer
    if (code !== 0 && partition.nearId >= 0) {
      // The leader knows better.
      partition.nearId = -1
      return
    }
    if (code === OUT_OF_RANGE) {
      // What was read ahead is still good: the position is asked for when it has been taken.
      if (partition.fetched.length === 0) this.owner.mislaid(partition, true)
      else this.pause(partition)
      return
    }
    if (code !== 0) {
      const place = { api: 'Fetch', broker, topic, partition: index }
      return this.failedAll([partition], new AnswerError(code, place))
    }
    partition.failures = 0
    if (preferredReadReplica >= 0) {
      partition.nearId = preferredReadReplica
      const { metadataMaxAgeMs } = this.cluster.config
      partition.nearUntilMs = this.io.clock.monotonicMs() + metadataMaxAgeMs
    }
    partition.highWatermark = answer.highWatermark
    partition.lastStableOffset = answer.lastStableOffset
    if (records === null || records.length === 0) return
    const isCommitted = this.config.isolation === 'read_committed'
    const aborted = isCommitted ? (answer.abortedTransactions ?? []) : null
    try {
      const reading = this.owner.reading(topic, index)
      const fetched = new FetchedRecords(reading, records, fetchOffset, aborted)
      partition.fetchOffset = fetched.endOffset
      if (fetched.endEpoch >= 0) partition.fetchEpoch = fetched.endEpoch
      partition.fetched.push(fetched)
    } catch (error) {
      partition.error = error as Error
    }
  }

  private failedAll(partitions: readonly AssignedPartition<K, V>[], error: Error): void {
    const failures = Math.max(...partitions.map(one => one.failures))
    for (const partition of partitions) this.failed(partition, error)
    if (this.isClosed) return
    this.cluster.config.telemetry.attemptFailed('reading', partitions, error, failures + 1)
  }

  private failed(partition: AssignedPartition<K, V>, error: Error): void {
    partition.nearId = -1
    if (!this.missed(partition, error)) return
    this.pause(partition)
    if (!needsMetadata(error)) return
    this.cluster.distrust()
    partition.leaderId = -1
  }

  private pause(partition: AssignedPartition<K, V>): void {
    const waitMs = backoffMs(this.io, this.cluster, Math.max(1, partition.failures))
    partition.notBeforeMs = this.io.clock.monotonicMs() + waitMs
    this.wakeFor(partition)
  }

  /** A timer may fire a little early: then the rest is waited for, too. */
  private wakeFor(partition: AssignedPartition<K, V>): void {
    const leftMs = partition.notBeforeMs - this.io.clock.monotonicMs()
    if (leftMs <= 0) this.schedule()
    else this.io.clock.timer(Math.ceil(leftMs), () => this.wakeFor(partition), true)
  }

  /** Whether it makes sense to go on; if not the application is told. */
  private missed(partition: AssignedPartition<K, V>, error: Error): boolean {
    if (this.find(partition.topic, partition.partition) !== partition) return false
    partition.failures++
    if (isRetriable(error)) return true
    partition.error = error
    this.owner.arrived()
    return false
  }
}

/**
 * Incremental fetch sessions (KIP-227): the broker remembers which partitions a client reads, so that a request names
 * only what changed and an answer only what is new.
 *
 * A session belongs to whoever knows its random id. Epoch 0 asks for a new session, -1 ends it (or asks for none), and
 * each request of a session carries the next epoch. The cache is bounded (`max.incremental.fetch.session.cache.slots`):
 * when it is full the client gets no session and sends full requests, which is always right. A session that was unused for
 * two minutes is gone when another is opened. Kafka drops it only when the cache is full; but one of a client that went
 * away may name thousands of partitions, and one that comes back is told FETCH_SESSION_ID_NOT_FOUND and opens another.
 */
import type { RequestOf } from '../protocol/apis.ts'
import { ZERO_UUID } from '../protocol/buffer.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Io } from '../protocol/io.ts'

type FetchRequest = RequestOf<'Fetch'>

/** A session that was used more recently than this stays. */
const EVICT_AFTER_MS = 120_000
const LAST_EPOCH = 0x7fffffff

/** One partition that a client reads: what it asked for, and what it was told last. */
export interface FetchPartition {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  fetchOffset: number
  maxBytes: number
  currentLeaderEpoch: number
  lastFetchedEpoch: number
  toldHighWatermark: number
  toldLogStartOffset: number
}

/** The partitions of one request, and which of them the answer must name. */
export interface FetchContext {
  readonly sessionId: number
  readonly partitions: Iterable<FetchPartition>
  /** In a session only partitions with something to say are named. */
  readonly isIncremental: boolean
  /** The session whose order is rotated for fairness, if any. */
  readonly session: FetchSession | null
}

export class FetchSession {
  readonly id: number
  readonly usesTopicIds: boolean
  readonly partitions = new Map<string, FetchPartition>()
  epoch = 1
  lastUsedMs: number

  constructor(id: number, usesTopicIds: boolean, nowMs: number) {
    this.id = id
    this.usesTopicIds = usesTopicIds
    this.lastUsedMs = nowMs
  }

  /** Moves a partition that had data behind the others, so that none starves. */
  moveToEnd(partition: FetchPartition): void {
    const key = keyOf(partition.topicId, partition.topic, partition.index)
    if (this.partitions.delete(key)) this.partitions.set(key, partition)
  }
}

export class FetchSessions {
  private readonly io: Io
  private readonly slots: number
  private readonly sessions = new Map<number, FetchSession>()
  /** Sessions that were dropped because nobody used them. */
  evictions = 0

  constructor(io: Io, slots: number) {
    this.io = io
    this.slots = slots
  }

  get count(): number {
    return this.sessions.size
  }

  get partitionCount(): number {
    let count = 0
    for (const session of this.sessions.values()) count += session.partitions.size
    return count
  }

  /** @throws FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR */
  contextFor(request: FetchRequest, usesTopicIds: boolean): FetchContext {
    const { sessionId, sessionEpoch } = request
    if (sessionEpoch === 0 || sessionEpoch === -1) {
      if (sessionId !== 0) this.sessions.delete(sessionId)
      const partitions = partitionsOf(request)
      const session = sessionEpoch === 0 ? this.open(partitions, usesTopicIds) : null
      return { sessionId: session?.id ?? 0, partitions, isIncremental: false, session }
    }
    const session = this.continue(sessionId, sessionEpoch, usesTopicIds)
    update(session, request)
    return { sessionId, partitions: session.partitions.values(), isIncremental: true, session }
  }

  private open(partitions: readonly FetchPartition[], usesTopicIds: boolean): FetchSession | null {
    const nowMs = this.io.clock.monotonicMs()
    this.dropUnused(nowMs)
    if (partitions.length === 0 || this.sessions.size >= this.slots) return null
    let id = 0
    while (id === 0 || this.sessions.has(id)) id = Math.floor(this.io.random() * LAST_EPOCH)
    const session = new FetchSession(id, usesTopicIds, nowMs)
    for (const one of partitions)
      session.partitions.set(keyOf(one.topicId, one.topic, one.index), one)
    this.sessions.set(id, session)
    return session
  }

  private dropUnused(nowMs: number): void {
    // Used sessions move to the end of the map, so the first ones were unused longest.
    for (const { id, lastUsedMs } of this.sessions.values()) {
      if (nowMs - lastUsedMs < EVICT_AFTER_MS) return
      this.sessions.delete(id)
      this.evictions++
    }
  }

  private continue(sessionId: number, epoch: number, usesTopicIds: boolean): FetchSession {
    const session = this.sessions.get(sessionId)
    if (session === undefined) {
      throw new ProtocolError('FETCH_SESSION_ID_NOT_FOUND', `no fetch session ${sessionId}`)
    }
    if (session.epoch !== epoch) {
      const said = `fetch session ${sessionId} is at epoch ${session.epoch}, not ${epoch}`
      throw new ProtocolError('INVALID_FETCH_SESSION_EPOCH', said)
    }
    if (session.usesTopicIds !== usesTopicIds) {
      const said = `fetch session ${sessionId} began ${session.usesTopicIds ? 'with' : 'without'} topic ids`
      throw new ProtocolError('FETCH_SESSION_TOPIC_ID_ERROR', said)
    }
    session.epoch = epoch === LAST_EPOCH ? 1 : epoch + 1
    session.lastUsedMs = this.io.clock.monotonicMs()
    this.sessions.delete(sessionId)
    this.sessions.set(sessionId, session)
    return session
  }
}

function keyOf(topicId: string, topic: string, index: number): string {
  return `${topicId === ZERO_UUID ? topic : topicId}/${index}`
}

function partitionsOf(request: FetchRequest): FetchPartition[] {
  const partitions: FetchPartition[] = []
  for (const { topic, topicId, partitions: asked } of request.topics) {
    for (const one of asked) {
      partitions.push({
        topic,
        topicId,
        index: one.partition,
        fetchOffset: one.fetchOffset,
        maxBytes: one.partitionMaxBytes,
        currentLeaderEpoch: one.currentLeaderEpoch,
        lastFetchedEpoch: one.lastFetchedEpoch,
        toldHighWatermark: -1,
        toldLogStartOffset: -1,
      })
    }
  }
  return partitions
}

function update(session: FetchSession, request: FetchRequest): void {
  for (const { topic, topicId, partitions } of request.forgottenTopicsData) {
    for (const index of partitions) session.partitions.delete(keyOf(topicId, topic, index))
  }
  for (const one of partitionsOf(request)) {
    const key = keyOf(one.topicId, one.topic, one.index)
    const known = session.partitions.get(key)
    if (known === undefined) session.partitions.set(key, one)
    else {
      known.fetchOffset = one.fetchOffset
      known.maxBytes = one.maxBytes
      known.currentLeaderEpoch = one.currentLeaderEpoch
      known.lastFetchedEpoch = one.lastFetchedEpoch
    }
  }
}

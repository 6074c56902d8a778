/**
 * The sending half of a producer: takes batches from the queues of partitions, puts one of each partition that a broker
 * leads into one request, keeps up to `maxInFlight` requests on the way to each broker, and settles batches by the answers.
 *
 * `listed` is called when a partition has something to send; `pump` runs at the end of the turn, so that everything that an
 * application sends in one turn goes out together. There is no promise and no timer for a record or a batch: one timer
 * serves what is due next (a linger, a pause before a retry, a delivery deadline).
 *
 * A batch leaves its queue when it is written, refused for good, or older than the delivery timeout; until then every
 * failure leads to another attempt, in the order of the queue.
 */
import type { ResponseOf } from '../protocol/apis.ts'
import type { CodecName } from '../protocol/compression.ts'
import { errorCode } from '../protocol/errors.ts'
import type { Io, Timer } from '../protocol/io.ts'
import type { BatchMemory, Identity, PartitionQueue } from './accumulator.ts'
import type { Cluster } from './cluster.ts'
import type { Connection } from './connection.ts'
import { AnswerError, isRetriable, needsMetadata, TimeoutError } from './errors.ts'
import { attemptNow, backoffMs, LeaderSearch } from './leader-search.ts'
import type { ProduceBatch } from './produce-batch.ts'
import { produceRequest, readAnswer } from './produce-request.ts'
import { nameOf } from './telemetry.ts'

export interface SenderOptions {
  readonly acks: -1 | 0 | 1
  readonly idempotent: boolean
  readonly compression: CodecName
  readonly compressionLevel: number | undefined
  readonly lingerMs: number
  readonly maxInFlight: number
  readonly maxRequestBytes: number
}

/** What the sender tells the producer. */
export interface SenderOwner {
  /** A batch has left its queue: memory is free. */
  settled(): void
}

interface Sent {
  readonly queue: PartitionQueue
  readonly batch: ProduceBatch
}

/** Requests to one broker. */
interface Lane {
  readonly nodeId: number
  readonly waiting: PartitionQueue[]
  inFlight: number
  isOpening: boolean
}

const GAPS: ReadonlySet<number> = new Set(
  (['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID', 'INVALID_PRODUCER_EPOCH'] as const).map(
    errorCode,
  ),
)
const TOO_LARGE = new Set([errorCode('MESSAGE_TOO_LARGE'), errorCode('RECORD_LIST_TOO_LARGE')])

export class Sender {
  private readonly io: Io
  private readonly cluster: Cluster
  private readonly options: SenderOptions
  private readonly memory: BatchMemory
  private readonly owner: SenderOwner
  private readonly lanes = new Map<number, Lane>()
  private readonly search: LeaderSearch<PartitionQueue>
  /** Partitions that have batches. */
  private readonly active = new Set<PartitionQueue>()
  private identity: Identity | null = null
  private isIdentifying = false
  private isScheduled = false
  private isFlushing = false
  private isClosed = false
  private timer: Timer | null = null
  private timerAtMs = Number.POSITIVE_INFINITY

  constructor(
    io: Io,
    cluster: Cluster,
    options: SenderOptions,
    memory: BatchMemory,
    owner: SenderOwner,
  ) {
    this.io = io
    this.cluster = cluster
    this.options = options
    this.memory = memory
    this.owner = owner
    this.search = new LeaderSearch(io, cluster, {
      found: queue => {
        queue.isListed = false
        this.relist(queue)
      },
      missed: (queue, error) => this.missed(queue, error),
    })
  }

  /** Whether nothing is waiting or under way. */
  get isIdle(): boolean {
    return this.active.size === 0
  }

  /** The partition has a batch that it did not have before, or one that is full. */
  listed(queue: PartitionQueue): void {
    this.active.add(queue)
    if (queue.isListed) return
    queue.isListed = true
    if (queue.leaderId < 0) this.search.add(queue)
    else this.lane(queue.leaderId).waiting.push(queue)
    this.schedule()
  }

  /** Until nothing waits any more, lingering counts for nothing. */
  flush(): void {
    this.isFlushing = true
    this.schedule()
  }

  /** Fails everything that is still here. */
  close(error: Error): void {
    this.isClosed = true
    this.timer?.cancel()
    this.search.close()
    for (const queue of [...this.active]) {
      queue.closeOpen()
      for (const batch of [...queue.queue]) this.settle(queue, batch, error, false)
    }
  }

  private lane(nodeId: number): Lane {
    let lane = this.lanes.get(nodeId)
    if (lane === undefined) {
      lane = { nodeId, waiting: [], inFlight: 0, isOpening: false }
      this.lanes.set(nodeId, lane)
    }
    return lane
  }

  private schedule(): void {
    if (this.isScheduled || this.isClosed) return
    this.isScheduled = true
    this.io.turn.write(this.pump)
  }

  private readonly pump = (): void => {
    this.isScheduled = false
    if (this.isClosed) return
    if (this.options.idempotent && this.identity === null) {
      if (!this.isIdentifying && !this.isIdle) void this.identify()
    } else {
      for (const lane of this.lanes.values()) if (lane.waiting.length > 0) this.pumpLane(lane)
    }
    if (!this.isIdle) this.search.refresh()
  }

  private pumpLane(lane: Lane): void {
    if (lane.isOpening) return
    const connection = this.cluster.openConnection(lane.nodeId)
    if (connection === null) {
      void this.open(lane)
      return
    }
    while (lane.inFlight < this.options.maxInFlight && lane.waiting.length > 0) {
      const sent = this.collect(lane)
      if (sent.length === 0) return
      this.send(lane, connection, sent)
    }
  }

  /** One batch of each partition that has one to send; partitions with more stay in the list. */
  private collect(lane: Lane): Sent[] {
    const sent: Sent[] = []
    const nowMs = this.io.clock.monotonicMs()
    let bytes = 0
    for (const queue of lane.waiting.splice(0)) {
      if (sent.length > 0 && bytes >= this.options.maxRequestBytes) {
        lane.waiting.push(queue)
        continue
      }
      queue.isListed = false
      if (queue.leaderId !== lane.nodeId) {
        this.relist(queue)
        continue
      }
      const batch = this.take(queue, nowMs)
      if (batch === null) continue
      batch.isInFlight = true
      batch.attempts++
      queue.inFlight++
      bytes += batch.size
      if (batch.attempts > 1) {
        this.cluster.config.telemetry.meter?.resent(batch.topic, batch.count)
      }
      sent.push({ queue, batch })
      if (this.hasMore(queue, nowMs)) this.listed(queue)
    }
    return sent
  }

  /** The batch that this partition sends now; null where it has to wait: then what it waits for lists it again. */
  private take(queue: PartitionQueue, nowMs: number): ProduceBatch | null {
    const { idempotent, compression, compressionLevel } = this.options
    if (queue.notBeforeMs > nowMs) {
      this.wakeAt(queue.notBeforeMs)
      return null
    }
    let batch: ProduceBatch | null
    for (;;) {
      batch = queue.next(idempotent)
      if (batch === null) {
        if (queue.open === null || !queue.hasRoom || !this.isDue(queue, nowMs)) return null
        queue.closeOpen()
        batch = queue.next(idempotent)
        if (batch === null) return null
      }
      if (batch.deadlineMs > nowMs) break
      this.expire(queue, batch, nowMs)
    }
    const packing = batch.pack(compression, compressionLevel)
    if (packing !== undefined) {
      this.waitForPacking(queue, batch, packing)
      return null
    }
    if (idempotent && !queue.number(batch, this.identity!)) {
      this.identity = null
      this.relist(queue)
      return null
    }
    return batch
  }

  private hasMore(queue: PartitionQueue, nowMs: number): boolean {
    if (queue.next(this.options.idempotent) !== null) return true
    return this.options.idempotent && queue.open !== null && this.isDue(queue, nowMs)
  }

  /** Whether the batch being filled has lingered enough; else it is looked at again when it has. */
  private isDue({ open }: PartitionQueue, nowMs: number): boolean {
    const dueMs = open!.createdAtMs + this.options.lingerMs
    if (this.isFlushing || dueMs <= nowMs) return true
    this.wakeAt(dueMs)
    return false
  }

  private waitForPacking(queue: PartitionQueue, batch: ProduceBatch, packing: Promise<void>): void {
    const end = () => {
      queue.isPacking = false
      this.relist(queue)
    }
    queue.isPacking = true
    packing.then(end, error => {
      this.settle(queue, batch, error as Error, true)
      end()
    })
  }

  private send(lane: Lane, connection: Connection, sent: readonly Sent[]): void {
    const batches = sent.map(({ batch }) => batch)
    const request = produceRequest(this.cluster, this.options.acks, batches)
    try {
      if (this.options.acks === 0) {
        connection.sendAndForget('Produce', request)
        for (const one of sent) this.written(one, -1, -1, false)
        return
      }
      lane.inFlight++
      connection.submit('Produce', request, undefined, {
        keepsBytes: false,
        answered: response => {
          lane.inFlight--
          this.answered(sent, response, connection.label)
          this.schedule()
        },
        failed: error => {
          lane.inFlight--
          this.tell(sent, error)
          for (const one of sent) this.failed(one, error, false)
          this.schedule()
        },
      })
    } catch (error) {
      if (this.options.acks !== 0) lane.inFlight--
      this.tell(sent, error as Error)
      for (const one of sent) this.failed(one, error as Error, false)
    }
  }

  private answered(sent: readonly Sent[], response: ResponseOf<'Produce'>, broker: string): void {
    readAnswer(
      this.cluster,
      sent,
      response,
      broker,
      (one, { error, baseOffset, logAppendTimeMs }) => {
        if (error === null) this.written(one, baseOffset, logAppendTimeMs, true)
        else {
          this.tell([one], error)
          this.failed(one, error, true)
        }
      },
    )
  }

  private written(
    { queue, batch }: Sent,
    baseOffset: number,
    timeMs: number,
    isUnread: boolean,
  ): void {
    this.landed(queue, batch)
    this.cluster.config.telemetry.meter?.sentBatch(batch.topic, batch.count, batch.size)
    queue.remove(batch)
    this.memory.end(batch, isUnread)
    batch.delivered(baseOffset, timeMs)
    this.left(queue)
  }

  /** An attempt has failed: another one follows, unless that cannot help. */
  private failed({ queue, batch }: Sent, error: Error, isUnread: boolean): void {
    this.landed(queue, batch)
    batch.lastError = error
    const isGap = error instanceof AnswerError && this.options.idempotent && GAPS.has(error.code)
    const isLarge = error instanceof AnswerError && TOO_LARGE.has(error.code)
    if (isLarge && queue.split(batch)) return this.relist(queue)
    if (isGap) this.fenced(queue, batch, error)
    else if (!isRetriable(error)) {
      this.settle(queue, batch, error, isUnread)
      this.relist(queue)
      return
    }
    const nowMs = this.io.clock.monotonicMs()
    if (batch.deadlineMs <= nowMs) {
      this.expire(queue, batch, nowMs)
    } else if (!isGap || batch.attempts > 2) {
      queue.notBeforeMs = nowMs + backoffMs(this.io, this.cluster, batch.attempts)
    }
    if (needsMetadata(error)) {
      this.cluster.distrust()
      queue.leaderId = -1
    }
    this.relist(queue)
  }

  /** Another attempt of these has failed; what follows is decided for each of them. */
  private tell(sent: readonly Sent[], error: Error): void {
    if (this.isClosed) return
    const batches = sent.map(({ batch }) => batch)
    const attempts = Math.max(...batches.map(batch => batch.attempts))
    this.cluster.config.telemetry.attemptFailed('sending to', batches, error, attempts)
  }

  /** The broker does not take the producer's epoch or sequence number. */
  private fenced(queue: PartitionQueue, batch: ProduceBatch, error: AnswerError): void {
    if (!queue.refusedAsGap(batch)) return
    const { topic, partition } = queue
    const message = 'the partition goes on under a new producer epoch'
    this.cluster.config.telemetry.warn(message, { topic, partition, error: error.error })
  }

  private expire(queue: PartitionQueue, batch: ProduceBatch, nowMs: number): void {
    const ageMs = Math.round(nowMs - batch.createdAtMs)
    const last = batch.lastError?.message.replace(/\.$/, '') ?? 'it was never sent'
    const reason = `topic '${batch.topic}' partition ${batch.partition}: not delivered within ${ageMs} ms and ${batch.attempts} attempts; the last one: ${last}`
    const error = new TimeoutError(reason, {
      place: { api: 'Produce', topic: batch.topic, partition: batch.partition },
      advice:
        'the records may have been written all the same; a longer deliveryTimeoutMs waits longer',
      retriable: false,
      cause: batch.lastError ?? undefined,
    })
    this.settle(queue, batch, error, false)
  }

  private settle(
    queue: PartitionQueue,
    batch: ProduceBatch,
    error: Error,
    isUnread: boolean,
  ): void {
    const { topic, partition, count } = batch
    const { telemetry } = this.cluster.config
    telemetry.meter?.gaveUp(topic, count, nameOf(error))
    const reason = error.message
    telemetry.info('records were given up', { topic, partition, records: count, reason })
    queue.remove(batch)
    this.memory.end(batch, isUnread)
    batch.failed(error)
    this.left(queue)
  }

  private landed(queue: PartitionQueue, batch: ProduceBatch): void {
    batch.isInFlight = false
    queue.inFlight--
  }

  private left(queue: PartitionQueue): void {
    if (queue.queue.length === 0 && queue.open === null) this.active.delete(queue)
    else this.relist(queue)
    if (this.active.size === 0) this.isFlushing = false
    this.owner.settled()
  }

  private relist(queue: PartitionQueue): void {
    if (queue.queue.length > 0 || queue.open !== null) this.listed(queue)
  }

  private async open(lane: Lane): Promise<void> {
    lane.isOpening = true
    try {
      await this.cluster.connect(lane.nodeId, attemptNow(this.io, this.cluster))
    } catch (error) {
      if (needsMetadata(error)) this.cluster.distrust()
      this.cluster.config.telemetry.failed(error)
      for (const queue of lane.waiting.splice(0)) {
        queue.leaderId = -1
        queue.isListed = false
        this.missed(queue, error as Error)
        this.relist(queue)
      }
    }
    lane.isOpening = false
    this.schedule()
  }

  /** The partition cannot be sent to now. True: it has batches that are still worth another attempt. */
  private missed(queue: PartitionQueue, error: Error): boolean {
    const nowMs = this.io.clock.monotonicMs()
    queue.closeOpen()
    for (const batch of [...queue.queue]) {
      if (batch.isInFlight) continue
      batch.attempts++
      batch.lastError = error
      if (!isRetriable(error)) this.settle(queue, batch, error, false)
      else if (batch.deadlineMs <= nowMs) this.expire(queue, batch, nowMs)
    }
    if (queue.queue.length > 0) return true
    queue.isListed = false
    return false
  }

  private async identify(): Promise<void> {
    this.isIdentifying = true
    try {
      this.identity = await this.cluster.run('initProducerId', {}, async attempt => {
        const request = { transactionalId: null, transactionTimeoutMs: 0 }
        const answer = await this.cluster.request('any', 'InitProducerId', request, attempt)
        const { errorCode: code, producerId, producerEpoch } = answer
        if (code !== 0)
          throw new AnswerError(code, { api: 'InitProducerId', broker: attempt.asked })
        return { producerId, producerEpoch }
      })
    } catch (error) {
      for (const queue of [...this.active]) {
        queue.closeOpen()
        for (const batch of [...queue.queue]) this.settle(queue, batch, error as Error, false)
      }
    }
    this.isIdentifying = false
    this.schedule()
  }

  private wakeAt(atMs: number): void {
    if (atMs >= this.timerAtMs || this.isClosed) return
    this.timer?.cancel()
    this.timerAtMs = atMs
    const delayMs = Math.max(0, Math.ceil(atMs - this.io.clock.monotonicMs()))
    this.timer = this.io.clock.timer(delayMs, () => this.wake(), true)
  }

  /** Something may be due in any partition; what is not says when it will be. */
  private wake(): void {
    this.timerAtMs = Number.POSITIVE_INFINITY
    for (const queue of [...this.active]) this.listed(queue)
    this.schedule()
  }
}

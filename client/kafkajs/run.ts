/**
 * One `run` of a kafkajs consumer: a consumer of ours, and the loop that hands its batches to the handler.
 *
 *   nextBatch ─▶ (sought elsewhere, paused, busy? left for later) ─▶ handler ─▶ resolve ─▶ commit ─▶ …
 *
 * A handler that fails is called again, from the message that failed on, after a pause that grows; after `retries` pauses in a
 * row the run ends with its error. What is left of a batch when the handler pauses, seeks or resolves less is read again.
 */
import type { Consumer } from '../consumer.ts'
import type { ConsumerBatch } from '../consumer-handlers.ts'
import type { ConsumerRecord } from '../fetched-records.ts'
import { partitionKey, type TopicPartition } from '../topic-partition.ts'
import { Tracing } from '../tracing.ts'
import { kafkaJsError } from './error-mapping.ts'
import {
  KafkaJSError,
  KafkaJSNonRetriableError,
  KafkaJSNumberOfRetriesExceeded,
  KafkaJSProtocolError,
} from './errors.ts'
import type { CONSUMER_EVENTS, Events } from './events.ts'
import type { Membership } from './membership.ts'
import { batchOf, batchPayload } from './messages.ts'
import type { Pauses } from './pauses.ts'
import { byTopic, Progress } from './progress.ts'
import { CLIENT_ID, type Retries, retryTimeMs, type Settings } from './settings.ts'
import type {
  Batch,
  ConsumerRunConfig,
  EachBatchPayload,
  EachMessagePayload,
  KafkaMessage,
  Offsets,
} from './shapes.ts'

export interface RunParts {
  readonly settings: Settings
  readonly groupId: string
  readonly config: ConsumerRunConfig
  readonly retries: Retries
  readonly emitter: Events<typeof CONSUMER_EVENTS>
  readonly pauses: Pauses
  readonly membership: Membership
  readonly consumer: Consumer
  /** Topics whose partitions begin at their start where nothing is committed, unlike the others of this consumer. */
  readonly otherwiseEarliest: ReadonlySet<string>
}

type Seek = 'earliest' | 'latest' | number

/** The program's handlers, beside the records of ours that they are called for. */
type MessageRunner = (record: ConsumerRecord, payload: EachMessagePayload) => Promise<void> | void
type BatchRunner = (batch: ConsumerBatch, payload: EachBatchPayload) => Promise<void> | void

/** Mistakes in the program, which no repetition helps. */
const MISTAKES: ReadonlySet<string> = new Set([
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'TypeError',
])

export class Run {
  private readonly parts: RunParts
  private readonly progress: Progress
  private readonly onMessage: MessageRunner
  private readonly onBatch: BatchRunner
  private readonly active = new Map<string, Promise<void>>()
  /** Ends the wait for the next batch: at the end of the run, and when a handler has failed. */
  private reading = new AbortController()
  /** Ends the wait after a failure. */
  private wake: (() => void) | null = null
  /** Seeks before there is a share. */
  private readonly seeks = new Map<string, Seek>()
  /** When each partition was last sought, counted. */
  private readonly soughtAt = new Map<string, number>()
  private seekCount = 0
  private failure: Error | null = null
  private failures = 0
  private ended: Promise<void> = Promise.resolve()
  private whenJoined: (() => void) | null = null
  private committing: Promise<void> = Promise.resolve()
  private settling: Promise<void> | null = null
  isRunning = true

  constructor(parts: RunParts) {
    this.parts = parts
    const { settings, config, groupId } = parts
    const tracing = Tracing.find(settings.kafka.clientId ?? CLIENT_ID)
    const onMessage: MessageRunner = async (_, payload) => config.eachMessage?.(payload)
    const onBatch: BatchRunner = async (_, payload) => config.eachBatch?.(payload)
    this.onMessage = tracing?.handling(groupId, onMessage) ?? onMessage
    this.onBatch = tracing?.handlingBatches(groupId, onBatch) ?? onBatch
    this.progress = new Progress(parts.settings.io.clock)
  }

  /** Resolves when the consumer has its share, or the run has ended. `crashed` hears of an end that nobody asked for. */
  start(crashed: (error: Error) => void): Promise<void> {
    return new Promise(resolve => {
      this.whenJoined = resolve
      this.ended = this.loop().then(resolve, (error: Error) => {
        this.isRunning = false
        resolve()
        crashed(error)
      })
    })
  }

  /** Lets the handler come to its end, commits, and leaves the group. */
  async stop(): Promise<void> {
    this.isRunning = false
    this.reading.abort()
    this.wake?.()
    await this.ended
    await this.parts.consumer.close()
  }

  /** Looks whether the share that the group gave is in place, with positions, and takes it up. */
  settle(): Promise<void> {
    if (this.settling === null && this.parts.membership.pending === null) return Promise.resolve()
    this.settling ??= this.settleOnce().finally(() => {
      this.settling = null
    })
    return this.settling
  }

  private async settleOnce(): Promise<void> {
    const { membership, consumer, pauses } = this.parts
    const share = membership.pending
    if (share === null || !this.isRunning) return
    const held = new Set(consumer.assignment.map(partitionKey))
    if (!share.every(partition => held.has(partitionKey(partition)))) return
    if (share.some(p => consumer.position(p.topic, p.partition) === null)) return
    this.progress.clear()
    await this.beginAtStart(share)
    if (membership.pending !== share) return
    membership.pending = null
    for (const partition of share) {
      const seek = this.seeks.get(partitionKey(partition))
      if (seek !== undefined) this.moveTo(partition, seek)
    }
    this.seeks.clear()
    consumer.pause(share.filter(partition => pauses.isPaused(partition)))
    membership.joined()
    this.whenJoined?.()
    // Who waited for this may seek and pause before the first message is handled.
    await new Promise<void>(resolve => this.parts.settings.io.turn.write(resolve))
  }

  /** The next message of this partition; of partitions that others have, nothing happens. */
  seek(partition: TopicPartition, place: Seek): void {
    const isJoined = this.parts.membership.epoch > 0 && this.parts.membership.pending === null
    if (!isJoined) this.seeks.set(partitionKey(partition), place)
    else if (this.holds(partition)) this.moveTo(partition, place)
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.parts.consumer.pause(partitions)
  }

  resume(partitions: readonly TopicPartition[]): void {
    const isIdle = (partition: TopicPartition) => !this.active.has(partitionKey(partition))
    // One that is at work is resumed when its rest has been put back.
    this.parts.consumer.resume(partitions.filter(isIdle))
  }

  /** Commits these offsets, or all that is resolved; what the group has given to others is let go. */
  async commit(offsets?: Offsets): Promise<void> {
    const places =
      offsets === undefined
        ? this.progress.uncommitted
        : offsets.topics.flatMap(({ topic, partitions }) =>
            partitions.map(({ partition, offset, metadata }) => ({
              topic,
              partition,
              next: Number(offset),
              metadata: metadata ?? undefined,
            })),
          )
    if (places.length === 0) return
    const { consumer, membership, emitter, groupId } = this.parts
    const { memberId, generation: groupGenerationId } = membership
    await consumer.commit(places.map(place => ({ ...place, offset: place.next })))
    this.progress.wasCommitted(places)
    emitter.emit('commit_offsets', {
      groupId,
      memberId,
      groupGenerationId,
      topics: byTopic(places),
    })
  }

  /** As `commit`, where that is automatic; what fails because the group has gone on is of no use any more. */
  autoCommit(): Promise<void> {
    if (this.parts.config.autoCommit === false) return Promise.resolve()
    // One after the other: an older commit must not overtake a newer one.
    this.committing = this.committing.then(async () => {
      try {
        await this.commit()
      } catch (error) {
        const known = kafkaJsError(error, this.parts.retries)
        if (!isRebalance(known)) throw known
      }
    })
    const result = this.committing
    this.committing = result.catch(() => {})
    return result
  }

  private async loop(): Promise<void> {
    const { config, retries } = this.parts
    const concurrency = config.partitionsConsumedConcurrently ?? 1
    try {
      for (;;) {
        while (this.active.size >= concurrency) await Promise.race(this.active.values())
        if (this.failure !== null) await this.recover()
        if (!this.isRunning) break
        const seen = this.seekCount
        const batch = await this.read()
        if (batch === null) break
        await this.settle()
        if (this.accepts(batch, seen)) this.begin(batch)
      }
    } catch (error) {
      if (this.isRunning) throw kafkaJsError(error, retries)
    } finally {
      await Promise.allSettled(this.active.values())
    }
  }

  private async read(): Promise<ConsumerBatch | null> {
    if (this.reading.signal.aborted) this.reading = new AbortController()
    try {
      return await this.parts.consumer.nextBatch({ signal: this.reading.signal })
    } catch (error) {
      if (!this.isRunning) return null
      if (this.failure === null) throw error
      await Promise.allSettled(this.active.values())
      await this.recover()
      return this.isRunning ? this.read() : null
    }
  }

  /** Whether the batch may be handled now; if not it is put back. */
  private accepts(batch: ConsumerBatch, seen: number): boolean {
    const { consumer, pauses } = this.parts
    if (!this.holds(batch)) return false
    const { topic, partition, records } = batch
    const key = partitionKey(batch)
    if ((this.soughtAt.get(key) ?? 0) > seen) {
      // It may be of before the seek: the place is sought once more.
      const next = this.progress.next(batch)
      if (next === undefined) return true
      consumer.seek(topic, partition, next)
      return false
    }
    const isBusy = this.active.has(key)
    if (!isBusy && !pauses.isPaused(batch)) return true
    consumer.pause([batch])
    consumer.seek(topic, partition, records[0]!.offset)
    return false
  }

  private begin(batch: ConsumerBatch): void {
    const key = partitionKey(batch)
    const work = this.handle(batch, this.parts.membership.epoch).finally(() => {
      this.active.delete(key)
      const { consumer, pauses } = this.parts
      if (this.isRunning && this.holds(batch) && !pauses.isPaused(batch)) consumer.resume([batch])
    })
    this.active.set(key, work)
  }

  /** Never rejects: what fails is kept for the loop. */
  private async handle(given: ConsumerBatch, epoch: number): Promise<void> {
    const { settings, emitter } = this.parts
    const batch = batchOf(given)
    const payload = batchPayload(batch)
    const beganMs = settings.io.clock.monotonicMs()
    emitter.emit('start_batch_process', payload)
    const before = this.soughtAt.get(partitionKey(given)) ?? 0
    const isStale = () =>
      this.parts.membership.epoch !== epoch ||
      (this.soughtAt.get(partitionKey(given)) ?? 0) > before
    try {
      if (this.parts.config.eachMessage) await this.eachMessage(batch, given, isStale)
      else if (this.parts.config.eachBatch) await this.eachBatch(batch, given, isStale)
      const duration = Math.round(settings.io.clock.monotonicMs() - beganMs)
      emitter.emit('end_batch_process', { ...payload, duration })
      this.failures = 0
      if (this.parts.membership.epoch === epoch) await this.autoCommit()
    } catch (error) {
      if (!isRebalance(error)) this.failure ??= error as Error
      this.reading.abort()
    }
    if (!isStale()) this.putBackRest(given)
  }

  /** What the handler has left of the batch is read again. */
  private putBackRest(batch: ConsumerBatch): void {
    const { topic, partition, records } = batch
    const next = this.progress.next(batch) ?? records[0]!.offset
    if (next <= records.at(-1)!.offset && this.isRunning && this.holds(batch)) {
      this.parts.consumer.seek(topic, partition, next)
    }
  }

  private async eachMessage(
    batch: Batch,
    { records }: ConsumerBatch,
    isStale: () => boolean,
  ): Promise<void> {
    const { config, pauses } = this.parts
    const { topic, partition } = batch
    const { autoCommitInterval = null, autoCommitThreshold = null } = config
    const heartbeat = () => this.heartbeat(isStale)
    const pause = () => this.pauseOne(batch)
    for (const [i, message] of batch.messages.entries()) {
      if (!this.isRunning || isStale()) return
      try {
        await this.onMessage(records[i]!, { topic, partition, message, heartbeat, pause })
      } catch (error) {
        await this.handlerFailed('eachMessage', error, batch, message)
        throw error
      }
      if (isStale()) return
      this.progress.moveTo(batch, Number(message.offset) + 1)
      if (this.progress.isDue(autoCommitInterval, autoCommitThreshold)) await this.autoCommit()
      if (pauses.isPaused(batch)) return
    }
  }

  private async eachBatch(
    batch: Batch,
    given: ConsumerBatch,
    isStale: () => boolean,
  ): Promise<void> {
    const { config } = this.parts
    const { autoCommitInterval = null, autoCommitThreshold = null } = config
    const resolve = (offset: string) => {
      if (!isStale()) this.progress.moveTo(batch, Number(offset) + 1)
    }
    try {
      await this.onBatch(given, {
        batch,
        resolveOffset: resolve,
        heartbeat: () => this.heartbeat(isStale),
        pause: () => this.pauseOne(batch),
        commitOffsetsIfNecessary: async offsets => {
          if (offsets !== undefined) await this.commit(offsets)
          else if (this.progress.isDue(autoCommitInterval, autoCommitThreshold)) {
            await this.autoCommit()
          }
        },
        uncommittedOffsets: () => ({ topics: this.progress.uncommittedOffsets }),
        isRunning: () => this.isRunning,
        isStale,
      })
    } catch (error) {
      await this.handlerFailed('eachBatch', error, batch, batch.messages[0]!)
      throw error
    }
    if (config.eachBatchAutoResolve !== false) resolve(batch.lastOffset())
  }

  private async handlerFailed(
    name: string,
    error: unknown,
    { topic, partition }: Batch,
    { offset }: KafkaMessage,
  ): Promise<void> {
    if (!(error instanceof KafkaJSError)) {
      const { stack } = error as Error
      const extra = { topic, partition, offset, stack, error }
      this.parts.settings.logger.namespace('Runner').error(`Error when calling ${name}`, extra)
    }
    // What was done before it is not done again.
    await this.autoCommit()
  }

  /** Heartbeats need no help of the handler's; it is told when the group has moved on. */
  private async heartbeat(isStale: () => boolean): Promise<void> {
    if (!isStale()) return
    const message = 'The group is rebalancing, so a rejoin is needed'
    throw new KafkaJSProtocolError({ message, type: 'REBALANCE_IN_PROGRESS', code: 27 })
  }

  private pauseOne({ topic, partition }: Batch): () => void {
    const { pauses } = this.parts
    const selection = [{ topic, partitions: [partition] }]
    pauses.pause(selection)
    this.pause([{ topic, partition }].filter(one => this.holds(one)))
    return () => {
      pauses.resume(selection)
      this.resume([{ topic, partition }].filter(one => this.holds(one)))
    }
  }

  /** Waits after a failure of the handler. Throws when there is no point in going on. */
  private async recover(): Promise<void> {
    const { retries, settings } = this.parts
    const error = this.failure!
    this.failure = null
    const isFinal =
      MISTAKES.has(error.name) || (error as { retriable?: unknown }).retriable === false
    if (isFinal) throw new KafkaJSNonRetriableError(error, { cause: error })
    const retryTime = retryTimeMs(retries, this.failures)
    if (this.failures >= retries.retries) {
      throw new KafkaJSNumberOfRetriesExceeded(error, { retryCount: this.failures, retryTime })
    }
    this.failures++
    await new Promise<void>(resolve => {
      const timer = settings.io.clock.timer(retryTime, resolve, true)
      this.wake = () => {
        timer.cancel()
        resolve()
      }
      if (!this.isRunning) this.wake()
    })
    this.wake = null
  }

  private holds({ topic, partition }: TopicPartition): boolean {
    return this.parts.consumer.assignment.some(
      held => held.topic === topic && held.partition === partition,
    )
  }

  private moveTo(partition: TopicPartition, place: Seek): void {
    this.soughtAt.set(partitionKey(partition), ++this.seekCount)
    if (typeof place === 'number') this.progress.moveTo(partition, place)
    else this.progress.forget(partition)
    this.parts.consumer.seek(partition.topic, partition.partition, place)
  }

  private async beginAtStart(share: readonly TopicPartition[]): Promise<void> {
    const { consumer, otherwiseEarliest } = this.parts
    const those = share.filter(({ topic }) => otherwiseEarliest.has(topic))
    if (those.length === 0) return
    for (const { topic, partition, offset } of await consumer.committed(those)) {
      if (offset < 0) consumer.seek(topic, partition, 'earliest')
    }
  }
}

function isRebalance(error: unknown): boolean {
  if (!(error instanceof KafkaJSProtocolError)) return false
  const { type } = error
  return ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID'].includes(type)
}

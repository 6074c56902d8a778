/**
 * `Partition`: room 3 of 5 on the Produce and Fetch paths. Leadership, when a write counts as acknowledged, what a reader
 * may see.
 *
 * On one broker the in-sync replicas are this broker alone, so the high watermark follows what has been written.
 * Invariants: `logStartOffset ≤ highWatermark ≤ logEnd`; an answer to acks=-1 leaves only when the high watermark is
 * beyond the batch; waits end with an error when the log fails.
 */
import { type ErrorName, ProtocolError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/io.ts'
import type { AppendInfo, EpochEndOffset, Log, LogSlice } from '../../segment-store/log.ts'
import {
  type BatchPolicy,
  needsAsyncValidation,
  type ValidBatch,
  validateBatch,
} from '../../segment-store/validator.ts'
import { isInternalTopic } from '../metadata/image.ts'
import type { TopicMeter } from '../metrics.ts'
import { FlushPolicy } from './flush-policy.ts'
import { type Outcome, Watermark } from './watermark.ts'

/** What an append gave, and until where the log must be written or replicated before it is acknowledged. */
export interface Appended {
  readonly baseOffset: number
  readonly logAppendTimeMs: number
  readonly logStartOffset: number
  /** Acknowledged when this offset (exclusive end of the batch) is reached. */
  readonly endOffset: number
  /** `Partition.drops` at the time of the append. */
  readonly drops: number
}

/** Whether the disk has room for what producers send (segment-store/free-space.ts). */
export interface Space {
  readonly isLow: boolean
  refusal(what: string): ProtocolError
}

export class Partition {
  readonly topic: string
  readonly topicId: string
  /** Belongs to the brokers themselves: clients may read it, not write. */
  readonly isInternal: boolean
  readonly index: number
  readonly log: Log
  readonly leader: number
  /** The term of this leadership; it only grows. */
  leaderEpoch: number
  readonly meter: TopicMeter
  /** Below it: written, and synced where the topic asks for it. Followers wait here. */
  readonly logEnd: Watermark
  /** Below it: on every in-sync replica. acks=-1 and consumers wait here. */
  readonly highWatermark: Watermark
  policy: BatchPolicy
  minInsyncReplicas: number
  /** Whether `cleanup.policy` includes delete. */
  allowsDeletion: boolean
  readonly flushPolicy: FlushPolicy
  /** The end of the queue of batches whose codec is only asynchronous; null while nothing waits there. */
  private queue: Promise<unknown> | null = null
  private readonly space: Space | null
  private gone: ErrorName | null = null
  /** How often a full disk made the log drop what was appended: offsets from before mean other batches now. */
  private drops = 0

  constructor(options: {
    topic: string
    topicId: string
    index: number
    log: Log
    leader: number
    leaderEpoch: number
    meter: TopicMeter
    policy: BatchPolicy
    minInsyncReplicas: number
    allowsDeletion: boolean
    clock: Clock
    space?: Space
  }) {
    this.topic = options.topic
    this.topicId = options.topicId
    this.isInternal = isInternalTopic(options.topic)
    this.index = options.index
    this.log = options.log
    this.leader = options.leader
    this.leaderEpoch = options.leaderEpoch
    this.meter = options.meter
    this.policy = options.policy
    this.minInsyncReplicas = options.minInsyncReplicas
    this.allowsDeletion = options.allowsDeletion
    this.space = options.space ?? null
    this.logEnd = new Watermark(this.log.writtenOffset)
    this.highWatermark = new Watermark(this.log.writtenOffset)
    this.flushPolicy = new FlushPolicy(this.log, options.clock, offset => this.reached(offset))
  }

  /** Replicas close enough to the leader to count for acks=-1: on one broker, itself. */
  get isr(): readonly number[] {
    return [this.leader]
  }

  /** Neither failed nor deleted. */
  get isServing(): boolean {
    return this.gone === null
  }

  get lastStableOffset(): number {
    return Math.min(this.log.lastStableOffset, this.highWatermark.value)
  }

  /** The log has written everything below `offset`. */
  written(offset: number): void {
    this.flushPolicy.written(offset)
  }

  /** Everything below `offset` may be acknowledged and read. */
  private reached(offset: number): void {
    this.logEnd.advanceTo(offset)
    this.highWatermark.advanceTo(offset)
  }

  /** The log failed, or the partition was deleted: nothing that waits here may be answered with success. */
  fail(error: ErrorName): void {
    this.gone = error
    this.flushPolicy.stop()
    this.logEnd.failAll(error)
    this.highWatermark.failAll(error)
  }

  /**
   * Validates a producer's batch and appends it. Synchronous unless its codec is only asynchronous, or batches of that
   * kind are still ahead of it: offsets are assigned in the order of the calls.
   *
   * @throws ProtocolError with Kafka's error for what is wrong with the batch or the partition
   */
  append(records: Buffer, acks: number, nowMs: number): Appended | Promise<Appended> {
    this.assertServing()
    if (this.space?.isLow === true) throw this.space.refusal(`${this}`)
    if (acks === -1) this.assertEnoughReplicas()
    if (this.queue !== null || needsAsyncValidation(records, this.policy)) {
      return this.enqueue(Buffer.from(records), nowMs)
    }
    return this.appendValid(validateBatch(records, this.policy, nowMs) as ValidBatch, nowMs)
  }

  /**
   * Appends what a coordinator of this broker wrote. It is stored as it is, never recompressed, so always at once; all
   * else is as for a producer with acks=-1.
   */
  appendAsCoordinator(batch: Buffer, nowMs: number): Appended {
    this.assertServing()
    this.assertEnoughReplicas()
    const isKept = this.policy.compressionType === 'producer'
    const policy = isKept ? this.policy : { ...this.policy, compressionType: 'producer' as const }
    return this.appendValid(validateBatch(batch, policy, nowMs) as ValidBatch, nowMs)
  }

  /** What was appended and not yet written is dropped, because the disk was full; the partition goes on. */
  dropped(): void {
    this.drops += 1
    this.logEnd.failAll('KAFKA_STORAGE_ERROR')
    this.highWatermark.failAll('KAFKA_STORAGE_ERROR')
  }

  /**
   * Whether what ends at `endOffset` is acknowledged for these acks; throws when it never will be. A batch that was
   * appended before a drop may be told to have failed although it was written, never the other way round.
   */
  isAcknowledged(acks: number, endOffset: number, drops: number = this.drops): boolean {
    if (this.gone !== null) throw this.goneError()
    if (drops !== this.drops) {
      throw new ProtocolError('KAFKA_STORAGE_ERROR', `${this}: the disk is full; try again`)
    }
    return (acks === -1 ? this.highWatermark : this.logEnd).value >= endOffset
  }

  /** Calls `done` once it is acknowledged, or after `timeoutMs`, or when it cannot be any more. */
  whenAcknowledged(
    acks: number,
    endOffset: number,
    clock: Clock,
    timeoutMs: number,
    done: (outcome: Outcome) => void,
  ): void {
    if (this.gone !== null) return done(this.gone)
    const mark = acks === -1 ? this.highWatermark : this.logEnd
    mark.wait(endOffset, clock, timeoutMs, done)
  }

  /** Below this offset a reader of this kind may see records. */
  readableEnd(committed: boolean): number {
    return committed ? this.lastStableOffset : this.highWatermark.value
  }

  /** How many bytes a read at `offset` could give now. @throws OFFSET_OUT_OF_RANGE */
  readableBytes(offset: number, committed: boolean): number {
    this.assertServing()
    this.checkRange(offset)
    return this.log.bytesBetween(offset, this.readableEnd(committed))
  }

  /** @throws OFFSET_OUT_OF_RANGE below the log's start or above its high watermark */
  read(
    offset: number,
    maxBytes: number,
    committed: boolean,
    minOneBatch: boolean,
  ): LogSlice | Promise<LogSlice> {
    this.assertServing()
    this.checkRange(offset)
    const upTo = this.readableEnd(committed)
    return this.log.read({ offset, maxBytes, upTo, minOneBatch, committed })
  }

  /** @throws FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH when a client's idea of the epoch (-1: none) is not ours */
  checkEpoch(currentLeaderEpoch: number): void {
    if (currentLeaderEpoch < 0 || currentLeaderEpoch === this.leaderEpoch) return
    const said = `${this} is at leader epoch ${this.leaderEpoch}, not ${currentLeaderEpoch}`
    if (currentLeaderEpoch < this.leaderEpoch) throw new ProtocolError('FENCED_LEADER_EPOCH', said)
    throw new ProtocolError('UNKNOWN_LEADER_EPOCH', said)
  }

  /**
   * Where the largest leader epoch at or below `epoch` ended; -1 twice if no such epoch is known. Ours is in force before
   * its first record: a reader that was told it must not hear that it is unknown (it would take its log as truncated).
   */
  endOffsetForEpoch(epoch: number): EpochEndOffset {
    const { logEndOffset, latestEpoch } = this.log
    if (epoch === this.leaderEpoch) return { leaderEpoch: epoch, endOffset: logEndOffset }
    if (epoch > latestEpoch && epoch < this.leaderEpoch) {
      return { leaderEpoch: latestEpoch < 0 ? epoch : latestEpoch, endOffset: logEndOffset }
    }
    return this.log.endOffsetForEpoch(epoch)
  }

  /** The leader epoch of the record at `offset`, or of the one that will be written there. */
  epochAt(offset: number): number {
    return offset >= this.log.logEndOffset ? this.leaderEpoch : this.log.epochAt(offset)
  }

  toString(): string {
    return `${this.topic}-${this.index}`
  }

  private checkRange(offset: number): void {
    const { logStartOffset } = this.log
    const end = this.highWatermark.value
    if (offset >= logStartOffset && offset <= end) return
    const range = `${logStartOffset} to ${end}`
    throw new ProtocolError('OFFSET_OUT_OF_RANGE', `${this} has offsets ${range}, not ${offset}`)
  }

  private assertServing(): void {
    if (this.gone !== null) throw this.goneError()
  }

  private assertEnoughReplicas(): void {
    if (this.isr.length >= this.minInsyncReplicas) return
    const have = `${this.isr.length} in-sync replica(s) of ${this.minInsyncReplicas}`
    throw new ProtocolError('NOT_ENOUGH_REPLICAS', `${this} has ${have} (min.insync.replicas)`)
  }

  private goneError(): ProtocolError {
    const why = this.log.failure?.message ?? 'it is closed'
    return new ProtocolError(this.gone!, `${this} cannot be served: ${why}`)
  }

  private appendValid(valid: ValidBatch, nowMs: number): Appended {
    const info: AppendInfo = this.log.append(
      valid.batch,
      valid.maxTimestamp,
      valid.offsetOfMaxTimestamp,
      this.leaderEpoch,
      nowMs,
    )
    this.meter.bytesIn += valid.batch.length
    this.meter.messagesIn += valid.recordCount
    return {
      baseOffset: info.baseOffset,
      logAppendTimeMs: valid.logAppendTimeMs,
      logStartOffset: info.logStartOffset,
      endOffset: info.lastOffset + 1,
      drops: this.drops,
    }
  }

  private enqueue(records: Buffer, nowMs: number): Promise<Appended> {
    const validated = Promise.resolve(this.queue).then(() =>
      validateBatch(records, this.policy, nowMs),
    )
    const appended = validated.then(valid => {
      this.assertServing()
      return this.appendValid(valid, nowMs)
    })
    const end = appended.then(
      () => {},
      () => {},
    )
    this.queue = end
    void end.then(() => {
      if (this.queue === end) this.queue = null
    })
    return appended
  }
}

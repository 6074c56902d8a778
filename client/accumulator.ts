/**
 * Where a producer's records wait: for each partition the batch that is being filled, and in front of it those that are
 * full, in the order in which they were begun. A batch stays in the queue until its fate is known, so the queue is also
 * the order that retries keep.
 *
 *   queue   [ in flight ] [ in flight ] [ to be sent again ] [ sealed ]      open  [ filling ]
 *              oldest                                                                 newest
 *
 * Batches are charged against one budget of memory with the whole of their buffers, which are used again. What finds the
 * budget spent waits in one line, first come first served.
 *
 * An idempotent producer's identity is kept for each partition (a broker keeps it for each partition, too): when a gap
 * in the sequence numbers shows that a batch was never written, only this partition goes on under a new epoch.
 */
import { sequenceAfter } from '../protocol/record-batch.ts'
import { ProduceBatch } from './produce-batch.ts'

export interface AccumulatorOptions {
  readonly batchBytes: number
  readonly bufferBytes: number
  readonly deliveryTimeoutMs: number
}

/** A broker finds repetitions among the last five batches of a partition only. */
export const MAX_UNRESOLVED = 5

const MAX_EPOCH = 32_767

export interface Identity {
  readonly producerId: number
  readonly producerEpoch: number
}

/** One partition: its queue, its place in the sequence, and where it is sent. */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  readonly queue: ProduceBatch[] = []
  open: ProduceBatch | null = null
  /** -1: to be looked up. */
  leaderId = -1
  /** Whether it stands in a list of those that have something to send. */
  isListed = false
  /** Whether its first batch is being compressed. */
  isPacking = false
  /** Not to be sent to before this time, after a failure. */
  notBeforeMs = 0
  inFlight = 0
  private identity: Identity | null = null
  private nextSequence = 0
  private hasGap = false

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** Closes the batch that is being filled: it stands in the queue now. */
  closeOpen(): void {
    if (this.open === null) return
    this.queue.push(this.open)
    this.open = null
  }

  /**
   * The batch to send next, or null. Without sequence numbers a second batch waits until the first is written: a retry could
   * come behind it.
   */
  next(isIdempotent: boolean): ProduceBatch | null {
    if (this.isPacking || (this.inFlight > 0 && (this.hasGap || !isIdempotent))) return null
    const end = Math.min(this.queue.length, MAX_UNRESOLVED)
    for (let i = 0; i < end; i++) if (!this.queue[i]!.isInFlight) return this.queue[i]!
    return null
  }

  /** Whether something could be sent once the batch that is being filled is closed. */
  get hasRoom(): boolean {
    return this.queue.length < MAX_UNRESOLVED
  }

  /** Gives the batch its sequence number, if it has none that still holds. Null: a new identity is needed. */
  number(batch: ProduceBatch, current: Identity): boolean {
    if (this.hasGap) {
      // Nothing that stands in the queue has been written, and nothing of it is in flight.
      this.hasGap = false
      const before = this.identity
      for (const queued of this.queue) queued.sequence = null
      this.nextSequence = 0
      this.identity = null
      if (before !== null && before.producerId === current.producerId) {
        if (before.producerEpoch >= MAX_EPOCH) {
          this.hasGap = true
          this.identity = before
          return false
        }
        this.identity = {
          producerId: before.producerId,
          producerEpoch: before.producerEpoch + 1,
        }
      }
    }
    this.identity ??= current
    if (batch.sequence === null) {
      batch.sequence = { ...this.identity, baseSequence: this.nextSequence }
      this.nextSequence = sequenceAfter(this.nextSequence, batch.count)
    }
    return true
  }

  /**
   * The broker misses something before this batch. If an earlier batch is still to be written, that is it. If none is, the
   * gap is where a batch was given up, and what follows has not been written either: a new epoch begins, and it is true.
   */
  refusedAsGap(batch: ProduceBatch): boolean {
    if (this.queue[0] !== batch) return false
    this.hasGap = true
    return true
  }

  /** Puts two batches in the place of one that is too large; false if it cannot be made smaller. */
  split(batch: ProduceBatch): boolean {
    const at = this.queue.indexOf(batch)
    const halves = batch.split()
    if (at < 0 || halves === null) return false
    this.queue.splice(at, 1, ...halves)
    return true
  }

  remove(batch: ProduceBatch): void {
    const at = this.queue.indexOf(batch)
    if (at >= 0) this.queue.splice(at, 1)
  }
}

/** Memory for batches: a budget, and buffers that are used again. */
export class BatchMemory {
  private readonly batchBytes: number
  private readonly limitBytes: number
  private readonly deliveryTimeoutMs: number
  private readonly spare: Buffer[] = []
  private usedBytes = 0

  constructor({ batchBytes, bufferBytes, deliveryTimeoutMs }: AccumulatorOptions) {
    this.batchBytes = batchBytes
    this.limitBytes = bufferBytes
    this.deliveryTimeoutMs = deliveryTimeoutMs
  }

  /** Memory in use by batches. */
  get used(): number {
    return this.usedBytes
  }

  /** A new batch with room for a record that needs `bytes`; null: no memory until batches are released. */
  begin(
    place: { readonly topic: string; readonly partition: number },
    bytes: number,
    nowMs: number,
  ): ProduceBatch | null {
    const size = Math.max(bytes, this.batchBytes)
    // Whoever is alone may go over the budget: else a record larger than it could never be sent.
    if (this.usedBytes > 0 && this.usedBytes + size > this.limitBytes) return null
    this.usedBytes += size
    const buffer =
      size === this.batchBytes
        ? (this.spare.pop() ?? Buffer.allocUnsafeSlow(size))
        : Buffer.allocUnsafeSlow(size)
    return new ProduceBatch(place, buffer, nowMs, nowMs + this.deliveryTimeoutMs)
  }

  /** The batch's fate is known. `isUnread`: nothing can be sending from its buffer any more. */
  end(batch: ProduceBatch, isUnread: boolean): void {
    this.usedBytes -= batch.chargedBytes
    const buffer = isUnread ? batch.release() : null
    if (buffer !== null && buffer.length === this.batchBytes && this.spare.length < MAX_SPARE)
      this.spare.push(buffer)
  }
}

/** Buffers kept for later, of 16 KiB usually. */
const MAX_SPARE = 256

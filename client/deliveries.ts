/**
 * Who waits for records that were handed to a producer: one call of `send`, of `sendBatch`, or of `sendFrom`. Each hears of
 * a batch once, however many of its records lie in it.
 */
import type { Delivery, ProduceBatch } from './produce-batch.ts'

/** Where a record has been written. */
export interface RecordPosition {
  readonly topic: string
  readonly partition: number
  /** -1 where the broker does not say: with acks=0, and for a repetition that it no longer knows the place of. */
  readonly offset: number
  /** The record's time: its own, or the log's where the topic says so. */
  readonly timestampMs: number
}

/** Where records of one call that came into one batch have been written: `count` offsets from `baseOffset` on. */
export interface BatchPosition {
  readonly topic: string
  readonly partition: number
  readonly baseOffset: number
  readonly count: number
  /** Of the batch, where the topic's log keeps its own time; else -1. */
  readonly logAppendTimeMs: number
}

/** A delivery that hears where its records are put. */
export interface Appendable extends Delivery {
  /** A record has become number `index` of the batch. */
  appended(batch: ProduceBatch, index: number, timestampMs: number): void
}

/** One record of one call. */
export class OneDelivery implements Appendable {
  private readonly resolve: (position: RecordPosition) => void
  private readonly reject: (error: Error) => void
  private index = 0
  private timestampMs = 0

  constructor(resolve: (position: RecordPosition) => void, reject: (error: Error) => void) {
    this.resolve = resolve
    this.reject = reject
  }

  appended(batch: ProduceBatch, index: number, timestampMs: number): void {
    this.index = index
    this.timestampMs = timestampMs
    batch.deliveries.push(this)
  }

  delivered({ topic, partition }: ProduceBatch, baseOffset: number, logAppendTimeMs: number): void {
    const offset = baseOffset < 0 ? -1 : baseOffset + this.index
    const timestampMs = logAppendTimeMs < 0 ? this.timestampMs : logAppendTimeMs
    this.resolve({ topic, partition, offset, timestampMs })
  }

  failed(error: Error): void {
    this.reject(error)
  }

  split(_batch: ProduceBatch, at: number, first: ProduceBatch, second: ProduceBatch): void {
    const half = this.index < at ? first : second
    if (this.index >= at) this.index -= at
    half.deliveries.push(this)
  }
}

interface Share {
  batch: ProduceBatch
  first: number
  count: number
}

/** All records of one call: settled when the last of them is; the first failure counts. */
export class ManyDelivery implements Appendable {
  private readonly resolve: (positions: BatchPosition[]) => void
  private readonly reject: (error: Error) => void
  private readonly shares: Share[] = []
  private readonly positions: BatchPosition[] = []
  private left: number
  private failure: Error | null = null

  constructor(
    count: number,
    resolve: (positions: BatchPosition[]) => void,
    reject: (error: Error) => void,
  ) {
    this.left = count
    this.resolve = resolve
    this.reject = reject
    if (count === 0) resolve([])
  }

  appended(batch: ProduceBatch, index: number): void {
    for (let i = this.shares.length - 1; i >= 0; i--) {
      const share = this.shares[i]!
      if (share.batch !== batch) continue
      // Records of other calls may lie in between: then it is a share of its own.
      if (share.first + share.count === index) {
        share.count++
        return
      }
      this.shares.push({ batch, first: index, count: 1 })
      return
    }
    this.shares.push({ batch, first: index, count: 1 })
    batch.deliveries.push(this)
  }

  delivered(batch: ProduceBatch, baseOffset: number, logAppendTimeMs: number): void {
    const { topic, partition } = batch
    for (const share of this.shares) {
      if (share.batch !== batch) continue
      const { first, count } = share
      const start = baseOffset < 0 ? -1 : baseOffset + first
      this.positions.push({ topic, partition, baseOffset: start, count, logAppendTimeMs })
      this.left -= count
    }
    this.end()
  }

  failed(error: Error, batch?: ProduceBatch): void {
    this.failure ??= error
    let count = batch === undefined ? 1 : 0
    for (const share of this.shares) if (share.batch === batch) count += share.count
    this.left -= count
    this.end()
  }

  split(batch: ProduceBatch, at: number, first: ProduceBatch, second: ProduceBatch): void {
    for (const share of this.shares.filter(one => one.batch === batch)) {
      const end = share.first + share.count
      share.batch = share.first < at ? first : second
      if (share.first < at && end > at) {
        share.count = at - share.first
        this.shares.push({ batch: second, first: 0, count: end - at })
      } else if (share.first >= at) share.first -= at
    }
    for (const half of [first, second]) {
      if (this.shares.some(one => one.batch === half)) half.deliveries.push(this)
    }
  }

  private end(): void {
    if (this.left > 0) return
    if (this.failure === null) this.resolve(this.positions)
    else this.reject(this.failure)
  }
}

/** Records of a stream: how many are on their way, and a wait for there to be fewer. */
export class StreamDelivery implements Appendable {
  /** Which records of a batch are its own. */
  private readonly indexes = new Map<ProduceBatch, number[]>()
  private outstanding = 0
  private sentRecords = 0
  private wake: (() => void) | null = null
  failure: Error | null = null

  /** Records written so far. */
  get count(): number {
    return this.sentRecords
  }

  /** A record is about to be handed over. */
  begin(): void {
    this.outstanding++
  }

  appended(batch: ProduceBatch, index: number): void {
    const indexes = this.indexes.get(batch)
    if (indexes !== undefined) return void indexes.push(index)
    this.indexes.set(batch, [index])
    batch.deliveries.push(this)
  }

  delivered(batch: ProduceBatch): void {
    const count = this.indexes.get(batch)!.length
    this.sentRecords += count
    this.end(batch, count)
  }

  failed(error: Error, batch?: ProduceBatch): void {
    this.failure ??= error
    this.end(batch, batch === undefined ? 1 : this.indexes.get(batch)!.length)
  }

  split(batch: ProduceBatch, at: number, first: ProduceBatch, second: ProduceBatch): void {
    const indexes = this.indexes.get(batch)!
    this.indexes.delete(batch)
    const before = indexes.filter(index => index < at)
    const behind = indexes.filter(index => index >= at).map(index => index - at)
    for (const [half, own] of [
      [first, before],
      [second, behind],
    ] as const) {
      if (own.length === 0) continue
      this.indexes.set(half, own)
      half.deliveries.push(this)
    }
  }

  /** Waits until at most `most` records are on their way, or one has failed, or the signal says so. */
  async room(most: number, signal: AbortSignal | undefined): Promise<void> {
    while (this.outstanding > most && this.failure === null) {
      signal?.throwIfAborted()
      await new Promise<void>(resolve => {
        this.wake = resolve
        signal?.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    signal?.throwIfAborted()
    if (this.failure !== null) throw this.failure
  }

  private end(batch: ProduceBatch | undefined, count: number): void {
    if (batch !== undefined) this.indexes.delete(batch)
    this.outstanding -= count
    this.wake?.()
    this.wake = null
  }
}

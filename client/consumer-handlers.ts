/**
 * Calls the handler of `eachMessage` for several records at a time, in order where order is promised: with a concurrency of
 * one, within a partition; above it, within a key of a partition (records without a key have no order then).
 *
 *   records ─▶ lane of the key: one at a time ─▶ handler, attempts ─▶ written off ─▶ done: all before it are, too
 *
 * Each partition has a window of what was handed out and is not finished. The partition is done up to the first of these, so
 * what is committed never passes a record that is still being handled. No more records are taken than can be handled soon.
 */
import type { Io } from '../protocol/io.ts'
import type { ConsumerConfig } from './consumer-config.ts'
import type { FailedRecords } from './consumer-retry.ts'
import { type RawRecord, SerializerError } from './errors.ts'
import type { ConsumerRecord, RawBytes } from './fetched-records.ts'
import type { AssignedPartition } from './fetcher.ts'
import type { TopicPartition } from './topic-partition.ts'

/** Records of one batch, and whose they are. */
export interface Taken<K, V> {
  readonly partition: AssignedPartition<K, V>
  /** Of the partition, when these records were read. */
  readonly round: number
  readonly records: readonly ConsumerRecord<K, V>[]
  readonly leaderEpoch: number
}

export interface RecordSupply<K, V> {
  /** The next batch; null once the consumer is closed. */
  take(signal: AbortSignal): Promise<Taken<K, V> | null>
  find(topic: string, partition: number): AssignedPartition<K, V> | undefined
  /** Goes on at this offset, after so long. */
  resumeAt(partition: AssignedPartition<K, V>, offset: number, delayMs: number): void
}

/** What a handler is told besides its records. */
export interface Handling {
  /** Aborted when the partition goes to another member of the group: what is done from now on will be done again there. */
  readonly signal: AbortSignal
}

/** Records that were written together. */
export interface ConsumerBatch<K = Buffer, V = Buffer> extends TopicPartition {
  readonly records: readonly ConsumerRecord<K, V>[]
  /** The end of the partition, as of the last answer. */
  readonly highWatermark: number
}

export type BatchHandler<K, V> = (
  batch: ConsumerBatch<K, V>,
  handling: Handling,
) => Promise<void> | void

export type MessageHandler<K, V> = (
  record: ConsumerRecord<K, V>,
  handling: Handling,
) => Promise<void> | void

interface Item<K, V> {
  readonly record: ConsumerRecord<K, V>
  readonly window: Window
}

/** What is not finished of a partition, in the order of offsets. */
class Window {
  round: number
  private readonly partition: AssignedPartition<unknown, unknown>
  private readonly finished = new Map<number, boolean>()
  private end = -1
  private leaderEpoch = -1

  constructor(partition: AssignedPartition<unknown, unknown>) {
    this.partition = partition
    this.round = partition.round
  }

  /** Whether the partition has not been moved or lost since. */
  get isValid(): boolean {
    return this.round === this.partition.round
  }

  /** Whether its records may still be handed to the handler. */
  get isOpen(): boolean {
    return this.isValid && !this.partition.isLeaving
  }

  get signal(): AbortSignal {
    return this.partition.holding.signal
  }

  begin(offset: number, leaderEpoch: number): void {
    this.finished.set(offset, false)
    this.end = offset + 1
    this.leaderEpoch = leaderEpoch
  }

  finish(offset: number): void {
    if (!this.isValid) return
    this.finished.set(offset, true)
    for (const [first, isFinished] of this.finished) {
      if (!isFinished) break
      this.finished.delete(first)
    }
    const [first = this.end] = this.finished.keys()
    this.partition.done = first
    this.partition.doneEpoch = this.leaderEpoch
  }
}

export class RecordHandlers<K, V> {
  private readonly io: Io
  private readonly config: ConsumerConfig<K, V>
  private readonly supply: RecordSupply<K, V>
  private readonly handle: MessageHandler<K, V>
  private readonly concurrency: number
  private readonly failed: FailedRecords | null
  private readonly raws: RawBytes | null
  private readonly windows = new Map<AssignedPartition<K, V>, Window>()
  /** By key, what waits for the one before it; a lane that is not being worked on stands in `ready`. */
  private readonly lanes = new Map<string, Item<K, V>[]>()
  private readonly ready: string[] = []
  private readonly stop = new AbortController()
  private waiting = 0
  private running = 0
  private unkeyed = 0
  private failure: { readonly error: unknown } | null = null
  private wake: (() => void) | null = null

  constructor(
    io: Io,
    config: ConsumerConfig<K, V>,
    supply: RecordSupply<K, V>,
    handle: MessageHandler<K, V>,
    options: {
      readonly concurrency: number
      readonly failed: FailedRecords | null
      readonly raws: RawBytes | null
    },
  ) {
    this.io = io
    this.config = config
    this.supply = supply
    this.handle = handle
    this.concurrency = options.concurrency
    this.failed = options.failed
    this.raws = options.raws
  }

  /** Until the consumer is closed, the signal says so, or a record fails for good; handlers under way are waited for. */
  async run(signal: AbortSignal | undefined): Promise<void> {
    const either =
      signal === undefined ? this.stop.signal : AbortSignal.any([signal, this.stop.signal])
    while (this.failure === null) {
      try {
        const taken = await this.supply.take(either)
        if (taken === null) break
        this.accept(taken)
      } catch (error) {
        if (!(await this.passOver(error))) {
          this.failure ??= { error }
          break
        }
      }
      while (this.waiting >= this.concurrency && this.failure === null) {
        await new Promise<void>(resolve => {
          this.wake = resolve
        })
      }
    }
    while (this.running > 0) {
      await new Promise<void>(resolve => {
        this.wake = resolve
      })
    }
    if (this.failure !== null) throw this.failure.error
  }

  private accept({ partition, records, leaderEpoch }: Taken<K, V>): void {
    const window = this.windowOf(partition)
    const nowMs = this.io.clock.nowMs()
    for (const record of records) {
      const waitMs = this.failed?.waitMs(record, nowMs) ?? 0
      if (waitMs > 0) {
        this.supply.resumeAt(partition, record.offset, waitMs)
        window.round = partition.round
        break
      }
      window.begin(record.offset, leaderEpoch)
      const lane = this.laneOf(record)
      const items = this.lanes.get(lane)
      if (items === undefined) {
        this.lanes.set(lane, [{ record, window }])
        this.ready.push(lane)
      } else items.push({ record, window })
      this.waiting++
    }
    this.start()
  }

  private windowOf(partition: AssignedPartition<K, V>): Window {
    let window = this.windows.get(partition)
    if (window === undefined || !window.isValid) {
      for (const [known, { isValid }] of this.windows) if (!isValid) this.windows.delete(known)
      window = new Window(partition as AssignedPartition<unknown, unknown>)
      this.windows.set(partition, window)
    }
    return window
  }

  private laneOf({ topic, partition, key }: ConsumerRecord<K, V>): string {
    if (this.concurrency === 1) return `${topic} ${partition}`
    return key === null ? `${++this.unkeyed}` : `${topic} ${partition} ${textOf(key)}`
  }

  private start(): void {
    while (this.running < this.concurrency && this.ready.length > 0 && this.failure === null) {
      const lane = this.ready.shift()!
      const items = this.lanes.get(lane)!
      const item = items.shift()!
      this.waiting--
      this.running++
      void this.work(item).then(() => {
        this.running--
        if (items.length > 0) this.ready.push(lane)
        else this.lanes.delete(lane)
        this.start()
        this.wake?.()
      })
    }
  }

  /** Never throws: a failure for good is kept for `run`. */
  private async work({ record, window }: Item<K, V>): Promise<void> {
    if (!window.isOpen) return
    const { signal } = window
    try {
      await this.attempt(record, signal)
      window.finish(record.offset)
    } catch (error) {
      // Somebody else's now, who will come to it.
      if (signal.aborted) return
      this.failure ??= { error }
      this.stop.abort(error)
    }
  }

  private async attempt(record: ConsumerRecord<K, V>, signal: AbortSignal): Promise<void> {
    const { retry } = this.config
    for (let tries = 1; ; tries++) {
      try {
        await this.handle(record, { signal })
        return
      } catch (error) {
        if (signal.aborted || retry === null) throw error
        if (tries >= retry.attempts) {
          const raw = { ...record, ...this.raws!.get(record)! }
          return this.failed!.pass(raw, error, this.io.clock.nowMs(), 'TASK_PUT')
        }
        await this.pause(Math.min(retry.backoffMaxMs, retry.backoffMs * 2 ** (tries - 1)), signal)
      }
    }
  }

  /** A record that cannot be read goes to the dead letters, where there are any; whether it has. */
  private async passOver(error: unknown): Promise<boolean> {
    if (!(error instanceof SerializerError) || error.record === undefined) return false
    if (this.failed === null || this.config.retry?.deadLetterTopic == null) return false
    const { topic, partition: index, offset } = error.record as RawRecord
    const partition = this.supply.find(topic, index)
    if (partition === undefined) return true
    const window = this.windowOf(partition)
    window.begin(offset, -1)
    await this.failed.pass(error.record, error, this.io.clock.nowMs(), 'VALUE_CONVERTER')
    if (!window.isValid) return true
    this.supply.resumeAt(partition, offset + 1, 0)
    window.round = partition.round
    window.finish(offset)
    return true
  }

  private pause(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const end = () => {
        timer.cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = this.io.clock.timer(delayMs, end, true)
      signal.addEventListener('abort', end, { once: true })
    })
  }
}

/** Keys of the same bytes have the same text; that others may share it costs only speed. */
function textOf(key: unknown): string {
  if (Buffer.isBuffer(key)) return key.toString('latin1')
  if (typeof key !== 'object') return String(key)
  try {
    return JSON.stringify(key)
  } catch {
    return ''
  }
}

/**
 * Reads records of the partitions that it is assigned, in their order within each partition.
 *
 *   const consumer = client.consumer({ value: json<Order>() })
 *   consumer.assign([{ topic: 'orders', partition: 0, offset: 'earliest' }])
 *   for await (const record of consumer) console.log(record.offset, record.value)
 *
 * Records come one by one (`for await`, `eachMessage`) or in the batches in which they were written (`nextBatch`,
 * `eachBatch`). A position moves when a record is handed out; whoever reads batches gets them whole. What cannot be read, a
 * wrong checksum or a value that the serializer refuses, is thrown in its place, and thrown again until a `seek`
 * moves past it.
 */
import { MalformedError } from '../protocol/buffer.ts'
import { errorCode } from '../protocol/errors.ts'
import type { Io } from '../protocol/io.ts'
import type { Cluster } from './cluster.ts'
import {
  type ConsumerConfig,
  type ConsumerOptions,
  resolveConsumerConfig,
} from './consumer-config.ts'
import { AnswerError, ClosedError, OptionError, SerializerError } from './errors.ts'
import type { ConsumerRecord, Reading } from './fetched-records.ts'
import { AssignedPartition, Fetcher } from './fetcher.ts'
import { listOffsets } from './list-offsets.ts'
import type { Serializer } from './serializers.ts'

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** An offset, an end of the log, or the first record from a time on. */
export type Place = number | 'earliest' | 'latest' | { readonly timestampMs: number }

export interface Assignment extends TopicPartition {
  /** Default: `autoOffsetReset`. */
  readonly offset?: Place | undefined
}

/** Records that were written together. */
export interface ConsumerBatch<K = Buffer, V = Buffer> extends TopicPartition {
  readonly records: readonly ConsumerRecord<K, V>[]
  /** The end of the partition, as of the last answer. */
  readonly highWatermark: number
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined
}

interface Current<K, V> {
  readonly partition: AssignedPartition<K, V>
  readonly round: number
  readonly records: readonly ConsumerRecord<K, V>[]
  next: number
}

export class Consumer<K = Buffer, V = Buffer> implements AsyncIterable<ConsumerRecord<K, V>> {
  private readonly config: ConsumerConfig<K, V>
  private readonly clusters: readonly Cluster[]
  private readonly lookups: Cluster
  private readonly fetcher: Fetcher<K, V>
  private readonly places = new WeakMap<AssignedPartition<K, V>, Place>()
  private readonly waiting = new Set<() => void>()
  private current: Current<K, V> | null = null
  private turn = 0
  /** Counts what came in, so that nothing comes unseen between a look and a wait. */
  private arrivals = 0
  private isClosed = false

  /**
   * Nothing happens before an assignment. Two connections' worth of clusters, because a Fetch that waits for records holds up
   * whatever is asked behind it: `fetches` for those, `lookups` for everything else. Throws an OptionError.
   */
  constructor(io: Io, fetches: Cluster, lookups: Cluster, options: ConsumerOptions<K, V> = {}) {
    this.config = resolveConsumerConfig(options)
    this.clusters = [fetches, lookups]
    this.lookups = lookups
    this.fetcher = new Fetcher(io, fetches, this.config, {
      arrived: () => this.wake(),
      mislaid: (partition, isOutOfRange) => void this.locate(partition, isOutOfRange),
      reading: (topic, partition) => this.reading(topic, partition),
    })
  }

  /** Takes the place of what was assigned before; partitions that stay keep their position unless one is given. */
  assign(assignments: readonly Assignment[]): void {
    this.checkOpen()
    const before = this.fetcher.assignment
    const partitions = assignments.map(({ topic, partition, offset }) => {
      const known = before.find(p => p.topic === topic && p.partition === partition)
      const assigned = known ?? new AssignedPartition<K, V>(topic, partition)
      if (offset !== undefined) this.place(assigned, offset)
      return assigned
    })
    this.fetcher.assign(partitions)
    this.wake()
  }

  /** What is assigned. */
  get assignment(): readonly TopicPartition[] {
    return this.fetcher.assignment.map(({ topic, partition }) => ({ topic, partition }))
  }

  /** The next record of this partition is the one there. */
  seek(topic: string, partition: number, place: Place): void {
    this.place(this.find(topic, partition), place)
    this.fetcher.schedule()
  }

  /** Hands out nothing of these partitions until `resume`; what was read ahead is dropped. */
  pause(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      const assigned = this.find(topic, partition)
      assigned.isPaused = true
      if (assigned.position >= 0) assigned.seek(assigned.position)
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.find(topic, partition).isPaused = false
    this.fetcher.schedule()
  }

  /** Offset of the next record that is handed out; null as long as it has not been found out. */
  position(topic: string, partition: number): number | null {
    const { position } = this.find(topic, partition)
    return position < 0 ? null : position
  }

  /** How many records are behind the position, as of the last answer; null if there was none. */
  lag(topic: string, partition: number): number | null {
    const { position, highWatermark } = this.find(topic, partition)
    return position < 0 || highWatermark < 0 ? null : Math.max(0, highWatermark - position)
  }

  /** The next batch of any partition, in turn. Waits until there is one; null once the consumer is closed. */
  async nextBatch({ signal }: ReadOptions = {}): Promise<ConsumerBatch<K, V> | null> {
    for (;;) {
      signal?.throwIfAborted()
      if (this.isClosed) return null
      const seen = this.arrivals
      const taken = this.rest() ?? (await this.take())
      if (taken !== null && taken.partition.round === taken.round) {
        const { partition, records, next } = taken
        const { topic, partition: index, highWatermark } = partition
        partition.position = records.at(-1)!.offset + 1
        const left = next === 0 ? records : records.slice(next)
        return { topic, partition: index, records: left, highWatermark }
      }
      if (taken === null) await this.wait(seen, signal)
    }
  }

  /** The next record of any partition; null once the consumer is closed. */
  async next({ signal }: ReadOptions = {}): Promise<ConsumerRecord<K, V> | null> {
    for (;;) {
      signal?.throwIfAborted()
      if (this.isClosed) return null
      const record = this.fromCurrent()
      if (record !== null) return record
      const seen = this.arrivals
      this.current = await this.take()
      if (this.current === null) await this.wait(seen, signal)
    }
  }

  /** Until the consumer is closed. */
  [Symbol.asyncIterator](): AsyncIterator<ConsumerRecord<K, V>> {
    return {
      next: () => {
        const record = this.fromCurrent()
        if (record !== null) return Promise.resolve({ done: false, value: record })
        return this.next().then(value =>
          value === null ? { done: true, value: undefined } : { done: false, value },
        )
      },
    }
  }

  /** Calls the handler for each batch, one after the other, until the consumer is closed or the signal says so. */
  async eachBatch(
    handle: (batch: ConsumerBatch<K, V>) => Promise<void> | void,
    options: ReadOptions = {},
  ): Promise<void> {
    for (;;) {
      const batch = await this.nextBatch(options)
      if (batch === null) return
      await handle(batch)
    }
  }

  /** Calls the handler for each record, one after the other, until the consumer is closed or the signal says so. */
  async eachMessage(
    handle: (record: ConsumerRecord<K, V>) => Promise<void> | void,
    { signal }: ReadOptions = {},
  ): Promise<void> {
    for (;;) {
      const record = this.fromCurrent() ?? (await this.next({ signal }))
      if (record === null) return
      const handling = handle(record)
      if (handling !== undefined) await handling
      signal?.throwIfAborted()
    }
  }

  /** Ends every wait and closes the connections. */
  async close(): Promise<void> {
    this.isClosed = true
    this.current = null
    this.fetcher.close()
    for (const cluster of this.clusters) cluster.close()
    this.wake()
  }

  private checkOpen(): void {
    if (this.isClosed) throw new ClosedError('the consumer is closed')
  }

  private find(topic: string, partition: number): AssignedPartition<K, V> {
    this.checkOpen()
    const found = this.fetcher.assignment.find(p => p.topic === topic && p.partition === partition)
    if (found !== undefined) return found
    throw new OptionError(`topic '${topic}' partition ${partition} is not assigned.`)
  }

  private place(partition: AssignedPartition<K, V>, place: Place): void {
    if (typeof place === 'number') {
      if (!Number.isSafeInteger(place) || place < 0) {
        throw new OptionError(`offset ${place} is not a whole number of at least 0.`)
      }
      this.places.delete(partition)
      partition.seek(place)
    } else {
      this.places.set(partition, place)
      partition.seek(-1)
    }
    partition.isLocating = false
  }

  /** Finds out where to read this partition, and goes there. */
  private async locate(partition: AssignedPartition<K, V>, isOutOfRange: boolean): Promise<void> {
    if (partition.isLocating) return
    partition.isLocating = true
    const { round, topic, partition: index } = partition
    const place = isOutOfRange ? undefined : this.places.get(partition)
    const { autoOffsetReset } = this.config
    try {
      if (place === undefined && autoOffsetReset === 'none') {
        const from = { api: 'Fetch', topic, partition: index }
        throw new AnswerError(errorCode('OFFSET_OUT_OF_RANGE'), from, noPlace(partition.position))
      }
      const wanted = place ?? autoOffsetReset
      const at = typeof wanted === 'object' ? wanted.timestampMs : wanted
      let offset = await this.ask(partition, at as 'earliest' | 'latest' | number)
      // Nothing is that young: what comes next will be.
      if (offset < 0) offset = await this.ask(partition, 'latest')
      if (partition.round === round) partition.seek(offset)
    } catch (error) {
      if (partition.round === round) partition.error = error as Error
    }
    if (partition.round <= round + 1) partition.isLocating = false
    this.fetcher.schedule()
    this.wake()
  }

  private async ask(
    { topic, partition }: TopicPartition,
    at: 'earliest' | 'latest' | number,
  ): Promise<number> {
    const [answer] = await listOffsets(this.lookups, [{ topic, partition, at }], {})
    if (answer!.error !== null) throw answer!.error
    return answer!.offset
  }

  private reading(topic: string, partition: number): Reading<K, V> {
    const { key, value, checkCrcs, maxBatchBytes } = this.config
    const reader =
      <T>(serializer: Serializer<T> | null, part: 'key' | 'value') =>
      (bytes: Buffer, offset: number): T => {
        if (serializer === null) return bytes as T
        try {
          return serializer.deserialize(bytes, topic)
        } catch (cause) {
          const reason = cause instanceof Error ? cause.message : String(cause)
          const where = `topic '${topic}' partition ${partition} offset ${offset}`
          throw new SerializerError(`${where}, ${part}: ${reason}`, cause)
        }
      }
    return {
      topic,
      partition,
      checkCrcs,
      maxBatchBytes,
      key: reader(key, 'key'),
      value: reader(value, 'value'),
    }
  }

  /** The next record of the batch that is being handed out one by one. */
  private fromCurrent(): ConsumerRecord<K, V> | null {
    const { current } = this
    if (current === null) return null
    const { partition, records, round } = current
    if (partition.round !== round || current.next >= records.length) {
      this.current = null
      return null
    }
    const record = records[current.next++]!
    partition.position = record.offset + 1
    return record
  }

  private rest(): Current<K, V> | null {
    const { current } = this
    this.current = null
    return current === null || current.next >= current.records.length ? null : current
  }

  /** Records of the next partition, in turn, that has any; null if none has. */
  private async take(): Promise<Current<K, V> | null> {
    const { assignment } = this.fetcher
    for (let i = 0; i < assignment.length; i++) {
      const partition = assignment[(this.turn + i) % assignment.length]!
      if (partition.isPaused) continue
      const taken = await this.takeFrom(partition)
      if (taken === null) continue
      this.turn = (this.turn + i + 1) % assignment.length
      return taken
    }
    return null
  }

  private async takeFrom(partition: AssignedPartition<K, V>): Promise<Current<K, V> | null> {
    const { round } = partition
    while (partition.round === round && partition.fetched.length > 0) {
      const fetched = partition.fetched[0]!
      try {
        const batch = fetched.nextBatch(partition.position)
        const records = batch instanceof Promise ? await batch : batch
        if (partition.round !== round) return null
        if (records === null) {
          partition.fetched.shift()
          partition.position = Math.max(partition.position, fetched.endOffset)
          this.fetcher.schedule()
        } else if (records.length > 0) return { partition, round, records, next: 0 }
      } catch (error) {
        partition.fetched.length = 0
        partition.error = named(error as Error, partition)
      }
    }
    if (partition.error !== null) throw partition.error
    return null
  }

  private wake(): void {
    this.arrivals++
    for (const resolve of [...this.waiting]) resolve()
  }

  /** Until something comes in; at once if something has since `seen` was read. */
  private wait(seen: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.arrivals !== seen || signal?.aborted === true) return Promise.resolve()
    return new Promise(resolve => {
      const end = () => {
        this.waiting.delete(end)
        signal?.removeEventListener('abort', end)
        resolve()
      }
      this.waiting.add(end)
      signal?.addEventListener('abort', end, { once: true })
    })
  }
}

/** Damage that the checksum did not show, said with its place. */
function named(
  error: Error,
  { topic, partition, position }: AssignedPartition<unknown, unknown>,
): Error {
  if (!(error instanceof MalformedError)) return error
  const detail = `the batch at offset ${position} or behind it cannot be read: ${error.message}`
  const place = { api: 'Fetch', topic, partition }
  return new AnswerError(errorCode('CORRUPT_MESSAGE'), place, detail, false)
}

function noPlace(position: number): string {
  return position < 0
    ? "there is no position and autoOffsetReset is 'none': seek to one"
    : `offset ${position} is not in the log and autoOffsetReset is 'none': seek to one that is`
}

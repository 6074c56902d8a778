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
import { errorCode } from '../protocol/errors.ts'
import type { Io, Timer } from '../protocol/io.ts'
import type { CallOptions, Cluster } from './cluster.ts'
import {
  type ConsumerConfig,
  type ConsumerOptions,
  resolveConsumerConfig,
} from './consumer-config.ts'
import { AnswerError, ClosedError, OptionError } from './errors.ts'
import { type ConsumerRecord, damaged, readingOf } from './fetched-records.ts'
import { AssignedPartition, Fetcher } from './fetcher.ts'
import { GroupMember } from './group-member.ts'
import type { CommittedOffset, OffsetToCommit } from './group-offsets.ts'
import { listOffsets } from './list-offsets.ts'
import type { TopicPartition } from './topic-partition.ts'

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

/** What a handler is told besides its records. */
export interface Handling {
  /** Aborted when the partitions go to another member of the group: what is done from now on will be done again there. */
  readonly signal: AbortSignal
}

interface Current<K, V> {
  readonly partition: AssignedPartition<K, V>
  /** Of the partition, when these records were read. */
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
  private readonly io: Io
  private readonly member: GroupMember | null
  /** Whose records the application has at the moment. */
  private isHandling = false
  private handed: { readonly partition: AssignedPartition<K, V>; readonly round: number } | null =
    null
  private holding = new AbortController()
  private commitTimer: Timer | null = null
  private groupError: Error | null = null

  /**
   * Nothing happens before an assignment. Two connections' worth of clusters, because a Fetch that waits for records holds up
   * whatever is asked behind it: `fetches` for those, `lookups` for everything else. Throws an OptionError.
   */
  constructor(io: Io, fetches: Cluster, lookups: Cluster, options: ConsumerOptions<K, V> = {}) {
    this.io = io
    this.config = resolveConsumerConfig(options)
    const { group } = this.config
    this.clusters = [fetches, lookups]
    this.lookups = lookups
    this.fetcher = new Fetcher(io, fetches, this.config, {
      arrived: () => this.wake(),
      mislaid: (partition, isOutOfRange) => void this.locate(partition, isOutOfRange),
      reading: (topic, partition) => readingOf(this.config, topic, partition),
    })
    this.member =
      group === null
        ? null
        : new GroupMember(io, lookups, group, {
            assigned: partitions => this.takeOver(partitions),
            revoked: () => this.handOver(),
            lost: () => this.letGo(),
            failed: error => {
              this.groupError = error
              this.wake()
            },
          })
  }

  /** Joins the group and reads its share of these topics, which may change at any time. Needs `groupId`. */
  subscribe(topics: string | RegExp | readonly (string | RegExp)[]): void {
    this.checkOpen()
    const list = Array.isArray(topics) ? topics : [topics as string | RegExp]
    this.groupMember().subscribe(list)
  }

  /**
   * Commits offsets: those given, or all that the application is done with, which is every record before the one that it
   * has at the moment. Needs `groupId`.
   */
  async commit(offsets?: readonly OffsetToCommit[], options: CallOptions = {}): Promise<void> {
    const list = offsets ?? this.doneOffsets()
    if (list.length > 0) await this.groupMember().commit(list, options)
  }

  /** What the group has committed; -1 where nothing. Needs `groupId`. */
  committed(
    partitions: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<CommittedOffset[]> {
    return this.groupMember().committed(partitions, options)
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
    this.finish()
    for (;;) {
      signal?.throwIfAborted()
      if (this.isClosed) return null
      if (this.groupError !== null) throw this.groupError
      const seen = this.arrivals
      const taken = this.rest() ?? (await this.take())
      if (taken !== null && taken.partition.round === taken.round) {
        const { partition, records, next } = taken
        const { topic, partition: index, highWatermark } = partition
        partition.position = records.at(-1)!.offset + 1
        this.handed = taken
        const left = next === 0 ? records : records.slice(next)
        return { topic, partition: index, records: left, highWatermark }
      }
      if (taken === null) await this.wait(seen, signal)
    }
  }

  /** The next record of any partition; null once the consumer is closed. */
  async next({ signal }: ReadOptions = {}): Promise<ConsumerRecord<K, V> | null> {
    this.finish()
    for (;;) {
      signal?.throwIfAborted()
      if (this.isClosed) return null
      if (this.groupError !== null) throw this.groupError
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
        this.isHandling = true
        if (record !== null) return Promise.resolve({ done: false, value: record })
        return this.next().then(value =>
          value === null ? { done: true, value: undefined } : { done: false, value },
        )
      },
      return: () => {
        this.finish()
        return Promise.resolve({ done: true, value: undefined })
      },
    }
  }

  /** Calls the handler for each batch, one after the other, until the consumer is closed or the signal says so. */
  async eachBatch(
    handle: (batch: ConsumerBatch<K, V>, handling: Handling) => Promise<void> | void,
    options: ReadOptions = {},
  ): Promise<void> {
    for (;;) {
      const batch = await this.nextBatch(options)
      if (batch === null) return
      this.isHandling = true
      await handle(batch, this.holding)
    }
  }

  /** Calls the handler for each record, one after the other, until the consumer is closed or the signal says so. */
  async eachMessage(
    handle: (record: ConsumerRecord<K, V>, handling: Handling) => Promise<void> | void,
    { signal }: ReadOptions = {},
  ): Promise<void> {
    for (;;) {
      const record = this.fromCurrent() ?? (await this.next({ signal }))
      if (record === null) return
      this.isHandling = true
      const handling = handle(record, this.holding)
      if (handling !== undefined) await handling
      signal?.throwIfAborted()
    }
  }

  /** Ends every wait, leaves the group, after a last commit where that is automatic, and closes the connections. */
  async close(): Promise<void> {
    if (this.isClosed) return
    // A handler that is at work may not get to its end.
    if (!this.isHandling) this.finish()
    this.isClosed = true
    this.current = null
    this.commitTimer?.cancel()
    this.wake()
    await this.member?.close()
    this.holding.abort(new ClosedError('the consumer was closed'))
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
      partition.done = place
    } else {
      this.places.set(partition, place)
      partition.seek(-1)
    }
    partition.isLocating = false
  }

  private groupMember(): GroupMember {
    if (this.member === null) throw new OptionError('the consumer has no group: give it a groupId.')
    return this.member
  }

  /** What was handed out before is done when more is asked for. */
  private finish(): void {
    const { handed } = this
    this.isHandling = false
    if (handed === null) return
    this.handed = null
    if (handed.partition.round === handed.round) handed.partition.done = handed.partition.position
  }

  private doneOffsets(): OffsetToCommit[] {
    return this.fetcher.assignment
      .filter(({ done }) => done >= 0)
      .map(({ topic, partition, done }) => ({ topic, partition, offset: done }))
  }

  /** The group gives a share: each partition goes on where the group has committed. */
  private async takeOver(partitions: readonly TopicPartition[]): Promise<void> {
    const offsets = partitions.length === 0 ? [] : await this.groupMember().committed(partitions)
    const assigned = offsets.map(({ topic, partition, offset }) => {
      const one = new AssignedPartition<K, V>(topic, partition)
      if (offset >= 0) one.seek(offset)
      return one
    })
    this.holding = new AbortController()
    this.fetcher.assign(assigned)
    this.armCommit()
    this.wake()
  }

  private async handOver(): Promise<void> {
    try {
      if (this.config.group?.autoCommit === true) await this.commit()
    } finally {
      this.letGo()
    }
  }

  private letGo(): void {
    this.holding.abort(new ClosedError('the partitions go to another member of the group'))
    this.commitTimer?.cancel()
    this.current = null
    this.handed = null
    this.fetcher.assign([])
  }

  private armCommit(): void {
    const { group } = this.config
    if (group === null || !group.autoCommit || this.isClosed) return
    this.commitTimer?.cancel()
    this.commitTimer = this.io.clock.timer(group.autoCommitIntervalMs, () => {
      // What fails now is tried again the next time, and at the end.
      this.commit().catch(() => {})
      this.armCommit()
    })
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

  /** The next record of the batch that is being handed out one by one. */
  private fromCurrent(): ConsumerRecord<K, V> | null {
    this.finish()
    const { current } = this
    if (current === null) return null
    const { partition, records, round } = current
    if (partition.round !== round || current.next >= records.length) {
      this.current = null
      return null
    }
    const record = records[current.next++]!
    partition.position = record.offset + 1
    this.handed = current
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
        partition.error = damaged(error as Error, partition)
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

function noPlace(position: number): string {
  const what = position < 0 ? 'there is no position' : `offset ${position} is not in the log`
  return `${what} and autoOffsetReset is 'none': seek to one that is`
}

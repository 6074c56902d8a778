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
import type { Io } from '../protocol/io.ts'
import { caught, checkCall, checkDistinct, checkPartitions, checkWhole } from './arguments.ts'
import { Arrivals } from './arrivals.ts'
import { type ClientMeter, type ConsumerFigures, figuresOf } from './client-meter.ts'
import type { CallOptions, Cluster } from './cluster.ts'
import {
  type ConsumerConfig,
  type ConsumerOptions,
  resolveConsumerConfig,
} from './consumer-config.ts'
import {
  type BatchHandler,
  type ConsumerBatch,
  type MessageHandler,
  RecordHandlers,
  type Taken,
} from './consumer-handlers.ts'
import {
  type Assignment,
  CLOSE,
  type CloseOptions,
  checkHandling,
  checkReading,
  checkSubscription,
  type MessageOptions,
  type ReadOptions,
} from './consumer-input.ts'
import { type Place, Places } from './consumer-places.ts'
import { FailedRecords } from './consumer-retry.ts'
import { GroupShare } from './consumer-share.ts'
import { ClosedError, OptionError } from './errors.ts'
import { type ConsumerRecord, damaged, type RawBytes, readingOf } from './fetched-records.ts'
import { AssignedPartition, Fetcher } from './fetcher.ts'
import type { CommittedOffset, OffsetToCommit } from './group-offsets.ts'
import { told } from './option-names.ts'
import type { Producer } from './producer.ts'
import type { Bytes } from './serializers.ts'
import { SingleReader } from './single-reader.ts'
import type { TopicPartition } from './topic-partition.ts'
import { Tracing } from './tracing.ts'

const NO_OPTIONS: ReadOptions = {}

interface Current<K, V> extends Taken<K, V> {
  next: number
}

export class Consumer<K = Buffer, V = Buffer> implements AsyncIterable<ConsumerRecord<K, V>> {
  private readonly config: ConsumerConfig<K, V>
  private readonly clusters: readonly Cluster[]
  private readonly fetcher: Fetcher<K, V>
  private readonly places: Places<K, V>
  private readonly failed: FailedRecords | null
  private readonly raws: RawBytes | null
  private readonly arrivals = new Arrivals()
  private current: Current<K, V> | null = null
  private turn = 0
  private isClosed = false
  private closing: Promise<void> | null = null
  private lastPollMs = 0
  private readonly io: Io
  private readonly meter: ClientMeter | null
  private readonly tracing: Tracing | null
  private readonly tellFigures = () => this.figures()
  private readonly share: GroupShare<K, V> | null
  /** Whose records the application has at the moment. */
  private isHandling = false
  private readonly reader = new SingleReader()
  private handed: { readonly partition: AssignedPartition<K, V>; readonly round: number } | null =
    null

  /**
   * Nothing happens before an assignment. Two connections' worth of clusters, because a Fetch that waits for records holds up
   * whatever is asked behind it: `fetches` for those, `lookups` for everything else. `makeProducer` is asked for one to write
   * failed records with, where there is `retry`. Throws an OptionError.
   */
  constructor(
    io: Io,
    fetches: Cluster,
    lookups: Cluster,
    options: ConsumerOptions<K, V> = {},
    makeProducer?: () => Producer<Bytes, Bytes>,
  ) {
    this.io = io
    this.config = resolveConsumerConfig(options)
    const { group, autoOffsetReset, retry } = this.config
    this.clusters = [fetches, lookups]
    this.raws = retry === null ? null : new WeakMap()
    this.fetcher = new Fetcher(io, fetches, this.config, {
      arrived: () => this.arrivals.wake(),
      mislaid: (partition, isOutOfRange) => this.places.locate(partition, isOutOfRange),
      unverified: partition => this.places.verify(partition),
      reading: (topic, partition) => readingOf(this.config, this.raws, topic, partition),
    })
    const changed = () => {
      this.fetcher.schedule()
      this.arrivals.wake()
    }
    this.places = new Places(io, lookups, autoOffsetReset, changed)
    this.share =
      group === null ? null : new GroupShare(io, lookups, group, this.config, this.fetcher, changed)
    const { clientId, telemetry, tracing } = lookups.config
    this.meter = telemetry.meter
    this.meter?.consumers.add(this.tellFigures)
    this.lastPollMs = io.clock.monotonicMs()
    this.tracing = tracing ? Tracing.find(clientId) : null
    const who = group?.groupId ?? clientId
    this.failed =
      retry === null || makeProducer === undefined
        ? null
        : new FailedRecords(retry, who, makeProducer)
  }

  /** Joins the group and reads its share of these topics, which may change at any time. Needs `groupId`. */
  subscribe(topics: string | RegExp | readonly (string | RegExp)[]): void {
    this.checkOpen()
    const list = Array.isArray(topics) ? topics : [topics as string | RegExp]
    checkSubscription(list)
    const retries = this.config.retry?.topics.map(({ topic }) => topic) ?? []
    this.groupShare().member.subscribe([...new Set([...list, ...retries])])
  }

  /**
   * Commits offsets: those given, or all that the application is done with, which is every record before the one that it
   * has at the moment. Needs `groupId`.
   */
  async commit(offsets?: readonly OffsetToCommit[], options: CallOptions = {}): Promise<void> {
    await this.groupShare().commit(offsets, options)
  }

  /** What the group has committed; -1 where nothing. Needs `groupId`. */
  async committed(
    partitions: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<CommittedOffset[]> {
    return this.groupShare().committed(partitions, options)
  }

  /** Who it is in its group; generation -1: it is not in it at the moment. Needs `groupId`. */
  get membership(): { readonly memberId: string; readonly generation: number } {
    const { memberId, generation } = this.groupShare().member
    return { memberId, generation }
  }

  /** Takes the place of what was assigned before; partitions that stay keep their position unless one is given. */
  assign(assignments: readonly Assignment[]): void {
    this.checkOpen()
    checkPartitions(assignments, 'assignments')
    checkDistinct(assignments, 'assignments')
    const partitions = assignments.map(({ topic, partition, offset }) => {
      const known = this.fetcher.find(topic, partition)
      const assigned = known ?? new AssignedPartition<K, V>(topic, partition)
      if (offset !== undefined) this.place(assigned, offset)
      return assigned
    })
    this.fetcher.assign(partitions)
    this.arrivals.wake()
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
    checkPartitions(partitions, 'partitions')
    for (const { topic, partition } of partitions) {
      const assigned = this.find(topic, partition)
      assigned.isPaused = true
      if (assigned.position >= 0) assigned.seek(assigned.position, assigned.positionEpoch)
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    checkPartitions(partitions, 'partitions')
    for (const { topic, partition } of partitions) this.find(topic, partition).isPaused = false
    this.fetcher.schedule()
  }

  /** Offset of the next record that is handed out; null as long as it has not been found out. */
  position(topic: string, partition: number): number | null {
    const { position } = this.find(topic, partition)
    return position < 0 ? null : position
  }

  /** How many records that it may see are behind the position, as of the last answer; null if there was none. */
  lag(topic: string, partition: number): number | null {
    const { position, highWatermark, lastStableOffset } = this.find(topic, partition)
    const end = this.config.isolation === 'read_committed' ? lastStableOffset : highWatermark
    return position < 0 || end < 0 ? null : Math.max(0, end - position)
  }

  private figures(): ConsumerFigures {
    const idleMs = this.io.clock.monotonicMs() - this.lastPollMs
    const sinceMs = this.arrivals.isAwaited ? 0 : idleMs
    return figuresOf(this.groupId, this.fetcher.assignment, sinceMs, (topic, partition) =>
      this.lag(topic, partition),
    )
  }

  /** The next batch of any partition, in turn. Waits until there is one; null once the consumer is closed. */
  nextBatch(options: ReadOptions = NO_OPTIONS): Promise<ConsumerBatch<K, V> | null> {
    const wrong = this.refusal('nextBatch', options)
    return wrong === null ? this.readBatch(options.signal) : Promise.reject(wrong)
  }

  private async readBatch(signal: AbortSignal | undefined): Promise<ConsumerBatch<K, V> | null> {
    this.finish()
    const taken = await this.takeBatch(signal)
    if (taken === null) return null
    this.handed = taken
    const { partition, records } = taken
    const { topic, partition: index, highWatermark } = partition
    return { topic, partition: index, records, highWatermark }
  }

  private async takeBatch(signal: AbortSignal | undefined): Promise<Taken<K, V> | null> {
    for (;;) {
      signal?.throwIfAborted()
      if (this.isClosed) return null
      this.checkGroup()
      const seen = this.arrivals.count
      const taken = this.rest() ?? (await this.take())
      const isStill = taken?.partition.round === taken?.round && !taken?.partition.isLeaving
      if (taken !== null && isStill) {
        const { partition, records, next } = taken
        partition.position = records.at(-1)!.offset + 1
        partition.positionEpoch = taken.leaderEpoch
        return next === 0 ? taken : { ...taken, records: records.slice(next) }
      }
      if (taken === null) await this.arrivals.after(seen, signal)
    }
  }

  /** The next record of any partition; null once the consumer is closed. */
  next(options: ReadOptions = NO_OPTIONS): Promise<ConsumerRecord<K, V> | null> {
    const wrong = this.refusal('next', options)
    return wrong === null ? this.read(options.signal) : Promise.reject(wrong)
  }

  private async read(signal: AbortSignal | undefined): Promise<ConsumerRecord<K, V> | null> {
    this.finish()
    for (;;) {
      signal?.throwIfAborted()
      if (this.isClosed) return null
      this.checkGroup()
      const record = this.fromCurrent()
      if (record !== null) return record
      const seen = this.arrivals.count
      this.current = await this.take()
      if (this.current === null) await this.arrivals.after(seen, signal)
    }
  }

  /** Until the consumer is closed. */
  [Symbol.asyncIterator](): AsyncIterator<ConsumerRecord<K, V>> {
    return {
      next: () => {
        if (!this.reader.isFree) this.reader.check('for await')
        const record = this.fromCurrent()
        this.isHandling = true
        if (record !== null) return Promise.resolve({ done: false, value: record })
        return this.read(undefined).then(value =>
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
  async eachBatch(given: BatchHandler<K, V>, options: ReadOptions = {}): Promise<void> {
    checkHandling(given, options, 'eachBatch')
    const handle = this.tracing?.handlingBatches(this.groupId, given) ?? given
    await this.reader.during('eachBatch', async () => {
      for (;;) {
        const batch = await this.readBatch(options.signal)
        if (batch === null) return
        this.isHandling = true
        await handle(batch, this.handed!.partition.holding)
      }
    })
  }

  /**
   * Calls the handler for each record until the consumer is closed or the signal says so: one after the other, or up to
   * `concurrency` at a time, each key of a partition in order. What throws is tried again and passed on as `retry` says;
   * else it ends this call.
   */
  async eachMessage(given: MessageHandler<K, V>, options: MessageOptions = {}): Promise<void> {
    checkHandling(given, options, 'eachMessage')
    const handle = this.tracing?.handling(this.groupId, given) ?? given
    const { signal, concurrency = 1 } = options
    await this.reader.during('eachMessage', () => {
      if (concurrency === 1 && this.config.retry === null) return this.handleEach(handle, signal)
      this.finish()
      const how = { concurrency, failed: this.failed, raws: this.raws }
      return new RecordHandlers(this.io, this.config, this.supply(), handle, how).run(signal)
    })
  }

  private async handleEach(
    handle: MessageHandler<K, V>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (;;) {
      const record = this.fromCurrent() ?? (await this.read(signal))
      if (record === null) return
      this.isHandling = true
      const handling = handle(record, this.handed!.partition.holding)
      if (handling !== undefined) await handling
      this.finish()
      signal?.throwIfAborted()
    }
  }

  private supply() {
    return {
      take: (signal: AbortSignal) => this.takeBatch(signal),
      find: (topic: string, partition: number) => this.assigned(topic, partition),
      resumeAt: (partition: AssignedPartition<K, V>, offset: number, delayMs: number) => {
        partition.seek(offset)
        this.fetcher.delay(partition, delayMs)
      },
    }
  }

  /**
   * Ends every wait, leaves the group, after a last commit where that is automatic, and closes the connections. A handler that is
   * at work has `timeoutMs` to get to its end, and what it has counts as done then; else it comes again.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkCall(options, CLOSE, 'close')
    this.closing ??= this.end(options.timeoutMs ?? 0)
    await this.closing
  }

  private async end(timeoutMs: number): Promise<void> {
    this.isClosed = true
    this.current = null
    this.arrivals.wake()
    if (timeoutMs > 0) {
      for (const partition of this.fetcher.assignment) partition.isLeaving = true
      await this.reader.end(this.io.clock, timeoutMs)
    }
    if (!this.isHandling) this.finish()
    await this.share?.close()
    this.fetcher.close()
    if (this.meter !== null) this.meter.consumers.delete(this.tellFigures)
    await this.failed?.close()
    for (const cluster of this.clusters) cluster.close()
    this.arrivals.wake()
  }

  private get groupId(): string {
    return this.config.group?.groupId ?? ''
  }

  private checkOpen(): void {
    if (this.isClosed) throw new ClosedError('the consumer is closed')
  }

  private refusal(call: string, options: ReadOptions): Error | null {
    if (options === NO_OPTIONS && this.reader.isFree) return null
    return caught(() => {
      checkReading(options, call)
      this.reader.check(call)
    })
  }

  private checkGroup(): void {
    if (this.share !== null && this.share.error !== null) throw this.share.error
  }

  private assigned(topic: string, partition: number): AssignedPartition<K, V> | undefined {
    return this.fetcher.find(topic, partition)
  }

  private find(topic: string, partition: number): AssignedPartition<K, V> {
    this.checkOpen()
    const found = this.assigned(topic, partition)
    if (found !== undefined) return found
    throw new OptionError(`topic ${told(topic)} partition ${told(partition)} is not assigned.`)
  }

  private place(partition: AssignedPartition<K, V>, place: Place): void {
    if (typeof place === 'number') {
      checkWhole(place, 'offset')
      this.places.forget(partition)
      partition.seek(place)
      partition.done = place
      partition.doneEpoch = -1
    } else this.places.ask(partition, place)
  }

  private groupShare(): GroupShare<K, V> {
    if (this.share === null) throw new OptionError('the consumer has no group: give it a groupId.')
    return this.share
  }

  /** What was handed out before is done when more is asked for. */
  private finish(): void {
    const { handed } = this
    this.isHandling = false
    if (handed === null) return
    this.handed = null
    if (handed.partition.round !== handed.round) return
    handed.partition.done = handed.partition.position
    handed.partition.doneEpoch = handed.partition.positionEpoch
  }

  /** The next record of the batch that is being handed out one by one. */
  private fromCurrent(): ConsumerRecord<K, V> | null {
    this.finish()
    const { current } = this
    if (current === null) return null
    const { partition, records, round } = current
    if (partition.round !== round || partition.isLeaving || current.next >= records.length) {
      this.current = null
      return null
    }
    const record = records[current.next++]!
    partition.position = record.offset + 1
    partition.positionEpoch = current.leaderEpoch
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
    if (this.meter !== null) this.lastPollMs = this.io.clock.monotonicMs()
    for (let i = 0; i < assignment.length; i++) {
      const partition = assignment[(this.turn + i) % assignment.length]!
      if (partition.isPaused || partition.isLeaving || !partition.hasNews) continue
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
        const { bytesLeft } = fetched
        const batch = fetched.nextBatch(partition.position)
        const records = batch instanceof Promise ? await batch : batch
        if (partition.round !== round) return null
        if (records === null) {
          partition.fetched.shift()
          partition.position = Math.max(partition.position, fetched.endOffset)
          this.fetcher.schedule()
        } else if (records.length > 0) {
          const bytes = bytesLeft - fetched.bytesLeft
          this.meter?.handedOut(partition.topic, records.length, bytes)
          return { partition, round, records, leaderEpoch: fetched.leaderEpoch, next: 0 }
        }
      } catch (error) {
        partition.fetched.length = 0
        partition.error = damaged(error as Error, partition)
      }
    }
    if (partition.error !== null) throw partition.error
    return null
  }
}

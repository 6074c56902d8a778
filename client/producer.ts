/**
 * Writes records. `send` encodes a record into the open batch of its partition and gives a promise of its place; batches
 * leave at the end of the turn or after `lingerMs`, several at once, in order, and again after failures that may pass.
 *
 *   const producer = client.producer({ value: json<Order>() })
 *   const { partition, offset } = await producer.send({ topic: 'orders', key: 'o-1', value: order })
 *
 * Idempotent unless told otherwise: a batch that is sent again is written once, and order within a partition is kept.
 * With acks=0, which promises nothing, it is not.
 *
 * Memory is bounded by `bufferBytes`. What does not fit waits in line, for at most `maxBlockMs`, and the line itself is
 * bounded: whoever sends without waiting for anything hears of it.
 */
import type { Io, Timer } from '../protocol/io.ts'
import { BatchMemory, PartitionQueue } from './accumulator.ts'
import { checkCall } from './arguments.ts'
import type { ProducerFigures } from './client-meter.ts'
import type { Cluster } from './cluster.ts'
import {
  type Appendable,
  type BatchPosition,
  ManyDelivery,
  OneDelivery,
  type RecordPosition,
  StreamDelivery,
} from './deliveries.ts'
import { ClosedError, RecordError, TimeoutError } from './errors.ts'
import { partitionOfKey, Rotation } from './partitioner.ts'
import { batchSizeOf, type HeaderField } from './produce-batch.ts'
import {
  type ProducerConfig,
  type ProducerOptions,
  resolveProducerConfig,
} from './producer-config.ts'
import {
  checkFields,
  checkSource,
  headerFields,
  isRecord,
  type Message,
  type NewRecord,
  NO_OPTIONS,
  noValue,
  placeIn,
  type SendOptions,
  type StreamOptions,
  serialized,
  timeOf,
  wrongBatch,
  wrongRecord,
} from './record-input.ts'
import { Sender } from './sender.ts'
import type { Bytes } from './serializers.ts'
import { Tracing } from './tracing.ts'

interface Topic {
  readonly name: string
  readonly rotation: Rotation
  readonly queues: PartitionQueue[]
  available: readonly number[]
  /** The metadata that this is drawn from; -1: the topic is being looked up. */
  metadataCount: number
  /** Records that wait for the topic to be looked up, in order. */
  readonly waiting: Waiting[]
}

/** A record that could not be put into a batch at once. */
interface Waiting {
  readonly topic: Topic
  readonly partition: number | undefined
  readonly timestampMs: number
  readonly key: Bytes | null
  readonly value: Bytes | null
  readonly headers: readonly HeaderField[]
  readonly delivery: Appendable
  readonly deadlineMs: number
}

const DEFAULT_OUTSTANDING = 10_000
const CLOSING = { timeoutMs: true } as const

export class Producer<K = Bytes, V = Bytes> {
  readonly cluster: Cluster
  private readonly io: Io
  private readonly config: ProducerConfig<K, V>
  private readonly memory: BatchMemory
  private readonly sender: Sender
  private readonly topics = new Map<string, Topic>()
  /** Records that wait for memory, in order. */
  private readonly blocked: Waiting[] = []
  private waitingCount = 0
  private timer: Timer | null = null
  private readonly flushes: (() => void)[] = []
  private isClosing = false
  private readonly tracing: Tracing | null
  private readonly figures = (): ProducerFigures => ({
    usedBytes: this.memory.used,
    limitBytes: this.config.bufferBytes,
    waitingRecords: this.waitingCount,
  })

  /** Nothing happens before the first record. Throws an OptionError. */
  constructor(io: Io, cluster: Cluster, options: ProducerOptions<K, V> = {}) {
    this.io = io
    this.cluster = cluster
    this.config = resolveProducerConfig(options, cluster.config)
    this.memory = new BatchMemory(this.config)
    this.sender = new Sender(io, cluster, this.config, this.memory, {
      settled: () => this.settled(),
    })
    const { tracing, clientId, telemetry } = cluster.config
    this.tracing = tracing ? Tracing.find(clientId) : null
    telemetry.meter?.producers.add(this.figures)
  }

  /** Resolves when the record is written as `acks` asks. */
  send(record: NewRecord<K, V>, options: SendOptions = NO_OPTIONS): Promise<RecordPosition> {
    const wrong = wrongRecord(record, options)
    if (wrong !== null) return Promise.reject(wrong)
    if (this.tracing === null) return this.sendOne(record, options)
    return this.tracing.sending(record.topic, [record], ([one]) => this.sendOne(one!, options))
  }

  private sendOne(record: NewRecord<K, V>, { signal }: SendOptions): Promise<RecordPosition> {
    return new Promise((resolve, reject) => {
      const delivery = new OneDelivery(resolve, reject)
      if (signal !== undefined) {
        signal.throwIfAborted()
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      }
      this.accept(record.topic, record, delivery)
    })
  }

  /** Several records for one topic, with one promise; they may go to several partitions. */
  sendBatch(
    topic: string,
    messages: readonly Message<K, V>[],
    options: SendOptions = NO_OPTIONS,
  ): Promise<BatchPosition[]> {
    const wrong = wrongBatch(topic, messages, options)
    if (wrong !== null) return Promise.reject(wrong)
    if (this.tracing === null) return this.sendMany(topic, messages, options)
    return this.tracing.sending(topic, messages, traced => this.sendMany(topic, traced, options))
  }

  private sendMany(
    topic: string,
    messages: readonly Message<K, V>[],
    { signal }: SendOptions,
  ): Promise<BatchPosition[]> {
    return new Promise((resolve, reject) => {
      const delivery = new ManyDelivery(messages.length, resolve, reject)
      if (signal !== undefined) {
        signal.throwIfAborted()
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      }
      for (const message of messages) {
        try {
          this.accept(topic, message, delivery)
        } catch (error) {
          delivery.failed(error as Error)
        }
      }
    })
  }

  /**
   * Everything that a source gives, in its order, for as long as nothing fails; resolves to how many records were written.
   * The source is read no faster than records are written. Node's streams of objects are sources, too.
   */
  async sendFrom(
    source: AsyncIterable<NewRecord<K, V>> | Iterable<NewRecord<K, V>>,
    options: StreamOptions = {},
  ): Promise<number> {
    checkSource(source, options)
    const { signal, maxOutstanding = DEFAULT_OUTSTANDING } = options
    const delivery = new StreamDelivery()
    for await (const given of source) {
      if (!isRecord(given)) throw wrongRecord(given, NO_OPTIONS)
      const record = this.tracing?.created(given.topic, given) ?? given
      delivery.begin()
      this.accept(record.topic, record, delivery)
      await delivery.room(maxOutstanding - 1, signal)
    }
    await delivery.room(0, signal)
    return delivery.count
  }

  /** Sends without lingering; resolves when nothing waits any more, whether it was written or not. */
  flush(): Promise<void> {
    if (this.isIdle) return Promise.resolve()
    this.sender.flush()
    return new Promise(resolve => this.flushes.push(resolve))
  }

  /** Takes no more records, sends what waits, and closes the connections. What is left after `timeoutMs` fails. */
  async close(options: { readonly timeoutMs?: number | undefined } = {}): Promise<void> {
    checkCall(options, CLOSING, 'close')
    const { timeoutMs = this.config.deliveryTimeoutMs } = options
    this.isClosing = true
    let timer: Timer | undefined
    await Promise.race([
      this.flush(),
      new Promise<void>(resolve => {
        timer = this.io.clock.timer(timeoutMs, resolve, true)
      }),
    ])
    timer?.cancel()
    const error = new ClosedError('the producer was closed before the record was written')
    for (const waiting of this.takeAllWaiting()) waiting.delivery.failed(error)
    this.sender.close(error)
    this.timer?.cancel()
    this.cluster.config.telemetry.meter?.producers.delete(this.figures)
    this.cluster.close()
  }

  private get isIdle(): boolean {
    return this.waitingCount === 0 && this.sender.isIdle
  }

  private accept(name: string, message: Message<K, V>, delivery: Appendable): void {
    if (this.isClosing) throw new ClosedError('the producer is closed')
    const { key: keys, value: values } = this.config
    const key = message.key == null ? null : serialized(keys, message.key, name, 'key')
    const value = message.value == null ? null : serialized(values, message.value, name, 'value')
    if (message.value === undefined) throw noValue(name)
    const headers = headerFields(message.headers)
    const timestampMs =
      message.timestampMs == null ? this.io.clock.nowMs() : timeOf(message.timestampMs, name)
    const partition = message.partition == null ? undefined : placeIn(message.partition, name)
    const topic = this.topics.get(name) ?? this.newTopic(name, message)
    if (topic.metadataCount !== this.cluster.metadataCount) this.update(topic)
    const mustWait = topic.metadataCount < 0 || this.blocked.length > 0
    if (mustWait || !this.append(topic, partition, timestampMs, key, value, headers, delivery)) {
      this.wait({ topic, partition, timestampMs, key, value, headers, delivery })
    }
  }

  /** Puts the record into a batch; false if there is no memory for it. Throws a RecordError. */
  private append(
    topic: Topic,
    given: number | undefined,
    timestampMs: number,
    key: Bytes | null,
    value: Bytes | null,
    headers: readonly HeaderField[],
    delivery: Appendable,
  ): boolean {
    const partition = given ?? this.choose(topic, key, value)
    const queue = topic.queues[partition]
    if (queue === undefined) throw noPartition(topic, partition)
    let batch = queue.open
    if (batch === null || !batch.append(timestampMs, key, value, headers)) {
      const size = batchSizeOf(key, value, headers)
      if (size > this.config.maxRequestBytes) throw tooLarge(topic, size, this.config)
      batch = this.memory.begin(queue, size, this.io.clock.monotonicMs())
      if (batch === null) return false
      queue.closeOpen()
      queue.open = batch
      batch.append(timestampMs, key, value, headers)
      this.sender.listed(queue)
    }
    delivery.appended(batch, batch.count - 1, timestampMs)
    return true
  }

  private choose(topic: Topic, key: Bytes | null, value: Bytes | null): number {
    const { partitioner } = this.config
    const partitionCount = topic.queues.length
    const { available, rotation } = topic
    if (typeof partitioner === 'function') {
      return partitioner({ topic: topic.name, key, value, partitionCount, available })
    }
    if (partitioner === 'round-robin') return rotation.next(partitionCount, available)
    if (key === null) return rotation.sticky(partitionCount, available, value?.length ?? 0)
    return partitionOfKey(typeof key === 'string' ? Buffer.from(key) : key, partitionCount)
  }

  private newTopic(name: string, first: object): Topic {
    checkFields(first)
    const { random } = this.io
    const rotation = new Rotation(random.bind(this.io), this.config.batchBytes)
    const topic: Topic = {
      name,
      rotation,
      queues: [],
      available: [],
      metadataCount: -1,
      waiting: [],
    }
    this.topics.set(name, topic)
    void this.lookUp(topic)
    return topic
  }

  private async lookUp(topic: Topic): Promise<void> {
    const { name } = topic
    try {
      await this.cluster.run(
        `looking up topic '${name}'`,
        { timeoutMs: this.config.maxBlockMs },
        attempt => this.cluster.topic(name, attempt),
      )
      topic.metadataCount = 0
      this.update(topic)
      this.takeUp(topic.waiting)
    } catch (error) {
      if (topic.queues.length === 0) this.topics.delete(name)
      for (const { delivery } of topic.waiting.splice(0)) {
        this.waitingCount--
        delivery.failed(error as Error)
      }
    }
    this.settled()
  }

  /** Draws from new metadata: partitions may have been added, leaders lost. */
  private update(topic: Topic): void {
    if (topic.metadataCount < 0) return
    const picture = this.cluster.knownTopic(topic.name)
    if (picture === undefined) {
      topic.metadataCount = -1
      void this.lookUp(topic)
      return
    }
    topic.metadataCount = this.cluster.metadataCount
    const { partitions } = picture
    for (let p = topic.queues.length; p < partitions.length; p++) {
      const queue = new PartitionQueue(topic.name, p)
      queue.leaderId = partitions[p]?.leaderId ?? -1
      topic.queues.push(queue)
    }
    topic.available = topic.queues
      .map(queue => queue.partition)
      .filter(p => (partitions[p]?.leaderId ?? -1) >= 0)
  }

  private wait(record: Omit<Waiting, 'deadlineMs'>): void {
    const { maxBlockedRecords, maxBlockMs } = this.config
    if (this.waitingCount >= maxBlockedRecords) {
      const reason = `${maxBlockedRecords} records wait for memory or metadata already`
      const advice = 'wait for what was sent before sending more, or raise maxBlockedRecords'
      throw new RecordError(reason, { topic: record.topic.name }, advice)
    }
    const deadlineMs = this.io.clock.monotonicMs() + maxBlockMs
    const line = record.topic.metadataCount < 0 ? record.topic.waiting : this.blocked
    line.push({ ...record, deadlineMs })
    this.waitingCount++
    if (line === this.blocked) this.armTimer()
  }

  /** Batches have ended: there may be memory for who waits, and nothing left to flush. */
  private settled(): void {
    if (this.blocked.length > 0) this.takeUp(this.blocked)
    if (this.flushes.length === 0 || !this.isIdle) return
    for (const resolve of this.flushes.splice(0)) resolve()
  }

  private takeUp(line: Waiting[]): void {
    let taken = 0
    for (; taken < line.length; taken++) {
      const { topic, partition, timestampMs, key, value, headers, delivery } = line[taken]!
      try {
        if (!this.append(topic, partition, timestampMs, key, value, headers, delivery)) break
      } catch (error) {
        delivery.failed(error as Error)
      }
    }
    line.splice(0, taken)
    this.waitingCount -= taken
    if (line === this.blocked || line.length === 0) return
    this.blocked.push(...line.splice(0))
    this.armTimer()
  }

  private armTimer(): void {
    const first = this.blocked[0]
    if (this.timer !== null || first === undefined) return
    const delayMs = Math.max(0, Math.ceil(first.deadlineMs - this.io.clock.monotonicMs()))
    this.timer = this.io.clock.timer(delayMs, () => this.expireBlocked(), true)
  }

  private expireBlocked(): void {
    this.timer = null
    const nowMs = this.io.clock.monotonicMs()
    const { maxBlockMs, bufferBytes } = this.config
    while (this.blocked.length > 0 && this.blocked[0]!.deadlineMs <= nowMs) {
      const { topic, delivery } = this.blocked.shift()!
      this.waitingCount--
      const reason = `no memory for the record within ${maxBlockMs} ms: ${bufferBytes} bytes wait to be sent`
      delivery.failed(
        new TimeoutError(reason, {
          place: { topic: topic.name },
          advice: 'send slower than the brokers take it, or raise bufferBytes',
        }),
      )
    }
    this.armTimer()
    this.settled()
  }

  private takeAllWaiting(): Waiting[] {
    const all = this.blocked.splice(0)
    for (const { waiting } of this.topics.values()) all.push(...waiting.splice(0))
    this.waitingCount = 0
    return all
  }
}

function noPartition({ name, queues }: Topic, partition: number): RecordError {
  const reason = `topic '${name}' has no partition ${partition}, only 0 to ${queues.length - 1}`
  return new RecordError(
    reason,
    { topic: name, partition },
    'leave the partition out, or add partitions',
  )
}

function tooLarge(
  { name }: Topic,
  size: number,
  { maxRequestBytes }: { readonly maxRequestBytes: number },
): RecordError {
  const reason = `topic '${name}': the record takes ${size} bytes, more than maxRequestBytes (${maxRequestBytes})`
  const advice = "raise it, and the topic's max.message.bytes, or send less at once"
  return new RecordError(reason, { topic: name }, advice)
}

/**
 * kafkajs's producer on ours. One call is one promise for all its records, as there; below, records of calls at the same time
 * share batches. `acks` and `compression` belong to a call in kafkajs and to a producer here, so there is one of ours for each
 * pair that is used.
 */
import { codecName } from '../../protocol/compression.ts'
import type { Cluster, TopicPicture } from '../cluster.ts'
import type { BatchPosition } from '../deliveries.ts'
import { Producer } from '../producer.ts'
import type { Message as NativeMessage } from '../record-input.ts'
import { partitionMetadata } from './assigner-protocol.ts'
import { kafkaJsError } from './error-mapping.ts'
import { KafkaJSError, KafkaJSNonRetriableError, KafkaJSNotImplemented } from './errors.ts'
import { Events, PRODUCER_EVENTS } from './events.ts'
import type { Logger } from './logger.ts'
import { type Partitioner, Partitioners, type PartitionMetadata } from './partitioners.ts'
import {
  openCluster,
  type Retries,
  reach,
  retriesOf,
  type Settings,
  triesMs,
  watchRequests,
} from './settings.ts'
import type {
  IHeaders,
  Message,
  ProducerBatch,
  ProducerConfig,
  ProducerRecord,
  RecordMetadata,
  TopicMessages,
} from './shapes.ts'

/** kafkajs sends what it is given; the broker says what is too large. */
const MAX_REQUEST_BYTES = 104_857_600

export class KafkaJsProducer {
  readonly events = PRODUCER_EVENTS
  private readonly settings: Settings
  private readonly config: ProducerConfig
  private readonly retries: Retries
  private readonly emitter: Events<typeof PRODUCER_EVENTS>
  private readonly partitioner: Partitioner
  private readonly writers = new Map<string, Producer>()
  private readonly metadata = new WeakMap<TopicPicture, PartitionMetadata[]>()
  private cluster: Cluster | null = null
  private isDisconnecting = false

  constructor(settings: Settings, config: ProducerConfig) {
    const { kafka, io } = settings
    const logger = settings.logger.namespace('Producer')
    this.settings = { ...settings, logger }
    this.config = config
    this.retries = retriesOf(kafka, config.retry)
    this.emitter = new Events(io.clock, 'producer', PRODUCER_EVENTS, logger)
    this.partitioner = (config.createPartitioner ?? Partitioners.DefaultPartitioner)()
  }

  connect = async (): Promise<void> => {
    if (this.config.transactionalId !== undefined) {
      throw new KafkaJSNotImplemented('transactions are not supported yet')
    }
    const { settings, config, emitter } = this
    const cluster =
      this.cluster ?? (await openCluster(settings, config, watchRequests(settings, emitter)))
    try {
      await reach(cluster)
    } catch (error) {
      cluster.close()
      throw kafkaJsError(error, this.retries)
    }
    this.cluster = cluster
    this.isDisconnecting = false
    emitter.emit('connect', null)
  }

  /** What was sent before is still written. */
  disconnect = async (): Promise<void> => {
    this.isDisconnecting = true
    const writers = [...this.writers.values()]
    this.writers.clear()
    await Promise.all(writers.map(writer => writer.flush()))
    await Promise.all(writers.map(writer => writer.close()))
    this.cluster?.close()
    this.cluster = null
    this.isDisconnecting = false
    this.emitter.emit('disconnect', null)
  }

  send = (record: ProducerRecord): Promise<RecordMetadata[]> => {
    const { topic, messages, ...options } = record
    return this.sendBatch({ ...options, topicMessages: [{ topic, messages }] })
  }

  sendBatch = async (batch: ProducerBatch): Promise<RecordMetadata[]> => {
    const { acks = -1, compression = 0, topicMessages = [] } = batch
    this.check(acks, topicMessages)
    const merged = new Map<string, readonly Message[]>()
    for (const { topic, messages } of topicMessages) {
      const before = merged.get(topic)
      merged.set(topic, before === undefined ? messages : [...before, ...messages])
    }
    try {
      const writer = this.writer(acks, compression)
      const sends = [...merged].map(([topic, messages]) => this.sendTo(writer, topic, messages))
      const results = await Promise.all(sends)
      return acks === 0 ? [] : results.flat()
    } catch (error) {
      throw kafkaJsError(error, this.retries)
    }
  }

  /** Rejects: there are no transactions yet. */
  transaction = async (): Promise<never> => {
    const isAsked = this.config.transactionalId !== undefined
    throw isAsked
      ? new KafkaJSNotImplemented('transactions are not supported yet')
      : new KafkaJSNonRetriableError('Must provide transactional id for transactional producer')
  }

  isIdempotent = (): boolean => this.config.idempotent ?? false

  on: Events<typeof PRODUCER_EVENTS>['on'] = (name, listener) => this.emitter.on(name, listener)

  logger = (): Logger => this.settings.logger

  private check(acks: number, topicMessages: readonly TopicMessages[]): void {
    if (topicMessages.some(({ topic }) => !topic)) {
      throw new KafkaJSNonRetriableError('Invalid topic')
    }
    if (this.config.idempotent === true && acks !== -1) {
      const why = "invalidates the idempotent producer's EoS guarantees"
      throw new KafkaJSNonRetriableError(`Not requiring ack for all messages ${why}`)
    }
    for (const { topic, messages } of topicMessages) {
      if (!messages) {
        const text = `Invalid messages array [${messages}] for topic "${topic}"`
        throw new KafkaJSNonRetriableError(text)
      }
      const empty = messages.find(({ value }) => value === undefined)
      if (empty !== undefined) {
        const text = `Invalid message without value for topic "${topic}": ${JSON.stringify(empty)}`
        throw new KafkaJSNonRetriableError(text)
      }
    }
    if (this.isDisconnecting) {
      const why = "therefore, it can't safely accept messages anymore"
      throw new KafkaJSNonRetriableError(`The producer is disconnecting; ${why}`)
    }
    if (this.cluster === null) throw new KafkaJSError('The producer is disconnected')
  }

  private writer(acks: number, compression: number): Producer {
    const key = `${acks} ${compression}`
    let writer = this.writers.get(key)
    if (writer !== undefined) return writer
    const { settings, config, retries } = this
    const isIdempotent = config.idempotent ?? acks === -1
    const totalMs = triesMs(settings.kafka, retries)
    writer = new Producer(settings.io, this.cluster!, {
      acks: acks as -1 | 0 | 1,
      idempotent: Boolean(isIdempotent) && acks !== 0,
      compression: codecName(compression),
      maxInFlight: config.maxInFlightRequests,
      maxRequestBytes: MAX_REQUEST_BYTES,
      maxBlockMs: totalMs,
      deliveryTimeoutMs: totalMs,
    })
    this.writers.set(key, writer)
    return writer
  }

  private async sendTo(
    writer: Producer,
    topic: string,
    messages: readonly Message[],
  ): Promise<RecordMetadata[]> {
    const metadata = this.metadataOf(topic) ?? (await this.lookUp(topic))
    const records = messages.map(message => {
      const partition = this.partitioner({ topic, partitionMetadata: metadata, message })
      return nativeMessage(message, partition)
    })
    return results(topic, await writer.sendBatch(topic, records))
  }

  /** What partitioners are told of a topic; null: it has to be looked up. */
  private metadataOf(topic: string): PartitionMetadata[] | null {
    const cluster = this.cluster!
    const picture = cluster.isFresh ? cluster.knownTopic(topic) : undefined
    if (picture === undefined) return null
    let metadata = this.metadata.get(picture)
    if (metadata === undefined) {
      metadata = partitionMetadata(picture.partitions)
      this.metadata.set(picture, metadata)
    }
    return metadata
  }

  private async lookUp(topic: string): Promise<PartitionMetadata[]> {
    const cluster = this.cluster!
    const { partitions } = await cluster.run(`looking up topic '${topic}'`, {}, attempt =>
      cluster.topic(topic, attempt),
    )
    return partitionMetadata(partitions)
  }
}

function nativeMessage(
  message: Message,
  partition: number,
): NativeMessage<Buffer | string, Buffer | string> {
  const { key, value, headers, timestamp } = message
  return {
    partition: Number(partition),
    key: key ?? null,
    value,
    headers: headers === undefined ? undefined : givenHeaders(headers),
    // As in kafkajs, what is no time is now.
    timestampMs: Math.trunc(Number(timestamp)) || undefined,
  }
}

function givenHeaders(headers: IHeaders): Record<string, string | Buffer | (string | Buffer)[]> {
  const given: Record<string, string | Buffer | (string | Buffer)[]> = {}
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) given[name] = value
  return given
}

/** One entry for each partition, as kafkajs gives them. The log's start is not among what our producer hears. */
function results(topicName: string, positions: readonly BatchPosition[]): RecordMetadata[] {
  const firsts = new Map<number, BatchPosition>()
  for (const position of positions) {
    const known = firsts.get(position.partition)
    if (known === undefined || position.baseOffset < known.baseOffset) {
      firsts.set(position.partition, position)
    }
  }
  return [...firsts.values()]
    .sort((a, b) => a.partition - b.partition)
    .map(({ partition, baseOffset, logAppendTimeMs }) => ({
      topicName,
      partition,
      errorCode: 0,
      baseOffset: String(baseOffset),
      logAppendTime: String(logAppendTimeMs),
      logStartOffset: '-1',
    }))
}

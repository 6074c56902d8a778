/** kafkajs's instrumentation events: their names, what they carry, and who listens. */
import type { Clock } from '../../protocol/io.ts'
import { KafkaJSNonRetriableError } from './errors.ts'
import type { Logger } from './logger.ts'

export interface InstrumentationEvent<T> {
  readonly id: number
  readonly type: string
  readonly timestamp: number
  readonly payload: T
}

const NETWORK = {
  REQUEST: 'network.request',
  REQUEST_TIMEOUT: 'network.request_timeout',
  REQUEST_QUEUE_SIZE: 'network.request_queue_size',
} as const

export const PRODUCER_EVENTS = {
  CONNECT: 'producer.connect',
  DISCONNECT: 'producer.disconnect',
  REQUEST: `producer.${NETWORK.REQUEST}`,
  REQUEST_TIMEOUT: `producer.${NETWORK.REQUEST_TIMEOUT}`,
  REQUEST_QUEUE_SIZE: `producer.${NETWORK.REQUEST_QUEUE_SIZE}`,
} as const

export const ADMIN_EVENTS = {
  CONNECT: 'admin.connect',
  DISCONNECT: 'admin.disconnect',
  REQUEST: `admin.${NETWORK.REQUEST}`,
  REQUEST_TIMEOUT: `admin.${NETWORK.REQUEST_TIMEOUT}`,
  REQUEST_QUEUE_SIZE: `admin.${NETWORK.REQUEST_QUEUE_SIZE}`,
} as const

export const CONSUMER_EVENTS = {
  HEARTBEAT: 'consumer.heartbeat',
  COMMIT_OFFSETS: 'consumer.commit_offsets',
  GROUP_JOIN: 'consumer.group_join',
  FETCH: 'consumer.fetch',
  FETCH_START: 'consumer.fetch_start',
  START_BATCH_PROCESS: 'consumer.start_batch_process',
  END_BATCH_PROCESS: 'consumer.end_batch_process',
  CONNECT: 'consumer.connect',
  DISCONNECT: 'consumer.disconnect',
  STOP: 'consumer.stop',
  CRASH: 'consumer.crash',
  REBALANCING: 'consumer.rebalancing',
  RECEIVED_UNSUBSCRIBED_TOPICS: 'consumer.received_unsubscribed_topics',
  REQUEST: `consumer.${NETWORK.REQUEST}`,
  REQUEST_TIMEOUT: `consumer.${NETWORK.REQUEST_TIMEOUT}`,
  REQUEST_QUEUE_SIZE: `consumer.${NETWORK.REQUEST_QUEUE_SIZE}`,
} as const

export interface RequestPayload {
  readonly apiKey: number
  readonly apiName: string
  readonly apiVersion: number
  readonly broker: string
  readonly clientId: string
  readonly correlationId: number
  readonly createdAt: number
  readonly sentAt: number
  readonly pendingDuration: number
  readonly duration: number
  readonly size: number
}

export interface BatchPayload {
  readonly topic: string
  readonly partition: number
  readonly highWatermark: string
  readonly offsetLag: string
  readonly offsetLagLow: string
  readonly batchSize: number
  readonly firstOffset: string
  readonly lastOffset: string
}

export interface TopicOffsets {
  topic: string
  partitions: { partition: number; offset: string; metadata?: string | null | undefined }[]
}

/** What each consumer event carries; those of producers and admins are its last five. */
export interface Payloads {
  heartbeat: { groupId: string; memberId: string; groupGenerationId: number }
  commit_offsets: {
    groupId: string
    memberId: string
    groupGenerationId: number
    topics: readonly TopicOffsets[]
  }
  group_join: {
    duration: number
    groupId: string
    isLeader: boolean
    leaderId: string
    groupProtocol: string
    memberId: string
    memberAssignment: Record<string, number[]>
  }
  fetch: { numberOfBatches: number; duration: number; nodeId: number }
  fetch_start: { nodeId: number }
  start_batch_process: BatchPayload
  end_batch_process: BatchPayload & { duration: number }
  crash: { error: Error; groupId: string; restart: boolean }
  rebalancing: { groupId: string; memberId: string }
  received_unsubscribed_topics: {
    groupId: string
    generationId: number
    memberId: string
    assignedTopics: string[]
    topicsSubscribed: string[]
    topicsNotSubscribed: string[]
  }
  stop: null
  connect: null
  disconnect: null
  'network.request': RequestPayload
  'network.request_timeout': Omit<RequestPayload, 'duration' | 'size'>
  'network.request_queue_size': { broker: string; clientId: string; queueSize: number }
}

/** What the event of this name carries. */
export type PayloadOf<Name extends string> =
  Name extends `${'consumer' | 'producer' | 'admin'}.${infer Event extends keyof Payloads}`
    ? Payloads[Event]
    : never

type Listener = (event: InstrumentationEvent<never>) => unknown

/** Listeners of one producer, consumer or admin. A listener that fails is logged, and hurts nobody. */
export class Events<Names extends Readonly<Record<string, string>>> {
  private readonly clock: Clock
  private readonly owner: string
  private readonly names: Names
  private readonly logger: Logger
  private readonly listeners = new Map<string, Set<Listener>>()
  private count = 0

  /** `owner` is `consumer`, `producer` or `admin`. */
  constructor(clock: Clock, owner: string, names: Names, logger: Logger) {
    this.clock = clock
    this.owner = owner
    this.names = names
    this.logger = logger
  }

  /** Returns what removes the listener. Throws a KafkaJSNonRetriableError for a name that is none. */
  on<Name extends Names[keyof Names]>(
    name: Name,
    listener: (event: InstrumentationEvent<PayloadOf<Name>>) => unknown,
  ): () => void {
    if (!Object.values(this.names).includes(name)) {
      const known = Object.keys(this.names).map(key => `${this.owner}.events.${key}`)
      throw new KafkaJSNonRetriableError(`Event name should be one of ${known.join(', ')}`)
    }
    const set = this.listeners.get(name) ?? new Set()
    // Each call counts, also of one function that listens already.
    const added: Listener = event => listener(event as InstrumentationEvent<PayloadOf<Name>>)
    set.add(added)
    this.listeners.set(name, set)
    return () => void set.delete(added)
  }

  emit<Event extends keyof Payloads>(event: Event, payload: Payloads[Event]): void {
    const type = `${this.owner}.${event}`
    const listeners = this.listeners.get(type)
    if (listeners === undefined || listeners.size === 0) return
    const timestamp = this.clock.nowMs()
    const said = { id: this.count++, type, timestamp, payload } as InstrumentationEvent<never>
    for (const listener of [...listeners]) void this.call(listener, said)
  }

  private async call(listener: Listener, event: InstrumentationEvent<never>): Promise<void> {
    try {
      await listener(event)
    } catch (error) {
      const { message, stack } = error as Error
      this.logger.error(`Failed to execute listener: ${message}`, { eventName: event.type, stack })
    }
  }
}

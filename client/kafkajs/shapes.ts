/** The shapes that kafkajs's programs hand in and get: configurations, records, batches. */
import type { Registry } from 'prom-client'
import type { CompressionTypes, logLevel } from './constants.ts'
import type { TopicOffsets } from './events.ts'
import type { Logger, logCreator } from './logger.ts'
import type { ICustomPartitioner, PartitionMetadata } from './partitioners.ts'

export interface RetryOptions {
  readonly maxRetryTime?: number
  readonly initialRetryTime?: number
  readonly factor?: number
  readonly multiplier?: number
  readonly retries?: number
  readonly restartOnFailure?: (error: Error) => Promise<boolean>
}

export type BrokersFunction = () => string[] | Promise<string[]>

export interface KafkaConfig {
  readonly brokers: string[] | BrokersFunction
  readonly clientId?: string
  readonly connectionTimeout?: number
  readonly requestTimeout?: number
  readonly enforceRequestTimeout?: boolean
  readonly retry?: RetryOptions
  readonly logLevel?: logLevel
  readonly logCreator?: logCreator
  /** Not supported yet: a program that asks for one is told so when it connects. */
  readonly ssl?: unknown
  readonly sasl?: unknown
  readonly authenticationTimeout?: number
  readonly reauthenticationThreshold?: number
  readonly socketFactory?: unknown
  /** Not of kafkajs: a registry of prom-client, for what the client counts about itself. */
  readonly metrics?: Registry | undefined
}

export interface ProducerConfig {
  readonly createPartitioner?: ICustomPartitioner
  readonly retry?: RetryOptions
  readonly metadataMaxAge?: number
  readonly allowAutoTopicCreation?: boolean
  readonly idempotent?: boolean
  readonly transactionalId?: string
  readonly transactionTimeout?: number
  readonly maxInFlightRequests?: number
}

export interface IHeaders {
  [key: string]: Buffer | string | (Buffer | string)[] | undefined
}

export interface Message {
  key?: Buffer | string | null
  value: Buffer | string | null
  partition?: number
  headers?: IHeaders
  timestamp?: string
}

export interface ProducerRecord {
  topic: string
  messages: Message[]
  acks?: number
  timeout?: number
  compression?: CompressionTypes
}

export interface TopicMessages {
  topic: string
  messages: Message[]
}

export interface ProducerBatch {
  acks?: number
  timeout?: number
  compression?: CompressionTypes
  topicMessages?: TopicMessages[]
}

export interface RecordMetadata {
  topicName: string
  partition: number
  errorCode: number
  offset?: string
  timestamp?: string
  baseOffset?: string
  logAppendTime?: string
  logStartOffset?: string
}

export interface ConsumerConfig {
  readonly groupId: string
  readonly partitionAssigners?: PartitionAssigner[]
  readonly metadataMaxAge?: number
  readonly sessionTimeout?: number
  readonly rebalanceTimeout?: number
  readonly heartbeatInterval?: number
  readonly maxBytesPerPartition?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly maxWaitTimeInMs?: number
  readonly retry?: RetryOptions
  readonly allowAutoTopicCreation?: boolean
  readonly maxInFlightRequests?: number
  readonly readUncommitted?: boolean
  readonly rackId?: string
}

export interface KafkaMessage {
  key: Buffer | null
  value: Buffer | null
  timestamp: string
  attributes: number
  offset: string
  headers: IHeaders
  size?: never
}

export interface Batch {
  topic: string
  partition: number
  highWatermark: string
  messages: KafkaMessage[]
  isEmpty(): boolean
  firstOffset(): string | null
  lastOffset(): string
  offsetLag(): string
  offsetLagLow(): string
}

export interface TopicPartitions {
  topic: string
  partitions: number[]
}

export interface TopicPartition {
  topic: string
  partition: number
}

export interface TopicPartitionOffset extends TopicPartition {
  offset: string
}

export interface TopicPartitionOffsetAndMetadata extends TopicPartitionOffset {
  metadata?: string | null
}

export interface Offsets {
  topics: TopicOffsets[]
}

export interface EachMessagePayload {
  topic: string
  partition: number
  message: KafkaMessage
  heartbeat(): Promise<void>
  pause(): () => void
}

export interface EachBatchPayload {
  batch: Batch
  resolveOffset(offset: string): void
  heartbeat(): Promise<void>
  pause(): () => void
  commitOffsetsIfNecessary(offsets?: Offsets): Promise<void>
  uncommittedOffsets(): Offsets
  isRunning(): boolean
  isStale(): boolean
}

export type EachMessageHandler = (payload: EachMessagePayload) => Promise<void>
export type EachBatchHandler = (payload: EachBatchPayload) => Promise<void>

export interface ConsumerRunConfig {
  readonly autoCommit?: boolean
  readonly autoCommitInterval?: number | null
  readonly autoCommitThreshold?: number | null
  readonly eachBatchAutoResolve?: boolean
  readonly partitionsConsumedConcurrently?: number
  readonly eachBatch?: EachBatchHandler
  readonly eachMessage?: EachMessageHandler
}

export interface ConsumerSubscribeTopic {
  topic: string | RegExp
  fromBeginning?: boolean
}

export interface ConsumerSubscribeTopics {
  topics: (string | RegExp)[]
  fromBeginning?: boolean
}

export interface GroupMember {
  readonly memberId: string
  readonly memberMetadata: Buffer
}

export interface GroupMemberAssignment {
  readonly memberId: string
  readonly memberAssignment: Buffer
}

export interface GroupState {
  readonly name: string
  readonly metadata: Buffer
}

/** What an assigner may ask about the cluster. */
export interface AssignerCluster {
  findTopicPartitionMetadata(topic: string): PartitionMetadata[]
}

export interface Assigner {
  readonly name: string
  readonly version: number
  assign(group: { members: GroupMember[]; topics: string[] }): Promise<GroupMemberAssignment[]>
  protocol(subscription: { topics: string[] }): GroupState
}

export type PartitionAssigner = (config: {
  cluster: AssignerCluster
  groupId: string
  logger: Logger
}) => Assigner

export interface MemberDescription {
  readonly clientHost: string
  readonly clientId: string
  readonly memberId: string
  readonly memberAssignment: Buffer
  readonly memberMetadata: Buffer
}

export type ConsumerGroupState =
  | 'Unknown'
  | 'PreparingRebalance'
  | 'CompletingRebalance'
  | 'Stable'
  | 'Dead'
  | 'Empty'

export interface GroupDescription {
  readonly errorCode: number
  readonly groupId: string
  readonly members: MemberDescription[]
  readonly protocol: string
  readonly protocolType: string
  readonly state: ConsumerGroupState
}

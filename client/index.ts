/** The package `ottla`: what applications may rely on. */
export { Admin } from './admin.ts'
export {
  type Assignor,
  type GroupSubscriber,
  type PartitionRacks,
  roundRobin,
} from './assignors.ts'
export { range } from './assignors-range.ts'
export { cooperativeSticky, sticky } from './assignors-sticky.ts'
export { Client } from './client.ts'
export type { ClientOptions } from './config.ts'
export { Consumer } from './consumer.ts'
export type { ConsumerOptions, RebalanceListener } from './consumer-config.ts'
export type { BatchHandler, ConsumerBatch, Handling, MessageHandler } from './consumer-handlers.ts'
export type { Assignment, CloseOptions, MessageOptions, ReadOptions } from './consumer-input.ts'
export type { Place } from './consumer-places.ts'
export type { RetryOptions } from './consumer-retry.ts'
export type { BatchPosition, RecordPosition } from './deliveries.ts'
export {
  AnswerError,
  ClosedError,
  ConnectionError,
  isRetriable,
  OptionError,
  PartialError,
  type RawRecord,
  RecordError,
  SerializerError,
  TimeoutError,
  VersionError,
} from './errors.ts'
export type { ConsumerRecord } from './fetched-records.ts'
export type { AssignorName } from './group-config.ts'
export type { CommittedOffset, OffsetToCommit } from './group-offsets.ts'
export * from './kafkajs/errors.ts'
export {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  AssignerProtocol,
  CompressionCodecs,
  CompressionTypes,
  ConfigResourceTypes,
  ConfigSource,
  Kafka,
  logLevel,
  PartitionAssigners,
  Partitioners,
  ResourcePatternTypes,
} from './kafkajs/index.ts'
export type { Logger } from './logger.ts'
export type { PartitionerName, PartitionFunction, PartitionQuestion } from './partitioner.ts'
export { Producer } from './producer.ts'
export type { Acks, ProducerOptions } from './producer-config.ts'
export type {
  Headers,
  HeaderValue,
  Message,
  NewRecord,
  SendOptions,
  StreamOptions,
} from './record-input.ts'
export type { Bytes, Serializer } from './serializers.ts'
export { bytes, double, int32, int64, json, string, uuid } from './serializers.ts'
export type { TopicPartition } from './topic-partition.ts'

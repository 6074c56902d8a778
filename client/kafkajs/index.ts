/** The package's entry `ottla/kafkajs`: everything that kafkajs exports, values and types, by its names. */
import type { KafkaJsAdmin } from './admin.ts'
import type { KafkaJsConsumer } from './consumer.ts'
import type { KafkaJsProducer } from './producer.ts'

export type Admin = KafkaJsAdmin
export type Consumer = KafkaJsConsumer
export type Producer = KafkaJsProducer

export { AssignerProtocol, PartitionAssigners } from './assigner-protocol.ts'
export * from './constants.ts'
export * from './errors.ts'
export type { InstrumentationEvent } from './events.ts'
export { Kafka } from './kafka.ts'
export type { LogEntry, Logger, LoggerEntryContent, logCreator } from './logger.ts'
export {
  type ICustomPartitioner,
  type PartitionerArgs,
  Partitioners,
  type PartitionMetadata,
} from './partitioners.ts'
export type * from './shapes.ts'

/**
 * `Kafka` of kafkajs on our client: programs written for kafkajs run after their import is changed.
 *
 *   import { Kafka } from 'ottla'        // was: from 'kafkajs'
 *
 * TypeScript programs that import kafkajs's types, too, find them all under their names in `ottla/kafkajs`.
 */
import type { Io } from '../../protocol/io.ts'
import { systemIo } from '../../protocol/system-io.ts'
import { KafkaJsAdmin } from './admin.ts'
import { KafkaJsConsumer } from './consumer.ts'
import { createLogger, type Logger } from './logger.ts'
import { KafkaJsProducer } from './producer.ts'
import type { Settings } from './settings.ts'
import type { ConsumerConfig, KafkaConfig, ProducerConfig, RetryOptions } from './shapes.ts'

export class Kafka {
  private readonly settings: Settings

  /** Connects to nothing yet. `io` is for tests. */
  constructor(kafka: KafkaConfig, io: Io = systemIo()) {
    const logger = createLogger(io.clock, kafka.logLevel, kafka.logCreator)
    this.settings = { io, kafka, logger }
  }

  producer(config: ProducerConfig = {}): KafkaJsProducer {
    return new KafkaJsProducer(this.settings, config)
  }

  /** Throws a KafkaJSNonRetriableError for options that are wrong. */
  consumer(config: ConsumerConfig): KafkaJsConsumer {
    return new KafkaJsConsumer(this.settings, config)
  }

  admin(config: { readonly retry?: RetryOptions } = {}): KafkaJsAdmin {
    return new KafkaJsAdmin(this.settings, config)
  }

  logger(): Logger {
    return this.settings.logger
  }
}

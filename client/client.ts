/**
 * The way in: one `Client` for a cluster, which makes producers, consumers and admins. Each has connections of its own and
 * opens them when it is first used, so none waits behind another.
 *
 *   const client = new Client({ bootstrap: 'localhost:9092' })
 *   const producer = client.producer({ value: json<Order>() })
 */
import type { Io } from '../protocol/io.ts'
import { systemIo } from '../protocol/system-io.ts'
import { Admin } from './admin.ts'
import { Cluster } from './cluster.ts'
import { type ClientOptions, resolveClientConfig } from './config.ts'
import { Consumer } from './consumer.ts'
import type { ConsumerOptions } from './consumer-config.ts'
import { warnings } from './logger.ts'
import { Producer } from './producer.ts'
import type { ProducerOptions } from './producer-config.ts'
import type { Bytes } from './serializers.ts'

export class Client {
  private readonly options: ClientOptions
  private readonly io: Io

  /** Connects to nothing yet. Throws an OptionError. `io` is for tests. */
  constructor(options: ClientOptions, io: Io = systemIo()) {
    resolveClientConfig(options)
    this.options = options.logger === undefined ? { ...options, logger: warnings } : options
    this.io = io
  }

  /** A topic that does not exist is created by its first record, where brokers do that. */
  producer<K = Bytes, V = Bytes>(options: ProducerOptions<K, V> = {}): Producer<K, V> {
    return new Producer(this.io, this.cluster({ allowAutoTopicCreation: true }), options)
  }

  consumer<K = Buffer, V = Buffer>(options: ConsumerOptions<K, V> = {}): Consumer<K, V> {
    // What is passed on keeps the trace that it came with.
    const makeProducer = () =>
      new Producer(this.io, this.cluster({ allowAutoTopicCreation: true }, { tracing: false }))
    return new Consumer(this.io, this.cluster({}), this.cluster({}), options, makeProducer)
  }

  admin(): Admin {
    return new Admin(this.cluster({}))
  }

  private cluster(otherwise: Partial<ClientOptions>, always: Partial<ClientOptions> = {}): Cluster {
    return new Cluster(this.io, { ...otherwise, ...this.options, ...always })
  }
}

/**
 * `Broker`: what one server process is made of, without sockets. `main.ts` and `embedded.ts` open listeners and hand
 * each socket to `serve` (connection.ts); the simulator will do the same with sockets of its own.
 *
 * Start order: data directory (lock, recovery) → metadata store → adoption of a directory that Kafka wrote → logs of all
 * partitions → ready. Stop order: the reverse, with a sync and the clean-shutdown mark last.
 */
import type { Io } from '../protocol/io.ts'
import type { LogDirectory } from '../segment-store/log-directory.ts'
import type { BrokerConfig } from './config.ts'
import type { FetchSessions } from './fetch-sessions.ts'
import type { Logger } from './logger.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { Controller } from './metadata/controller.ts'
import type { ClusterImage } from './metadata/image.ts'
import type { Metrics } from './metrics.ts'
import type { ProducerIds } from './producer-ids.ts'
import type { ReplicaManager } from './replication/replica-manager.ts'

export interface Broker {
  readonly config: BrokerConfig
  readonly io: Io
  readonly logger: Logger
  readonly metrics: Metrics
  readonly budget: MemoryBudget
  readonly logDirectory: LogDirectory
  readonly replicas: ReplicaManager
  readonly controller: Controller
  readonly producerIds: ProducerIds
  readonly fetchSessions: FetchSessions
  /** The newest image whose partitions are open here. */
  readonly image: ClusterImage
}

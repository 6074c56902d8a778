/**
 * `Broker`: what one server process is made of, without sockets. `server.ts` opens listeners and hands it requests; the
 * simulator will do the same with sockets of its own.
 *
 * Start order: data directory (lock) → metadata store → adoption of a directory that Kafka wrote → logs of all partitions
 * (recovery) → ready. Stop order: the reverse, with a sync and the clean-shutdown mark last.
 */
import type { Io, Timer } from '../protocol/io.ts'
import type { CleaningEngine } from '../segment-store/cleaner.ts'
import { logConfigFor, validateTopicConfigs } from '../segment-store/config.ts'
import type { Disk } from '../segment-store/disk.ts'
import type { Log } from '../segment-store/log.ts'
import { LogDirectory } from '../segment-store/log-directory.ts'
import { adoptOnce, nameUnknown } from './adoption.ts'
import { type BrokerConfig, giveIfMissing, reconfigure } from './config.ts'
import { FetchSessions } from './fetch-sessions.ts'
import { GroupCoordinator } from './group/coordinator.ts'
import { LogCleaner } from './log-cleaner.ts'
import { LogMaintenance } from './log-maintenance.ts'
import type { Logger } from './logger.ts'
import { MemoryBudget } from './memory-budget.ts'
import { Controller } from './metadata/controller.ts'
import type { ClusterImage } from './metadata/image.ts'
import { METADATA_FILE, openLocalStore } from './metadata/local.ts'
import type { MetadataStore } from './metadata/store.ts'
import type { GroupFigures, Metrics, PartitionFigures } from './metrics.ts'
import { ProducerIds } from './producer-ids.ts'
import { ReplicaManager } from './replication/replica-manager.ts'
import { Scrubber } from './scrubber.ts'

export interface BrokerOptions {
  readonly config: BrokerConfig
  readonly io: Io
  readonly disk: Disk
  readonly logger: Logger
  readonly metrics: Metrics
  readonly version: string
  /** Does the work of compaction on files; without it, the broker's own thread does. */
  readonly cleaningEngine?: CleaningEngine
}

export class Broker {
  readonly config: BrokerConfig
  readonly io: Io
  readonly logger: Logger
  readonly metrics: Metrics
  readonly budget: MemoryBudget
  readonly logDirectory: LogDirectory
  readonly store: MetadataStore
  readonly replicas: ReplicaManager
  readonly controller: Controller
  readonly producerIds: ProducerIds
  readonly fetchSessions: FetchSessions
  readonly maintenance: LogMaintenance
  readonly groups: GroupCoordinator
  private readonly scrubber: Scrubber
  readonly cleaner: LogCleaner
  private readonly disk: Disk
  private readonly startedAtMs: number
  private readonly version: string
  private checkpointTimer: Timer | null = null

  private constructor(
    options: BrokerOptions,
    budget: MemoryBudget,
    logDirectory: LogDirectory,
    store: MetadataStore,
  ) {
    const { config, io, logger, metrics } = options
    this.config = config
    this.io = io
    this.logger = logger
    this.metrics = metrics
    this.version = options.version
    this.disk = options.disk
    this.budget = budget
    this.logDirectory = logDirectory
    this.store = store
    this.startedAtMs = io.clock.nowMs()
    this.fetchSessions = new FetchSessions(io, config.maxIncrementalFetchSessionCacheSlots)
    this.producerIds = new ProducerIds(store)
    this.replicas = new ReplicaManager({
      directory: logDirectory,
      clock: io.clock,
      logger,
      metrics,
      logConfigOf: topic => logConfigFor(config.topicDefaults, topic.configs),
    })
    const logs = () => this.logs()
    const engine = options.cleaningEngine
    this.cleaner = new LogCleaner({
      ...{ config, io, logger, logs },
      ...(engine === undefined ? {} : { engine }),
    })
    this.maintenance = new LogMaintenance({
      config,
      clock: io.clock,
      logger,
      deletedFiles: logDirectory.deletedFiles,
      cleaner: this.cleaner,
      logs,
      free: logDirectory.free,
    })
    this.groups = new GroupCoordinator({
      config,
      io,
      logger,
      meter: metrics.groups,
      replicas: this.replicas,
    })
    this.scrubber = new Scrubber({
      clock: io.clock,
      disk: options.disk,
      logger,
      bytesPerSecond: config.logScrubBytesPerSecond,
      directories: () => Array.from(this.replicas.all(), ({ log }) => log.directory),
    })
    this.controller = new Controller({
      store,
      nodeId: config.nodeId,
      io,
      logger,
      settings: {
        placement: () => config,
        refusal: what => (logDirectory.free.isLow ? logDirectory.free.refusal(what) : null),
        validateTopicConfigs: configs => validateTopicConfigs(configs, config.topicDefaults),
      },
    })
  }

  /** Opens the data directory and all logs in it. Rejects with what is wrong and what to do. */
  static async start(options: BrokerOptions): Promise<Broker> {
    const { config, io, disk, logger } = options
    const budget = new MemoryBudget(config.queuedMaxRequestBytes)
    const logDirectory = await LogDirectory.open({
      path: config.dataDir,
      disk,
      io,
      buffers: budget.pool,
      log: logger,
      freeBytesMin: config.logDirFreeBytesMin,
      producerIdExpirationMs: config.producerIdExpirationMs,
    })
    try {
      const clusterId = await identify(logDirectory, config, io)
      const path = `${config.dataDir}/${METADATA_FILE}`
      const store = await openLocalStore({ disk, path, clusterId, space: logDirectory.free })
      const { nodeId } = config
      await adoptOnce({ store, directory: logDirectory, disk, nodeId, logger })
      const broker = new Broker(options, budget, logDirectory, store)
      await broker.open()
      return broker
    } catch (error) {
      await logDirectory.abandon()
      throw error
    }
  }

  /** The newest image whose partitions are open here. */
  get image(): ClusterImage {
    return this.controller.image
  }

  /** Closes all logs, syncs, and marks the directory as cleanly closed. Connections must be gone. */
  async stop(): Promise<void> {
    this.checkpointTimer?.cancel()
    this.groups.stop()
    this.scrubber.stop()
    this.controller.stop()
    await this.maintenance.stop()
    await this.replicas.close()
    await this.store.close()
    await this.logDirectory.close()
  }

  private async open(): Promise<void> {
    this.controller.onImage((before, after) => this.follow(before, after))
    await this.controller.start()
    if (!this.logDirectory.wasCleanShutdown) await this.controller.beginNewTerms()
    this.finishDeletions()
    await nameUnknown(this.image, this.logDirectory, this.logger)
    let nextId = 0
    for (const { log } of this.replicas.all()) {
      for (const { producerId } of log.activeProducers()) nextId = Math.max(nextId, producerId + 1)
    }
    this.producerIds.startAt(nextId)
    this.groups.start(this.image)
    this.observe()
    this.checkpointLater()
    this.maintenance.start()
    this.scrubber.start()
  }

  private *logs(): Iterable<Log> {
    for (const { log } of this.replicas.all()) yield log
  }

  /** What earlier runs deleted and did not come to remove; that can take long, and nobody waits for it. */
  private finishDeletions(): void {
    const ids = new Set(Array.from(this.image.topics.values(), ({ id }) => id))
    this.logDirectory
      .removeDeleted(id => ids.has(id))
      .then(
        directories => {
          if (directories.length > 0) this.logger.info('deletions finished', { directories })
        },
        error => this.logger.warn('deleted logs not removed', { error }),
      )
  }

  private async follow(before: ClusterImage, after: ClusterImage): Promise<void> {
    if (before.brokerConfigs !== after.brokerConfigs) {
      const broker = after.brokerConfigs.get(String(this.config.nodeId)) ?? {}
      const clusterDefault = after.brokerConfigs.get('') ?? {}
      for (const problem of reconfigure(this.config, { broker, clusterDefault })) {
        this.logger.warn('dynamic setting left out', { problem })
      }
      this.replicas.refreshSettings(before)
    }
    await this.replicas.apply(before, after)
    this.groups.topicsChanged(before, after)
  }

  private checkpointLater(): void {
    const intervalMs = this.config.logFlushOffsetCheckpointIntervalMs
    this.checkpointTimer = this.io.clock.timer(intervalMs, () => {
      this.logDirectory
        .checkpoint()
        .catch(error => this.logger.error('checkpoint not written', { error }))
        .finally(() => this.checkpointLater())
    })
  }

  private observe(): void {
    this.metrics.observe({
      version: this.version,
      nodeId: this.config.nodeId,
      clusterId: this.image.clusterId,
      startedAtMs: this.startedAtMs,
      cluster: () => this.clusterFigures(),
      partitions: () => this.partitionFigures(),
      groups: () => this.groupFigures(),
      slowDisk: () => this.disk.slowdowns,
      damagedBatches: () => this.damagedBatches(),
      scrub: () => this.scrubber,
      cleaner: () => ({
        ...this.cleaner.figures,
        sinceLastRunMs: this.io.clock.nowMs() - this.cleaner.figures.lastRunMs,
      }),
      space: () => this.logDirectory.free,
      budget: () => this.budget,
      fetchSessions: () => ({
        sessions: this.fetchSessions.count,
        partitions: this.fetchSessions.partitionCount,
        evictions: this.fetchSessions.evictions,
      }),
    })
  }

  private clusterFigures() {
    const { config, image } = this
    let offline = 0
    let count = 0
    for (const partition of this.replicas.all()) {
      count++
      if (partition.log.failure !== null) offline++
    }
    const { host, port } = config.listeners[0]!
    return {
      brokers: [{ id: config.nodeId, address: `${host === '' ? 'localhost' : host}:${port}` }],
      isController: true,
      topics: image.topics.size,
      partitions: count,
      offlinePartitions: offline,
    }
  }

  private damagedBatches(): number {
    let count = 0
    for (const { log } of this.replicas.all()) count += log.damage.count
    return count
  }

  private *groupFigures(): Iterable<GroupFigures> {
    for (const entry of this.groups.entries()) {
      const { groupId, group } = entry
      const { state, memberCount } = group
      yield { groupId, state, members: memberCount, lags: this.groups.lagOf(entry) }
    }
  }

  private *partitionFigures(): Iterable<PartitionFigures> {
    for (const { topic, index, leader, isr, log, highWatermark } of this.replicas.all()) {
      yield {
        topic,
        partition: index,
        leader,
        replicas: isr,
        isr,
        logStartOffset: log.logStartOffset,
        highWatermark: highWatermark.value,
        logEndOffset: log.logEndOffset,
        sizeBytes: log.sizeBytes,
      }
    }
  }
}

/**
 * The ids in `meta.properties`, which is written where there is none. A directory keeps the id of the node that it was
 * made for: serving it under another one would make two nodes of one.
 */
async function identify(directory: LogDirectory, config: BrokerConfig, io: Io): Promise<string> {
  const known = directory.metaProperties
  if (known === null) {
    const made = { clusterId: io.uuid(), nodeId: config.nodeId, directoryId: io.uuid() }
    await directory.writeMetaProperties(made)
    return made.clusterId
  }
  if (!config.given.has('broker.id')) {
    giveIfMissing(config, 'node.id', { text: String(known.nodeId), origin: 'meta.properties' })
  }
  if (config.nodeId !== known.nodeId) {
    throw new Error(
      `${directory.path} belongs to node ${known.nodeId}, but node.id is ${config.nodeId}: ` +
        'set node.id to it, or use another directory (log.dirs, --data-dir)',
    )
  }
  return known.clusterId
}

/**
 * `Broker`: what one server process is made of, without sockets. `server.ts` opens listeners and hands it requests; the
 * simulator will do the same with sockets of its own.
 *
 * Start order: data directories (lock) → metadata store → adoption of directories that Kafka wrote → logs of all
 * partitions (recovery) → ready. Stop order: the reverse, with a sync and the clean-shutdown mark last.
 *
 * A data directory that fails takes its partitions offline; the broker goes on as long as one is left and the metadata's is
 * well.
 */
import { ProtocolError } from '../protocol/errors.ts'
import type { Io, Timer } from '../protocol/io.ts'
import type { CleaningEngine } from '../segment-store/cleaner.ts'
import { logConfigFor, validateTopicConfigs } from '../segment-store/config.ts'
import type { Disk } from '../segment-store/disk.ts'
import type { Log } from '../segment-store/log.ts'
import { LogDirectories } from '../segment-store/log-directories.ts'
import type { LogDirectory } from '../segment-store/log-directory.ts'
import { adoptOnce, nameUnknown } from './adoption.ts'
import { type BrokerConfig, reconfigure } from './config.ts'
import {
  identify,
  metadataDirectory,
  missingDirectories,
  rememberDirectories,
} from './data-directories.ts'
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
import type { DirectoryFigures, GroupFigures, Metrics, PartitionFigures } from './metrics.ts'
import { ProducerIds } from './producer-ids.ts'
import { lostRemedy, ReplicaManager } from './replication/replica-manager.ts'
import { Scrubber } from './scrubber.ts'
import { groupConfigsInForce } from './settings/group-configs.ts'

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

/** What to do about a directory that is offline. */
const REMEDY =
  'its partitions answer KAFKA_STORAGE_ERROR, the rest is served. Look after the disk (the system log says more), then restart; a disk that is lost for good is replaced by an empty one first'
/** What to do about a stored setting of a group that does not count as it is. */
const GROUP_REMEDY =
  'set or remove it (kafka-configs.sh --alter --entity-type groups --entity-name GROUP, --add-config NAME=VALUE or --delete-config NAME), or change the setting of the broker'

export class Broker {
  readonly config: BrokerConfig
  readonly io: Io
  readonly logger: Logger
  readonly metrics: Metrics
  readonly budget: MemoryBudget
  readonly directories: LogDirectories
  /** The one that holds the metadata. */
  private readonly metadata: LogDirectory
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
  /** Partitions are brought back one at a time. */
  private broughtBack: Promise<void> = Promise.resolve()
  /** Told when the broker cannot go on; whoever runs it stops it. */
  onFailed: (reason: string) => void = () => {}

  private constructor(
    options: BrokerOptions,
    budget: MemoryBudget,
    directories: LogDirectories,
    metadata: LogDirectory,
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
    this.directories = directories
    this.metadata = metadata
    this.store = store
    this.startedAtMs = io.clock.nowMs()
    this.fetchSessions = new FetchSessions(io, config.maxIncrementalFetchSessionCacheSlots)
    this.producerIds = new ProducerIds(store)
    this.replicas = new ReplicaManager({
      directories,
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
      directories,
      cleaner: this.cleaner,
      logs,
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
      logger,
      bytesPerSecond: config.logScrubBytesPerSecond,
      logs,
    })
    this.controller = new Controller({
      store,
      nodeId: config.nodeId,
      io,
      logger,
      settings: {
        placement: () => config,
        refusal: what => directories.refusal(what),
        validateTopicConfigs: configs => validateTopicConfigs(configs, config.topicDefaults),
      },
    })
  }

  /** Opens the data directories and all logs in them. Rejects with what is wrong and what to do. */
  static async start(options: BrokerOptions): Promise<Broker> {
    const { config, io, disk, logger } = options
    const budget = new MemoryBudget(config.queuedMaxRequestBytes)
    let broker: Broker | null = null
    const directories = await LogDirectories.open({
      paths: config.dataDirs,
      disk,
      io,
      buffers: budget.pool,
      log: logger,
      freeBytesMin: config.logDirFreeBytesMin,
      producerIdExpirationMs: config.producerIdExpirationMs,
      onFailed: ({ path }, { operation, file, error }) => {
        const fields = { directory: path, file, operation, error: error.message, remedy: REMEDY }
        logger.error('data directory offline', fields)
        broker?.directoryFailed()
      },
    })
    for (const { path, error } of directories.offline) {
      const fields = { directory: path, error: error.message, remedy: REMEDY }
      logger.error('data directory offline', fields)
    }
    try {
      const metadata = metadataDirectory(directories)
      const clusterId = await identify(directories, config, io)
      const path = `${metadata.path}/${METADATA_FILE}`
      const space = metadata.free
      const store = await openLocalStore({ disk: metadata.disk, path, clusterId, space })
      const { nodeId } = config
      await adoptOnce({ store, directory: directories, disk, nodeId, logger })
      directories.missing = await missingDirectories(store, directories)
      const opened = new Broker(options, budget, directories, metadata, store)
      await opened.open()
      broker = opened
      const reason = opened.whyCannotGoOn()
      if (reason !== null) throw new Error(reason)
      return opened
    } catch (error) {
      await directories.abandon()
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
    // Where its directory is offline there is nothing to be closed in order.
    await this.store.close().catch(error => {
      if (this.metadata.failure === null) throw error
    })
    await this.directories.close()
  }

  private async open(): Promise<void> {
    this.controller.onImage((before, after) => this.follow(before, after))
    await this.controller.start()
    this.replicas.started()
    this.replicas.onOffline = () => this.lookForCoordinators()
    this.tellOfLost()
    if (!this.directories.wasCleanShutdown) await this.controller.beginNewTerms()
    const isEverythingHere = this.directories.offline.length + this.replicas.offlineCount === 0
    await rememberDirectories(this.store, this.directories, isEverythingHere)
    this.finishDeletions()
    nameUnknown(this.image, this.directories, this.logger)
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
    this.directories
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
    this.tellOfGroupSettings(before, after)
    await this.replicas.apply(before, after)
    this.groups.topicsChanged(before, after)
  }

  /** Groups were given settings within the bounds of their time; at the start all that are stored are new. */
  private tellOfGroupSettings(before: ClusterImage, after: ClusterImage): void {
    for (const [groupId, stored] of after.groupConfigs) {
      if (before.groupConfigs.get(groupId) === stored) continue
      for (const problem of groupConfigsInForce(this.config, stored).problems) {
        const fields = { groupId, problem, remedy: GROUP_REMEDY }
        this.logger.warn('group setting not in force', fields)
      }
    }
  }

  /** A data directory has failed; its partitions hear of it themselves. */
  private directoryFailed(): void {
    const reason = this.whyCannotGoOn()
    if (reason === null) return
    this.logger.error('broker cannot go on', { reason })
    this.onFailed(reason)
  }

  /** What the broker cannot go on without; null while it has all of that. */
  whyCannotGoOn(): string | null {
    const { failure, path } = this.metadata
    if (this.directories.online.length === 0) {
      return `no data directory is left: ${failure?.message ?? 'all have failed'}`
    }
    return failure === null
      ? null
      : `${path}, which holds the metadata, is offline: ${failure.message}`
  }

  /**
   * Serves a partition that is offline again, empty and in a new term, because the data directory that it was in is gone for
   * good. Nothing happens to one that is served.
   *
   * @throws ELIGIBLE_LEADERS_NOT_AVAILABLE where its records may still be there
   */
  bringBackEmpty(topic: string, index: number): Promise<void> {
    const done = this.broughtBack.then(() => this.remake(topic, index))
    this.broughtBack = done.catch(() => {})
    return done
  }

  private async remake(name: string, index: number): Promise<void> {
    const id = this.image.topics.get(name)?.id
    if (id === undefined || !this.replicas.isOffline(name, index)) return
    const why = this.directories.whyNotLost(name, index, id)
    if (why !== null) {
      const said = `${name}-${index} is not lost for good: ${why}. Replace or mend that disk, or take it out of log.dirs, and restart`
      throw new ProtocolError('ELIGIBLE_LEADERS_NOT_AVAILABLE', said)
    }
    await this.controller.beginNewTerms((topic, i) => topic.id === id && i === index)
    const topic = this.image.topicsById.get(id)
    if (topic === undefined) return
    await this.replicas.remake(topic, index)
    this.logger.warn('lost partition brought back empty', { topic: name, partition: index })
    this.groups.follow()
  }

  /** Partitions are offline because a data directory is not here. */
  private tellOfLost(): void {
    const directoryIds = this.directories.missing
    const partitions = this.replicas.offlineCount
    if (directoryIds.length === 0 || partitions === 0) return
    const fields = { directoryIds, partitions, remedy: lostRemedy('TOPIC') }
    this.logger.error('data directory missing', fields)
  }

  /** A partition of the offsets topic may be offline. Later: it may have failed under the hands of its coordinator. */
  private lookForCoordinators(): void {
    Promise.resolve()
      .then(() => this.groups.follow())
      .catch(error => this.logger.error('groups not let go of', { error }))
  }

  private *directoryFigures(): Iterable<DirectoryFigures> {
    const { offline, online } = this.directories
    for (const { path, free } of online) {
      yield { path, isOffline: false, freeBytes: free.freeBytes, isLow: free.isLow }
    }
    for (const { path } of offline) yield { path, isOffline: true, freeBytes: 0, isLow: false }
  }

  private checkpointLater(): void {
    const intervalMs = this.config.logFlushOffsetCheckpointIntervalMs
    this.checkpointTimer = this.io.clock.timer(intervalMs, () => {
      this.directories
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
      directories: () => this.directoryFigures(),
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
    const offline = this.replicas.offlineCount
    let count = offline
    for (const _ of this.replicas.all()) count++
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

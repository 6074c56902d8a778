/**
 * `ReplicaManager`: the directory of the partitions that are open on this broker. Handlers ask it for a `Partition` and
 * talk to that; metadata changes are applied here: logs opened, settings changed, logs deleted.
 *
 * A partition whose data directory is offline has no `Partition`: whoever asks for it is told KAFKA_STORAGE_ERROR.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/io.ts'
import type { LogConfig } from '../../segment-store/config.ts'
import type { Log } from '../../segment-store/log.ts'
import type { LogDirectories } from '../../segment-store/log-directories.ts'
import type { BatchPolicy } from '../../segment-store/validator.ts'
import type { Logger } from '../logger.ts'
import type { ClusterImage, TopicImage } from '../metadata/image.ts'
import type { Metrics } from '../metrics.ts'
import { Partition } from './partition.ts'

/** What a compressed batch may expand to before it is refused. */
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024
/** Logs that are opened at a time at start. */
const OPEN_AT_A_TIME = 16

interface HostedTopic {
  readonly name: string
  readonly id: string
  /** By index; undefined while a partition is being opened, or is offline. */
  readonly partitions: (Partition | undefined)[]
  /** Of the partitions that cannot be served until the next start: why. */
  readonly offline: Map<number, string>
}

export class ReplicaManager {
  private readonly directories: LogDirectories
  private readonly clock: Clock
  private readonly logger: Logger
  private readonly metrics: Metrics
  private readonly logConfigOf: (topic: TopicImage) => LogConfig
  private readonly byName = new Map<string, HostedTopic>()
  private readonly byId = new Map<string, HostedTopic>()
  /** A partition went offline while it was served. */
  onOffline: (partition: Partition) => void = () => {}
  /** Logs that are opened were there before this start. */
  private isStarting = true

  constructor(options: {
    directories: LogDirectories
    clock: Clock
    logger: Logger
    metrics: Metrics
    /** The settings of a topic's logs: its own, then the broker's. */
    logConfigOf: (topic: TopicImage) => LogConfig
  }) {
    this.directories = options.directories
    this.clock = options.clock
    this.logger = options.logger
    this.metrics = options.metrics
    this.logConfigOf = options.logConfigOf
  }

  /** @throws UNKNOWN_TOPIC_OR_PARTITION naming both; KAFKA_STORAGE_ERROR where its data directory is offline */
  partition(topic: string, index: number): Partition {
    const hosted = this.byName.get(topic)
    if (hosted !== undefined) return this.partitionOf(hosted, index)
    throw new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION', `topic '${topic}' does not exist`)
  }

  private partitionOf({ name, partitions, offline }: HostedTopic, index: number): Partition {
    const partition = partitions[index]
    if (partition !== undefined) return partition
    const why = offline.get(index)
    if (why !== undefined) throw new ProtocolError('KAFKA_STORAGE_ERROR', why)
    const last = partitions.length - 1
    const range = `topic '${name}' has partitions 0 to ${last}, not ${index}`
    throw new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION', range)
  }

  /** The partition if it is open here. */
  find(topic: string, index: number): Partition | undefined {
    return this.byName.get(topic)?.partitions[index]
  }

  /** @throws UNKNOWN_TOPIC_ID, and what `partition` throws for one that the topic lacks or that is offline */
  partitionById(topicId: string, index: number): Partition {
    const hosted = this.byId.get(topicId)
    if (hosted !== undefined) return this.partitionOf(hosted, index)
    throw new ProtocolError('UNKNOWN_TOPIC_ID', `no topic has the id ${topicId}`)
  }

  /** Whether the data directory of this partition is offline. */
  isOffline(topic: string, index: number): boolean {
    return this.byName.get(topic)?.offline.has(index) ?? false
  }

  get offlineCount(): number {
    let count = 0
    for (const { offline } of this.byName.values()) count += offline.size
    return count
  }

  *all(): Iterable<Partition> {
    for (const { partitions } of this.byName.values()) {
      for (const partition of partitions) if (partition !== undefined) yield partition
    }
  }

  /** All logs that were there before are open: what is opened from now on was never made before. */
  started(): void {
    this.isStarting = false
  }

  /** Opens, changes and deletes what differs between two images. Resolves when the newer one can be served. */
  async apply(before: ClusterImage, after: ClusterImage): Promise<void> {
    const opens: (() => Promise<void>)[] = []
    for (const topic of before.topics.values()) {
      if (after.topics.get(topic.name)?.id !== topic.id) await this.delete(topic)
    }
    for (const topic of after.topics.values()) {
      const old = before.topics.get(topic.name)
      if (old === topic) continue
      this.register(topic)
      const from = old !== undefined && old.id === topic.id ? old.partitions.length : 0
      for (let index = from; index < topic.partitions.length; index++) {
        opens.push(() => this.open(topic, index))
      }
      if (from > 0) this.update(topic)
    }
    await inParallel(opens, OPEN_AT_A_TIME)
  }

  /** Makes an empty log for a partition that is offline and whose own is lost (`LogDirectories.whyNotLost`). */
  async remake(topic: TopicImage, index: number): Promise<void> {
    if (this.isOffline(topic.name, index)) await this.open(topic, index)
  }

  /** The broker-wide defaults changed: topics without a setting of their own follow. */
  refreshSettings(image: ClusterImage): void {
    for (const topic of image.topics.values()) this.update(topic)
  }

  /** Closes all logs; nothing is served afterwards. On a full disk the reserve is what they describe themselves with. */
  async close(): Promise<void> {
    await this.directories.releaseReserves()
    const closes = [...this.all()].map(partition => () => {
      partition.fail('NOT_LEADER_OR_FOLLOWER')
      return partition.log.close()
    })
    await inParallel(closes, OPEN_AT_A_TIME)
    this.byName.clear()
    this.byId.clear()
  }

  private register(topic: TopicImage): void {
    if (this.byId.has(topic.id)) return
    const { name, id } = topic
    const hosted: HostedTopic = { name, id, partitions: [], offline: new Map() }
    this.byName.set(name, hosted)
    this.byId.set(id, hosted)
  }

  private async open(topic: TopicImage, index: number): Promise<void> {
    const { directories } = this
    const config = this.logConfigOf(topic)
    let partition: Partition | null = null
    let log: Log
    try {
      log = await directories.openLog(topic.name, index, topic.id, !this.isStarting, config, {
        written: offset => partition?.written(offset),
        dropped: () => partition?.dropped(),
        failed: error => this.takeOffline(topic.id, index, error),
      })
    } catch (error) {
      if (!isStorageError(error)) throw error
      return this.takeOffline(topic.id, index, error)
    }
    partition = this.partitionFor(topic, index, log, config)
    const hosted = this.byId.get(topic.id)
    // Deleted while it was being opened.
    if (hosted === undefined) return directories.deleteLog(log)
    if (log.failure !== null) return this.takeOffline(topic.id, index, log.failure)
    hosted.partitions[index] = partition
    hosted.offline.delete(index)
  }

  private partitionFor(topic: TopicImage, index: number, log: Log, config: LogConfig): Partition {
    const image = topic.partitions[index]!
    const partition = new Partition({
      topic: topic.name,
      topicId: topic.id,
      index,
      log,
      leader: image.leader,
      leaderEpoch: image.leaderEpoch,
      meter: this.metrics.topicMeter(topic.name),
      policy: batchPolicy(config),
      minInsyncReplicas: config.minInsyncReplicas,
      allowsDeletion: config.cleanupPolicy.delete,
      clock: this.clock,
      space: this.directories.directoryOf(log).free,
    })
    partition.flushPolicy.update(config.flushMessages, config.flushMs)
    return partition
  }

  /** The log of a partition has failed, or cannot be reached: nothing of it is served until the next start. */
  private takeOffline(topicId: string, index: number, error: Error): void {
    const hosted = this.byId.get(topicId)
    if (hosted === undefined) return
    const partition = hosted.partitions[index]
    const { name } = hosted
    const isLost = this.directories.whyNotLost(name, index, topicId) === null
    const remedy = isLost ? `. ${lostRemedy(name)}` : ''
    hosted.offline.set(index, `${name}-${index} is offline: ${error.message}${remedy}`)
    hosted.partitions[index] = undefined
    if (partition === undefined) return
    partition.fail('KAFKA_STORAGE_ERROR')
    this.onOffline(partition)
  }

  /** Puts the topic's settings and terms in force in the partitions that are open. */
  private update(topic: TopicImage): void {
    const config = this.logConfigOf(topic)
    for (const partition of this.byId.get(topic.id)?.partitions ?? []) {
      if (partition === undefined) continue
      partition.leaderEpoch = topic.partitions[partition.index]!.leaderEpoch
      partition.policy = batchPolicy(config)
      partition.minInsyncReplicas = config.minInsyncReplicas
      partition.allowsDeletion = config.cleanupPolicy.delete
      partition.flushPolicy.update(config.flushMessages, config.flushMs)
      partition.log.updateConfig(config)
    }
  }

  private async delete(topic: TopicImage): Promise<void> {
    const hosted = this.byId.get(topic.id)
    this.byId.delete(topic.id)
    if (this.byName.get(topic.name) === hosted) this.byName.delete(topic.name)
    const partitions = hosted?.partitions ?? []
    for (const partition of partitions) {
      partition?.fail('UNKNOWN_TOPIC_OR_PARTITION')
      if (partition !== undefined) await this.directories.deleteLog(partition.log)
    }
    this.metrics.removeTopic(topic.name)
    this.logger.info('topic deleted', { topic: topic.name, partitions: partitions.length })
  }
}

/** What to do about partitions whose data directory is not here. */
export function lostRemedy(topic: string): string {
  return `Bring the directory back (log.dirs, mounts) and restart; or, if it is lost for good, 'ottla topic elect ${topic} --unclean' serves what was in it again, without its records`
}

function isStorageError(error: unknown): error is ProtocolError {
  return error instanceof ProtocolError && error.error === 'KAFKA_STORAGE_ERROR'
}

/** What of a topic's settings the validation of its batches needs. */
export function batchPolicy(config: LogConfig): BatchPolicy {
  const levels: Readonly<Record<string, number>> = {
    gzip: config.compressionGzipLevel,
    lz4: config.compressionLz4Level,
    zstd: config.compressionZstdLevel,
  }
  return {
    maxMessageBytes: config.maxMessageBytes,
    timestampType: config.messageTimestampType as BatchPolicy['timestampType'],
    timestampBeforeMaxMs: config.messageTimestampBeforeMaxMs,
    timestampAfterMaxMs: config.messageTimestampAfterMaxMs,
    compressionType: config.compressionType as BatchPolicy['compressionType'],
    compressionLevel: levels[config.compressionType],
    compacted: config.cleanupPolicy.compact,
    maxDecompressedBytes: MAX_DECOMPRESSED_BYTES,
  }
}

async function inParallel(
  tasks: readonly (() => Promise<unknown>)[],
  limit: number,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < tasks.length) await tasks[next++]!()
  }
  await Promise.all(Array.from({ length: Math.min(limit, tasks.length) }, worker))
}

/**
 * `ReplicaManager`: the directory of the partitions that are open on this broker. Handlers ask it for a `Partition` and
 * talk to that; metadata changes are applied here: logs opened, settings changed, logs deleted.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/io.ts'
import type { LogConfig } from '../../segment-store/config.ts'
import type { Log } from '../../segment-store/log.ts'
import type { LogDirectory } from '../../segment-store/log-directory.ts'
import type { BatchPolicy } from '../../segment-store/validator.ts'
import type { Logger } from '../logger.ts'
import type { ClusterImage, TopicImage } from '../metadata/image.ts'
import type { Metrics } from '../metrics.ts'
import { Partition } from './partition.ts'

/** What a compressed batch may expand to before it is refused. */
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024
/** Logs that are opened at a time at start. */
const OPEN_AT_A_TIME = 16

export class ReplicaManager {
  private readonly directory: LogDirectory
  private readonly clock: Clock
  private readonly logger: Logger
  private readonly metrics: Metrics
  private readonly logConfigOf: (topic: TopicImage) => LogConfig
  private readonly byName = new Map<string, Partition[]>()
  private readonly byId = new Map<string, Partition[]>()

  constructor(options: {
    directory: LogDirectory
    clock: Clock
    logger: Logger
    metrics: Metrics
    /** The settings of a topic's logs: its own, then the broker's. */
    logConfigOf: (topic: TopicImage) => LogConfig
  }) {
    this.directory = options.directory
    this.clock = options.clock
    this.logger = options.logger
    this.metrics = options.metrics
    this.logConfigOf = options.logConfigOf
  }

  /** @throws UNKNOWN_TOPIC_OR_PARTITION naming both */
  partition(topic: string, index: number): Partition {
    const partition = this.byName.get(topic)?.[index]
    if (partition !== undefined) return partition
    const partitions = this.byName.get(topic)
    const why =
      partitions === undefined
        ? `topic '${topic}' does not exist`
        : `topic '${topic}' has partitions 0 to ${partitions.length - 1}, not ${index}`
    throw new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION', why)
  }

  /** The partition if it is open here. */
  find(topic: string, index: number): Partition | undefined {
    return this.byName.get(topic)?.[index]
  }

  /** @throws UNKNOWN_TOPIC_ID, or UNKNOWN_TOPIC_OR_PARTITION for a partition that the topic lacks */
  partitionById(topicId: string, index: number): Partition {
    const partitions = this.byId.get(topicId)
    if (partitions === undefined) {
      throw new ProtocolError('UNKNOWN_TOPIC_ID', `no topic has the id ${topicId}`)
    }
    return partitions[index] ?? this.partition(partitions[0]!.topic, index)
  }

  *all(): Iterable<Partition> {
    for (const partitions of this.byName.values()) yield* partitions
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

  /** The broker-wide defaults changed: topics without a setting of their own follow. */
  refreshSettings(image: ClusterImage): void {
    for (const topic of image.topics.values()) this.update(topic)
  }

  /** Closes all logs; nothing is served afterwards. On a full disk the reserve is what they describe themselves with. */
  async close(): Promise<void> {
    if (this.directory.free.isLow) await this.directory.free.release()
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
    const partitions: Partition[] = []
    this.byName.set(topic.name, partitions)
    this.byId.set(topic.id, partitions)
  }

  private async open(topic: TopicImage, index: number): Promise<void> {
    const config = this.logConfigOf(topic)
    let partition: Partition | null = null
    const log: Log = await this.directory.openLog(topic.name, index, topic.id, config, {
      written: offset => partition?.written(offset),
      dropped: () => partition?.dropped(),
      failed: error => {
        const fields = { topic: topic.name, partition: index, error }
        this.logger.error('log failed, partition offline', fields)
        partition?.fail('KAFKA_STORAGE_ERROR')
      },
    })
    const image = topic.partitions[index]!
    partition = new Partition({
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
      space: this.directory.free,
    })
    partition.flushPolicy.update(config.flushMessages, config.flushMs)
    const partitions = this.byId.get(topic.id)
    // Deleted while it was being opened.
    if (partitions === undefined) return this.directory.deleteLog(log)
    partitions[index] = partition
  }

  /** Puts the topic's settings and terms in force in the partitions that are open. */
  private update(topic: TopicImage): void {
    const config = this.logConfigOf(topic)
    for (const partition of this.byId.get(topic.id) ?? []) {
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
    const partitions = this.byId.get(topic.id) ?? []
    this.byId.delete(topic.id)
    if (this.byName.get(topic.name) === partitions) this.byName.delete(topic.name)
    for (const partition of partitions) {
      partition?.fail('UNKNOWN_TOPIC_OR_PARTITION')
      if (partition !== undefined) await this.directory.deleteLog(partition.log)
    }
    this.metrics.removeTopic(topic.name)
    this.logger.info('topic deleted', { topic: topic.name, partitions: partitions.length })
  }
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

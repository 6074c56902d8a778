/**
 * Which broker settings may be changed while the broker runs, for one broker or for all: Kafka's list, without what it
 * changes only for single listeners (security), and without `listeners` and `listener.security.protocol.map`: sockets
 * are opened at the start. Those without effect are taken all the same, so that tools that set them work.
 */
import { topicSettings } from '../../segment-store/config.ts'

const BESIDES_TOPIC_DEFAULTS = [
  'background.threads',
  'follower.fetch.last.tiered.offset.enable',
  'follower.replication.throttled.rate',
  'group.consumer.assignment.interval.ms',
  'group.coordinator.cached.buffer.max.bytes',
  'group.share.assignment.interval.ms',
  'group.streams.assignment.interval.ms',
  'leader.replication.throttled.rate',
  'log.cleaner.backoff.ms',
  'log.cleaner.dedupe.buffer.size',
  'log.cleaner.io.buffer.load.factor',
  'log.cleaner.io.buffer.size',
  'log.cleaner.io.max.bytes.per.second',
  'log.cleaner.threads',
  'max.connection.creation.rate',
  'max.connections',
  'max.connections.per.ip',
  'max.connections.per.ip.overrides',
  'metric.reporters',
  'num.io.threads',
  'num.network.threads',
  'num.recovery.threads.per.data.dir',
  'num.replica.fetchers',
  'producer.id.expiration.ms',
  'remote.fetch.max.wait.ms',
  'remote.list.offsets.request.timeout.ms',
  'remote.log.index.file.cache.total.size.bytes',
  'remote.log.manager.copier.thread.pool.size',
  'remote.log.manager.copy.max.bytes.per.second',
  'remote.log.manager.expiration.thread.pool.size',
  'remote.log.manager.fetch.max.bytes.per.second',
  'remote.log.manager.follower.thread.pool.size',
  'remote.log.reader.threads',
  'replica.alter.log.dirs.io.max.bytes.per.second',
  'share.coordinator.cached.buffer.max.bytes',
  'transaction.partition.verification.enable',
]

const dynamicSettings: ReadonlySet<string> = new Set([
  ...BESIDES_TOPIC_DEFAULTS,
  ...Object.values(topicSettings).flatMap(({ serverDefault }) => serverDefault ?? []),
])

export function isDynamic(name: string): boolean {
  return dynamicSettings.has(name)
}

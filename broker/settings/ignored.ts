/**
 * The settings of Kafka that are accepted without effect, so that a real `server.properties` just starts: their types,
 * defaults and ranges are checked as Kafka's are, and each group says why nothing comes of them. A setting that begins
 * to work moves to server.ts or log.ts and gets a doc of its own.
 */
import { INT64_MAX } from '../../protocol/buffer.ts'
import {
  atLeast,
  between,
  boolean,
  className,
  double,
  ignored,
  int,
  list,
  long,
  nonEmpty,
  oneOf,
  type Settings,
  short,
  string,
} from '../../segment-store/setting.ts'
import { securitySettings } from './security.ts'

const INT32_MAX = 2_147_483_647

const UNPROTECTED = 'listeners are PLAINTEXT only so far, and whoever reaches one may do everything'
const NO_QUOTAS = 'there are no quotas yet'
const PROMETHEUS = 'metrics are served to Prometheus, see metrics.listener'

/** Marks a whole group; the reason is read after "because". */
function because(reason: string, settings: Settings): Settings {
  return Object.fromEntries(
    Object.entries(settings).map(([name, setting]) => [name, ignored(reason, setting)]),
  )
}

const quorum: Settings = because('cluster metadata is kept without a KRaft quorum', {
  'auto.leader.rebalance.enable': boolean(true),
  'broker.heartbeat.interval.ms': int(2000),
  'broker.session.timeout.ms': int(9000),
  'controlled.shutdown.enable': boolean(true),
  'controller.listener.names': list(null),
  'controller.quorum.append.linger.ms': int(25, atLeast(0)),
  'controller.quorum.auto.join.enable': boolean(false),
  'controller.quorum.bootstrap.servers': list([]),
  'controller.quorum.election.backoff.max.ms': int(1000, atLeast(0)),
  'controller.quorum.election.timeout.ms': int(1000, atLeast(0)),
  'controller.quorum.fetch.max.bytes': int(1_048_576, atLeast(1)),
  'controller.quorum.fetch.snapshot.max.bytes': int(1_048_576, atLeast(1)),
  'controller.quorum.fetch.timeout.ms': int(2000, atLeast(0)),
  'controller.quorum.request.timeout.ms': int(2000, atLeast(0)),
  'controller.quorum.retry.backoff.ms': int(20, atLeast(0)),
  'controller.quorum.voters': list([]),
  'controller.socket.timeout.ms': int(30_000),
  'early.start.listeners': list(null),
  'initial.broker.registration.timeout.ms': int(60_000),
  'leader.imbalance.check.interval.seconds': long(300, atLeast(1)),
  'metadata.log.dir': string(null),
  'metadata.log.max.record.bytes.between.snapshots': long(20_971_520, atLeast(1)),
  'metadata.log.max.snapshot.interval.ms': long(3_600_000, atLeast(0)),
  'metadata.log.segment.bytes': int(1_073_741_824, atLeast(8_388_608)),
  'metadata.log.segment.ms': long(604_800_000),
  'metadata.max.idle.interval.ms': int(500, atLeast(0)),
  'metadata.max.retention.bytes': long(104_857_600),
  'metadata.max.retention.ms': long(604_800_000),
})

const replication: Settings = because('a single broker talks to no other broker yet', {
  'inter.broker.listener.name': string(null),
  'num.replica.fetchers': int(1, atLeast(1)),
  'replica.fetch.backoff.ms': int(1000, atLeast(0)),
  'replica.fetch.max.bytes': int(1_048_576, atLeast(0)),
  'replica.fetch.min.bytes': int(1),
  'replica.fetch.response.max.bytes': int(10_485_760, atLeast(0)),
  'replica.fetch.wait.max.ms': int(500),
  'replica.lag.time.max.ms': long(30_000),
  'replica.selector.class': string(null),
  'replica.socket.receive.buffer.bytes': int(65_536),
  'replica.socket.timeout.ms': int(30_000),
  'request.timeout.ms': int(30_000),
  'socket.connection.setup.timeout.max.ms': long(30_000),
  'socket.connection.setup.timeout.ms': long(10_000),
})

const groups: Settings = because(
  'the event loop coordinates groups of both protocols, and writes at once what a turn brings',
  {
    'group.coordinator.append.linger.ms': int(-1, atLeast(-1)),
    'group.coordinator.background.threads': int(2, atLeast(1)),
    'group.coordinator.cached.buffer.max.bytes': int(1_048_588, atLeast(524_288)),
    'group.coordinator.rebalance.protocols': list(
      ['classic', 'consumer', 'streams'],
      oneOf('consumer', 'classic', 'share', 'streams'),
    ),
    'group.coordinator.threads': int(4, atLeast(1)),
    'offsets.topic.compression.codec': int(0),
  },
)

const transactions: Settings = because('transactions arrive in a later step', {
  'add.partitions.to.txn.retry.backoff.max.ms': int(100, atLeast(0)),
  'add.partitions.to.txn.retry.backoff.ms': int(20, atLeast(1)),
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': int(10_000, atLeast(1)),
  'transaction.max.timeout.ms': int(900_000, atLeast(1)),
  'transaction.partition.verification.enable': boolean(true),
  'transaction.remove.expired.transaction.cleanup.interval.ms': int(3_600_000, atLeast(1)),
  'transaction.state.log.load.buffer.size': int(5_242_880, atLeast(1)),
  'transaction.state.log.min.isr': int(2, atLeast(1)),
  'transaction.state.log.num.partitions': int(50, atLeast(1)),
  'transaction.state.log.replication.factor': short(3, atLeast(1)),
  'transaction.state.log.segment.bytes': int(104_857_600, atLeast(1)),
  'transaction.two.phase.commit.enable': boolean(false),
  'transactional.id.expiration.ms': int(604_800_000, atLeast(1)),
})

const share: Settings = because('there are no share groups and no streams groups', {
  'group.share.assignment.interval.ms': int(1000, atLeast(0)),
  'group.share.assignors': list(['simple']),
  'group.share.delivery.count.limit': int(5, between(2, 10)),
  'group.share.heartbeat.interval.ms': int(5000, atLeast(1)),
  'group.share.max.assignment.interval.ms': int(15_000, atLeast(0)),
  'group.share.max.delivery.count.limit': int(10, between(5, 25)),
  'group.share.max.heartbeat.interval.ms': int(15_000, atLeast(1)),
  'group.share.max.partition.max.record.locks': int(4000, between(2000, 10_000)),
  'group.share.max.record.lock.duration.ms': int(60_000, between(30_000, 3_600_000)),
  'group.share.max.session.timeout.ms': int(60_000, atLeast(1)),
  'group.share.max.share.sessions': int(2000, atLeast(1)),
  'group.share.max.size': int(200, between(1, 1000)),
  'group.share.min.assignment.interval.ms': int(0, atLeast(0)),
  'group.share.min.delivery.count.limit': int(2, between(2, 5)),
  'group.share.min.heartbeat.interval.ms': int(5000, atLeast(1)),
  'group.share.min.partition.max.record.locks': int(100, between(100, 2000)),
  'group.share.min.record.lock.duration.ms': int(15_000, between(1000, 30_000)),
  'group.share.min.session.timeout.ms': int(45_000, atLeast(1)),
  'group.share.partition.max.record.locks': int(2000, between(100, 10_000)),
  'group.share.record.lock.duration.ms': int(30_000, between(1000, 3_600_000)),
  'group.share.session.timeout.ms': int(45_000, atLeast(1)),
  'group.streams.assignment.interval.ms': int(1000, atLeast(0)),
  'group.streams.heartbeat.interval.ms': int(5000, atLeast(1)),
  'group.streams.initial.rebalance.delay.ms': int(3000, atLeast(0)),
  'group.streams.max.assignment.interval.ms': int(15_000, atLeast(0)),
  'group.streams.max.heartbeat.interval.ms': int(15_000, atLeast(1)),
  'group.streams.max.session.timeout.ms': int(60_000, atLeast(1)),
  'group.streams.max.size': int(INT32_MAX, atLeast(1)),
  'group.streams.max.standby.replicas': int(2, atLeast(0)),
  'group.streams.min.assignment.interval.ms': int(0, atLeast(0)),
  'group.streams.min.heartbeat.interval.ms': int(5000, atLeast(1)),
  'group.streams.min.session.timeout.ms': int(45_000, atLeast(1)),
  'group.streams.num.standby.replicas': int(0, atLeast(0)),
  'group.streams.session.timeout.ms': int(45_000, atLeast(1)),
  'share.coordinator.append.linger.ms': int(-1, atLeast(-1)),
  'share.coordinator.cached.buffer.max.bytes': int(1_048_588, atLeast(524_288)),
  'share.coordinator.load.buffer.size': int(5_242_880, atLeast(1)),
  'share.coordinator.snapshot.update.records.per.snapshot': int(500, between(0, 500)),
  'share.coordinator.state.topic.compression.codec': int(0),
  'share.coordinator.state.topic.min.isr': short(2, atLeast(1)),
  'share.coordinator.state.topic.num.partitions': int(50, atLeast(1)),
  'share.coordinator.state.topic.replication.factor': short(3, atLeast(1)),
  'share.coordinator.state.topic.segment.bytes': int(104_857_600, atLeast(1)),
  'share.coordinator.threads': int(1, atLeast(1)),
  'share.coordinator.write.timeout.ms': int(5000, atLeast(1)),
  'share.fetch.purgatory.purge.interval.requests': int(1000),
})

const cleaner: Settings = because('logs are compacted one at a time', {
  'log.cleaner.threads': int(1, atLeast(0)),
})

const tiered: Settings = because('segments stay on the local disk: there is no tiered storage', {
  'follower.fetch.last.tiered.offset.enable': boolean(false),
  'log.local.retention.bytes': long(-2, atLeast(-2)),
  'log.local.retention.ms': long(-2, atLeast(-2)),
  'remote.fetch.max.wait.ms': int(500, atLeast(1)),
  'remote.list.offsets.request.timeout.ms': long(30_000, atLeast(1)),
  'remote.log.index.file.cache.total.size.bytes': long(1_073_741_824, atLeast(1)),
  'remote.log.manager.copier.thread.pool.size': int(10, atLeast(1)),
  'remote.log.manager.copy.max.bytes.per.second': long(INT64_MAX, atLeast(1)),
  'remote.log.manager.copy.quota.window.num': int(11, atLeast(1)),
  'remote.log.manager.copy.quota.window.size.seconds': int(1, atLeast(1)),
  'remote.log.manager.expiration.thread.pool.size': int(10, atLeast(1)),
  'remote.log.manager.fetch.max.bytes.per.second': long(INT64_MAX, atLeast(1)),
  'remote.log.manager.fetch.quota.window.num': int(11, atLeast(1)),
  'remote.log.manager.fetch.quota.window.size.seconds': int(1, atLeast(1)),
  'remote.log.manager.follower.thread.pool.size': int(2, atLeast(1)),
  'remote.log.manager.task.interval.ms': long(30_000, atLeast(1)),
  'remote.log.manager.thread.pool.size': int(2, atLeast(1)),
  'remote.log.metadata.custom.metadata.max.bytes': int(128, atLeast(0)),
  'remote.log.metadata.manager.class.name': string(
    'org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager',
    nonEmpty,
  ),
  'remote.log.metadata.manager.class.path': string(null),
  'remote.log.metadata.manager.impl.prefix': string('rlmm.config.', nonEmpty),
  'remote.log.metadata.manager.listener.name': string(null, nonEmpty),
  'remote.log.reader.max.pending.tasks': int(100, atLeast(1)),
  'remote.log.reader.threads': int(10, atLeast(1)),
  'remote.log.storage.manager.class.name': string(null, nonEmpty),
  'remote.log.storage.manager.class.path': string(null),
  'remote.log.storage.manager.impl.prefix': string('rsm.config.', nonEmpty),
  'remote.log.storage.system.enable': boolean(false),
})

const quotas: Settings = because(NO_QUOTAS, {
  'alter.log.dirs.replication.quota.window.num': int(11, atLeast(1)),
  'alter.log.dirs.replication.quota.window.size.seconds': int(1, atLeast(1)),
  'client.quota.callback.class': className(null),
  'controller.quota.window.num': int(11, atLeast(1)),
  'controller.quota.window.size.seconds': int(1, atLeast(1)),
  'max.connection.creation.rate': int(INT32_MAX, atLeast(0)),
  'quota.window.num': int(11, atLeast(1)),
  'quota.window.size.seconds': int(1, atLeast(1)),
  'replication.quota.window.num': int(11, atLeast(1)),
  'replication.quota.window.size.seconds': int(1, atLeast(1)),
})

const threads: Settings = because('one event loop does the work of the threads and their queues', {
  'background.threads': int(10, atLeast(1)),
  'num.io.threads': int(8, atLeast(1)),
  'num.network.threads': int(3, atLeast(1)),
  'num.recovery.threads.per.data.dir': int(2, atLeast(1)),
  'queued.max.requests': int(500, atLeast(1)),
})

const waits: Settings = because('a waiting request is woken directly and leaves nothing to purge', {
  'delete.records.purgatory.purge.interval.requests': int(1),
  'fetch.purgatory.purge.interval.requests': int(1000),
  'producer.purgatory.purge.interval.requests': int(1000),
})

const metrics: Settings = because(PROMETHEUS, {
  'kafka.metrics.polling.interval.secs': int(10, atLeast(1)),
  'kafka.metrics.reporters': list([]),
  'metric.reporters': list(['org.apache.kafka.common.metrics.JmxReporter']),
  'metrics.num.samples': int(2, atLeast(1)),
  'metrics.recording.level': string('INFO'),
  'metrics.sample.window.ms': long(30_000, atLeast(1)),
  'telemetry.max.bytes': int(1_048_576, atLeast(1)),
})

const disks: Settings = because(
  'logs stay in the data directory that they were made in, and no controller elsewhere must hear of one that fails',
  {
    'cordoned.log.dirs': list([]),
    'log.dir.failure.timeout.ms': long(30_000, atLeast(1)),
    'num.replica.alter.log.dirs.threads': int(null),
  },
)

const checkpoints: Settings = because(
  'all checkpoints are written together, every log.flush.offset.checkpoint.interval.ms',
  {
    'log.flush.start.offset.checkpoint.interval.ms': int(60_000, atLeast(0)),
    'replica.high.watermark.checkpoint.interval.ms': long(5000),
  },
)

const sockets: Settings = because(
  'the operating system sizes socket buffers and the queue of new connections',
  {
    'socket.listen.backlog.size': int(50, atLeast(1)),
    'socket.receive.buffer.bytes': int(102_400),
    'socket.send.buffer.bytes': int(102_400),
  },
)

const plugins: Settings = because('Java classes cannot be loaded', {
  'alter.config.policy.class.name': className(null),
  'config.providers': list([]),
  'create.topic.policy.class.name': className(null),
})

export const ignoredSettings: Settings = {
  ...quorum,
  ...replication,
  ...groups,
  ...transactions,
  ...share,
  ...cleaner,
  ...tiered,
  ...quotas,
  ...threads,
  ...waits,
  ...metrics,
  ...disks,
  ...checkpoints,
  ...sockets,
  ...plugins,
  ...because(UNPROTECTED, securitySettings),
}

/**
 * Names that Kafka accepts without documenting them: its own test hooks, settings that only a running broker takes, and
 * those of its authorizer. They are shown only where they are set.
 */
export const hiddenSettings: Settings = {
  'log.initial.task.delay.ms': long(
    30_000,
    atLeast(0),
    'How long after the start logs are first looked at for what is past retention.',
  ),
  ...because('only Kafka itself uses it', {
    'controller.performance.always.log.threshold.ms': long(2000, atLeast(0)),
    'controller.performance.sample.period.ms': long(60_000, atLeast(100)),
    'group.consumer.regex.refresh.interval.ms': int(600_000, atLeast(10_000)),
    'group.share.initialize.retry.interval.ms': int(30_000, atLeast(1)),
    'group.share.persister.class.name': string(
      'org.apache.kafka.server.share.persister.DefaultStatePersister',
    ),
    'internal.metadata.delete.delay.millis': long(60_000),
    'internal.metadata.log.segment.bytes': int(null),
    'internal.metadata.max.batch.size.in.bytes': int(8_388_608),
    'producer.id.expiration.check.interval.ms': int(600_000, atLeast(1)),
    'remote.log.index.file.cache.ttl.ms': long(900_000, atLeast(-1)),
    'remote.log.manager.task.retry.backoff.max.ms': long(30_000, atLeast(1)),
    'remote.log.manager.task.retry.backoff.ms': long(500, atLeast(1)),
    'remote.log.manager.task.retry.jitter': double(0.2, between(0, 0.5)),
    'server.max.startup.time.ms': long(INT64_MAX, atLeast(0)),
    'share.coordinator.cold.partition.snapshot.interval.ms': int(300_000, atLeast(1)),
    'share.coordinator.state.topic.prune.interval.ms': int(300_000, atLeast(1)),
    'unclean.leader.election.interval.ms': long(300_000, atLeast(1)),
    'unstable.api.versions.enable': boolean(false),
    'unstable.feature.versions.enable': boolean(false),
  }),
  ...because(UNPROTECTED, {
    'allow.everyone.if.no.acl.found': boolean(false),
    'super.users': string(null),
  }),
  ...because(NO_QUOTAS, {
    'follower.replication.throttled.rate': long(INT64_MAX, atLeast(0)),
    'leader.replication.throttled.rate': long(INT64_MAX, atLeast(0)),
    'replica.alter.log.dirs.io.max.bytes.per.second': long(INT64_MAX, atLeast(0)),
  }),
  ...because(PROMETHEUS, { 'auto.include.jmx.reporter': boolean(true) }),
}

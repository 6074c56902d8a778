/**
 * The settings of a topic: Kafka's names, types, defaults and ranges (4.3.1), and `LogConfig`, the same as values that
 * a log reads.
 *
 * A topic stores only what was set for it (its overrides, as text). Whatever is missing comes from the broker, which
 * has a setting for most of them (`serverDefault`), then from the table. The broker passes its own in, so that this
 * room knows nothing of brokers.
 */
import { INT64_MAX } from '../protocol/buffer.ts'
import { ProtocolError } from '../protocol/errors.ts'
import {
  atLeast,
  between,
  betweenOr,
  boolean,
  camelCase,
  double,
  formatValue,
  InvalidSettingError,
  ignored,
  int,
  list,
  long,
  oneOf,
  parseSetting,
  type Setting,
  type SettingValue,
  string,
  type Valid,
  type ValuesOf,
} from './setting.ts'

/** A setting of topics, and the broker's setting that is its default, if there is one. */
export type TopicSetting<T extends SettingValue = SettingValue> = Setting<T> & {
  readonly serverDefault: string | null
}

function topic<T extends SettingValue>(
  serverDefault: string | null,
  setting: Setting<T>,
): TopicSetting<T> {
  return { ...setting, serverDefault }
}

const TIERED = 'segments stay on the local disk: there is no tiered storage'
const ALONE = 'a single broker copies nothing to others yet'

const replicaList: Valid = {
  text: '[partitionId]:[brokerId],[partitionId]:[brokerId],...',
  fault: (value, name) => {
    const items = Array.isArray(value) ? value : []
    const wrong =
      !(items.length === 1 && items[0] === '*') &&
      items.some((item: string) => !/^\d+:\d+$/.test(item))
    if (!wrong) return null
    const why = `${name} must be the literal '*' or a list of replicas in the following format: ${replicaList.text}`
    return { why, shown: `[${items.join(', ')}]` }
  },
}

export const topicSettings = {
  'cleanup.policy': topic(
    'log.cleanup.policy',
    list(
      ['delete'],
      oneOf('compact', 'delete'),
      'What happens to old segments: delete drops them by age or size, compact keeps the newest record of each key, both do both, an empty list keeps everything.',
    ),
  ),
  'compression.gzip.level': topic(
    'compression.gzip.level',
    int(
      -1,
      betweenOr(1, 9, -1),
      'How hard gzip works when compression.type is gzip; -1 leaves it to the library.',
    ),
  ),
  'compression.lz4.level': topic(
    'compression.lz4.level',
    int(9, between(1, 17), 'How hard lz4 works when compression.type is lz4.'),
  ),
  'compression.type': topic(
    'compression.type',
    string(
      'producer',
      oneOf('uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'),
      'How batches are compressed on disk: producer stores them as they arrive, anything else makes the broker recompress those that arrive differently.',
    ),
  ),
  'compression.zstd.level': topic(
    'compression.zstd.level',
    int(3, between(-131072, 22), 'How hard zstd works when compression.type is zstd.'),
  ),
  'delete.retention.ms': topic(
    'log.cleaner.delete.retention.ms',
    long(
      86_400_000,
      atLeast(0),
      'How long a deletion mark (a record without a value) stays readable in a compacted topic.',
    ),
  ),
  'file.delete.delay.ms': topic(
    'log.segment.delete.delay.ms',
    long(
      60_000,
      atLeast(0),
      'How long the file of a dropped segment stays on disk, renamed to .deleted.',
    ),
  ),
  'flush.messages': topic(
    'log.flush.interval.messages',
    long(
      INT64_MAX,
      atLeast(1),
      'Sync the log to the medium once this many records are unsynced; 1 acknowledges nothing that a power cut could take. By default that is left to the operating system.',
    ),
  ),
  'flush.ms': topic(
    'log.flush.interval.ms',
    long(
      INT64_MAX,
      atLeast(0),
      'Sync the log to the medium at least this often while it is written. By default that is left to the operating system.',
    ),
  ),
  'follower.replication.throttled.replicas': topic(
    null,
    ignored(ALONE, list([], replicaList, 'Replicas whose copying is throttled as followers.')),
  ),
  'index.interval.bytes': topic(
    'log.index.interval.bytes',
    int(
      4096,
      atLeast(0),
      'Bytes of log between two index entries: smaller finds offsets faster and makes larger indexes.',
    ),
  ),
  'leader.replication.throttled.replicas': topic(
    null,
    ignored(ALONE, list([], replicaList, 'Replicas whose copying is throttled as leaders.')),
  ),
  'local.retention.bytes': topic(
    'log.local.retention.bytes',
    ignored(TIERED, long(-2, atLeast(-2), 'Bytes kept locally of a tiered topic.')),
  ),
  'local.retention.ms': topic(
    'log.local.retention.ms',
    ignored(TIERED, long(-2, atLeast(-2), 'How long a tiered topic is kept locally.')),
  ),
  'max.compaction.lag.ms': topic(
    'log.cleaner.max.compaction.lag.ms',
    long(
      INT64_MAX,
      atLeast(1),
      'A record of a compacted topic is compacted at the latest after this time.',
    ),
  ),
  'max.message.bytes': topic(
    'message.max.bytes',
    int(1_048_588, atLeast(0), 'The largest batch, as it arrives, that the topic takes.'),
  ),
  'message.timestamp.after.max.ms': topic(
    'log.message.timestamp.after.max.ms',
    long(
      3_600_000,
      atLeast(0),
      "How far a record's timestamp may lie ahead of the broker's clock; not looked at with LogAppendTime.",
    ),
  ),
  'message.timestamp.before.max.ms': topic(
    'log.message.timestamp.before.max.ms',
    long(
      INT64_MAX,
      atLeast(0),
      "How far a record's timestamp may lie behind the broker's clock; not looked at with LogAppendTime.",
    ),
  ),
  'message.timestamp.type': topic(
    'log.message.timestamp.type',
    string(
      'CreateTime',
      oneOf('CreateTime', 'LogAppendTime'),
      "Whether records keep the producer's timestamp or get the broker's when they are appended.",
    ),
  ),
  'min.cleanable.dirty.ratio': topic(
    'log.cleaner.min.cleanable.ratio',
    double(
      0.5,
      between(0, 1),
      'The part of a compacted log that must be uncompacted before it is worth cleaning.',
    ),
  ),
  'min.compaction.lag.ms': topic(
    'log.cleaner.min.compaction.lag.ms',
    long(0, atLeast(0), 'A record of a compacted topic stays uncompacted at least this long.'),
  ),
  'min.insync.replicas': topic(
    'min.insync.replicas',
    int(1, atLeast(1), 'How many replicas must be in sync for a write with acks=all to be taken.'),
  ),
  preallocate: topic(
    'log.preallocate',
    ignored(
      'files grow as they are written',
      boolean(false, null, 'Reserve the disk space of a segment when it is created.'),
    ),
  ),
  'remote.log.copy.disable': topic(
    null,
    ignored(TIERED, boolean(false, null, 'Stop copying segments to remote storage.')),
  ),
  'remote.log.delete.on.disable': topic(
    null,
    ignored(TIERED, boolean(false, null, 'Delete remote segments when tiering is turned off.')),
  ),
  'remote.storage.enable': topic(
    null,
    ignored(TIERED, boolean(false, null, 'Keep old segments in remote storage.')),
  ),
  'retention.bytes': topic(
    'log.retention.bytes',
    long(
      -1,
      null,
      'The oldest segments of a partition go as long as the rest has at least this size; -1 is no limit.',
    ),
  ),
  'retention.ms': topic(
    'log.retention.ms',
    long(
      604_800_000,
      atLeast(-1),
      'Segments, the active one included, go once their newest record is older; -1 is never.',
    ),
  ),
  'segment.bytes': topic(
    'log.segment.bytes',
    int(1_073_741_824, atLeast(1_048_576), 'A segment is rolled before it outgrows this.'),
  ),
  'segment.index.bytes': topic(
    'log.index.size.max.bytes',
    int(10_485_760, atLeast(4), 'A segment is rolled when one of its indexes has this size.'),
  ),
  'segment.jitter.ms': topic(
    'log.roll.jitter.ms',
    long(
      0,
      atLeast(0),
      'Up to this much, chosen at random, is taken off segment.ms, so that partitions do not roll all at once.',
    ),
  ),
  'segment.ms': topic(
    'log.roll.ms',
    long(604_800_000, atLeast(1), 'A segment is rolled at this age even if it is not full.'),
  ),
  'unclean.leader.election.enable': topic(
    'unclean.leader.election.enable',
    ignored(
      ALONE,
      boolean(
        false,
        null,
        'Whether a replica that lags may become leader when no other is left, which loses records.',
      ),
    ),
  ),
} satisfies Readonly<Record<string, TopicSetting>>

/** Settings that Kafka accepts without documenting them; shown only where they are set. */
export const internalTopicSettings = {
  'internal.segment.bytes': topic(
    null,
    int(null, atLeast(0), 'Takes the place of segment.bytes, with any size: for tests.'),
  ),
} satisfies Readonly<Record<string, TopicSetting>>

export type TopicSettingName = keyof typeof topicSettings

/** What the broker has for settings that a topic does not set itself, as text, by the topic setting's name. */
export type TopicDefaults = Readonly<Partial<Record<TopicSettingName, string>>>

/** The settings that hold for one log. */
export type LogConfig = Omit<ValuesOf<typeof topicSettings>, 'cleanupPolicy'> & {
  readonly cleanupPolicy: { readonly compact: boolean; readonly delete: boolean }
}

const allTopicSettings: ReadonlyMap<string, TopicSetting> = new Map(
  Object.entries({ ...topicSettings, ...internalTopicSettings }),
)

export function topicSetting(name: string): TopicSetting | undefined {
  return allTopicSettings.get(name)
}

/** The settings that hold for a topic with these overrides. Throws ProtocolError INVALID_CONFIG as validation does. */
export function logConfigFor(
  defaults: TopicDefaults,
  overrides: Readonly<Record<string, string>>,
): LogConfig {
  const values: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(topicSettings)) {
    const text = overrides[name] ?? defaults[name as TopicSettingName]
    values[camelCase(name)] =
      text === undefined ? setting.defaultValue : parseTopicSetting(name, setting, text)
  }
  const policies = values['cleanupPolicy'] as readonly string[]
  values['cleanupPolicy'] = {
    compact: policies.includes('compact'),
    delete: policies.includes('delete'),
  }
  const segmentBytes = overrides['internal.segment.bytes']
  if (segmentBytes !== undefined) {
    const setting = internalTopicSettings['internal.segment.bytes']
    values['segmentBytes'] = parseTopicSetting('internal.segment.bytes', setting, segmentBytes)
  }
  // Built key by key above, which leaves a hash table behind; the copy has the fast shape that appends should read.
  return { ...values } as unknown as LogConfig
}

/**
 * Throws ProtocolError INVALID_CONFIG, with words for the person who sent them, unless these overrides may be stored.
 * `defaults` matter where two settings must fit together and only one of them is overridden.
 */
export function validateTopicConfigs(
  overrides: Readonly<Record<string, string | null>>,
  defaults: TopicDefaults = {},
): void {
  const unset = Object.keys(overrides).filter(name => overrides[name] === null)
  if (unset.length > 0) {
    throw new ProtocolError(
      'INVALID_CONFIG',
      `Null value not supported for topic configs: ${unset.join(',')}`,
    )
  }
  const given = overrides as Readonly<Record<string, string>>
  for (const name of Object.keys(given)) {
    if (topicSetting(name) === undefined) {
      throw new ProtocolError('INVALID_CONFIG', `Unknown topic config name: ${name}`)
    }
  }
  for (const [name, setting] of allTopicSettings) {
    const text = given[name]
    if (text !== undefined) parseTopicSetting(name, setting, text)
  }
  validateTogether(logConfigFor(defaults, given))
}

function validateTogether(config: LogConfig): void {
  const { minCompactionLagMs, maxCompactionLagMs, remoteStorageEnable } = config
  if (minCompactionLagMs > maxCompactionLagMs) {
    throw new ProtocolError(
      'INVALID_CONFIG',
      `conflict topic config setting min.compaction.lag.ms (${formatValue('LONG', minCompactionLagMs)}) > max.compaction.lag.ms (${formatValue('LONG', maxCompactionLagMs)})`,
    )
  }
  if (remoteStorageEnable) {
    throw new ProtocolError(
      'INVALID_CONFIG',
      'Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.',
    )
  }
}

function parseTopicSetting(name: string, setting: TopicSetting, text: string): SettingValue {
  try {
    return parseSetting(name, setting, text)
  } catch (error) {
    if (error instanceof InvalidSettingError) {
      throw new ProtocolError('INVALID_CONFIG', error.message)
    }
    throw error
  }
}

/** What holds for a topic that nobody configured, on a broker that nobody configured. */
export const defaultLogConfig: LogConfig = logConfigFor({}, {})

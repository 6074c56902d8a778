/**
 * The settings of logs that have an effect: the data directory, and the defaults of topic settings. The latter are made
 * from the table of topic settings, so that a range stands in one place; three of them come in several units.
 */
import { INT64_MAX } from '../../protocol/buffer.ts'
import { topicSettings } from '../../segment-store/config.ts'
import {
  atLeast,
  boolean,
  double,
  int,
  list,
  long,
  type Setting,
  type SettingValue,
  type Valid,
} from '../../segment-store/setting.ts'

/** The broker's setting behind a topic setting: the same but for its words. */
function defaultOf<T extends SettingValue>(
  name: string & keyof typeof topicSettings,
  setting: Setting<T>,
): Setting<T> {
  const { type, defaultValue, valid, ignored: because } = setting
  return {
    type,
    defaultValue,
    valid,
    doc: `The default of the topic setting ${name}. ${setting.doc}`,
    ignored: because,
  }
}

/** A time where 0 makes no sense and a negative one is "forever". */
const notZero: Valid = {
  text: '',
  fault: value =>
    value === 0 ? { why: 'must be unlimited (-1) or, greater than or equal to 1' } : null,
}

const t = topicSettings

export const logSettings = {
  'compression.gzip.level': defaultOf('compression.gzip.level', t['compression.gzip.level']),
  'compression.lz4.level': defaultOf('compression.lz4.level', t['compression.lz4.level']),
  'compression.type': defaultOf('compression.type', t['compression.type']),
  'compression.zstd.level': defaultOf('compression.zstd.level', t['compression.zstd.level']),
  'log.cleaner.backoff.ms': long(
    15_000,
    atLeast(0),
    'How long the cleaner waits when no log asks for compaction.',
  ),
  'log.cleaner.dedupe.buffer.size': long(
    134_217_728,
    null,
    'The most memory that a pass of compaction takes to remember keys, 24 bytes for each; what does not fit is left to the next pass.',
  ),
  'log.cleaner.enable': boolean(true, null, 'Whether logs are compacted at all.'),
  'log.cleaner.io.buffer.load.factor': double(
    0.9,
    null,
    'How full the table of keys may become: fuller remembers more, and is slower.',
  ),
  'log.cleaner.io.buffer.size': int(524_288, atLeast(0), 'How much compaction reads at a time.'),
  'log.cleaner.io.max.bytes.per.second': double(
    Number.MAX_VALUE,
    null,
    'The most bytes that compaction reads and writes in a second.',
  ),
  'log.cleaner.delete.retention.ms': defaultOf('delete.retention.ms', t['delete.retention.ms']),
  'log.cleaner.max.compaction.lag.ms': defaultOf(
    'max.compaction.lag.ms',
    t['max.compaction.lag.ms'],
  ),
  'log.cleaner.min.cleanable.ratio': defaultOf(
    'min.cleanable.dirty.ratio',
    t['min.cleanable.dirty.ratio'],
  ),
  'log.cleaner.min.compaction.lag.ms': defaultOf(
    'min.compaction.lag.ms',
    t['min.compaction.lag.ms'],
  ),
  'log.cleanup.policy': defaultOf('cleanup.policy', t['cleanup.policy']),
  'log.dir': list(['./ottla-data'], null, 'The data directory, unless log.dirs names some.'),
  'log.dir.free.bytes.min': long(
    67_108_864,
    atLeast(0),
    'Below so many free bytes on the disk of a data directory (at most a twentieth of it) producers are refused with KAFKA_STORAGE_ERROR, which clients retry; all else goes on. A quarter above it they are welcome again. 0 lets the disk fill up.',
  ),
  'log.dirs': list(
    null,
    null,
    'The data directories, usually one for each disk: a new partition goes where the fewest are. One that fails is offline until a restart, with its partitions; the first one holds the metadata, and the broker stops without it.',
  ),
  'log.flush.interval.messages': defaultOf('flush.messages', t['flush.messages']),
  'log.flush.interval.ms': long(
    null,
    atLeast(0),
    `The default of the topic setting flush.ms; not set: log.flush.scheduler.interval.ms. ${t['flush.ms'].doc}`,
  ),
  'log.flush.offset.checkpoint.interval.ms': int(
    60_000,
    atLeast(0),
    'How often recovery points, log start offsets and high watermarks are written to their checkpoint files.',
  ),
  'log.flush.scheduler.interval.ms': long(
    INT64_MAX,
    atLeast(0),
    'The default of log.flush.interval.ms.',
  ),
  'log.index.interval.bytes': defaultOf('index.interval.bytes', t['index.interval.bytes']),
  'log.index.size.max.bytes': defaultOf('segment.index.bytes', t['segment.index.bytes']),
  'log.message.timestamp.after.max.ms': defaultOf(
    'message.timestamp.after.max.ms',
    t['message.timestamp.after.max.ms'],
  ),
  'log.message.timestamp.before.max.ms': defaultOf(
    'message.timestamp.before.max.ms',
    t['message.timestamp.before.max.ms'],
  ),
  'log.message.timestamp.type': defaultOf('message.timestamp.type', t['message.timestamp.type']),
  'log.preallocate': defaultOf('preallocate', t.preallocate),
  'log.retention.bytes': defaultOf('retention.bytes', t['retention.bytes']),
  'log.retention.check.interval.ms': long(
    300_000,
    atLeast(1),
    'How often logs are looked at for segments that are past retention.',
  ),
  'log.retention.hours': int(
    168,
    notZero,
    'The default of the topic setting retention.ms, in hours.',
  ),
  'log.retention.minutes': int(
    null,
    notZero,
    'The same in minutes; goes before log.retention.hours.',
  ),
  'log.retention.ms': long(null, notZero, 'The same in milliseconds; goes before the other two.'),
  'log.roll.hours': int(
    168,
    atLeast(1),
    'The default of the topic setting segment.ms, in hours: a segment is rolled at this age even if it is not full.',
  ),
  'log.roll.jitter.hours': int(
    0,
    atLeast(0),
    'The default of the topic setting segment.jitter.ms, in hours.',
  ),
  'log.roll.jitter.ms': long(
    null,
    atLeast(0),
    'The same in milliseconds; goes before log.roll.jitter.hours.',
  ),
  'log.roll.ms': long(
    null,
    atLeast(1),
    'The default of the topic setting segment.ms, in milliseconds; goes before log.roll.hours.',
  ),
  'log.scrub.bytes.per.second': long(
    0,
    atLeast(0),
    'How fast stored logs are read in the background and checked for damage; 0: not at all. A setting of our own.',
  ),
  'log.segment.bytes': defaultOf('segment.bytes', t['segment.bytes']),
  'log.segment.delete.delay.ms': defaultOf('file.delete.delay.ms', t['file.delete.delay.ms']),
  'message.max.bytes': defaultOf('max.message.bytes', t['max.message.bytes']),
  'min.insync.replicas': defaultOf('min.insync.replicas', t['min.insync.replicas']),
  'unclean.leader.election.enable': defaultOf(
    'unclean.leader.election.enable',
    t['unclean.leader.election.enable'],
  ),
}

/**
 * The settings of groups of both kinds and of committed offsets that have an effect. Names, types and ranges are Kafka's, and
 * so are the defaults but for `group.initial.rebalance.delay.ms`, which is what Kafka's shipped properties say.
 * `group.drop.on.disconnect.ms` is ours.
 */
import {
  atLeast,
  int,
  list,
  long,
  oneOf,
  oneOfAnyCase,
  short,
  string,
} from '../../segment-store/setting.ts'

const INT32_MAX = 2_147_483_647

export const groupSettings = {
  'group.consumer.assignment.interval.ms': int(
    1000,
    atLeast(0),
    'The shortest time between two target assignments of a consumer group (KIP-848), unless it has a setting of its own.',
  ),
  'group.consumer.assignors': list(
    ['uniform', 'range'],
    oneOf('uniform', 'range'),
    'The server-side assignors that consumer groups (KIP-848) may choose; the first is for those that do not choose.',
  ),
  'group.consumer.heartbeat.interval.ms': int(
    5000,
    atLeast(1),
    'How often members of consumer groups (KIP-848) are told to send heartbeats.',
  ),
  'group.consumer.max.assignment.interval.ms': int(
    15_000,
    atLeast(0),
    'The longest consumer.assignment.interval.ms that a group may have of its own.',
  ),
  'group.consumer.max.heartbeat.interval.ms': int(
    15_000,
    atLeast(1),
    'The longest consumer.heartbeat.interval.ms that a group may have of its own.',
  ),
  'group.consumer.max.session.timeout.ms': int(
    60_000,
    atLeast(1),
    'The longest consumer.session.timeout.ms that a group may have of its own.',
  ),
  'group.consumer.max.size': int(
    INT32_MAX,
    atLeast(1),
    'The most members that a consumer group (KIP-848) may have.',
  ),
  'group.consumer.migration.policy': string(
    'bidirectional',
    oneOfAnyCase('DISABLED', 'DOWNGRADE', 'UPGRADE', 'BIDIRECTIONAL'),
    'Whether groups with members may change over: from the classic protocol to the consumer protocol when the first member of it comes (upgrade), back when the last one goes (downgrade), both (bidirectional) or neither (disabled).',
  ),
  'group.consumer.min.assignment.interval.ms': int(
    0,
    atLeast(0),
    'The shortest consumer.assignment.interval.ms that a group may have of its own.',
  ),
  'group.consumer.min.heartbeat.interval.ms': int(
    5000,
    atLeast(1),
    'The shortest consumer.heartbeat.interval.ms that a group may have of its own.',
  ),
  'group.consumer.min.session.timeout.ms': int(
    45_000,
    atLeast(1),
    'The shortest consumer.session.timeout.ms that a group may have of its own.',
  ),
  'group.consumer.session.timeout.ms': int(
    45_000,
    atLeast(1),
    'A member of a consumer group (KIP-848) that is not heard of for this long is out.',
  ),
  'group.drop.on.disconnect.ms': int(
    -1,
    atLeast(-1),
    'A member whose connection closed without LeaveGroup is dropped after this long unless it comes back; -1 waits for its session timeout, as Kafka does.',
  ),
  'group.initial.rebalance.delay.ms': int(
    0,
    null,
    'How long an empty classic group waits for more members before its first generation begins.',
  ),
  'group.max.session.timeout.ms': int(
    1_800_000,
    null,
    'The longest session timeout that a member of a classic group may ask for.',
  ),
  'group.max.size': int(INT32_MAX, atLeast(1), 'The most members that a classic group may have.'),
  'group.min.session.timeout.ms': int(
    6000,
    null,
    'The shortest session timeout that a member of a classic group may ask for.',
  ),
  'offset.metadata.max.bytes': int(
    4096,
    null,
    'The longest text that may be committed with an offset.',
  ),
  'offsets.commit.timeout.ms': int(
    5000,
    atLeast(1),
    'How long a change of a group may wait until the offsets topic has acknowledged it.',
  ),
  'offsets.load.buffer.size': int(
    5_242_880,
    atLeast(1),
    'How much of the offsets topic is read at a time when groups are loaded.',
  ),
  'offsets.retention.check.interval.ms': long(
    600_000,
    atLeast(1),
    'How often it is looked for committed offsets that have expired.',
  ),
  'offsets.retention.minutes': int(
    10_080,
    atLeast(1),
    'How long committed offsets are kept once nobody in the group reads the topic (KIP-211).',
  ),
  'offsets.topic.num.partitions': int(
    50,
    atLeast(1),
    'How many partitions the offsets topic gets when it is created; not to be changed afterwards.',
  ),
  'offsets.topic.replication.factor': short(
    3,
    atLeast(1),
    'How many replicas the offsets topic gets when it is created. A broker without a cluster makes 1 unless this is set.',
  ),
  'offsets.topic.segment.bytes': int(
    104_857_600,
    atLeast(1),
    'The segment size of the offsets topic when it is created.',
  ),
}

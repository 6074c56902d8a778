/**
 * The command lines that `kafka-tools.test.ts` gives to Kafka and to Ottla, in this order, on brokers that start empty.
 * A later command may stand on what an earlier one did. `--bootstrap-server` is put in front of the arguments.
 */

import type { ToolName } from './harness-tools.ts'
import {
  API_VERSIONS,
  BROKER_DEFAULTS,
  CREATED_AT_ONCE,
  DELETED_NEWEST,
  type Difference,
  FEATURES,
  NO_KEY,
  NOT_STORED,
  TOO_LARGE,
  UNKNOWN_SETTING,
} from './kafka-tools-differences.ts'

export interface Command {
  readonly tool: ToolName
  readonly args: readonly string[]
  readonly stdin?: string
  /** Files that the arguments name as `@name`, with their text. */
  readonly files?: Readonly<Record<string, string>>
  /** Where Ottla's answer must differ from Kafka's. */
  readonly differs?: Difference
  /** Parts that say how fast or how full something was: both sides have them blanked. */
  readonly blank?: RegExp
}

const command = (
  tool: ToolName,
  line: string,
  more: Omit<Command, 'tool' | 'args'> = {},
): Command => ({ tool, args: line === '' ? [] : line.split(' '), ...more })

const topics = (line: string, more = {}): Command => command('topics', line, more)
const configs = (line: string, more = {}): Command => command('configs', line, more)
const groupConfigs = (line: string): Command =>
  configs(`--entity-type groups --entity-name readers ${line}`)
const offsets = (line: string, more = {}): Command => command('get-offsets', line, more)
const produce = (line: string, stdin: string, more = {}): Command =>
  command('console-producer', line, { stdin, ...more })
const consume = (line: string, more = {}): Command => command('console-consumer', line, more)
// What the tools repeat until they give up; how often, and whether they give up waiting or asking, is chance.
const GAVE_UP =
  /Call\(callName=.*? attempt\(s\)|Timed out waiting for a node assignment. Call: \w+\(api=\w+\)/g
const SOON = 'default.api.timeout.ms=2500\nrequest.timeout.ms=2000\n'
const deleteRecords = (text: string): Command =>
  command('delete-records', '--command-config @soon.properties --offset-json-file @offsets.json', {
    files: { 'offsets.json': text, 'soon.properties': SOON },
    blank: GAVE_UP,
  })

const TOPICS = [
  topics('--list'),
  topics('--describe'),
  topics('--create --topic one'),
  topics('--create --topic two --partitions 3 --replication-factor 1'),
  topics(
    '--create --topic set --config retention.ms=3600000 --config cleanup.policy=compact,delete',
  ),
  topics('--create --topic placed --replica-assignment 1,1'),
  topics('--create --topic a.b'),
  topics('--create --topic a_b'),
  topics('--create --topic one'),
  topics('--create --topic one --if-not-exists'),
  topics('--create --topic bad --config no.such.setting=1'),
  topics('--create --topic bad --config retention.ms=soon'),
  topics('--create --topic bad --config cleanup.policy=shred'),
  topics('--create --topic bad --config segment.bytes=1'),
  topics('--create --topic bad --config min.insync.replicas=0'),
  topics('--create --topic bad --config compression.type=brotli'),
  topics('--create --topic bad --config max.message.bytes=-1'),
  topics('--create --topic bad --config message.timestamp.type=Whenever'),
  topics('--create --topic bad --partitions 0'),
  topics('--create --topic bad --partitions -3'),
  topics('--create --topic bad --replication-factor 2'),
  topics('--create --topic bad --replication-factor 0'),
  topics('--create --topic bad --replica-assignment 1:1'),
  topics('--create --topic bad --replica-assignment 7,1'),
  topics('--create --topic bad!name'),
  topics('--create --topic ..'),
  topics(`--create --topic ${'n'.repeat(250)}`),
  topics('--create --topic __consumer_offsets_like'),
  topics('--list'),
  topics('--list --topic t.*'),
  topics('--list --exclude-internal'),
  topics('--describe'),
  topics('--describe --topic two'),
  topics('--describe --topic set'),
  topics('--describe --topic one|two'),
  topics('--describe --topic nowhere'),
  topics('--describe --topic nowhere --if-exists'),
  topics('--describe --topic-id AAAAAAAAAAAAAAAAAAAAAQ'),
  topics('--describe --topics-with-overrides'),
  topics('--describe --under-replicated-partitions'),
  topics('--describe --unavailable-partitions'),
  topics('--describe --under-min-isr-partitions'),
  topics('--describe --at-min-isr-partitions'),
  topics('--alter --topic one --partitions 2'),
  topics('--alter --topic one --partitions 2'),
  topics('--alter --topic one --partitions 1'),
  topics('--alter --topic two --partitions 5 --replica-assignment 1,1,1,1,1'),
  topics('--alter --topic two --partitions 6 --replica-assignment 1,1,1,1,1,9'),
  topics('--alter --topic nowhere --partitions 2'),
  topics('--alter --topic nowhere --partitions 2 --if-exists'),
  topics('--describe --topic two'),
  topics('--delete --topic a_b'),
  topics('--delete --topic nowhere'),
  topics('--delete --topic nowhere --if-exists'),
  topics('--delete --topic a.b|placed'),
  topics('--describe --topic placed'),
  topics('--list'),
]

const entity = (type: string, name: string, line: string, more = {}): Command =>
  configs(`--entity-type ${type} --entity-name ${name} ${line}`, more)

const CONFIGS = [
  entity('topics', 'one', '--describe'),
  entity('topics', 'one', '--describe --all'),
  entity('topics', 'set', '--describe'),
  entity('topics', 'one', '--alter --add-config retention.ms=1000,segment.bytes=2097152'),
  entity('topics', 'one', '--alter --add-config cleanup.policy=[compact,delete]'),
  entity('topics', 'one', '--describe'),
  entity('topics', 'one', '--describe --all'),
  entity('topics', 'one', '--alter --delete-config retention.ms --add-config flush.messages=7'),
  entity('topics', 'one', '--alter --delete-config retention.ms'),
  entity('topics', 'one', '--alter --delete-config no.such.setting'),
  entity('topics', 'one', '--alter --add-config no.such.setting=1'),
  entity('topics', 'one', '--alter --add-config retention.ms=soon'),
  entity('topics', 'one', '--alter --add-config segment.bytes=1'),
  entity('topics', 'one', '--alter --add-config cleanup.policy=shred'),
  entity('topics', 'one', '--alter --add-config compression.type=zstd,compression.zstd.level=99'),
  entity('topics', 'one', '--alter --add-config-file @more.properties', {
    files: { 'more.properties': 'compression.type=lz4\nmax.message.bytes=200000\n' },
  }),
  entity('topics', 'one', '--describe'),
  entity('topics', 'nowhere', '--describe'),
  entity('topics', 'nowhere', '--alter --add-config retention.ms=1000'),
  configs('--entity-type topics --describe'),
  entity('topics', 'one', '--alter --delete-config segment.bytes,cleanup.policy,compression.type'),
  entity('topics', 'one', '--alter --delete-config max.message.bytes,flush.messages'),
  entity('topics', 'one', '--describe'),
  entity('brokers', '1', '--describe'),
  entity('brokers', '1', '--describe --all', { differs: BROKER_DEFAULTS }),
  entity('brokers', '1', '--alter --add-config log.retention.ms=7200000,log.segment.bytes=3145728'),
  entity('brokers', '1', '--describe'),
  entity('topics', 'one', '--describe --all'),
  entity('brokers', '1', '--alter --add-config log.cleaner.threads=2'),
  entity('brokers', '1', '--alter --add-config log.dirs=/elsewhere'),
  entity('brokers', '1', '--alter --add-config node.id=2'),
  entity('brokers', '1', '--alter --add-config no.such.setting=1', { differs: UNKNOWN_SETTING }),
  entity('brokers', '1', '--alter --add-config log.retention.ms=soon'),
  entity('brokers', '1', '--alter --delete-config log.retention.ms,log.segment.bytes'),
  entity('brokers', '1', '--alter --delete-config log.cleaner.threads'),
  entity('brokers', '1', '--describe', { differs: NOT_STORED }),
  configs('--entity-type brokers --entity-default --describe'),
  configs('--entity-type brokers --entity-default --alter --add-config log.retention.ms=9000000'),
  configs('--entity-type brokers --entity-default --describe'),
  configs('--entity-type brokers --describe', { differs: NOT_STORED }),
  entity('topics', 'two', '--describe --all'),
  configs('--entity-type brokers --entity-default --alter --delete-config log.retention.ms'),
  configs('--entity-type clients --describe'),
  configs('--entity-type users --describe'),
  configs('--entity-type ips --describe'),
  configs('--entity-type client-metrics --describe'),
  configs('--entity-type groups --describe'),
  groupConfigs('--describe --all'),
  groupConfigs('--alter --add-config consumer.session.timeout.ms=50000'),
  groupConfigs(
    '--alter --add-config consumer.heartbeat.interval.ms=6000,share.isolation.level=read_committed',
  ),
  configs('--entity-type groups --describe'),
  groupConfigs('--describe'),
  configs('--group readers --describe --all'),
  groupConfigs('--alter --add-config consumer.session.timeout.ms=1'),
  groupConfigs('--alter --add-config consumer.heartbeat.interval.ms=soon'),
  groupConfigs('--alter --add-config nope=1'),
  groupConfigs('--alter --delete-config consumer.session.timeout.ms,share.isolation.level'),
  groupConfigs('--alter --delete-config nope'),
  groupConfigs('--describe'),
  configs('--entity-type nonsense --describe'),
]

const HEADED = 'parse.headers=true --reader-property parse.key=true'
const ALL = ['timestamp', 'key', 'headers', 'offset', 'partition', 'value']
  .map(name => `--formatter-property print.${name}=true`)
  .join(' ')
const FIRST = '--partition 0 --offset earliest'

const RECORDS = [
  topics('--create --topic lines'),
  produce('--topic lines', 'first\nsecond\n\nfourth\n'),
  produce(
    '--topic lines --reader-property parse.key=true --reader-property key.separator=:',
    'k:v\n',
  ),
  produce(
    `--topic lines --reader-property ${HEADED} --reader-property null.marker=NIL`,
    'h1:v1,h2:NIL\tkey\tvalue\nNIL\tNIL\tNIL\nh:\t\t\n',
  ),
  produce('--topic lines --reader-property parse.key=true', 'no separator\n'),
  produce('--topic lines --compression-codec gzip --request-required-acks 1', 'gzip\n'),
  produce('--topic lines --compression-codec snappy --request-required-acks 0', 'snappy\n'),
  produce('--topic lines --compression-codec lz4 --sync', 'lz4\n'),
  produce('--topic lines --compression-codec zstd --batch-size 1', 'zstd\nand more\n'),
  consume(`--topic lines ${FIRST} --max-messages 12`),
  consume(`--topic lines ${FIRST} --max-messages 12 ${ALL}`),
  consume(`--topic lines ${FIRST} --max-messages 12 ${ALL} --isolation-level read_committed`),
  consume(`--topic lines --partition 0 --offset 3 --max-messages 2 ${ALL}`),
  consume('--topic lines --partition 0 --offset latest --timeout-ms 700'),
  consume('--topic lines --partition 0 --offset 999 --timeout-ms 1500'),
  consume('--topic lines --partition 5 --offset earliest --timeout-ms 1500'),
  consume('--topic lines --partition 0 --offset nowhere'),
  consume(`--topic lines ${FIRST} --max-messages 2 --formatter-property print.key=true`),
  consume(`--topic set ${FIRST} --timeout-ms 700`),
  produce('--topic made', 'by producing\n', { differs: CREATED_AT_ONCE }),
  consume(`--topic made ${FIRST} --max-messages 1`),
  topics('--describe --topic made'),
  topics('--create --topic tiny --config max.message.bytes=200'),
  // One record at a time: a batch of two that is too large sends Kafka's producer round in circles.
  produce('--topic tiny', `${'x'.repeat(1000)}\n`, { differs: TOO_LARGE }),
  produce('--topic tiny', 'short\n'),
  consume(`--topic tiny ${FIRST} --max-messages 1`),
  topics('--create --topic stamped --config message.timestamp.type=LogAppendTime'),
  produce('--topic stamped', 'now\n'),
  consume(`--topic stamped ${FIRST} --max-messages 1 ${ALL}`),
  topics('--create --topic keyed --config cleanup.policy=compact'),
  produce('--topic keyed', 'without a key\n', { differs: NO_KEY }),
  produce('--topic two --reader-property parse.key=true', 'a key\tpicks the partition\n'),
  topics('--create --topic load'),
  command('producer-perf', '--topic load --num-records 2000 --record-size 100 --throughput -1', {
    blank: /records sent, .*/g,
  }),
  command('producer-perf', '--topic load --num-records 500 --record-size 10 --throughput 1000', {
    blank: /records sent, .*/g,
  }),
]

const OFFSETS = [
  offsets(''),
  ...['earliest', 'latest', 'max-timestamp', 'earliest-local', 'latest-tiered', 'latest-local'].map(
    time => offsets(`--topic lines --time ${time}`),
  ),
  ...['-1', '-2', '-3', '-4', '-5', '-6', '-7', '0', '1000000000000', '99999999999999'].map(time =>
    offsets(`--topic lines --time ${time}`),
  ),
  offsets('--topic lines --time yesterday'),
  offsets('--topic two --time earliest'),
  offsets('--topic two --partitions 0,4 --time earliest'),
  offsets('--topic two --partitions 9'),
  offsets('--topic nowhere'),
  offsets('--topic t.* --time earliest'),
  offsets('--topic-partitions one:0,set:0-1'),
  offsets('--exclude-internal-topics --topic made'),
]

const upTo = (topic: string, partition: number, offset: number): string =>
  JSON.stringify({ version: 1, partitions: [{ topic, partition, offset }] })

const DELETE_RECORDS = [
  deleteRecords(upTo('lines', 0, 3)),
  offsets('--topic lines --time earliest'),
  consume(`--topic lines ${FIRST} --max-messages 1 ${ALL}`),
  consume(`--topic lines --partition 0 --offset 1 --timeout-ms 1500 ${ALL}`),
  deleteRecords(upTo('lines', 0, 2)),
  deleteRecords(upTo('lines', 0, 999_999)),
  deleteRecords(upTo('lines', 0, -5)),
  deleteRecords(upTo('lines', 7, 1)),
  deleteRecords(upTo('nowhere', 0, 1)),
  deleteRecords(upTo('keyed', 0, 0)),
  deleteRecords(upTo('lines', 0, -1)),
  deleteRecords('{"version": 1}'),
  offsets('--topic lines --time earliest'),
  offsets('--topic lines --time max-timestamp', { differs: DELETED_NEWEST }),
  offsets('--topic lines --time 0'),
]

const elect = (type: string, topic: string, partition: number): Command =>
  command('leader-election', `--election-type ${type} --topic ${topic} --partition ${partition}`)
const SIZES = /"size":[1-9]\d*/g
const CLUSTER = [
  command('log-dirs', '--describe', { blank: SIZES }),
  command('log-dirs', '--describe --topic-list lines,two', { blank: SIZES }),
  command('log-dirs', '--describe --broker-list 1 --topic-list nowhere', { blank: SIZES }),
  command('log-dirs', '--describe --broker-list 1,2'),
  command('features', 'describe', { differs: FEATURES, blank: /Epoch: \d+/g }),
  command('api-versions', '', { differs: API_VERSIONS }),
  command('cluster', 'cluster-id'),
  command('cluster', 'list-endpoints'),
  command('cluster', 'list-endpoints --include-fenced-brokers'),
  command('groups', '--list'),
  command('acls', '--list'),
  command('reassign', '--list'),
  elect('unclean', 'two', 0),
  elect('preferred', 'two', 2),
  elect('unclean', 'two', 9),
  elect('preferred', 'nowhere', 0),
  command('leader-election', '--election-type unclean --all-topic-partitions'),
  command('transactions', 'list'),
  command('transactions', 'describe-producers --topic keyed --partition 0'),
  command('transactions', 'describe-producers --topic lines --partition 0', { blank: /^\d+ +/gm }),
  command(
    'transactions',
    '--command-config @soon.properties describe-producers --topic nowhere --partition 0',
    { files: { 'soon.properties': SOON }, blank: GAVE_UP },
  ),
]

const DELETION = [
  topics('--delete --topic lines'),
  topics('--delete --topic .*'),
  topics('--list'),
  topics('--create --topic lines --partitions 2'),
  offsets('--topic lines'),
  topics('--describe --topic lines'),
]

const groups = (line: string, more = {}): Command => command('groups', line, more)
const READERS = '--group readers'
const RESET = `--reset-offsets ${READERS} --topic grouped`
// Where the columns end depends on the width of the port.
const COORDINATOR = /\S+:<port> +\(1\) +|COORDINATOR \(ID\) +/g
const GROUPS = [
  topics('--create --topic grouped'),
  produce('--topic grouped', 'a\nb\nc\n'),
  groups('--describe --group nobody'),
  groups('--describe --group nobody --state'),
  consume(`--topic grouped ${READERS} --from-beginning --max-messages 2`),
  groups('--list'),
  groups('--list --state'),
  groups('--list --state stable'),
  groups('--list --type'),
  groups(`--describe ${READERS}`),
  groups(`--describe ${READERS} --verbose`),
  groups(`--describe ${READERS} --members`),
  groups(`--describe ${READERS} --state`, { blank: COORDINATOR }),
  groups('--describe --all-groups'),
  groups(`${RESET} --to-earliest --dry-run`),
  groups(`${RESET} --to-latest --execute`),
  groups(`${RESET} --shift-by -2 --execute`),
  groups(`${RESET} --to-offset 9 --execute`),
  groups(`${RESET} --to-datetime 2020-01-01T00:00:00.000 --execute`),
  groups(`${RESET} --by-duration PT0S --export --dry-run`),
  groups(`--reset-offsets ${READERS} --topic nowhere --to-latest --execute`),
  groups(`--describe ${READERS} --offsets`),
  groups(`--delete-offsets ${READERS} --topic grouped`),
  groups(`--delete-offsets ${READERS} --topic nowhere`),
  groups('--delete-offsets --group nobody --topic grouped'),
  groups(`--describe ${READERS}`),
  groups(`--delete ${READERS}`),
  groups(`--delete ${READERS}`),
  groups('--list'),
]

export const COMMANDS: readonly Command[] = [
  ...TOPICS,
  ...CONFIGS,
  ...RECORDS,
  ...OFFSETS,
  ...DELETE_RECORDS,
  ...CLUSTER,
  ...DELETION,
  ...GROUPS,
]

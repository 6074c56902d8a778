/**
 * Where Ottla must not say what Kafka says, yet: each with its reason and with what becomes of Kafka's text. Nothing is
 * left out of the comparison; an API or a feature that starts to be served makes its test fail here first.
 */

export interface Difference {
  readonly because: string
  readonly expected: (kafka: string) => string
}

/** APIs of Kafka 4.3.1 that are not advertised, by the work that will bring them. */
const NOT_SERVED: { readonly [reason: string]: readonly string[] } = {
  'transactions and their coordinator': [
    'AddPartitionsToTxn',
    'AddOffsetsToTxn',
    'EndTxn',
    'WriteTxnMarkers',
    'TxnOffsetCommit',
    'DescribeTransactions',
  ],
  'users, passwords, rights and quotas: what writes them': [
    'SaslHandshake',
    'SaslAuthenticate',
    'CreateAcls',
    'DeleteAcls',
    'CreateDelegationToken',
    'RenewDelegationToken',
    'ExpireDelegationToken',
    'DescribeDelegationToken',
    'AlterClientQuotas',
    'AlterUserScramCredentials',
  ],
  'several brokers and several directories': [
    'AlterReplicaLogDirs',
    'AlterPartitionReassignments',
    'UpdateFeatures',
    'UnregisterBroker',
  ],
  'a KRaft quorum, which we do not have': ['DescribeQuorum', 'AddRaftVoter', 'RemoveRaftVoter'],
  'share groups': [
    'ShareGroupHeartbeat',
    'ShareGroupDescribe',
    'ShareFetch',
    'ShareAcknowledge',
    'InitializeShareGroupState',
    'ReadShareGroupState',
    'WriteShareGroupState',
    'DeleteShareGroupState',
    'ReadShareGroupStateSummary',
    'DescribeShareGroupOffsets',
    'AlterShareGroupOffsets',
    'DeleteShareGroupOffsets',
  ],
  'streams groups': ['StreamsGroupHeartbeat', 'StreamsGroupDescribe'],
}

const notServed = Object.values(NOT_SERVED).flat()

export const API_VERSIONS: Difference = {
  because: `not served yet: ${Object.keys(NOT_SERVED).join('; ')}`,
  expected: kafka =>
    kafka.replace(/^(\t)(\w+)(\(\d+\): )[^\n]*?(,?)$/gm, (line, tab, name, key, comma) =>
      notServed.includes(name) ? `${tab}${name}${key}UNSUPPORTED${comma}` : line,
    ),
}

/** Features that come with the work that makes them true: a client that sees one uses it. */
const NOT_TRUE_YET = [
  'eligible.leader.replicas.version',
  'share.version',
  'streams.version',
  'transaction.version',
]

export const FEATURES: Difference = {
  because: `not true yet: ${NOT_TRUE_YET.join(', ')}; no KRaft quorum whose version could rise`,
  expected: kafka =>
    kafka
      .split('\n')
      .filter(line => !NOT_TRUE_YET.some(name => line.startsWith(`Feature: ${name}`)))
      .join('\n')
      .replace(/(kraft\.version .*SupportedMaxVersion: )1/, '$10'),
}

/** A line of `configs --describe`, as Kafka prints it and as we do. */
const OWN_DEFAULTS: readonly (readonly [kafka: string, ottla: string])[] = [
  [
    'DEFAULT_CONFIG:listeners=PLAINTEXT://:9092}',
    'DEFAULT_CONFIG:listeners=PLAINTEXT://localhost:9092}',
  ],
  [
    'log.dir=/tmp/kafka-logs sensitive=false synonyms={DEFAULT_CONFIG:log.dir=/tmp/kafka-logs}',
    'log.dir=./ottla-data sensitive=false synonyms={DEFAULT_CONFIG:log.dir=./ottla-data}',
  ],
  [
    '{STATIC_BROKER_CONFIG:node.id=1}',
    '{STATIC_BROKER_CONFIG:node.id=1, DEFAULT_CONFIG:node.id=1}',
  ],
  [
    '{STATIC_BROKER_CONFIG:process.roles=broker,controller}',
    '{STATIC_BROKER_CONFIG:process.roles=broker,controller, DEFAULT_CONFIG:process.roles=broker}',
  ],
  [
    'queued.max.request.bytes=-1 sensitive=false synonyms={DEFAULT_CONFIG:queued.max.request.bytes=-1}',
    'queued.max.request.bytes=67108864 sensitive=false synonyms={DEFAULT_CONFIG:queued.max.request.bytes=67108864}',
  ],
  [
    'DEFAULT_CONFIG:group.initial.rebalance.delay.ms=3000}',
    'DEFAULT_CONFIG:group.initial.rebalance.delay.ms=0}',
  ],
  [
    '  group.initial.rebalance.delay.ms=',
    '  group.drop.on.disconnect.ms=-1 sensitive=false synonyms={DEFAULT_CONFIG:group.drop.on.disconnect.ms=-1}\n  group.initial.rebalance.delay.ms=',
  ],
  [
    '  log.dirs=',
    '  log.dir.free.bytes.min=67108864 sensitive=false synonyms={DEFAULT_CONFIG:log.dir.free.bytes.min=67108864}\n  log.dirs=',
  ],
  [
    '  log.segment.bytes=',
    '  log.scrub.bytes.per.second=0 sensitive=false synonyms={DEFAULT_CONFIG:log.scrub.bytes.per.second=0}\n  log.segment.bytes=',
  ],
  [
    '  metrics.num.samples=',
    '  metrics.listener= sensitive=false synonyms={STATIC_BROKER_CONFIG:metrics.listener=, DEFAULT_CONFIG:metrics.listener=127.0.0.1:9464}\n  metrics.num.samples=',
  ],
]

export const BROKER_DEFAULTS: Difference = {
  because: 'our own defaults, so that a broker starts without a file, and our own settings',
  expected: kafka => OWN_DEFAULTS.reduce((text, [from, to]) => text.replace(from, to), kafka),
}

export const CREATED_AT_ONCE: Difference = {
  because: 'creating a topic takes no time here, so no client is told that it does not exist yet',
  expected: kafka => kafka.replace(/^WARN NetworkClient .*=UNKNOWN_TOPIC_OR_PARTITION\}\n/gm, ''),
}

export const UNKNOWN_SETTING: Difference = {
  because:
    'Kafka stores a setting that it does not know; a mistyped name is refused here, with words',
  expected: () => {
    const args =
      '--bootstrap-server 127.0.0.1:<port> --entity-type brokers --entity-name 1 --alter --add-config no.such.setting=1'
    const error =
      'org.apache.kafka.common.errors.InvalidConfigurationException: Unknown config name: no.such.setting'
    return [
      'exit 1\n--- stdout\n\n--- stderr',
      `Error while executing config command with args '${args}'`,
      `java.util.concurrent.ExecutionException: ${error}`,
      `Caused by: ${error}\n`,
    ].join('\n')
  },
}

export const NOT_STORED: Difference = {
  because: UNKNOWN_SETTING.because,
  expected: kafka => kafka.replace(/^ {2}no\.such\.setting=.*\n/m, ''),
}

export const TOO_LARGE: Difference = {
  because: 'Kafka sends no words with this error, and its client has some without names or numbers',
  expected: kafka =>
    kafka.replace(
      /(RecordTooLargeException: ).*/,
      '$1tiny-0: batch of 1070 bytes; max.message.bytes is 200',
    ),
}

export const NO_KEY: Difference = {
  because: 'our own words for the same facts',
  expected: kafka =>
    kafka.replace(
      /(InvalidRecordException: ).*/,
      '$1keyed-0: record 0: no key, and the topic is compacted',
    ),
}

export const DELETED_NEWEST: Difference = {
  because: 'Kafka names the newest record although DeleteRecords has deleted it; here it is gone',
  expected: kafka => kafka.replace('lines:0:12\n', ''),
}

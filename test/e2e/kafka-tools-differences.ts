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
  'consumer groups and their coordinator': [
    'OffsetCommit',
    'OffsetFetch',
    'JoinGroup',
    'Heartbeat',
    'LeaveGroup',
    'SyncGroup',
    'DescribeGroups',
    'DeleteGroups',
    'OffsetDelete',
    'ConsumerGroupHeartbeat',
    'ConsumerGroupDescribe',
  ],
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
    'ElectLeaders',
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
  'group.version',
  'share.version',
  'streams.version',
  'transaction.version',
]

export const FEATURES: Difference = {
  because: `not true yet: ${NOT_TRUE_YET.join(', ')}`,
  expected: kafka =>
    kafka
      .split('\n')
      .filter(line => !NOT_TRUE_YET.some(name => line.startsWith(`Feature: ${name}`)))
      .join('\n'),
}

export const CREATED_AT_ONCE: Difference = {
  because: 'creating a topic takes no time here, so no client is told that it does not exist yet',
  expected: kafka => kafka.replace(/^WARN NetworkClient .*=UNKNOWN_TOPIC_OR_PARTITION\}\n/gm, ''),
}

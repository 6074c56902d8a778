/**
 * Kafka's error codes (4.3.1): name, number, whether repeating the request may help, and whether a client should ask
 * for metadata first. Numbers never change once given.
 *
 * `ProtocolError` is how the rooms behind the handlers report an expected failure; each handler turns it into an error
 * code in exactly one place.
 */

interface ErrorRow {
  readonly code: number
  readonly retriable: boolean
  readonly refreshMetadata: boolean
}

const row = (code: number, ...flags: readonly ('retriable' | 'refresh')[]): ErrorRow => ({
  code,
  retriable: flags.includes('retriable'),
  refreshMetadata: flags.includes('refresh'),
})

export const errors = {
  UNKNOWN_SERVER_ERROR: row(-1),
  NONE: row(0),
  OFFSET_OUT_OF_RANGE: row(1),
  CORRUPT_MESSAGE: row(2, 'retriable'),
  UNKNOWN_TOPIC_OR_PARTITION: row(3, 'retriable', 'refresh'),
  INVALID_FETCH_SIZE: row(4),
  LEADER_NOT_AVAILABLE: row(5, 'retriable', 'refresh'),
  NOT_LEADER_OR_FOLLOWER: row(6, 'retriable', 'refresh'),
  REQUEST_TIMED_OUT: row(7, 'retriable'),
  BROKER_NOT_AVAILABLE: row(8),
  REPLICA_NOT_AVAILABLE: row(9, 'retriable', 'refresh'),
  MESSAGE_TOO_LARGE: row(10),
  STALE_CONTROLLER_EPOCH: row(11),
  OFFSET_METADATA_TOO_LARGE: row(12),
  NETWORK_EXCEPTION: row(13, 'retriable', 'refresh'),
  COORDINATOR_LOAD_IN_PROGRESS: row(14, 'retriable'),
  COORDINATOR_NOT_AVAILABLE: row(15, 'retriable'),
  NOT_COORDINATOR: row(16, 'retriable'),
  INVALID_TOPIC_EXCEPTION: row(17),
  RECORD_LIST_TOO_LARGE: row(18),
  NOT_ENOUGH_REPLICAS: row(19, 'retriable'),
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: row(20, 'retriable'),
  INVALID_REQUIRED_ACKS: row(21),
  ILLEGAL_GENERATION: row(22),
  INCONSISTENT_GROUP_PROTOCOL: row(23),
  INVALID_GROUP_ID: row(24),
  UNKNOWN_MEMBER_ID: row(25),
  INVALID_SESSION_TIMEOUT: row(26),
  REBALANCE_IN_PROGRESS: row(27),
  INVALID_COMMIT_OFFSET_SIZE: row(28),
  TOPIC_AUTHORIZATION_FAILED: row(29),
  GROUP_AUTHORIZATION_FAILED: row(30),
  CLUSTER_AUTHORIZATION_FAILED: row(31),
  INVALID_TIMESTAMP: row(32),
  UNSUPPORTED_SASL_MECHANISM: row(33),
  ILLEGAL_SASL_STATE: row(34),
  UNSUPPORTED_VERSION: row(35),
  TOPIC_ALREADY_EXISTS: row(36),
  INVALID_PARTITIONS: row(37),
  INVALID_REPLICATION_FACTOR: row(38),
  INVALID_REPLICA_ASSIGNMENT: row(39),
  INVALID_CONFIG: row(40),
  NOT_CONTROLLER: row(41, 'retriable'),
  INVALID_REQUEST: row(42),
  UNSUPPORTED_FOR_MESSAGE_FORMAT: row(43),
  POLICY_VIOLATION: row(44),
  OUT_OF_ORDER_SEQUENCE_NUMBER: row(45),
  DUPLICATE_SEQUENCE_NUMBER: row(46),
  INVALID_PRODUCER_EPOCH: row(47),
  INVALID_TXN_STATE: row(48),
  INVALID_PRODUCER_ID_MAPPING: row(49),
  INVALID_TRANSACTION_TIMEOUT: row(50),
  CONCURRENT_TRANSACTIONS: row(51, 'retriable'),
  TRANSACTION_COORDINATOR_FENCED: row(52),
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: row(53),
  SECURITY_DISABLED: row(54),
  OPERATION_NOT_ATTEMPTED: row(55),
  KAFKA_STORAGE_ERROR: row(56, 'retriable', 'refresh'),
  LOG_DIR_NOT_FOUND: row(57),
  SASL_AUTHENTICATION_FAILED: row(58),
  UNKNOWN_PRODUCER_ID: row(59),
  REASSIGNMENT_IN_PROGRESS: row(60),
  DELEGATION_TOKEN_AUTH_DISABLED: row(61),
  DELEGATION_TOKEN_NOT_FOUND: row(62),
  DELEGATION_TOKEN_OWNER_MISMATCH: row(63),
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: row(64),
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: row(65),
  DELEGATION_TOKEN_EXPIRED: row(66),
  INVALID_PRINCIPAL_TYPE: row(67),
  NON_EMPTY_GROUP: row(68),
  GROUP_ID_NOT_FOUND: row(69),
  FETCH_SESSION_ID_NOT_FOUND: row(70, 'retriable'),
  INVALID_FETCH_SESSION_EPOCH: row(71, 'retriable'),
  LISTENER_NOT_FOUND: row(72, 'retriable', 'refresh'),
  TOPIC_DELETION_DISABLED: row(73),
  FENCED_LEADER_EPOCH: row(74, 'retriable', 'refresh'),
  UNKNOWN_LEADER_EPOCH: row(75, 'retriable'),
  UNSUPPORTED_COMPRESSION_TYPE: row(76),
  STALE_BROKER_EPOCH: row(77),
  OFFSET_NOT_AVAILABLE: row(78, 'retriable'),
  MEMBER_ID_REQUIRED: row(79),
  PREFERRED_LEADER_NOT_AVAILABLE: row(80, 'retriable', 'refresh'),
  GROUP_MAX_SIZE_REACHED: row(81),
  FENCED_INSTANCE_ID: row(82),
  ELIGIBLE_LEADERS_NOT_AVAILABLE: row(83, 'retriable', 'refresh'),
  ELECTION_NOT_NEEDED: row(84, 'retriable', 'refresh'),
  NO_REASSIGNMENT_IN_PROGRESS: row(85),
  GROUP_SUBSCRIBED_TO_TOPIC: row(86),
  INVALID_RECORD: row(87),
  UNSTABLE_OFFSET_COMMIT: row(88, 'retriable'),
  THROTTLING_QUOTA_EXCEEDED: row(89, 'retriable'),
  PRODUCER_FENCED: row(90),
  RESOURCE_NOT_FOUND: row(91),
  DUPLICATE_RESOURCE: row(92),
  UNACCEPTABLE_CREDENTIAL: row(93),
  INCONSISTENT_VOTER_SET: row(94),
  INVALID_UPDATE_VERSION: row(95),
  FEATURE_UPDATE_FAILED: row(96),
  PRINCIPAL_DESERIALIZATION_FAILURE: row(97),
  SNAPSHOT_NOT_FOUND: row(98),
  POSITION_OUT_OF_RANGE: row(99),
  UNKNOWN_TOPIC_ID: row(100, 'retriable', 'refresh'),
  DUPLICATE_BROKER_REGISTRATION: row(101),
  BROKER_ID_NOT_REGISTERED: row(102),
  INCONSISTENT_TOPIC_ID: row(103, 'retriable', 'refresh'),
  INCONSISTENT_CLUSTER_ID: row(104),
  TRANSACTIONAL_ID_NOT_FOUND: row(105),
  FETCH_SESSION_TOPIC_ID_ERROR: row(106, 'retriable'),
  INELIGIBLE_REPLICA: row(107),
  NEW_LEADER_ELECTED: row(108),
  OFFSET_MOVED_TO_TIERED_STORAGE: row(109),
  FENCED_MEMBER_EPOCH: row(110),
  UNRELEASED_INSTANCE_ID: row(111),
  UNSUPPORTED_ASSIGNOR: row(112),
  STALE_MEMBER_EPOCH: row(113),
  MISMATCHED_ENDPOINT_TYPE: row(114),
  UNSUPPORTED_ENDPOINT_TYPE: row(115),
  UNKNOWN_CONTROLLER_ID: row(116),
  UNKNOWN_SUBSCRIPTION_ID: row(117),
  TELEMETRY_TOO_LARGE: row(118),
  INVALID_REGISTRATION: row(119),
  TRANSACTION_ABORTABLE: row(120),
  INVALID_RECORD_STATE: row(121),
  SHARE_SESSION_NOT_FOUND: row(122, 'retriable'),
  INVALID_SHARE_SESSION_EPOCH: row(123, 'retriable'),
  FENCED_STATE_EPOCH: row(124),
  INVALID_VOTER_KEY: row(125),
  DUPLICATE_VOTER: row(126),
  VOTER_NOT_FOUND: row(127),
  INVALID_REGULAR_EXPRESSION: row(128),
  REBOOTSTRAP_REQUIRED: row(129),
  STREAMS_INVALID_TOPOLOGY: row(130),
  STREAMS_INVALID_TOPOLOGY_EPOCH: row(131),
  STREAMS_TOPOLOGY_FENCED: row(132),
  SHARE_SESSION_LIMIT_REACHED: row(133, 'retriable'),
} as const satisfies Record<string, ErrorRow>

export type ErrorName = keyof typeof errors

const names = new Map<number, ErrorName>(
  Object.entries(errors).map(([name, { code }]) => [code, name as ErrorName]),
)

/** The number that goes on the wire. */
export function errorCode(name: ErrorName): number {
  return errors[name].code
}

/** The name of a code from the wire; a code that Kafka 4.3.1 does not have is UNKNOWN_SERVER_ERROR. */
export function errorName(code: number): ErrorName {
  return names.get(code) ?? 'UNKNOWN_SERVER_ERROR'
}

/** An expected failure: what it is called on the wire, and in words what happened and what to do. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly error: ErrorName
  readonly detail: string

  /** `detail` names the topic, partition, limit or setting; peers see it where the protocol has an errorMessage. */
  constructor(error: ErrorName, detail = '') {
    super(detail === '' ? error : `${error}: ${detail}`)
    this.error = error
    this.detail = detail
  }

  get code(): number {
    return errors[this.error].code
  }
}

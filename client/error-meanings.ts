/** What the errors in answers mean, and what to do about them: those that a person may meet. */
import type { ErrorName } from '../protocol/errors.ts'

export const errorMeanings: {
  readonly [Name in ErrorName]?: readonly [meaning: string, advice: string]
} = {
  UNKNOWN_SERVER_ERROR: ['the broker failed unexpectedly', "look into the broker's log"],
  UNKNOWN_TOPIC_OR_PARTITION: [
    'there is no such topic or partition',
    'check the name, or create the topic first',
  ],
  UNKNOWN_TOPIC_ID: ['there is no topic with this id', 'it may have been deleted; look up its id'],
  TOPIC_ALREADY_EXISTS: [
    'a topic with this name exists already',
    'choose another name, or use the topic that exists',
  ],
  INVALID_TOPIC_EXCEPTION: [
    'not a valid topic name',
    "use 1 to 249 of the characters a-z A-Z 0-9 . _ - (and neither '.' nor '..')",
  ],
  INVALID_PARTITIONS: [
    'this number of partitions is not possible',
    'give at least 1, and for a topic that exists more than it has',
  ],
  INVALID_REPLICATION_FACTOR: [
    'this replication factor is not possible',
    'give at most as many replicas as there are brokers',
  ],
  INVALID_REPLICA_ASSIGNMENT: [
    'replicas cannot be placed like this',
    'name for each partition, from 0 on, brokers that exist, each once',
  ],
  INVALID_CONFIG: ['a setting or its value is not valid', 'correct the setting'],
  INVALID_REQUEST: ['the broker does not accept this request', 'correct what the message names'],
  POLICY_VIOLATION: ["the cluster's policy does not allow it", 'ask who runs the cluster'],
  NOT_CONTROLLER: ['this broker is not the controller', 'try again'],
  LEADER_NOT_AVAILABLE: [
    'the partition has no leader at the moment',
    'try again; if it stays so, a broker that holds it is down',
  ],
  NOT_LEADER_OR_FOLLOWER: ['this broker does not lead the partition', 'try again'],
  REPLICA_NOT_AVAILABLE: ['this broker does not have the partition', 'try again'],
  BROKER_NOT_AVAILABLE: ['the broker is not available', 'check that it runs'],
  REQUEST_TIMED_OUT: [
    'the broker did not finish in time',
    'it may still finish: look at the result before repeating',
  ],
  KAFKA_STORAGE_ERROR: ["the broker's disk failed", "look into the broker's log and at its disk"],
  TOPIC_DELETION_DISABLED: [
    'the cluster does not delete topics',
    'set delete.topic.enable=true on the brokers',
  ],
  THROTTLING_QUOTA_EXCEEDED: ['too many changes at once for the quota', 'try again later'],
  REASSIGNMENT_IN_PROGRESS: [
    'replicas of the topic are being moved',
    'try again when the move has ended',
  ],
  TOPIC_AUTHORIZATION_FAILED: ['not allowed on this topic', 'ask for an ACL that allows it'],
  CLUSTER_AUTHORIZATION_FAILED: ['not allowed on this cluster', 'ask for an ACL that allows it'],
  UNSUPPORTED_VERSION: ['the broker does not know this version', 'use a newer broker'],
  SECURITY_DISABLED: ['the cluster has no authorizer', 'configure one on the brokers first'],
  OFFSET_OUT_OF_RANGE: [
    'the offset is not in the log',
    'seek to one that is, or set autoOffsetReset',
  ],
  CORRUPT_MESSAGE: [
    'a batch arrived or lies on the disk damaged',
    "if it stays so, look at the broker's log and disk",
  ],
  MESSAGE_TOO_LARGE: [
    'the batch is larger than the topic takes',
    'send smaller records, or raise max.message.bytes of the topic',
  ],
  RECORD_LIST_TOO_LARGE: [
    'the batch is larger than a segment of the log',
    'send smaller batches, or raise segment.bytes of the topic',
  ],
  INVALID_RECORD: [
    'the topic does not take this record',
    'a compacted topic needs a key with each',
  ],
  INVALID_TIMESTAMP: [
    'the time of the record is too far from now',
    'correct it, or see message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic',
  ],
  INVALID_REQUIRED_ACKS: ['these acks are not possible', "give 'all', 1 or 0"],
  NOT_ENOUGH_REPLICAS: [
    'fewer replicas are in sync than min.insync.replicas asks for',
    'nothing was written; it goes on when the brokers with the others are back',
  ],
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: [
    'it was written, and then fewer replicas were in sync than min.insync.replicas asks for',
    'it may be in the log: sending it again may double it, unless the producer is idempotent',
  ],
  UNSUPPORTED_COMPRESSION_TYPE: [
    'the broker or the version of the request does not know this codec',
    'choose another compression',
  ],
  OUT_OF_ORDER_SEQUENCE_NUMBER: [
    "a batch of this producer before this one is missing in the partition's log",
    'it may be lost: see whether the log was cut, and send again',
  ],
  INVALID_PRODUCER_EPOCH: [
    'another producer with the same id has begun since',
    'end this one; only one at a time may write',
  ],
  PRODUCER_FENCED: [
    'another producer with the same transactional id has begun since',
    'end this one; only one at a time may write',
  ],
  UNKNOWN_PRODUCER_ID: [
    'the partition does not know this producer any more',
    'make another producer',
  ],
  GROUP_ID_NOT_FOUND: ['there is no such group', "check its name; 'ottla group list' has them all"],
  NON_EMPTY_GROUP: ['the group has members', 'stop its consumers first'],
  GROUP_SUBSCRIBED_TO_TOPIC: [
    'the group still subscribes to this topic',
    'stop its consumers, or let them leave the topic first',
  ],
  INVALID_GROUP_ID: ['not a valid name of a group', 'give one that is not empty'],
  GROUP_MAX_SIZE_REACHED: [
    'the group is full',
    'run fewer consumers, or raise group.max.size of the brokers',
  ],
  COORDINATOR_NOT_AVAILABLE: [
    'the group has no coordinator at the moment',
    'try again; if it stays so, __consumer_offsets has no leader',
  ],
  COORDINATOR_LOAD_IN_PROGRESS: [
    'the coordinator still reads what it knows of groups',
    'try again',
  ],
  NOT_COORDINATOR: ['another broker coordinates the group', 'try again'],
  UNKNOWN_MEMBER_ID: [
    'the group does not know this member, or not any more',
    'join it again; if it happens often, raise sessionTimeoutMs',
  ],
  ILLEGAL_GENERATION: ['the group has been rebalanced since', 'join it again'],
  REBALANCE_IN_PROGRESS: ['the group is being rebalanced', 'join it again'],
  FENCED_MEMBER_EPOCH: ['the group has gone on without this member', 'join it again'],
  STALE_MEMBER_EPOCH: ['the group has been rebalanced since', 'try again with the next heartbeat'],
  FENCED_INSTANCE_ID: [
    'another member with the same groupInstanceId has taken its place',
    'give each member another one',
  ],
  UNRELEASED_INSTANCE_ID: [
    'another member has this groupInstanceId',
    'stop that one, or give each another',
  ],
  INCONSISTENT_GROUP_PROTOCOL: [
    'the members of the group have no assignor or protocol in common',
    'give all the same assignors, and to a group of another kind another name',
  ],
  UNSUPPORTED_ASSIGNOR: [
    'the broker does not have this assignor',
    'choose one of group.consumer.assignors of the brokers',
  ],
  INVALID_REGULAR_EXPRESSION: [
    'the broker cannot read this pattern',
    'write it as RE2 has it: without looking around and back references',
  ],
  INVALID_SESSION_TIMEOUT: [
    'the brokers do not allow this session timeout',
    'choose one from group.min.session.timeout.ms to group.max.session.timeout.ms',
  ],
  OFFSET_METADATA_TOO_LARGE: [
    'the text with the offset is too long',
    'shorten it, or raise offset.metadata.max.bytes of the brokers',
  ],
  INVALID_COMMIT_OFFSET_SIZE: ['too many offsets for one batch', 'commit fewer at once'],
  GROUP_AUTHORIZATION_FAILED: ['not allowed on this group', 'ask for an ACL that allows it'],
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: [
    'not allowed on this transactional id',
    'ask for an ACL that allows it',
  ],
  SASL_AUTHENTICATION_FAILED: ['the cluster does not accept these credentials', 'correct them'],
  UNSUPPORTED_SASL_MECHANISM: [
    'the brokers do not have this way to log in',
    'choose one of sasl.enabled.mechanisms',
  ],
  LOG_DIR_NOT_FOUND: ['the broker has no such data directory', 'see log.dirs of the broker'],
  NO_REASSIGNMENT_IN_PROGRESS: ['no replicas of the partition are being moved', 'nothing to do'],
  PREFERRED_LEADER_NOT_AVAILABLE: [
    'the first of its replicas cannot lead it now',
    'see that this broker runs and is in sync',
  ],
  ELIGIBLE_LEADERS_NOT_AVAILABLE: [
    'no broker that could lead it has its records',
    'bring back one that had them',
  ],
  ELECTION_NOT_NEEDED: ['it has that leader already', 'nothing to do'],
  FENCED_LEADER_EPOCH: ['the partition has a newer leader', 'try again'],
  UNKNOWN_LEADER_EPOCH: ['the broker does not know of that leader yet', 'try again'],
  LISTENER_NOT_FOUND: [
    'the leader has no address of the kind that was connected to',
    'give all brokers the same listeners',
  ],
  UNSUPPORTED_FOR_MESSAGE_FORMAT: [
    'the log is in an old format that lacks it',
    'use a newer topic',
  ],
  TRANSACTIONAL_ID_NOT_FOUND: ['there is no such transactional id', 'check its name'],
  DUPLICATE_RESOURCE: ['it is named twice in one request', 'name it once'],
  RESOURCE_NOT_FOUND: ['there is no such thing', 'check its name'],
  OPERATION_NOT_ATTEMPTED: ['another part of the request failed first', 'correct that one'],
}

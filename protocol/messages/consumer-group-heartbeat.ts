/**
 * ConsumerGroupHeartbeat: a member of a KIP-848 group joins (epoch 0), is alive, changes what it reads, says what it owns,
 * and leaves (epoch -1, or -2 for a static member that comes back). Fields that are null or -1 have not changed.
 *
 *   v1  subscribedTopicRegex; the member makes its own id (KIP-1082)
 */
import {
  api,
  array,
  int16,
  int32,
  nullableArray,
  nullableString,
  nullableStruct,
  optional,
  since,
  string,
  struct,
  uuid,
} from '../schema.ts'

const topicPartitions = struct({ topicId: uuid, partitions: array(int32) })

export const ConsumerGroupHeartbeat = api({
  key: 68,
  name: 'ConsumerGroupHeartbeat',
  versions: [0, 1],
  flexible: 0,
  request: struct({
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    instanceId: optional(nullableString, null),
    rackId: optional(nullableString, null),
    rebalanceTimeoutMs: optional(int32, -1),
    subscribedTopicNames: optional(nullableArray(string), null),
    subscribedTopicRegex: since(1, nullableString, null),
    serverAssignor: optional(nullableString, null),
    topicPartitions: optional(nullableArray(topicPartitions), null),
  }),
  response: struct({
    throttleTimeMs: optional(int32, 0),
    errorCode: int16,
    errorMessage: optional(nullableString, null),
    memberId: optional(nullableString, null),
    memberEpoch: optional(int32, 0),
    heartbeatIntervalMs: optional(int32, 0),
    assignment: optional(nullableStruct(struct({ topicPartitions: array(topicPartitions) })), null),
  }),
})

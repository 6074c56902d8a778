/**
 * DescribeTopicPartitions: what Metadata says of topics, page by page, with the eligible leader replicas (KIP-966).
 *
 *   v0  flexible
 *
 * No topics asks for all. nextCursor says where the next page starts; null after the last one.
 */
import {
  api,
  array,
  bool,
  int16,
  int32,
  nullableArray,
  nullableString,
  nullableStruct,
  optional,
  string,
  struct,
  uuid,
} from '../schema.ts'
import { UNKNOWN_OPERATIONS } from './metadata.ts'

const cursor = struct({ topicName: string, partitionIndex: int32 })

export const DescribeTopicPartitions = api({
  key: 75,
  name: 'DescribeTopicPartitions',
  versions: [0, 0],
  flexible: 0,
  request: struct({
    topics: array(struct({ name: string })),
    responsePartitionLimit: optional(int32, 2000),
    cursor: optional(nullableStruct(cursor), null),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    topics: array(
      struct({
        errorCode: int16,
        name: nullableString,
        topicId: uuid,
        isInternal: optional(bool),
        partitions: array(
          struct({
            errorCode: int16,
            partitionIndex: int32,
            leaderId: int32,
            leaderEpoch: optional(int32, -1),
            replicaNodes: array(int32),
            isrNodes: array(int32),
            eligibleLeaderReplicas: optional(nullableArray(int32), null),
            lastKnownElr: optional(nullableArray(int32), null),
            offlineReplicas: array(int32),
          }),
        ),
        topicAuthorizedOperations: optional(int32, UNKNOWN_OPERATIONS),
      }),
    ),
    nextCursor: optional(nullableStruct(cursor), null),
  }),
})

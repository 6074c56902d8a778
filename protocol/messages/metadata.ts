/**
 * Metadata: the brokers of the cluster, and where the partitions of topics live.
 *
 *   v1   null asks for all topics (v0: an empty list does); controllerId, isInternal, rack
 *   v2   clusterId
 *   v3   throttleTimeMs
 *   v4   allowAutoTopicCreation (before it, asking for a topic may always create it)
 *   v5   offlineReplicas
 *   v7   leaderEpoch of each partition (KIP-320)
 *   v8   authorized operations on request (KIP-430)
 *   v9   flexible
 *   v10  topicId in the response (KIP-516)
 *   v11  the cluster's authorized operations moved to DescribeCluster (KIP-700)
 *   v12  topics may be asked for by id; a topic whose id is unknown has no name in the answer
 *   v13  errorCode of the whole response (KIP-1102)
 */
import {
  api,
  array,
  between,
  bool,
  ignorable,
  int16,
  int32,
  nullableArray,
  nullableSince,
  nullableString,
  since,
  string,
  struct,
  uuid,
} from '../schema.ts'

const requestTopic = struct({
  topicId: ignorable(since(10, uuid)),
  name: nullableSince(10, string, nullableString),
})

/** Stands where authorized operations were not asked for. */
export const UNKNOWN_OPERATIONS = -2147483648

export const Metadata = api({
  key: 3,
  name: 'Metadata',
  versions: [0, 13],
  flexible: 9,
  request: struct({
    topics: nullableSince(1, array(requestTopic), nullableArray(requestTopic)),
    allowAutoTopicCreation: since(4, bool, true),
    includeClusterAuthorizedOperations: between(8, 10, bool),
    includeTopicAuthorizedOperations: since(8, bool),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(3, int32)),
    brokers: array(
      struct({
        nodeId: int32,
        host: string,
        port: int32,
        rack: ignorable(since(1, nullableString, null)),
      }),
    ),
    clusterId: ignorable(since(2, nullableString, null)),
    controllerId: ignorable(since(1, int32, -1)),
    topics: array(
      struct({
        errorCode: int16,
        name: nullableSince(12, string, nullableString),
        topicId: ignorable(since(10, uuid)),
        isInternal: ignorable(since(1, bool)),
        partitions: array(
          struct({
            errorCode: int16,
            partitionIndex: int32,
            leaderId: int32,
            leaderEpoch: ignorable(since(7, int32, -1)),
            replicaNodes: array(int32),
            isrNodes: array(int32),
            offlineReplicas: ignorable(since(5, array(int32))),
          }),
        ),
        topicAuthorizedOperations: ignorable(since(8, int32, UNKNOWN_OPERATIONS)),
      }),
    ),
    clusterAuthorizedOperations: ignorable(between(8, 10, int32, UNKNOWN_OPERATIONS)),
    errorCode: ignorable(since(13, int16)),
  }),
})

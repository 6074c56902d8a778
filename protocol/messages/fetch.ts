/**
 * Fetch: read record batches; the same request serves consumers and following replicas.
 *
 *   v4   record batch format v2; isolationLevel, lastStableOffset, abortedTransactions (KIP-98)
 *   v5   logStartOffset
 *   v7   incremental fetch sessions (KIP-227): sessionId, sessionEpoch, forgottenTopicsData
 *   v9   currentLeaderEpoch, for fencing (KIP-320)
 *   v10  the answer may hold zstd (KIP-110)
 *   v11  rackId and preferredReadReplica (KIP-392)
 *   v12  flexible; lastFetchedEpoch answered by divergingEpoch; currentLeader (KIP-595)
 *   v13  topic ids instead of names (KIP-516)
 *   v15  replicaState takes the place of replicaId (KIP-903)
 *   v16  nodeEndpoints (KIP-951)
 *   v17  replicaDirectoryId (KIP-853)
 *   v18  highWatermark in the request: what the follower knows of it (KIP-1166)
 *
 * In a session the response lists only what changed. A response that refuses (errorCode) has no topics.
 */
import { INT64_MAX } from '../buffer.ts'
import {
  api,
  array,
  ignorable,
  int8,
  int16,
  int32,
  int64,
  nullableArray,
  nullableBytes,
  nullableString,
  optional,
  since,
  string,
  struct,
  tagged,
  until,
  uuid,
} from '../schema.ts'

const leaderIdAndEpoch = struct({
  leaderId: optional(int32, -1),
  leaderEpoch: optional(int32, -1),
})

const nodeEndpoint = struct({
  nodeId: int32,
  host: string,
  port: int32,
  rack: optional(nullableString, null),
})

export const Fetch = api({
  key: 1,
  name: 'Fetch',
  versions: [4, 18],
  flexible: 12,
  request: struct({
    clusterId: ignorable(tagged(0, 12, nullableString, null)),
    replicaId: until(14, int32, -1),
    replicaState: tagged(
      1,
      15,
      struct({ replicaId: optional(int32, -1), replicaEpoch: optional(int64, -1) }),
    ),
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: optional(int32, 0x7fffffff),
    isolationLevel: optional(int8),
    sessionId: ignorable(since(7, int32)),
    sessionEpoch: ignorable(since(7, int32, -1)),
    topics: array(
      struct({
        topic: ignorable(until(12, string)),
        topicId: ignorable(since(13, uuid)),
        partitions: array(
          struct({
            partition: int32,
            currentLeaderEpoch: ignorable(since(9, int32, -1)),
            fetchOffset: int64,
            lastFetchedEpoch: since(12, int32, -1),
            logStartOffset: ignorable(since(5, int64, -1)),
            partitionMaxBytes: int32,
            replicaDirectoryId: ignorable(tagged(0, 17, uuid)),
            highWatermark: ignorable(tagged(1, 18, int64, INT64_MAX)),
          }),
        ),
      }),
    ),
    forgottenTopicsData: since(
      7,
      array(
        struct({
          topic: ignorable(until(12, string)),
          topicId: ignorable(since(13, uuid)),
          partitions: array(int32),
        }),
      ),
    ),
    rackId: ignorable(since(11, string)),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: ignorable(since(7, int16)),
    sessionId: since(7, int32),
    responses: array(
      struct({
        topic: ignorable(until(12, string)),
        topicId: ignorable(since(13, uuid)),
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            highWatermark: int64,
            lastStableOffset: optional(int64, -1),
            logStartOffset: ignorable(since(5, int64, -1)),
            divergingEpoch: ignorable(
              tagged(0, 12, struct({ epoch: optional(int32, -1), endOffset: optional(int64, -1) })),
            ),
            currentLeader: ignorable(tagged(1, 12, leaderIdAndEpoch)),
            snapshotId: ignorable(
              tagged(2, 12, struct({ endOffset: optional(int64, -1), epoch: optional(int32, -1) })),
            ),
            abortedTransactions: optional(
              nullableArray(struct({ producerId: int64, firstOffset: int64 })),
              null,
            ),
            preferredReadReplica: since(11, int32, -1),
            records: nullableBytes,
          }),
        ),
      }),
    ),
    nodeEndpoints: ignorable(tagged(0, 16, array(nodeEndpoint))),
  }),
})

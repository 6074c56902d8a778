/**
 * ListOffsets: the offset at a timestamp, or at one of the marks that negative timestamps stand for.
 *
 *   v1   one offset and its timestamp for each partition (KIP-79)
 *   v2   isolationLevel (KIP-98); throttleTimeMs
 *   v4   leader epochs (KIP-320)
 *   v5   OFFSET_NOT_AVAILABLE while a new leader does not know the high watermark yet (KIP-207)
 *   v6   flexible
 *   v7   -3: the record with the highest timestamp (KIP-734)
 *   v8   -4: the earliest local offset (KIP-405)
 *   v9   -5: the latest tiered offset (KIP-1005)
 *   v10  timeoutMs, for lookups in remote storage (KIP-1075)
 *   v11  -6: the earliest offset that awaits its upload (KIP-1023)
 *
 * -1 (latest) and -2 (earliest) exist in every version.
 */
import {
  api,
  array,
  ignorable,
  int8,
  int16,
  int32,
  int64,
  optional,
  since,
  string,
  struct,
} from '../schema.ts'

export const ListOffsets = api({
  key: 2,
  name: 'ListOffsets',
  versions: [1, 11],
  flexible: 6,
  request: struct({
    replicaId: int32,
    isolationLevel: since(2, int8),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            currentLeaderEpoch: ignorable(since(4, int32, -1)),
            timestamp: int64,
          }),
        ),
      }),
    ),
    timeoutMs: ignorable(since(10, int32)),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(2, int32)),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            timestamp: optional(int64, -1),
            offset: optional(int64, -1),
            leaderEpoch: ignorable(since(4, int32, -1)),
          }),
        ),
      }),
    ),
  }),
})

/**
 * OffsetForLeaderEpoch: where a leader epoch ended, so that a follower or consumer finds out what was truncated.
 *
 *   v2  currentLeaderEpoch, for fencing (KIP-320); throttleTimeMs
 *   v3  replicaId, so that consumers may ask; -2 is a debugging consumer
 *   v4  flexible
 */
import {
  api,
  array,
  ignorable,
  int16,
  int32,
  int64,
  optional,
  since,
  string,
  struct,
} from '../schema.ts'

export const OffsetForLeaderEpoch = api({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  versions: [2, 4],
  flexible: 4,
  request: struct({
    replicaId: ignorable(since(3, int32, -2)),
    topics: array(
      struct({
        topic: string,
        partitions: array(
          struct({ partition: int32, currentLeaderEpoch: optional(int32, -1), leaderEpoch: int32 }),
        ),
      }),
    ),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    topics: array(
      struct({
        topic: string,
        partitions: array(
          struct({
            errorCode: int16,
            partition: int32,
            leaderEpoch: optional(int32, -1),
            endOffset: optional(int64, -1),
          }),
        ),
      }),
    ),
  }),
})

/**
 * OffsetCommit: how far a group has read.
 *
 *   v2   retentionTimeMs, until v4 (KIP-211 took it away)
 *   v3   throttleTimeMs
 *   v6   committedLeaderEpoch (KIP-320)
 *   v7   groupInstanceId (KIP-345)
 *   v8   flexible
 *   v9   the member epoch of a KIP-848 group in generationIdOrMemberEpoch
 *   v10  topicId in the place of name (KIP-848)
 */
import {
  api,
  array,
  between,
  ignorable,
  int16,
  int32,
  int64,
  nullableString,
  optional,
  since,
  string,
  struct,
  until,
  uuid,
} from '../schema.ts'

export const OffsetCommit = api({
  key: 8,
  name: 'OffsetCommit',
  versions: [2, 10],
  flexible: 8,
  request: struct({
    groupId: string,
    generationIdOrMemberEpoch: optional(int32, -1),
    memberId: string,
    groupInstanceId: since(7, nullableString, null),
    retentionTimeMs: ignorable(between(2, 4, int64, -1)),
    topics: array(
      struct({
        name: ignorable(until(9, string)),
        topicId: ignorable(since(10, uuid)),
        partitions: array(
          struct({
            partitionIndex: int32,
            committedOffset: int64,
            committedLeaderEpoch: ignorable(since(6, int32, -1)),
            committedMetadata: nullableString,
          }),
        ),
      }),
    ),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(3, int32)),
    topics: array(
      struct({
        name: ignorable(until(9, string)),
        topicId: ignorable(since(10, uuid)),
        partitions: array(struct({ partitionIndex: int32, errorCode: int16 })),
      }),
    ),
  }),
})

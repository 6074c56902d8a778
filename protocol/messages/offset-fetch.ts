/**
 * OffsetFetch: how far groups have read.
 *
 *   v2   topics may be null: all of the group; errorCode of the group
 *   v3   throttleTimeMs
 *   v5   committedLeaderEpoch (KIP-320)
 *   v6   flexible
 *   v7   requireStable: wait for open transactions (KIP-447)
 *   v8   many groups at once (KIP-709): `groups` take the place of the single one
 *   v9   memberId and memberEpoch (KIP-848)
 *   v10  topicId in the place of name (KIP-848)
 */
import {
  api,
  array,
  between,
  bool,
  ignorable,
  int16,
  int32,
  int64,
  nullableArray,
  nullableSince,
  nullableString,
  optional,
  since,
  string,
  struct,
  until,
  uuid,
} from '../schema.ts'

const asked = array(struct({ name: string, partitionIndexes: array(int32) }))
const askedOrAll = nullableArray(struct({ name: string, partitionIndexes: array(int32) }))

const partition = struct({
  partitionIndex: int32,
  committedOffset: int64,
  committedLeaderEpoch: ignorable(since(5, int32, -1)),
  metadata: nullableString,
  errorCode: int16,
})

export const OffsetFetch = api({
  key: 9,
  name: 'OffsetFetch',
  versions: [1, 10],
  flexible: 6,
  request: struct({
    groupId: until(7, string),
    topics: until(7, nullableSince(2, asked, askedOrAll)),
    groups: since(
      8,
      array(
        struct({
          groupId: string,
          memberId: ignorable(since(9, nullableString, null)),
          memberEpoch: ignorable(since(9, int32, -1)),
          topics: nullableArray(
            struct({
              name: ignorable(until(9, string)),
              topicId: ignorable(since(10, uuid)),
              partitionIndexes: array(int32),
            }),
          ),
        }),
      ),
    ),
    requireStable: since(7, bool),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(3, int32)),
    topics: until(7, array(struct({ name: string, partitions: array(partition) }))),
    errorCode: ignorable(between(2, 7, int16)),
    groups: since(
      8,
      array(
        struct({
          groupId: string,
          topics: array(
            struct({
              name: ignorable(until(9, string)),
              topicId: ignorable(since(10, uuid)),
              partitions: array(partition),
            }),
          ),
          errorCode: optional(int16),
        }),
      ),
    ),
  }),
})

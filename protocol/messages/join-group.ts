/**
 * JoinGroup: a member of a classic group asks to be in its next generation; answered when that begins.
 *
 *   v1  rebalanceTimeoutMs
 *   v2  throttleTimeMs
 *   v4  the first answer to a new member is its id, with MEMBER_ID_REQUIRED (KIP-394)
 *   v5  groupInstanceId (KIP-345)
 *   v6  flexible
 *   v7  protocolType in the answer; protocolName may be null (KIP-559)
 *   v8  reason (KIP-800)
 *   v9  skipAssignment (KIP-814)
 */
import {
  api,
  array,
  bool,
  bytes,
  ignorable,
  int16,
  int32,
  nullableSince,
  nullableString,
  optional,
  since,
  string,
  struct,
} from '../schema.ts'

export const JoinGroup = api({
  key: 11,
  name: 'JoinGroup',
  versions: [0, 9],
  flexible: 6,
  request: struct({
    groupId: string,
    sessionTimeoutMs: int32,
    rebalanceTimeoutMs: ignorable(since(1, int32, -1)),
    memberId: string,
    groupInstanceId: since(5, nullableString, null),
    protocolType: string,
    protocols: array(struct({ name: string, metadata: bytes })),
    reason: ignorable(since(8, nullableString, null)),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(2, int32)),
    errorCode: int16,
    generationId: optional(int32, -1),
    protocolType: ignorable(since(7, nullableString, null)),
    protocolName: nullableSince(7, string, nullableString),
    leader: string,
    skipAssignment: since(9, bool),
    memberId: string,
    members: array(
      struct({
        memberId: string,
        groupInstanceId: ignorable(since(5, nullableString, null)),
        metadata: bytes,
      }),
    ),
  }),
})

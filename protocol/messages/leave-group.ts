/**
 * LeaveGroup: members that go, so that nobody waits for their sessions to end.
 *
 *   v1  throttleTimeMs
 *   v3  several members at once, also by groupInstanceId (KIP-345)
 *   v4  flexible
 *   v5  reason (KIP-800)
 */
import {
  api,
  array,
  ignorable,
  int16,
  int32,
  nullableString,
  optional,
  since,
  string,
  struct,
  until,
} from '../schema.ts'

export const LeaveGroup = api({
  key: 13,
  name: 'LeaveGroup',
  versions: [0, 5],
  flexible: 4,
  request: struct({
    groupId: string,
    memberId: until(2, string),
    members: since(
      3,
      array(
        struct({
          memberId: string,
          groupInstanceId: optional(nullableString, null),
          reason: ignorable(since(5, nullableString, null)),
        }),
      ),
    ),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(1, int32)),
    errorCode: int16,
    members: since(
      3,
      array(struct({ memberId: string, groupInstanceId: nullableString, errorCode: int16 })),
    ),
  }),
})

/**
 * SyncGroup: the leader of a classic group hands in who gets what; every member is answered with its share.
 *
 *   v1  throttleTimeMs
 *   v3  groupInstanceId (KIP-345)
 *   v4  flexible
 *   v5  protocolType and protocolName (KIP-559)
 */
import {
  api,
  array,
  bytes,
  ignorable,
  int16,
  int32,
  nullableString,
  since,
  string,
  struct,
} from '../schema.ts'

export const SyncGroup = api({
  key: 14,
  name: 'SyncGroup',
  versions: [0, 5],
  flexible: 4,
  request: struct({
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: since(3, nullableString, null),
    protocolType: ignorable(since(5, nullableString, null)),
    protocolName: ignorable(since(5, nullableString, null)),
    assignments: array(struct({ memberId: string, assignment: bytes })),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(1, int32)),
    errorCode: int16,
    protocolType: ignorable(since(5, nullableString, null)),
    protocolName: ignorable(since(5, nullableString, null)),
    assignment: bytes,
  }),
})

/**
 * Heartbeat: a member of a classic group is alive, and hears whether a rebalance has begun.
 *
 *   v1  throttleTimeMs
 *   v3  groupInstanceId (KIP-345)
 *   v4  flexible
 */
import { api, ignorable, int16, int32, nullableString, since, string, struct } from '../schema.ts'

export const Heartbeat = api({
  key: 12,
  name: 'Heartbeat',
  versions: [0, 4],
  flexible: 4,
  request: struct({
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: since(3, nullableString, null),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(1, int32)),
    errorCode: int16,
  }),
})

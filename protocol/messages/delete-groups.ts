/**
 * DeleteGroups: groups without members go, with their offsets (KIP-229).
 *
 *   v2  flexible
 */
import { api, array, int16, int32, optional, string, struct } from '../schema.ts'

export const DeleteGroups = api({
  key: 42,
  name: 'DeleteGroups',
  versions: [0, 2],
  flexible: 2,
  request: struct({ groupsNames: array(string) }),
  response: struct({
    throttleTimeMs: optional(int32),
    results: array(struct({ groupId: string, errorCode: int16 })),
  }),
})

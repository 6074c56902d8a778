/**
 * ListGroups: the groups that this broker coordinates.
 *
 *   v1  throttleTimeMs
 *   v3  flexible
 *   v4  groupState, and a filter on it (KIP-518)
 *   v5  groupType, and a filter on it (KIP-848)
 */
import { api, array, ignorable, int16, int32, since, string, struct } from '../schema.ts'

export const ListGroups = api({
  key: 16,
  name: 'ListGroups',
  versions: [0, 5],
  flexible: 3,
  request: struct({
    statesFilter: since(4, array(string)),
    typesFilter: since(5, array(string)),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(1, int32)),
    errorCode: int16,
    groups: array(
      struct({
        groupId: string,
        protocolType: string,
        groupState: ignorable(since(4, string)),
        groupType: ignorable(since(5, string)),
      }),
    ),
  }),
})

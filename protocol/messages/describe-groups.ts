/**
 * DescribeGroups: state, protocol and members of classic groups.
 *
 *   v1  throttleTimeMs
 *   v3  authorizedOperations (KIP-430)
 *   v4  groupInstanceId (KIP-345)
 *   v5  flexible
 *   v6  errorMessage; GROUP_ID_NOT_FOUND for a group that is not there (KIP-1043)
 */
import {
  api,
  array,
  bool,
  bytes,
  ignorable,
  int16,
  int32,
  nullableString,
  since,
  string,
  struct,
} from '../schema.ts'

export const DescribeGroups = api({
  key: 15,
  name: 'DescribeGroups',
  versions: [0, 6],
  flexible: 5,
  request: struct({
    groups: array(string),
    includeAuthorizedOperations: since(3, bool),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(1, int32)),
    groups: array(
      struct({
        errorCode: int16,
        errorMessage: ignorable(since(6, nullableString, null)),
        groupId: string,
        groupState: string,
        protocolType: string,
        protocolData: string,
        members: array(
          struct({
            memberId: string,
            groupInstanceId: ignorable(since(4, nullableString, null)),
            clientId: string,
            clientHost: string,
            memberMetadata: bytes,
            memberAssignment: bytes,
          }),
        ),
        authorizedOperations: since(3, int32, -2147483648),
      }),
    ),
  }),
})

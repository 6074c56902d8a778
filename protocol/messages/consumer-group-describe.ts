/**
 * ConsumerGroupDescribe: state, epochs and members of KIP-848 groups.
 *
 *   v1  memberType: 1 for a member of the consumer protocol, 0 for one of the classic protocol (KIP-1099)
 */
import {
  api,
  array,
  bool,
  ignorable,
  int8,
  int16,
  int32,
  nullableString,
  optional,
  since,
  string,
  struct,
  uuid,
} from '../schema.ts'

const assignment = struct({
  topicPartitions: array(struct({ topicId: uuid, topicName: string, partitions: array(int32) })),
})

export const ConsumerGroupDescribe = api({
  key: 69,
  name: 'ConsumerGroupDescribe',
  versions: [0, 1],
  flexible: 0,
  request: struct({
    groupIds: array(string),
    includeAuthorizedOperations: bool,
  }),
  response: struct({
    throttleTimeMs: optional(int32, 0),
    groups: array(
      struct({
        errorCode: int16,
        errorMessage: optional(nullableString, null),
        groupId: string,
        groupState: string,
        groupEpoch: int32,
        assignmentEpoch: int32,
        assignorName: string,
        members: array(
          struct({
            memberId: string,
            instanceId: optional(nullableString, null),
            rackId: optional(nullableString, null),
            memberEpoch: int32,
            clientId: string,
            clientHost: string,
            subscribedTopicNames: array(string),
            subscribedTopicRegex: optional(nullableString, null),
            assignment,
            targetAssignment: assignment,
            memberType: ignorable(since(1, int8, -1)),
          }),
        ),
        authorizedOperations: optional(int32, -2147483648),
      }),
    ),
  }),
})

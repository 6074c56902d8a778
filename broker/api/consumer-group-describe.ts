/**
 * ConsumerGroupDescribe: KIP-848 groups with their epochs and members.
 *
 * As with DescribeGroups the message of a group that is there says what it waits for and why its last rebalance began.
 */
import type { ResponseInput } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import { ALL_GROUP_OPERATIONS } from '../authorized-operations.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import { ConsumerGroup } from '../group/consumer-group.ts'
import { partitionList } from '../group/consumer-member.ts'
import type { ClusterImage } from '../metadata/image.ts'

type Described = ResponseInput<'ConsumerGroupDescribe'>['groups'][number]

const NOTHING = {
  groupState: '',
  groupEpoch: 0,
  assignmentEpoch: 0,
  assignorName: '',
  members: [],
}
/** Which protocol a member speaks, as a number. */
const MEMBER_TYPES = { classic: 0, consumer: 1 } as const

export const consumerGroupDescribe: Handler<'ConsumerGroupDescribe'> = (
  broker,
  request,
  context,
) => ({
  groups: request.groupIds.map(groupId => ({
    ...described(broker, context, groupId),
    ...(request.includeAuthorizedOperations && { authorizedOperations: ALL_GROUP_OPERATIONS }),
  })),
})

function described(broker: Broker, context: RequestContext, groupId: string): Described {
  try {
    if (groupId === '') throw new ProtocolError('INVALID_GROUP_ID', 'the group id is empty')
    const group = broker.groups.find(groupId)?.group
    if (group instanceof ConsumerGroup) {
      const errorMessage = group.explain(broker.groups.nowMs())
      return { errorCode: 0, errorMessage, groupId, ...describe(group, broker.image) }
    }
    const why =
      group === undefined
        ? `Group ${groupId} not found.`
        : `Group ${groupId} is not a consumer group.`
    throw new ProtocolError('GROUP_ID_NOT_FOUND', why)
  } catch (error) {
    return { ...answerError(broker, context, error), groupId, ...NOTHING }
  }
}

function describe(group: ConsumerGroup, { topicsById }: ClusterImage) {
  const { data, state, assignorName } = group
  const listed = (partitions: Parameters<typeof partitionList>[0]) => ({
    topicPartitions: partitionList(partitions).flatMap(one => {
      const topic = topicsById.get(one.topicId)
      return topic === undefined ? [] : [{ ...one, topicName: topic.name }]
    }),
  })
  return {
    groupState: state,
    groupEpoch: data.groupEpoch,
    assignmentEpoch: data.assignmentEpoch,
    assignorName,
    members: [...data.members.values()].map(member => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: member.rackId,
      memberEpoch: member.memberEpoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: member.subscribedTopicNames,
      subscribedTopicRegex: member.subscribedTopicRegex === '' ? null : member.subscribedTopicRegex,
      assignment: listed(member.assigned),
      targetAssignment: listed(data.target(member.memberId)),
      memberType: MEMBER_TYPES[member.classic === null ? 'consumer' : 'classic'],
    })),
  }
}

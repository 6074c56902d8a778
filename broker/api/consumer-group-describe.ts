/**
 * ConsumerGroupDescribe: KIP-848 groups with their epochs and members.
 *
 * As with DescribeGroups the message of a group that is there says what it waits for and why its last rebalance began.
 */
import type { ResponseInput } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import { withOperations } from '../authorized-operations.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import { ConsumerGroup } from '../group/consumer-group.ts'
import { describeConsumerGroup } from '../group/explain.ts'

type Described = ResponseInput<'ConsumerGroupDescribe'>['groups'][number]

const NOTHING = {
  groupState: '',
  groupEpoch: 0,
  assignmentEpoch: 0,
  assignorName: '',
  members: [],
}

export const consumerGroupDescribe: Handler<'ConsumerGroupDescribe'> = (
  broker,
  request,
  context,
) => ({
  groups: request.groupIds.map(groupId =>
    withOperations(described(broker, context, groupId), request.includeAuthorizedOperations),
  ),
})

function described(broker: Broker, context: RequestContext, groupId: string): Described {
  try {
    if (groupId === '') throw new ProtocolError('INVALID_GROUP_ID', 'the group id is empty')
    const group = broker.groups.find(groupId)?.group
    if (group instanceof ConsumerGroup) {
      const errorMessage = group.explain(broker.groups.nowMs())
      return { errorCode: 0, errorMessage, groupId, ...describeConsumerGroup(group) }
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

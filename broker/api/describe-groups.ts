/**
 * DescribeGroups: classic groups with their members.
 *
 * A group that is not there is Dead without an error, and from version 6 on GROUP_ID_NOT_FOUND. From version 6 on the
 * message of a group that is there says what it waits for and why its last rebalance began: clients of Kafka do not look
 * at the message where there is no error, people do.
 */
import type { ResponseInput } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import { withOperations } from '../authorized-operations.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import { describeClassicGroup } from '../group/explain.ts'
import { ClassicGroup } from '../group/group.ts'

type Described = ResponseInput<'DescribeGroups'>['groups'][number]

const NOTHING = { protocolType: '', protocolData: '', members: [] }

export const describeGroups: Handler<'DescribeGroups'> = (broker, request, context) => ({
  groups: request.groups.map(groupId =>
    withOperations(described(broker, context, groupId), request.includeAuthorizedOperations),
  ),
})

function described(broker: Broker, context: RequestContext, groupId: string): Described {
  try {
    const entry = broker.groups.find(groupId)
    if (entry?.group instanceof ClassicGroup) {
      const explanation = entry.group.explain(broker.groups.nowMs())
      const said = context.apiVersion >= 6 ? explanation : null
      return { errorCode: 0, errorMessage: said, groupId, ...describeClassicGroup(entry.group) }
    }
    const dead = { groupId, groupState: 'Dead', ...NOTHING }
    if (context.apiVersion < 6) return { errorCode: 0, ...dead }
    const why =
      entry === undefined
        ? `Group ${groupId} not found.`
        : `Group ${groupId} is not a classic group.`
    return {
      ...answerError(broker, context, new ProtocolError('GROUP_ID_NOT_FOUND', why)),
      ...dead,
    }
  } catch (error) {
    return { ...answerError(broker, context, error), groupId, groupState: '', ...NOTHING }
  }
}

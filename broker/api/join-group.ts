/**
 * JoinGroup: asks for a place in the next generation of a classic group. The answer comes when that begins, which may take as
 * long as the slowest member's rebalance timeout. The rules are in `group/joining.ts`.
 */
import type { Handler } from '../context.ts'
import { joinFailure } from '../group/replies.ts'
import { clientOf, newMemberId, submitTo } from '../group/requests.ts'

export const joinGroup: Handler<'JoinGroup'> = (broker, request, context) => {
  const { groupId, memberId, groupInstanceId } = request
  const { apiVersion } = context
  return submitTo(broker, context, groupId, {
    missing: memberId === '' ? null : 'UNKNOWN_MEMBER_ID',
    event: ticket => ({
      kind: 'join',
      ticket,
      apiVersion,
      request,
      client: clientOf(context),
      newMemberId: newMemberId(broker, groupInstanceId ?? context.clientId ?? ''),
    }),
    failed: error => joinFailure(apiVersion, memberId, error),
  })
}

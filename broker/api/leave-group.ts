/** LeaveGroup: members that go, one or many; each is answered for itself. The rules are in `group/leaving.ts`. */
import { errorCode } from '../../protocol/errors.ts'
import type { Handler } from '../context.ts'
import { clientOf, submitTo } from '../group/requests.ts'

export const leaveGroup: Handler<'LeaveGroup'> = (broker, request, context) => {
  const { apiVersion } = context
  return submitTo(broker, context, request.groupId, {
    missing: 'UNKNOWN_MEMBER_ID',
    event: ticket => ({ kind: 'leave', ticket, apiVersion, request, client: clientOf(context) }),
    failed: error => {
      // A group that is not there has none of these members; anything else concerns the request.
      if (error !== 'UNKNOWN_MEMBER_ID' || apiVersion < 3) {
        return { errorCode: errorCode(error), members: [] }
      }
      const members = request.members.map(({ memberId, groupInstanceId }) => ({
        memberId,
        groupInstanceId,
        errorCode: errorCode(error),
      }))
      return { errorCode: 0, members }
    },
  })
}

/** Heartbeat: a member of a classic group is alive, and hears whether it must rejoin. */
import { errorCode } from '../../protocol/errors.ts'
import type { Handler } from '../context.ts'
import { clientOf, submitTo } from '../group/requests.ts'

export const heartbeat: Handler<'Heartbeat'> = (broker, request, context) => {
  const { apiVersion } = context
  return submitTo(broker, context, request.groupId, {
    missing: 'UNKNOWN_MEMBER_ID',
    event: ticket => ({
      kind: 'heartbeat',
      ticket,
      apiVersion,
      request,
      client: clientOf(context),
    }),
    failed: error => ({ errorCode: errorCode(error) }),
  })
}

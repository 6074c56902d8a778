/** ConsumerGroupHeartbeat: a member of a KIP-848 group joins, is alive or leaves. The rules are in `group/consumer-group.ts`. */
import { errorCode } from '../../protocol/errors.ts'
import type { Handler } from '../context.ts'
import { clientOf, submitTo } from '../group/requests.ts'

export const consumerGroupHeartbeat: Handler<'ConsumerGroupHeartbeat'> = (
  broker,
  request,
  context,
) => {
  const { apiVersion } = context
  return submitTo(broker, context, request.groupId, {
    missing: request.memberEpoch === 0 ? null : 'GROUP_ID_NOT_FOUND',
    empty: 'INVALID_REQUEST',
    event: ticket => ({
      kind: 'consumerHeartbeat',
      ticket,
      apiVersion,
      request,
      client: clientOf(context),
      // Most have one, and chance from the system is not cheap.
      newMemberId: request.memberId === '' ? broker.io.uuid() : '',
    }),
    failed: (error, why) => ({
      errorCode: errorCode(error),
      errorMessage:
        error === 'GROUP_ID_NOT_FOUND'
          ? `Consumer group ${request.groupId} not found.`
          : (why ?? null),
    }),
  })
}

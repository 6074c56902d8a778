/**
 * SyncGroup: the leader of a generation hands in the assignment; every member gets its share, when the generation is written
 * to the offsets topic. The rules are in `group/syncing.ts`.
 *
 * From version 5 on a request must say which protocol it means (KIP-559), whatever group it is for (KafkaApis).
 */
import { errorCode } from '../../protocol/errors.ts'
import type { Handler } from '../context.ts'
import { clientOf, submitTo } from '../group/requests.ts'
import { saysWhichProtocol } from '../group/syncing.ts'

const NOTHING = Buffer.alloc(0)

export const syncGroup: Handler<'SyncGroup'> = (broker, request, context) => {
  const { apiVersion } = context
  if (!saysWhichProtocol(request, apiVersion)) {
    context.countError('INCONSISTENT_GROUP_PROTOCOL')
    return { errorCode: errorCode('INCONSISTENT_GROUP_PROTOCOL'), assignment: NOTHING }
  }
  return submitTo(broker, context, request.groupId, {
    missing: 'UNKNOWN_MEMBER_ID',
    event: ticket => ({ kind: 'sync', ticket, apiVersion, request, client: clientOf(context) }),
    failed: error => ({ errorCode: errorCode(error), assignment: NOTHING }),
  })
}

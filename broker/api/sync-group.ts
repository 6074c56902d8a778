/**
 * SyncGroup: the leader of a generation hands in the assignment; every member gets its share, when the generation is written
 * to the offsets topic. The rules are in `group/syncing.ts`.
 */
import { errorCode } from '../../protocol/errors.ts'
import type { Handler } from '../context.ts'
import { clientOf, submitTo } from '../group/requests.ts'

const NOTHING = Buffer.alloc(0)

export const syncGroup: Handler<'SyncGroup'> = (broker, request, context) => {
  const { apiVersion } = context
  return submitTo(broker, context, request.groupId, {
    missing: 'UNKNOWN_MEMBER_ID',
    event: ticket => ({ kind: 'sync', ticket, apiVersion, request, client: clientOf(context) }),
    failed: error => ({ errorCode: errorCode(error), assignment: NOTHING }),
  })
}

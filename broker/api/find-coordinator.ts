/**
 * FindCoordinator: there are no coordinators yet, and every key is told so in words.
 *
 * The error is UNSUPPORTED_VERSION, as Kafka answers for a group protocol that is switched off. COORDINATOR_NOT_AVAILABLE
 * would promise that waiting helps: Java consumers would ask forever without a word, transactional producers for a minute.
 */
import { errorCode } from '../../protocol/errors.ts'
import { refusal } from '../answer-error.ts'
import type { Handler } from '../context.ts'

const WHY: readonly string[] = [
  'This broker has no consumer groups yet: read partitions directly (assign, --partition).',
  'This broker has no transactions yet: leave transactional.id unset.',
  'This broker has no share groups yet.',
]

export const findCoordinator: Handler<'FindCoordinator'> = (_broker, request, context) => {
  const why = WHY[request.keyType]
  const [name, message] =
    why === undefined
      ? (['INVALID_REQUEST', `Unknown coordinator type ${request.keyType}`] as const)
      : (['UNSUPPORTED_VERSION', why] as const)
  const nowhere = { nodeId: -1, host: '', port: -1 }
  if (context.apiVersion < 4) return { ...nowhere, ...refusal(context, name, message) }
  if (request.coordinatorKeys.length > 0) context.countError(name)
  return {
    coordinators: request.coordinatorKeys.map(key => ({
      key,
      ...nowhere,
      errorCode: errorCode(name),
      errorMessage: message,
    })),
  }
}

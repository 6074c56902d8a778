/**
 * FindCoordinator: groups are coordinated here, and the offsets topic is made when the first group is looked for. The
 * answer waits for it, so that the client's next request finds its group. A group whose partition of that topic is in an
 * offline data directory has no coordinator.
 *
 * Transactions and share groups have no coordinators: UNSUPPORTED_VERSION, as Kafka answers for a group protocol that is
 * switched off. COORDINATOR_NOT_AVAILABLE would promise that waiting helps: transactional producers would ask for a minute.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import { answerError, type ErrorAnswer, NO_ERROR, refusal } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import { createOffsetsTopic, OFFSETS_TOPIC, partitionFor } from '../group/offsets-partition.ts'
import { advertisedEndpoint } from '../listeners.ts'

type Response = ResponseInput<'FindCoordinator'>

interface Coordinator extends ErrorAnswer {
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

const GROUP = 0
const WHY_NOT: Readonly<Record<number, string>> = {
  1: 'This broker has no transactions yet: leave transactional.id unset.',
  2: 'This broker has no share groups.',
}
const NOWHERE = { nodeId: -1, host: '', port: -1 }

export const findCoordinator: Handler<'FindCoordinator'> = (broker, request, context) => {
  const { keyType } = request
  if (keyType !== GROUP) {
    const why = WHY_NOT[keyType]
    const name: ErrorName = why === undefined ? 'INVALID_REQUEST' : 'UNSUPPORTED_VERSION'
    const message = why ?? `Unknown coordinator type ${keyType}`
    return respond(request, context, nowhere(refusal(context, name, message)))
  }
  const here = () => respond(request, context, group => coordinatorOf(broker, context, group))
  if (broker.image.topics.has(OFFSETS_TOPIC)) return here()
  return makeTopic(broker, context).then(error =>
    error === null ? here() : respond(request, context, nowhere(error)),
  )
}

async function makeTopic(broker: Broker, context: RequestContext): Promise<ErrorAnswer | null> {
  try {
    await createOffsetsTopic(broker.controller, broker.config, broker.logger)
    await broker.groups.loaded
    return null
  } catch (error) {
    return answerError(broker, context, error)
  }
}

function nowhere(error: ErrorAnswer): () => Coordinator {
  return () => ({ ...NOWHERE, ...error })
}

function coordinatorOf(broker: Broker, context: RequestContext, group: string): Coordinator {
  const count = broker.image.topics.get(OFFSETS_TOPIC)?.partitions.length ?? 1
  const index = partitionFor(group, count)
  if (broker.replicas.isOffline(OFFSETS_TOPIC, index)) {
    const why = `The data directory of ${OFFSETS_TOPIC}-${index} is offline.`
    return { ...NOWHERE, ...refusal(context, 'COORDINATOR_NOT_AVAILABLE', why) }
  }
  return { nodeId: broker.config.nodeId, ...advertisedEndpoint(context), ...NO_ERROR }
}

function respond(
  request: RequestOf<'FindCoordinator'>,
  context: RequestContext,
  find: (group: string) => Coordinator,
): Response {
  if (context.apiVersion < 4) return find(request.key)
  return { coordinators: request.coordinatorKeys.map(key => ({ key, ...find(key) })) }
}

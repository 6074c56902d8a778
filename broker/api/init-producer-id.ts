/**
 * InitProducerId: an id for an idempotent producer, with epoch 0.
 *
 * Transactional ids need a transaction coordinator. Until there is one they are refused as Kafka refuses a protocol that
 * is switched off; an error that may be repeated would keep producers trying for a minute (find-coordinator.ts).
 */
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Handler } from '../context.ts'

const NONE = -1

export const initProducerId: Handler<'InitProducerId'> = (broker, request, context) => {
  const { transactionalId, producerId, producerEpoch } = request
  const refuse = (error: unknown) => ({
    errorCode: answerError(broker, context, error).errorCode,
    producerId: NONE,
    producerEpoch: NONE,
  })
  if (transactionalId === '' || (producerId === NONE) !== (producerEpoch === NONE))
    return refuse(new ProtocolError('INVALID_REQUEST'))
  if (transactionalId !== null) return refuse(new ProtocolError('UNSUPPORTED_VERSION'))
  const answer = (id: number) => ({ errorCode: 0, producerId: id, producerEpoch: 0 })
  const next = broker.producerIds.next()
  return typeof next === 'number' ? answer(next) : next.then(answer, refuse)
}

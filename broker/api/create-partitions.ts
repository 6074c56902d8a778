/** CreatePartitions: raises the number of partitions of topics; the answer leaves when the new ones are open. */
import type { ResponseInput } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError, NO_ERROR } from '../answer-error.ts'
import type { Handler } from '../context.ts'

type Answer = ResponseInput<'CreatePartitions'>['results'][number]

export const createPartitions: Handler<'CreatePartitions'> = async (broker, request, context) => {
  const isTwice = (name: string) => request.topics.filter(topic => topic.name === name).length > 1
  const wanted = request.topics.filter(({ name }) => !isTwice(name))
  const outcomes = await broker.controller.createPartitions(
    wanted.map(({ name, count, assignments }) => ({
      name,
      count,
      assignments: assignments?.map(({ brokerIds }) => brokerIds) ?? null,
    })),
    request.validateOnly,
  )
  const results = wanted.map(({ name }, i): Answer => {
    const outcome = outcomes[i]!
    return {
      name,
      ...('value' in outcome ? NO_ERROR : answerError(broker, context, outcome.error)),
    }
  })
  const twice = new Set(request.topics.map(({ name }) => name).filter(isTwice))
  for (const name of twice) {
    const error = new ProtocolError('INVALID_REQUEST', 'Duplicate topic name.')
    results.push({ name, ...answerError(broker, context, error) })
  }
  return { results }
}

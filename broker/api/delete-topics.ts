/**
 * DeleteTopics: by name, or from version 6 on also by id. The answer leaves when the partitions are closed and their
 * directories renamed; the bytes go a little later.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import type { TopicReference } from '../metadata/controller.ts'

type Answer = ResponseInput<'DeleteTopics'>['responses'][number]

interface Asked {
  readonly name: string | null
  readonly topicId: string
}

export const deleteTopics: Handler<'DeleteTopics'> = async (broker, request, context) => {
  const asked = askedFor(request, context)
  const responses: Answer[] = []
  const wanted: { asked: Asked; reference: TopicReference }[] = []
  for (const each of uniquely(asked)) {
    try {
      checkAllowed(broker, context)
      wanted.push({ asked: each, reference: reference(broker, each, asked) })
    } catch (error) {
      responses.push(failed(broker, context, each, error))
    }
  }
  const outcomes = await broker.controller.deleteTopics(wanted.map(each => each.reference))
  for (const [i, each] of wanted.entries()) {
    const outcome = outcomes[i]!
    responses.push(
      'value' in outcome
        ? { name: outcome.value.name, topicId: outcome.value.id, errorCode: 0 }
        : failed(broker, context, each.asked, outcome.error),
    )
  }
  return { responses }
}

function askedFor(request: RequestOf<'DeleteTopics'>, context: RequestContext): readonly Asked[] {
  if (context.apiVersion >= 6) return request.topics
  return request.topicNames.map(name => ({ name, topicId: ZERO_UUID }))
}

function uniquely(asked: readonly Asked[]): readonly Asked[] {
  const seen = new Set<string>()
  return asked.filter(({ name, topicId }) => {
    const key = `${topicId} ${name}`
    return !seen.has(key) && seen.add(key)
  })
}

function checkAllowed(broker: Broker, context: RequestContext): void {
  if (broker.config.deleteTopicEnable) return
  if (context.apiVersion < 3)
    throw new ProtocolError('INVALID_REQUEST', 'Topic deletion is disabled.')
  throw new ProtocolError('TOPIC_DELETION_DISABLED', 'Topic deletion is disabled.')
}

/** What to delete, unless the request is contradictory about it. */
function reference(
  broker: Broker,
  { name, topicId }: Asked,
  all: readonly Asked[],
): TopicReference {
  const refuse = (why: string) => new ProtocolError('INVALID_REQUEST', why)
  if (name !== null && topicId !== ZERO_UUID)
    throw refuse('You may not specify both topic name and topic id.')
  if (name !== null) {
    if (all.filter(other => other.name === name).length > 1) throw refuse('Duplicate topic name.')
    const id = broker.image.topics.get(name)?.id
    if (id !== undefined && all.some(other => other.topicId === id))
      throw refuse('The provided topic name maps to an ID that was already supplied.')
    return { name }
  }
  if (topicId === ZERO_UUID) throw refuse('Neither topic name nor id were specified.')
  if (all.filter(other => other.topicId === topicId).length > 1) throw refuse('Duplicate topic id.')
  return { id: topicId }
}

function failed(broker: Broker, context: RequestContext, asked: Asked, error: unknown): Answer {
  return { ...asked, ...answerError(broker, context, error) }
}

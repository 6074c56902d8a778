/**
 * CreateTopics: creates each topic or says why not; the others are not held up. The answer leaves when the partitions
 * are open, so that a client can write to what it has just made. `validateOnly` checks everything and creates nothing.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import type { TopicImage } from '../metadata/image.ts'
import type { NewTopic } from '../metadata/placement.ts'
import { describeTopicConfigs } from '../settings/describe.ts'

type TopicRequest = RequestOf<'CreateTopics'>['topics'][number]
type TopicAnswer = ResponseInput<'CreateTopics'>['topics'][number]

/** KRaft's own log: a topic of this name would be taken for it. */
const KRAFT_LOG = '__cluster_metadata'

export const createTopics: Handler<'CreateTopics'> = async (broker, request, context) => {
  const answers = new Map<string, TopicAnswer>()
  const wanted: NewTopic[] = []
  for (const topic of request.topics) {
    const fault = requestFault(topic, request.topics)
    if (fault === null) wanted.push(newTopic(topic))
    else answers.set(topic.name, failed(broker, context, topic.name, fault))
  }
  const outcomes = await broker.controller.createTopics(wanted, request.validateOnly)
  for (const [i, { name }] of wanted.entries()) {
    const outcome = outcomes[i]!
    const answer =
      'value' in outcome
        ? created(broker, outcome.value)
        : failed(broker, context, name, outcome.error)
    answers.set(name, answer)
  }
  return { topics: [...answers.values()] }
}

function requestFault({ name }: TopicRequest, all: readonly TopicRequest[]): ProtocolError | null {
  if (all.filter(other => other.name === name).length > 1)
    return new ProtocolError('INVALID_REQUEST', 'Duplicate topic name.')
  if (name === KRAFT_LOG) {
    return new ProtocolError(
      'INVALID_REQUEST',
      `Creation of internal topic ${KRAFT_LOG} is prohibited.`,
    )
  }
  return null
}

function newTopic(topic: TopicRequest): NewTopic {
  const { name, numPartitions, replicationFactor, assignments } = topic
  const configs = Object.fromEntries(topic.configs.map(config => [config.name, config.value]))
  return { name, numPartitions, replicationFactor, assignments, configs }
}

function failed(
  broker: Broker,
  context: RequestContext,
  name: string,
  error: unknown,
): TopicAnswer {
  return { name, ...answerError(broker, context, error), configs: [] }
}

function created(broker: Broker, topic: TopicImage): TopicAnswer {
  return {
    name: topic.name,
    topicId: topic.id,
    errorCode: 0,
    numPartitions: topic.partitions.length,
    replicationFactor: topic.partitions[0]?.replicas.length ?? -1,
    configs: describeTopicConfigs(broker.config, topic.configs),
  }
}

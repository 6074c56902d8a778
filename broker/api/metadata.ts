/**
 * Metadata: brokers, topics and where their partitions live.
 *
 * No list of topics (null; in version 0 an empty one) asks for all. A topic that does not exist is created if the request
 * and `auto.create.topics.enable` allow it; since that takes no time here, the answer already has it (Kafka answers
 * UNKNOWN_TOPIC_OR_PARTITION once, which breaks clients that do not ask again). The brokers' own topics are not made
 * this way: they belong to coordinators.
 */

import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import { ALL_CLUSTER_OPERATIONS, ALL_TOPIC_OPERATIONS } from '../authorized-operations.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import { advertisedEndpoint } from '../listeners.ts'
import type { Outcome } from '../metadata/controller.ts'
import { isInternalTopic, type PartitionImage, type TopicImage } from '../metadata/image.ts'
import { validateTopicName } from '../metadata/topic-name.ts'

type Request = RequestOf<'Metadata'>
type Response = ResponseInput<'Metadata'>
type TopicAnswer = Response['topics'][number]

export const metadata: Handler<'Metadata'> = (broker, request, context) => {
  const { topics } = request
  if (topics === null || (context.apiVersion === 0 && topics.length === 0)) {
    const all = [...broker.image.topics.values()]
    return respond(
      broker,
      request,
      context,
      all.map(topic => present(broker, topic, request)),
    )
  }
  if (
    context.apiVersion < 12 &&
    topics.some(({ name, topicId }) => name === null || topicId !== ZERO_UUID)
  )
    return { brokers: [], topics: topics.map(topic => unsupportedId(broker, topic, context)) }
  if (topics.some(({ topicId }) => topicId !== ZERO_UUID)) {
    const ids = new Set(topics.map(({ topicId }) => topicId).filter(id => id !== ZERO_UUID))
    return respond(
      broker,
      request,
      context,
      [...ids].map(id => byId(broker, request, context, id)),
    )
  }
  const names = [...new Set(topics.map(({ name }) => name ?? ''))]
  const missing = names.filter(name => !broker.image.topics.has(name))
  const toCreate = mayCreate(broker, request) ? missing.filter(name => !isInternalTopic(name)) : []
  if (toCreate.length === 0)
    return respond(
      broker,
      request,
      context,
      names.map(name => byName(broker, request, context, name)),
    )
  return create(broker, toCreate).then(failures =>
    respond(
      broker,
      request,
      context,
      names.map(name => byName(broker, request, context, name, failures.get(name))),
    ),
  )
}

function respond(
  broker: Broker,
  request: Request,
  context: RequestContext,
  topics: readonly TopicAnswer[],
): Response {
  const { nodeId, brokerRack } = broker.config
  return {
    brokers: [{ nodeId, ...advertisedEndpoint(context), rack: brokerRack }],
    clusterId: broker.image.clusterId,
    controllerId: nodeId,
    topics,
    ...(request.includeClusterAuthorizedOperations && {
      clusterAuthorizedOperations: ALL_CLUSTER_OPERATIONS,
    }),
  }
}

function mayCreate(broker: Broker, request: Request): boolean {
  return request.allowAutoTopicCreation && broker.config.autoCreateTopicsEnable
}

/** Creates topics with the broker's defaults; answers why some could not be. */
async function create(
  broker: Broker,
  names: readonly string[],
): Promise<ReadonlyMap<string, unknown>> {
  const topics = names.map(name => ({
    name,
    numPartitions: -1,
    replicationFactor: -1,
    assignments: [],
    configs: {},
  }))
  const outcomes = await broker.controller.createTopics(topics)
  return new Map(names.map((name, i) => [name, failureOf(outcomes[i]!)]))
}

/** Somebody else creating the topic at the same time is as good. */
function failureOf(outcome: Outcome<TopicImage>): unknown {
  if ('value' in outcome) return undefined
  const { error } = outcome
  return error instanceof ProtocolError && error.error === 'TOPIC_ALREADY_EXISTS'
    ? undefined
    : error
}

function byName(
  broker: Broker,
  request: Request,
  context: RequestContext,
  name: string,
  failure?: unknown,
): TopicAnswer {
  const topic = broker.image.topics.get(name)
  if (topic !== undefined) return present(broker, topic, request)
  const absent = { name, topicId: ZERO_UUID, isInternal: isInternalTopic(name), partitions: [] }
  try {
    if (failure !== undefined) throw failure
    validateTopicName(name)
    throw new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION')
  } catch (error) {
    const { errorCode } = answerError(broker, context, error)
    return { ...absent, errorCode, ...operations(request) }
  }
}

function byId(broker: Broker, request: Request, context: RequestContext, id: string): TopicAnswer {
  const topic = broker.image.topicsById.get(id)
  if (topic !== undefined) return present(broker, topic, request)
  context.countError('UNKNOWN_TOPIC_ID')
  const { code } = new ProtocolError('UNKNOWN_TOPIC_ID')
  return { errorCode: code, name: null, topicId: id, partitions: [] }
}

/** Topics cannot be asked for by id, or without a name, before version 12. */
function unsupportedId(
  broker: Broker,
  { name, topicId }: { name: string | null; topicId: string },
  context: RequestContext,
): TopicAnswer {
  const { errorCode } = answerError(broker, context, new ProtocolError('INVALID_REQUEST'))
  return { errorCode, name: name ?? '', topicId, partitions: [] }
}

function present(broker: Broker, topic: TopicImage, request: Request): TopicAnswer {
  const { replicas } = broker
  return {
    errorCode: 0,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.isInternal,
    partitions: topic.partitions.map((state, index) =>
      presentPartition(state, index, replicas.isOffline(topic.name, index)),
    ),
    ...operations(request),
  }
}

function operations(request: Request) {
  return request.includeTopicAuthorizedOperations
    ? { topicAuthorizedOperations: ALL_TOPIC_OPERATIONS }
    : {}
}

const leaderNotAvailable = new ProtocolError('LEADER_NOT_AVAILABLE').code

/** A partition in an offline data directory has no leader, and its replica here is offline. */
function presentPartition(state: PartitionImage, partitionIndex: number, isOffline: boolean) {
  const hasLeader = state.leader >= 0 && !isOffline
  return {
    errorCode: hasLeader ? 0 : leaderNotAvailable,
    partitionIndex,
    leaderId: hasLeader ? state.leader : -1,
    leaderEpoch: state.leaderEpoch,
    replicaNodes: state.replicas,
    isrNodes: state.isr,
    offlineReplicas: isOffline ? state.replicas : [],
  }
}

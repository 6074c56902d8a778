/**
 * DescribeTopicPartitions: topics in order of their names, page by page.
 *
 * A page has at most as many partitions as the request says, and no more than `max.request.partition.size.limit`; a
 * topic that does not fit is continued on the next one. The cursor says where that starts. No topics asks for all.
 * With every partition in one place there are no eligible leader replicas beside the ISR.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { errorCode, ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import { ALL_TOPIC_OPERATIONS } from '../authorized-operations.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import { isInternalTopic, type PartitionImage, type TopicImage } from '../metadata/image.ts'
import { validateTopicName } from '../metadata/topic-name.ts'

type Request = RequestOf<'DescribeTopicPartitions'>
type Response = ResponseInput<'DescribeTopicPartitions'>
type TopicAnswer = Response['topics'][number]

export const describeTopicPartitions: Handler<'DescribeTopicPartitions'> = (
  broker,
  request,
  context,
) => {
  const { cursor } = request
  const names = namesFrom(broker, request)
  const fault = cursorFault(request, names)
  // The response has no error of its own: each topic carries it.
  if (fault !== null) {
    const { errorCode } = answerError(broker, context, fault)
    return { topics: request.topics.map(({ name }) => ({ ...nothingOf(name), errorCode })) }
  }
  const limit = Math.min(broker.config.maxRequestPartitionSizeLimit, request.responsePartitionLimit)
  let room = Math.max(1, limit)
  const topics: TopicAnswer[] = []
  for (const name of names) {
    const topic = broker.image.topics.get(name)
    if (room === 0) return { topics, nextCursor: { topicName: name, partitionIndex: 0 } }
    if (topic === undefined) {
      if (request.topics.length > 0) topics.push(absent(broker, context, name, unknown(name)))
      continue
    }
    const start = cursor?.topicName === name ? cursor.partitionIndex : 0
    const end = Math.min(start + room, topic.partitions.length)
    topics.push(present(broker, topic, start, end))
    if (end < topic.partitions.length)
      return { topics, nextCursor: { topicName: name, partitionIndex: end } }
    room -= Math.max(0, end - start)
  }
  return { topics }
}

/** The names to describe, from the cursor's on. */
function namesFrom({ image }: Broker, { topics, cursor }: Request): readonly string[] {
  const all = topics.length === 0 ? image.topics.keys() : topics.map(({ name }) => name)
  const from = cursor?.topicName ?? ''
  return [...new Set(all)].filter(name => name >= from).sort()
}

function cursorFault({ topics, cursor }: Request, names: readonly string[]): ProtocolError | null {
  if (cursor === null) return null
  const invalid = (why: string) => new ProtocolError('INVALID_REQUEST', why)
  if (topics.length > 0 && !names.includes(cursor.topicName))
    return invalid(`the topics do not include that of the cursor, ${cursor.topicName}`)
  if (cursor.partitionIndex < 0)
    return invalid(`the cursor's partition is ${cursor.partitionIndex}`)
  return null
}

function unknown(name: string): unknown {
  try {
    validateTopicName(name)
    return new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION')
  } catch (error) {
    return error
  }
}

function absent(
  broker: Broker,
  context: RequestContext,
  name: string,
  error: unknown,
): TopicAnswer {
  const { errorCode } = answerError(broker, context, error)
  return { ...nothingOf(name), errorCode, topicAuthorizedOperations: ALL_TOPIC_OPERATIONS }
}

function nothingOf(name: string) {
  return { name, topicId: ZERO_UUID, isInternal: isInternalTopic(name), partitions: [] }
}

function present(broker: Broker, topic: TopicImage, start: number, end: number): TopicAnswer {
  const { replicas } = broker
  return {
    errorCode: 0,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.isInternal,
    partitions: topic.partitions
      .slice(start, end)
      .map((state, i) =>
        presentPartition(state, start + i, replicas.isOffline(topic.name, start + i)),
      ),
    topicAuthorizedOperations: ALL_TOPIC_OPERATIONS,
  }
}

/** A partition in an offline data directory has no leader, and its replica here is offline. */
function presentPartition(state: PartitionImage, partitionIndex: number, isOffline: boolean) {
  const hasLeader = state.leader >= 0 && !isOffline
  return {
    errorCode: hasLeader ? 0 : errorCode('LEADER_NOT_AVAILABLE'),
    partitionIndex,
    leaderId: hasLeader ? state.leader : -1,
    leaderEpoch: state.leaderEpoch,
    replicaNodes: state.replicas,
    isrNodes: state.isr,
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    offlineReplicas: isOffline ? state.replicas : [],
  }
}

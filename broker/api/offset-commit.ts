/**
 * OffsetCommit: how far a group has read. Answered when it is written; what is wrong with one partition does not keep the
 * others, what is wrong with the member or its generation is the answer for all.
 *
 * A group that nobody joined may store offsets too: its commits come without a member and a generation.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { type ErrorName, errorCode, ProtocolError } from '../../protocol/errors.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import type { GroupEntry } from '../group/coordinator.ts'
import { commitOffsets } from '../group/offset-changes.ts'
import type { OffsetToCommit } from '../group/offsets.ts'
import { errorOf } from '../group/requests.ts'

type Request = RequestOf<'OffsetCommit'>
type Response = ResponseInput<'OffsetCommit'>

const TOPIC_IDS_SINCE_VERSION = 10
const MEMBER_EPOCHS_SINCE_VERSION = 9

export const offsetCommit: Handler<'OffsetCommit'> = (broker, request, context) => {
  const failed = (error: ErrorName) => respond(context, request, () => error)
  try {
    const entry = entryFor(broker, request, context)
    const { commits, errors } = check(broker, request, context)
    commitOffsets(broker.groups, entry, { ...request, apiVersion: context.apiVersion }, commits)
    return broker.groups.afterWrites(
      [entry],
      () => respond(context, request, (t, p) => errors.get(t)?.get(p) ?? 'NONE'),
      failed,
    )
  } catch (error) {
    return failed(commitError(errorOf(broker, context, error)))
  }
}

function entryFor(broker: Broker, request: Request, context: RequestContext): GroupEntry {
  const { groupId } = request
  if (request.generationIdOrMemberEpoch < 0) return broker.groups.findOrCreate(groupId)
  const entry = broker.groups.find(groupId)
  if (entry !== undefined) return entry
  const knowsEpochs = context.apiVersion >= MEMBER_EPOCHS_SINCE_VERSION
  const name: ErrorName = knowsEpochs ? 'GROUP_ID_NOT_FOUND' : 'ILLEGAL_GENERATION'
  throw new ProtocolError(name, `there is no group '${groupId}'`)
}

/** Errors by place in the request: topic, then partition. */
type Errors = Map<number, Map<number, ErrorName>>

function check(broker: Broker, request: Request, context: RequestContext) {
  const commits: OffsetToCommit[] = []
  const errors: Errors = new Map()
  const commitTimestampMs = broker.io.clock.nowMs()
  const { retentionTimeMs } = request
  const expireTimestampMs = retentionTimeMs < 0 ? -1 : commitTimestampMs + retentionTimeMs
  const isById = context.apiVersion >= TOPIC_IDS_SINCE_VERSION
  const { topics, topicsById } = broker.image
  for (const [t, { name, topicId, partitions }] of request.topics.entries()) {
    const topic = isById ? topicsById.get(topicId) : topics.get(name)
    const wrong = new Map<number, ErrorName>()
    for (const [p, one] of partitions.entries()) {
      const metadata = one.committedMetadata ?? ''
      if (topic === undefined)
        wrong.set(p, isById ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION')
      else if (topic.partitions[one.partitionIndex] === undefined) {
        wrong.set(p, 'UNKNOWN_TOPIC_OR_PARTITION')
      } else if (metadata.length > broker.config.offsetMetadataMaxBytes) {
        wrong.set(p, 'OFFSET_METADATA_TOO_LARGE')
      } else {
        commits.push({
          topic: topic.name,
          topicId: isById ? topicId : ZERO_UUID,
          partition: one.partitionIndex,
          offset: one.committedOffset,
          leaderEpoch: one.committedLeaderEpoch,
          metadata,
          commitTimestampMs,
          expireTimestampMs,
        })
      }
    }
    if (wrong.size > 0) errors.set(t, wrong)
  }
  return { commits, errors }
}

/** As Kafka says it to who commits. */
function commitError(error: ErrorName): ErrorName {
  switch (error) {
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return 'INVALID_COMMIT_OFFSET_SIZE'
    case 'NOT_ENOUGH_REPLICAS':
      return 'COORDINATOR_NOT_AVAILABLE'
    case 'KAFKA_STORAGE_ERROR':
      return 'NOT_COORDINATOR'
    default:
      return error
  }
}

function respond(
  context: RequestContext,
  request: Request,
  errorAt: (topic: number, partition: number) => ErrorName,
): Response {
  return {
    topics: request.topics.map(({ name, topicId, partitions }, t) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }, p) => {
        const error = errorAt(t, p)
        context.countError(error)
        return { partitionIndex, errorCode: errorCode(error) }
      }),
    })),
  }
}

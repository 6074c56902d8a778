/** OffsetDelete: forgets offsets of topics that nobody in the group reads (KIP-496). */
import type { RequestOf } from '../../protocol/apis.ts'
import { type ErrorName, errorCode, ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import type { Handler } from '../context.ts'
import type { GroupEntry } from '../group/coordinator.ts'
import { deleteOffsets } from '../group/offset-changes.ts'
import { CONSUMER_PROTOCOL } from '../group/subscription.ts'

export const offsetDelete: Handler<'OffsetDelete'> = (broker, request, context) => {
  const failed = (error: unknown) => ({
    errorCode: answerError(broker, context, error).errorCode,
    topics: [],
  })
  try {
    const entry = find(broker, request.groupId)
    const gone: [string, number][] = []
    const topics = request.topics.map(topic => {
      const error = topicError(broker, entry, topic)
      context.countError(error)
      return {
        name: topic.name,
        partitions: topic.partitions.map(({ partitionIndex }) => {
          if (error === 'NONE' && entry.offsets.get(topic.name, partitionIndex) !== undefined) {
            gone.push([topic.name, partitionIndex])
          }
          return { partitionIndex, errorCode: errorCode(error) }
        }),
      }
    })
    deleteOffsets(broker.groups, entry, gone)
    return broker.groups.afterWrites(
      [entry],
      () => ({ errorCode: 0, topics }),
      error => failed(new ProtocolError(error)),
    )
  } catch (error) {
    return failed(error)
  }
}

/** Members that are no consumers might read anything. */
function find(broker: Broker, groupId: string): GroupEntry {
  const entry = broker.groups.find(groupId)
  if (entry === undefined) {
    throw new ProtocolError('GROUP_ID_NOT_FOUND', `there is no group '${groupId}'`)
  }
  const { memberCount, protocolType } = entry.group
  if (memberCount > 0 && protocolType !== CONSUMER_PROTOCOL) {
    const who = `${memberCount} member(s) of type '${protocolType}'`
    throw new ProtocolError('NON_EMPTY_GROUP', `group '${groupId}' has ${who}`)
  }
  return entry
}

function topicError(
  broker: Broker,
  { group }: GroupEntry,
  { name }: RequestOf<'OffsetDelete'>['topics'][number],
): ErrorName {
  if (!broker.image.topics.has(name)) return 'UNKNOWN_TOPIC_OR_PARTITION'
  return group.isSubscribedTo(name) ? 'GROUP_SUBSCRIBED_TO_TOPIC' : 'NONE'
}

/**
 * OffsetFetch: how far groups have read. A partition without an offset answers -1; no list of topics asks for all of the
 * group. `requireStable` has nothing to wait for, because no transaction commits offsets here.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { type ErrorName, errorCode, ProtocolError } from '../../protocol/errors.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import type { GroupEntry } from '../group/coordinator.ts'
import type { CommittedOffset } from '../group/offsets.ts'
import { errorOf } from '../group/requests.ts'

type Response = ResponseInput<'OffsetFetch'>
type GroupAsked = RequestOf<'OffsetFetch'>['groups'][number]
type GroupAnswer = NonNullable<Response['groups']>[number]

const MANY_GROUPS_SINCE_VERSION = 8
const GROUP_ERROR_SINCE_VERSION = 2
const TOPIC_IDS_SINCE_VERSION = 10

interface Found {
  readonly asked: GroupAsked
  readonly entry: GroupEntry | undefined
  readonly error: ErrorName
}

export const offsetFetch: Handler<'OffsetFetch'> = (broker, request, context) => {
  const isSingle = context.apiVersion < MANY_GROUPS_SINCE_VERSION
  const asked: readonly GroupAsked[] = isSingle
    ? [
        {
          groupId: request.groupId,
          memberId: null,
          memberEpoch: -1,
          topics: withIds(request.topics),
        },
      ]
    : request.groups
  const found = asked.map(group => find(broker, context, group))
  const entries = found.flatMap(({ entry }) => (entry === undefined ? [] : [entry]))
  const answer = (failure: ErrorName = 'NONE'): Response => {
    const groups = found.map(one => {
      const error = failure === 'NONE' ? one.error : failure
      context.countError(error)
      return groupAnswer(broker, context, { ...one, error })
    })
    return isSingle ? single(context, groups[0]!) : { groups }
  }
  return broker.groups.afterWrites(entries, answer, answer)
}

function withIds(topics: RequestOf<'OffsetFetch'>['topics']): GroupAsked['topics'] {
  return topics?.map(topic => ({ ...topic, topicId: ZERO_UUID })) ?? null
}

function find(broker: Broker, context: RequestContext, asked: GroupAsked): Found {
  const { groupId, memberId, memberEpoch } = asked
  try {
    const entry = broker.groups.find(groupId)
    if (entry === undefined) return { asked, entry, error: 'NONE' }
    const isMember = memberEpoch >= 0 || (memberId !== null && memberId !== '')
    const error = isMember ? entry.group.checkFetch(memberId ?? '', memberEpoch) : null
    if (error !== null) throw new ProtocolError(error)
    return { asked, entry, error: 'NONE' }
  } catch (error) {
    return { asked, entry: undefined, error: errorOf(broker, context, error) }
  }
}

function groupAnswer(broker: Broker, context: RequestContext, found: Found): GroupAnswer {
  const { asked, entry, error } = found
  const { groupId, topics } = asked
  if (error !== 'NONE' && context.apiVersion >= MANY_GROUPS_SINCE_VERSION) {
    return { groupId, topics: [], errorCode: errorCode(error) }
  }
  const isById = context.apiVersion >= TOPIC_IDS_SINCE_VERSION
  const answers =
    topics === null
      ? allTopics(broker, entry, isById)
      : topics.map(topic => {
          const name = isById ? broker.image.topicsById.get(topic.topicId)?.name : topic.name
          const wrong = name === undefined ? 'UNKNOWN_TOPIC_ID' : error
          const partitions = topic.partitionIndexes.map(index =>
            partitionAnswer(index, entry?.offsets.get(name ?? '', index), wrong),
          )
          return { name: topic.name, topicId: topic.topicId, partitions }
        })
  return { groupId, topics: answers, errorCode: errorCode(error) }
}

function allTopics(broker: Broker, entry: GroupEntry | undefined, isById: boolean) {
  const answers = []
  for (const [name, partitions] of entry?.offsets.topics() ?? []) {
    const topicId = broker.image.topics.get(name)?.id ?? ZERO_UUID
    // A topic that is gone has no id to be named by.
    if (isById && topicId === ZERO_UUID) continue
    const all = [...partitions].map(([index, committed]) =>
      partitionAnswer(index, committed, 'NONE'),
    )
    answers.push({ name, topicId, partitions: all })
  }
  return answers
}

function partitionAnswer(
  partitionIndex: number,
  committed: CommittedOffset | undefined,
  error: ErrorName,
) {
  const found = error === 'NONE' ? committed : undefined
  return {
    partitionIndex,
    committedOffset: found?.offset ?? -1,
    committedLeaderEpoch: found?.leaderEpoch ?? -1,
    metadata: found?.metadata ?? '',
    errorCode: errorCode(error),
  }
}

/** Version 1 has no place for an error of the group but its partitions. */
function single({ apiVersion }: RequestContext, group: GroupAnswer): Response {
  const code = group.errorCode ?? 0
  const topics = group.topics.map(({ name = '', partitions }) => ({ name, partitions }))
  if (apiVersion < GROUP_ERROR_SINCE_VERSION) return { topics }
  return { topics: code === 0 ? topics : [], errorCode: code }
}

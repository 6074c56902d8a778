/** How far a group has read, at its coordinator: committing offsets, and asking for those that are committed. */
import { ZERO_UUID } from '../protocol/buffer.ts'
import type { Attempt, Cluster } from './cluster.ts'
import { AnswerError } from './errors.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface OffsetToCommit extends TopicPartition {
  /** Of the next record to be read. */
  readonly offset: number
  readonly metadata?: string | undefined
  /** Of the record before it; whoever goes on there can tell whether it still stands in the log (KIP-320). */
  readonly leaderEpoch?: number | undefined
}

export interface CommittedOffset extends TopicPartition {
  /** -1: none. */
  readonly offset: number
  /** -1: it was committed without. */
  readonly leaderEpoch: number
}

/** In whose name an offset is committed; without a member: by nobody in particular, which only an empty group allows. */
export interface Committer {
  readonly groupId: string
  readonly groupInstanceId: string | null
  readonly memberId: string
  readonly generation: number
}

/** The broker that coordinates a group. Throws a retriable error while there is none. */
export async function findCoordinator(
  cluster: Cluster,
  groupId: string,
  attempt: Attempt,
): Promise<number> {
  const answer = await cluster.request(
    'any',
    'FindCoordinator',
    version => (version < 4 ? { key: groupId } : { coordinatorKeys: [groupId] }),
    attempt,
  )
  const found = answer.coordinators[0] ?? answer
  if (found.errorCode === 0) return found.nodeId
  const place = { api: 'FindCoordinator', subject: `group '${groupId}'`, broker: attempt.asked }
  throw new AnswerError(found.errorCode, place, found.errorMessage)
}

/** Throws the first error of a partition. */
export async function commitOffsets(
  cluster: Cluster,
  coordinatorId: number,
  committer: Committer,
  offsets: readonly OffsetToCommit[],
  attempt: Attempt,
): Promise<void> {
  const { groupId, groupInstanceId, memberId, generation } = committer
  const topics = await byTopic(cluster, offsets, attempt)
  const request = {
    groupId,
    generationIdOrMemberEpoch: generation,
    memberId,
    ...(groupInstanceId === null ? {} : { groupInstanceId }),
    topics: topics.map(({ name, topicId, items }) => ({
      name,
      topicId,
      partitions: items.map(({ partition, offset, metadata, leaderEpoch }) => ({
        partitionIndex: partition,
        committedOffset: offset,
        committedLeaderEpoch: leaderEpoch ?? -1,
        committedMetadata: metadata ?? '',
      })),
    })),
  }
  const answer = await cluster.request(coordinatorId, 'OffsetCommit', request, attempt)
  for (const { name, topicId, partitions } of answer.topics) {
    const topic = name === '' ? topics.find(known => known.topicId === topicId)?.name : name
    for (const { partitionIndex: partition, errorCode } of partitions) {
      if (errorCode === 0) continue
      const place = { api: 'OffsetCommit', topic, partition, broker: attempt.asked }
      throw new AnswerError(errorCode, place, `group '${groupId}' did not take the offset`)
    }
  }
}

/** Committed offsets, in the order asked for. */
export async function fetchOffsets(
  cluster: Cluster,
  coordinatorId: number,
  groupId: string,
  partitions: readonly TopicPartition[],
  attempt: Attempt,
): Promise<CommittedOffset[]> {
  const topics = (await byTopic(cluster, partitions, attempt)).map(({ name, topicId, items }) => ({
    name,
    topicId,
    partitionIndexes: items.map(({ partition }) => partition),
  }))
  const answer = await cluster.request(
    coordinatorId,
    'OffsetFetch',
    version => {
      const requireStable = version >= 7 ? { requireStable: true } : {}
      if (version >= 8) return { groups: [{ groupId, topics }], ...requireStable }
      const named = topics.map(({ name, partitionIndexes }) => ({ name, partitionIndexes }))
      return { groupId, topics: named, ...requireStable }
    },
    attempt,
  )
  const group = answer.groups[0] ?? answer
  const place = { api: 'OffsetFetch', subject: `group '${groupId}'`, broker: attempt.asked }
  if (group.errorCode !== 0) throw new AnswerError(group.errorCode, place)
  const found = new Map<string, { offset: number; leaderEpoch: number }>()
  for (const topic of group.topics) {
    const topicId = 'topicId' in topic ? topic.topicId : ZERO_UUID
    const name = topic.name === '' ? topics.find(t => t.topicId === topicId)?.name : topic.name
    for (const partition of topic.partitions) {
      const { partitionIndex, committedOffset: offset, errorCode } = partition
      const leaderEpoch = partition.committedLeaderEpoch
      if (errorCode !== 0) {
        throw new AnswerError(errorCode, { ...place, topic: name, partition: partitionIndex })
      }
      found.set(`${name} ${partitionIndex}`, { offset, leaderEpoch })
    }
  }
  return partitions.map(({ topic, partition }) => ({
    topic,
    partition,
    ...(found.get(`${topic} ${partition}`) ?? { offset: -1, leaderEpoch: -1 }),
  }))
}

interface TopicItems<T> {
  readonly name: string
  readonly topicId: string
  readonly items: T[]
}

async function byTopic<T extends TopicPartition>(
  cluster: Cluster,
  list: readonly T[],
  attempt: Attempt,
): Promise<TopicItems<T>[]> {
  const topics = new Map<string, TopicItems<T>>()
  cluster.track(list.map(({ topic }) => topic))
  for (const item of list) {
    let entry = topics.get(item.topic)
    if (entry === undefined) {
      const { topicId } = await cluster.topic(item.topic, attempt)
      entry = { name: item.topic, topicId, items: [] }
      topics.set(item.topic, entry)
    }
    entry.items.push(item)
  }
  return [...topics.values()]
}

/**
 * Consumer groups of a cluster: list, describe, read, set and delete their offsets. Each group is asked of its coordinator,
 * which is looked up anew when an answer says that it has moved.
 */
import type { ApiName, ResponseOf } from '../protocol/apis.ts'
import { ZERO_UUID } from '../protocol/buffer.ts'
import { errorCode } from '../protocol/errors.ts'
import { readAssignment } from '../protocol/messages/consumer-protocol.ts'
import { checkPartitions, checkText, checkTexts, runCall } from './arguments.ts'
import type { Attempt, CallOptions, Cluster, RequestFor } from './cluster.ts'
import { checkOffsets } from './consumer-input.ts'
import { AnswerError, VersionError } from './errors.ts'
import { listOffsets } from './list-offsets.ts'
import { byTopic } from './topic-partition.ts'

export interface GroupListing {
  readonly groupId: string
  readonly protocolType: string
  /** Empty where the broker does not say (before Kafka 2.6). */
  readonly state: string
  /** Empty where the broker does not say (before Kafka 4.0). */
  readonly type: string
}

export interface GroupMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** What it was assigned; empty while that is not known, or for other than consumers. */
  readonly assignment: readonly TopicPartitions[]
}

export interface TopicPartitions {
  readonly topic: string
  readonly partitions: readonly number[]
}

export interface GroupDescription {
  readonly groupId: string
  readonly state: string
  readonly protocolType: string
  readonly protocol: string
  /** What the group waits for and why it last rebalanced, where the broker says that. */
  readonly explanation: string | null
  readonly members: readonly GroupMember[]
}

export interface GroupOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly metadata: string
}

export interface GroupLag extends GroupOffset {
  /** First and next offset of the partition; -1 where they could not be found out. */
  readonly start: number
  readonly end: number
  readonly lag: number | null
}

const GROUP = 0
const CONSUMER_PROTOCOL = 'consumer'
const NOT_FOUND = errorCode('GROUP_ID_NOT_FOUND')

export class GroupAdmin {
  private readonly cluster: Cluster
  private readonly coordinators = new Map<string, number>()

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  /** All groups of all brokers, by name. */
  async list(options: CallOptions = {}): Promise<GroupListing[]> {
    const groups = await runCall(this.cluster, 'listGroups', options, async attempt => {
      await this.cluster.metadata([], attempt)
      const found = new Map<string, GroupListing>()
      for (const node of this.cluster.nodeIds) {
        const answer = await this.cluster.request(node, 'ListGroups', {}, attempt)
        check(answer.errorCode, { api: 'ListGroups', broker: attempt.asked })
        for (const { groupId, protocolType, groupState, groupType } of answer.groups) {
          found.set(groupId, { groupId, protocolType, state: groupState, type: groupType })
        }
      }
      return found
    })
    return [...groups.values()].sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
  }

  /** Throws an AnswerError with GROUP_ID_NOT_FOUND for a group that is not there. */
  describe(groupId: string, options: CallOptions = {}): Promise<GroupDescription> {
    return runCall(this.cluster, 'describeGroup', options, async attempt => {
      const answer = await this.ask(groupId, 'DescribeGroups', { groups: [groupId] }, attempt)
      const group = answer.groups[0]!
      const isAbsent = group.groupState === 'Dead' || group.errorCode === NOT_FOUND
      const ofConsumers = isAbsent ? await this.describeConsumers(groupId, attempt) : null
      if (ofConsumers !== null) return ofConsumers
      this.settle(groupId, 'DescribeGroups', group.errorCode, attempt, group.errorMessage)
      // Before version 6 a group that is not there is dead.
      if (group.groupState === 'Dead') {
        this.settle(groupId, 'DescribeGroups', errorCode('GROUP_ID_NOT_FOUND'), attempt)
      }
      return {
        groupId,
        state: group.groupState,
        protocolType: group.protocolType,
        protocol: group.protocolData,
        explanation: group.errorMessage,
        members: group.members.map(member => memberOf(member, group.protocolType)),
      }
    })
  }

  /** The answer of DescribeGroups itself, members' bytes included; a group that is not there is `Dead`. */
  describeRaw(
    groupId: string,
    options: CallOptions = {},
  ): Promise<ResponseOf<'DescribeGroups'>['groups'][number]> {
    return runCall(this.cluster, 'describeGroup', options, async attempt => {
      const answer = await this.ask(groupId, 'DescribeGroups', { groups: [groupId] }, attempt)
      const group = answer.groups[0]!
      const { errorCode: code, errorMessage } = group
      if (code !== NOT_FOUND) this.settle(groupId, 'DescribeGroups', code, attempt, errorMessage)
      return group
    })
  }

  /** A group of KIP-848; null if there is none of this name. */
  private async describeConsumers(
    groupId: string,
    attempt: Attempt,
  ): Promise<GroupDescription | null> {
    const api = 'ConsumerGroupDescribe'
    try {
      const answer = await this.ask(
        groupId,
        api,
        { groupIds: [groupId], includeAuthorizedOperations: false },
        attempt,
      )
      const group = answer.groups[0]!
      if (group.errorCode === NOT_FOUND) return null
      this.settle(groupId, api, group.errorCode, attempt, group.errorMessage)
      return {
        groupId,
        state: group.groupState,
        protocolType: CONSUMER_PROTOCOL,
        protocol: group.assignorName,
        explanation: group.errorMessage,
        members: group.members.map(
          ({ memberId, instanceId, clientId, clientHost, assignment }) => ({
            memberId,
            groupInstanceId: instanceId,
            clientId,
            clientHost,
            assignment: assignment.topicPartitions.map(({ topicName, partitions }) => ({
              topic: topicName,
              partitions,
            })),
          }),
        ),
      }
    } catch (error) {
      // Before Kafka 4.0 there are no such groups.
      if (error instanceof VersionError) return null
      throw error
    }
  }

  /** Everything that the group has committed, by topic and partition. */
  async offsets(groupId: string, options: CallOptions = {}): Promise<GroupOffset[]> {
    const topics = await runCall(this.cluster, 'fetchOffsets', options, async attempt => {
      const group = { groupId, topics: null }
      const request = (version: number) => (version < 8 ? group : { groups: [group] })
      const answer = await this.ask(groupId, 'OffsetFetch', request, attempt)
      const found = answer.groups[0] ?? answer
      this.settle(groupId, 'OffsetFetch', found.errorCode, attempt)
      return Promise.all(
        found.topics.map(async topic => {
          const topicId = 'topicId' in topic ? topic.topicId : ZERO_UUID
          const name = topic.name === '' ? await this.nameOf(topicId, attempt) : topic.name
          return { name, partitions: topic.partitions }
        }),
      )
    })
    const offsets = topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, committedOffset, metadata }) => ({
        topic: name,
        partition: partitionIndex,
        offset: committedOffset,
        metadata: metadata ?? '',
      })),
    )
    return offsets.filter(({ offset }) => offset >= 0).sort(byPlace)
  }

  /** As `offsets`, with what the partitions hold. */
  async lag(groupId: string, options: CallOptions = {}): Promise<GroupLag[]> {
    const offsets = await this.offsets(groupId, options)
    const ask = (at: 'earliest' | 'latest') =>
      listOffsets(
        this.cluster,
        offsets.map(({ topic, partition }) => ({ topic, partition, at })),
        options,
      )
    const [starts, ends] = await Promise.all([ask('earliest'), ask('latest')])
    return offsets.map((offset, i) => {
      const [start, end] = [starts[i]!.offset, ends[i]!.offset]
      return { ...offset, start, end, lag: end < 0 ? null : Math.max(0, end - offset.offset) }
    })
  }

  /** Sets offsets of a group without members. Throws the first partition's AnswerError. */
  async setOffsets(
    groupId: string,
    offsets: readonly Omit<GroupOffset, 'metadata'>[],
    options: CallOptions = {},
  ): Promise<void> {
    checkText(groupId, 'groupId')
    checkOffsets(offsets)
    const given = byTopic(offsets)
    await runCall(this.cluster, 'setOffsets', options, async attempt => {
      const ids = await this.idsOf([...given.keys()], attempt)
      const topics = [...ids].map(([name, topicId]) => ({
        name,
        topicId,
        partitions: (given.get(name) ?? []).map(({ partition, offset }) => ({
          partitionIndex: partition,
          committedOffset: offset,
          committedMetadata: '',
        })),
      }))
      const answer = await this.ask(
        groupId,
        'OffsetCommit',
        { groupId, memberId: '', topics },
        attempt,
      )
      for (const [i, { partitions }] of answer.topics.entries()) {
        const topic = topics[i]?.name
        for (const { errorCode: code, partitionIndex: partition } of partitions) {
          this.settle(groupId, 'OffsetCommit', code, attempt, null, { topic, partition })
        }
      }
    })
  }

  /** Deletes groups without members. Throws the AnswerError of the first that could not be. */
  async delete(groupIds: readonly string[], options: CallOptions = {}): Promise<void> {
    checkTexts(groupIds, 'groupIds', 'names of groups as a list')
    for (const groupId of groupIds) {
      await runCall(this.cluster, 'deleteGroups', options, async attempt => {
        const request = { groupsNames: [groupId] }
        const { results } = await this.ask(groupId, 'DeleteGroups', request, attempt)
        const code = results[0]!.errorCode
        // An earlier attempt may have done it, and its answer got lost.
        if (attempt.mayBeDone && code === errorCode('GROUP_ID_NOT_FOUND')) return
        this.settle(groupId, 'DeleteGroups', code, attempt)
      })
    }
  }

  /** Forgets how far a group has read in these partitions. Throws the first partition's AnswerError. */
  async deleteOffsets(
    groupId: string,
    partitions: readonly { readonly topic: string; readonly partition: number }[],
    options: CallOptions = {},
  ): Promise<void> {
    checkPartitions(partitions, 'partitions')
    const topics = [...byTopic(partitions)].map(([name, those]) => ({
      name,
      partitions: those.map(({ partition }) => ({ partitionIndex: partition })),
    }))
    await runCall(this.cluster, 'deleteOffsets', options, async attempt => {
      const answer = await this.ask(groupId, 'OffsetDelete', { groupId, topics }, attempt)
      this.settle(groupId, 'OffsetDelete', answer.errorCode, attempt)
      for (const { name: topic, partitions: answers } of answer.topics) {
        for (const { errorCode: code, partitionIndex: partition } of answers) {
          this.settle(groupId, 'OffsetDelete', code, attempt, null, { topic, partition })
        }
      }
    })
  }

  /** Takes static members out of a group by their instance ids; their partitions go to the others at once. */
  async removeMembers(
    groupId: string,
    groupInstanceIds: readonly string[],
    options: CallOptions = {},
  ): Promise<void> {
    checkTexts(groupInstanceIds, 'groupInstanceIds', 'instance ids as a list')
    const members = groupInstanceIds.map(id => ({ memberId: '', groupInstanceId: id }))
    await runCall(this.cluster, 'removeMembers', options, async attempt => {
      const answer = await this.ask(groupId, 'LeaveGroup', { groupId, members }, attempt)
      this.settle(groupId, 'LeaveGroup', answer.errorCode, attempt)
      for (const member of answer.members) {
        this.settle(groupId, 'LeaveGroup', member.errorCode, attempt)
      }
    })
  }

  private async ask<N extends ApiName>(
    groupId: string,
    name: N,
    request: RequestFor<N>,
    attempt: Attempt,
  ): Promise<ResponseOf<N>> {
    checkText(groupId, 'groupId')
    const known = this.coordinators.get(groupId)
    const coordinator = known ?? (await this.findCoordinator(groupId, attempt))
    try {
      return await this.cluster.request(coordinator, name, request, attempt)
    } catch (error) {
      this.coordinators.delete(groupId)
      throw error
    }
  }

  private async findCoordinator(groupId: string, attempt: Attempt): Promise<number> {
    const request = (version: number) =>
      version < 4
        ? { key: groupId, ...(version > 0 && { keyType: GROUP }) }
        : { keyType: GROUP, coordinatorKeys: [groupId] }
    const answer = await this.cluster.request('any', 'FindCoordinator', request, attempt)
    const found = answer.coordinators[0] ?? answer
    const place = { api: 'FindCoordinator', broker: attempt.asked, subject: `group '${groupId}'` }
    check(found.errorCode, place, found.errorMessage)
    this.coordinators.set(groupId, found.nodeId)
    return found.nodeId
  }

  /** Throws what an answer says; a coordinator that is not one any more is looked for anew. */
  private settle(
    groupId: string,
    api: ApiName,
    code: number,
    attempt: Attempt,
    message: string | null = null,
    where: { readonly topic?: string | undefined; readonly partition?: number } = {},
  ): void {
    if (code === 0) return
    this.coordinators.delete(groupId)
    throw new AnswerError(
      code,
      { api, broker: attempt.asked, subject: `group '${groupId}'`, ...where },
      message,
    )
  }

  private async nameOf(topicId: string, attempt: Attempt): Promise<string> {
    const request = { topics: [{ topicId, name: null }] }
    const { topics } = await this.cluster.request('any', 'Metadata', request, attempt)
    return topics[0]?.name ?? topicId
  }

  private async idsOf(
    names: readonly string[],
    attempt: Attempt,
  ): Promise<ReadonlyMap<string, string>> {
    const { topics } = await this.cluster.metadata(names, attempt)
    for (const { errorCode: code, name } of topics) {
      check(code, { api: 'Metadata', topic: name ?? '' })
    }
    return new Map(topics.map(({ name, topicId }) => [name ?? '', topicId]))
  }
}

function check(
  code: number,
  place: ConstructorParameters<typeof AnswerError>[1],
  message: string | null = null,
): void {
  if (code !== 0) throw new AnswerError(code, place, message)
}

function byPlace(a: GroupOffset, b: GroupOffset): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  return a.partition - b.partition
}

function memberOf(
  member: ResponseOf<'DescribeGroups'>['groups'][number]['members'][number],
  protocolType: string,
): GroupMember {
  const { memberId, groupInstanceId, clientId, clientHost, memberAssignment } = member
  const isReadable = protocolType === CONSUMER_PROTOCOL
  const assignment = isReadable ? (readAssignment(memberAssignment) ?? []) : []
  return { memberId, groupInstanceId, clientId, clientHost, assignment }
}

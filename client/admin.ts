/**
 * Topics and settings of a cluster: create, look at, alter, delete.
 *
 * What changes several things at once is not atomic in Kafka: each succeeds or fails for itself. If one thing was asked for
 * and it failed, its AnswerError is thrown; if some of several failed, a PartialError that holds the failures and what
 * succeeded. Creating and deleting return when every broker shows the change (as far as the deadline allows), so that
 * the next call may rely on it.
 */
import type { RequestInput, ResponseOf } from '../protocol/apis.ts'
import { ZERO_UUID } from '../protocol/buffer.ts'
import { errorCode } from '../protocol/errors.ts'
import { AdminBatch } from './admin-batch.ts'
import {
  type ChangeOptions,
  checkChanges,
  checkElection,
  checkEnds,
  checkGoals,
  checkNewTopics,
  checkQueries,
  checkRefs,
  checkResources,
} from './admin-input.ts'
import { CALL, checkCall, checkTexts } from './arguments.ts'
import { BrokerAdmin } from './broker-admin.ts'
import type { Attempt, CallOptions, Cluster, Target } from './cluster.ts'
import { deleteRecords, type RecordsToDelete, type TrimmedPartition } from './delete-records.ts'
import { type ElectionType, electLeaders } from './elect-leaders.ts'
import { AnswerError, isRetriable, OptionError, type Place } from './errors.ts'
import { GroupAdmin } from './group-admin.ts'
import { listOffsets, type OffsetAnswer, type OffsetQuery } from './list-offsets.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface NewTopic {
  readonly name: string
  /** Default: the broker's `num.partitions`. */
  readonly partitions?: number | undefined
  /** Default: the broker's `default.replication.factor`. */
  readonly replicationFactor?: number | undefined
  readonly configs?: Readonly<Record<string, string>> | undefined
  /** In place of the two numbers: for each partition, from 0 on, the brokers that hold it; the first leads. */
  readonly assignments?: readonly (readonly number[])[] | undefined
}

export interface CreatedTopic {
  readonly name: string
  /** Null where the broker does not say (before Kafka 2.8). */
  readonly topicId: string | null
  /** -1 where the broker does not say (before Kafka 2.4), or may not. */
  readonly partitions: number
  readonly replicationFactor: number
}

export interface TopicListing {
  readonly name: string
  readonly topicId: string
  readonly isInternal: boolean
  readonly partitions: number
  readonly replicationFactor: number
}

export type TopicDescription = MetadataTopic & { readonly name: string }

type MetadataTopic = ResponseOf<'Metadata'>['topics'][number]

export interface PartitionsGoal {
  readonly topic: string
  /** How many the topic shall have. */
  readonly count: number
  /** For each partition that is added, the brokers that hold it. Default: the controller places them. */
  readonly assignments?: readonly (readonly number[])[] | undefined
}

/** A topic by its name, or by its id. */
export type TopicRef = string | { readonly topicId: string }

export interface ConfigResource {
  readonly type: 'topic' | 'broker' | 'group'
  /** The topic's or group's name or the broker's node id; an empty one for brokers: what holds for all of them. */
  readonly name: string
}

export type ConfigEntry = ResponseOf<'DescribeConfigs'>['results'][number]['configs'][number]

export interface ResourceConfigs extends ConfigResource {
  readonly configs: readonly ConfigEntry[]
}

export interface ConfigChange extends ConfigResource {
  readonly set?: Readonly<Record<string, string>> | undefined
  /** Names that go back to their defaults. */
  readonly unset?: readonly string[] | undefined
}

/** Where a setting's value comes from, by its number on the wire. */
export const CONFIG_SOURCES = {
  1: 'topic',
  2: 'broker, dynamic',
  3: 'all brokers, dynamic',
  4: 'broker, server.properties',
  5: 'default',
  8: 'group',
} as const satisfies Record<number, string>

const RESOURCE_TYPES = { topic: 2, broker: 4, group: 32 } as const
const SET = 0
const UNSET = 1

/** Longest wait for a change to show on every broker. */
const VISIBLE_WITHIN_MS = 10_000

export class Admin {
  readonly cluster: Cluster
  /** Consumer groups, their members and offsets. */
  readonly groups: GroupAdmin
  /** What brokers know of themselves, and of what is under way in the cluster. */
  readonly brokers: BrokerAdmin

  constructor(cluster: Cluster) {
    this.cluster = cluster
    this.groups = new GroupAdmin(cluster)
    this.brokers = new BrokerAdmin(cluster)
  }

  async createTopics(
    topics: readonly NewTopic[],
    options: ChangeOptions = {},
  ): Promise<CreatedTopic[]> {
    checkNewTopics(topics, options)
    const { validateOnly = false } = options
    const batch = new AdminBatch<NewTopic, CreatedTopic>(topics, topic => topic.name)
    await this.cluster.run('createTopics', options, async attempt => {
      const request: RequestInput<'CreateTopics'> = {
        topics: batch.pending.map(creatable),
        timeoutMs: this.serverTimeoutMs(options),
        validateOnly,
      }
      const answer = await this.cluster.request('controller', 'CreateTopics', request, attempt)
      for (const topic of answer.topics) {
        const place = { api: 'CreateTopics', topic: topic.name }
        batch.settle(topic.name, topic, createdTopic(topic), place, attempt)
      }
      batch.endAttempt('CreateTopics')
    })
    const created = batch.result()
    if (!validateOnly)
      await this.seenEverywhere(
        created.map(t => t.name),
        hasLeaders,
        options,
      )
    return created
  }

  /** Returns what was deleted: names, and ids where that is how the topic was given. */
  async deleteTopics(refs: readonly TopicRef[], options: CallOptions = {}): Promise<TopicRef[]> {
    checkRefs(refs, options)
    const batch = new AdminBatch<TopicRef, TopicRef>(refs, refText)
    const deleted: { readonly name: string; readonly topicId: string }[] = []
    await this.cluster.run('deleteTopics', options, async attempt => {
      const timeoutMs = this.serverTimeoutMs(options)
      const request = (version: number) => deletion(batch.pending, timeoutMs, version)
      const answer = await this.cluster.request('controller', 'DeleteTopics', request, attempt)
      for (const topic of answer.responses) {
        const { name, topicId } = topic
        const ref: TopicRef = name !== null && batch.isPending(name) ? name : { topicId }
        const place = { api: 'DeleteTopics', topic: name ?? refText(ref) }
        batch.settle(refText(ref), topic, ref, place, attempt)
        if (topic.errorCode === 0 && name !== null) deleted.push({ name, topicId })
      }
      batch.endAttempt('DeleteTopics')
    })
    const ids = new Map(deleted.map(({ name, topicId }) => [name, topicId]))
    const isGone = (topic: MetadataTopic) =>
      topic.errorCode !== 0 || topic.topicId !== (ids.get(topic.name ?? '') ?? topic.topicId)
    await this.seenEverywhere([...ids.keys()], isGone, options)
    return batch.result()
  }

  /** All topics, by name. */
  async listTopics(options: CallOptions = {}): Promise<TopicListing[]> {
    const topics = await this.describeTopics(null, options)
    return topics.map(({ name, topicId, isInternal, partitions }) => ({
      name,
      topicId,
      isInternal,
      partitions: partitions.length,
      replicationFactor: partitions[0]?.replicaNodes.length ?? 0,
    }))
  }

  /** Partitions with leader, replicas and in-sync replicas; null: of all topics. Never creates a topic. */
  async describeTopics(
    names: readonly string[] | null,
    options: CallOptions = {},
  ): Promise<TopicDescription[]> {
    checkCall(options, CALL, 'describeTopics')
    if (names !== null) checkTexts(names, 'names', 'names of topics as a list, or null for all')
    const batch = new AdminBatch<string, TopicDescription>(names ?? [], name => name)
    return this.cluster.run('describeTopics', options, async attempt => {
      const asked = names === null ? null : batch.pending
      const { topics } = await this.cluster.metadata(asked, attempt)
      const named = topics.filter(isNamed)
      if (asked === null) return named.filter(topic => topic.errorCode === 0).sort(byName)
      for (const topic of named) {
        batch.settle(topic.name, topic, topic, { api: 'Metadata', topic: topic.name }, attempt)
      }
      batch.endAttempt('Metadata')
      return batch.result().sort(byName)
    })
  }

  /** Raises the number of partitions. Returns the topics' names. */
  async createPartitions(
    goals: readonly PartitionsGoal[],
    options: ChangeOptions = {},
  ): Promise<string[]> {
    checkGoals(goals, options)
    const batch = new AdminBatch<PartitionsGoal, string>(goals, goal => goal.topic)
    await this.cluster.run('createPartitions', options, async attempt => {
      const request: RequestInput<'CreatePartitions'> = {
        topics: batch.pending.map(({ topic, count, assignments }) => ({
          name: topic,
          count,
          assignments: assignments?.map(brokerIds => ({ brokerIds })) ?? null,
        })),
        timeoutMs: this.serverTimeoutMs(options),
        validateOnly: options.validateOnly ?? false,
      }
      const answer = await this.cluster.request('controller', 'CreatePartitions', request, attempt)
      for (const result of answer.results) {
        const place = { api: 'CreatePartitions', topic: result.name }
        batch.settle(result.name, result, result.name, place, attempt)
      }
      batch.endAttempt('CreatePartitions')
    })
    const changed = batch.result()
    const counts = new Map(goals.map(({ topic, count }) => [topic, count]))
    const hasThem = (topic: MetadataTopic) =>
      hasLeaders(topic) && topic.partitions.length >= (counts.get(topic.name ?? '') ?? 0)
    if (options.validateOnly !== true) await this.seenEverywhere(changed, hasThem, options)
    return changed
  }

  /** Every setting of each resource, with its value and where that comes from (CONFIG_SOURCES). */
  async describeConfigs(
    resources: readonly ConfigResource[],
    options: CallOptions & { readonly documentation?: boolean } = {},
  ): Promise<ResourceConfigs[]> {
    checkResources(resources, options)
    const batch = new AdminBatch<ConfigResource, ResourceConfigs>(resources, resourceText)
    await this.cluster.run('describeConfigs', options, async attempt => {
      for (const [target, group] of byTarget(batch.pending, 'any')) {
        const request = (version: number): RequestInput<'DescribeConfigs'> => ({
          resources: group.map(r => ({ ...resourceKey(r), configurationKeys: null })),
          includeDocumentation: version >= 3 && options.documentation === true,
        })
        const answer = await this.cluster.request(target, 'DescribeConfigs', request, attempt)
        for (const result of answer.results) {
          const { resourceName: name, configs } = result
          const resource: ConfigResource = { type: resourceType(result.resourceType), name }
          const place = resourcePlace('DescribeConfigs', resource)
          const described = { ...resource, configs }
          batch.settle(resourceText(resource), result, described, place, attempt)
        }
      }
      batch.endAttempt('DescribeConfigs')
    })
    return batch.result()
  }

  /** Changes single settings and leaves the others as they are. Returns the resources that were changed. */
  async incrementalAlterConfigs(
    changes: readonly ConfigChange[],
    options: ChangeOptions = {},
  ): Promise<ConfigResource[]> {
    checkChanges(changes, options)
    const batch = new AdminBatch<ConfigChange, ConfigResource>(changes, resourceText)
    await this.cluster.run('incrementalAlterConfigs', options, async attempt => {
      for (const [target, group] of byTarget(batch.pending, 'controller')) {
        const request: RequestInput<'IncrementalAlterConfigs'> = {
          resources: group.map(r => ({ ...resourceKey(r), configs: operations(r) })),
          validateOnly: options.validateOnly ?? false,
        }
        const api = 'IncrementalAlterConfigs'
        const answer = await this.cluster.request(target, api, request, attempt)
        for (const result of answer.responses) {
          const { resourceType: type, resourceName: name } = result
          const resource: ConfigResource = { type: resourceType(type), name }
          const place = resourcePlace(api, resource)
          batch.settle(resourceText(resource), result, resource, place, attempt)
        }
      }
      batch.endAttempt('IncrementalAlterConfigs')
    })
    return batch.result()
  }

  /** Offsets of partitions, in the order asked. What cannot be found out has its reason in `error`. */
  async listOffsets(
    queries: readonly OffsetQuery[],
    options: CallOptions = {},
  ): Promise<OffsetAnswer[]> {
    checkQueries(queries, options)
    return listOffsets(this.cluster, queries, options)
  }

  /** Takes records from the front of partitions away, for all readers; returns where each begins now. */
  async deleteRecords(
    places: readonly RecordsToDelete[],
    options: CallOptions = {},
  ): Promise<TrimmedPartition[]> {
    checkEnds(places, options)
    return deleteRecords(this.cluster, places, options)
  }

  /** Leaders for partitions that have none, or not the preferred one; returns those that got theirs. */
  async electLeaders(
    type: ElectionType,
    partitions: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<TopicPartition[]> {
    checkElection(type, partitions, options)
    return electLeaders(this.cluster, type, partitions, options)
  }

  close(): void {
    this.cluster.close()
  }

  /** How long the broker may work on it: no longer than we wait for it. */
  private serverTimeoutMs({ timeoutMs }: CallOptions): number {
    const { requestTimeoutMs, apiTimeoutMs } = this.cluster.config
    return Math.min(requestTimeoutMs, timeoutMs ?? apiTimeoutMs)
  }

  /** Waits until every broker shows these topics as `isDone` wants them; gives up without an error. */
  private async seenEverywhere(
    names: readonly string[],
    isDone: (topic: MetadataTopic) => boolean,
    options: CallOptions,
  ): Promise<void> {
    if (names.length === 0) return
    const { apiTimeoutMs } = this.cluster.config
    const timeoutMs = Math.min(VISIBLE_WITHIN_MS, options.timeoutMs ?? apiTimeoutMs)
    const topics = names.map(name => ({ name }))
    const request = { topics, allowAutoTopicCreation: false }
    const look = async (attempt: Attempt): Promise<void> => {
      const asks = this.cluster.nodeIds.map(nodeId =>
        this.cluster.request(nodeId, 'Metadata', request, attempt),
      )
      for (const answer of await Promise.all(asks)) {
        const late = answer.topics.find(topic => !isDone(topic))
        if (late === undefined) continue
        const place = { api: 'Metadata', topic: late.name ?? undefined }
        throw new AnswerError(errorCode('LEADER_NOT_AVAILABLE'), place)
      }
    }
    try {
      await this.cluster.run('waiting for all brokers', { ...options, timeoutMs }, look)
    } catch (error) {
      if (!isRetriable(error)) throw error
    }
  }
}

function creatable({ name, partitions, replicationFactor, configs, assignments }: NewTopic) {
  const isPlaced = assignments !== undefined
  return {
    name,
    numPartitions: isPlaced ? -1 : (partitions ?? -1),
    replicationFactor: isPlaced ? -1 : (replicationFactor ?? -1),
    assignments: (assignments ?? []).map((brokerIds, partitionIndex) => ({
      partitionIndex,
      brokerIds,
    })),
    configs: Object.entries(configs ?? {}).map(([key, value]) => ({ name: key, value })),
  }
}

function createdTopic(topic: ResponseOf<'CreateTopics'>['topics'][number]): CreatedTopic {
  const { name, topicId, numPartitions, replicationFactor } = topic
  return {
    name,
    topicId: topicId === ZERO_UUID ? null : topicId,
    partitions: numPartitions,
    replicationFactor,
  }
}

/** From version 6 on names and ids; before, only names. */
function deletion(
  refs: readonly TopicRef[],
  timeoutMs: number,
  version: number,
): RequestInput<'DeleteTopics'> {
  const hasIds = refs.some(ref => typeof ref !== 'string')
  if (version < 6 && !hasIds) return { topicNames: refs.map(refText), timeoutMs }
  const topics = refs.map(ref =>
    typeof ref === 'string' ? { name: ref, topicId: ZERO_UUID } : { name: null, ...ref },
  )
  return { topics, timeoutMs }
}

function refText(ref: TopicRef): string {
  return typeof ref === 'string' ? ref : `id ${ref.topicId}`
}

function isNamed(topic: MetadataTopic): topic is TopicDescription {
  return topic.name !== null
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1
}

function hasLeaders(topic: MetadataTopic): boolean {
  return topic.errorCode === 0 && topic.partitions.every(partition => partition.leaderId >= 0)
}

function resourceText({ type, name }: ConfigResource): string {
  return name === '' ? `all ${type}s` : `${type} ${name}`
}

function resourceKey({ type, name }: ConfigResource) {
  return { resourceType: RESOURCE_TYPES[type], resourceName: name }
}

function resourceType(code: number): ConfigResource['type'] {
  if (code === RESOURCE_TYPES.topic) return 'topic'
  return code === RESOURCE_TYPES.group ? 'group' : 'broker'
}

function resourcePlace(api: string, resource: ConfigResource): Place {
  const { type, name } = resource
  return type === 'topic' ? { api, topic: name } : { api, subject: resourceText(resource) }
}

function operations({ set = {}, unset = [] }: ConfigChange) {
  return [
    ...Object.entries(set).map(([name, value]) => ({ name, configOperation: SET, value })),
    ...unset.map(name => ({ name, configOperation: UNSET, value: null })),
  ]
}

/** A broker's own settings are asked of that broker, all others of `otherwise`. */
function byTarget<R extends ConfigResource>(
  resources: readonly R[],
  otherwise: Target,
): Map<Target, R[]> {
  const groups = new Map<Target, R[]>()
  for (const resource of resources) {
    const { type, name } = resource
    const nodeId = type === 'broker' && name !== '' ? Number(name) : null
    if (nodeId !== null && !(Number.isInteger(nodeId) && nodeId >= 0)) {
      throw new OptionError(`'${name}' is not the node id of a broker.`)
    }
    const target = nodeId ?? otherwise
    groups.set(target, [...(groups.get(target) ?? []), resource])
  }
  return groups
}

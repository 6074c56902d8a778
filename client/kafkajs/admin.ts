/** kafkajs's admin on ours: the same calls, and answers of the same shape. */
import { Admin } from '../admin.ts'
import type { Cluster } from '../cluster.ts'
import { AnswerError, PartialError } from '../errors.ts'
import type { OffsetQuery } from '../list-offsets.ts'
import {
  alterConfigs,
  describeConfigs,
  type ResourceConfig,
  type ResourceQuery,
} from './admin-configs.ts'
import { checkName, checkTopics, refusal } from './admin-input.ts'
import { partitionMetadata } from './assigner-protocol.ts'
import { kafkaJsError, protocolError } from './error-mapping.ts'
import {
  type DeleteGroupsResult,
  KafkaJSAggregateError,
  KafkaJSCreateTopicError,
  KafkaJSDeleteGroupsError,
  KafkaJSDeleteTopicRecordsError,
  type KafkaJSError,
  KafkaJSNotImplemented,
  KafkaJSProtocolError,
} from './errors.ts'
import { ADMIN_EVENTS, Events } from './events.ts'
import type { Logger } from './logger.ts'
import {
  openCluster,
  type Retries,
  reach,
  retriesOf,
  type Settings,
  watchRequests,
} from './settings.ts'
import type {
  ConsumerGroupState,
  MemberDescription,
  RetryOptions,
  TopicPartitions,
} from './shapes.ts'

export interface ITopicConfig {
  readonly topic: string
  readonly numPartitions?: number
  readonly replicationFactor?: number
  readonly replicaAssignment?: readonly {
    readonly partition: number
    readonly replicas: number[]
  }[]
  readonly configEntries?: readonly { readonly name: string; readonly value: string }[]
}

export interface SeekEntry {
  partition: number
  offset: string
}

export interface AclFilter {
  readonly resourceType: number
  readonly resourceName?: string
  readonly resourcePatternType: number
  readonly principal?: string
  readonly host?: string
  readonly operation: number
  readonly permissionType: number
}

export class KafkaJsAdmin {
  readonly events = ADMIN_EVENTS
  private readonly settings: Settings
  private readonly retry: RetryOptions | undefined
  private readonly retries: Retries
  private readonly emitter: Events<typeof ADMIN_EVENTS>
  private native: Admin | null = null

  constructor(settings: Settings, { retry }: { readonly retry?: RetryOptions }) {
    const logger = settings.logger.namespace('Admin')
    this.settings = { ...settings, logger }
    this.retry = retry
    this.retries = retriesOf(settings.kafka, retry)
    this.emitter = new Events(settings.io.clock, 'admin', ADMIN_EVENTS, logger)
  }

  connect = async (): Promise<void> => {
    await this.admin()
    this.emitter.emit('connect', null)
  }

  disconnect = async (): Promise<void> => {
    this.native?.close()
    this.native = null
    this.emitter.emit('disconnect', null)
  }

  listTopics = async (): Promise<string[]> =>
    this.mapped(async admin => (await admin.listTopics()).map(({ name }) => name))

  /** False where all of the topics are there already. */
  createTopics = async (request: {
    validateOnly?: boolean
    waitForLeaders?: boolean
    timeout?: number
    topics: readonly ITopicConfig[]
  }): Promise<boolean> => {
    const { topics, validateOnly = false } = request
    checkTopics(topics, 'topics')
    const admin = await this.admin()
    try {
      await admin.createTopics(topics.map(newTopic), { validateOnly })
      return true
    } catch (error) {
      const failures = failuresOf(error)
      if (failures === null) throw kafkaJsError(error, this.retries)
      if (failures.every(failure => failure.error === 'TOPIC_ALREADY_EXISTS')) return false
      const errors = failures.map(
        failure => new KafkaJSCreateTopicError(protocolError(failure), failure.topic ?? ''),
      )
      throw new KafkaJSAggregateError('Topic creation errors', errors)
    }
  }

  deleteTopics = async ({ topics }: { topics: string[]; timeout?: number }): Promise<void> => {
    if (!Array.isArray(topics)) throw refusal(`Invalid topics array ${topics}`)
    for (const topic of topics) checkName(topic, 'topic')
    await this.mapped(admin => admin.deleteTopics(topics))
  }

  createPartitions = async (request: {
    validateOnly?: boolean
    timeout?: number
    topicPartitions: readonly { topic: string; count: number; assignments?: number[][] }[]
  }): Promise<boolean> => {
    const { topicPartitions, validateOnly = false } = request
    checkTopics(topicPartitions, 'topic partitions')
    if (topicPartitions.length === 0) throw refusal('Empty topic partitions array')
    const goals = topicPartitions.map(({ topic, count, assignments }) => {
      return { topic, count: Number(count), assignments: assignments?.map(ids => ids.map(Number)) }
    })
    await this.mapped(admin => admin.createPartitions(goals, { validateOnly }))
    return true
  }

  /** Of all topics where none are named. */
  fetchTopicMetadata = async ({ topics = [] }: { topics?: string[] } = {}) => {
    for (const topic of topics) checkName(topic, 'topic')
    return this.mapped(async admin => {
      const described = await admin.describeTopics(topics.length > 0 ? topics : null)
      return {
        topics: described.map(({ name, partitions }) => ({
          name,
          partitions: partitionMetadata(
            [...partitions].sort((a, b) => a.partitionIndex - b.partitionIndex),
          ),
        })),
      }
    })
  }

  fetchTopicOffsets = async (
    topic: string,
  ): Promise<(SeekEntry & { high: string; low: string })[]> => {
    checkName(topic, 'topic')
    const highs = await this.offsets(topic, 'latest')
    const lows = await this.offsets(topic, 'earliest')
    return highs.map(({ partition, offset }, i) => ({
      partition,
      offset,
      high: offset,
      low: lows[i]!.offset,
    }))
  }

  /** The end of a partition where nothing is that young; without a time, too. */
  fetchTopicOffsetsByTimestamp = async (
    topic: string,
    timestamp?: number,
  ): Promise<SeekEntry[]> => {
    checkName(topic, 'topic')
    const ends = await this.offsets(topic, 'latest')
    if (timestamp === undefined) return ends
    const found = await this.offsets(topic, Number(timestamp))
    return found.map((entry, i) => (entry.offset === '-1' ? ends[i]! : entry))
  }

  /** -1 where nothing is committed. */
  fetchOffsets = async (request: {
    groupId: string
    topics?: string[]
    resolveOffsets?: boolean
  }) => {
    const { groupId, topics = [] } = request
    checkName(groupId, 'groupId')
    if (!Array.isArray(topics)) throw refusal('Expected topics array to be set')
    return this.mapped(async admin => {
      const committed = await admin.groups.offsets(groupId)
      const names = topics.length > 0 ? topics : [...new Set(committed.map(({ topic }) => topic))]
      const described = await admin.describeTopics(names)
      return names.map(topic => {
        const count = described.find(({ name }) => name === topic)?.partitions.length ?? 0
        const those = committed.filter(offset => offset.topic === topic)
        const all = Array.from({ length: count }, (_, partition) => partition)
        const partitions = (topics.length > 0 ? all : those.map(o => o.partition)).map(
          partition => {
            const found = those.find(offset => offset.partition === partition)
            const metadata = found === undefined || found.metadata === '' ? null : found.metadata
            return { partition, offset: String(found?.offset ?? -1), metadata }
          },
        )
        return { topic, partitions }
      })
    })
  }

  setOffsets = async (request: {
    groupId: string
    topic: string
    partitions: SeekEntry[]
  }): Promise<void> => {
    const { groupId, topic, partitions } = request
    checkName(groupId, 'groupId')
    checkName(topic, 'topic')
    if (!partitions || partitions.length === 0) throw refusal('Invalid partitions')
    await this.mapped(async admin => {
      await this.refuseRunning(admin, groupId)
      const offsets = partitions.map(async ({ partition: given, offset }) => {
        const partition = Number(given)
        if (Number(offset) >= 0) return { topic, partition, offset: Number(offset) }
        const at = Number(offset) === -1 ? 'latest' : 'earliest'
        const [answer] = await admin.listOffsets([{ topic, partition, at }])
        if (answer!.error !== null) throw answer!.error
        return { topic, partition, offset: answer!.offset }
      })
      await admin.groups.setOffsets(groupId, await Promise.all(offsets))
    })
  }

  resetOffsets = async (request: {
    groupId: string
    topic: string
    earliest?: boolean
  }): Promise<void> => {
    const { groupId, topic, earliest = false } = request
    checkName(groupId, 'groupId')
    checkName(topic, 'topic')
    const partitions = await this.offsets(topic, earliest ? 'earliest' : 'latest')
    await this.setOffsets({ groupId, topic, partitions })
  }

  describeCluster = async () =>
    this.mapped(async admin => {
      const { brokers, controllerId, clusterId } = await admin.brokers.describeCluster()
      return {
        brokers: brokers.map(({ nodeId, host, port }) => ({ nodeId, host, port })),
        controller: controllerId < 0 ? null : controllerId,
        clusterId: clusterId ?? '',
      }
    })

  describeConfigs = (request: {
    resources: readonly ResourceQuery[]
    includeSynonyms?: boolean
  }): ReturnType<typeof describeConfigs> => this.mapped(admin => describeConfigs(admin, request))

  /** What is not listed goes back to its default, as Kafka's AlterConfigs has it. */
  alterConfigs = (request: {
    validateOnly?: boolean
    resources: readonly ResourceConfig[]
  }): ReturnType<typeof alterConfigs> => this.mapped(admin => alterConfigs(admin, request))

  listGroups = async () =>
    this.mapped(async admin => {
      const groups = await admin.groups.list()
      return { groups: groups.map(({ groupId, protocolType }) => ({ groupId, protocolType })) }
    })

  describeGroups = async (groupIds: string[]) =>
    this.mapped(async ({ groups }) => ({
      groups: await Promise.all(
        groupIds.map(async groupId => {
          const group = await groups.describeRaw(groupId)
          const { errorCode, members, protocolData: protocol, protocolType, groupState } = group
          return {
            errorCode,
            groupId,
            members: members as unknown as MemberDescription[],
            protocol,
            protocolType,
            state: groupState as ConsumerGroupState,
          }
        }),
      ),
    }))

  deleteGroups = async (groupIds: string[]): Promise<DeleteGroupsResult[]> => {
    if (!Array.isArray(groupIds)) throw refusal(`Invalid groupIds array ${groupIds}`)
    for (const groupId of groupIds) checkName(groupId, 'groupId')
    const admin = await this.admin()
    const results = await Promise.all(
      groupIds.map(async (groupId): Promise<DeleteGroupsResult> => {
        try {
          await admin.groups.delete([groupId])
          return { groupId, errorCode: 0 }
        } catch (error) {
          const known = kafkaJsError(error, this.retries)
          if (!(known instanceof KafkaJSProtocolError)) throw known
          return { groupId, errorCode: known.code, error: known }
        }
      }),
    )
    const failed = results.filter(({ error }) => error !== undefined)
    if (failed.length > 0) throw new KafkaJSDeleteGroupsError('Error in DeleteGroups', failed)
    return results
  }

  deleteTopicRecords = async (request: {
    topic: string
    partitions: readonly SeekEntry[]
  }): Promise<void> => {
    const { topic, partitions } = request
    checkName(topic, 'topic')
    if (!partitions || partitions.length === 0) throw refusal('Invalid partitions')
    const admin = await this.admin()
    const places = partitions.map(({ partition, offset }) => ({
      topic,
      partition: Number(partition),
      before: Number(offset) === -1 ? ('latest' as const) : Number(offset),
    }))
    try {
      await admin.deleteRecords(places)
    } catch (error) {
      const failures = failuresOf(error)
      if (failures === null) throw kafkaJsError(error, this.retries)
      throw new KafkaJSDeleteTopicRecordsError({
        partitions: failures.map(failure => ({
          partition: failure.partition ?? -1,
          offset: partitions.find(p => p.partition === failure.partition)?.offset ?? '',
          error: kafkaJsError(failure, this.retries) as KafkaJSError,
        })),
      })
    }
  }

  listPartitionReassignments = async (
    request: { topics?: TopicPartitions[]; timeout?: number } = {},
  ) =>
    this.mapped(async admin => {
      const all = await admin.brokers.listReassignments()
      const wanted = all.filter(
        ({ topic, partition }) =>
          request.topics === undefined ||
          request.topics.some(t => t.topic === topic && t.partitions.includes(partition)),
      )
      const names = [...new Set(wanted.map(({ topic }) => topic))]
      return {
        topics: names.map(topic => ({
          topic,
          partitions: wanted
            .filter(one => one.topic === topic)
            .map(({ partition, replicas, addingReplicas, removingReplicas }) => ({
              partitionIndex: partition,
              replicas: [...replicas],
              addingReplicas: [...addingReplicas],
              removingReplicas: [...removingReplicas],
            })),
        })),
      }
    })

  describeAcls = async (filter: AclFilter) =>
    this.mapped(async admin => {
      const { resourceType, resourceName, resourcePatternType: patternType } = filter
      const { principal, host, operation, permissionType } = filter
      const what = { resourceType, resourceName, patternType }
      const who = { principal, host, operation, permissionType }
      const found = await admin.brokers.describeAcls({ ...what, ...who })
      return {
        throttleTime: 0,
        errorCode: 0,
        resources: found.map(({ patternType: resourcePatternType, ...resource }) => ({
          ...resource,
          resourcePatternType,
        })),
      }
    })

  /** Rejects, as the three below: neither this client nor its broker does it yet. */
  createAcls = (_request: unknown): Promise<never> => notYet('createAcls')
  deleteAcls = (_request: unknown): Promise<never> => notYet('deleteAcls')
  alterPartitionReassignments = (_request: unknown): Promise<never> =>
    notYet('alterPartitionReassignments')

  on: Events<typeof ADMIN_EVENTS>['on'] = (name, listener) => this.emitter.on(name, listener)

  logger = (): Logger => this.settings.logger

  private async admin(): Promise<Admin> {
    if (this.native !== null) return this.native
    const { settings, retry, emitter } = this
    const options = { retry, allowAutoTopicCreation: false }
    const cluster: Cluster = await openCluster(settings, options, watchRequests(settings, emitter))
    try {
      await reach(cluster)
    } catch (error) {
      cluster.close()
      throw kafkaJsError(error, this.retries)
    }
    this.native = new Admin(cluster)
    return this.native
  }

  private async offsets(topic: string, at: OffsetQuery['at']): Promise<SeekEntry[]> {
    return this.mapped(async admin => {
      const [described] = await admin.describeTopics([topic])
      const queries = described!.partitions.map((_, partition) => ({ topic, partition, at }))
      const answers = await admin.listOffsets(queries)
      const failed = answers.find(({ error }) => error !== null)
      if (failed !== undefined) throw failed.error
      return answers.map(({ partition, offset }) => ({ partition, offset: String(offset) }))
    })
  }

  private async refuseRunning(admin: Admin, groupId: string): Promise<void> {
    const { groupState: state } = await admin.groups.describeRaw(groupId)
    if (state === 'Empty' || state === 'Dead') return
    const text = 'The consumer group must have no running instances'
    throw refusal(`${text}, current state: ${state}`)
  }

  private async mapped<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = await this.admin()
    try {
      return await work(admin)
    } catch (error) {
      throw kafkaJsError(error, this.retries)
    }
  }
}

function newTopic(config: ITopicConfig) {
  const { topic, numPartitions, replicationFactor, replicaAssignment = [] } = config
  const entries = config.configEntries ?? []
  for (const [i, entry] of entries.entries()) {
    if (typeof entry?.name === 'string' && typeof entry.value === 'string') continue
    const wrong = typeof entry?.name === 'string' ? 'value' : 'name'
    const text = `Entry ${i} must have a valid "${wrong}" property`
    throw refusal(`Invalid configEntries for topic "${topic}". ${text}`)
  }
  const placed = [...replicaAssignment].sort((a, b) => a.partition - b.partition)
  return {
    name: topic,
    partitions: Number(numPartitions ?? -1),
    replicationFactor: Number(replicationFactor ?? -1),
    configs: Object.fromEntries(entries.map(({ name, value }) => [name, value])),
    ...(placed.length > 0 && { assignments: placed.map(({ replicas }) => replicas.map(Number)) }),
  }
}

/** What failed of several things; null for an error of the call as a whole. */
function failuresOf(error: unknown): readonly AnswerError[] | null {
  if (error instanceof PartialError) return error.failures
  return error instanceof AnswerError ? [error] : null
}

async function notYet(what: string): Promise<never> {
  throw new KafkaJSNotImplemented(`${what} is not supported yet`)
}

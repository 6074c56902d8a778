/** Questions about a cluster's brokers: who they are, what lies on their disks, which producers write, who may do what. */
import type { ResponseOf } from '../protocol/apis.ts'
import { checkAclFilter, checkNodeIds } from './admin-input.ts'
import { checkPartitions, runCall } from './arguments.ts'
import type { Attempt, CallOptions, Cluster } from './cluster.ts'
import { AnswerError } from './errors.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface BrokerDescription {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface ClusterDescription {
  /** Null where the broker does not say. */
  readonly clusterId: string | null
  /** -1: there is none at the moment. */
  readonly controllerId: number
  readonly brokers: readonly BrokerDescription[]
}

export interface LogDir {
  readonly nodeId: number
  readonly path: string
  /** Of the volume; -1 where the broker does not say (before Kafka 3.3). */
  readonly totalBytes: number
  readonly usableBytes: number
  readonly partitions: readonly LogDirPartition[]
}

export interface LogDirPartition extends TopicPartition {
  readonly bytes: number
  /** How far a replica that is being moved is behind. */
  readonly offsetLag: number
  readonly isFuture: boolean
}

export interface ActiveProducer extends TopicPartition {
  readonly producerId: number
  readonly producerEpoch: number
  readonly lastSequence: number
  readonly lastTimestampMs: number
  /** Where its open transaction begins; -1 without one. */
  readonly transactionStartOffset: number
}

export interface Reassignment extends TopicPartition {
  readonly replicas: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
}

export interface TransactionListing {
  readonly transactionalId: string
  readonly producerId: number
  readonly state: string
}

/** Numbers as on the wire (Kafka's AclBinding); what is left out matches everything. */
export interface AclFilter {
  readonly resourceType?: number | undefined
  readonly resourceName?: string | null | undefined
  readonly patternType?: number | undefined
  readonly principal?: string | null | undefined
  readonly host?: string | null | undefined
  readonly operation?: number | undefined
  readonly permissionType?: number | undefined
}

export type AclResource = ResponseOf<'DescribeAcls'>['resources'][number]
export type ScramUser = ResponseOf<'DescribeUserScramCredentials'>['results'][number]
export type QuotaEntry = NonNullable<ResponseOf<'DescribeClientQuotas'>['entries']>[number]

const ANY = 1
/** Numbers of resources that have settings. */
const RESOURCE_TYPES: Readonly<Record<number, string>> = {
  2: 'topic',
  4: 'broker',
  8: 'broker logger',
  16: 'client metrics',
  32: 'group',
}

export class BrokerAdmin {
  private readonly cluster: Cluster

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  describeCluster(options: CallOptions = {}): Promise<ClusterDescription> {
    return runCall(this.cluster, 'describeCluster', options, async attempt => {
      const { clusterId, controllerId, brokers } = await this.cluster.metadata([], attempt)
      const list = brokers.map(({ nodeId, host, port, rack }) => ({ nodeId, host, port, rack }))
      return { clusterId, controllerId, brokers: list.sort((a, b) => a.nodeId - b.nodeId) }
    })
  }

  /** Data directories of these brokers (default: all), with the size of each partition in them. */
  async describeLogDirs(nodeIds?: readonly number[], options: CallOptions = {}): Promise<LogDir[]> {
    checkNodeIds(nodeIds)
    const answers = await this.askEach(nodeIds, 'describeLogDirs', options, async (id, attempt) => {
      const answer = await this.cluster.request(id, 'DescribeLogDirs', { topics: null }, attempt)
      check(answer, 'DescribeLogDirs', attempt)
      for (const result of answer.results) check(result, 'DescribeLogDirs', attempt)
      return { id, answer }
    })
    return answers.flatMap(({ id: nodeId, answer }) =>
      answer.results.map(({ logDir: path, totalBytes, usableBytes, topics }) => ({
        nodeId,
        path,
        totalBytes,
        usableBytes,
        partitions: topics.flatMap(({ name: topic, partitions }) =>
          partitions.map(({ partitionIndex, partitionSize, offsetLag, isFutureKey }) => ({
            topic,
            partition: partitionIndex,
            bytes: partitionSize,
            offsetLag,
            isFuture: isFutureKey,
          })),
        ),
      })),
    )
  }

  /** Producers that wrote to these partitions lately, as their leaders remember them. */
  async describeProducers(
    partitions: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<ActiveProducer[]> {
    checkPartitions(partitions, 'partitions')
    const found: ActiveProducer[] = []
    this.cluster.track(partitions.map(({ topic }) => topic))
    for (const { topic, partition } of partitions) {
      const producers = await runCall(this.cluster, 'describeProducers', options, async attempt => {
        const { leaderId } = await this.cluster.leader(topic, partition, attempt)
        const request = { topics: [{ name: topic, partitionIndexes: [partition] }] }
        const answer = await this.cluster.request(leaderId, 'DescribeProducers', request, attempt)
        const result = answer.topics[0]!.partitions[0]!
        check(result, 'DescribeProducers', attempt, { topic, partition })
        return result.activeProducers
      })
      for (const { producerId, producerEpoch, lastSequence, ...rest } of producers) {
        found.push({
          topic,
          partition,
          producerId,
          producerEpoch,
          lastSequence,
          lastTimestampMs: rest.lastTimestamp,
          transactionStartOffset: rest.currentTxnStartOffset,
        })
      }
    }
    return found
  }

  /** Partitions whose replicas are being moved. */
  listReassignments(options: CallOptions = {}): Promise<Reassignment[]> {
    const api = 'ListPartitionReassignments'
    return runCall(this.cluster, 'listReassignments', options, async attempt => {
      const answer = await this.cluster.request('controller', api, { topics: null }, attempt)
      check(answer, api, attempt)
      return answer.topics.flatMap(({ name: topic, partitions }) =>
        partitions.map(({ partitionIndex: partition, ...rest }) => ({ topic, partition, ...rest })),
      )
    })
  }

  /** Resources of all kinds that have settings of their own. */
  listConfigResources(
    options: CallOptions = {},
  ): Promise<{ readonly type: string; readonly name: string }[]> {
    const api = 'ListConfigResources'
    return runCall(this.cluster, 'listConfigResources', options, async attempt => {
      const answer = await this.cluster.request('any', api, {}, attempt)
      check(answer, api, attempt)
      return answer.configResources.map(({ resourceName: name, resourceType }) => ({
        type: RESOURCE_TYPES[resourceType] ?? String(resourceType),
        name,
      }))
    })
  }

  /** Transactional ids of all brokers. */
  async listTransactions(options: CallOptions = {}): Promise<TransactionListing[]> {
    const api = 'ListTransactions'
    const request = { stateFilters: [], producerIdFilters: [] }
    const lists = await this.askEach(
      undefined,
      'listTransactions',
      options,
      async (id, attempt) => {
        const answer = await this.cluster.request(id, api, request, attempt)
        check(answer, api, attempt)
        return answer.transactionStates.map(({ transactionState: state, ...rest }) => ({
          ...rest,
          state,
        }))
      },
    )
    return lists.flat()
  }

  /** Access rules that match. Throws an AnswerError with SECURITY_DISABLED where there are none at all. */
  async describeAcls(
    filter: AclFilter = {},
    options: CallOptions = {},
  ): Promise<readonly AclResource[]> {
    checkAclFilter(filter)
    return runCall(this.cluster, 'describeAcls', options, async attempt => {
      const request = {
        resourceTypeFilter: filter.resourceType ?? ANY,
        resourceNameFilter: filter.resourceName ?? null,
        patternTypeFilter: filter.patternType ?? ANY,
        principalFilter: filter.principal ?? null,
        hostFilter: filter.host ?? null,
        operation: filter.operation ?? ANY,
        permissionType: filter.permissionType ?? ANY,
      }
      const answer = await this.cluster.request('any', 'DescribeAcls', request, attempt)
      check(answer, 'DescribeAcls', attempt)
      return answer.resources
    })
  }

  /** All quotas of users, client ids and addresses. */
  describeQuotas(options: CallOptions = {}): Promise<readonly QuotaEntry[]> {
    const api = 'DescribeClientQuotas'
    return runCall(this.cluster, 'describeQuotas', options, async attempt => {
      const request = { components: [], strict: false }
      const answer = await this.cluster.request('any', api, request, attempt)
      check(answer, api, attempt)
      return answer.entries ?? []
    })
  }

  /** Users with SCRAM credentials, never the credentials themselves. */
  describeScramUsers(options: CallOptions = {}): Promise<readonly ScramUser[]> {
    const api = 'DescribeUserScramCredentials'
    return runCall(this.cluster, 'describeScramUsers', options, async attempt => {
      const answer = await this.cluster.request('any', api, { users: null }, attempt)
      check(answer, api, attempt)
      return answer.results
    })
  }

  private async askEach<T>(
    nodeIds: readonly number[] | undefined,
    what: string,
    options: CallOptions,
    ask: (nodeId: number, attempt: Attempt) => Promise<T>,
  ): Promise<T[]> {
    return runCall(this.cluster, what, options, async attempt => {
      await this.cluster.metadata([], attempt)
      const asked = nodeIds ?? this.cluster.nodeIds
      return Promise.all(asked.map(nodeId => ask(nodeId, attempt)))
    })
  }
}

function check(
  answer: { readonly errorCode: number; readonly errorMessage?: string | null },
  api: string,
  { asked: broker }: Attempt,
  where: Partial<TopicPartition> = {},
): void {
  const { errorCode, errorMessage = null } = answer
  if (errorCode !== 0) throw new AnswerError(errorCode, { api, broker, ...where }, errorMessage)
}

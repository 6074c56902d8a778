/**
 * The API table: what this broker serves. The answer to ApiVersions is computed from it, so what we claim and what we
 * serve cannot differ. An API that is not in the table closes the connection.
 */
import { type ApiName, apis } from '../protocol/apis.ts'
import { alterConfigs } from './api/alter-configs.ts'
import { apiVersions } from './api/api-versions.ts'
import { consumerGroupDescribe } from './api/consumer-group-describe.ts'
import { consumerGroupHeartbeat } from './api/consumer-group-heartbeat.ts'
import { createPartitions } from './api/create-partitions.ts'
import { createTopics } from './api/create-topics.ts'
import { deleteGroups } from './api/delete-groups.ts'
import { deleteRecords } from './api/delete-records.ts'
import { deleteTopics } from './api/delete-topics.ts'
import { describeAcls } from './api/describe-acls.ts'
import { describeClientQuotas } from './api/describe-client-quotas.ts'
import { describeCluster } from './api/describe-cluster.ts'
import { describeConfigs } from './api/describe-configs.ts'
import { describeGroups } from './api/describe-groups.ts'
import { describeLogDirs } from './api/describe-log-dirs.ts'
import { describeProducers } from './api/describe-producers.ts'
import { describeTopicPartitions } from './api/describe-topic-partitions.ts'
import { describeUserScramCredentials } from './api/describe-user-scram-credentials.ts'
import { electLeaders } from './api/elect-leaders.ts'
import { fetch } from './api/fetch.ts'
import { findCoordinator } from './api/find-coordinator.ts'
import { heartbeat } from './api/heartbeat.ts'
import { incrementalAlterConfigs } from './api/incremental-alter-configs.ts'
import { initProducerId } from './api/init-producer-id.ts'
import { joinGroup } from './api/join-group.ts'
import { leaveGroup } from './api/leave-group.ts'
import { listConfigResources } from './api/list-config-resources.ts'
import { listGroups } from './api/list-groups.ts'
import { listOffsets } from './api/list-offsets.ts'
import { listPartitionReassignments } from './api/list-partition-reassignments.ts'
import { listTransactions } from './api/list-transactions.ts'
import { metadata } from './api/metadata.ts'
import { offsetCommit } from './api/offset-commit.ts'
import { offsetDelete } from './api/offset-delete.ts'
import { offsetFetch } from './api/offset-fetch.ts'
import { offsetForLeaderEpoch } from './api/offset-for-leader-epoch.ts'
import { produce } from './api/produce.ts'
import { syncGroup } from './api/sync-group.ts'
import type { Handler, ServedApi } from './context.ts'

export const handlers = {
  Produce: produce,
  Fetch: fetch,
  ListOffsets: listOffsets,
  Metadata: metadata,
  OffsetCommit: offsetCommit,
  OffsetFetch: offsetFetch,
  FindCoordinator: findCoordinator,
  JoinGroup: joinGroup,
  Heartbeat: heartbeat,
  LeaveGroup: leaveGroup,
  SyncGroup: syncGroup,
  DescribeGroups: describeGroups,
  ListGroups: listGroups,
  ApiVersions: apiVersions,
  CreateTopics: createTopics,
  DeleteTopics: deleteTopics,
  DeleteRecords: deleteRecords,
  InitProducerId: initProducerId,
  OffsetForLeaderEpoch: offsetForLeaderEpoch,
  DescribeAcls: describeAcls,
  DescribeConfigs: describeConfigs,
  AlterConfigs: alterConfigs,
  DescribeLogDirs: describeLogDirs,
  ConsumerGroupDescribe: consumerGroupDescribe,
  ConsumerGroupHeartbeat: consumerGroupHeartbeat,
  CreatePartitions: createPartitions,
  DeleteGroups: deleteGroups,
  ElectLeaders: electLeaders,
  OffsetDelete: offsetDelete,
  IncrementalAlterConfigs: incrementalAlterConfigs,
  ListPartitionReassignments: listPartitionReassignments,
  DescribeClientQuotas: describeClientQuotas,
  DescribeUserScramCredentials: describeUserScramCredentials,
  DescribeCluster: describeCluster,
  DescribeProducers: describeProducers,
  ListTransactions: listTransactions,
  ListConfigResources: listConfigResources,
  DescribeTopicPartitions: describeTopicPartitions,
} as const satisfies { readonly [N in ApiName]?: Handler<N> }

/** What ApiVersions says: the table's APIs, in the order of their keys. */
export const servedApis: readonly ServedApi[] = Object.keys(handlers)
  .map(name => apis[name as keyof typeof handlers])
  .map(api => ({ apiKey: api.key, minVersion: api.advertised[0], maxVersion: api.advertised[1] }))
  .sort((a, b) => a.apiKey - b.apiKey)

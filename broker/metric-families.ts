/**
 * The table of all metrics: name, type, labels, help, and where the values come from.
 *
 * Where the widely used exporters have a name for a thing, that name is used, so that existing dashboards work:
 *
 *   kafka_brokers, kafka_broker_info, kafka_topic_*   kafka_exporter
 *   kafka_server_*, kafka_network_*, kafka_log_*, …   the JMX exporter with its sample rules for Kafka, lower-cased
 *   ottla_*                                           what only this broker has
 *
 * kafka_exporter runs once for a cluster, we once for each broker: the kafka_topic_* series of a partition come from its
 * leader alone, so that a sum over brokers is right. The kafka_log_* series come from every replica, as in Kafka.
 */

import { cleanerMetrics } from './cleaner-metrics.ts'
import { groupFamilies } from './group-metric-families.ts'
import type {
  ClusterFigures,
  DirectoryFigures,
  GroupFigures,
  Metrics,
  MetricsSources,
  PartitionFigures,
  TopicMeter,
} from './metrics.ts'
import { LATENCY_BOUNDS_MS } from './metrics.ts'

type Labels = Readonly<Record<string, string | number>>

export interface Sample {
  readonly value: number
  readonly labels?: Labels
  /** Labels that many samples share: the library formats each such object once. */
  readonly sharedLabels?: Labels
  /** For the parts of a histogram, whose names differ from the family's. */
  readonly metricName?: string
}

/** What one scrape reads, gathered once for all families. */
export interface Snapshot {
  readonly metrics: Metrics
  readonly sources: MetricsSources | null
  readonly cluster: ClusterFigures | null
  readonly partitions: readonly LabelledPartition[]
  readonly groups: readonly LabelledGroup[]
  readonly eventLoopLag: readonly { readonly quantile: number; readonly seconds: number }[]
}

export interface LabelledPartition {
  readonly labels: Labels
  readonly figures: PartitionFigures
  readonly isLedHere: boolean
}

type LagFigures = GroupFigures['lags'] extends Iterable<infer L> ? L : never

export interface LabelledGroup {
  /** Null beyond the bound on series. */
  readonly labels: Labels | null
  readonly state: string
  readonly members: number
  readonly partitions: readonly { readonly labels: Labels; readonly lag: LagFigures }[]
}

export interface MetricFamily {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly help: string
  collect(snapshot: Snapshot): readonly Sample[]
}

const one = (value: number): readonly Sample[] => [{ value }]

function byLabel(label: string, values: ReadonlyMap<string, number>): readonly Sample[] {
  return Array.from(values, ([key, value]) => ({ labels: { [label]: key }, value }))
}

const requestFamilies: readonly MetricFamily[] = [
  {
    name: 'kafka_network_requestmetrics_requests_total',
    type: 'counter',
    labels: ['request', 'version'],
    help: 'Requests done, by API and version; version "unsupported" is one that we do not know.',
    collect: ({ metrics }) => Array.from(metrics.apis.values(), requestsByVersion).flat(),
  },
  {
    name: 'kafka_network_requestmetrics_errors_total',
    type: 'counter',
    labels: ['request', 'error'],
    help: 'Errors in responses, by API and name of the error; success is not counted.',
    collect: ({ metrics }) =>
      Array.from(metrics.apis.values(), ({ name, byError }) =>
        Array.from(byError, ([error, value]) => ({ labels: { request: name, error }, value })),
      ).flat(),
  },
  {
    name: 'ottla_request_duration_seconds',
    type: 'histogram',
    labels: ['request'],
    help: 'Time from a request being read to its answer being sent, long polls included.',
    collect: ({ metrics }) => latencies('ottla_request_duration_seconds', metrics),
  },
]

function requestsByVersion(meter: { name: string; byVersion: Float64Array }): Sample[] {
  const samples: Sample[] = []
  const { name, byVersion } = meter
  byVersion.forEach((value, slot) => {
    const version = slot === byVersion.length - 1 ? 'unsupported' : slot
    if (value > 0) samples.push({ labels: { request: name, version }, value })
  })
  return samples
}

function latencies(family: string, metrics: Metrics): readonly Sample[] {
  const samples: Sample[] = []
  for (const { name, byLatency, latencySumMs } of metrics.apis.values()) {
    let count = 0
    const start = samples.length
    byLatency.forEach((inBucket, index) => {
      count += inBucket
      const bound = LATENCY_BOUNDS_MS[index]
      const le = bound === undefined ? '+Inf' : bound / 1000
      samples.push({
        metricName: `${family}_bucket`,
        labels: { request: name, le },
        value: count,
      })
    })
    // An API that was never asked for has no series.
    if (count === 0) samples.length = start
    else {
      const labels = { request: name }
      samples.push({ metricName: `${family}_sum`, labels, value: latencySumMs[0]! / 1000 })
      samples.push({ metricName: `${family}_count`, labels, value: count })
    }
  }
  return samples
}

function topicFamily(suffix: string, field: keyof TopicMeter, help: string): MetricFamily {
  return {
    name: `kafka_server_brokertopicmetrics_${suffix}_total`,
    type: 'counter',
    labels: ['topic'],
    help,
    collect: ({ metrics }) =>
      Array.from(metrics.topics, ([topic, meter]) => ({ labels: { topic }, value: meter[field] })),
  }
}

const topicFamilies: readonly MetricFamily[] = [
  topicFamily('bytesin', 'bytesIn', 'Bytes of record batches that were appended, by topic.'),
  topicFamily('bytesout', 'bytesOut', 'Bytes of record batches sent to consumers, by topic.'),
  topicFamily('bytesrejected', 'bytesRejected', 'Bytes of refused record batches, by topic.'),
  topicFamily('messagesin', 'messagesIn', 'Records that were appended, by topic.'),
  topicFamily('totalproducerequests', 'produceRequests', 'Partitions in Produce requests.'),
  topicFamily('totalfetchrequests', 'fetchRequests', 'Partitions in Fetch requests.'),
  topicFamily('failedproducerequests', 'failedProduceRequests', 'Those answered with an error.'),
  topicFamily('failedfetchrequests', 'failedFetchRequests', 'Those answered with an error.'),
]

/** One value of a partition, by topic and partition. */
function partitionFamily(
  name: string,
  from: 'leader' | 'replica',
  help: string,
  value: (figures: PartitionFigures) => number,
): MetricFamily {
  return {
    name,
    type: 'gauge',
    labels: ['topic', 'partition'],
    help,
    collect: ({ partitions }) => {
      const samples: Sample[] = []
      for (const { labels, figures, isLedHere } of partitions) {
        if (!isLedHere && from === 'leader') continue
        samples.push({ sharedLabels: labels, value: value(figures) })
      }
      return samples
    },
  }
}

const topicPartition = (
  suffix: string,
  help: string,
  value: (figures: PartitionFigures) => number,
): MetricFamily => partitionFamily(`kafka_topic_partition_${suffix}`, 'leader', help, value)

const isUnderReplicated = (p: PartitionFigures): boolean => p.isr.length < p.replicas.length

const partitionFamilies: readonly MetricFamily[] = [
  {
    name: 'kafka_topic_partitions',
    type: 'gauge',
    labels: ['topic'],
    help: 'Partitions of the topic that this broker leads.',
    collect: ({ partitions }) => {
      const counts = new Map<string, number>()
      for (const { figures, isLedHere } of partitions) {
        if (isLedHere) counts.set(figures.topic, (counts.get(figures.topic) ?? 0) + 1)
      }
      return byLabel('topic', counts)
    },
  },
  topicPartition(
    'current_offset',
    'Next offset that a consumer will be able to read: the high watermark.',
    p => p.highWatermark,
  ),
  topicPartition('oldest_offset', 'First offset that can be read.', p => p.logStartOffset),
  topicPartition('leader', 'Node id of the leader.', p => p.leader),
  topicPartition('replicas', 'Number of replicas.', p => p.replicas.length),
  topicPartition('in_sync_replica', 'Number of in-sync replicas.', p => p.isr.length),
  topicPartition('leader_is_preferred', '1 if the preferred replica leads.', p =>
    Number(p.leader === p.replicas[0]),
  ),
  topicPartition('under_replicated_partition', '1 if a replica is not in sync.', p =>
    Number(isUnderReplicated(p)),
  ),
  partitionFamily('kafka_log_log_size', 'replica', 'Bytes of the log on disk.', p => p.sizeBytes),
  partitionFamily('kafka_log_log_logstartoffset', 'replica', 'First offset of the log.', p => {
    return p.logStartOffset
  }),
  partitionFamily('kafka_log_log_logendoffset', 'replica', 'Next offset to be assigned.', p => {
    return p.logEndOffset
  }),
  replicaCount('partitioncount', 'Partitions with a log on this broker.', () => true),
  replicaCount('leadercount', 'Partitions that this broker leads.', p => p.isLedHere),
  replicaCount(
    'underreplicatedpartitions',
    'Partitions led here that have a replica out of sync.',
    p => p.isLedHere && isUnderReplicated(p.figures),
  ),
]

function replicaCount(
  suffix: string,
  help: string,
  counts: (partition: LabelledPartition) => boolean,
): MetricFamily {
  return {
    name: `kafka_server_replicamanager_${suffix}`,
    type: 'gauge',
    labels: [],
    help,
    collect: ({ sources, partitions }) =>
      sources === null ? [] : one(partitions.filter(counts).length),
  }
}

/** A gauge of the cluster, absent while the broker starts. */
function clusterFamily(
  name: string,
  help: string,
  value: (cluster: ClusterFigures) => number,
): MetricFamily {
  const collect = ({ cluster }: Snapshot) => (cluster === null ? [] : one(value(cluster)))
  return { name, type: 'gauge', labels: [], help, collect }
}

const CONTROLLER = 'kafka_controller_kafkacontroller'

const clusterFamilies: readonly MetricFamily[] = [
  clusterFamily('kafka_brokers', 'Live brokers of the cluster.', c => c.brokers.length),
  {
    name: 'kafka_broker_info',
    type: 'gauge',
    labels: ['id', 'address'],
    help: 'Always 1; one series for each live broker.',
    collect: ({ cluster }) =>
      (cluster?.brokers ?? []).map(({ id, address }) => ({ labels: { id, address }, value: 1 })),
  },
  clusterFamily(`${CONTROLLER}_activecontrollercount`, '1 if this broker is the controller.', c =>
    Number(c.isController),
  ),
  clusterFamily(`${CONTROLLER}_globaltopiccount`, 'Topics of the cluster.', c => c.topics),
  clusterFamily(`${CONTROLLER}_globalpartitioncount`, 'Partitions of the cluster.', c => {
    return c.partitions
  }),
  clusterFamily(`${CONTROLLER}_offlinepartitionscount`, 'Partitions without a leader.', c => {
    return c.offlinePartitions
  }),
]

const SOCKETS = 'kafka_server_socket_server_metrics'
const SESSIONS = 'kafka_server_fetchsessioncache'

const connectionFamilies: readonly MetricFamily[] = [
  listenerFamily('connection_count', 'gauge', 'Open connections.', l => l.opened - l.closed),
  listenerFamily('connection_creation_total', 'counter', 'Connections accepted.', l => l.opened),
  listenerFamily('connection_close_total', 'counter', 'Connections ended.', l => l.closed),
  {
    name: 'ottla_connections_refused_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Connections closed at once, by the setting whose limit was reached.',
    collect: ({ metrics }) => byLabel('reason', metrics.refusedConnections),
  },
  {
    name: 'ottla_connections_paused',
    type: 'gauge',
    labels: [],
    help: 'Connections that are not read until the memory budget has room again.',
    collect: ({ metrics }) => one(metrics.pausedConnections),
  },
  {
    name: 'ottla_frames_unreadable_total',
    type: 'counter',
    labels: [],
    help: 'Frames that could not be understood and ended their connection.',
    collect: ({ metrics }) => one(metrics.unreadableFrames),
  },
  sourceFamily(`${SESSIONS}_numincrementalfetchsessions`, 'gauge', 'Fetch sessions.', s => {
    return s.fetchSessions().sessions
  }),
  sourceFamily(
    `${SESSIONS}_numincrementalfetchpartitionscached`,
    'gauge',
    'Partitions in fetch sessions.',
    s => s.fetchSessions().partitions,
  ),
  sourceFamily(
    `${SESSIONS}_incrementalfetchsessionevictions_total`,
    'counter',
    'Fetch sessions dropped, unused for two minutes.',
    s => s.fetchSessions().evictions,
  ),
]

function listenerFamily(
  suffix: string,
  type: 'counter' | 'gauge',
  help: string,
  value: (listener: { opened: number; closed: number }) => number,
): MetricFamily {
  return {
    name: `${SOCKETS}_${suffix}`,
    type,
    labels: ['listener'],
    help,
    collect: ({ metrics }) =>
      Array.from(metrics.listeners, ([listener, meter]) => {
        return { labels: { listener }, value: value(meter) }
      }),
  }
}

/** One value that the broker is asked for, absent while it starts. */
const LOG_MANAGER = 'kafka_log_logmanager'

/** A figure of each data directory that has it. */
function directoryFamily(
  name: string,
  help: string,
  value: (directory: DirectoryFigures) => number | null,
): MetricFamily {
  const collect = ({ sources }: Snapshot) =>
    [...(sources?.directories() ?? [])].flatMap(directory => {
      const found = value(directory)
      return found === null ? [] : [{ labels: { directory: directory.path }, value: found }]
    })
  return { name, type: 'gauge', labels: ['directory'], help, collect }
}

function sourceFamily(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  value: (sources: MetricsSources) => number,
): MetricFamily {
  const collect = ({ sources }: Snapshot) => (sources === null ? [] : one(value(sources)))
  return { name, type, labels: [], help, collect }
}

const cleanerFamilies: readonly MetricFamily[] = cleanerMetrics.map(({ name, type, help, value }) =>
  sourceFamily(name, type, help, sources => value(sources.cleaner())),
)

const ownFamilies: readonly MetricFamily[] = [
  sourceFamily(
    'ottla_memory_budget_used_bytes',
    'gauge',
    'Bytes of requests and answers in flight.',
    s => {
      return s.budget().used
    },
  ),
  sourceFamily(
    'ottla_memory_budget_limit_bytes',
    'gauge',
    'What queued.max.request.bytes allows.',
    s => {
      return s.budget().limit
    },
  ),
  sourceFamily(
    'ottla_disk_slow_switches_total',
    'counter',
    'Times that the disk kept writes waiting, so that they left the event loop for a while.',
    s => s.slowDisk(),
  ),
  sourceFamily(
    'ottla_damaged_batches_total',
    'counter',
    'Places in logs of which a read found that they are not what was written.',
    s => s.damagedBatches(),
  ),
  sourceFamily(
    'ottla_scrub_bytes_total',
    'counter',
    'Bytes of logs checked in the background (log.scrub.bytes.per.second).',
    s => s.scrub().bytes,
  ),
  sourceFamily(
    'ottla_scrub_problems_total',
    'counter',
    'Damaged places found in the background; each has a line in the log.',
    s => s.scrub().problems,
  ),
  sourceFamily(
    'ottla_scrub_rounds_total',
    'counter',
    'Times that all logs were checked in the background from end to end.',
    s => s.scrub().rounds,
  ),
  directoryFamily('ottla_log_dir_free_bytes', 'Bytes free on the disk of a data directory.', d => {
    return d.isOffline ? null : d.freeBytes
  }),
  directoryFamily(
    'ottla_log_dir_refuses_producers',
    '1 while producers are refused because less than log.dir.free.bytes.min is free.',
    d => (d.isOffline ? null : Number(d.isLow)),
  ),
  sourceFamily(
    `${LOG_MANAGER}_offlinelogdirectorycount`,
    'gauge',
    'Data directories that are offline.',
    s => [...s.directories()].filter(({ isOffline }) => isOffline).length,
  ),
  directoryFamily(
    `${LOG_MANAGER}_logdirectoryoffline`,
    '1 for a data directory that is offline.',
    d => Number(d.isOffline),
  ),
  {
    name: 'ottla_event_loop_lag_seconds',
    type: 'gauge',
    labels: ['quantile'],
    help: 'How late the event loop came to its timers since the last scrape; quantile 1 is the worst.',
    collect: ({ eventLoopLag }) =>
      eventLoopLag.map(({ quantile, seconds }) => ({ labels: { quantile }, value: seconds })),
  },
  sourceFamily('ottla_start_time_seconds', 'gauge', 'Unix time at which the broker started.', s => {
    return s.startedAtMs / 1000
  }),
  {
    name: 'ottla_info',
    type: 'gauge',
    labels: ['version', 'node_id', 'cluster_id'],
    help: 'Always 1; says which broker this is.',
    collect: ({ sources }) => {
      if (sources === null) return []
      const { version, nodeId, clusterId } = sources
      return [{ labels: { version, node_id: nodeId, cluster_id: clusterId }, value: 1 }]
    },
  },
]

/** Every family of ours, in the order of a scrape. `METRICS.md` is made from it. */
export const metricFamilies: readonly MetricFamily[] = [
  ...requestFamilies,
  ...topicFamilies,
  ...partitionFamilies,
  ...clusterFamilies,
  ...connectionFamilies,
  ...groupFamilies,
  ...cleanerFamilies,
  ...ownFamilies,
]

/**
 * The table of a client's metrics, and their place in a registry of prom-client. A registry asks a metric only for its name and
 * for samples, so nothing of that library is loaded here; samples are made when the registry is read.
 *
 * Names are those of the Java client's metrics (`record-send-total` of producer-topic-metrics, …) as Prometheus would have
 * them: averages and rates are left to its histograms and `rate()`, and units are base units. Every series has `client_id`,
 * so clients may share a registry.
 */
import type { Gauge, Registry } from 'prom-client'
import { ClientMeter, type ConsumerFigures, type Histogram } from './client-meter.ts'

type Labels = Readonly<Record<string, string | number>>

interface Sample {
  readonly value: number
  readonly labels?: Labels
  /** For the parts of a histogram, whose names differ from the family's. */
  readonly metricName?: string
}

export interface ClientMetricFamily {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** Beside `client_id`. */
  readonly labels: readonly string[]
  readonly help: string
  /** The Java client's metrics that say the same; empty: there is none. */
  readonly java: string
  collect(meter: ClientMeter): readonly Sample[]
}

const clientFamilies: readonly ClientMetricFamily[] = [
  {
    name: 'kafka_client_request_latency_seconds',
    type: 'histogram',
    labels: ['api'],
    help: 'Time from a request to its answer; of Fetch with the wait for records.',
    java: 'request-latency-avg, -max',
    collect: ({ requests }) =>
      histograms('kafka_client_request_latency_seconds', 'api', requests, 1_000),
  },
  {
    name: 'kafka_client_requests_in_flight',
    type: 'gauge',
    labels: [],
    help: 'Requests without an answer so far.',
    java: 'requests-in-flight',
    collect: ({ connections }) => {
      let value = 0
      for (const { inFlightCount } of connections) value += inFlightCount
      return [{ value }]
    },
  },
  {
    name: 'kafka_client_errors_total',
    type: 'counter',
    labels: ['api', 'error'],
    help: "Attempts that failed: Kafka's name of the error, or ConnectionError, TimeoutError, …; api connect is no request yet.",
    java: 'errors-total',
    collect: ({ errors }) => byError('api', errors),
  },
  {
    name: 'kafka_client_retries_total',
    type: 'counter',
    labels: ['api', 'error'],
    help: 'Those of them after which there was another attempt.',
    java: '',
    collect: ({ retries }) => byError('api', retries),
  },
  {
    name: 'kafka_client_connections',
    type: 'gauge',
    labels: [],
    help: 'Open connections.',
    java: 'connection-count',
    collect: ({ connections }) => [{ value: connections.size }],
  },
  {
    name: 'kafka_client_connection_creation_total',
    type: 'counter',
    labels: [],
    help: 'Connections opened.',
    java: 'connection-creation-total',
    collect: ({ openedConnections }) => [{ value: openedConnections }],
  },
  {
    name: 'kafka_client_connection_close_total',
    type: 'counter',
    labels: [],
    help: 'Connections that have ended.',
    java: 'connection-close-total',
    collect: ({ openedConnections, connections }) => [
      { value: openedConnections - connections.size },
    ],
  },
]

const producerFamilies: readonly ClientMetricFamily[] = [
  {
    name: 'kafka_producer_record_send_total',
    type: 'counter',
    labels: ['topic'],
    help: 'Records written, as `acks` asks.',
    java: 'record-send-total',
    collect: ({ sent }) => byKey('topic', sent, ({ records }) => records),
  },
  {
    name: 'kafka_producer_byte_total',
    type: 'counter',
    labels: ['topic'],
    help: 'Bytes of their batches, compressed.',
    java: 'byte-total',
    collect: ({ sent }) => byKey('topic', sent, ({ bytes }) => bytes),
  },
  {
    name: 'kafka_producer_record_retry_total',
    type: 'counter',
    labels: ['topic'],
    help: 'Records that were sent again after a failure, each time.',
    java: 'record-retry-total',
    collect: ({ sent }) => byKey('topic', sent, ({ retries }) => retries),
  },
  {
    name: 'kafka_producer_record_error_total',
    type: 'counter',
    labels: ['topic', 'error'],
    help: 'Records that were given up.',
    java: 'record-error-total',
    collect: ({ sent }) =>
      byError(
        'topic',
        Array.from(sent, ([topic, { errors }]) => [topic, errors] as const),
      ),
  },
  {
    name: 'kafka_producer_batch_size_bytes',
    type: 'histogram',
    labels: [],
    help: 'Size of the batches written, compressed.',
    java: 'batch-size-avg, -max',
    collect: ({ batchBytes }) => parts('kafka_producer_batch_size_bytes', {}, batchBytes, 1),
  },
  {
    name: 'kafka_producer_buffer_used_bytes',
    type: 'gauge',
    labels: [],
    help: 'Memory that batches take, of all producers.',
    java: 'buffer-total-bytes less buffer-available-bytes',
    collect: ({ producers }) => [sumOf(producers, ({ usedBytes }) => usedBytes)],
  },
  {
    name: 'kafka_producer_buffer_total_bytes',
    type: 'gauge',
    labels: [],
    help: 'What `bufferBytes` allows them together.',
    java: 'buffer-total-bytes',
    collect: ({ producers }) => [sumOf(producers, ({ limitBytes }) => limitBytes)],
  },
  {
    name: 'kafka_producer_waiting_records',
    type: 'gauge',
    labels: [],
    help: 'Records that wait for memory, or for the first look at their topic.',
    java: 'waiting-threads',
    collect: ({ producers }) => [sumOf(producers, ({ waitingRecords }) => waitingRecords)],
  },
]

const consumerFamilies: readonly ClientMetricFamily[] = [
  {
    name: 'kafka_consumer_records_consumed_total',
    type: 'counter',
    labels: ['topic'],
    help: 'Records of batches that the application was given.',
    java: 'records-consumed-total',
    collect: ({ read }) => byKey('topic', read, ({ records }) => records),
  },
  {
    name: 'kafka_consumer_bytes_consumed_total',
    type: 'counter',
    labels: ['topic'],
    help: 'Bytes of these batches, compressed.',
    java: 'bytes-consumed-total',
    collect: ({ read }) => byKey('topic', read, ({ bytes }) => bytes),
  },
  {
    name: 'kafka_consumer_records_lag',
    type: 'gauge',
    labels: ['group', 'topic', 'partition'],
    help: 'Records behind the position of an assigned partition, as of the last answer.',
    java: 'records-lag',
    collect: ({ consumers }) =>
      summed(
        Array.from(consumers, figures => {
          const { group, lags } = figures()
          return lags.map(({ lag, ...place }) => ({ labels: { group, ...place }, value: lag }))
        }).flat(),
      ),
  },
  {
    name: 'kafka_consumer_assigned_partitions',
    type: 'gauge',
    labels: ['group'],
    help: 'Partitions assigned; without a group the label is empty.',
    java: 'assigned-partitions',
    collect: ({ consumers }) => byGroup(consumers, one => one.assignedPartitions),
  },
  {
    name: 'kafka_consumer_buffered_bytes',
    type: 'gauge',
    labels: ['group'],
    help: 'Bytes read ahead of the application.',
    java: '',
    collect: ({ consumers }) => byGroup(consumers, one => one.bufferedBytes),
  },
  {
    name: 'kafka_consumer_last_poll_seconds_ago',
    type: 'gauge',
    labels: ['group'],
    help: 'Time since the application asked for records, of the consumer that is longest at work; 0 while all wait for some.',
    java: 'last-poll-seconds-ago',
    collect: ({ consumers }) => byGroup(consumers, one => one.secondsSincePoll, Math.max),
  },
  {
    name: 'kafka_consumer_rebalance_total',
    type: 'counter',
    labels: ['group'],
    help: 'Rebalances taken part in; with KIP-848, changes of the share.',
    java: 'rebalance-total',
    collect: ({ rebalances }) => byKey('group', rebalances, value => value),
  },
  {
    name: 'kafka_consumer_commit_latency_seconds',
    type: 'histogram',
    labels: ['group'],
    help: 'Time that commits took, with their retries.',
    java: 'commit-latency-avg, -max; commit-total',
    collect: ({ commits }) =>
      histograms('kafka_consumer_commit_latency_seconds', 'group', commits, 1_000),
  },
]

export const clientMetricFamilies: readonly ClientMetricFamily[] = [
  ...clientFamilies,
  ...producerFamilies,
  ...consumerFamilies,
]

function byKey<M>(label: string, meters: ReadonlyMap<string, M>, value: (meter: M) => number) {
  return Array.from(meters, ([key, meter]) => ({ labels: { [label]: key }, value: value(meter) }))
}

function byError(
  label: string,
  counts: Iterable<readonly [string, ReadonlyMap<string, number>]>,
): Sample[] {
  return Array.from(counts, ([key, errors]) =>
    Array.from(errors, ([error, value]) => ({ labels: { [label]: key, error }, value })),
  ).flat()
}

function sumOf<F>(owners: Iterable<() => F>, figure: (figures: F) => number): Sample {
  let value = 0
  for (const figures of owners) value += figure(figures())
  return { value }
}

function byGroup(
  owners: Iterable<() => ConsumerFigures>,
  figure: (figures: ConsumerFigures) => number,
  combine?: (a: number, b: number) => number,
): Sample[] {
  const samples = Array.from(owners, figures => {
    const one = figures()
    return { labels: { group: one.group }, value: figure(one) }
  })
  return summed(samples, combine)
}

/** One sample for each set of labels: a series may stand in a registry's text once only. */
function summed(
  samples: readonly Sample[],
  combine: (a: number, b: number) => number = (a, b) => a + b,
): Sample[] {
  const series = new Map<string, Sample>()
  for (const sample of samples) {
    const key = JSON.stringify(sample.labels)
    const before = series.get(key)
    const value = before === undefined ? sample.value : combine(before.value, sample.value)
    series.set(key, { ...sample, value })
  }
  return [...series.values()]
}

function histograms(
  family: string,
  label: string,
  meters: ReadonlyMap<string, Histogram>,
  perUnit: number,
): Sample[] {
  return [...meters].flatMap(([key, meter]) => parts(family, { [label]: key }, meter, perUnit))
}

/** `perUnit`: how many of what was observed make one of the unit shown. */
function parts(family: string, labels: Labels, meter: Histogram, perUnit: number): Sample[] {
  const samples: Sample[] = []
  let count = 0
  meter.counts.forEach((inBucket, slot) => {
    count += inBucket
    const bound = meter.bounds[slot]
    const le = bound === undefined ? '+Inf' : bound / perUnit
    samples.push({ metricName: `${family}_bucket`, labels: { ...labels, le }, value: count })
  })
  samples.push({ metricName: `${family}_sum`, labels, value: meter.sum / perUnit })
  samples.push({ metricName: `${family}_count`, labels, value: count })
  return samples
}

/** What the clients of one registry count, by client id, and how the registry reads it. */
interface Registered {
  readonly meters: Map<string, ClientMeter>
  readonly metrics: readonly { readonly name: string }[]
}

const registered = new WeakMap<Registry, Registered>()

/** What counts for this client id in this registry. Throws prom-client's error where a name is somebody else's already. */
export function meterIn(registry: Registry, clientId: string): ClientMeter {
  let entry = registered.get(registry)
  if (entry === undefined) {
    const meters = new Map<string, ClientMeter>()
    entry = { meters, metrics: clientMetricFamilies.map(family => metricOf(family, meters)) }
    registered.set(registry, entry)
  }
  for (const metric of entry.metrics) registry.registerMetric(metric as unknown as Gauge)
  let meter = entry.meters.get(clientId)
  if (meter === undefined) entry.meters.set(clientId, (meter = new ClientMeter()))
  return meter
}

/** What a registry asks of a metric. It may rename it: OpenMetrics' counters have no `_total` in their family's name. */
function metricOf(family: ClientMetricFamily, meters: ReadonlyMap<string, ClientMeter>) {
  const { name, type, help } = family
  const metric = {
    name,
    type,
    help,
    get: async () => {
      const values = Array.from(meters, ([clientId, meter]) =>
        family.collect(meter).map(sample => ({
          ...sample,
          labels: { client_id: clientId, ...sample.labels },
        })),
      ).flat()
      return { name: metric.name, type, help, aggregator: 'sum', values }
    },
    /** A registry's `resetMetrics` is for tests of applications; what a client has counted stays. */
    reset() {},
  }
  return metric
}

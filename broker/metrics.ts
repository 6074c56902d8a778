/**
 * What a broker counts about itself. This file is on the hot path and costs a request a few nanoseconds: plain numbers
 * and typed arrays, no labels, no strings made, no library. `metrics-registry.ts` turns them into Prometheus' text and
 * is loaded, with prom-client, at the first scrape only: that library would cost the start more than the whole broker.
 *
 * Nothing that a client sends names a series: APIs, versions and errors come from the protocol's tables, reasons and
 * listeners from our code and configuration, topics from those that exist. Groups are named by clients, and their series are
 * counted (group-metric-families.ts). So the number of series is bounded.
 */
import { type ApiName, apis } from '../protocol/apis.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { GroupMeter } from './group/group-meter.ts'

/** Upper bounds, inclusive, of the latency buckets; one more bucket takes what is slower. */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
]

const REFUSAL_REASONS = ['max.connections', 'max.connections.per.ip', 'stopping'] as const

/** Of one API. */
export class ApiMeter {
  readonly name: ApiName
  /** Requests by version; the last slot takes the versions that we do not know. */
  readonly byVersion: Float64Array
  /** Requests by latency, not cumulative; the last slot takes those above all bounds. */
  readonly byLatency = new Float64Array(LATENCY_BOUNDS_MS.length + 1)
  /** One element, so that adding to it never allocates. */
  readonly latencySumMs = new Float64Array(1)
  readonly byError = new Map<ErrorName, number>()

  constructor(name: ApiName) {
    this.name = name
    this.byVersion = new Float64Array(apis[name].versions[1] + 2)
  }

  request(version: number, latencyMs: number): void {
    const { byVersion, byLatency } = this
    const last = byVersion.length - 1
    byVersion[version >= 0 && version < last ? version : last]! += 1
    let bucket = 0
    while (bucket < LATENCY_BOUNDS_MS.length && latencyMs > LATENCY_BOUNDS_MS[bucket]!) bucket++
    byLatency[bucket]! += 1
    this.latencySumMs[0]! += latencyMs
  }
}

/** Of one topic that exists. Whoever counts keeps the meter and adds to its fields. */
export interface TopicMeter {
  /** Bytes of record batches, as stored or sent, without the frames around them. */
  bytesIn: number
  bytesOut: number
  /** Bytes of batches that were refused. */
  bytesRejected: number
  /** Records, counted by the batches' headers. */
  messagesIn: number
  /** Times that a Produce or Fetch request asked for a partition of the topic, and how many of them failed. */
  produceRequests: number
  fetchRequests: number
  failedProduceRequests: number
  failedFetchRequests: number
}

export interface ListenerMeter {
  opened: number
  closed: number
}

export interface PartitionFigures {
  readonly topic: string
  readonly partition: number
  /** -1 when there is none. */
  readonly leader: number
  /** Node ids, the preferred leader first. */
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly logStartOffset: number
  readonly highWatermark: number
  readonly logEndOffset: number
  readonly sizeBytes: number
}

/** A data directory; `isLow`: producers are refused. The free space is as last asked. */
export interface DirectoryFigures {
  readonly path: string
  readonly isOffline: boolean
  readonly freeBytes: number
  readonly isLow: boolean
}

export interface ClusterFigures {
  readonly brokers: readonly { readonly id: number; readonly address: string }[]
  readonly isController: boolean
  readonly topics: number
  readonly partitions: number
  readonly offlinePartitions: number
}

/** A group with its lag. */
export interface GroupFigures {
  readonly groupId: string
  readonly state: string
  readonly members: number
  readonly lags: Iterable<{
    readonly topic: string
    readonly partition: number
    readonly offset: number
    readonly records: number
    readonly seconds: number
  }>
}

/** What the broker is asked at each scrape. Each call is synchronous and reads memory only. */
export interface MetricsSources {
  readonly version: string
  readonly nodeId: number
  readonly clusterId: string
  /** Wall-clock milliseconds since 1970. */
  readonly startedAtMs: number
  cluster(): ClusterFigures
  /** Every partition with a log on this broker, led or followed. */
  partitions(): Iterable<PartitionFigures>
  /** Every group that this broker coordinates. */
  groups(): Iterable<GroupFigures>
  /** Times that the disk became slow (segment-store/disk-pace.ts). */
  slowDisk(): number
  /** Places in logs that reads found damaged. */
  damagedBatches(): number
  /** What the scrubber has done. */
  scrub(): { readonly bytes: number; readonly problems: number; readonly rounds: number }
  /** Compaction: see `CleanerFigures` in log-cleaner.ts. */
  cleaner(): {
    readonly maxDirtyPercent: number
    readonly sinceLastRunMs: number
    readonly uncleanablePartitions: number
    readonly recopyPercent: number
    readonly bufferUtilizationPercent: number
    readonly cleanTimeSeconds: number
    readonly progress: number
    readonly passes: number
    readonly bytesRead: number
    readonly bytesWritten: number
  }
  directories(): Iterable<DirectoryFigures>
  budget(): { readonly used: number; readonly limit: number }
  fetchSessions(): {
    readonly sessions: number
    readonly partitions: number
    readonly evictions: number
  }
}

export class Metrics {
  /** Connections that wait for the memory budget now. */
  pausedConnections = 0
  /** Frames and request headers that ended their connection. */
  unreadableFrames = 0
  readonly apis: ReadonlyMap<ApiName, ApiMeter> = new Map(
    (Object.keys(apis) as ApiName[]).map(name => [name, new ApiMeter(name)]),
  )
  readonly groups = new GroupMeter()
  readonly listeners = new Map<string, ListenerMeter>()
  readonly refusedConnections = new Map<string, number>(REFUSAL_REASONS.map(r => [r, 0]))
  private readonly topicMeters = new Map<string, TopicMeter>()
  private observed: MetricsSources | null = null

  /** A request was answered, or done where it has no answer. */
  request(api: ApiName, version: number, latencyMs: number): void {
    this.apis.get(api)!.request(version, latencyMs)
  }

  /** A response carries this error; once for each place that does. NONE is not an error. */
  requestError(api: ApiName, error: ErrorName): void {
    if (error === 'NONE') return
    const { byError } = this.apis.get(api)!
    byError.set(error, (byError.get(error) ?? 0) + 1)
  }

  /** The meter of a topic that exists; kept until `removeTopic`. */
  topicMeter(topic: string): TopicMeter {
    let meter = this.topicMeters.get(topic)
    if (meter === undefined) {
      meter = newTopicMeter()
      this.topicMeters.set(topic, meter)
    }
    return meter
  }

  /** The topic was deleted: its series end. Whoever still holds its meter may add to it, unseen. */
  removeTopic(topic: string): void {
    this.topicMeters.delete(topic)
  }

  get topics(): ReadonlyMap<string, TopicMeter> {
    return this.topicMeters
  }

  connectionOpened(listener: string): void {
    this.listenerMeter(listener).opened++
  }

  connectionClosed(listener: string): void {
    this.listenerMeter(listener).closed++
  }

  /** `reason` is one of ours, never a client's words. */
  connectionRefused(reason: string): void {
    this.refusedConnections.set(reason, (this.refusedConnections.get(reason) ?? 0) + 1)
  }

  /** Makes the series of a listener appear before its first connection. */
  listenerMeter(listener: string): ListenerMeter {
    let meter = this.listeners.get(listener)
    if (meter === undefined) {
      meter = { opened: 0, closed: 0 }
      this.listeners.set(listener, meter)
    }
    return meter
  }

  /** From now on a scrape asks `sources` too. Until then, while a broker starts, it shows the counters only. */
  observe(sources: MetricsSources): void {
    this.observed = sources
  }

  get sources(): MetricsSources | null {
    return this.observed
  }
}

function newTopicMeter(): TopicMeter {
  return {
    bytesIn: 0,
    bytesOut: 0,
    bytesRejected: 0,
    messagesIn: 0,
    produceRequests: 0,
    fetchRequests: 0,
    failedProduceRequests: 0,
    failedFetchRequests: 0,
  }
}

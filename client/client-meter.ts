/**
 * What a client counts about itself, where it was given a registry: plain numbers, added to once for each batch, request or
 * event. `client-metrics.ts` turns them into samples when somebody looks.
 *
 * All producers, consumers and admins with one client id count together. What series there are follows from APIs, errors,
 * and from the topics, partitions and groups that the application uses.
 */
import type { TopicPartition } from './topic-partition.ts'

/** Upper bounds, inclusive, in milliseconds. */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
]
/** Upper bounds, inclusive, in bytes. */
export const SIZE_BOUNDS: readonly number[] = [
  256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304,
]

export class Histogram {
  readonly bounds: readonly number[]
  /** Not cumulative; the last slot takes what is above all bounds. */
  readonly counts: Float64Array
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    const { bounds } = this
    let slot = 0
    while (slot < bounds.length && value > bounds[slot]!) slot++
    this.counts[slot]! += 1
    this.sum += value
  }
}

/** What was written to one topic. */
export interface SentMeter {
  records: number
  /** Of batches, as they were sent. */
  bytes: number
  /** Records of batches that were sent again. */
  retries: number
  /** Records that were given up, by error. */
  readonly errors: Map<string, number>
}

/** What an application has been given of one topic. */
export interface ReadMeter {
  records: number
  bytes: number
}

/** Of a producer, when somebody looks. */
export interface ProducerFigures {
  readonly usedBytes: number
  readonly limitBytes: number
  readonly waitingRecords: number
}

/** Of a consumer, when somebody looks. */
export interface ConsumerFigures {
  /** Empty without one. */
  readonly group: string
  readonly assignedPartitions: number
  readonly bufferedBytes: number
  /** Since the application last asked for records; 0 while it waits for some. */
  readonly secondsSincePoll: number
  readonly lags: readonly {
    readonly topic: string
    readonly partition: number
    readonly lag: number
  }[]
}

/** `lag`: of one partition, null while it is not known. */
export function figuresOf(
  group: string,
  assignment: readonly (TopicPartition & { readonly bytesLeft: number })[],
  sincePollMs: number,
  lag: (topic: string, partition: number) => number | null,
): ConsumerFigures {
  return {
    group,
    assignedPartitions: assignment.length,
    bufferedBytes: assignment.reduce((sum, { bytesLeft }) => sum + bytesLeft, 0),
    secondsSincePoll: sincePollMs / 1_000,
    lags: assignment.flatMap(({ topic, partition }) => {
      const behind = lag(topic, partition)
      return behind === null ? [] : [{ topic, partition, lag: behind }]
    }),
  }
}

type Open = { readonly inFlightCount: number }

export class ClientMeter {
  readonly requests = new Map<string, Histogram>()
  /** By API, then error. */
  readonly errors = new Map<string, Map<string, number>>()
  readonly retries = new Map<string, Map<string, number>>()
  readonly sent = new Map<string, SentMeter>()
  readonly batchBytes = new Histogram(SIZE_BOUNDS)
  readonly read = new Map<string, ReadMeter>()
  readonly commits = new Map<string, Histogram>()
  readonly rebalances = new Map<string, number>()
  readonly connections = new Set<Open>()
  readonly producers = new Set<() => ProducerFigures>()
  readonly consumers = new Set<() => ConsumerFigures>()
  openedConnections = 0

  answered(api: string, latencyMs: number): void {
    histogramOf(this.requests, api).observe(latencyMs)
  }

  failed(api: string, error: string): void {
    add(mapOf(this.errors, api), error, 1)
  }

  retried(api: string, error: string): void {
    add(mapOf(this.retries, api), error, 1)
  }

  opened(connection: Open): void {
    this.openedConnections++
    this.connections.add(connection)
  }

  closed(connection: Open): void {
    this.connections.delete(connection)
  }

  /** A batch was written. */
  sentBatch(topic: string, records: number, bytes: number): void {
    const meter = this.sentTo(topic)
    meter.records += records
    meter.bytes += bytes
    this.batchBytes.observe(bytes)
  }

  resent(topic: string, records: number): void {
    this.sentTo(topic).retries += records
  }

  gaveUp(topic: string, records: number, error: string): void {
    add(this.sentTo(topic).errors, error, records)
  }

  handedOut(topic: string, records: number, bytes: number): void {
    let meter = this.read.get(topic)
    if (meter === undefined) this.read.set(topic, (meter = { records: 0, bytes: 0 }))
    meter.records += records
    meter.bytes += bytes
  }

  committed(group: string, latencyMs: number): void {
    histogramOf(this.commits, group).observe(latencyMs)
  }

  rebalanced(group: string): void {
    add(this.rebalances, group, 1)
  }

  private sentTo(topic: string): SentMeter {
    let meter = this.sent.get(topic)
    if (meter === undefined) {
      meter = { records: 0, bytes: 0, retries: 0, errors: new Map() }
      this.sent.set(topic, meter)
    }
    return meter
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}

function mapOf(maps: Map<string, Map<string, number>>, key: string): Map<string, number> {
  let map = maps.get(key)
  if (map === undefined) maps.set(key, (map = new Map()))
  return map
}

function histogramOf(histograms: Map<string, Histogram>, key: string): Histogram {
  let histogram = histograms.get(key)
  if (histogram === undefined) {
    histograms.set(key, (histogram = new Histogram(LATENCY_BOUNDS_MS)))
  }
  return histogram
}

/**
 * The scrape: our table of metrics (metric-families.ts) and the figures of the process, as Prometheus' text.
 *
 * Loaded at the first scrape, with prom-client; see metrics.ts. Garbage collections and event-loop lag are therefore
 * watched from the first scrape on.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { type Counter, collectDefaultMetrics, type Gauge, Registry } from 'prom-client'
import { labelledGroups } from './group-metric-families.ts'
import { metricFamilies, type Snapshot } from './metric-families.ts'
import type { Metrics } from './metrics.ts'

/** The event loop is looked at this often; a timer cannot be measured closer than its own interval. */
const LAG_INTERVAL_MS = 20
const LAG_QUANTILES = [0.5, 0.9, 0.99, 1]
/** A family with more text than this has cost some milliseconds: requests go first. */
const PAUSE_AFTER_CHARACTERS = 65_536

export class MetricsRegistry {
  private readonly metrics: Metrics
  private readonly pause: () => Promise<void>
  private readonly registry = new Registry()
  private snapshot: Snapshot | null = null
  private running: Promise<string> | null = null

  /** `pause` lets the event loop serve others before it goes on. */
  constructor(metrics: Metrics, pause: () => Promise<void>) {
    this.metrics = metrics
    this.pause = pause
    for (const { name, type, help, collect } of metricFamilies) {
      const get = async () => ({ name, type, help, values: collect(this.snapshot!) })
      // The registry asks a metric for its name and `get` only; the typings want one of the library's classes.
      this.registry.registerMetric({ name, help, get } as unknown as Gauge)
    }
  }

  get contentType(): string {
    return this.registry.contentType
  }

  /** Scrapes that overlap share one result, so that many at once cost no more than one. */
  scrape(): Promise<string> {
    this.running ??= this.read().finally(() => {
      this.running = null
    })
    return this.running
  }

  private async read(): Promise<string> {
    this.snapshot = takeSnapshot(this.metrics)
    const texts: string[] = []
    for (const { name } of metricFamilies) {
      const text = await this.registry.getSingleMetricAsString(name)
      texts.push(text)
      if (text.length > PAUSE_AFTER_CHARACTERS) await this.pause()
    }
    texts.push(await processRegistry().metrics())
    this.snapshot = null
    return texts.join('\n\n')
  }
}

function takeSnapshot(metrics: Metrics): Snapshot {
  const { sources } = metrics
  const lag = eventLoopLag()
  if (sources === null) {
    return { metrics, sources, cluster: null, partitions: [], groups: [], eventLoopLag: lag }
  }
  const partitions = Array.from(sources.partitions(), figures => ({
    labels: { topic: figures.topic, partition: figures.partition },
    figures,
    isLedHere: figures.leader === sources.nodeId,
  }))
  const groups = labelledGroups({ sources })
  const cluster = sources.cluster()
  return { metrics, sources, cluster, partitions, groups, eventLoopLag: lag }
}

let ofProcess: Registry | null = null
let lag: IntervalHistogram | null = null

/** CPU, memory, handles and garbage collections: one registry, however many brokers the process has. */
function processRegistry(): Registry {
  if (ofProcess !== null) return ofProcess
  const registry = new Registry()
  const before = process.cpuUsage()
  // The library's own lag figures count the interval of their timer as lag; ours do not, so theirs never tick.
  const eventLoopMonitoringPrecision = 2 ** 31 - 1
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision })
  for (const what of ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99']) {
    registry.removeSingleMetric(`nodejs_eventloop_lag_${what}_seconds`)
  }
  // These count from now on by themselves; a total is since the start of the process.
  addTo(registry, 'process_cpu_user_seconds_total', before.user / 1e6)
  addTo(registry, 'process_cpu_system_seconds_total', before.system / 1e6)
  addTo(registry, 'process_cpu_seconds_total', (before.user + before.system) / 1e6)
  ofProcess = registry
  return registry
}

function addTo(registry: Registry, counter: string, amount: number): void {
  const metric = registry.getSingleMetric(counter) as Counter
  metric.inc(amount)
}

function eventLoopLag(): Snapshot['eventLoopLag'] {
  if (lag === null) {
    lag = monitorEventLoopDelay({ resolution: LAG_INTERVAL_MS })
    lag.enable()
  }
  const histogram = lag
  // An empty histogram reads as 0 at every quantile.
  const figures = LAG_QUANTILES.map(quantile => {
    const lateNs = histogram.percentile(quantile * 100) - LAG_INTERVAL_MS * 1e6
    return { quantile, seconds: Math.max(0, lateNs) / 1e9 }
  })
  histogram.reset()
  return figures
}

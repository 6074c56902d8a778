/**
 * Latencies in HDR histograms: whole microseconds up to an hour, 3 digits for what is reported, 2 for each second of the
 * plots. Histograms of several processes are added, which percentiles could not be.
 */
import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from 'hdr-histogram-js'

const HIGHEST_US = 3_600_000_000
/** Of each count: a million records a second fill 32 bits in little more than an hour. */
const COUNT_BITS = 64

export type Latency = Histogram

export function newLatency(digits: 2 | 3 = 3): Latency {
  return build({
    bitBucketSize: COUNT_BITS,
    autoResize: true,
    lowestDiscernibleValue: 1,
    highestTrackableValue: 2,
    numberOfSignificantValueDigits: digits,
  })
}

export function recordUs(latency: Latency, us: number): void {
  latency.recordValue(us < 0 ? 0 : us > HIGHEST_US ? HIGHEST_US : Math.round(us))
}

/** As text, between processes. */
export function encodeLatency(latency: Latency): string {
  return encodeIntoCompressedBase64(latency)
}

export function addEncoded(into: Latency, text: string): void {
  into.add(decodeFromCompressedBase64(text, COUNT_BITS))
}

/** Milliseconds; null where nothing was measured. */
export interface Percentiles {
  readonly count: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly p9999Ms: number
  readonly maxMs: number
}

export function percentilesOf(latency: Latency): Percentiles | null {
  if (latency.totalCount === 0) return null
  const at = (percentile: number) => latency.getValueAtPercentile(percentile) / 1000
  return {
    count: latency.totalCount,
    meanMs: latency.mean / 1000,
    p50Ms: at(50),
    p90Ms: at(90),
    p99Ms: at(99),
    p999Ms: at(99.9),
    p9999Ms: at(99.99),
    maxMs: latency.maxValue / 1000,
  }
}

/** Points of the distribution for a plot: percentile and milliseconds, denser towards 100. */
export function distributionOf(latency: Latency): (readonly [percentile: number, ms: number])[] {
  if (latency.totalCount === 0) return []
  const points: (readonly [number, number])[] = []
  for (let left = 100; left > 100 / latency.totalCount && left > 0.0005; left *= 0.8) {
    const percentile = 100 - left
    points.push([percentile, latency.getValueAtPercentile(percentile) / 1000])
  }
  return points
}

/**
 * Latencies by the second in which a record was to be sent. A second is encoded once it is `KEEP_SECONDS` old, so that a
 * long run does not grow; what comes later still goes into a further histogram of that second.
 */
const KEEP_SECONDS = 20

export class LatencyBySecond {
  private readonly open = new Map<number, Latency>()
  private readonly encoded: [second: number, histogram: string][] = []

  record(second: number, us: number): void {
    let latency = this.open.get(second)
    if (latency === undefined) {
      latency = newLatency(2)
      this.open.set(second, latency)
      for (const old of this.open.keys()) if (old < second - KEEP_SECONDS) this.close(old)
    }
    recordUs(latency, us)
  }

  encode(): readonly (readonly [second: number, histogram: string])[] {
    for (const second of this.open.keys()) this.close(second)
    return this.encoded
  }

  private close(second: number): void {
    this.encoded.push([second, encodeLatency(this.open.get(second)!)])
    this.open.delete(second)
  }
}

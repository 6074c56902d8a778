/** Results that no run has made, for tests of what becomes of them. */
import { NO_FAULTS } from '../../bench/checks.ts'
import type { Percentiles } from '../../bench/latency.ts'
import type { BenchResult, PhaseResult, SecondResult } from '../../bench/result.ts'
import { DEFAULTS } from '../../bench/workload.ts'

const PERCENTILES: Percentiles = {
  count: 1000,
  meanMs: 1.5,
  p50Ms: 1,
  p90Ms: 2,
  p99Ms: 5,
  p999Ms: 12,
  p9999Ms: 120,
  maxMs: 1500,
}

const PHASE: PhaseResult = {
  name: 'step 1',
  targetRate: 10_000,
  seconds: 30,
  sent: 300_000,
  ackedPerSecond: 10_000,
  receivedPerSecond: 10_000,
  receivedBytesPerSecond: 1e6,
  failed: 0,
  produce: PERCENTILES,
  endToEnd: PERCENTILES,
  late: PERCENTILES,
  brokerCpuPerMillion: 2.5,
  brokerRssBytes: 80 * 2 ** 20,
  clientCpuPerMillion: 6,
}

export function madeResult(
  change: {
    readonly label?: string
    readonly phase?: Partial<PhaseResult>
    readonly produce?: Partial<Percentiles>
    readonly result?: Partial<BenchResult>
  } = {},
): BenchResult {
  const seconds = Array.from(
    { length: 10 },
    (_, second): SecondResult => ({
      second,
      acked: 10_000,
      received: 9_900,
      failed: 0,
      lag: 100 * second,
      // One second of which nothing is known.
      produce: second === 5 ? null : { ...PERCENTILES, p99Ms: 5 + second },
      endToEnd: PERCENTILES,
      brokerCpu: 0.2,
      brokerRssBytes: 80 * 2 ** 20,
      producerCpu: 0.3,
      consumerCpu: 0.1,
    }),
  )
  return {
    version: '0.1.0',
    startedAt: '2026-01-31T12:00:00.000Z',
    label: change.label ?? 'localhost:9092',
    workload: { ...DEFAULTS, name: 'made', description: 'a < b & "c"' },
    cluster: '1 broker(s), cluster id c, Produce 13, Fetch 18',
    machine: {
      host: 'host',
      cpu: 'a processor',
      cores: 2,
      memoryBytes: 8 * 2 ** 30,
      system: 'Linux 6',
      node: 'v20.20.2',
    },
    processes: 2,
    isPartial: false,
    method: ['as it was'],
    phases: [{ ...PHASE, produce: { ...PERCENTILES, ...change.produce }, ...change.phase }],
    seconds,
    produceDistribution: [
      [0, 0.5],
      [90, 2],
      [99, 5],
      [99.9, 12],
    ],
    endToEndDistribution: [
      [0, 0.7],
      [90, 3],
      [99, 8],
    ],
    checks: NO_FAULTS,
    findings: [],
    rebalances: [],
    errors: [],
    saturation: [],
    cores: { brokers: 0.2, bench: 0.4, others: 0.02 },
    ...change.result,
  }
}

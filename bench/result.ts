/** The outcome of a run, as data: what the table, the JSON and the HTML report are made of. */
import type { CheckCounts } from './checks.ts'
import type { Finding } from './findings.ts'
import {
  addEncoded,
  distributionOf,
  type Latency,
  newLatency,
  type Percentiles,
  percentilesOf,
} from './latency.ts'
import type { Busy, Machine, Usage } from './machine.ts'
import type { Done, Interval, PhaseCounts, Rebalance } from './messages.ts'
import { saturationOf } from './saturation.ts'
import type { Phase } from './schedule.ts'
import type { Workload } from './workload.ts'

export interface PhaseResult {
  readonly name: string
  readonly targetRate: number | 'max'
  readonly seconds: number
  readonly sent: number
  /** By the time at which it happened. */
  readonly ackedPerSecond: number
  readonly receivedPerSecond: number
  readonly receivedBytesPerSecond: number
  readonly failed: number
  readonly produce: Percentiles | null
  readonly endToEnd: Percentiles | null
  /** How late records left, because the client was busy or had too many on their way. */
  readonly late: Percentiles | null
  /** CPU seconds of all brokers for a million acknowledged records. */
  readonly brokerCpuPerMillion: number | null
  readonly brokerRssBytes: number | null
  readonly clientCpuPerMillion: number | null
}

/** One second of the run, the warm-up included. */
export interface SecondResult {
  readonly second: number
  readonly acked: number
  readonly received: number
  readonly failed: number
  /** Acknowledged, and not read by the slowest of all groups together. */
  readonly lag: number
  /** Records that were to be sent in this second. */
  readonly produce: Percentiles | null
  readonly endToEnd: Percentiles | null
  /** Parts of one core. */
  readonly brokerCpu: number | null
  readonly brokerRssBytes: number | null
  readonly producerCpu: number
  readonly consumerCpu: number
}

export interface BenchResult {
  readonly version: string
  readonly startedAt: string
  readonly label: string
  readonly workload: Workload
  readonly cluster: string
  readonly machine: Machine
  readonly processes: number
  /** Ctrl-C: what follows is of the part that was run. */
  readonly isPartial: boolean
  readonly method: readonly string[]
  readonly phases: readonly PhaseResult[]
  readonly seconds: readonly SecondResult[]
  readonly produceDistribution: readonly (readonly [number, number])[]
  readonly endToEndDistribution: readonly (readonly [number, number])[]
  readonly checks: CheckCounts
  /** Where the first of the faults are. */
  readonly findings: readonly Finding[]
  /** After the beginning; the seconds at which members heard of them. */
  readonly rebalances: readonly Rebalance[]
  readonly errors: readonly (readonly [reason: string, count: number])[]
  /** Why the client, and not the cluster, may be what was measured. */
  readonly saturation: readonly string[]
  /** Who had how many cores, on average while it was measured; null where nobody says. */
  readonly cores: Cores | null
}

export interface Cores {
  readonly brokers: number
  /** All processes of the bench. */
  readonly bench: number
  /** Other programs of this machine, and other machines of its host. */
  readonly others: number
}

export interface Sample extends Usage {
  readonly us: number
}

export interface BusySample extends Busy {
  readonly us: number
}

export interface Collected {
  readonly phases: readonly Phase[]
  /** By process. */
  readonly producers: readonly Done[]
  readonly consumers: readonly Done[]
  readonly producerIntervals: readonly (readonly Interval[])[]
  readonly consumerIntervals: readonly (readonly Interval[])[]
  readonly usage: readonly Sample[]
  readonly busy: readonly BusySample[]
  readonly checks: CheckCounts
  readonly findings: readonly Finding[]
  readonly workload: Workload
  /** How long it ran, if less than planned. */
  readonly endUs: number
}

export const METHOD = [
  'Records are due at evenly spaced moments that follow from the rate alone (open loop). Latency counts from that moment, so a stall shows in every record that was due while it lasted. In a step at the maximum the loop is closed, and latency is time in queues.',
  'Produce latency ends with the acknowledgement, end-to-end latency when the consumer has the batch in hand. All processes run on one machine and share its monotonic clock; a timer of the client adds up to about a millisecond, which the lateness shows.',
  'Latencies are in HDR histograms with 3 digits (plots by the second: 2), added over processes. The warm-up is not counted.',
  'Every value carries run, producer, sequence number and a checksum; consumers count what is lost, in the log twice, out of order or damaged within a partition. What a group reads again after a rebalance, because its last offsets were not committed, has the same offset both times: it is counted apart, and its latency only once.',
]

export function assemble(
  collected: Collected,
): Pick<
  BenchResult,
  | 'phases'
  | 'seconds'
  | 'produceDistribution'
  | 'endToEndDistribution'
  | 'checks'
  | 'findings'
  | 'rebalances'
  | 'errors'
  | 'saturation'
  | 'cores'
> {
  const { producers, consumers } = collected
  const rebalances = rebalancesOf(consumers)
  const measured = collected.phases
    .map((phase, index) => ({ phase, index }))
    .filter(({ phase }) => phase.isMeasured && phase.fromUs < collected.endUs)
  const phases = measured.map(({ phase, index }) => phaseResult(collected, phase, index))
  const seconds = secondResults(collected)
  const cores = coresOf(collected)
  const indexes = measured.map(({ index }) => index)
  return {
    phases,
    seconds,
    produceDistribution: distributionOf(merged(producers, indexes, 'produce')),
    endToEndDistribution: distributionOf(merged(consumers, indexes, 'endToEnd')),
    checks: rebalances.length > 0 ? collected.checks : withoutExcuse(collected.checks),
    findings:
      rebalances.length > 0
        ? collected.findings.filter(({ kind }) => kind !== 'reread')
        : collected.findings,
    rebalances,
    errors: errorsOf([...producers, ...consumers]),
    saturation: saturationOf({ ...collected, cores }, phases),
    cores,
  }
}

function coresOf({ busy, phases, endUs }: Collected): Cores | null {
  const fromUs = phases.find(({ isMeasured }) => isMeasured)?.fromUs ?? 0
  const [first, last] = [nearest(busy, fromUs), nearest(busy, endUs)]
  if (first === null || last === null || last.us <= first.us) return null
  const seconds = (last.us - first.us) / 1e6
  const used = (of: keyof Busy) => (last[of] - first[of]) / seconds
  const [brokers, bench] = [used('brokers'), used('bench')]
  // The system counts its processors in ticks, and processes exactly.
  return { brokers, bench, others: Math.max(0, used('all') - brokers - bench) }
}

/** Nobody took over from anybody: what was read twice was given twice. */
function withoutExcuse({ reread, duplicated, ...rest }: CheckCounts): CheckCounts {
  return { ...rest, duplicated: duplicated + reread, reread: 0 }
}

/** Each once, though several processes have heard of it. */
function rebalancesOf(consumers: readonly Done[]): Rebalance[] {
  const found = new Map<string, Rebalance>()
  for (const one of consumers.flatMap(({ rebalances }) => rebalances)) {
    const name = `${one.group}/${one.generation}`
    const known = found.get(name)
    if (known === undefined || known.second > one.second) found.set(name, one)
  }
  return [...found.values()].sort((a, b) => a.second - b.second || a.group - b.group)
}

function phaseResult(collected: Collected, phase: Phase, index: number): PhaseResult {
  const { producers, consumers, usage, endUs } = collected
  const toUs = Math.min(phase.toUs, endUs)
  const seconds = (toUs - phase.fromUs) / 1e6
  const sum = (
    list: readonly Done[],
    field: 'sent' | 'acked' | 'received' | 'receivedBytes' | 'failed',
  ) => list.reduce((total, { phases }) => total + phases[index]![field], 0)
  const acked = sum(producers, 'acked')
  const millions = acked / 1e6
  const used = usedBetween(usage, phase.fromUs, toUs)
  const clientUs = [...collected.producerIntervals, ...collected.consumerIntervals]
    .flat()
    .filter(({ second }) => second >= phase.fromUs / 1e6 && second < toUs / 1e6)
    .reduce((total, { cpuUs }) => total + cpuUs, 0)
  return {
    name: phase.name,
    targetRate: phase.rate,
    seconds,
    sent: sum(producers, 'sent'),
    ackedPerSecond: acked / seconds,
    receivedPerSecond: sum(consumers, 'received') / seconds,
    receivedBytesPerSecond: sum(consumers, 'receivedBytes') / seconds,
    failed: sum(producers, 'failed'),
    produce: percentilesOf(merged(producers, [index], 'produce')),
    endToEnd: percentilesOf(merged(consumers, [index], 'endToEnd')),
    late: percentilesOf(merged(producers, [index], 'late')),
    brokerCpuPerMillion: used === null || acked === 0 ? null : used.cpuSeconds / millions,
    brokerRssBytes: used?.rssBytes ?? null,
    clientCpuPerMillion: acked === 0 ? null : clientUs / 1e6 / millions,
  }
}

type LatencyName = keyof Pick<PhaseCounts, 'produce' | 'endToEnd' | 'late'>

function merged(list: readonly Done[], indexes: readonly number[], name: LatencyName): Latency {
  const latency = newLatency()
  for (const { phases } of list) {
    for (const index of indexes) addEncoded(latency, phases[index]![name])
  }
  return latency
}

/** Samples are in the order of their time; a long run has many of them, and asks for each second. */
function nearest<T extends { readonly us: number }>(usage: readonly T[], us: number): T | null {
  let [low, high] = [0, usage.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (usage[middle]!.us < us) low = middle + 1
    else high = middle
  }
  const [before, after] = [usage[low - 1], usage[low]]
  if (before === undefined || after === undefined) return before ?? after ?? null
  return us - before.us <= after.us - us ? before : after
}

/** CPU between the samples nearest to two moments, and memory at the later one. */
export function usedBetween(usage: readonly Sample[], fromUs: number, toUs: number): Usage | null {
  const [from, to] = [nearest(usage, fromUs), nearest(usage, toUs)]
  if (from === null || to === null || to.us <= from.us) return null
  // Samples do not fall on the edges: what was used is taken as even.
  const scale = (toUs - fromUs) / (to.us - from.us)
  return { cpuSeconds: (to.cpuSeconds - from.cpuSeconds) * scale, rssBytes: to.rssBytes }
}

function secondResults(collected: Collected): SecondResult[] {
  const { phases, usage, workload, endUs } = collected
  const { groups } = workload
  // A part of a second at the end would look like a fall.
  const count = Math.max(1, Math.floor(Math.min(endUs, phases.at(-1)!.toUs) / 1e6))
  const sentBy = bySecond(collected.producerIntervals)
  const readBy = bySecond(collected.consumerIntervals)
  const produce = latenciesBySecond(collected.producers)
  const endToEnd = latenciesBySecond(collected.consumers)
  let lag = 0
  return Array.from({ length: count }, (_, second) => {
    const [sent, read] = [sentBy.get(second) ?? [], readBy.get(second) ?? []]
    const total = (list: readonly Interval[], field: 'acked' | 'received' | 'failed') =>
      list.reduce((sum, interval) => sum + interval[field], 0)
    const [acked, received] = [total(sent, 'acked'), total(read, 'received')]
    lag = groups === 0 ? 0 : Math.max(0, lag + acked - received / groups)
    const used = usedBetween(usage, second * 1e6, (second + 1) * 1e6)
    return {
      second,
      acked,
      received,
      failed: total(sent, 'failed'),
      lag: Math.round(lag),
      produce: percentilesAt(produce, second),
      endToEnd: percentilesAt(endToEnd, second),
      brokerCpu: used?.cpuSeconds ?? null,
      brokerRssBytes: used?.rssBytes ?? null,
      producerCpu: busiest(sent),
      consumerCpu: busiest(read),
    }
  })
}

function bySecond(list: readonly (readonly Interval[])[]): Map<number, Interval[]> {
  const found = new Map<number, Interval[]>()
  for (const interval of list.flat()) {
    const before = found.get(interval.second)
    if (before === undefined) found.set(interval.second, [interval])
    else before.push(interval)
  }
  return found
}

/** Of the process that had most to do: it is the one that ends first at one core. */
function busiest(intervals: readonly Interval[]): number {
  return Math.max(0, ...intervals.map(({ cpuUs, tookUs }) => cpuUs / tookUs))
}

function latenciesBySecond(list: readonly Done[]): Map<number, Latency> {
  const found = new Map<number, Latency>()
  for (const [second, text] of list.flatMap(({ bySecond }) => bySecond)) {
    let latency = found.get(second)
    if (latency === undefined) {
      latency = newLatency(2)
      found.set(second, latency)
    }
    addEncoded(latency, text)
  }
  return found
}

function percentilesAt(latencies: ReadonlyMap<number, Latency>, second: number) {
  const latency = latencies.get(second)
  return latency === undefined ? null : percentilesOf(latency)
}

function errorsOf(list: readonly Done[]): (readonly [string, number])[] {
  const counts = new Map<string, number>()
  for (const [reason, count] of list.flatMap(({ errors }) => errors)) {
    counts.set(reason, (counts.get(reason) ?? 0) + count)
  }
  return [...counts].sort(([, a], [, b]) => b - a)
}

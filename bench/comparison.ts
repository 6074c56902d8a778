/**
 * Two clusters under the same load, alternately: each round gives one ratio for each figure, so that what changes slowly on the
 * machine touches both sides alike. What is reported is the geometric mean of the ratios, with the interval in which it lies
 * with 95 % confidence (Student's t on their logarithms). If that includes 1, nobody knows which is better.
 */
import { table } from '../cli/topic-tables.ts'
import type { BenchResult, PhaseResult } from './result.ts'
import { grouped, shownMs } from './table.ts'

export interface ComparisonRow {
  readonly step: string
  readonly metric: string
  /** Means of all rounds. */
  readonly a: number
  readonly b: number
  readonly ratio: number
  readonly low: number
  readonly high: number
  readonly verdict: string
}

export interface Comparison {
  readonly a: string
  readonly b: string
  readonly rounds: number
  readonly rows: readonly ComparisonRow[]
}

interface Figure {
  readonly metric: string
  readonly isMoreBetter: boolean
  of(phase: PhaseResult): number | null
}

const FIGURES: readonly Figure[] = [
  { metric: 'acked/s', isMoreBetter: true, of: phase => phase.ackedPerSecond },
  { metric: 'read/s', isMoreBetter: true, of: phase => phase.receivedPerSecond },
  { metric: 'produce mean ms', isMoreBetter: false, of: phase => phase.produce?.meanMs ?? null },
  { metric: 'produce p50 ms', isMoreBetter: false, of: phase => phase.produce?.p50Ms ?? null },
  { metric: 'produce p99 ms', isMoreBetter: false, of: phase => phase.produce?.p99Ms ?? null },
  { metric: 'end to end mean ms', isMoreBetter: false, of: p => p.endToEnd?.meanMs ?? null },
  { metric: 'end to end p50 ms', isMoreBetter: false, of: p => p.endToEnd?.p50Ms ?? null },
  { metric: 'end to end p99 ms', isMoreBetter: false, of: p => p.endToEnd?.p99Ms ?? null },
  { metric: 'broker CPU s/M', isMoreBetter: false, of: phase => phase.brokerCpuPerMillion },
  {
    metric: 'broker RSS MiB',
    isMoreBetter: false,
    of: ({ brokerRssBytes: bytes }) => bytes && bytes / 2 ** 20,
  },
]

/** Results in pairs, one of each side a round. */
export function compareResults(a: readonly BenchResult[], b: readonly BenchResult[]): Comparison {
  const rows = a[0]!.phases.flatMap((phase, index) =>
    FIGURES.flatMap(figure => {
      const pairs = a.flatMap((result, round): [number, number][] => {
        const [mine, theirs] = [result.phases[index], b[round]?.phases[index]]
        if (mine === undefined || theirs === undefined) return []
        const [one, other] = [figure.of(mine), figure.of(theirs)]
        return one !== null && other !== null && one > 0 && other > 0 ? [[one, other]] : []
      })
      return pairs.length === 0 ? [] : [rowOf(phase.name, figure, pairs)]
    }),
  )
  return { a: a[0]!.label, b: b[0]!.label, rounds: Math.min(a.length, b.length), rows }
}

function rowOf(
  step: string,
  { metric, isMoreBetter }: Figure,
  pairs: readonly (readonly [number, number])[],
): ComparisonRow {
  const { ratio, low, high } = ratioOf(pairs)
  const mean = (side: 0 | 1) => pairs.reduce((sum, pair) => sum + pair[side], 0) / pairs.length
  return {
    step,
    metric,
    a: mean(0),
    b: mean(1),
    ratio,
    low,
    high,
    verdict: verdictOf(pairs.length, low, high, isMoreBetter),
  }
}

/** Two-sided 95 % points of Student's t, by degrees of freedom from 1 on; beyond them the normal distribution is near. */
const T = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145,
  2.131, 2.12, 2.11, 2.101, 2.093, 2.086,
]

/** Geometric mean of the ratios, and its interval; of a single pair the interval is everything. */
export function ratioOf(pairs: readonly (readonly [number, number])[]): {
  ratio: number
  low: number
  high: number
} {
  const logs = pairs.map(([a, b]) => Math.log(a / b))
  const count = logs.length
  const mean = logs.reduce((sum, log) => sum + log, 0) / count
  if (count === 1) return { ratio: Math.exp(mean), low: 0, high: Number.POSITIVE_INFINITY }
  const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / (count - 1)
  const half = (T[count - 2] ?? 1.96) * Math.sqrt(variance / count)
  return { ratio: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) }
}

const LEAST_ROUNDS = 3

function verdictOf(count: number, low: number, high: number, isMoreBetter: boolean): string {
  if (count < LEAST_ROUNDS) return 'too few rounds to tell'
  if (low <= 1 && high >= 1) return 'within the noise'
  return low > 1 === isMoreBetter ? 'better' : 'worse'
}

export function roundsText(rounds: number): string {
  return rounds === 1 ? '1 round' : `${rounds} rounds`
}

/** Of one round there is none. */
export function spreadText({ low, high }: ComparisonRow, to: string): string {
  return Number.isFinite(high) ? `${low.toFixed(2)}${to}${high.toFixed(2)}` : '?'
}

export function comparisonText({ a, b, rounds, rows }: Comparison): string {
  const number = (value: number) => (value >= 1000 ? grouped(value) : shownMs(value))
  const shown = rows.map(row => [
    row.step,
    row.metric,
    number(row.a),
    number(row.b),
    row.ratio.toFixed(2),
    spreadText(row, ' to '),
    row.verdict,
  ])
  const head = ['STEP', 'WHAT', 'A', 'B', 'A/B', '95 %', 'A IS']
  return `A: ${a}\nB: ${b}\n${roundsText(rounds)}, alternately\n\n${table(head, shown)}`
}

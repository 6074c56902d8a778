/** Several workloads in one table: of one cluster, or of two beside each other. */
import { table } from '../cli/topic-tables.ts'
import { type CheckCounts, faultsOf } from './checks.ts'
import type { Comparison, ComparisonRow } from './comparison.ts'
import type { BenchResult } from './result.ts'
import { hasOthers, WAITED_FOR_PROCESSOR } from './saturation.ts'
import { checksText, findingTexts, grouped, notesOf, shownMs } from './table.ts'

export interface Rows {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** A line for each step of each workload. Latency is end to end where records are read. */
export function summaryRows(results: readonly BenchResult[]): Rows {
  const head = [
    ...['WORKLOAD', 'STEP', 'RATE', 'ACKED/S', 'READ/S', 'P50 ms', 'P99', 'MAX'],
    ...['CPU s/M', 'RSS MiB', 'RECORDS'],
  ]
  const rows = results.flatMap(({ workload, phases, checks }) =>
    phases.map(phase => {
      const latency = phase.endToEnd ?? phase.produce
      return [
        workload.name,
        phase.name,
        phase.targetRate === 'max' ? 'max' : grouped(phase.targetRate),
        grouped(phase.ackedPerSecond),
        grouped(phase.receivedPerSecond),
        ...[latency?.p50Ms, latency?.p99Ms, latency?.maxMs].map(ms =>
          ms === undefined ? '?' : shownMs(ms),
        ),
        phase.brokerCpuPerMillion?.toFixed(2) ?? '?',
        phase.brokerRssBytes === null ? '?' : (phase.brokerRssBytes / 2 ** 20).toFixed(0),
        verdictOf([checks]),
      ]
    }),
  )
  return { head, rows }
}

/** One workload on two clusters. */
export interface Compared {
  readonly name: string
  readonly comparison: Comparison
  readonly results: readonly [readonly BenchResult[], readonly BenchResult[]]
}

/** Metrics of a comparison, and how the table names them. */
const COMPARED = [
  ['ACKED/S', ['acked/s']],
  ['P50 ms', ['end to end p50 ms', 'produce p50 ms']],
  ['P99 ms', ['end to end p99 ms', 'produce p99 ms']],
  ['CPU s/M', ['broker CPU s/M']],
  ['RSS MiB', ['broker RSS MiB']],
] as const

/** For each figure both sides and their ratio, with `~` where it is within the noise and `?` where nothing can be told. */
export function comparedRows(list: readonly Compared[]): Rows {
  const head = [
    ...['WORKLOAD', 'STEP'],
    ...COMPARED.flatMap(([name]) => [`${name} A`, 'B', 'A/B']),
    'RECORDS',
  ]
  const rows = list.flatMap(({ name, comparison, results }) => {
    const steps = [...new Set(comparison.rows.map(({ step }) => step))]
    const checks = results.flat().map(result => result.checks)
    return steps.map(step => {
      const figures = COMPARED.flatMap(([, metrics]) => {
        const row = metrics
          .map(metric => comparison.rows.find(one => one.step === step && one.metric === metric))
          .find(one => one !== undefined)
        return row === undefined ? ['?', '?', ''] : [shown(row.a), shown(row.b), ratioText(row)]
      })
      return [name, step, ...figures, verdictOf(checks)]
    })
  })
  return { head, rows }
}

const MARKS: { readonly [verdict: string]: string } = {
  'within the noise': '~',
  'too few rounds to tell': '?',
}

function ratioText({ ratio, verdict }: ComparisonRow): string {
  return `${ratio.toFixed(2)}${MARKS[verdict] ?? ''}`
}

function shown(value: number): string {
  return value >= 1000 ? grouped(value) : shownMs(value)
}

function verdictOf(checks: readonly CheckCounts[]): string {
  const faults = checks.reduce((sum, one) => sum + faultsOf(one), 0)
  return faults === 0 ? 'well' : `${faults} ill`
}

/** What else there is to say of many runs. That the machine was full is said once. */
export function notesOfMany(
  runs: readonly (readonly [name: string, result: BenchResult])[],
): string {
  const isOfMachine = (note: string) => note.includes(WAITED_FOR_PROCESSOR)
  const full = runs.map(([, one]) => one).filter(one => one.saturation.some(isOfMachine))
  const crowded = full.filter(({ cores, machine }) => hasOthers(cores, machine.cores))
  const notes = runs.flatMap(([name, result]) => {
    const ill = faultsOf(result.checks) === 0 ? [] : [checksText(result), ...findingTexts(result)]
    const others = notesOf(result).filter(note => !isOfMachine(note))
    return [...ill, ...others].map(note => `${name}: ${note}`)
  })
  const say = (count: number, what: string) => {
    if (count > 0)
      notes.push(`In ${count} of ${runs.length} runs ${what}, and every figure shows it.`)
  }
  const most = Math.max(...crowded.map(({ cores }) => cores?.others ?? 0)).toFixed(1)
  const cores = runs[0]?.[1].machine.cores
  say(crowded.length, `other work had processors of this machine, up to ${most} of ${cores} cores`)
  say(full.length - crowded.length, `brokers and bench waited for the ${cores} cores they share`)
  return [...new Set(notes)].map(note => `${note}\n`).join('')
}

export function rowsText({ head, rows }: Rows): string {
  return table(head, rows)
}

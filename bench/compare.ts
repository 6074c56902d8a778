/** `ottla bench compare A B`: the same workload on two clusters, alternately, one beginning each round in turn. */
import type { CliContext, Terminal } from '../cli/context.ts'
import { ProblemsFoundError, UsageError } from '../cli/failure.ts'
import { Client } from '../client/client.ts'
import {
  type BenchOptions,
  liveText,
  loadWorkloads,
  refuseFaults,
  runOptions,
  sayInterrupted,
} from './bench-options.ts'
import { compareResults, comparisonText, roundsText } from './comparison.ts'
import type { BenchResult } from './result.ts'
import { runWorkload } from './run.ts'
import { describeCluster } from './software.ts'
import { type Compared, comparedRows, notesOfMany, rowsText } from './summary.ts'
import type { Workload } from './workload.ts'

export interface CompareOptions extends BenchOptions {
  readonly workload: string
  readonly rounds: number
}

/** A side is `host:port`, or `name=host:port`. */
export async function compare(
  sides: readonly [string, string],
  options: CompareOptions,
  { terminal }: CliContext,
): Promise<void> {
  const workloads = await loadWorkloads(options.workload.split(','), options)
  const interrupted = sayInterrupted(terminal)
  for (const side of sides) await reached(sideOf(side)[1])
  const list: Compared[] = []
  const troubles: string[] = []
  for (const [index, workload] of workloads.entries()) {
    const which = workloads.length === 1 ? '' : `${index + 1}/${workloads.length} ${workload.name} `
    try {
      const results = await alternately(sides, workload, which, options, interrupted, terminal)
      const rounds = Math.min(results[0].length, results[1].length)
      if (rounds === 0) break
      const [a, b] = [results[0].slice(0, rounds), results[1].slice(0, rounds)]
      list.push({ name: workload.name, comparison: compareResults(a, b), results: [a, b] })
      if (which !== '') terminal.err(`${which}done\n`)
    } catch (error) {
      if (list.length === 0) throw error
      troubles.push(`${workload.name}: ${(error as Error).message}`)
      terminal.err(`${troubles.at(-1)}\n`)
    }
  }
  if (list.length === 0) throw new UsageError('it was interrupted before one round was over.')
  await print(list, options, terminal)
  if (troubles.length > 0) throw new ProblemsFoundError('not every workload was run: see above.')
  refuseFaults(list.flatMap(({ results }) => results.flat()))
}

/** Before the first round of one side it is known whether there is another. @throws ConnectionError */
async function reached(bootstrap: string): Promise<void> {
  const admin = new Client({ bootstrap, bootstrapTimeoutMs: 0, logger: null }).admin()
  try {
    await admin.cluster.run('finding it', {}, attempt => describeCluster(admin.cluster, attempt))
  } finally {
    admin.close()
  }
}

async function alternately(
  sides: readonly [string, string],
  workload: Workload,
  which: string,
  options: CompareOptions,
  interrupted: AbortSignal | undefined,
  terminal: Terminal,
): Promise<[BenchResult[], BenchResult[]]> {
  const results: [BenchResult[], BenchResult[]] = [[], []]
  const isInterrupted = () => interrupted?.aborted === true
  for (let round = 0; round < options.rounds && !isInterrupted(); round++) {
    // What comes second finds a warmer machine: each is that as often as the other.
    const order = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)
    for (const side of order) {
      if (isInterrupted()) break
      const [label, bootstrap] = sideOf(sides[side])
      terminal.status?.(`${which}round ${round + 1}, ${label}: making topics and groups`)
      try {
        const result = await runWorkload({
          ...runOptions(bootstrap, workload, options),
          label,
          interrupted,
          live: progress =>
            terminal.status?.(`${which}round ${round + 1}, ${label}: ${liveText(progress)}`),
        })
        if (!result.isPartial) results[side].push(result)
      } finally {
        terminal.status?.('')
      }
    }
  }
  return results
}

function sideOf(text: string): readonly [label: string, bootstrap: string] {
  const at = text.indexOf('=')
  return at < 0 ? [text, text] : [text.slice(0, at), text.slice(at + 1)]
}

async function print(
  list: readonly Compared[],
  { json, report }: CompareOptions,
  terminal: Terminal,
): Promise<void> {
  const [first] = list
  const isOne = list.length === 1
  if (json === true) {
    const shown = list.map(({ name, comparison, results: [a, b] }) => {
      return { workload: name, ...comparison, results: { a, b } }
    })
    terminal.out(`${JSON.stringify(isOne ? shown[0] : shown, null, 2)}\n`)
  } else {
    const { a, b, rounds } = first!.comparison
    const legend = `A: ${a}\nB: ${b}\n${roundsText(rounds)}, alternately; ~ within the noise, ? too few rounds to tell\n`
    terminal.out(
      isOne ? comparisonText(first!.comparison) : `${legend}\n${rowsText(comparedRows(list))}`,
    )
    const runs = list.flatMap(({ name, results }) =>
      results.flat().map(result => [`${name}, ${result.label}`, result] as const),
    )
    terminal.out(notesOfMany(runs))
  }
  if (report === undefined) return
  const [{ reportHtml }, { writeText }] = await Promise.all([
    import('./report.ts'),
    import('../cli/files.ts'),
  ])
  const sections = list.map(({ comparison, results: [a, b] }) => {
    return { results: [middle(a), middle(b)], comparison }
  })
  await writeText(report, reportHtml(sections, isOne ? null : comparedRows(list)))
  terminal.err(`the report is in ${report}\n`)
}

/** Of all rounds the one with the median rate, for the plots. */
function middle(results: readonly BenchResult[]): BenchResult {
  const rate = ({ phases }: BenchResult) => phases.at(-1)?.ackedPerSecond ?? 0
  const sorted = [...results].sort((a, b) => rate(a) - rate(b))
  return sorted[Math.floor(sorted.length / 2)]!
}

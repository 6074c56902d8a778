/** `ottla bench compare A B`: the same workload on two clusters, alternately, one beginning each round in turn. */
import type { CliContext } from '../cli/context.ts'
import { UsageError } from '../cli/failure.ts'
import { adjusted, type BenchOptions, liveText, loadWorkload, runOptions } from './bench-options.ts'
import { faultsOf } from './checks.ts'
import { compareResults, comparisonText } from './comparison.ts'
import type { BenchResult } from './result.ts'
import { runWorkload } from './run.ts'
import { checksText } from './table.ts'

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
  if ((options.pid ?? options.metrics) !== undefined) {
    throw new UsageError('--pid and --metrics are of one cluster: leave them out here.')
  }
  const workload = adjusted(await loadWorkload(options.workload), options)
  const interrupted = terminal.interrupted?.()
  const isInterrupted = () => interrupted?.aborted === true
  const results: [BenchResult[], BenchResult[]] = [[], []]
  for (let round = 0; round < options.rounds && !isInterrupted(); round++) {
    // What comes second finds a warmer machine: each is that as often as the other.
    const order = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)
    for (const side of order) {
      if (isInterrupted()) break
      const [label, bootstrap] = sideOf(sides[side])
      const result = await runWorkload({
        ...runOptions(bootstrap, workload, options),
        label,
        interrupted,
        live: progress => terminal.status?.(`round ${round + 1}, ${label}: ${liveText(progress)}`),
      })
      terminal.status?.('')
      if (!result.isPartial) results[side].push(result)
    }
  }
  const rounds = Math.min(results[0].length, results[1].length)
  if (rounds === 0) throw new UsageError('it was interrupted before one round was over.')
  await print([results[0].slice(0, rounds), results[1].slice(0, rounds)], options, terminal)
}

function sideOf(text: string): readonly [label: string, bootstrap: string] {
  const at = text.indexOf('=')
  return at < 0 ? [text, text] : [text.slice(0, at), text.slice(at + 1)]
}

async function print(
  [a, b]: readonly [readonly BenchResult[], readonly BenchResult[]],
  { json, report }: CompareOptions,
  terminal: CliContext['terminal'],
): Promise<void> {
  const comparison = compareResults(a, b)
  if (json === true) {
    terminal.out(`${JSON.stringify({ ...comparison, results: { a, b } }, null, 2)}\n`)
  } else {
    terminal.out(comparisonText(comparison))
    for (const result of [...a, ...b]) {
      if (faultsOf(result.checks) === 0) continue
      terminal.out(`${result.label}, begun ${result.startedAt}: ${checksText(result)}\n`)
    }
    const saturation = new Set(
      [...a, ...b].flatMap(one => one.saturation.map(s => `${one.label}: ${s}`)),
    )
    for (const sentence of saturation) terminal.out(`${sentence}\n`)
  }
  if (report === undefined) return
  const [{ reportHtml }, { writeText }] = await Promise.all([
    import('./report.ts'),
    import('../cli/files.ts'),
  ])
  await writeText(report, reportHtml([middle(a), middle(b)], comparison))
  terminal.err(`the report is in ${report}\n`)
}

/** Of all rounds the one with the median rate, for the plots. */
function middle(results: readonly BenchResult[]): BenchResult {
  const rate = ({ phases }: BenchResult) => phases.at(-1)?.ackedPerSecond ?? 0
  const sorted = [...results].sort((a, b) => rate(a) - rate(b))
  return sorted[Math.floor(sorted.length / 2)]!
}

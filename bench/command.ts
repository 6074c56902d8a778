/** `ottla bench`: load tests of any Kafka-compatible cluster. */
import type { Command } from 'commander'
import type { CliContext, Terminal } from '../cli/context.ts'
import { ProblemsFoundError } from '../cli/failure.ts'
import { collect, positiveInteger } from '../cli/options.ts'
import {
  type BenchOptions,
  liveText,
  loadOptions,
  loadWorkload,
  loadWorkloads,
  pids,
  refuseFaults,
  runOptions,
  sayInterrupted,
} from './bench-options.ts'
import type { CompareOptions } from './compare.ts'
import type { BenchResult } from './result.ts'

interface MicroOptions {
  readonly check?: string
  readonly write?: string
  readonly json?: boolean
}

const BENCH_HELP = `
'ottla bench steady' is short for 'ottla bench run steady'; 'ottla bench run --help' has the options.`

const HELP = `
A workload is one of 'ottla bench list', or a file in YAML or JSON; 'ottla bench show NAME' prints one to start from.
Latency counts from the moment at which a record was to be sent. Exit code 1: records were lost, came twice, out of
order or damaged, or were not acknowledged. Ctrl-C ends with a report of what was run.`

export function registerBench(program: Command, context: CliContext): void {
  const bench = program
    .command('bench')
    .description('measure a cluster under load')
    .addHelpText('after', BENCH_HELP)
  loadOptions(
    bench
      .command('run [workload...]', { isDefault: true })
      .description(
        "run a workload, several, or 'all' that come along: table, JSON, or a report in HTML",
      )
      .option('--bootstrap <host:port,…>', 'brokers to ask first', 'localhost:9092')
      .option('--label <text>', 'how the report names the cluster; default: its address')
      .option('--pid <number>', 'a broker of this machine; default: who listens there', pids)
      .option('--metrics <url>', "a broker's metrics, for CPU and memory elsewhere", collect),
  )
    .addHelpText('after', HELP)
    .action((names: string[], options: BenchOptions) => run(names, options, context))
  loadOptions(
    bench
      .command('compare <a> <b>')
      .description('the same workload on two clusters, alternately: host:port, or name=host:port')
      .option('--workload <name,…>', "named ones, or files; 'all' that come along", 'steady')
      .option(
        '--rounds <number>',
        'how often each; with fewer than 3 nothing can be told',
        positiveInteger,
        5,
      ),
  )
    .addHelpText('after', HELP)
    .action(async (a: string, b: string, options: CompareOptions) => {
      const { compare } = await import('./compare.ts')
      await compare([a, b], options, context)
    })
  bench
    .command('micro [name...]')
    .description('what pieces of the broker cost beside a calibration loop; for the project itself')
    .option('--check <file.json>', 'exit code 1 if one is slower than there')
    .option('--write <file.json>', 'write the ratios there')
    .option('--json', 'print JSON')
    .option('--verbose', 'show where an error comes from')
    .action((names: string[], options: MicroOptions) => micro(names, options, context.terminal))
  bench
    .command('list')
    .description('the workloads that come along')
    .action(async () => {
      const [{ namedWorkload, workloadNames }, { table }] = await Promise.all([
        import('./named-workloads.ts'),
        import('../cli/topic-tables.ts'),
      ])
      const rows = workloadNames.map(name => [name, namedWorkload(name)!.description])
      context.terminal.out(table(['WORKLOAD', 'WHAT IT DOES'], rows))
    })
  bench
    .command('show <workload>')
    .description('print a workload as YAML')
    .action(async (name: string) => {
      const { workloadText } = await import('./workload.ts')
      context.terminal.out(workloadText(await loadWorkload(name)))
    })
}

async function run(
  names: readonly string[],
  options: BenchOptions,
  context: CliContext,
): Promise<void> {
  const { terminal } = context
  const workloads = await loadWorkloads(names, options)
  const interrupted = sayInterrupted(terminal)
  const { runWorkload } = await import('./run.ts')
  const results: BenchResult[] = []
  const troubles: string[] = []
  for (const [index, workload] of workloads.entries()) {
    if (interrupted?.aborted === true) break
    const which = workloads.length === 1 ? '' : `${index + 1}/${workloads.length} ${workload.name} `
    terminal.status?.(`${which}making topics and groups`)
    try {
      const result = await runWorkload({
        ...runOptions(options.bootstrap, workload, options),
        label: options.label ?? options.bootstrap,
        interrupted,
        live: progress => terminal.status?.(`${which}${liveText(progress)}`),
      })
      results.push(result)
    } catch (error) {
      // Of several the others go on; what no run can do without is told at once.
      if (workloads.length === 1 || results.length === 0) throw error
      troubles.push(`${workload.name}: ${(error as Error).message}`)
      terminal.err(`${troubles.at(-1)}\n`)
    } finally {
      terminal.status?.('')
    }
  }
  await print(results, options, terminal)
  if (troubles.length > 0) throw new ProblemsFoundError('not every workload was run: see above.')
  refuseFaults(results)
}

async function print(
  results: readonly BenchResult[],
  { json, report }: BenchOptions,
  terminal: Terminal,
): Promise<void> {
  const [{ resultText }, { notesOfMany, rowsText, summaryRows }] = await Promise.all([
    import('./table.ts'),
    import('./summary.ts'),
  ])
  const [only, ...others] = results
  const isOne = only !== undefined && others.length === 0
  if (json === true) terminal.out(`${JSON.stringify(isOne ? only : results, null, 2)}\n`)
  else if (isOne) terminal.out(resultText(only))
  else {
    const runs = results.map(result => [result.workload.name, result] as const)
    terminal.out(`${rowsText(summaryRows(results))}\n${notesOfMany(runs)}`)
  }
  if (report === undefined) return
  const [{ reportHtml }, { writeText }] = await Promise.all([
    import('./report.ts'),
    import('../cli/files.ts'),
  ])
  const sections = results.map(result => ({ results: [result] }))
  await writeText(report, reportHtml(sections, isOne ? null : summaryRows(results)))
  terminal.err(`the report is in ${report}\n`)
}

async function micro(
  names: readonly string[],
  { check, write, json }: MicroOptions,
  terminal: Terminal,
): Promise<void> {
  const [{ runMicros, slowerThan }, { fileBytes, writeText }, { table }] = await Promise.all([
    import('./micro.ts'),
    import('../cli/files.ts'),
    import('../cli/topic-tables.ts'),
  ])
  const baseline =
    check === undefined ? {} : (JSON.parse((await fileBytes(check)).toString()) as Ratios)
  const program = process.argv[1]!
  const first = await runMicros(program, names)
  // What looks slower is looked at once more: what else ran on the machine may be gone.
  const doubted =
    check === undefined ? [] : first.filter(one => slowerThan([one], baseline).length > 0)
  const again =
    doubted.length === 0
      ? []
      : await runMicros(
          program,
          doubted.map(({ name }) => name),
        )
  const results = first.map(one => {
    const second = again.find(({ name }) => name === one.name)
    return second !== undefined && second.ratio < one.ratio ? second : one
  })
  const rows = results.map(({ name, micros, ratio }) => [
    name,
    micros.toFixed(2),
    ratio.toFixed(3),
    baseline[name] === undefined ? '' : (ratio / baseline[name]).toFixed(2),
  ])
  if (json === true) terminal.out(`${JSON.stringify(results, null, 2)}\n`)
  else terminal.out(table(['PIECE', 'CPU µs', 'OF CALIBRATION', 'TO BASELINE'], rows))
  if (write !== undefined) {
    const ratios = results.map(({ name, ratio }) => [name, Number(ratio.toPrecision(3))])
    await writeText(write, `${JSON.stringify(Object.fromEntries(ratios), null, 2)}\n`)
  }
  const slower = check === undefined ? [] : slowerThan(results, baseline)
  if (slower.length > 0)
    throw new ProblemsFoundError(`slower than in ${check}: ${slower.join('; ')}.`)
}

type Ratios = Readonly<Record<string, number>>

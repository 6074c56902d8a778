/** `ottla bench`: load tests of any Kafka-compatible cluster. */
import type { Command } from 'commander'
import type { CliContext, Terminal } from '../cli/context.ts'
import { ProblemsFoundError } from '../cli/failure.ts'
import { positiveInteger } from '../cli/options.ts'
import {
  adjusted,
  type BenchOptions,
  liveText,
  loadOptions,
  loadWorkload,
  runOptions,
} from './bench-options.ts'
import { faultsOf } from './checks.ts'
import type { CompareOptions } from './compare.ts'
import type { BenchResult } from './result.ts'

interface MicroOptions {
  readonly check?: string
  readonly write?: string
  readonly json?: boolean
}

const HELP = `
A workload is one of 'ottla bench list', or a file in YAML or JSON; 'ottla bench show NAME' prints one to start from.
Latency counts from the moment at which a record was to be sent. Exit code 1: records were lost, came twice, out of
order or damaged, or were refused.`

export function registerBench(program: Command, context: CliContext): void {
  const bench = program.command('bench').description('measure a cluster under load')
  loadOptions(
    bench
      .command('run <workload>', { isDefault: true })
      .description('run a workload: table, JSON, or a report in HTML')
      .option('--bootstrap <host:port,…>', 'brokers to ask first', 'localhost:9092')
      .option('--label <text>', 'how the report names the cluster; default: its address'),
  )
    .addHelpText('after', HELP)
    .action((workload: string, options: BenchOptions) => run(workload, options, context))
  loadOptions(
    bench
      .command('compare <a> <b>')
      .description('the same workload on two clusters, alternately: host:port, or name=host:port')
      .option('--workload <name>', 'a named one, or a file', 'steady')
      .option(
        '--rounds <number>',
        'how often each; with fewer than 3 nothing can be told',
        positiveInteger,
        5,
      ),
  ).action(async (a: string, b: string, options: CompareOptions) => {
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
      const { stringify } = await import('yaml')
      context.terminal.out(stringify(await loadWorkload(name)))
    })
}

async function run(name: string, options: BenchOptions, context: CliContext): Promise<void> {
  const { terminal } = context
  const workload = adjusted(await loadWorkload(name), options)
  const { runWorkload } = await import('./run.ts')
  const result = await runWorkload({
    ...runOptions(options.bootstrap, workload, options),
    label: options.label ?? options.bootstrap,
    interrupted: terminal.interrupted?.(),
    live: progress => terminal.status?.(liveText(progress)),
  })
  terminal.status?.('')
  await print(result, options, terminal)
}

async function print(
  result: BenchResult,
  { json, report }: BenchOptions,
  terminal: Terminal,
): Promise<void> {
  const { resultText } = await import('./table.ts')
  terminal.out(json === true ? `${JSON.stringify(result, null, 2)}\n` : resultText(result))
  if (report !== undefined) {
    const [{ reportHtml }, { writeText }] = await Promise.all([
      import('./report.ts'),
      import('../cli/files.ts'),
    ])
    await writeText(report, reportHtml([result]))
    terminal.err(`the report is in ${report}\n`)
  }
  const failed = result.phases.reduce((sum, phase) => sum + phase.failed, 0)
  if (faultsOf(result.checks) + failed === 0) return
  throw new ProblemsFoundError('not every record arrived once, whole and in order: see above.')
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
  const first = await runMicros(names)
  // What looks slower is looked at once more: what else ran on the machine may be gone.
  const doubted =
    check === undefined ? [] : first.filter(one => slowerThan([one], baseline).length > 0)
  const again = doubted.length === 0 ? [] : await runMicros(doubted.map(({ name }) => name))
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

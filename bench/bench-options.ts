/** What `ottla bench run` and `ottla bench compare` share: options, the workload that they name, the line of progress. */
import { parse } from 'node:path'
import type { Command } from 'commander'
import type { Terminal } from '../cli/context.ts'
import { ProblemsFoundError, UsageError } from '../cli/failure.ts'
import { positiveInteger, wholeNumber } from '../cli/options.ts'
import { resolveClientConfig } from '../client/config.ts'
import { faultsOf } from './checks.ts'
import { brokerPids, machineProbe } from './machine.ts'
import type { BenchResult } from './result.ts'
import type { LiveProgress, RunOptions } from './run.ts'
import { softwareOf } from './software.ts'
import { DEFAULTS, isName, type Pause, secondsOf, type Workload } from './workload.ts'

export interface BenchOptions {
  readonly bootstrap: string
  readonly json?: boolean
  readonly report?: string
  readonly label?: string
  readonly workers: number
  readonly rate?: number
  readonly seconds?: number
  readonly warmup?: number
  readonly shorten?: number
  readonly pid?: readonly number[]
  readonly metrics?: readonly string[]
  readonly keepTopics?: boolean
}

export function pids(value: string, before: readonly number[] = []): number[] {
  return [...before, positiveInteger(value)]
}

/** What `run` and `compare` share. */
export function loadOptions(command: Command): Command {
  return command
    .option('--rate <records/s>', 'in place of the rates of all steps', positiveInteger)
    .option('--seconds <number>', 'in place of the length of all steps', positiveInteger)
    .option('--warmup <seconds>', 'in place of the length of the warm-up; 0: none', wholeNumber)
    .option('--shorten <factor>', 'divide all times of the workload by this', positiveInteger)
    .option(
      '--workers <number>',
      'processes of producers, and of consumers; at least so many there are then of each',
      positiveInteger,
      1,
    )
    .option('--report <file.html>', 'write a report with plots')
    .option('--keep-topics', 'do not delete the topics at the end')
    .option('--json', 'print JSON')
    .option('--verbose', 'show where an error comes from')
}

export function runOptions(
  bootstrap: string,
  workload: Workload,
  options: BenchOptions,
): RunOptions {
  const { bootstrap: addresses } = resolveClientConfig({ bootstrap })
  const pids = brokerPids(addresses, options.pid ?? [])
  return {
    bootstrap,
    label: bootstrap,
    software: softwareOf(pids),
    workload,
    workers: options.workers,
    usage: machineProbe(pids, options.metrics ?? []),
    brokerPids: pids,
    ...(options.keepTopics === true ? { keepTopics: true } : {}),
  }
}

/** A named one, else a file, which without a name of its own is called as the file is. @throws WorkloadError or UsageError */
export async function loadWorkload(name: string): Promise<Workload> {
  const { namedWorkload, workloadNames } = await import('./named-workloads.ts')
  const named = namedWorkload(name)
  if (named !== null) return named
  if (!/[./]/.test(name)) {
    const known = workloadNames.join(', ')
    throw new UsageError(`there is no workload '${name}', and it is no file. There are ${known}.`)
  }
  const [{ fileBytes }, { parseWorkload }] = await Promise.all([
    import('../cli/files.ts'),
    import('./workload.ts'),
  ])
  const workload = parseWorkload((await fileBytes(name)).toString('utf8'), name)
  const { name: file } = parse(name)
  const isNamed = workload.name !== DEFAULTS.name || !isName(file)
  return isNamed ? workload : { ...workload, name: file }
}

/** All named ones, if one of the names is `all`. @throws WorkloadError or UsageError, before anything is run */
export async function loadWorkloads(
  names: readonly string[],
  options: BenchOptions,
): Promise<Workload[]> {
  const { workloadNames } = await import('./named-workloads.ts')
  if (names.length === 0) {
    const known = workloadNames.join(', ')
    throw new UsageError(`name a workload: ${known}, all of them by 'all', or a file.`)
  }
  if (options.report !== undefined) {
    const { checkWritable } = await import('../cli/files.ts')
    await checkWritable(options.report)
  }
  const all = names.flatMap(name => (name === 'all' ? workloadNames : [name]))
  return Promise.all(all.map(async name => adjusted(await loadWorkload(name), options)))
}

/** With the rate, length and warm-up of the command line. What happens meanwhile keeps its place in the run. */
export function adjusted(workload: Workload, options: BenchOptions): Workload {
  const { rate, seconds, warmup, shorten = 1 } = options
  const steps = workload.steps.map(step => ({
    rate: rate ?? step.rate,
    seconds: seconds ?? step.seconds / shorten,
  }))
  const scale = secondsOf(steps) / secondsOf(workload.steps)
  const scaled = (list: readonly Pause[]) =>
    list.map(one => ({ atSeconds: one.atSeconds * scale, seconds: one.seconds * scale }))
  return {
    ...workload,
    steps,
    warmupSeconds: warmup ?? workload.warmupSeconds / shorten,
    pauses: scaled(workload.pauses),
    restarts: scaled(workload.restarts),
  }
}

/** @throws ProblemsFoundError if records were wrong, or were not acknowledged. */
export function refuseFaults(results: readonly BenchResult[]): void {
  if (results.some(({ checks }) => faultsOf(checks) > 0)) {
    throw new ProblemsFoundError('not every record arrived once, whole and in order: see above.')
  }
  if (results.flatMap(({ phases }) => phases).some(({ failed }) => failed > 0)) {
    throw new ProblemsFoundError('not every record was acknowledged: see above.')
  }
}

/** Text that goes with the first Ctrl-C, which ends what is sent. */
export function sayInterrupted(terminal: Terminal): AbortSignal | undefined {
  const signal = terminal.interrupted?.()
  const text =
    'No more is sent; what was sent is waited for and checked. Ctrl-C again ends at once, and leaves the topics behind.\n'
  signal?.addEventListener('abort', () => terminal.err(text), { once: true })
  return signal
}

export function liveText(progress: LiveProgress): string {
  const { second, totalSeconds, phase, acked, received, failed, lag, produce, endToEnd } = progress
  const ms = (value: number | undefined) => (value === undefined ? '-' : value.toFixed(1))
  return [
    `${second}/${totalSeconds} s ${phase}`,
    `${acked.toLocaleString('en-US')}/s acked p50 ${ms(produce?.p50Ms)} p99 ${ms(produce?.p99Ms)} ms`,
    `${received.toLocaleString('en-US')}/s read p50 ${ms(endToEnd?.p50Ms)} p99 ${ms(endToEnd?.p99Ms)} ms`,
    `lag ${lag.toLocaleString('en-US')}`,
    `${failed} failed`,
  ].join(', ')
}

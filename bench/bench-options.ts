/** What `ottla bench run` and `ottla bench compare` share: options, the workload that they name, the line of progress. */
import type { Command } from 'commander'
import { UsageError } from '../cli/failure.ts'
import { collect, positiveInteger } from '../cli/options.ts'
import { resolveClientConfig } from '../client/config.ts'
import { machineProbe } from './machine.ts'
import type { LiveProgress, RunOptions } from './run.ts'
import type { Workload } from './workload.ts'

export interface BenchOptions {
  readonly bootstrap: string
  readonly json?: boolean
  readonly report?: string
  readonly label?: string
  readonly workers: number
  readonly rate?: number
  readonly seconds?: number
  readonly warmup?: number
  readonly pid?: readonly number[]
  readonly metrics?: readonly string[]
  readonly keepTopics?: boolean
}

function pids(value: string, before: readonly number[] = []): number[] {
  return [...before, positiveInteger(value)]
}

/** What `run` and `compare` share. */
export function loadOptions(command: Command): Command {
  return command
    .option('--rate <records/s>', 'in place of the rates of all steps', positiveInteger)
    .option('--seconds <number>', 'in place of the length of all steps', positiveInteger)
    .option('--warmup <seconds>', 'in place of the length of the warm-up', positiveInteger)
    .option('--workers <number>', 'processes of producers, and of consumers', positiveInteger, 1)
    .option('--pid <number>', 'a broker of this machine; default: who listens there', pids)
    .option('--metrics <url>', "a broker's metrics, for CPU and memory elsewhere", collect)
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
  return {
    bootstrap,
    label: bootstrap,
    workload,
    workers: options.workers,
    usage: machineProbe(addresses, options.pid ?? [], options.metrics ?? []),
    ...(options.keepTopics === true ? { keepTopics: true } : {}),
  }
}

/** A named one, else a file. @throws WorkloadError or UsageError */
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
  return parseWorkload((await fileBytes(name)).toString('utf8'), name)
}

/** With the rate, length and warm-up of the command line. */
export function adjusted(workload: Workload, options: BenchOptions): Workload {
  const { rate, seconds, warmup } = options
  const steps = workload.steps.map(step => ({
    rate: rate ?? step.rate,
    seconds: seconds ?? step.seconds,
  }))
  return { ...workload, steps, warmupSeconds: warmup ?? workload.warmupSeconds }
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

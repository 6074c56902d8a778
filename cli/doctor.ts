/**
 * `ottla doctor`: connects as a client does, looks at every step on the way, and says in words what is wrong and what to do
 * about it. It writes nothing; asking for a coordinator may make a cluster create its offsets topic, as any consumer does.
 */
import type { Command } from 'commander'
import { type Paint, paintFor } from './colours.ts'
import type { CliContext, Terminal } from './context.ts'
import { ProblemsFoundError, UnreachableError, UsageError } from './failure.ts'
import { type ClusterOptions, clientOptions, clusterCommand, collect } from './options.ts'

export interface Finding {
  readonly level: 'ok' | 'warning' | 'problem'
  /** What was looked at: an address, a broker, a topic. */
  readonly about: string
  readonly text: string
  /** What to do; empty where nothing is to be done. */
  readonly advice: string
}

/** Where findings go, in the order in which they are made. */
export type Report = (level: Finding['level'], about: string, text: string, advice?: string) => void

interface DoctorOptions extends ClusterOptions {
  readonly topic?: readonly string[]
  readonly group?: string
}

const HELP = `
Exit codes of doctor:
  0  nothing is wrong; there may be warnings
  1  problems were found
  2  wrong usage
  3  no broker could be reached`

export function registerDoctor(program: Command, context: CliContext): void {
  clusterCommand(program, 'doctor', 'say what keeps a client from working with a cluster')
    .option('--topic <name>', 'it has to be there; may be repeated. Default: all', collect)
    .option('--group <name>', 'whose coordinator to look for', 'ottla-doctor')
    .addHelpText('after', HELP)
    .action((options: DoctorOptions) => doctor(options, context))
}

async function doctor(options: DoctorOptions, context: CliContext): Promise<void> {
  const { terminal } = context
  const findings: Finding[] = []
  const print = options.json === true ? () => {} : printer(terminal)
  const report: Report = (level, about, text, advice = '') => {
    const finding = { level, about, text, advice }
    findings.push(finding)
    print(finding)
  }
  const hasReached = await examine(options, context, report)
  if (options.json === true) terminal.out(`${JSON.stringify(findings, null, 2)}\n`)
  const count = (level: Finding['level']) => findings.filter(one => one.level === level).length
  const summary = `${counted(count('problem'), 'problem')}, ${counted(count('warning'), 'warning')}`
  if (!hasReached) throw new UnreachableError(`no broker could be reached: ${summary}.`)
  if (count('problem') > 0) throw new ProblemsFoundError(`${summary}.`)
  if (options.json !== true) terminal.out(`${summary}.\n`)
}

/** False if not one broker was reached. */
async function examine(
  options: DoctorOptions,
  context: CliContext,
  report: Report,
): Promise<boolean> {
  const [{ systemIo }, { resolveClientConfig }, { checkAddress }, checks] = await Promise.all([
    import('../protocol/system-io.ts'),
    import('../client/config.ts'),
    import('./doctor-address.ts'),
    import('./doctor-cluster.ts'),
  ])
  const connecting = clientOptions(options)
  const { bootstrap, connectTimeoutMs } = resolveClientConfig(connecting)
  const io = systemIo()
  await checks.checkCodecs(report)
  let isReached = false
  for (const address of bootstrap) {
    const connection = await checkAddress(io, address, { connectTimeoutMs, report })
    connection?.close()
    isReached ||= connection !== null
  }
  if (!isReached) return false
  const admin = await context.openAdmin(connecting)
  try {
    const { topic = [], group = '' } = options
    if (group === '') throw new UsageError('--group is empty.')
    await checks.checkCluster({ io, admin, connectTimeoutMs, report }, topic, group)
  } finally {
    admin.close()
  }
  return true
}

const COLOURS = { ok: 'green', warning: 'yellow', problem: 'red' } as const

function printer(terminal: Terminal): (finding: Finding) => void {
  const paint = paintFor(terminal)
  return finding => terminal.out(line(finding, paint))
}

function line({ level, about, text, advice }: Finding, paint: Paint): string {
  const head = paint(COLOURS[level], level.padEnd(7))
  const rest = advice === '' ? '' : `\n         ${advice}.`
  return `${head}  ${about}: ${text}${rest}\n`
}

function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

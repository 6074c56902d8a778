/**
 * The command line. Each command is a file that is loaded only when it is asked for, so that `ottla broker` starts
 * without the client and `ottla topic` without the broker.
 */
import { once } from 'node:events'
import { createInterface as linesOf } from 'node:readline'
import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import { SOFTWARE_VERSION } from '../client/config.ts'
import { paintFor, takesColours } from './colours.ts'
import { type CliContext, EXIT, EXIT_CODES_HELP, type Terminal } from './context.ts'
import { reportFailure } from './failure.ts'
import { fileLines } from './files.ts'

type Register = (program: Command, context: CliContext) => void

const COMMANDS: { readonly [name: string]: () => Promise<Register> } = {
  bench: async () => (await import('../bench/command.ts')).registerBench,
  broker: async () => (await import('./broker.ts')).registerBroker,
  config: async () => (await import('./config.ts')).registerConfig,
  consume: async () => (await import('./consume.ts')).registerConsume,
  doctor: async () => (await import('./doctor.ts')).registerDoctor,
  group: async () => (await import('./group.ts')).registerGroup,
  log: async () => (await import('./log.ts')).registerLog,
  produce: async () => (await import('./produce.ts')).registerProduce,
  topic: async () => (await import('./topic.ts')).registerTopic,
  // Last: it looks at all that are there before it, so it is not loaded alone.
  completion: async () => (await import('./completion.ts')).registerCompletion,
}

const NEEDS_ALL = /^(completion|complete)$/

/** Runs the process's command line and sets its exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (`ottla topic list | head`) is no failure.
  process.stdout.on('error', error => {
    if ('code' in error && error.code === 'EPIPE') process.exit(EXIT.ok)
    throw error
  })
  const terminal = processTerminal()
  const code = await runCli(argv.slice(2), {
    terminal,
    openAdmin,
    openClient,
    runBroker,
    async printConfig(options) {
      const [{ readConfig }, { printConfig }] = await Promise.all([
        import('../broker/main.ts'),
        import('./print-config.ts'),
      ])
      printConfig(await readConfig(options), text => terminal.out(text))
    },
  })
  // A broker that has not started has set its own.
  if (code !== EXIT.ok || process.exitCode === undefined) process.exitCode = code
}

/** Runs one command; returns the exit code. Never throws for what a command runs into. */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  const { terminal } = context
  const paint = paintFor(terminal)
  const program = new Command('ottla')
    .description('A Kafka-compatible partitioned log service')
    .version(SOFTWARE_VERSION, '-v, --version')
    .exitOverride()
    .configureOutput({
      writeOut: text => terminal.out(text),
      writeErr: text => terminal.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'ottla: ')),
    })
    .configureHelp({ styleTitle: title => paint('bold', title) })
    .addHelpText('afterAll', EXIT_CODES_HELP)
  try {
    const only = NEEDS_ALL.test(args[0] ?? '') ? undefined : COMMANDS[args[0] ?? '']
    const wanted = only === undefined ? Object.values(COMMANDS) : [only]
    for (const load of wanted) (await load())(program, context)
    await program.parseAsync(args, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    const isVerbose = args.includes('--verbose') || (process.env['DEBUG'] ?? '') !== ''
    return reportFailure(error, terminal, isVerbose)
  }
}

const openAdmin: CliContext['openAdmin'] = async options => {
  const [{ systemIo }, { Cluster }, { Admin }] = await Promise.all([
    import('../protocol/system-io.ts'),
    import('../client/cluster.ts'),
    import('../client/admin.ts'),
  ])
  return new Admin(new Cluster(systemIo(), options))
}

const openClient: CliContext['openClient'] = async options => {
  const { Client } = await import('../client/client.ts')
  // Commands say themselves what is wrong.
  return new Client({ ...options, logger: null })
}

const runBroker: CliContext['runBroker'] = async options => {
  const broker = await import('../broker/main.ts')
  return broker.runBroker(options)
}

function processTerminal(): Terminal {
  const { stdin, stdout, stderr, env } = process
  let isStatusShown = false
  const clear = () => {
    if (isStatusShown) stderr.write('\r\u001b[2K')
    isStatusShown = false
  }
  const status = (text: string) => {
    clear()
    if (text !== '') stderr.write(text.slice(0, (stderr.columns ?? 80) - 1))
    isStatusShown = text !== ''
  }
  return {
    out(text) {
      clear()
      stdout.write(text)
    },
    err(text) {
      clear()
      stderr.write(text)
    },
    ...(stderr.isTTY === true ? { status } : {}),
    hasColours: takesColours(stdout, env),
    interrupted() {
      const controller = new AbortController()
      process.once('SIGINT', () => controller.abort())
      return controller.signal
    },
    async drained() {
      if (stdout.writableNeedDrain) await once(stdout, 'drain')
    },
    lines(file) {
      if (file !== undefined) return fileLines(file)
      return linesOf({ input: stdin, crlfDelay: Number.POSITIVE_INFINITY })
    },
    isInteractive: stdin.isTTY === true && stdout.isTTY === true,
    async ask(question) {
      const lines = createInterface({ input: stdin, output: stdout })
      try {
        return (await lines.question(question)).trim()
      } finally {
        lines.close()
      }
    },
  }
}

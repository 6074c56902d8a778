/**
 * What the end-to-end tests stand on: child processes that never outlive the test, brokers on free ports, and a word
 * for whatever this machine lacks.
 *
 * Every process started here is ended by its id: by `stop`, `kill9`, or, when a test fails or is interrupted, as this
 * process exits. Directories made here are removed then too (OTTLA_KEEP=1 keeps them).
 *
 * OTTLA_E2E_SUBJECT=kafka puts Apache Kafka in Ottla's place: a test that Kafka fails is a wrong test.
 * OTTLA_BIN names another `ottla` to test than `bin/ottla`.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const KAFKA = join(process.cwd(), '..', 'shared', 'peers', 'kafka', 'kafka')
const OTTLA = process.env['OTTLA_BIN'] ?? join(process.cwd(), 'bin', 'ottla')

/** Whether Kafka stands in for Ottla, to test the tests. */
export const subjectIsKafka = process.env['OTTLA_E2E_SUBJECT'] === 'kafka'

export interface ServerOptions {
  /** Settings by their Kafka names, on top of the properties that both brokers get. */
  readonly overrides?: Readonly<Record<string, string>>
  /** Kept by the caller, for a restart; without it a new one is made. */
  readonly dataDir?: string
  /** Kept by the caller, for a restart; without it a free one is taken. */
  readonly port?: number
  /** Without a properties file: Ottla with its own defaults, but for port and directories. */
  readonly bare?: boolean
  /** What the process may have open (`ulimit -n`); only of Ottla. */
  readonly openFiles?: number
}

export interface Server {
  readonly bootstrap: string
  readonly port: number
  readonly pid: number
  readonly dataDir: string
  /** Ends it politely and waits; returns its exit code. Rejects if it does not end within 30 seconds. */
  stop(): Promise<number | null>
  /** Resolves with its exit code when it has ended by itself. */
  readonly ended: Promise<number | null>
  /** Ends it with SIGKILL and waits until it is gone. */
  kill9(): Promise<void>
  /** What it has written so far. */
  output(): string
}

export interface Finished {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

const children = new Set<ChildProcess>()
const directories = new Set<string>()

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  if (process.env['OTTLA_KEEP'] === '1') return
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(1))
}

/** Registers a child so that it cannot outlive this process. */
export function adopt(child: ChildProcess): ChildProcess {
  children.add(child)
  child.once('exit', () => children.delete(child))
  child.once('error', () => children.delete(child))
  return child
}

/** A directory that disappears with this process. */
export function temporaryDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `ottla-${name}-`))
  directories.add(directory)
  return directory
}

/** Below what systems use for outgoing connections, one of which could take the port while a broker restarts. */
const PORTS = { from: 12_000, pairs: 10_000 }

/** A port that nobody listens at, nor at the one after it, which a controller of Kafka takes. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.from + 2 * Math.floor(Math.random() * PORTS.pairs)
    if ((await isFree(port)) && (await isFree(port + 1))) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

/** Waits until `isDone`; fails with `what`, and what `more` says, after a minute or `timeoutMs`. */
export async function until(
  isDone: () => boolean | Promise<boolean>,
  what: string,
  { timeoutMs = 60_000, more = () => '' }: { timeoutMs?: number; more?: () => string } = {},
): Promise<void> {
  for (const deadline = performance.now() + timeoutMs; !(await isDone()); ) {
    if (performance.now() > deadline) {
      throw new Error(`in ${timeoutMs / 1000} s not: ${what}\n${more()}`)
    }
    await pause(50)
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function portOpen(port: number, child: ChildProcess, output: () => string): Promise<void> {
  const deadline = performance.now() + 180_000
  while (!(await accepts(port))) {
    const gone = child.exitCode !== null || child.signalCode !== null
    if (gone || performance.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`the broker ${gone ? 'ended' : 'did not open its port'}:\n${output()}`)
    }
    await pause(10)
  }
}

/** Runs a program to its end. What it reads on standard input is `stdin`, or nothing. */
export async function run(
  command: string,
  args: readonly string[],
  options: { stdin?: Buffer | string; timeoutMs?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Finished> {
  const child = adopt(
    spawn(command, args, { stdio: 'pipe', env: { ...process.env, ...options.env } }),
  )
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A program may end without reading everything; its exit code says what happened.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(options.stdin ?? '')
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return { code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }
}

/** As `run`, but anything other than exit code 0 is an error with what the program said. */
export async function runWell(
  command: string,
  args: readonly string[],
  options: { stdin?: Buffer | string; timeoutMs?: number } = {},
): Promise<Buffer> {
  const { code, stdout, stderr } = await run(command, args, options)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${stderr}`)
  return stdout
}

// ---------------------------------------------------------------------------------------------- brokers

/** One properties file for both brokers: settings differ only where a test says so. */
function writeProperties(options: Required<Omit<ServerOptions, 'bare' | 'openFiles'>>): string {
  const { dataDir, port, overrides } = options
  const settings: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${port + 1}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${port + 1}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(dataDir, 'data'),
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    ...overrides,
  }
  const file = join(dataDir, 'server.properties')
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

async function launch(
  options: ServerOptions,
  command: (
    file: string,
    place: { port: number; dataDir: string },
  ) => readonly [string, readonly string[]],
): Promise<Server> {
  const dataDir = options.dataDir ?? temporaryDirectory('data')
  const port = options.port ?? (await freePort())
  const file = writeProperties({ overrides: {}, ...options, dataDir, port })
  const log = join(dataDir, 'output.txt')
  const descriptor = openSync(log, 'a')
  const [program, args] = command(file, { port, dataDir })
  const env = { ...process.env, HEAP: '512m' }
  const child = adopt(spawn(program, args, { stdio: ['ignore', descriptor, descriptor], env }))
  const ended = once(child, 'exit') as Promise<[number | null]>
  const output = (): string => readFileSync(log, 'utf8').split('\n').slice(-40).join('\n')
  await portOpen(port, child, output)
  return {
    bootstrap: `127.0.0.1:${port}`,
    port,
    pid: child.pid ?? 0,
    dataDir,
    output,
    ended: ended.then(([code]) => code),
    async stop() {
      child.kill('SIGTERM')
      let isOverdue = false
      const timer = setTimeout(() => {
        isOverdue = child.kill('SIGKILL')
      }, 30_000)
      const [code] = await ended
      clearTimeout(timer)
      // One that was dead before is not to hide why.
      if (isOverdue) throw new Error(`the broker did not stop:\n${output()}`)
      return code
    },
    async kill9() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/**
 * Apache Kafka, one broker that is its own controller. A data directory is formatted the first time, without the
 * eligible leader replicas: formatting with them sets min.insync.replicas for the whole cluster, which every
 * description of a topic then shows.
 */
export async function startKafka(options: ServerOptions = {}): Promise<Server> {
  const dataDir = options.dataDir ?? temporaryDirectory('kafka')
  const port = options.port ?? (await freePort())
  if (!existsSync(join(dataDir, 'data', 'meta.properties'))) {
    const file = writeProperties({ overrides: {}, ...options, dataDir, port })
    const format = ['kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qk', '-c', file]
    const feature = ['--feature', 'eligible.leader.replicas.version=0']
    await runWell(KAFKA, ['run', ...format, ...feature])
  }
  return launch({ ...options, dataDir, port }, file => [KAFKA, ['run', 'kafka.Kafka', file]])
}

/** Our broker, with the same settings, as a process of its own. */
export function startOttla(options: ServerOptions = {}): Promise<Server> {
  if (subjectIsKafka) return startKafka(options)
  // Several brokers run side by side here, so none may want the default metrics port.
  const overrides = { 'metrics.listener': '', ...options.overrides }
  const { openFiles } = options
  if (openFiles !== undefined) {
    const limited = `ulimit -n ${openFiles}; exec "$0" "$@"`
    return launch({ ...options, overrides }, file => {
      return ['sh', ['-c', limited, process.execPath, OTTLA, 'broker', file]]
    })
  }
  if (options.bare !== true) {
    return launch({ ...options, overrides }, file => [process.execPath, [OTTLA, 'broker', file]])
  }
  const settings = Object.entries(overrides).flatMap(([name, value]) => [
    '--override',
    `${name}=${value}`,
  ])
  return launch({ ...options, overrides }, (_file, { port, dataDir }) => {
    const where = ['--port', String(port), '--data-dir', join(dataDir, 'data')]
    return [process.execPath, [OTTLA, 'broker', ...where, ...settings]]
  })
}

// --------------------------------------------------------------------------------- what the machine has

const found = new Map<string, string | false>()

function probe(need: string): string | false {
  if (need === 'kcat') {
    return spawnSync('kcat', ['-V']).status === 0 ? false : 'kcat is not installed'
  }
  if (need === 'kcat zstd') {
    const said = spawnSync('kcat', ['-V']).stdout?.toString() ?? ''
    return said.includes('zstd') ? false : 'this kcat was built without zstd'
  }
  if (need === 'kcat consumer') {
    const said = spawnSync('kcat', ['-X', 'list']).stdout?.toString() ?? ''
    return said.includes('group.protocol ') ? false : "this kcat's librdkafka has no group.protocol"
  }
  if (!existsSync(KAFKA)) return '../shared/peers/kafka is not there'
  if (spawnSync('javac', ['-version']).status !== 0) return 'no Java development kit is installed'
  // Once a machine: brings Kafka's jars through Maven; afterwards it returns at once.
  const fetched = spawnSync(KAFKA, ['fetch'], { timeout: 600_000 })
  return fetched.status === 0 ? false : 'Kafka could not be fetched (Maven, network)'
}

/** Why a test cannot run on this machine, or false: the value of node:test's `skip`. */
export function missing(
  ...needs: readonly ('kcat' | 'kcat zstd' | 'kcat consumer' | 'kafka')[]
): string | false {
  for (const need of needs) {
    if (!found.has(need)) found.set(need, probe(need))
    const reason = found.get(need)
    if (reason) return reason
  }
  return false
}

export { KAFKA, OTTLA }

/**
 * Kafka's own command line tools, many of them in one JVM (see ToolDriver.java), and kcat with binary-safe reading.
 *
 * A `ToolJvm` runs one tool at a time; two of them run side by side. A tool that hangs is ended with its JVM, and the
 * next call starts another.
 */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { adopt, type Finished, KAFKA, runWell, type Server, temporaryDirectory } from './harness.ts'

const DRIVER = join('test', 'e2e', 'ToolDriver.java')

/** The tools' short names, as the `kafka` script of the peers knows them. */
export const TOOLS = {
  topics: 'org.apache.kafka.tools.TopicCommand',
  configs: 'kafka.admin.ConfigCommand',
  groups: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  acls: 'org.apache.kafka.tools.AclCommand',
  'get-offsets': 'org.apache.kafka.tools.GetOffsetShell',
  'delete-records': 'org.apache.kafka.tools.DeleteRecordsCommand',
  reassign: 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand',
  'leader-election': 'org.apache.kafka.tools.LeaderElectionCommand',
  features: 'org.apache.kafka.tools.FeatureCommand',
  transactions: 'org.apache.kafka.tools.TransactionsCommand',
  'log-dirs': 'org.apache.kafka.tools.LogDirsCommand',
  'api-versions': 'org.apache.kafka.tools.BrokerApiVersionsCommand',
  'producer-perf': 'org.apache.kafka.tools.ProducerPerformance',
  'console-producer': 'org.apache.kafka.tools.ConsoleProducer',
  'console-consumer': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  'dump-log': 'org.apache.kafka.tools.DumpLogSegments',
  cluster: 'org.apache.kafka.tools.ClusterTool',
  records: 'Records',
} as const

export type ToolName = keyof typeof TOOLS

export class ToolJvm {
  readonly #directory = temporaryDirectory('tools')
  #child: ChildProcess | null = null
  #replies: AsyncIterator<string> | null = null
  #runs = 0

  /** Runs one tool to its end; exit code null means that it was ended after `timeoutMs`. */
  async run(
    tool: ToolName,
    args: readonly string[],
    options: { stdin?: string | Buffer; timeoutMs?: number } = {},
  ): Promise<Finished> {
    await this.#start()
    const path = join(this.#directory, `${++this.#runs}`)
    const [input, out, err] = [`${path}.in`, `${path}.out`, `${path}.err`]
    if (options.stdin !== undefined) writeFileSync(input, options.stdin)
    closeSync(openSync(out, 'w'))
    closeSync(openSync(err, 'w'))
    const request = { main: TOOLS[tool], args, in: options.stdin === undefined ? null : input }
    this.#child?.stdin?.write(`${JSON.stringify({ ...request, out, err })}\n`)
    const code = await this.#reply(options.timeoutMs ?? 60_000)
    return { code, stdout: readFileSync(out), stderr: readFileSync(err, 'utf8') }
  }

  /** As `run`, but anything other than exit code 0 is an error with what the tool said. */
  async runWell(
    tool: ToolName,
    args: readonly string[],
    options: { stdin?: string | Buffer; timeoutMs?: number } = {},
  ): Promise<Buffer> {
    const { code, stdout, stderr } = await this.run(tool, args, options)
    if (code === 0) return stdout
    throw new Error(`${tool} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`)
  }

  close(): void {
    this.#child?.stdin?.end()
    this.#child = null
  }

  async #start(): Promise<void> {
    if (this.#child !== null) return
    const env = { ...process.env, HEAP: '384m', JAVA_OPTS: '-XX:TieredStopAtLevel=1' }
    const child = spawn(KAFKA, ['run', DRIVER], { stdio: ['pipe', 'pipe', 'inherit'], env })
    this.#child = adopt(child)
    this.#replies = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    if ((await this.#reply(60_000)) === null) throw new Error('the JVM for the tools did not start')
  }

  async #reply(timeoutMs: number): Promise<number | null> {
    const child = this.#child
    const timer = setTimeout(() => child?.kill('SIGKILL'), timeoutMs)
    const line = await this.#replies?.next()
    clearTimeout(timer)
    if (line === undefined || line.done === true) {
      this.#child = null
      return null
    }
    const reply: { exit?: number } = JSON.parse(line.value)
    return reply.exit ?? 0
  }
}

/** A broker and the tools that ask it. */
export interface Side {
  readonly server: Server
  readonly tools: ToolJvm
}

/** Where it stands behind a host or alone; not in a setting's value, nor as the first digits of another number. */
const portPattern = (port: number) => new RegExp(`(?<=[\\w\\]]:|\\s)${port}\\b`, 'g')

/** Replaces what may differ between two right answers; all else is compared letter by letter. */
export function normalise(text: string, { server }: Side, blank: RegExp | undefined): string {
  const plain = text
    .replaceAll(server.dataDir, '<dir>')
    .replace(portPattern(server.port + 1), '<controller-port>')
    .replace(portPattern(server.port), '<port>')
    .replace(/^\d\d:\d\d:\d\d\.\d{3} /gm, '')
    .replace(/(TopicId: |Topic id: |topic id |Cluster ID: )[\w-]{22}/g, '$1<id>')
    .replace(/\b1[6-9]\d{11}\b/g, '<ms>')
    .replace(/^\tat .*\n|^\t\.\.\. \d+ more\n/gm, '')
    .replace(/^(?:\s*\n)+/gm, '')
    .replace(/clientId=adminclient-\d+/g, 'clientId=adminclient-<n>')
    .replace(/correlation id \d+/g, 'correlation id <n>')
    // Partitions of a directory, in the order of a hash table.
    .replace(/(?<="partitions":\[).*?(?=\])/g, list =>
      list
        .split(/(?<=\}),/)
        .sort()
        .join(),
    )
  return blank === undefined ? plain : plain.replace(blank, '<blank>')
}

/** The lines that differ, with their neighbours: what a person needs to see first. */
export function difference(kafka: string, ottla: string): string {
  const [left, right] = [kafka.split('\n'), ottla.split('\n')]
  const only = (lines: string[], other: string[], mark: string): string[] =>
    lines.filter(line => !other.includes(line)).map(line => `${mark} ${line}`)
  const lines = [...only(left, right, 'kafka:'), ...only(right, left, 'ottla:')]
  if (lines.length > 0) return lines.join('\n')
  const first = left.findIndex((line, i) => line !== right[i])
  return `the same lines, but in place of line ${first} (${left[first]}) stands: ${right[first]}`
}

/**
 * What kcat reads of one partition, from the start to the end of the log or `limit` records, in its format string.
 * Without `isolation` it is librdkafka's default: read_committed.
 */
export function kcatRead(
  from: {
    bootstrap: string
    topic: string
    partition: number
    limit?: number
    isolation?: 'read_committed' | 'read_uncommitted'
  },
  format: string,
): Promise<Buffer> {
  const { bootstrap, topic, partition, isolation, limit = Number.POSITIVE_INFINITY } = from
  const where = ['-b', bootstrap, '-t', topic, '-p', String(partition)]
  const args = ['-C', '-q', '-e', '-o', 'beginning', '-f', format, ...where]
  if (Number.isFinite(limit)) args.push('-c', String(limit))
  if (isolation !== undefined) args.push('-X', `isolation.level=${isolation}`)
  return runWell('kcat', args, { timeoutMs: 120_000 })
}

/**
 * Has Kafka's dump tool read the files of a partition's directory (batches with their records, both indexes, producer
 * snapshots) and fails if it complains; answers what it printed with `--deep-iteration`.
 */
export async function dumpWell(jvm: ToolJvm, directory: string): Promise<string> {
  const names = readdirSync(directory).filter(name =>
    /^\d{20}\.(log|index|timeindex|txnindex|snapshot)$/.test(name),
  )
  const files = names.map(name => join(directory, name)).join(',')
  const reports: string[] = []
  for (const flag of ['--deep-iteration', '--index-sanity-check', '--verify-index-only']) {
    const report = (await jvm.runWell('dump-log', ['--files', files, flag])).toString()
    assert.doesNotMatch(
      report,
      /isvalid: false|mismatch|non-consecutive|out of order|corrupt|exception/i,
    )
    assert.doesNotMatch(report, /Found (timestamp|index)|truncated|less than/i)
    reports.push(report)
  }
  return reports[0]!
}

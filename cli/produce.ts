/**
 * `ottla produce`: lines of standard input or of files become records of a topic. Nothing is read faster than it is written,
 * so input of any size can be piped in; the exit code says whether all of it was written.
 */
import type { Command } from 'commander'
import type { Acks } from '../client/producer-config.ts'
import type { NewRecord } from '../client/record-input.ts'
import type { Bytes } from '../client/serializers.ts'
import type { CodecName } from '../protocol/compression.ts'
import type { CliContext, Terminal } from './context.ts'
import { UsageError } from './failure.ts'
import {
  type ClusterOptions,
  clientOptions,
  clusterCommand,
  positiveInteger,
  setting,
  wholeNumber,
} from './options.ts'
import { type LineRecord, recordOfJson, recordOfText } from './produce-lines.ts'
import { Progress } from './progress.ts'

interface ProduceOptions extends ClusterOptions {
  readonly partition?: number
  readonly keySeparator?: string
  readonly header?: Readonly<Record<string, string>>
  readonly whole?: boolean
  readonly rate?: number
  readonly compression: string
  readonly acks: string
  readonly linger: number
  readonly quiet?: boolean
}

const ACKS: { readonly [text: string]: Acks } = { all: 'all', '-1': 'all', '0': 0, '1': 1 }

const JSON_HELP =
  'lines are objects with key, value, headers, partition, timestampMs, as consume --json prints them'

export function registerProduce(program: Command, context: CliContext): void {
  const description = 'write each line of standard input, or of files, as a record'
  clusterCommand(program, 'produce <topic> [file...]', description, JSON_HELP)
    .option('--partition <number>', 'default: by the hash of the key, else sticky', wholeNumber)
    .option('--key-separator <text>', 'what stands before it in a line is the key')
    .option('--header <key=value>', 'a header of every record; may be repeated', setting)
    .option('--whole', 'each file is one record, byte for byte')
    .option('--rate <records/s>', 'write no more than so many', positiveInteger)
    .option('--compression <codec>', 'none, gzip, snappy, lz4 or zstd', 'none')
    .option('--acks <all|1|0>', 'who has to have a record before it counts as written', 'all')
    .option('--linger <ms>', 'wait for more lines before a batch is sent', wholeNumber, 5)
    .option('--quiet', 'do not say how many records were written')
    .action((topic: string, files: string[], options: ProduceOptions) =>
      produce(topic, files, options, context),
    )
}

async function produce(
  topic: string,
  files: readonly string[],
  options: ProduceOptions,
  { terminal, openClient }: CliContext,
): Promise<void> {
  const acks = acksOf(options, files)
  const client = await openClient(clientOptions(options))
  const producer = client.producer<Bytes, Bytes>({
    acks,
    compression: options.compression as CodecName,
    lingerMs: options.linger,
    maxBlockMs: options.timeout,
    deliveryTimeoutMs: options.linger + options.timeout,
  })
  const progress = new Progress(terminal)
  const source = records(topic, files, options, terminal)
  let isDone = false
  try {
    const count = await producer.sendFrom(counted(paced(source, options.rate), progress))
    isDone = true
    progress.end()
    if (!options.quiet) terminal.err(`${count} ${count === 1 ? 'record' : 'records'} written\n`)
  } finally {
    progress.end()
    await producer.close(isDone ? {} : { timeoutMs: 0 })
  }
}

function acksOf(options: ProduceOptions, files: readonly string[]): Acks {
  const acks = ACKS[options.acks]
  if (acks === undefined) throw new UsageError(`--acks is '${options.acks}', not all, 1 or 0.`)
  if (options.json && options.keySeparator !== undefined) {
    throw new UsageError('--json names the key itself: leave out --key-separator.')
  }
  if (options.whole !== true) return acks
  if (files.length === 0) throw new UsageError('--whole needs files: name them after the topic.')
  if (options.json || options.keySeparator !== undefined) {
    throw new UsageError('--whole takes files as they are: leave out --json and --key-separator.')
  }
  return acks
}

type Source = AsyncIterable<NewRecord<Bytes, Bytes>>

async function* records(
  topic: string,
  files: readonly string[],
  options: ProduceOptions,
  terminal: Terminal,
): AsyncGenerator<NewRecord<Bytes, Bytes>> {
  const { partition, header = {} } = options
  const place = { topic, ...(partition === undefined ? {} : { partition }) }
  const everywhere = Object.entries(header).map(([key, value]) => ({ key, value }))
  for await (const record of lineRecords(files, options, terminal)) {
    const own = record.headers ?? []
    const inherited = everywhere.filter(({ key }) => !own.some(header => header.key === key))
    yield { ...place, ...record, headers: [...inherited, ...own] }
  }
}

async function* lineRecords(
  files: readonly string[],
  options: ProduceOptions,
  terminal: Terminal,
): AsyncGenerator<LineRecord> {
  if (options.whole === true) {
    const { fileBytes } = await import('./files.ts')
    for (const file of files) yield { value: await fileBytes(file) }
    return
  }
  for (const file of files.length === 0 ? [undefined] : files) {
    let number = 0
    for await (const line of terminal.lines(file)) {
      number++
      const where = file === undefined ? `line ${number}` : `${file}, line ${number}`
      if (options.json) yield recordOfJson(line, where)
      else yield recordOfText(line, options.keySeparator, where)
    }
  }
}

async function* counted(source: Source, progress: Progress): Source {
  let count = 0
  for await (const record of source) {
    yield record
    count++
    progress.step(() => `${count.toLocaleString('en-US')} records read`)
  }
}

const systemTime = {
  nowMs: () => performance.now(),
  wait: (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms)),
}

/** The same, at most `rate` a second from the start on; after a pause of the source it catches up. */
export async function* paced<T>(
  source: AsyncIterable<T>,
  rate: number | undefined,
  time: { nowMs(): number; wait(ms: number): Promise<void> } = systemTime,
): AsyncGenerator<T> {
  if (rate === undefined) return yield* source
  const startMs = time.nowMs()
  let count = 0
  for await (const one of source) {
    const aheadMs = startMs + (count * 1000) / rate - time.nowMs()
    // A timer is no finer than that.
    if (aheadMs >= 1) await time.wait(aheadMs)
    count++
    yield one
  }
}

/**
 * `ottla produce`: lines of standard input become records of a topic. Nothing is read faster than it is written, so a file
 * of any size can be piped in; the exit code says whether every line was written.
 */
import type { Command } from 'commander'
import type { NewRecord } from '../client/producer.ts'
import type { Acks } from '../client/producer-config.ts'
import type { CodecName } from '../protocol/compression.ts'
import type { CliContext } from './context.ts'
import { UsageError } from './failure.ts'
import { setting, wholeNumber } from './options.ts'

interface ProduceOptions {
  readonly bootstrap: string
  readonly partition?: number
  readonly keySeparator?: string
  readonly header?: Readonly<Record<string, string>>
  readonly json?: boolean
  readonly compression: string
  readonly acks: string
  readonly linger: number
  readonly quiet?: boolean
}

type TextRecord = NewRecord<string, string>

const ACKS: { readonly [text: string]: Acks } = { all: 'all', '-1': 'all', '0': 0, '1': 1 }

export function registerProduce(program: Command, context: CliContext): void {
  program
    .command('produce <topic>')
    .description('write each line of standard input as a record')
    .option('--bootstrap <host:port,…>', 'brokers to ask first', 'localhost:9092')
    .option('--partition <number>', 'default: by the hash of the key, else sticky', wholeNumber)
    .option('--key-separator <text>', 'what stands before it in a line is the key')
    .option('--header <key=value>', 'a header of every record; may be repeated', setting)
    .option('--json', 'lines are objects with key, value, headers, partition, timestampMs')
    .option('--compression <codec>', 'none, gzip, snappy, lz4 or zstd', 'none')
    .option('--acks <all|1|0>', 'who has to have a record before it counts as written', 'all')
    .option('--linger <ms>', 'wait for more lines before a batch is sent', wholeNumber, 5)
    .option('--quiet', 'do not say how many records were written')
    .option('--verbose', 'show where an error comes from')
    .action((topic: string, options: ProduceOptions) => produce(topic, options, context))
}

async function produce(
  topic: string,
  options: ProduceOptions,
  { terminal, openClient }: CliContext,
): Promise<void> {
  const acks = ACKS[options.acks]
  if (acks === undefined) throw new UsageError(`--acks is '${options.acks}', not all, 1 or 0.`)
  if (options.json && options.keySeparator !== undefined) {
    throw new UsageError('--json names the key itself: leave out --key-separator.')
  }
  const client = await openClient({ bootstrap: options.bootstrap })
  const producer = client.producer<string, string>({
    acks,
    compression: options.compression as CodecName,
    lingerMs: options.linger,
  })
  let isDone = false
  try {
    const count = await producer.sendFrom(records(topic, options, terminal.lines()))
    isDone = true
    if (!options.quiet) terminal.err(`${count} ${count === 1 ? 'record' : 'records'} written\n`)
  } finally {
    await producer.close(isDone ? {} : { timeoutMs: 0 })
  }
}

async function* records(
  topic: string,
  options: ProduceOptions,
  lines: AsyncIterable<string>,
): AsyncGenerator<TextRecord> {
  let number = 0
  for await (const line of lines) {
    number++
    const record = options.json
      ? fromJson(line, number)
      : fromText(line, options.keySeparator, number)
    const headers = { ...options.header, ...record.headers }
    const { partition } = options
    yield { topic, ...(partition === undefined ? {} : { partition }), ...record, headers }
  }
}

type LineRecord = Omit<TextRecord, 'topic' | 'headers'> & {
  readonly headers?: Readonly<Record<string, string>>
}

function fromText(line: string, separator: string | undefined, number: number): LineRecord {
  if (separator === undefined) return { value: line }
  const at = line.indexOf(separator)
  if (at < 0) throw new UsageError(`line ${number} has no '${separator}': it would have no key.`)
  return { key: line.slice(0, at), value: line.slice(at + separator.length) }
}

function fromJson(line: string, number: number): LineRecord {
  let object: unknown
  try {
    object = JSON.parse(line)
  } catch {
    throw new UsageError(`line ${number} is no JSON.`)
  }
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    throw new UsageError(`line ${number} is no JSON object with a value.`)
  }
  const { key = null, value = null, headers, partition, timestampMs } = object as LineRecord
  const text = (part: unknown) =>
    part === null || typeof part === 'string' ? part : JSON.stringify(part)
  return {
    key: text(key),
    value: text(value),
    ...(headers === undefined ? {} : { headers }),
    ...(partition === undefined ? {} : { partition }),
    ...(timestampMs === undefined ? {} : { timestampMs }),
  }
}

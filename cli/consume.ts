/**
 * `ottla consume`: prints the records of a topic, from a place on, as they come. It ends after `-n` records, or with
 * `--no-follow` at what was the end when it began.
 */
import type { Command } from 'commander'
import type { Admin } from '../client/admin.ts'
import type { Consumer, Place } from '../client/consumer.ts'
import type { ConsumerRecord } from '../client/fetched-records.ts'
import type { CliContext } from './context.ts'
import { UsageError } from './failure.ts'
import { positiveInteger, setting, wholeNumber } from './options.ts'

interface ConsumeOptions {
  readonly bootstrap: string
  readonly from: string
  readonly partition?: number
  readonly number?: number
  readonly follow: boolean
  readonly format: string
  readonly json?: boolean
  readonly header?: Readonly<Record<string, string>>
  readonly isolation: string
}

type Read = ConsumerRecord<Buffer, Buffer>

const FORMAT_HELP = '%k key, %v value, %o offset, %p partition, %t topic, %T time, %h headers'

export function registerConsume(program: Command, context: CliContext): void {
  program
    .command('consume <topic>')
    .description('print records of a topic')
    .option('--bootstrap <host:port,…>', 'brokers to ask first', 'localhost:9092')
    .option(
      '--from <place>',
      'earliest, latest, an offset, or a time (2026-01-31T12:00Z)',
      'latest',
    )
    .option('--partition <number>', 'only this one', wholeNumber)
    .option('-n, --number <count>', 'end after so many records', positiveInteger)
    .option('--no-follow', 'end at what is the end now')
    .option('--format <text>', FORMAT_HELP, '%v\\n')
    .option('--json', 'print each record as a line of JSON')
    .option('--header <key=value>', 'only records with this header; may be repeated', setting)
    .option('--isolation <level>', 'read_uncommitted or read_committed', 'read_uncommitted')
    .option('--verbose', 'show where an error comes from')
    .action((topic: string, options: ConsumeOptions) => consume(topic, options, context))
}

async function consume(
  topic: string,
  options: ConsumeOptions,
  { terminal, openClient }: CliContext,
): Promise<void> {
  const offset = placeOf(options.from)
  const client = await openClient({ bootstrap: options.bootstrap })
  const admin = client.admin()
  const consumer = client.consumer({
    isolation: options.isolation as 'read_committed' | 'read_uncommitted',
  })
  try {
    const ends = await endsOf(admin, topic, options.partition)
    const partitions = [...ends.keys()]
    consumer.assign(partitions.map(partition => ({ topic, partition, offset })))
    const print = options.json ? jsonLine : formatter(options.format)
    const isWanted = headerFilter(options.header ?? {})
    let left = options.number ?? Number.POSITIVE_INFINITY
    const isOver = options.follow ? () => false : () => atEnds(consumer, topic, ends)
    for (;;) {
      const record = await nextUnless(consumer, isOver)
      if (record === null) return
      if (record !== 'look again' && isWanted(record)) {
        terminal.out(print(record))
        await terminal.drained?.()
        if (--left === 0) return
      }
    }
  } finally {
    admin.cluster.close()
    await consumer.close()
  }
}

/** How often an end is looked for while nothing comes: positions move over what is not shown, too. */
const LOOK_AGAIN_MS = 100

async function nextUnless(
  consumer: Consumer,
  isOver: () => boolean,
): Promise<Read | 'look again' | null> {
  if (isOver()) return null
  const look = AbortSignal.timeout(LOOK_AGAIN_MS)
  try {
    return await consumer.next({ signal: look })
  } catch (error) {
    if (look.aborted && error === look.reason) return 'look again'
    throw error
  }
}

/** The end of each partition that is to be read. */
async function endsOf(
  admin: Admin,
  topic: string,
  only: number | undefined,
): Promise<Map<number, number>> {
  const [described] = await admin.describeTopics([topic])
  const partitions = described!.partitions
    .map(({ partitionIndex }) => partitionIndex)
    .filter(partition => only === undefined || partition === only)
  if (partitions.length === 0) {
    const last = described!.partitions.length - 1
    throw new UsageError(`topic '${topic}' has no partition ${only}, only 0 to ${last}.`)
  }
  const answers = await admin.listOffsets(
    partitions.map(partition => ({ topic, partition, at: 'latest' as const })),
  )
  const failed = answers.find(({ error }) => error !== null)
  if (failed !== undefined) throw failed.error
  return new Map(answers.map(({ partition, offset }) => [partition, offset]))
}

function atEnds(consumer: Consumer, topic: string, ends: ReadonlyMap<number, number>): boolean {
  for (const [partition, end] of ends) {
    const position = consumer.position(topic, partition)
    if (position === null || position < end) return false
  }
  return true
}

function placeOf(text: string): Place {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d{1,15}$/.test(text)) return Number(text)
  const timestampMs = Date.parse(text)
  if (Number.isNaN(timestampMs)) {
    throw new UsageError(`--from is '${text}', not earliest, latest, an offset or a time.`)
  }
  return { timestampMs }
}

function headerFilter(wanted: Readonly<Record<string, string>>): (record: Read) => boolean {
  const list = Object.entries(wanted)
  return ({ headers }) =>
    list.every(([key, value]) =>
      headers.some(header => header.key === key && header.value?.toString() === value),
    )
}

function jsonLine({ topic, partition, offset, timestampMs, key, value, headers }: Read): string {
  const text = (bytes: Buffer | null) => bytes?.toString('utf8') ?? null
  const list = headers.map(header => ({ key: header.key, value: text(header.value) }))
  const time = new Date(timestampMs).toISOString()
  const record = { topic, partition, offset, time, key: text(key), value: text(value) }
  return `${JSON.stringify({ ...record, headers: list })}\n`
}

const ESCAPES: { readonly [text: string]: string } = { '\\n': '\n', '\\t': '\t', '\\\\': '\\' }

function formatter(format: string): (record: Read) => string {
  const parts = format.match(/%[kvoptTh%]|\\[nt\\]|[^%\\]+|[%\\]/g) ?? []
  return record => parts.map(part => ESCAPES[part] ?? field(part, record)).join('')
}

function field(part: string, record: Read): string {
  switch (part) {
    case '%k':
      return record.key?.toString('utf8') ?? ''
    case '%v':
      return record.value?.toString('utf8') ?? ''
    case '%o':
      return String(record.offset)
    case '%p':
      return String(record.partition)
    case '%t':
      return record.topic
    case '%T':
      return new Date(record.timestampMs).toISOString()
    case '%h':
      return record.headers.map(({ key, value }) => `${key}=${value?.toString() ?? ''}`).join(',')
    case '%%':
      return '%'
    default:
      return part
  }
}

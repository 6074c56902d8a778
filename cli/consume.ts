/**
 * `ottla consume`: prints the records of a topic as they come, from a place on, or as a member of a group. It ends after `-n`
 * records, at `--to`, or with `--no-follow` at what was the end when it began.
 */
import type { Command } from 'commander'
import type { Admin } from '../client/admin.ts'
import type { Client } from '../client/client.ts'
import type { Consumer } from '../client/consumer.ts'
import type { Place } from '../client/consumer-places.ts'
import { FORMAT_HELP, formatter, jsonLine, type Read } from './consume-format.ts'
import type { CliContext, Terminal } from './context.ts'
import { UsageError } from './failure.ts'
import {
  type ClusterOptions,
  clientOptions,
  clusterCommand,
  duration,
  type HeaderPattern,
  pattern,
  positiveInteger,
  wholeNumber,
} from './options.ts'
import { Progress } from './progress.ts'

interface ConsumeOptions extends ClusterOptions {
  readonly from?: string
  readonly to?: string
  readonly partition?: number
  readonly group?: string
  readonly number?: number
  readonly follow: boolean
  readonly format: string
  readonly header?: readonly HeaderPattern[]
  readonly isolation: string
}

/** A broker may wait for records for half a second before it answers; anything near that is no time-out. */
const LEAST_REQUEST_MS = 2_000

export function registerConsume(program: Command, context: CliContext): void {
  const json = 'print each record as a line of JSON'
  clusterCommand(program, 'consume <topic>', 'print records of a topic', json)
    .option(
      '--from <place>',
      'earliest, latest (default), an offset, a time (2026-01-31T12:00Z), or so long ago (90s, 15m, 6h, 2d)',
    )
    .option('--to <place>', 'end before this offset, time, or so long ago')
    .option('--partition <number>', 'only this one', wholeNumber)
    .option('--group <name>', 'share the partitions with its members, and commit what was printed')
    .option('-n, --number <count>', 'end after so many records', positiveInteger)
    .option('--no-follow', 'end at what is the end now')
    .option('--format <text>', FORMAT_HELP, '%v\\n')
    .option('--header <key[=value]>', 'only records with this header; may be repeated', pattern)
    .option('--isolation <level>', 'read_uncommitted or read_committed', 'read_uncommitted')
    .action((topic: string, options: ConsumeOptions) => consume(topic, options, context))
}

async function consume(
  topic: string,
  options: ConsumeOptions,
  { terminal, openClient }: CliContext,
): Promise<void> {
  const nowMs = Date.now()
  const from = options.from === undefined ? 'latest' : placeOf(options.from, '--from', nowMs)
  const to = options.to === undefined ? null : endOf(options.to, nowMs)
  checkGroup(options, from)
  const connecting = clientOptions(options)
  const client = await openClient({
    ...connecting,
    requestTimeoutMs: Math.max(options.timeout, LEAST_REQUEST_MS),
  })
  const consumer = consumerOf(client, options, from)
  const admin = client.admin()
  try {
    const ends = await endsOf(admin, topic, options, to)
    if (options.group === undefined) {
      consumer.assign([...ends.keys()].map(partition => ({ topic, partition, offset: from })))
    } else consumer.subscribe(topic)
    admin.close()
    await print(consumer, topic, ends, options, terminal)
  } finally {
    admin.close()
    await consumer.close()
  }
}

function checkGroup({ group, partition }: ConsumeOptions, from: Place): void {
  if (group === undefined) return
  if (partition !== undefined) {
    throw new UsageError('--partition does not go with --group: the group shares them out.')
  }
  if (from !== 'earliest' && from !== 'latest') {
    const advice = `'ottla group reset ${group}' moves the group to another place`
    throw new UsageError(`--from with --group is earliest or latest, where it has none: ${advice}.`)
  }
}

function consumerOf(client: Client, options: ConsumeOptions, from: Place): Consumer {
  const isolation = options.isolation as 'read_committed' | 'read_uncommitted'
  if (options.group === undefined) return client.consumer({ isolation })
  const autoOffsetReset = from as 'earliest' | 'latest'
  return client.consumer({ isolation, groupId: options.group, autoOffsetReset })
}

async function print(
  consumer: Consumer,
  topic: string,
  ends: ReadonlyMap<number, number>,
  options: ConsumeOptions,
  terminal: Terminal,
): Promise<void> {
  const text = options.json === true ? jsonLine : formatter(options.format)
  const isWanted = headerFilter(options.header ?? [])
  const progress = new Progress(terminal)
  const interrupted = terminal.interrupted?.()
  let [left, read] = [options.number ?? Number.POSITIVE_INFINITY, 0]
  try {
    for (;;) {
      const record = await nextUnless(consumer, interrupted, () => atEnds(consumer, topic, ends))
      if (record === null) return
      if (record === 'look again') continue
      read++
      progress.step(() => `${read.toLocaleString('en-US')} records read`)
      if (record.offset >= ends.get(record.partition)! || !isWanted(record)) continue
      terminal.out(text(record))
      await terminal.drained?.()
      if (--left === 0) return
    }
  } finally {
    progress.end()
  }
}

/** How often an end is looked for while nothing comes: positions move over what is not shown, too. */
const LOOK_AGAIN_MS = 100

async function nextUnless(
  consumer: Consumer,
  interrupted: AbortSignal | undefined,
  isOver: () => boolean,
): Promise<Read | 'look again' | null> {
  if (interrupted?.aborted === true || isOver()) return null
  const look = AbortSignal.timeout(LOOK_AGAIN_MS)
  try {
    return await consumer.next({ signal: look })
  } catch (error) {
    if (look.aborted && error === look.reason) return 'look again'
    throw error
  }
}

/** Where each partition that is to be read ends for us; infinite where it is followed. */
async function endsOf(
  admin: Admin,
  topic: string,
  { partition: only, follow }: ConsumeOptions,
  to: End | null,
): Promise<Map<number, number>> {
  const [described] = await admin.describeTopics([topic])
  const partitions = described!.partitions
    .map(({ partitionIndex }) => partitionIndex)
    .filter(partition => only === undefined || partition === only)
  if (partitions.length === 0) {
    const last = described!.partitions.length - 1
    throw new UsageError(`topic '${topic}' has no partition ${only}, only 0 to ${last}.`)
  }
  const timestampMs = to !== null && 'timestampMs' in to ? to.timestampMs : null
  const limit = to !== null && 'offset' in to ? to.offset : Number.POSITIVE_INFINITY
  if (follow && timestampMs === null) return new Map(partitions.map(index => [index, limit]))
  const latest = await offsetsAt(admin, topic, partitions, 'latest')
  const ends = timestampMs === null ? [] : await offsetsAt(admin, topic, partitions, timestampMs)
  return new Map(
    partitions.map((index, i) => {
      const end = ends[i] ?? -1
      // Nothing is as young as that: all there is counts.
      return [index, Math.min(limit, end < 0 ? latest[i]! : end)]
    }),
  )
}

async function offsetsAt(
  admin: Admin,
  topic: string,
  partitions: readonly number[],
  at: 'latest' | number,
): Promise<number[]> {
  const answers = await admin.listOffsets(partitions.map(partition => ({ topic, partition, at })))
  const failed = answers.find(({ error }) => error !== null)
  if (failed !== undefined) throw failed.error
  return answers.map(({ offset }) => offset)
}

function atEnds(consumer: Consumer, topic: string, ends: ReadonlyMap<number, number>): boolean {
  const { assignment } = consumer
  // A member of a group has nothing before it is given its share.
  if (assignment.length === 0) return false
  return assignment.every(({ partition }) => {
    const position = consumer.position(topic, partition)
    return position !== null && position >= (ends.get(partition) ?? Number.POSITIVE_INFINITY)
  })
}

function placeOf(text: string, option: string, nowMs: number): Place {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d{1,15}$/.test(text)) return Number(text)
  if (/^\d{1,9}(ms|s|m|h|d)$/.test(text)) return { timestampMs: nowMs - duration(text) }
  const timestampMs = Date.parse(text)
  if (!Number.isNaN(timestampMs)) return { timestampMs }
  throw new UsageError(`${option} is '${text}', not earliest, latest, an offset or a time.`)
}

type End = { readonly offset: number } | { readonly timestampMs: number }

function endOf(text: string, nowMs: number): End {
  const place = placeOf(text, '--to', nowMs)
  if (typeof place === 'number') return { offset: place }
  if (typeof place === 'object') return place
  throw new UsageError(`--to is '${text}': give an offset or a time, or --no-follow for the end.`)
}

function headerFilter(wanted: readonly HeaderPattern[]): (record: Read) => boolean {
  return ({ headers }) =>
    wanted.every(({ key, value }) =>
      headers.some(
        header => header.key === key && (value === undefined || header.value?.toString() === value),
      ),
    )
}

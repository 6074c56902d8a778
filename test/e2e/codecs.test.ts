/**
 * Every codec, written by three foreign clients and read back by two: byte for byte what was written.
 *
 * Method: each writer and codec gets a topic of its own with one partition; the records have keys, headers and nulls in
 * all combinations, repetitive and random values, and bytes outside of UTF-8. What each reader must print is computed
 * from the records; the outputs are compared as bytes. The log is then read by Kafka's dump tool, which checks each
 * batch and says whether it really is compressed.
 */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import { missing, runWell, type Server, startOttla, temporaryDirectory } from './harness.ts'
import { kcatRead, ToolJvm } from './harness-tools.ts'

interface TestRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [string, Buffer | null])[]
  readonly timestamp: number
}

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
type Codec = (typeof CODECS)[number]

const seed = chooseSeed()
const random = seededRandom(seed)
const files = temporaryDirectory('records')

const below = (limit: number): number => Math.floor(random() * limit)

/** Bytes of any value except those that separate records and keys on kcat's input. */
function bytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => 3 + below(253)))
}

function value(): Buffer {
  const length = 1 + below(random() < 0.01 ? 20_000 : 120)
  return random() < 0.5 ? bytes(length) : Buffer.alloc(length, 'the same again ')
}

/** Header values are text without separators: both readers print them between commas. */
function headers(): [string, Buffer][] {
  const all: [string, Buffer][] = [
    ['trace', Buffer.from(`id-${below(1e6)}`)],
    ['empty', Buffer.alloc(0)],
    ['naïve', Buffer.from('šđ')],
    ['trace', Buffer.from('twice')],
  ]
  return all.slice(below(all.length + 1))
}

function record(options: { headers: TestRecord['headers']; nullsForEmpty?: boolean }): TestRecord {
  const kind = below(8)
  const empty = options.nullsForEmpty === false ? Buffer.alloc(0) : null
  return {
    key: kind === 0 ? empty : kind === 1 ? Buffer.from('k') : bytes(1 + below(20)),
    value: kind <= 2 && kind > 0 ? empty : value(),
    headers: options.headers,
    timestamp: 1_700_000_000_000 + below(1e6),
  }
}

// -------------------------------------------------------------------------------- what readers must print

const text = (bytes: Buffer | null, none: string): Buffer => bytes ?? Buffer.from(none)

function joined(parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)))
}

/** kcat with `%o %K %S %k%s %h\n`: lengths first, so that no byte can be mistaken for a separator. */
const KCAT_FORMAT = '%o %K %S %k%s %h\\n'

function kcatPrints(records: readonly TestRecord[]): Buffer {
  return joined(
    records.flatMap(({ key, value, headers }, offset) => [
      `${offset} ${key?.length ?? -1} ${value?.length ?? -1} `,
      text(key, ''),
      text(value, ''),
      ' ',
      ...headers.flatMap(([name, value], i) => [
        `${i > 0 ? ',' : ''}${name}=`,
        text(value, 'NULL'),
      ]),
      '\n',
    ]),
  )
}

const PRINT = ['offset', 'key', 'headers', 'value'].flatMap(name => [
  '--formatter-property',
  `print.${name}=true`,
])

function consolePrints(records: readonly TestRecord[]): Buffer {
  return joined(
    records.flatMap(({ key, value, headers }, offset) => [
      `Offset:${offset}\t`,
      ...(headers.length === 0 ? ['NO_HEADERS'] : []),
      ...headers.flatMap(([name, value], i) => [
        `${i > 0 ? ',' : ''}${name}:`,
        text(value, '<null>'),
      ]),
      '\t',
      text(key, '<null>'),
      '\t',
      text(value, '<null>'),
      '\n',
    ]),
  )
}

function assertSameBytes(actual: Buffer, expected: Buffer, reader: string): void {
  if (actual.equals(expected)) return
  let at = 0
  while (actual[at] === expected[at] && at < expected.length) at++
  const around = (buffer: Buffer): string =>
    JSON.stringify(buffer.subarray(Math.max(0, at - 60), at + 60).toString('latin1'))
  assert.fail(
    `${reader} reads something else at byte ${at} (${actual.length} of ${expected.length} bytes)\n` +
      `wrote: ${around(expected)}\nread:  ${around(actual)}`,
  )
}

// ----------------------------------------------------------------------------------------------- writers

/** kcat gives all records of a run the same headers, and makes null of every empty key and value, or of none. */
async function writeWithKcat(
  bootstrap: string,
  topic: string,
  codec: Codec,
): Promise<TestRecord[]> {
  const written: TestRecord[] = []
  const runs = 8
  for (let run = 0; run < runs; run++) {
    const nullsForEmpty = run % 2 === 0
    const common = headers()
    const records = Array.from({ length: tier.records / runs }, () =>
      record({ headers: common, nullsForEmpty }),
    )
    const stdin = joined(records.flatMap(r => [text(r.key, ''), '\x01', text(r.value, ''), '\x02']))
    const file = join(files, `${topic}-${run}`)
    writeFileSync(file, stdin)
    const args = ['-P', '-b', bootstrap, '-t', topic, '-p', '0', '-z', codec, '-K', '\\x01']
    args.push('-D', '\\x02', '-X', 'enable.idempotence=true', '-X', 'linger.ms=20')
    if (nullsForEmpty) args.push('-Z')
    for (const [name, value] of common) args.push('-H', `${name}=${value}`)
    await runWell('kcat', args, { stdin })
    written.push(...records)
  }
  return written
}

function base64(bytes: Buffer | null): string | null {
  return bytes === null ? null : bytes.toString('base64')
}

async function writeWithJava(
  tools: ToolJvm,
  bootstrap: string,
  topic: string,
  codec: Codec,
): Promise<TestRecord[]> {
  const records = Array.from({ length: tier.records }, () =>
    record({ headers: random() < 0.5 ? headers() : [...headers(), ['nothing', null]] }),
  )
  const lines = records.map(r =>
    JSON.stringify({
      key: base64(r.key),
      value: base64(r.value),
      headers: r.headers.map(([name, value]) => [name, base64(value)]),
      timestamp: r.timestamp,
    }),
  )
  const file = join(files, topic)
  writeFileSync(file, lines.join('\n'))
  const settings = [`bootstrap.servers=${bootstrap}`, `compression.type=${codec}`, 'linger.ms=20']
  const printed = await tools.runWell('records', [topic, file, ...settings])
  const offsets = records.map((_, offset) => `${offset}\n`).join('')
  assert.equal(printed.toString(), offsets, 'the producer was told other offsets than 0, 1, 2, …')
  return records
}

async function writeWithKafkajs(
  bootstrap: string,
  topic: string,
  codec: Codec,
): Promise<TestRecord[]> {
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR })
  const producer = kafka.producer()
  await producer.connect()
  const written: TestRecord[] = []
  try {
    while (written.length < tier.records) {
      const records = Array.from({ length: Math.min(500, tier.records - written.length) }, () => {
        // An object holds each name once.
        const unique = [...new Map(headers())]
        return { ...record({ headers: unique }), headers: unique }
      })
      await producer.send({
        topic,
        acks: -1,
        compression: codec === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None,
        messages: records.map(r => ({
          key: r.key,
          value: r.value,
          partition: 0,
          timestamp: String(r.timestamp),
          headers: Object.fromEntries(r.headers),
        })),
      })
      written.push(...records)
    }
  } finally {
    await producer.disconnect()
  }
  return written
}

// ------------------------------------------------------------------------------------------------- tests

async function readBack(server: Server, tools: ToolJvm, topic: string, written: TestRecord[]) {
  const byKcat = await kcatRead({ bootstrap: server.bootstrap, topic, partition: 0 }, KCAT_FORMAT)
  assertSameBytes(byKcat, kcatPrints(written), 'kcat')
  const where = ['--bootstrap-server', server.bootstrap, '--topic', topic, '--partition', '0']
  const limit = ['--offset', 'earliest', '--max-messages', String(written.length)]
  const nulls = ['--formatter-property', 'null.literal=<null>']
  const args = [...where, ...limit, ...PRINT, ...nulls]
  const byConsole = await tools.runWell('console-consumer', args, { timeoutMs: 120_000 })
  assertSameBytes(byConsole, consolePrints(written), 'console-consumer')
}

async function inspectLog(server: Server, tools: ToolJvm, topic: string, codec: Codec) {
  const log = join(server.dataDir, 'data', `${topic}-0`, '00000000000000000000.log')
  const dump = (await tools.runWell('dump-log', ['--files', log])).toString()
  const batches = dump.split('\n').filter(line => line.startsWith('baseOffset'))
  assert.ok(batches.length > 0, dump)
  for (const batch of batches) assert.match(batch, /isvalid: true/)
  // A writer may leave a batch alone that compression would not make smaller.
  assert.ok(
    batches.some(batch => batch.includes(`compresscodec: ${codec} `)),
    batches[0],
  )
}

describe(`${tier.records} records a client and codec come back as written`, {
  concurrency: 1,
}, () => {
  const skip = missing('kcat', 'kafka')
  let server: Server
  let tools: ToolJvm

  before(async () => {
    if (skip) return
    console.log(`seed ${seed}`)
    server = await startOttla()
    tools = new ToolJvm()
  })

  after(async () => {
    tools?.close()
    await server?.stop()
  })

  for (const codec of CODECS) {
    const check = async (client: string, write: (topic: string) => Promise<TestRecord[]>) => {
      const topic = `${client}-${codec}`
      const create = ['--bootstrap-server', server.bootstrap, '--create', '--topic', topic]
      // The records' times are years ago.
      await tools.runWell('topics', [...create, '--config', 'retention.ms=-1'])
      await readBack(server, tools, topic, await write(topic))
      await inspectLog(server, tools, topic, codec)
    }
    const noZstd = codec === 'zstd' ? missing('kcat', 'kafka', 'kcat zstd') : skip
    test(`${codec} by kcat (librdkafka)`, { skip: noZstd }, () =>
      check('kcat', topic => writeWithKcat(server.bootstrap, topic, codec)),
    )
    test(`${codec} by Kafka's own producer`, { skip: noZstd }, () =>
      check('java', topic => writeWithJava(tools, server.bootstrap, topic, codec)),
    )
    if (codec !== 'none' && codec !== 'gzip') continue
    test(`${codec} by kafkajs`, { skip }, () =>
      check('kafkajs', topic => writeWithKafkajs(server.bootstrap, topic, codec)),
    )
  }
})

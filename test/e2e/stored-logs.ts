/**
 * What the tests of stored logs share: writing in every codec and in transactions through a foreign client, waiting for a
 * cleaner, and reading what is left.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import kafkajs, { type CompressionTypes, Kafka, logLevel, type Message } from 'kafkajs'
import { type CodecName, codecs, compress, decompress } from '../../protocol/compression.ts'
import * as batches from '../../protocol/record-batch.ts'
import { decodeBatch } from '../../protocol/records.ts'
import { SystemDisk } from '../../segment-store/system-disk.ts'
import { bytesOf, openLog } from '../segment-store/store-harness.ts'
import { seededRandom } from '../tiers.ts'
import { pause, type Server } from './harness.ts'
import { kcatRead } from './harness-tools.ts'

export const CODECS = Object.keys(codecs) as CodecName[]
const CLEANING_MS = 90_000
const MAX_BYTES = 10_000_000

/** With what kafkajs lacks: it numbers codecs as Kafka does and asks this table for them. */
const codecsOfKafkajs = kafkajs.CompressionCodecs as unknown as Record<number, () => unknown>
for (const name of ['snappy', 'lz4', 'zstd'] as const) {
  codecsOfKafkajs[codecs[name]] = () => ({
    compress: async (encoder: { buffer: Buffer }) => await compress(codecs[name], encoder.buffer),
    decompress: async (bytes: Buffer) => await decompress(codecs[name], bytes, MAX_BYTES),
  })
}

export function clientOf(server: Server): Kafka {
  return new Kafka({ brokers: [server.bootstrap], logLevel: logLevel.NOTHING })
}

export type TopicSettings = Readonly<Record<string, string>>

export async function createTopics(
  server: Server,
  topics: Readonly<Record<string, TopicSettings>>,
  numPartitions = 1,
): Promise<void> {
  const admin = clientOf(server).admin()
  await admin.connect()
  await admin.createTopics({
    waitForLeaders: true,
    topics: Object.entries(topics).map(([topic, settings]) => ({
      topic,
      numPartitions,
      configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
    })),
  })
  await admin.disconnect()
}

/** Replaces all settings of a topic. */
export async function setTopic(
  server: Server,
  name: string,
  settings: TopicSettings,
): Promise<void> {
  const admin = clientOf(server).admin()
  await admin.connect()
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name, configEntries }] })
  await admin.disconnect()
}

export interface Filling {
  readonly seed: number
  readonly requests: number
  /** Time of the first record; each request is a second later. */
  readonly fromMs: number
  readonly keys?: number
  /** In front of each key. */
  readonly prefix?: string
  readonly codecs?: readonly CodecName[]
}

/** Records with keys, an eighth of them tombstones, in requests of one batch; answers how many there were. */
export async function fill(server: Server, topic: string, filling: Filling): Promise<number> {
  const producer = clientOf(server).producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  let count = 0
  for (const { messages, compression } of requestsOf(filling)) {
    await producer.send({ topic, messages, compression, acks: -1 })
    count += messages.length
  }
  await producer.disconnect()
  return count
}

function* requestsOf(
  filling: Filling,
): Iterable<{ messages: Message[]; compression: CompressionTypes }> {
  const { seed, requests, fromMs, keys = 400, prefix = '', codecs: names = CODECS } = filling
  const random = seededRandom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  // Compression must not keep logs from rolling.
  const noise = Buffer.from(Array.from({ length: 3000 }, () => below(256))).toString('base64')
  const piece = () => noise.slice(below(2000)).slice(0, below(1500))
  for (let i = 0; i < requests; i++) {
    const messages: Message[] = Array.from({ length: 1 + below(40) }, (_, n) => ({
      partition: 0,
      key: `${prefix}key-${below(keys)}`,
      value: below(8) === 0 ? null : `${seed}-${i}-${n}-${piece()}`,
      headers: below(4) === 0 ? { trace: `id-${below(1e6)}` } : {},
      timestamp: String(fromMs + i * 1000),
    }))
    const codec = codecs[names[below(names.length)]!]
    yield { messages, compression: codec as CompressionTypes }
  }
}

/** Kafka only: two transactional producers and a plain one in turn; a third of the transactions is aborted. */
export async function fillTransactions(
  server: Server,
  topic: string,
  filling: Filling,
): Promise<void> {
  const random = seededRandom(filling.seed + 1)
  const kafka = clientOf(server)
  const settings = { idempotent: true, maxInFlightRequests: 1 }
  const transactional = ['one', 'two'].map(id =>
    kafka.producer({ ...settings, transactionalId: `${topic}-${id}` }),
  )
  const plain = kafka.producer(settings)
  for (const producer of [...transactional, plain]) await producer.connect()
  const requests = requestsOf(filling)[Symbol.iterator]()
  type Sender = Pick<typeof plain, 'send'>
  const send = async (sender: Sender): Promise<boolean> => {
    const next = requests.next()
    if (next.done === true) return false
    await sender.send({ topic, ...next.value, acks: -1 })
    return true
  }
  for (let isMore = true; isMore; ) {
    const open = await Promise.all(transactional.map(producer => producer.transaction()))
    for (let i = Math.floor(random() * 6); i >= 0; i--) {
      isMore = await send([...open, plain][Math.floor(random() * 3)]!)
    }
    for (const transaction of open) {
      if (random() < 0.33) await transaction.abort()
      else await transaction.commit()
    }
  }
  for (const producer of [...transactional, plain]) await producer.disconnect()
}

export function partitionDirectory(server: Server, topic: string, partition = 0): string {
  return join(server.dataDir, 'data', `${topic}-${partition}`)
}

/** Waits until everything below the active segment has been compacted. */
export async function compacted(server: Server, topic: string): Promise<void> {
  const deadline = performance.now() + CLEANING_MS
  for (;;) {
    const bases = readdirSync(partitionDirectory(server, topic))
      .filter(name => /^\d{20}\.log$/.test(name))
      .map(name => Number.parseInt(name, 10))
    const active = Math.max(...bases)
    let text = ''
    try {
      text = readFileSync(join(server.dataDir, 'data', 'cleaner-offset-checkpoint'), 'utf8')
    } catch {
      // Not written yet.
    }
    const cleaned = Number(new RegExp(`^${topic} 0 (\\d+)$`, 'm').exec(text)?.[1] ?? -1)
    if (active > 0 && cleaned === active) return
    assert.ok(performance.now() < deadline, `${topic}: cleaned ${cleaned}, active ${active}`)
    await pause(100)
  }
}

/** Every record in the files of a partition, those of control batches too; of a broker that has stopped. */
export async function recordsIn(server: Server, topic: string): Promise<string[]> {
  const { log } = await openLog(new SystemDisk(), partitionDirectory(server, topic))
  const found: string[] = []
  for (let next = log.logStartOffset; next < log.writtenOffset; ) {
    const upTo = log.writtenOffset
    const request = { offset: next, maxBytes: 1_000_000, upTo, minOneBatch: true, committed: false }
    const bytes = bytesOf(await log.read(request))
    if (bytes.length === 0) break
    for (const at of batches.batchPositions(bytes)) {
      next = batches.lastOffset(bytes, at) + 1
      for (const { offset, key, value } of await decodeBatch(bytes, at, MAX_BYTES)) {
        found.push(`${offset} ${key?.toString('latin1')} ${value?.toString('latin1')}`)
      }
    }
  }
  await log.close()
  return found
}

export interface Served {
  readonly committed: string
  readonly uncommitted: string
}

/** What kcat shows of a partition: offset, time, key, size of the value, value, headers. */
export async function served(server: Server, topic: string, partition = 0): Promise<Served> {
  const from = { bootstrap: server.bootstrap, topic, partition }
  const read = async (isolation: 'read_committed' | 'read_uncommitted') =>
    (await kcatRead({ ...from, isolation }, '%o %T %k %S %s %h\\n')).toString()
  return { committed: await read('read_committed'), uncommitted: await read('read_uncommitted') }
}

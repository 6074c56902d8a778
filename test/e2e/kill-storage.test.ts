/**
 * SIGKILL at random moments while segments roll, retention and DeleteRecords shorten logs and the cleaner compacts them:
 * nothing acknowledged is lost, compacted topics keep the latest value of each key, and every restart succeeds.
 *
 * Method: an idempotent producer of someone else (kafkajs) writes numbered records to four topics in one request after the
 * other, two that delete and two that compact, each once with `flush.messages=1` and once with the default. Beside it
 * records are deleted up to random offsets. The broker is killed, sometimes again while it starts; then the request under
 * way is let through, and kcat reads everything:
 *
 *   1. a log that deletes starts no lower than a DeleteRecords that was answered, and no higher than one that was asked
 *      for and retention explain; from there on its offsets have no gap, and each acknowledged record stands at its offset
 *   2. in a compacted log each record is one that was sent, at the offset that was acknowledged, and the last one of a
 *      key is no older than the last one acknowledged; a key is missing only where a tombstone may have removed it
 *   3. the broker has logged no error
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { RawClient } from '../broker/raw-client.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import {
  adopt,
  freePort,
  missing,
  OTTLA,
  pause,
  type Server,
  startOttla,
  subjectIsKafka,
  temporaryDirectory,
} from './harness.ts'
import { kcatRead } from './harness-tools.ts'

const RETENTION_BYTES = 400_000
const KEYS = 150
const RECORDS = 40
const PADDING = 'x'.repeat(300)
const overrides = {
  'log.cleaner.backoff.ms': '150',
  'log.retention.check.interval.ms': '200',
  'log.segment.delete.delay.ms': '100',
  'log.initial.task.delay.ms': '50',
  'log.flush.offset.checkpoint.interval.ms': '500',
}

interface TopicPlan {
  readonly name: string
  readonly isCompacted: boolean
  readonly configs: Readonly<Record<string, string>>
}

const deleting = { 'retention.bytes': String(RETENTION_BYTES), 'internal.segment.bytes': '100000' }
const compacting = {
  'cleanup.policy': 'compact',
  'min.cleanable.dirty.ratio': '0.01',
  'delete.retention.ms': '500',
  'internal.segment.bytes': '60000',
}
const flushed = { 'flush.messages': '1' }
const TOPICS: readonly TopicPlan[] = [
  { name: 'kept', isCompacted: false, configs: deleting },
  { name: 'kept-flushed', isCompacted: false, configs: { ...deleting, ...flushed } },
  { name: 'latest', isCompacted: true, configs: compacting },
  { name: 'latest-flushed', isCompacted: true, configs: { ...compacting, ...flushed } },
]

// ---------------------------------------------------------------------------------------------- the model

/** What was sent; `text` null is a tombstone. */
interface Sent {
  readonly key: string
  readonly text: string | null
}

/** With the number of the request it was in. */
interface Acknowledged extends Sent {
  readonly request: number
}

/** What one topic (of one partition) may hold, and what it must. */
class Model {
  readonly acknowledged = new Map<number, Acknowledged>()
  /** Keys of values that were sent and not acknowledged; they may be stored or not. */
  readonly uncertain = new Map<string, string>()
  /** The same for tombstones: by key, the last request that had one. */
  readonly uncertainTombstones = new Map<string, number>()
  deletedTo = 0
  deleteAsked = 0
  end = 0

  /** The request has been given up. */
  lost(records: readonly Sent[], request: number): void {
    for (const { key, text } of records) {
      if (text === null) this.uncertainTombstones.set(key, request)
      else this.uncertain.set(text, key)
    }
  }

  stored(records: readonly Sent[], request: number, baseOffset: number): void {
    for (const [i, sent] of records.entries()) {
      this.acknowledged.set(baseOffset + i, { ...sent, request })
    }
    this.end = Math.max(this.end, baseOffset + records.length)
  }
}

// ----------------------------------------------------------------------------------------------- the load

class Load {
  readonly models = new Map(TOPICS.map(({ name }) => [name, new Model()]))
  requests = 0
  givenUp = 0
  deletions = 0
  readonly refused: string[] = []
  private readonly port: number
  private readonly kafka: Kafka
  private readonly random: () => number
  private readonly writing: Promise<void>
  private readonly deleting: Promise<void>
  private isFinishing = false
  private next = 0
  private held: Promise<void> | null = null
  private release: (() => void) | null = null
  private busy = 0
  private whenIdle: (() => void) | null = null

  constructor(port: number, random: () => number) {
    this.port = port
    const retry = { retries: 60, initialRetryTime: 30, maxRetryTime: 200 }
    const limits = { connectionTimeout: 1000, requestTimeout: 10_000 }
    this.kafka = new Kafka({
      brokers: [`127.0.0.1:${port}`],
      retry,
      ...limits,
      logLevel: logLevel.NOTHING,
    })
    this.random = random
    this.writing = this.write()
    this.deleting = this.deleteRecords()
  }

  async finish(): Promise<void> {
    this.isFinishing = true
    this.resume()
    await Promise.all([this.writing, this.deleting])
  }

  /** Begins nothing more, and resolves when what was under way has its answer. */
  async hold(): Promise<void> {
    this.held = new Promise(resolve => {
      this.release = resolve
    })
    if (this.busy === 0) return
    await new Promise<void>(resolve => {
      this.whenIdle = resolve
    })
  }

  resume(): void {
    this.release?.()
    this.held = null
  }

  /** One request at a time from each of the two loops. */
  private async step(work: () => Promise<void>): Promise<void> {
    if (this.held !== null) await this.held
    if (this.isFinishing) return
    this.busy += 1
    try {
      await work()
    } finally {
      this.busy -= 1
      if (this.busy === 0) this.whenIdle?.()
    }
  }

  private async write(): Promise<void> {
    let producer: Producer | null = null
    while (!this.isFinishing) {
      try {
        producer ??= await this.connect()
        const ready = producer
        await this.step(() => this.send(ready))
      } catch {
        // It gave up; what it had sent may be there or not. Its sequence is unknown, so another producer goes on.
        await producer?.disconnect().catch(() => undefined)
        producer = null
        await pause(50)
      }
    }
    await producer?.disconnect()
  }

  private async connect(): Promise<Producer> {
    const producer = this.kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    return producer
  }

  private async send(producer: Producer): Promise<void> {
    const batches = new Map(TOPICS.map(topic => [topic.name, this.records(topic)]))
    const request = ++this.requests
    const topicMessages = [...batches].map(([topic, records]) => ({
      topic,
      messages: records.map(({ key, text }) => ({
        key,
        value: text === null ? null : `${text} ${PADDING}`,
        partition: 0,
      })),
    }))
    try {
      for (const answer of await producer.sendBatch({ topicMessages, acks: -1 })) {
        const { topicName, baseOffset } = answer
        const records = batches.get(topicName)!
        this.models.get(topicName)!.stored(records, request, Number(baseOffset))
      }
    } catch (error) {
      this.givenUp += 1
      for (const [name, records] of batches) this.models.get(name)!.lost(records, request)
      throw error
    }
  }

  private records({ isCompacted }: TopicPlan): Sent[] {
    return Array.from({ length: 1 + Math.floor(this.random() * RECORDS) }, () => {
      const key = `key-${Math.floor(this.random() * KEYS)}`
      const isTombstone = isCompacted && this.random() < 0.1
      return { key, text: isTombstone ? null : String(this.next++) }
    })
  }

  private async deleteRecords(): Promise<void> {
    const names = TOPICS.filter(({ isCompacted }) => !isCompacted).map(({ name }) => name)
    while (!this.isFinishing) {
      await pause(300 + this.random() * 1200)
      const topic = names[Math.floor(this.random() * names.length)]!
      try {
        await this.step(() => this.deleteBelow(topic))
      } catch {
        // The broker died; they may be deleted or not.
      }
    }
  }

  /** Up to somewhere among those that retention would leave, or below. */
  private async deleteBelow(topic: string): Promise<void> {
    const model = this.models.get(topic)!
    const offset = Math.max(model.deletedTo, Math.floor(model.end - this.random() * 3000))
    model.deleteAsked = Math.max(model.deleteAsked, offset)
    const client = await RawClient.connect(this.port)
    try {
      const partitions = [{ partitionIndex: 0, offset }]
      const topics = [{ name: topic, partitions }]
      const answer = await client.call('DeleteRecords', 2, { topics, timeoutMs: 10_000 })
      const { errorCode, lowWatermark } = answer.topics[0]!.partitions[0]!
      if (errorCode !== 0 || lowWatermark < offset)
        this.refused.push(`${topic} ${offset}: ${errorCode}`)
    } finally {
      await client.close()
    }
    model.deletedTo = Math.max(model.deletedTo, offset)
    this.deletions += 1
  }
}

// --------------------------------------------------------------------------------------------- the checks

interface Read extends Sent {
  readonly offset: number
}

/** All records, of a log that retention has left alone meanwhile: kcat would go to the end of one that it shortens. */
async function read(server: Server, topic: string): Promise<Read[]> {
  for (;;) {
    const start = await startOf(server, topic)
    const found = await readOnce(server, topic)
    if ((await startOf(server, topic)) === start) return found
  }
}

async function startOf({ port }: Server, name: string): Promise<number> {
  const client = await RawClient.connect(port)
  try {
    const partitions = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -2 }]
    const topics = [{ name, partitions }]
    const answer = await client.call('ListOffsets', 7, { replicaId: -1, isolationLevel: 0, topics })
    const { errorCode, offset } = answer.topics[0]!.partitions[0]!
    assert.equal(errorCode, 0, `the start of ${name}`)
    return offset!
  } finally {
    await client.close()
  }
}

async function readOnce(server: Server, topic: string): Promise<Read[]> {
  const from = { bootstrap: server.bootstrap, topic, partition: 0 }
  const text = (await kcatRead(from, '%o %k %S %s\\n')).toString()
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => {
      const [offset, key, size, value] = line.split(' ', 4) as [string, string, string, string]
      return { offset: Number(offset), key, text: size === '-1' ? null : value }
    })
}

function checkDeleting(name: string, model: Model, found: readonly Read[]): void {
  const { deletedTo, deleteAsked, end, acknowledged } = model
  const start = found[0]?.offset ?? end
  assert.ok(
    start >= deletedTo,
    `${name} starts at ${start}, records below ${deletedTo} were deleted`,
  )
  if (start > deleteAsked) {
    // A little less than they take on the disk.
    const bytes = found.length * PADDING.length
    const why = `${name} starts at ${start}, with ${bytes} bytes; asked to delete up to ${deleteAsked}`
    assert.ok(bytes >= RETENTION_BYTES * 0.8, why)
  }
  for (const [i, record] of found.entries()) {
    assert.equal(record.offset, start + i, `${name}: a gap, or an offset twice`)
    checkSent(name, model, record)
  }
  for (const offset of acknowledged.keys()) {
    if (offset >= start)
      assert.ok(found[offset - start], `${name}: offset ${offset} was acknowledged`)
  }
}

/** The record is the one that was acknowledged at its offset, or one that may have been stored without an answer. */
function checkSent(name: string, model: Model, { offset, key, text }: Read): void {
  const sent = model.acknowledged.get(offset)
  const where = `${name}, offset ${offset}`
  if (sent !== undefined) assert.deepEqual({ key, text }, { key: sent.key, text: sent.text }, where)
  else if (text === null)
    assert.ok(model.uncertainTombstones.has(key), `${where}: tombstone of ${key}`)
  else assert.equal(model.uncertain.get(text), key, `${where}: ${key} ${text} was never sent`)
}

function checkCompacted(name: string, model: Model, found: readonly Read[]): void {
  const last = new Map<string, Read>()
  let previous = -1
  for (const record of found) {
    assert.ok(record.offset > previous, `${name}: offset ${record.offset} after ${previous}`)
    previous = record.offset
    checkSent(name, model, record)
    last.set(record.key, record)
  }
  const latest = new Map<string, Acknowledged & { offset: number }>()
  for (const [offset, sent] of [...model.acknowledged].sort(([a], [b]) => a - b)) {
    latest.set(sent.key, { offset, ...sent })
  }
  for (const [key, { offset, text, request }] of latest) {
    const there = last.get(key)
    const what = there === undefined ? 'nothing' : `offset ${there.offset}`
    const why = `${name}: the latest of ${key} is at ${offset}, found ${what}`
    if (there !== undefined) assert.ok(there.offset >= offset, why)
    else assert.ok(text === null || (model.uncertainTombstones.get(key) ?? 0) > request, why)
  }
}

async function verify(
  server: Server,
  models: ReadonlyMap<string, Model>,
): Promise<Map<string, Read[]>> {
  const all = new Map<string, Read[]>()
  for (const { name, isCompacted } of TOPICS) {
    const found = await read(server, name)
    all.set(name, found)
    if (isCompacted) checkCompacted(name, models.get(name)!, found)
    else checkDeleting(name, models.get(name)!, found)
  }
  return all
}

function checkNoErrors(dataDir: string): void {
  if (subjectIsKafka) return
  const lines = readFileSync(join(dataDir, 'output.txt'), 'utf8').split('\n')
  assert.deepEqual(
    lines.filter(line => /"level":"(error|fatal)"/.test(line)),
    [],
  )
}

// ----------------------------------------------------------------------------------------------- the test

async function createTopics(bootstrap: string): Promise<void> {
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  const topics = TOPICS.map(({ name, configs }) => ({
    topic: name,
    numPartitions: 1,
    configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })),
  }))
  await admin.createTopics({ topics, waitForLeaders: true })
  await admin.disconnect()
}

/** Starts the broker on what the last kill left, and kills it while it does. */
async function killWhileStarting(dataDir: string, afterMs: number): Promise<void> {
  if (subjectIsKafka) return
  const args = [OTTLA, 'broker', join(dataDir, 'server.properties')]
  const child = adopt(spawn(process.execPath, args, { stdio: 'ignore' }))
  const ended = once(child, 'exit')
  await pause(afterMs)
  child.kill('SIGKILL')
  await ended
}

test('kill -9 under retention, compaction and DeleteRecords loses nothing acknowledged', {
  skip: missing('kcat'),
}, async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed} (OTTLA_SEED=${seed} repeats it)`)
  const random = seededRandom(seed)
  const dataDir = temporaryDirectory('kill-storage')
  const options = { dataDir, port: await freePort(), overrides }
  let server = await startOttla(options)
  await createTopics(server.bootstrap)
  const load = new Load(server.port, seededRandom(seed + 1))
  let restartMs = 0
  let found = new Map<string, Read[]>()
  try {
    for (let kill = 0; kill < tier.storageKills; kill++) {
      await pause(random() ** 2 * 3000)
      await server.kill9()
      if (random() < 0.3) await killWhileStarting(dataDir, random() * 400)
      const start = performance.now()
      server = await startOttla(options)
      restartMs = Math.max(restartMs, performance.now() - start)
      await load.hold()
      found = await verify(server, load.models)
      load.resume()
    }
    await pause(2000)
    await load.finish()
    found = await verify(server, load.models)
    assert.equal(await server.stop(), 0)
    checkNoErrors(dataDir)
  } finally {
    await server.kill9()
    await load.finish()
  }
  const counts = TOPICS.map(({ name }) => {
    const { acknowledged } = load.models.get(name)!
    const left = found.get(name)!
    // Otherwise nothing was deleted or compacted, and nothing was tried.
    assert.ok(
      left.length < acknowledged.size / 2,
      `${name}: ${left.length} of ${acknowledged.size}`,
    )
    return `${name} ${left.length} of ${acknowledged.size}`
  })
  const { requests, givenUp, deletions, refused } = load
  assert.deepEqual(refused, [], 'DeleteRecords was refused')
  assert.ok(deletions > 0, 'no DeleteRecords was answered')
  const done = `${requests} requests, ${givenUp} of them without an answer, ${deletions} deletions`
  t.diagnostic(`${tier.storageKills} kills, ${done}; left: ${counts.join(', ')}`)
  t.diagnostic(`slowest restart ${restartMs.toFixed(0)} ms`)
})

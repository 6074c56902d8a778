/**
 * Minutes that hold the events of weeks: segments roll each second, retention and compaction never rest, topics come and
 * go, and the broker is restarted, politely and not, in the first third. The reader misses nothing, the producer never
 * fails, the broker logs no error, and in its last life memory, open files and files on the disk do not grow with time.
 *
 * Method: an idempotent producer (kafkajs) writes numbered records at a fixed rate, and never more than a part of what
 * retention leaves ahead of the reader.
 */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { Client } from '../../client/client.ts'
import {
  freePort,
  pause,
  type Server,
  startOttla,
  subjectIsKafka,
  temporaryDirectory,
} from '../e2e/harness.ts'
import { tier } from '../tiers.ts'

const DURATION_MS = tier.minutes * 60_000
const RECORDS_A_SEND = 50
/** Milliseconds between sends: 1,000 records and half a megabyte a second in the topic that is followed. */
const INTERVAL_MS = 50
const PADDING = 'x'.repeat(500)
const KEPT_BYTES = 4_000_000
const MAX_AHEAD = 4000
const KEYS = 500
const MAX_RSS_MIB = 300
/** When, as a part of the time, the broker is stopped and started. */
const RESTARTS = [0.1, 0.2, 0.3]
const CHURN_EVERY = 40

const overrides = {
  'log.cleaner.backoff.ms': '200',
  'log.retention.check.interval.ms': '200',
  'log.segment.delete.delay.ms': '1000',
  'log.initial.task.delay.ms': '100',
  'log.flush.offset.checkpoint.interval.ms': '1000',
}
const compacting = { 'min.cleanable.dirty.ratio': '0.1', 'delete.retention.ms': '1000' }
const TOPICS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  followed: { 'segment.ms': '1000', 'retention.bytes': String(KEPT_BYTES) },
  brief: { 'segment.ms': '500', 'retention.ms': '2000', 'flush.messages': '1' },
  latest: { 'segment.ms': '1000', 'cleanup.policy': 'compact', ...compacting },
  both: {
    'segment.ms': '1000',
    'cleanup.policy': 'compact,delete',
    'retention.ms': '5000',
    ...compacting,
  },
}

interface Sample {
  readonly rssMib: number
  readonly openFiles: number
  readonly files: number
}

function sample({ pid, dataDir }: Server): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return {
    rssMib: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024,
    openFiles: readdirSync(`/proc/${pid}/fd`).length,
    files: filesIn(join(dataDir, 'data')),
  }
}

function filesIn(directory: string): number {
  try {
    return readdirSync(directory, { withFileTypes: true }).reduce(
      (sum, entry) => sum + (entry.isDirectory() ? filesIn(join(directory, entry.name)) : 1),
      0,
    )
  } catch {
    // The directory of a topic that goes.
    return 0
  }
}

/** Follows the partition and checks that the numbers come without a gap; tells how many have come. */
function follow(bootstrap: string): { count: () => number; end(): Promise<void> } {
  const consumer = new Client({ bootstrap }).consumer()
  consumer.assign([{ topic: 'followed', partition: 0, offset: 'earliest' }])
  let next = 0
  let wrong: string | null = null
  const reading = consumer.eachMessage(({ value }) => {
    const number = Number.parseInt(String(value), 10)
    if (number !== next) wrong ??= `read ${number} where ${next} was due`
    next++
  })
  reading.catch(error => {
    wrong ??= `the reader failed: ${error}`
  })
  return {
    count() {
      assert.equal(wrong, null)
      return next
    },
    async end() {
      await consumer.close()
      await reading.catch(() => undefined)
    },
  }
}

class Load {
  sent = 0
  churned = 0
  private sends = 0
  private readonly kafka: Kafka
  private readonly producer: Producer

  constructor(bootstrap: string) {
    const retry = { retries: 60, initialRetryTime: 50, maxRetryTime: 500 }
    this.kafka = new Kafka({ brokers: [bootstrap], retry, logLevel: logLevel.NOTHING })
    this.producer = this.kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  }

  async begin(): Promise<void> {
    const admin = this.kafka.admin()
    await admin.connect()
    const topics = Object.entries(TOPICS).map(([topic, settings]) => ({
      topic,
      numPartitions: 1,
      configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
    }))
    await admin.createTopics({ topics, waitForLeaders: true })
    await admin.disconnect()
    await this.producer.connect()
  }

  async send(): Promise<void> {
    const numbers = Array.from({ length: RECORDS_A_SEND }, () => this.sent++)
    const some = (count: number) =>
      numbers.slice(0, count).map(number => ({
        partition: 0,
        key: `key-${(number * 7919) % KEYS}`,
        value: number % 11 === 0 ? null : `${number} ${PADDING}`,
      }))
    const followed = numbers.map(number => ({ partition: 0, value: `${number} ${PADDING}` }))
    const topicMessages = [
      { topic: 'followed', messages: followed },
      ...['brief', 'latest', 'both'].map(topic => ({ topic, messages: some(10) })),
    ]
    await this.producer.sendBatch({ topicMessages, acks: -1 })
    this.sends += 1
    if (this.sends % CHURN_EVERY === 0) await this.churn()
  }

  /** A topic comes, is written to, and goes. */
  private async churn(): Promise<void> {
    const topic = `churn-${this.churned++ % 3}`
    const admin = this.kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true })
    const writer = this.kafka.producer()
    await writer.connect()
    await writer.send({ topic, acks: -1, messages: [{ value: PADDING }] })
    await writer.disconnect()
    await admin.deleteTopics({ topics: [topic] })
    await admin.disconnect()
  }

  async end(): Promise<void> {
    await this.producer.disconnect()
  }
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0

/** The median of each figure in the middle third of the samples and in the last one. */
function thirds(samples: readonly Sample[]): { middle: Sample; late: Sample } {
  const of = (some: readonly Sample[]): Sample => ({
    rssMib: median(some.map(({ rssMib }) => rssMib)),
    openFiles: median(some.map(({ openFiles }) => openFiles)),
    files: median(some.map(({ files }) => files)),
  })
  const third = Math.floor(samples.length / 3)
  return { middle: of(samples.slice(third, 2 * third)), late: of(samples.slice(2 * third)) }
}

function eventsIn(dataDir: string): { said: string; errors: string[] } {
  const lines = readFileSync(join(dataDir, 'output.txt'), 'utf8').split('\n')
  const count = (event: string) => lines.filter(line => line.includes(`"event":"${event}"`)).length
  const events = ['segment rolled', 'segment deleted', 'log compacted', 'log recovered']
  return {
    said: events.map(event => `${event} ${count(event)}`).join(', '),
    errors: lines.filter(line => /"level":"(error|fatal)"/.test(line)),
  }
}

test(`${tier.minutes} minutes of steady load and restarts: nothing missed, no growth`, async t => {
  const options = { dataDir: temporaryDirectory('steady'), port: await freePort(), overrides }
  let server = await startOttla(options)
  const load = new Load(server.bootstrap)
  await load.begin()
  const reader = follow(server.bootstrap)
  let samples: Sample[] = []
  const dueRestarts = RESTARTS.map((part, i) => ({ atMs: part * DURATION_MS, isPolite: i !== 1 }))
  const startMs = performance.now()
  try {
    for (let dueMs = startMs; dueMs < startMs + DURATION_MS; dueMs += INTERVAL_MS) {
      await load.send()
      while (load.sent - reader.count() > MAX_AHEAD) await pause(10)
      if ((load.sent / RECORDS_A_SEND) % 10 === 0) samples.push(sample(server))
      if (dueMs - startMs > (dueRestarts[0]?.atMs ?? Number.POSITIVE_INFINITY)) {
        const { isPolite } = dueRestarts.shift()!
        if (isPolite) assert.equal(await server.stop(), 0)
        else await server.kill9()
        server = await startOttla(options)
        samples = []
      }
      await pause(Math.max(0, dueMs + INTERVAL_MS - performance.now()))
    }
    for (let waited = 0; reader.count() < load.sent && waited < 30_000; waited += 50)
      await pause(50)
    assert.equal(reader.count(), load.sent, 'the reader has not come to the end')
    await load.end()
    assert.equal(await server.stop(), 0)
  } finally {
    await reader.end()
    await load.end()
    await server.kill9()
  }
  const { middle, late } = thirds(samples)
  const { said, errors } = eventsIn(options.dataDir)
  t.diagnostic(`${load.sent} records followed, ${load.churned} topics came and went; ${said}`)
  t.diagnostic(`midway ${JSON.stringify(middle)}, at the end ${JSON.stringify(late)}`)
  if (subjectIsKafka) return
  assert.deepEqual(errors, [])
  const greatest = Math.max(...samples.map(({ rssMib }) => rssMib))
  assert.ok(greatest < MAX_RSS_MIB, `RSS reached ${greatest} MiB`)
  assert.ok(late.rssMib < middle.rssMib * 1.2 + 16, 'memory grows with time')
  assert.ok(late.openFiles < middle.openFiles * 1.2 + 16, 'open files grow with time')
  assert.ok(late.files < middle.files * 1.2 + 50, 'files grow with time')
})

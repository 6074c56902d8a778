/**
 * SIGKILL at random moments under load with acks=all: every acknowledged record is there after each restart, in order,
 * once.
 *
 * Method: an idempotent producer of someone else (kafkajs; Kafka's own) writes numbered values to three partitions and
 * goes on through the broker's deaths. What was acknowledged, with partition and offset, is written down. After each
 * restart kcat reads everything, and at the end once more:
 *
 *   1. at each acknowledged partition and offset stands the value that was acknowledged;
 *   2. no value stands in the log twice (a record without an answer may be there or not);
 *   3. within a partition the numbers grow, and the offsets have no gap.
 */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import {
  adopt,
  freePort,
  KAFKA,
  missing,
  pause,
  runWell,
  type Server,
  startOttla,
  temporaryDirectory,
} from './harness.ts'
import { kcatRead } from './harness-tools.ts'

const TOPIC = 'killed'
const PARTITIONS = 3
// Small segments, so that a kill also meets rolling and several segments.
const OVERRIDES = { 'log.segment.bytes': '1048576', 'num.partitions': String(PARTITIONS) }

interface Acknowledged {
  readonly partition: number
  readonly offset: number
  readonly value: number
}

interface Load {
  /** What has been acknowledged so far; grows. */
  readonly acknowledged: readonly Acknowledged[]
  /** Stops sending and waits for what is under way. */
  finish(): Promise<void>
  /** Stops sending, whatever is under way: the test has failed. */
  abandon(): void
}

// --------------------------------------------------------------------------------------------- the loads

/** kafkajs: one request at a time, each with some records for every partition. */
class KafkajsLoad implements Load {
  readonly acknowledged: Acknowledged[] = []
  readonly #kafka: Kafka
  readonly #padding = 'x'.repeat(300)
  readonly #running: Promise<void>
  #isFinishing = false
  #next = 0

  constructor(bootstrap: string) {
    const retry = { retries: 40, initialRetryTime: 30, maxRetryTime: 300 }
    const limits = { connectionTimeout: 1000, requestTimeout: 10_000 }
    this.#kafka = new Kafka({ brokers: [bootstrap], retry, ...limits, logLevel: logLevel.NOTHING })
    this.#running = this.#run()
  }

  async finish(): Promise<void> {
    this.#isFinishing = true
    await this.#running
  }

  abandon(): void {
    this.#isFinishing = true
  }

  async #run(): Promise<void> {
    let producer: Producer | null = null
    while (!this.#isFinishing) {
      try {
        producer ??= await this.#connect()
        await this.#send(producer)
      } catch {
        // It gave up; what it had sent may be there or not. Its sequence is unknown, so another producer goes on.
        await producer?.disconnect().catch(() => undefined)
        producer = null
        await pause(50)
      }
    }
    await producer?.disconnect()
  }

  async #connect(): Promise<Producer> {
    const producer = this.#kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    return producer
  }

  async #send(producer: Producer): Promise<void> {
    const values: number[][] = Array.from({ length: PARTITIONS }, () => [])
    for (let i = 0; i < 10 * PARTITIONS; i++) values[i % PARTITIONS]?.push(this.#next++)
    const messages = values.flatMap((some, partition) =>
      some.map(value => ({ partition, value: `${value} ${this.#padding}` })),
    )
    const answers = await producer.send({ topic: TOPIC, acks: -1, messages })
    for (const { partition, baseOffset } of answers) {
      for (const [i, value] of (values[partition] ?? []).entries()) {
        this.acknowledged.push({ partition, offset: Number(baseOffset) + i, value })
      }
    }
  }
}

/** Kafka's verifiable producer: idempotent, five requests in flight, many records a batch. */
class JavaLoad implements Load {
  readonly acknowledged: Acknowledged[] = []
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #errors: string[] = []

  constructor(bootstrap: string) {
    const settings = join(temporaryDirectory('producer'), 'producer.properties')
    // The tool itself would give up at the first error.
    const lines = ['retries=2147483647', 'enable.idempotence=true', 'delivery.timeout.ms=600000']
    lines.push('reconnect.backoff.max.ms=200', 'request.timeout.ms=10000', 'linger.ms=2')
    writeFileSync(settings, `${lines.join('\n')}\n`)
    const args = ['--bootstrap-server', bootstrap, '--topic', TOPIC, '--acks', '-1']
    args.push('--throughput', '2000', '--command-config', settings)
    const child = spawn(KAFKA, ['verifiable-producer', ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, HEAP: '256m', JAVA_OPTS: '-XX:TieredStopAtLevel=1' },
    })
    this.#child = adopt(child)
    const reader = createInterface({ input: child.stdout })
    reader.on('line', line => this.#heard(line))
    this.#ended = Promise.all([once(child, 'exit'), once(reader, 'close')])
  }

  async finish(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#ended
    assert.deepEqual(this.#errors, [], 'the producer gave up on records')
  }

  abandon(): void {
    this.#child.kill('SIGKILL')
  }

  #heard(line: string): void {
    const event: { name: string; partition: number; offset: number; value: string } =
      JSON.parse(line)
    const { name, partition, offset } = event
    if (name === 'producer_send_success') {
      this.acknowledged.push({ partition, offset, value: Number(event.value) })
    } else if (name === 'producer_send_error') this.#errors.push(line)
  }
}

// -------------------------------------------------------------------------------------------- the checks

type Read = ReadonlyMap<number, number>

/** One partition as kcat reads it: offset → number. Also that numbers grow and offsets have no gap. */
async function readPartition(
  from: { bootstrap: string; partition: number; limit: number },
  seen: Set<number>,
) {
  const { bootstrap, partition, limit } = from
  if (limit === 0) return new Map<number, number>()
  const all = await kcatRead({ bootstrap, topic: TOPIC, partition, limit }, '%o %s\\n')
  const lines = all.toString().split('\n')
  const values = new Map<number, number>()
  let last = -1
  for (const line of lines.slice(0, -1)) {
    const [offset, value] = line.split(' ', 2).map(Number) as [number, number]
    const where = `partition ${partition}, offset ${offset}`
    assert.equal(offset, values.size, `${where}: a gap, or an offset twice`)
    assert.ok(!seen.has(value), `${where}: value ${value} is in the log twice`)
    assert.ok(value > last, `${where}: value ${value} stands after ${last}`)
    seen.add(value)
    values.set(offset, value)
    last = value
  }
  return values
}

/**
 * Compares what was acknowledged with what is there; returns how many records are. Under load only the part of the log
 * that must be there is read: the end moves on.
 */
async function verify(
  bootstrap: string,
  acknowledged: readonly Acknowledged[],
  isUnderLoad: boolean,
): Promise<number> {
  const ends = Array.from({ length: PARTITIONS }, () => 0)
  for (const { partition, offset } of acknowledged) {
    ends[partition] = Math.max(ends[partition] ?? 0, offset + 1)
  }
  const seen = new Set<number>()
  const read: Read[] = []
  for (const [partition, end] of ends.entries()) {
    const limit = isUnderLoad ? end : Number.POSITIVE_INFINITY
    read.push(await readPartition({ bootstrap, partition, limit }, seen))
  }
  for (const { partition, offset, value } of acknowledged) {
    const found = read[partition]?.get(offset)
    const what = found === undefined ? 'nothing' : `value ${found}`
    const where = `at partition ${partition}, offset ${offset}`
    assert.equal(found, value, `value ${value} was acknowledged ${where}; there is ${what}`)
  }
  return seen.size
}

async function moreThan(count: number, load: Load): Promise<void> {
  const deadline = performance.now() + 60_000
  while (load.acknowledged.length <= count) {
    assert.ok(performance.now() < deadline, 'the producer did not go on within a minute')
    await pause(10)
  }
}

async function killUnderLoad(
  startLoad: (bootstrap: string) => Load,
  seed: number,
): Promise<string> {
  const random = seededRandom(seed)
  const options = {
    dataDir: temporaryDirectory('kill'),
    port: await freePort(),
    overrides: OVERRIDES,
  }
  let server: Server = await startOttla(options)
  await runWell('kcat', ['-L', '-b', server.bootstrap, '-t', TOPIC])
  const load = startLoad(server.bootstrap)
  let restartMs = 0
  try {
    for (let kill = 0; kill < tier.kills; kill++) {
      const before = load.acknowledged.length
      // Mostly under load, sometimes in the first moments after a restart.
      if (random() < 0.75) await moreThan(before, load)
      await pause(random() ** 2 * 1500)
      await server.kill9()
      const acknowledged = load.acknowledged.slice()
      const start = performance.now()
      server = await startOttla(options)
      restartMs = Math.max(restartMs, performance.now() - start)
      await verify(server.bootstrap, acknowledged, true)
    }
    await moreThan(load.acknowledged.length, load)
    await load.finish()
    const total = await verify(server.bootstrap, load.acknowledged, false)
    const count = load.acknowledged.length
    return `${tier.kills} kills, ${count} acknowledged of ${total} in the log; slowest restart ${restartMs.toFixed(0)} ms`
  } finally {
    load.abandon()
    await server.kill9()
  }
}

test('nothing that kafkajs was told is stored is lost or doubled by kill -9', {
  skip: missing('kcat'),
}, async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  t.diagnostic(await killUnderLoad(bootstrap => new KafkajsLoad(bootstrap), seed))
})

test("nothing that Kafka's producer was told is stored is lost or doubled by kill -9", {
  skip: missing('kcat', 'kafka'),
}, async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  t.diagnostic(await killUnderLoad(bootstrap => new JavaLoad(bootstrap), seed))
})

/**
 * Consumer groups with other people's clients: kcat, kafkajs and Kafka's own share partitions, lose members, and come back
 * after the broker's death where they were.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { type Consumer, Kafka, logLevel } from 'kafkajs'
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

const noKcat = missing('kcat')
const noKafka = missing('kafka')
const RECORDS = 300

let server: Server

before(async () => {
  server = await startOttla({ overrides: { 'num.partitions': '4' } })
})

after(async () => {
  await server.stop()
})

function kafkajs(bootstrap = server.bootstrap, retries = 5): Kafka {
  const retry = { retries, initialRetryTime: 30, maxRetryTime: 300 }
  const limits = { connectionTimeout: 1000, requestTimeout: 10_000 }
  return new Kafka({ brokers: [bootstrap], retry, ...limits, logLevel: logLevel.NOTHING })
}

async function fill(topic: string, count = RECORDS): Promise<void> {
  const admin = kafkajs().admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 4 }] })
  await admin.disconnect()
  const producer = kafkajs().producer()
  await producer.connect()
  const messages = Array.from({ length: count }, (_, i) => ({ key: String(i), value: String(i) }))
  await producer.send({ topic, messages })
  await producer.disconnect()
}

/** Waits until `isDone`; fails with `what` after a minute. */
async function until(isDone: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = performance.now() + 60_000; !(await isDone()); ) {
    if (performance.now() > deadline) assert.fail(`in a minute not: ${what}`)
    await pause(50)
  }
}

const numbers = (values: Iterable<string>) => [...values].map(Number).sort((a, b) => a - b)
const ALL = Array.from({ length: RECORDS }, (_, i) => i)

test('kafkajs: two members share a topic, one leaves, none of the records is lost or read twice', async () => {
  await fill('shared')
  const seen: string[] = []
  const start = async (): Promise<Consumer> => {
    const consumer = kafkajs().consumer({ groupId: 'pair', heartbeatInterval: 200 })
    await consumer.connect()
    await consumer.subscribe({ topics: ['shared'], fromBeginning: true })
    const joined = new Promise<void>(resolve => {
      consumer.on(consumer.events.GROUP_JOIN, () => resolve())
    })
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(`${message.value}`) })
    await joined
    return consumer
  }
  const one = await start()
  await until(() => seen.length >= RECORDS, 'all records')
  const two = await start()
  const admin = kafkajs().admin()
  await admin.connect()
  await until(async () => {
    const { groups } = await admin.describeGroups(['pair'])
    return groups[0]?.state === 'Stable' && groups[0].members.length === 2
  }, 'a stable group of two')
  await two.disconnect()
  await one.disconnect()
  assert.deepEqual(numbers(seen), ALL)
  const offsets = await admin.fetchOffsets({ groupId: 'pair', topics: ['shared'] })
  const sum = offsets[0]!.partitions.reduce((all, { offset }) => all + Number(offset), 0)
  assert.equal(sum, RECORDS)
  await admin.disconnect()
})

test('kcat -G: reads all, and goes on where it was', { skip: noKcat }, async () => {
  await fill('cats')
  const read = async () => {
    const args = ['-G', 'cats-group', '-b', server.bootstrap, '-e', '-q', 'cats']
    const settings = ['-X', 'auto.offset.reset=earliest', '-X', 'enable.partition.eof=true']
    const text = (await runWell('kcat', [...settings, ...args])).toString().trim()
    return text === '' ? [] : text.split('\n')
  }
  assert.deepEqual(numbers(await read()), ALL)
  assert.deepEqual(await read(), [])
})

/** Kafka's verifiable consumer: what it says, as it says it. */
class Verifiable {
  readonly ranges: { partition: number; minOffset: number; maxOffset: number }[] = []
  readonly child: ChildProcess
  assigned = 0

  constructor(topic: string, group: string) {
    const where = ['--bootstrap-server', server.bootstrap, '--topic', topic, '--group-id', group]
    const how = ['--session-timeout', '6000', '--reset-policy', 'earliest']
    const env = { ...process.env, HEAP: '128m' }
    const args = ['verifiable-consumer', ...where, ...how]
    this.child = adopt(spawn(KAFKA, args, { stdio: ['ignore', 'pipe', 'ignore'], env }))
    createInterface({ input: this.child.stdout! }).on('line', line => this.hear(line))
  }

  private hear(line: string): void {
    if (!line.startsWith('{')) return
    const event = JSON.parse(line) as { name: string; partitions?: never[] }
    if (event.name === 'partitions_assigned') this.assigned++
    if (event.name === 'records_consumed') this.ranges.push(...(event.partitions ?? []))
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const gone = once(this.child, 'exit')
    this.child.kill(signal)
    await gone
  }
}

test("Kafka's verifiable consumers: one is killed, the other takes over and misses nothing", {
  skip: noKafka,
}, async () => {
  await fill('verified')
  const consumers = [
    new Verifiable('verified', 'verifiers'),
    new Verifiable('verified', 'verifiers'),
  ]
  const [one, two] = consumers as [Verifiable, Verifiable]
  await until(() => one.assigned > 0 && two.assigned > 0, 'both have partitions')
  await one.end('SIGKILL')
  const producer = kafkajs().producer()
  await producer.connect()
  await producer.send({
    topic: 'verified',
    messages: Array.from({ length: RECORDS }, (_, i) => ({ key: String(i), value: String(i) })),
  })
  await producer.disconnect()
  const covered = () => {
    const offsets = new Set<string>()
    for (const { partition, minOffset, maxOffset } of consumers.flatMap(one => one.ranges)) {
      for (let at = minOffset; at <= maxOffset; at++) offsets.add(`${partition}:${at}`)
    }
    return offsets.size
  }
  await until(() => covered() === 2 * RECORDS, 'every offset of every partition')
  await two.end('SIGTERM')
})

test("Kafka's consumer-perf reads in a group", { skip: noKafka }, async () => {
  await fill('measured')
  const args = ['--bootstrap-server', server.bootstrap, '--topic', 'measured', '--group', 'perf']
  const said = await runWell(KAFKA, ['consumer-perf', ...args, '--num-records', String(RECORDS)])
  assert.match(said.toString(), new RegExp(`, ${RECORDS}, `))
})

/** Commits growing offsets for a member, through all deaths of the broker. */
class Committer {
  readonly groupId: string
  acknowledged = -1
  private isOver = false
  private readonly running: Promise<void>

  constructor(bootstrap: string, groupId: string) {
    this.groupId = groupId
    this.running = this.run(bootstrap)
  }

  finish(): Promise<void> {
    this.isOver = true
    return this.running
  }

  private async run(bootstrap: string): Promise<void> {
    const group = { groupId: this.groupId, sessionTimeout: 10_000, heartbeatInterval: 200 }
    const consumer = kafkajs(bootstrap, 1000).consumer(group)
    await consumer.connect()
    await consumer.subscribe({ topics: ['committed'] })
    await consumer.run({ autoCommit: false, eachMessage: async () => undefined })
    for (let offset = 0; !this.isOver; ) {
      try {
        const at = { topic: 'committed', partition: 0, offset: String(offset) }
        await consumer.commitOffsets([at])
        this.acknowledged = offset++
      } catch {
        // The broker is away, or the member has to join again: the same offset once more.
        await pause(50)
      }
    }
    await consumer.disconnect()
  }
}

test('SIGKILL under committing groups: committed offsets never go back', async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}, ${tier.kills} kills`)
  const random = seededRandom(seed)
  const place = { port: await freePort(), dataDir: temporaryDirectory('groups') }
  let broker = await startOttla(place)
  const admin = kafkajs(broker.bootstrap, 100).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'committed' }] })
  const committers = ['a', 'b', 'c'].map(name => new Committer(broker.bootstrap, name))
  const check = async () => {
    for (const { groupId, acknowledged } of committers) {
      const [topic] = await admin.fetchOffsets({ groupId, topics: ['committed'] })
      const found = Number(topic!.partitions[0]!.offset)
      assert.ok(
        found >= acknowledged,
        `${groupId}: ${acknowledged} was acknowledged, ${found} is left`,
      )
    }
  }
  for (let kill = 0; kill < tier.kills; kill++) {
    const before = committers.map(one => one.acknowledged)
    await until(
      () => committers.every((one, i) => one.acknowledged > before[i]! + 3),
      'all groups commit',
    )
    await pause(random() * 300)
    const acknowledged = committers.map(one => one.acknowledged)
    await broker.kill9()
    broker = await startOttla(place)
    await until(async () => {
      await check()
      return true
    }, `after kill ${kill}: ${acknowledged}`)
  }
  await Promise.all(committers.map(one => one.finish()))
  await check()
  t.diagnostic(`${committers.map(one => one.acknowledged)} offsets were acknowledged`)
  await admin.disconnect()
  await broker.stop()
})

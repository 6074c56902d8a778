/**
 * Our client against Apache Kafka, and ours in the place of it: cut connections, broker restarts, leaders and coordinators that
 * move between three brokers, groups shared with Java members, transactions of others.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { Client } from '../../client/client.ts'
import { string } from '../../client/serializers.ts'
import { consumeUnder, createTopic, fillTopic, produceUnder } from '../client/fault-scenarios.ts'
import { tier } from '../tiers.ts'
import {
  adopt,
  freePort,
  KAFKA,
  missing,
  pause,
  runWell,
  type Server,
  startKafka,
  startOttla,
  temporaryDirectory,
} from './harness.ts'

const noKafka = missing('kafka')
const QUICK = {
  'group.consumer.min.heartbeat.interval.ms': '1000',
  'group.consumer.heartbeat.interval.ms': '1000',
}

async function until(isDone: () => boolean, what: string): Promise<void> {
  for (const deadline = performance.now() + 60_000; !isDone(); ) {
    if (performance.now() > deadline) throw new Error(`still not: ${what}`)
    await pause(20)
  }
}

/** Numbers in flight all the time: each is written once, in order, and a group reads it. */
class Traffic {
  readonly client: Client
  readonly written: number[][]
  readonly seen: number[][]
  private isOver = false
  private next = 0

  constructor(bootstrap: string, partitions: number) {
    this.client = new Client({ bootstrap, retryBackoffMs: 20, retryBackoffMaxMs: 200 })
    this.written = Array.from({ length: partitions }, () => [])
    this.seen = Array.from({ length: partitions }, () => [])
  }

  async run(topic: string, during: () => Promise<void>): Promise<void> {
    const { written, seen } = this
    const producer = this.client.producer()
    const consumer = this.client.consumer({
      groupId: `${topic}-g`,
      autoOffsetReset: 'earliest',
      value: string,
    })
    consumer.subscribe(topic)
    const reading = consumer.eachMessage(
      ({ partition, value }) => void seen[partition]!.push(Number(value)),
    )
    const sending = written.map(async (list, partition) => {
      while (!this.isOver) {
        const value = this.next++
        list.push(value)
        await producer.send({ topic, partition, value: `${value}` })
      }
    })
    await until(() => seen.every(list => list.length > 0), 'the first records are read')
    await during()
    this.isOver = true
    await Promise.all(sending)
    await producer.close()
    await until(
      () => seen.every((list, p) => new Set(list).size === written[p]!.length),
      'all is read',
    )
    await consumer.close()
    await reading
    const checker = this.client.consumer({ value: string })
    for (const [partition, list] of written.entries()) {
      checker.assign([{ topic, partition, offset: 'earliest' }])
      const log: number[] = []
      while (log.length < list.length) log.push(Number((await checker.next())!.value))
      assert.deepEqual(log, list, `partition ${partition}: each record once, in order`)
      assert.equal(checker.lag(topic, partition), 0)
    }
    await checker.close()
    console.log(`${topic}: ${this.next} records, read ${seen.flat().length} times`)
  }
}

for (const [name, start, skip] of [
  ['Ottla', startOttla, false],
  ['Kafka', startKafka, noKafka],
] as const) {
  describe(`one broker of ${name}`, { skip }, () => {
    let server: Server

    before(async () => {
      server = await start({ overrides: QUICK })
    })

    after(async () => {
      await server.stop()
    })

    test('connections are cut all over what clients receive', async () => {
      await createTopic(server.bootstrap, 'written')
      await fillTopic(server.bootstrap, 'read', 8)
      const { bytes } = await produceUnder(server.bootstrap, 'written', {})
      for (let atByte = 0; atByte < bytes; atByte += tier.cutStride) {
        await produceUnder(server.bootstrap, 'written', { atByte })
      }
      const read = await consumeUnder(server.bootstrap, 'read', 8, {})
      for (let atByte = 0; atByte < read.bytes; atByte += tier.cutStride) {
        await consumeUnder(server.bootstrap, 'read', 8, { atByte })
      }
      console.log(`${name}: ${bytes} and ${read.bytes} bytes, every ${tier.cutStride}th`)
    })

    test('a member by KIP-848 is cut here and there', async () => {
      const run = (faults: { atByte?: number }) =>
        consumeUnder(server.bootstrap, 'read', 8, faults, { groupProtocol: 'consumer' })
      const { bytes } = await run({})
      for (let atByte = 7; atByte < bytes; atByte += tier.cutStride * 10) await run({ atByte })
    })

    test('the broker is killed and comes back under its clients', async () => {
      await createTopic(server.bootstrap, 'restarts')
      await new Traffic(server.bootstrap, 2).run('restarts', async () => {
        await server.kill9()
        const { port, dataDir } = server
        server = await start({ overrides: QUICK, port, dataDir })
      })
    })

    for (const protocol of ['classic', 'consumer'] as const) {
      test(`a group is shared with a Java member (${protocol})`, { skip: noKafka }, async () => {
        const topic = `shared-${protocol}`
        const client = new Client({ bootstrap: server.bootstrap })
        const admin = client.admin()
        await admin.createTopics([{ name: topic, partitions: 4 }])
        admin.cluster.close()
        const ours = client.consumer({
          groupId: topic,
          autoOffsetReset: 'earliest',
          ...(protocol === 'consumer'
            ? { groupProtocol: 'consumer' as const }
            : { assignors: ['cooperative-sticky' as const], heartbeatIntervalMs: 200 }),
        })
        ours.subscribe(topic)
        const reading = ours.eachMessage(() => {})
        await until(() => ours.assignment.length === 4, 'all partitions are ours')
        const strategy =
          'partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor'
        const property = protocol === 'consumer' ? 'group.protocol=consumer' : strategy
        const java = adopt(
          spawn(
            KAFKA,
            [
              'console-consumer',
              '--bootstrap-server',
              server.bootstrap,
              '--topic',
              topic,
              '--group',
              topic,
              '--consumer-property',
              property,
            ],
            { stdio: 'ignore', env: { ...process.env, HEAP: '256m' } },
          ),
        )
        await until(() => ours.assignment.length === 2, 'the Java member has its half')
        await stop(java)
        await until(() => ours.assignment.length === 4, 'all partitions are ours again')
        await ours.close()
        await reading
      })
    }
  })
}

async function stop(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}

test('what transactions of others abort is not shown with read_committed', {
  skip: noKafka,
}, async () => {
  const server = await startKafka()
  await createTopic(server.bootstrap, 'tx')
  const kafka = new Kafka({ brokers: [server.bootstrap], logLevel: logLevel.NOTHING })
  const producer = kafka.producer({
    transactionalId: 'tx-1',
    idempotent: true,
    maxInFlightRequests: 1,
  })
  await producer.connect()
  for (const [value, isKept] of [
    ['a', true],
    ['b', false],
    ['c', true],
  ] as const) {
    const transaction = await producer.transaction()
    await transaction.send({ topic: 'tx', messages: [{ value, partition: 0 }] })
    await (isKept ? transaction.commit() : transaction.abort())
  }
  const open = await producer.transaction()
  await open.send({ topic: 'tx', messages: [{ value: 'd', partition: 0 }] })
  const client = new Client({ bootstrap: server.bootstrap })
  const read = async (isolation: 'read_committed' | 'read_uncommitted', count: number) => {
    const consumer = client.consumer({ value: string, isolation })
    consumer.assign([{ topic: 'tx', partition: 0, offset: 'earliest' }])
    const values: (string | null)[] = []
    while (values.length < count) values.push((await consumer.next())!.value)
    const lag = consumer.lag('tx', 0)
    await consumer.close()
    return { values, lag }
  }
  assert.deepEqual(await read('read_uncommitted', 4), { values: ['a', 'b', 'c', 'd'], lag: 0 })
  const committed = await read('read_committed', 2)
  assert.deepEqual(committed.values, ['a', 'c'])
  await open.commit()
  assert.deepEqual((await read('read_committed', 3)).values, ['a', 'c', 'd'])
  await producer.disconnect()
  await server.stop()
})

const tooLong = tier.name !== 'soak' && 'a minute and a half: in the soak'
test('leaders and coordinators move between three brokers', {
  skip: noKafka || tooLong,
}, async () => {
  const directory = join(temporaryDirectory('three'), 'kafka')
  const port = await freePort()
  const start = [
    'start',
    '--brokers',
    '3',
    '--port',
    `${port}`,
    '--dir',
    directory,
    '--heap',
    '320m',
  ]
  const settings = ['--set', 'min.insync.replicas=2', '--set', 'broker.session.timeout.ms=3000']
  await runWell(KAFKA, [...start, ...settings], { timeoutMs: 180_000 })
  const again: ChildProcess[] = []
  try {
    const bootstrap = [0, 1, 2].map(i => `127.0.0.1:${port + i}`).join()
    const client = new Client({ bootstrap })
    const admin = client.admin()
    await admin.createTopics([{ name: 'moves', partitions: 3, replicationFactor: 3 }])
    admin.cluster.close()
    await new Traffic(bootstrap, 3).run('moves', async () => {
      for (const [i, signal] of [
        [1, 'SIGTERM'],
        [2, 'SIGKILL'],
        [3, 'SIGTERM'],
      ] as const) {
        const pid = Number(readFileSync(join(directory, `${i}.pid`), 'utf8'))
        process.kill(pid, signal)
        while (isAlive(pid)) await pause(50)
        await pause(1500)
        const properties = join(directory, `${i}.properties`)
        const env = { ...process.env, HEAP: '320m' }
        again.push(
          adopt(spawn(KAFKA, ['run', 'kafka.Kafka', properties], { stdio: 'ignore', env })),
        )
        while (!(await accepts(port + i - 1))) await pause(50)
        await pause(3000)
      }
    })
  } finally {
    for (const child of again) child.kill('SIGKILL')
    await runWell(KAFKA, ['stop', '--dir', directory]).catch(() => {})
  }
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/**
 * Consumer groups with other people's clients: kcat, kafkajs and Kafka's own share partitions, lose members, and come back
 * after the broker's death where they were.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Consumer, Kafka, logLevel } from 'kafkajs'
import { Cluster } from '../../client/cluster.ts'
import type { ApiName, RequestInput, ResponseOf } from '../../protocol/apis.ts'
import { errorName } from '../../protocol/errors.ts'
import { systemIo } from '../../protocol/system-io.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import { groupTimes } from './group-topic.ts'
import {
  freePort,
  KAFKA,
  missing,
  pause,
  runWell,
  type Server,
  startOttla,
  subjectIsKafka,
  temporaryDirectory,
  until,
} from './harness.ts'

const noKcat = missing('kcat')
const noKafka = missing('kafka')
const RECORDS = 300

let server: Server

before(async () => {
  server = await startOttla({
    overrides: { 'num.partitions': '4', ...groupTimes('6000') },
  })
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

for (const protocol of ['classic', 'consumer'] as const) {
  test(`Kafka's consumer-perf and console-consumer read in a group, ${protocol}`, {
    skip: noKafka,
  }, async () => {
    const topic = `measured-${protocol}`
    await fill(topic)
    const where = ['--bootstrap-server', server.bootstrap, '--topic', topic]
    const how = ['--command-property', `group.protocol=${protocol}`, '--group', `perf-${protocol}`]
    const perf = ['consumer-perf', ...where, ...how, '--num-records', String(RECORDS)]
    assert.match((await runWell(KAFKA, perf)).toString(), new RegExp(`, ${RECORDS}, `))
    const property = ['--consumer-property', `group.protocol=${protocol}`]
    const read = ['--group', `console-${protocol}`, '--from-beginning', '--max-messages']
    const args = ['console-consumer', ...where, ...property, ...read]
    const first = await runWell(KAFKA, [...args, '100'])
    const rest = await runWell(KAFKA, [...args, '200'])
    // It also says that the property's flag is deprecated.
    const values = `${first}${rest}`.split('\n').filter(line => /^\d+$/.test(line))
    assert.deepEqual(numbers(values), ALL)
  })
}

test("Kafka's dump tool reads what groups have kept", { skip: noKafka }, async () => {
  await fill('dumped')
  const consumer = kafkajs().consumer({ groupId: 'dumpers' })
  await consumer.connect()
  await consumer.subscribe({ topics: ['dumped'], fromBeginning: true })
  let seen = 0
  await consumer.run({ eachMessage: async () => void seen++ })
  await until(() => seen === RECORDS, 'all records')
  await consumer.disconnect()
  const data = join(server.dataDir, 'data')
  const files = readdirSync(data)
    .filter(name => name.startsWith('__consumer_offsets-'))
    .map(name => join(data, name, '00000000000000000000.log'))
  const args = ['--offsets-decoder', '--print-data-log', '--files', files.join(',')]
  const text = (await runWell(KAFKA, ['dump-log', ...args])).toString()
  const ofGroup = text.split('\n').filter(line => line.includes('"group":"dumpers"'))
  assert.ok(ofGroup.some(line => line.includes('"subscription":{"topics":["dumped"]')))
  assert.ok(ofGroup.some(line => /"partition":[0-3]\}\} payload: .*"offset":\d+/.test(line)))
  assert.ok(
    ofGroup.some(line => line.includes('"members":[]')),
    'the group without members',
  )
  assert.ok(!/isvalid: false|Error/.test(text))
})

/** What a broker may answer while it comes back; anything else is a failure of the test. */
const COMING_BACK = ['COORDINATOR_LOAD_IN_PROGRESS', 'NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE']

/** A member that commits growing offsets through all deaths of the broker, in the one generation that it joined. */
class Committer {
  acknowledged = -1
  failure: unknown = null
  private readonly groupId: string
  private readonly cluster: Cluster
  private readonly running: Promise<void>
  private isOver = false
  private topicId = ''

  constructor(bootstrap: string, groupId: string) {
    this.groupId = groupId
    this.cluster = new Cluster(systemIo(), { bootstrap, requestTimeoutMs: 5000 })
    this.running = this.run().catch(error => {
      this.failure = error
    })
  }

  async finish(): Promise<void> {
    this.isOver = true
    await this.running
    this.cluster.close()
    if (this.failure !== null) throw this.failure
  }

  /** Ends it, whatever it is doing: the test has failed. */
  abandon(): void {
    this.isOver = true
    this.cluster.close()
  }

  private ask<N extends ApiName>(name: N, request: RequestInput<N>): Promise<ResponseOf<N>> {
    return this.cluster.run(name, { timeoutMs: 60_000 }, attempt =>
      this.cluster.request('any', name, request, attempt),
    )
  }

  /** The offset that the broker knows. */
  async committed(): Promise<number> {
    const { topicId } = this
    const topics = [{ name: 'committed', topicId, partitionIndexes: [0] }]
    for (;;) {
      const { groups } = await this.ask('OffsetFetch', {
        groups: [{ groupId: this.groupId, topics }],
      })
      const error = errorName(groups[0]!.errorCode)
      if (error === 'NONE') return groups[0]!.topics[0]!.partitions[0]!.committedOffset
      assert.ok(COMING_BACK.includes(error), error)
      await pause(10)
    }
  }

  private async run(): Promise<void> {
    const { groupId } = this
    const metadata = await this.ask('Metadata', { topics: [{ name: 'committed' }] })
    this.topicId = metadata.topics[0]!.topicId
    await this.ask('FindCoordinator', { coordinatorKeys: [groupId] })
    const joining = {
      groupId,
      sessionTimeoutMs: 1_800_000,
      groupInstanceId: `static-${groupId}`,
      memberId: '',
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
    }
    const { memberId, generationId } = await this.ask('JoinGroup', joining)
    const assignments = [{ memberId, assignment: Buffer.from('all') }]
    const protocol = { protocolType: 'consumer', protocolName: 'range' }
    await this.ask('SyncGroup', { groupId, memberId, generationId, ...protocol, assignments })
    for (let offset = 0; !this.isOver; ) {
      const partition = { partitionIndex: 0, committedOffset: offset, committedMetadata: '' }
      const { topics } = await this.ask('OffsetCommit', {
        groupId,
        memberId,
        generationIdOrMemberEpoch: generationId,
        topics: [{ name: 'committed', topicId: this.topicId, partitions: [partition] }],
      })
      const error = errorName(topics[0]!.partitions[0]!.errorCode)
      if (error === 'NONE') this.acknowledged = offset++
      else {
        assert.ok(COMING_BACK.includes(error), `${groupId} at ${offset}: ${error}`)
        await pause(10)
      }
    }
  }
}

test('SIGKILL under committing groups: committed offsets never go back, members stay', {
  skip: subjectIsKafka,
}, async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}, ${tier.kills} kills`)
  const random = seededRandom(seed)
  const place = { port: await freePort(), dataDir: temporaryDirectory('groups') }
  let broker = await startOttla(place)
  const admin = kafkajs(broker.bootstrap).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'committed' }] })
  await admin.disconnect()
  const committers = ['a', 'b', 'c'].map(name => new Committer(broker.bootstrap, name))
  const progress = () => committers.map(one => one.acknowledged)
  try {
    for (let kill = 0; kill < tier.kills; kill++) {
      const before = progress()
      const isGoingOn = () => committers.every((one, i) => one.acknowledged > before[i]! + 20)
      const hasFailed = () => committers.some(({ failure }) => failure !== null)
      await until(() => isGoingOn() || hasFailed(), 'all groups commit')
      await pause(random() * 300)
      await broker.kill9()
      const acknowledged = progress()
      broker = await startOttla(place)
      for (const [i, committer] of committers.entries()) {
        const found = await committer.committed()
        const was = acknowledged[i]!
        assert.ok(found >= was, `kill ${kill}: ${was} was acknowledged, ${found} is left`)
      }
    }
    await Promise.all(committers.map(one => one.finish()))
  } finally {
    for (const committer of committers) committer.abandon()
    t.diagnostic(`${progress()} offsets were acknowledged`)
    await broker.stop()
  }
})

/** What kafkajs's programs meet that cannot be compared side by side: chance, waits of seconds, what kafkajs does not have. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import kafkajs from 'kafkajs'
import { type EmbeddedBroker, startBroker } from '../../../broker/embedded.ts'
import {
  Client,
  CompressionTypes,
  Kafka,
  KafkaJSNotImplemented,
  logLevel,
} from '../../../client/index.ts'
import { legacyMurmur2, Partitioners } from '../../../client/kafkajs/partitioners.ts'
import { Pauses } from '../../../client/kafkajs/pauses.ts'
import type { Message } from '../../../client/kafkajs/shapes.ts'
import { tier } from '../../tiers.ts'

let broker: EmbeddedBroker
let kafka: Kafka

before(async () => {
  broker = await startBroker({ config: { 'num.partitions': 1 } })
  kafka = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING })
})
after(() => broker.stop())

const fast = { maxWaitTimeInMs: 20, heartbeatInterval: 100 }

async function produce(topic: string, values: readonly string[], options = {}): Promise<void> {
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: values.map(value => ({ value })), ...options })
  await producer.disconnect()
}

test('the legacy partitioner puts keys where kafkajs puts them', () => {
  const metadata = Array.from({ length: 13 }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 1,
    replicas: [1],
    isr: [1],
  }))
  const ours = Partitioners.LegacyPartitioner()
  const theirs = kafkajs.Partitioners.LegacyPartitioner()
  let state = 1
  for (let run = 0; run < 50 * tier.seeds; run++) {
    const key = Buffer.alloc(run % 41)
    for (let i = 0; i < key.length; i++) key[i] = (state = Math.imul(state, 48_271) >>> 1) & 0xff
    const args = { topic: 't', partitionMetadata: metadata, message: { key, value: null } }
    assert.equal(ours(args), theirs(args), `key ${key.toString('hex')}`)
  }
  assert.equal(typeof legacyMurmur2(Buffer.from('a')), 'number')
})

test('records without a key take turns', () => {
  const choose = Partitioners.DefaultPartitioner()
  const at = (leader: number, partitionId: number) => ({
    partitionErrorCode: 0,
    partitionId,
    leader,
    replicas: [],
    isr: [],
  })
  const partitionMetadata = [at(1, 0), at(-1, 1), at(2, 2)]
  const message: Message = { value: 'x' }
  const chosen = [1, 2, 3, 4].map(() => choose({ topic: 't', partitionMetadata, message }))
  assert.deepEqual(chosen, [0, 2, 0, 2], 'a partition without a leader is left out')
})

test('all codecs work, without being handed in', async () => {
  const { GZIP, Snappy, LZ4, ZSTD } = CompressionTypes
  const all = [GZIP, Snappy, LZ4, ZSTD]
  for (const compression of all) {
    await produce('codecs', [`with codec ${compression}`], { compression })
  }
  const consumer = kafka.consumer({ groupId: 'codecs', ...fast })
  await consumer.connect()
  await consumer.subscribe({ topic: 'codecs', fromBeginning: true })
  const values: string[] = []
  await new Promise<void>(resolve => {
    void consumer.run({
      eachMessage: async ({ message }) => {
        values.push(String(message.value))
        if (values.length === all.length) resolve()
      },
    })
  })
  await consumer.disconnect()
  assert.deepEqual(
    values,
    all.map(codec => `with codec ${codec}`),
  )
})

test('offsets of a group are set, reset and fetched', async () => {
  await produce('reset', ['a', 'b', 'c'])
  const admin = kafka.admin()
  await admin.connect()
  const group = { groupId: 'resetting', topic: 'reset' }
  const read = async () => {
    const [found] = await admin.fetchOffsets({ groupId: 'resetting', topics: ['reset'] })
    return found!.partitions[0]!.offset
  }
  assert.equal(await read(), '-1')
  await admin.setOffsets({ ...group, partitions: [{ partition: 0, offset: '1' }] })
  assert.equal(await read(), '1')
  await admin.resetOffsets(group)
  assert.equal(await read(), '3')
  await admin.resetOffsets({ ...group, earliest: true })
  assert.equal(await read(), '0')
  await admin.disconnect()
})

test('topics of one consumer begin where each subscription says', async () => {
  await produce('from-start', ['old'])
  await produce('from-now', ['old'])
  const consumer = kafka.consumer({ groupId: 'mixed', ...fast })
  await consumer.connect()
  await consumer.subscribe({ topic: 'from-start', fromBeginning: true })
  await consumer.subscribe({ topic: 'from-now' })
  const values: string[] = []
  let come: () => void
  const all = new Promise<void>(resolve => {
    come = resolve
  })
  await consumer.run({
    eachMessage: async ({ topic, message }) => {
      values.push(`${topic} ${message.value}`)
      if (values.length === 3) come()
    },
  })
  await produce('from-start', ['new'])
  await produce('from-now', ['new'])
  await all
  await consumer.disconnect()
  assert.deepEqual(values.sort(), ['from-now new', 'from-start new', 'from-start old'])
})

test('a slow handler of one partition does not hold up the others', async () => {
  const client = new Client({ bootstrap: broker.bootstrap })
  const admin = client.admin()
  await admin.createTopics([{ name: 'uneven', partitions: 2 }])
  admin.close()
  const producer = kafka.producer()
  await producer.connect()
  const consumer = kafka.consumer({ groupId: 'uneven', ...fast })
  await consumer.connect()
  await consumer.subscribe({ topic: 'uneven', fromBeginning: true })
  const order: string[] = []
  let release: () => void
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  let come: () => void
  const all = new Promise<void>(resolve => {
    come = resolve
  })
  await consumer.run({
    partitionsConsumedConcurrently: 2,
    eachMessage: async ({ partition, message }) => {
      if (partition === 0) await held
      order.push(`${partition} ${message.offset}`)
      // The other partition is through before the slow one may go on.
      if (order.length === 3) release()
      if (order.length === 6) come()
    },
  })
  for (let i = 0; i < 3; i++) {
    const messages = [0, 1].map(partition => ({ partition, value: `${i}` }))
    await producer.send({ topic: 'uneven', messages })
  }
  await all
  await consumer.disconnect()
  await producer.disconnect()
  assert.deepEqual(order, ['1 0', '1 1', '1 2', '0 0', '0 1', '0 2'])
})

test('an assigner of the application decides who gets what', async () => {
  const { AssignerProtocol } = kafkajs
  const asked: unknown[] = []
  const mine: kafkajs.PartitionAssigner = ({ cluster }) => ({
    name: 'Mine',
    version: 1,
    async assign({ members, topics }) {
      const partitions = cluster.findTopicPartitionMetadata(topics[0]!).map(p => p.partitionId)
      asked.push(
        AssignerProtocol.MemberMetadata.decode(members[0]!.memberMetadata)?.topics,
        partitions,
      )
      const assignment = { [topics[0]!]: [1] }
      const userData = Buffer.alloc(0)
      return members.map(({ memberId }) => ({
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({
          version: 1,
          assignment,
          userData,
        }),
      }))
    },
    protocol: ({ topics }) => ({
      name: 'Mine',
      metadata: AssignerProtocol.MemberMetadata.encode({
        version: 1,
        topics,
        userData: Buffer.alloc(0),
      }),
    }),
  })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'mine', numPartitions: 3 }] })
  await admin.disconnect()
  const consumer = kafka.consumer({ groupId: 'mine', ...fast, partitionAssigners: [mine as never] })
  const joined = new Promise(resolve => {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      resolve([payload.groupProtocol, payload.memberAssignment])
    })
  })
  await consumer.connect()
  await consumer.subscribe({ topic: 'mine' })
  await consumer.run({ eachMessage: async () => {} })
  assert.deepEqual(await joined, ['Mine', { mine: [1] }])
  assert.deepEqual(asked, [['mine'], [0, 1, 2]])
  await consumer.disconnect()
})

test('what kafkajs passes over or takes for what it is not is no error here', async () => {
  type Library = {
    readonly Kafka: new (config: never) => unknown
    readonly logLevel: { NOTHING: number }
  }
  // biome-ignore lint/suspicious/noExplicitAny: what is given here is what no type allows
  const loose = (library: unknown, config: object): any =>
    new (library as Library).Kafka(config as never)
  const read: unknown[] = []
  for (const [name, library] of [
    ['theirs', kafkajs],
    ['ours', { Kafka, logLevel }],
  ] as const) {
    const { NOTHING } = library.logLevel
    const brokers = [broker.bootstrap]
    const client = loose(library, { brokers, logLevel: NOTHING, bootstrap: 'x', retries: 'many' })
    const topic = `loose-${name}`
    const admin = client.admin({ timeoutMs: 5 })
    await admin.connect()
    const spec = { topic, numPartitions: '2', replicationFactor: 1, partitions: 7 }
    await admin.createTopics({ topics: [spec], waitForLeader: true })
    await admin.createPartitions({ topicPartitions: [{ topic, count: '3', brokers: [] }] })
    const producer = client.producer({ lingerMs: 5, idempotent: 0, allowAutoTopicCreation: 1 })
    await producer.connect()
    const message = { value: 'x', partition: '1', timestamp: null, timestampMs: 'never', vaule: 1 }
    await producer.send({ topic, messages: [message], linger: 5 })
    await producer.disconnect()
    const consumer = client.consumer({ groupId: topic, autoCommit: 'x', rebalance: 5, ...fast })
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: 1, from: 'x' })
    await new Promise<void>(resolve => {
      const eachMessage = async (given: { partition: number; message: { value: Buffer } }) => {
        read.push([name, given.partition, given.message.value.toString()])
        resolve()
      }
      consumer.run({ eachMessage, concurrency: 'x' })
    })
    await consumer.disconnect()
    await admin.disconnect()
  }
  assert.deepEqual(read, [
    ['theirs', 1, 'x'],
    ['ours', 1, 'x'],
  ])
})

test('a group may have members of kafkajs and of ours', async () => {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'both', numPartitions: 4 }] })
  await admin.disconnect()
  const theirs = new kafkajs.Kafka({ brokers: [broker.bootstrap], logLevel: 0 })
  const consumers = [kafka, theirs].map(one =>
    (one as kafkajs.Kafka).consumer({ groupId: 'both', ...fast }),
  )
  const shares = new Map<number, string>()
  let settle: () => void
  const settled = new Promise<void>(resolve => {
    settle = resolve
  })
  for (const [i, consumer] of consumers.entries()) {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      shares.set(i, String(payload.memberAssignment['both']))
      if (['0,2', '1,3'].includes(shares.get(0)!) && shares.get(1) !== shares.get(0)) {
        if (['0,2', '1,3'].includes(shares.get(1)!)) settle()
      }
    })
    await consumer.connect()
    await consumer.subscribe({ topic: 'both' })
    await consumer.run({ eachMessage: async () => {} })
  }
  await settled
  await Promise.all(consumers.map(consumer => consumer.disconnect()))
})

test('what is not supported says so', async () => {
  const named = { name: 'KafkaJSNotImplemented' }
  await assert.rejects(kafka.producer({ transactionalId: 't' }).connect(), named)
  await assert.rejects(
    kafka.producer({ transactionalId: 't' }).transaction(),
    KafkaJSNotImplemented,
  )
  const secure = new Kafka({ brokers: ['127.0.0.1:1'], ssl: true })
  await assert.rejects(secure.admin().connect(), /'ssl' is not supported yet/)
  await assert.rejects(kafka.admin().createAcls({ acl: [] }), named)
})

test('pauses of topics and of partitions', () => {
  const pauses = new Pauses()
  const at = (partition: number) => ({ topic: 't', partition })
  pauses.pause([{ topic: 't' }])
  assert.ok(pauses.isPaused(at(9)), 'also one that comes later')
  pauses.resume([{ topic: 't', partitions: [1] }])
  assert.ok(!pauses.isPaused(at(1)) && pauses.isPaused(at(2)))
  pauses.resume([{ topic: 't' }])
  pauses.pause([{ topic: 't', partitions: [2] }])
  assert.ok(pauses.isPaused(at(2)) && !pauses.isPaused(at(1)))
  assert.ok(!pauses.isPaused({ topic: 'u', partition: 2 }))
})

/**
 * Programs as users of kafkajs write them. Each is given the package, so that the same program runs on kafkajs and on ours, and
 * says what it finds through `print`. Nothing that they print may depend on time, or on which bytes come first.
 */
import type * as kafkajs from 'kafkajs'

type Package = Omit<typeof kafkajs, 'default'>
export type Program = (
  kafka: kafkajs.Kafka,
  print: (...words: unknown[]) => void,
  lib: Package,
) => Promise<void>

/** Fast enough for tests; the defaults wait 5 s for records. */
export const consumerConfig = (groupId: string): kafkajs.ConsumerConfig => ({
  groupId,
  maxWaitTimeInMs: 20,
  heartbeatInterval: 100,
  retry: { initialRetryTime: 5, retries: 3 },
})

/** A promise, and what resolves it when `count` things have come. */
export function arrivals(count: number): { readonly all: Promise<void>; readonly one: () => void } {
  let left = count
  let resolve: () => void
  const all = new Promise<void>(done => {
    resolve = done
  })
  return { all, one: () => void (--left === 0 && resolve()) }
}

export const text = (bytes: Buffer | null | undefined) => (bytes == null ? bytes : bytes.toString())

export async function fill(kafka: kafkajs.Kafka, topic: string, count: number, partitions = 1) {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }] })
  await admin.disconnect()
  const producer = kafka.producer()
  await producer.connect()
  const messages = Array.from({ length: count }, (_, i) => ({
    key: `k${i}`,
    value: `v${i}`,
    partition: i % partitions,
  }))
  await producer.send({ topic, messages })
  await producer.disconnect()
}

const readme: Program = async (kafka, print) => {
  const producer = kafka.producer()
  await producer.connect()
  const sent = await producer.send({
    topic: 'test-topic',
    messages: [
      { value: 'Hello KafkaJS user!' },
      { key: 'key', value: Buffer.from('bytes'), headers: { one: '1', many: ['a', 'b'] } },
      { key: 'gone', value: null, timestamp: '1700000000000' },
    ],
  })
  for (const { topicName, partition, errorCode, baseOffset, logAppendTime } of sent) {
    print(topicName, partition, errorCode, baseOffset, logAppendTime)
  }
  await producer.disconnect()

  const consumer = kafka.consumer(consumerConfig('test-group'))
  await consumer.connect()
  await consumer.subscribe({ topic: 'test-topic', fromBeginning: true })
  const { all, one } = arrivals(3)
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => {
      const { offset, key, value, headers, attributes, timestamp } = message
      print(topic, partition, offset, text(key), text(value), attributes)
      for (const [name, header] of Object.entries(headers ?? {})) {
        print(name, Array.isArray(header) ? header.map(String) : String(header))
      }
      if (value === null) print(timestamp, Object.keys(message).includes('isControlRecord'))
      one()
    },
  })
  await all
  await consumer.disconnect()
}

const partitioners: Program = async (kafka, print, { Partitioners }) => {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'spread', numPartitions: 7 }] })
  const custom = () => (args: kafkajs.PartitionerArgs) => {
    const { topic, partitionMetadata, message } = args
    print(
      topic,
      partitionMetadata.map(p => [p.partitionId, p.leader, p.replicas, p.isr].flat()),
    )
    return Number(message.key) % partitionMetadata.length
  }
  const { DefaultPartitioner, LegacyPartitioner, JavaCompatiblePartitioner } = Partitioners
  const all = [DefaultPartitioner, LegacyPartitioner, JavaCompatiblePartitioner, custom]
  for (const createPartitioner of all) {
    const producer = kafka.producer({ createPartitioner })
    await producer.connect()
    for (let i = 0; i < 12; i++) {
      const messages = [{ key: createPartitioner === custom ? `${i}` : `key ${i}`, value: 'x' }]
      const [sent] = await producer.send({ topic: 'spread', messages })
      print(i, sent!.partition, sent!.baseOffset)
    }
    await producer.disconnect()
  }
  await admin.disconnect()
}

const batches: Program = async (kafka, print) => {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'a' }, { topic: 'b', numPartitions: 2 }] })
  await admin.disconnect()
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  print(producer.isIdempotent())
  await producer.connect()
  const at = (partition: number, value: string) => ({ partition, value })
  const sent = await producer.sendBatch({
    topicMessages: [
      { topic: 'a', messages: [{ value: 'a0' }, { value: 'a1' }] },
      { topic: 'b', messages: [at(1, 'b0'), at(0, 'b1'), at(1, 'b2')] },
      { topic: 'a', messages: [{ value: 'a2' }] },
    ],
  })
  print(sent.map(s => `${s.topicName} ${s.partition} ${s.baseOffset}`).sort())
  await producer.disconnect()

  const consumer = kafka.consumer(consumerConfig('batches'))
  await consumer.connect()
  await consumer.subscribe({ topics: ['a', 'b'], fromBeginning: true })
  const { all, one } = arrivals(3)
  const seen: unknown[] = []
  await consumer.run({
    eachBatch: async payload => {
      const { batch, resolveOffset, heartbeat, isRunning, isStale } = payload
      const { topic, partition, highWatermark, messages } = batch
      const values = messages.map(m => text(m.value))
      const first = [batch.firstOffset(), batch.lastOffset(), batch.offsetLag()]
      const state = [batch.isEmpty(), isRunning(), isStale(), batch.offsetLagLow()]
      seen.push([topic, partition, highWatermark, ...values, ...first, ...state])
      resolveOffset(messages[0]!.offset)
      await heartbeat()
      const mine = payload.uncommittedOffsets().topics.find(t => t.topic === topic)
      seen.push([topic, partition, 'uncommitted', JSON.stringify(mine?.partitions.at(-1)?.offset)])
      await payload.commitOffsetsIfNecessary()
      one()
    },
  })
  await all
  await consumer.disconnect()
  for (const line of seen.map(String).sort()) print(line)
}

const topicsOfAdmin: Program = async (kafka, print) => {
  const admin = kafka.admin()
  await admin.connect()
  const topic = 'administered'
  print(await admin.createTopics({ topics: [{ topic, numPartitions: 2, replicationFactor: 1 }] }))
  print(await admin.createTopics({ topics: [{ topic }] }))
  print(await admin.listTopics())
  print((await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })) !== false)
  print(await admin.fetchTopicMetadata({ topics: [topic] }))
  print(await admin.fetchTopicOffsets(topic))
  const producer = kafka.producer()
  await producer.connect()
  const messages = ['1', '2', '3', '4'].map(value => ({ value, partition: 1, timestamp: value }))
  await producer.send({ topic, messages, acks: 1 })
  print(await producer.send({ topic, messages: [{ value: 'x', partition: 0 }], acks: 0 }))
  await producer.disconnect()
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '2' }] })
  print((await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 1))
  print(await admin.fetchTopicOffsetsByTimestamp(topic, 4))
  print(await admin.fetchTopicOffsetsByTimestamp(topic, 5_000))
  const { brokers, controller, clusterId } = await admin.describeCluster()
  print(
    brokers.map(({ nodeId, host }) => [nodeId, host]),
    controller,
    clusterId.length,
  )
  print(await admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] }))
  await admin.deleteTopics({ topics: [topic] })
  print(await admin.listTopics())
  await admin.disconnect()
}

const configs: Program = async (kafka, print, { ConfigResourceTypes, ConfigSource }) => {
  const admin = kafka.admin()
  await admin.connect()
  const name = 'configured'
  const configEntries = [{ name: 'retention.ms', value: '1000' }]
  await admin.createTopics({ topics: [{ topic: name, configEntries }] })
  const type = ConfigResourceTypes.TOPIC
  const configNames = ['retention.ms', 'cleanup.policy']
  const read = async (includeSynonyms: boolean) => {
    const resources = [{ type, name, configNames }]
    const found = await admin.describeConfigs({ resources, includeSynonyms })
    for (const entry of found.resources[0]!.configEntries) {
      const { configName, configValue, isDefault, configSource, isSensitive, readOnly } = entry
      print(configName, configValue, isDefault, configSource, isSensitive, readOnly)
      for (const synonym of entry.configSynonyms) print(synonym)
    }
  }
  await read(false)
  const changed = [{ name: 'cleanup.policy', value: 'compact' }]
  await admin.alterConfigs({
    validateOnly: true,
    resources: [{ type, name, configEntries: changed }],
  })
  await read(true)
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type, name, configEntries: changed }],
  })
  await read(false)
  print(ConfigSource.TOPIC_CONFIG, ConfigResourceTypes.BROKER)
  await admin.disconnect()
}

const groups: Program = async (kafka, print, { AssignerProtocol }) => {
  await fill(kafka, 'grouped', 6, 2)
  const consumer = kafka.consumer(consumerConfig('offsets'))
  const { all, one } = arrivals(6)
  await consumer.connect()
  await consumer.subscribe({ topic: 'grouped', fromBeginning: true })
  await consumer.run({ eachMessage: async () => one() })
  await all
  const described = await consumer.describeGroup()
  const { state, protocol, protocolType, members } = described
  const share = AssignerProtocol.MemberAssignment.decode(members[0]!.memberAssignment)
  const asked = AssignerProtocol.MemberMetadata.decode(members[0]!.memberMetadata)
  print(state, protocol, protocolType, members.length, share?.assignment, asked?.topics)
  const admin = kafka.admin()
  await admin.connect()
  const [group] = (await admin.describeGroups(['offsets'])).groups
  print(
    group!.state,
    group!.members.map(m => m.clientId),
  )
  const offsets = { groupId: 'offsets', topic: 'grouped' }
  const refused = admin.setOffsets({ ...offsets, partitions: [{ partition: 0, offset: '1' }] })
  print(await refused.catch((error: Error) => error.name))
  await consumer.disconnect()
  print(await admin.fetchOffsets({ groupId: 'offsets', topics: ['grouped'] }))
  const listed = (await admin.listGroups()).groups
  print(listed.map(({ groupId, protocolType }) => [groupId, protocolType]))
  print(await admin.deleteGroups(['offsets']))
  const failed = await admin.deleteGroups(['offsets']).catch((error: Error) => error)
  if (!('groups' in failed)) throw new Error('the group was deleted twice')
  const [{ groupId, error }] = failed.groups as [{ groupId: string; error: { type: string } }]
  print((failed as unknown as Error).name, groupId, error.type)
  await admin.disconnect()
}

const compression: Program = async (kafka, print, { CompressionTypes }) => {
  print(CompressionTypes)
  const producer = kafka.producer()
  await producer.connect()
  const messages = Array.from({ length: 50 }, (_, i) => ({ value: `message ${i} `.repeat(20) }))
  const [sent] = await producer.send({
    topic: 'squeezed',
    compression: CompressionTypes.GZIP,
    messages,
  })
  print(sent!.baseOffset)
  await producer.disconnect()
  const consumer = kafka.consumer(consumerConfig('compression'))
  await consumer.connect()
  await consumer.subscribe({ topic: 'squeezed', fromBeginning: true })
  const { all, one } = arrivals(50)
  await consumer.run({
    eachMessage: async ({ message }) => {
      print(message.offset, text(message.value)?.length)
      one()
    },
  })
  await all
  await consumer.disconnect()
}

const errors: Program = async (kafka, print, lib) => {
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      print(await work())
    } catch (error) {
      const { name, message, type, code, retriable } = error as LibError
      const isSaid = type === undefined && !/onnection|Retries/.test(name)
      print(name, isSaid ? message : '', type, code, retriable, error instanceof lib.KafkaJSError)
    }
  }
  const producer = kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 0 } })
  await attempt(() => producer.send({ topic: 't', messages: [{ value: 'x' }] }))
  await producer.connect()
  await attempt(() => producer.send({ topic: '', messages: [] }))
  await attempt(() => producer.send({ topic: 't', messages: [{ key: 'k' } as kafkajs.Message] }))
  await attempt(() => producer.send({ topic: 't' } as kafkajs.ProducerRecord))
  await attempt(() => producer.transaction())
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: 'e' })
  await attempt(async () => kafka.consumer({} as kafkajs.ConsumerConfig))
  await attempt(async () => consumer.seek({ topic: 't', partition: 0, offset: '0' }))
  await attempt(async () => consumer.pause([{ topic: 't' }]))
  await attempt(() => consumer.subscribe({} as kafkajs.ConsumerSubscribeTopics))
  await attempt(() => consumer.commitOffsets([{ topic: 't', partition: 0, offset: '-3' }]))
  const admin = kafka.admin({ retry: { retries: 0 } })
  await admin.connect()
  await attempt(() => admin.createTopics({ topics: [{ topic: 't' }, { topic: 't' }] }))
  await attempt(() => admin.createTopics({ topics: 7 as unknown as [] }))
  await attempt(() => admin.describeConfigs({ resources: [], includeSynonyms: false }))
  await attempt(() => admin.fetchTopicOffsets(''))
  const bad = admin.createTopics({ topics: [{ topic: 'bad name!' }] })
  const failed = await bad.catch((error: { name: string; errors: LibError[] }) => error)
  if (typeof failed === 'boolean') throw new Error('a bad name was taken')
  print(
    failed.name,
    failed.errors.map(({ name, type, code }) => [name, type, code]),
  )
  await admin.disconnect()
  const nowhere = new lib.Kafka({
    brokers: ['127.0.0.1:1'],
    logLevel: lib.logLevel.NOTHING,
    retry: { retries: 1, initialRetryTime: 5 },
  })
  await attempt(() => nowhere.producer().connect())
}
type LibError = Error & { type?: string; code?: number; retriable?: boolean }

const logging: Program = async (_kafka, print, { Kafka, logLevel }) => {
  const kafka = new Kafka({
    brokers: ['127.0.0.1:1'],
    logLevel: logLevel.WARN,
    logCreator:
      level =>
      ({ namespace, label, log }) =>
        print(level, namespace || '', label, log.message, log['extra'], log['logger']),
  })
  print(logLevel)
  kafka.logger().info('too low')
  kafka.logger().warn('said', { extra: 1 })
  kafka.logger().namespace('Mine', logLevel.INFO).info('mine')
  kafka.logger().setLogLevel(logLevel.DEBUG)
  kafka.logger().debug('now it is said')
  kafka.consumer({ groupId: 'g' }).logger().error('of the consumer')
}

export const programs: Readonly<Record<string, Program>> = {
  readme,
  partitioners,
  batches,
  'topics of the admin': topicsOfAdmin,
  configs,
  groups,
  compression,
  errors,
  logging,
}

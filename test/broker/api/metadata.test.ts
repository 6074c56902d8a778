import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metadata } from '../../../broker/api/metadata.ts'
import { ZERO_UUID } from '../../../protocol/buffer.ts'
import { errorName } from '../../../protocol/errors.ts'
import { UNKNOWN_OPERATIONS } from '../../../protocol/messages/metadata.ts'
import { CLUSTER_ID, testBroker, versionsOf } from '../harness.ts'

const UNKNOWN_ID = 'abcdefghijklmnopqrstuA'
const named = (...names: readonly string[]) => ({ topics: names.map(name => ({ name })) })
const shown = (topics: readonly { name: string | null; errorCode: number }[]) =>
  topics.map(({ name, errorCode }) => `${name} ${errorName(errorCode)}`).sort()

test('every version has the topic, its partitions and the broker', async () => {
  const { broker, call, createTopic } = await testBroker()
  await createTopic('a', 2)
  for (const version of versionsOf('Metadata')) {
    const response = await call({ Metadata: metadata }, named('a'), version)
    assert.deepEqual(response.brokers, [{ nodeId: 1, host: '127.0.0.1', port: 9092, rack: null }])
    assert.equal(response.clusterId, version >= 2 ? CLUSTER_ID : null)
    assert.equal(response.controllerId, version >= 1 ? 1 : -1)
    const [topic] = response.topics
    assert.equal(topic!.name, 'a')
    assert.equal(topic!.topicId, version >= 10 ? broker.image.topics.get('a')!.id : ZERO_UUID)
    assert.deepEqual(topic!.partitions[1], {
      errorCode: 0,
      partitionIndex: 1,
      leaderId: 1,
      leaderEpoch: version >= 7 ? 0 : -1,
      replicaNodes: [1],
      isrNodes: [1],
      offlineReplicas: [],
    })
  }
})

test('null asks for all topics; an empty list for none, except in version 0', async () => {
  const { call, createTopic } = await testBroker()
  await createTopic('a')
  await createTopic('b')
  const count = async (topics: [] | null, version: number) =>
    (await call({ Metadata: metadata }, { topics }, version)).topics.length
  assert.equal(await count([], 0), 2)
  assert.equal(await count([], 1), 0)
  assert.equal(await count(null, 1), 2)
  assert.equal(await count([], 13), 0)
  assert.equal(await count(null, 13), 2)
})

test('a topic that is auto-created is in the first answer', async () => {
  const { call } = await testBroker({ overrides: ['num.partitions=3'] })
  for (const version of [0, 3, 4, 13]) {
    const { topics } = await call({ Metadata: metadata }, named(`v${version}`), version)
    assert.deepEqual(shown(topics), [`v${version} NONE`])
    assert.equal(topics[0]!.partitions.length, 3)
    assert.equal(topics[0]!.partitions[0]!.leaderId, 1)
  }
})

test('clients that auto-create one topic at the same time all get it', async () => {
  const { call } = await testBroker()
  const answers = await Promise.all(
    [1, 2, 3].map(() => call({ Metadata: metadata }, named('new', 'new2'))),
  )
  for (const { topics } of answers) assert.deepEqual(shown(topics), ['new NONE', 'new2 NONE'])
})

test('nothing is created where the request, the broker or the name forbids it', async () => {
  const forbidding = { ...named('a'), allowAutoTopicCreation: false }
  const asked = await testBroker()
  const off = await testBroker({ overrides: ['auto.create.topics.enable=false'] })
  for (const [tested, request] of [
    [asked, forbidding],
    [off, named('a')],
  ] as const) {
    const { topics } = await tested.call({ Metadata: metadata }, request)
    assert.deepEqual(shown(topics), ['a UNKNOWN_TOPIC_OR_PARTITION'])
    assert.deepEqual(tested.counted, ['UNKNOWN_TOPIC_OR_PARTITION'])
    assert.equal(tested.broker.image.topics.size, 0)
  }
  await asked.createTopic('x.y')
  const request = named('no good', 'x_y', '__consumer_offsets', 'fine')
  const { topics } = await asked.call({ Metadata: metadata }, request)
  assert.deepEqual(shown(topics), [
    '__consumer_offsets UNKNOWN_TOPIC_OR_PARTITION',
    'fine NONE',
    'no good INVALID_TOPIC_EXCEPTION',
    'x_y INVALID_TOPIC_EXCEPTION',
  ])
})

test('a default that cannot be met is said, not hidden behind an unknown topic', async () => {
  const { call } = await testBroker({ overrides: ['default.replication.factor=3'] })
  const { topics } = await call({ Metadata: metadata }, named('a'))
  assert.deepEqual(shown(topics), ['a INVALID_REPLICATION_FACTOR'])
})

test('topics are found by id; an unknown id has no name in the answer', async () => {
  const { broker, call, createTopic } = await testBroker()
  await createTopic('a')
  const topicId = broker.image.topics.get('a')!.id
  const topics = [
    { name: null, topicId },
    { name: null, topicId: UNKNOWN_ID },
  ]
  const response = await call({ Metadata: metadata }, { topics }, 12)
  assert.deepEqual(shown(response.topics), ['a NONE', 'null UNKNOWN_TOPIC_ID'])
  assert.equal(response.topics[1]!.topicId, UNKNOWN_ID)
})

test('ids, and topics without a name, are refused before version 12', async () => {
  const { call } = await testBroker()
  for (const topic of [{ name: 'a', topicId: UNKNOWN_ID }, { name: null }]) {
    const response = await call({ Metadata: metadata }, { topics: [topic] }, 11)
    assert.equal(errorName(response.topics[0]!.errorCode), 'INVALID_REQUEST')
  }
})

test('a topic that is asked for twice is answered once', async () => {
  const { call } = await testBroker()
  const { topics } = await call({ Metadata: metadata }, named('a', 'a'))
  assert.equal(topics.length, 1)
})

test('authorized operations are there when they are asked for, as without an authorizer', async () => {
  const { call } = await testBroker()
  const request = {
    ...named('a'),
    includeClusterAuthorizedOperations: true,
    includeTopicAuthorizedOperations: true,
  }
  const asked = await call({ Metadata: metadata }, request, 10)
  assert.equal(asked.clusterAuthorizedOperations, 8096)
  assert.equal(asked.topics[0]!.topicAuthorizedOperations, 3576)
  const not = await call({ Metadata: metadata }, named('a'), 10)
  assert.equal(not.clusterAuthorizedOperations, UNKNOWN_OPERATIONS)
  assert.equal(not.topics[0]!.topicAuthorizedOperations, UNKNOWN_OPERATIONS)
})

test('a client is told the address that it came to, unless one is advertised', async () => {
  const { call } = await testBroker()
  const at = async (context: object) =>
    (await call({ Metadata: metadata }, named(), 13, context)).brokers.map(
      b => `${b.host}:${b.port}`,
    )
  assert.deepEqual(await at({ localAddress: '::ffff:10.1.2.3', localPort: 1234 }), [
    '10.1.2.3:1234',
  ])
  const advertised = { host: 'kafka.example', port: 19092 }
  const listener = { name: 'A', host: '0.0.0.0', port: 9092, advertised }
  assert.deepEqual(await at({ listener }), ['kafka.example:19092'])
})

test('a partition without a leader says so', async () => {
  const { call, store } = await testBroker()
  await store.commit([], [{ key: 't/a', value: JSON.stringify({ id: UNKNOWN_ID, partitions: 1 }) }])
  const { topics } = await call({ Metadata: metadata }, named('a'))
  const [partition] = topics[0]!.partitions
  assert.deepEqual(
    [errorName(partition!.errorCode), partition!.leaderId],
    ['LEADER_NOT_AVAILABLE', -1],
  )
})

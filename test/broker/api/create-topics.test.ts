import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTopics } from '../../../broker/api/create-topics.ts'
import type { RequestInput } from '../../../protocol/apis.ts'
import { ZERO_UUID } from '../../../protocol/buffer.ts'
import { errorName } from '../../../protocol/errors.ts'
import { testBroker, versionsOf } from '../harness.ts'

type Topic = RequestInput<'CreateTopics'>['topics'][number]
const topic = (name: string, rest: Partial<Topic> = {}): Topic => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
  ...rest,
})
const manual = (...partitions: readonly (readonly [number, readonly number[]])[]) => ({
  numPartitions: -1,
  replicationFactor: -1,
  assignments: partitions.map(([partitionIndex, brokerIds]) => ({ partitionIndex, brokerIds })),
})
const set = (name: string, value: string | null) => ({ configs: [{ name, value }] })

test('a topic is created with its partitions, settings and id, at every version', async () => {
  for (const version of versionsOf('CreateTopics')) {
    const { broker, call } = await testBroker()
    const topics = [topic('a', { numPartitions: 3, ...set('retention.ms', '1000') })]
    const response = await call({ CreateTopics: createTopics }, { topics }, version)
    const [answer] = response.topics
    const image = broker.image.topics.get('a')!
    assert.deepEqual([answer!.name, answer!.errorCode, answer!.errorMessage], ['a', 0, null])
    assert.equal(image.partitions.length, 3)
    assert.deepEqual(image.configs, { 'retention.ms': '1000' })
    assert.equal(answer!.topicId, version >= 7 ? image.id : ZERO_UUID)
    assert.deepEqual(
      [answer!.numPartitions, answer!.replicationFactor],
      version >= 5 ? [3, 1] : [-1, -1],
    )
    const shown = answer!.configs?.find(({ name }) => name === 'retention.ms')
    assert.equal(shown?.value, version >= 5 ? '1000' : undefined)
  }
})

test('-1 takes the defaults of the broker', async () => {
  const { call } = await testBroker({ overrides: ['num.partitions=4'] })
  const topics = [topic('a', { numPartitions: -1, replicationFactor: -1 })]
  const [answer] = (await call({ CreateTopics: createTopics }, { topics })).topics
  assert.deepEqual([answer!.numPartitions, answer!.replicationFactor], [4, 1])
})

test('partitions may be placed by hand', async () => {
  const { broker, call } = await testBroker()
  const topics = [topic('a', manual([1, [1]], [0, [1]]))]
  const [answer] = (await call({ CreateTopics: createTopics }, { topics })).topics
  assert.deepEqual([answer!.errorCode, answer!.numPartitions], [0, 2])
  assert.equal(broker.image.topics.get('a')!.partitions.length, 2)
})

test('what cannot be created is refused with the error and the words that tools show', async () => {
  const refused: readonly (readonly [Topic, string, string | RegExp])[] = [
    [topic('old'), 'TOPIC_ALREADY_EXISTS', "Topic 'old' already exists."],
    [topic('o_ld'), 'INVALID_TOPIC_EXCEPTION', "Topic 'o_ld' collides with existing topic: o.ld"],
    [topic(''), 'INVALID_TOPIC_EXCEPTION', /^Topic name is invalid: the empty string/],
    [topic('..'), 'INVALID_TOPIC_EXCEPTION', "Topic name is invalid: '..' is not allowed"],
    [topic('a b'), 'INVALID_TOPIC_EXCEPTION', /'a b' contains one or more characters other than/],
    [topic('x'.repeat(250)), 'INVALID_TOPIC_EXCEPTION', /longer than the max allowed length 249$/],
    [topic('__cluster_metadata'), 'INVALID_REQUEST', /__cluster_metadata is prohibited\.$/],
    [topic('n', { numPartitions: 0 }), 'INVALID_PARTITIONS', /^Number of partitions was set to/],
    [topic('n', { numPartitions: -2 }), 'INVALID_PARTITIONS', /invalid non-positive value\.$/],
    [topic('n', { replicationFactor: 0 }), 'INVALID_REPLICATION_FACTOR', /larger than 0, or -1/],
    [
      topic('n', { replicationFactor: 2 }),
      'INVALID_REPLICATION_FACTOR',
      /^Unable to replicate the partition 2 time/,
    ],
    [
      topic('n', { ...manual([0, [1]]), numPartitions: 1 }),
      'INVALID_REQUEST',
      /numPartitions was not set to -1\.$/,
    ],
    [
      topic('n', { ...manual([0, [1]]), replicationFactor: 1 }),
      'INVALID_REQUEST',
      /replication factor was not set to -1\.$/,
    ],
    [
      topic('n', manual([0, [1]], [0, [1]])),
      'INVALID_REPLICA_ASSIGNMENT',
      /^Found multiple manual .* partition 0$/,
    ],
    [topic('n', manual([0, []])), 'INVALID_REPLICA_ASSIGNMENT', /an empty replica list\.$/],
    [
      topic('n', manual([0, [2]])),
      'INVALID_REPLICA_ASSIGNMENT',
      /broker 2, but no such broker is registered\.$/,
    ],
    [
      topic('n', manual([0, [1, 1]])),
      'INVALID_REPLICA_ASSIGNMENT',
      /the broker 1 more than once\.$/,
    ],
    [topic('n', manual([0, [1]], [2, [1]])), 'INVALID_REPLICA_ASSIGNMENT', /consecutive 0-based/],
    [topic('n', set('nope', '1')), 'INVALID_CONFIG', 'Unknown topic config name: nope'],
    [topic('n', set('retention.ms', null)), 'INVALID_CONFIG', /^Null value not supported/],
    [topic('n', set('retention.ms', 'x')), 'INVALID_CONFIG', /^Invalid value x for configuration/],
  ]
  const { broker, call, counted, createTopic } = await testBroker()
  await createTopic('old')
  await createTopic('o.ld')
  for (const [asked, error, words] of refused) {
    counted.length = 0
    const [answer] = (await call({ CreateTopics: createTopics }, { topics: [asked] })).topics
    assert.equal(errorName(answer!.errorCode), error, asked.name)
    if (typeof words === 'string') assert.equal(answer!.errorMessage, words)
    else assert.match(answer!.errorMessage!, words)
    assert.deepEqual([answer!.topicId, answer!.numPartitions, counted], [ZERO_UUID, -1, [error]])
  }
  assert.equal(broker.image.topics.size, 2)
})

test('the longest name that is allowed is allowed', async () => {
  const { call } = await testBroker()
  const topics = [topic('x'.repeat(249))]
  const [answer] = (await call({ CreateTopics: createTopics }, { topics })).topics
  assert.equal(answer!.errorCode, 0)
})

test('a name that stands twice in a request is refused once and not created', async () => {
  const { broker, call } = await testBroker()
  const topics = [topic('a'), topic('b'), topic('a', { numPartitions: 2 })]
  const response = await call({ CreateTopics: createTopics }, { topics })
  const shown = response.topics.map(t => `${t.name} ${errorName(t.errorCode)} ${t.errorMessage}`)
  assert.deepEqual(shown.sort(), ['a INVALID_REQUEST Duplicate topic name.', 'b NONE null'])
  assert.deepEqual([...broker.image.topics.keys()], ['b'])
})

test('validateOnly says the same and creates nothing', async () => {
  const { broker, call } = await testBroker()
  const request = { topics: [topic('a'), topic('a b')], validateOnly: true }
  const response = await call({ CreateTopics: createTopics }, request)
  assert.deepEqual(
    response.topics.map(t => [errorName(t.errorCode), t.numPartitions]),
    [
      ['NONE', 1],
      ['INVALID_TOPIC_EXCEPTION', -1],
    ],
  )
  assert.equal(broker.image.topics.size, 0)
})

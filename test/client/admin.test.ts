/** Topics and settings through the client: what is asked of the broker, and what becomes of each of its answers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Admin } from '../../client/admin.ts'
import { Cluster } from '../../client/cluster.ts'
import { AnswerError, OptionError, PartialError } from '../../client/errors.ts'
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { MemoryIo, type Script, ScriptedBroker } from './memory-network.ts'

const ID = 'AAAAAAAAAAAAAAAAAAAAAQ'
const UNKNOWN = { errorCode: 3, partitions: [] }

function partition(partitionIndex: number, leaderId = 1) {
  return { errorCode: 0, partitionIndex, leaderId, replicaNodes: [1], isrNodes: [1] }
}

/** One broker; `topics` is what Metadata knows, by name: the leaders of the partitions. */
function setUp(script: Script, topics: Record<string, readonly number[]> = {}) {
  const io = new MemoryIo()
  const Metadata = (request: RequestOf<'Metadata'>): ResponseInput<'Metadata'> => ({
    brokers: [{ nodeId: 1, host: 'b', port: 9092 }],
    clusterId: 'c',
    controllerId: 1,
    topics: (request.topics?.map(({ name }) => name ?? '') ?? Object.keys(topics)).map(name => {
      const leaders = topics[name]
      if (leaders === undefined) return { ...UNKNOWN, name }
      const partitions = leaders.map((leader, index) => partition(index, leader))
      return { errorCode: 0, name, topicId: ID, partitions }
    }),
  })
  const broker = new ScriptedBroker(io, 'b', 9092, { Metadata, ...script })
  const admin = new Admin(new Cluster(io, { bootstrap: 'b:9092' }))
  const requests = <T>(name: string) =>
    broker.seen.filter(seen => seen.name === name).map(seen => seen.request as T)
  return { io, broker, admin, topics, requests }
}

function creation(outcomes: Record<string, number>, known: Record<string, readonly number[]>) {
  return (request: RequestOf<'CreateTopics'>): ResponseInput<'CreateTopics'> => ({
    topics: request.topics.map(({ name }) => {
      const errorCode = outcomes[name] ?? 0
      if (errorCode === 0 && !request.validateOnly) known[name] = [1]
      return { name, topicId: ID, errorCode, numPartitions: 1, replicationFactor: 1 }
    }),
  })
}

test('topics are created as asked; what is left out is for the broker to choose', async () => {
  const topics: Record<string, readonly number[]> = {}
  const { admin, requests } = setUp({ CreateTopics: creation({}, topics) }, topics)
  const created = await admin.createTopics([
    { name: 'a' },
    { name: 'b', partitions: 3, replicationFactor: 2, configs: { 'retention.ms': '1' } },
    { name: 'c', assignments: [[1, 2], [2]] },
  ])
  assert.deepEqual(created[0], { name: 'a', topicId: ID, partitions: 1, replicationFactor: 1 })
  const [request] = requests<RequestOf<'CreateTopics'>>('CreateTopics')
  assert.deepEqual(request?.topics, [
    { name: 'a', numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] },
    {
      name: 'b',
      numPartitions: 3,
      replicationFactor: 2,
      assignments: [],
      configs: [{ name: 'retention.ms', value: '1' }],
    },
    {
      name: 'c',
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [
        { partitionIndex: 0, brokerIds: [1, 2] },
        { partitionIndex: 1, brokerIds: [2] },
      ],
      configs: [],
    },
  ])
})

test('creating returns when every broker shows leaders for the topic', async () => {
  const topics: Record<string, readonly number[]> = {}
  const { io, admin } = setUp({ CreateTopics: creation({}, {}) }, topics)
  let isDone = false
  const call = admin.createTopics([{ name: 'a' }]).then(() => {
    isDone = true
  })
  await io.elapse(500)
  topics['a'] = [-1]
  await io.elapse(500)
  assert.equal(isDone, false)
  topics['a'] = [1]
  await io.settle(call)
})

test('a topic that never shows up everywhere does not make its creation fail', async () => {
  const { io, admin } = setUp({ CreateTopics: creation({}, {}) })
  assert.equal((await io.settle(admin.createTopics([{ name: 'a' }]))).length, 1)
})

test('one thing that fails is thrown as itself, some of several as a PartialError', async () => {
  const topics: Record<string, readonly number[]> = {}
  const { admin } = setUp({ CreateTopics: creation({ a: 36 }, topics) }, topics)
  const error = await admin.createTopics([{ name: 'a' }]).catch((reason: unknown) => reason)
  assert(error instanceof AnswerError)
  assert.deepEqual([error.error, error.topic], ['TOPIC_ALREADY_EXISTS', 'a'])
  assert.equal(error.broker, 'broker 1 at b:9092')
  const some = await admin
    .createTopics([{ name: 'a' }, { name: 'b' }])
    .catch((reason: unknown) => reason)
  assert(some instanceof PartialError)
  assert.deepEqual(
    some.failures.map(({ topic }) => topic),
    ['a'],
  )
  assert.equal(some.succeeded.length, 1)
})

test('only what failed in a way that passes is asked for again', async () => {
  const topics: Record<string, readonly number[]> = {}
  const outcomes: Record<string, number> = { b: 41 }
  const answer = creation(outcomes, topics)
  const { io, admin, requests } = setUp(
    {
      CreateTopics(request) {
        const answered = answer(request)
        delete outcomes['b']
        return answered
      },
    },
    topics,
  )
  const created = await io.settle(admin.createTopics([{ name: 'a' }, { name: 'b' }]))
  assert.deepEqual(
    created.map(({ name }) => name),
    ['a', 'b'],
  )
  const asked = requests<RequestOf<'CreateTopics'>>('CreateTopics')
  assert.deepEqual(
    asked.map(request => request.topics.map(({ name }) => name)),
    [['a', 'b'], ['b']],
  )
})

test('a topic that exists after a lost answer is reported with that suspicion', async () => {
  let tries = 0
  const { io, admin } = setUp({
    CreateTopics: () =>
      tries++ === 0 ? 'close' : { topics: [{ name: 'a', errorCode: 36, errorMessage: 'exists' }] },
  })
  const call = admin.createTopics([{ name: 'a' }])
  await assert.rejects(io.settle(call), /an earlier attempt, whose answer was lost, may have done/)
})

test('what the broker leaves out of its answer is a failure', async () => {
  const { admin } = setUp({ CreateTopics: () => ({ topics: [] }) })
  await assert.rejects(admin.createTopics([{ name: 'a' }]), /did not say what became of it/)
})

test('topics are deleted by name and by id, by names alone on an old broker', async () => {
  const gone = { errorCode: 0, topicId: ID }
  const { broker, admin, requests } = setUp({
    DeleteTopics: (_, version) => ({
      responses:
        version < 6
          ? [{ name: 'a', errorCode: 0 }]
          : [
              { ...gone, name: 'a' },
              { ...gone, name: 'b' },
            ],
    }),
  })
  const deleted = await admin.deleteTopics(['a', { topicId: ID }])
  assert.deepEqual(deleted, ['a', { topicId: ID }])
  const old = setUp(broker.script)
  old.broker.ranges = { DeleteTopics: [1, 5] }
  assert.deepEqual(await old.admin.deleteTopics(['a']), ['a'])
  assert.deepEqual(old.requests<RequestOf<'DeleteTopics'>>('DeleteTopics')[0]?.topicNames, ['a'])
  await assert.rejects(old.admin.deleteTopics([{ topicId: ID }]), /cannot say this/)
  const [request] = requests<RequestOf<'DeleteTopics'>>('DeleteTopics')
  assert.deepEqual(request?.topics[1], { name: null, topicId: ID })
})

test('describing never creates a topic, and one that does not exist is an error at once', async () => {
  const { io, admin, requests } = setUp({}, { a: [1, 1] })
  const [topic] = await admin.describeTopics(['a'])
  assert.deepEqual([topic?.name, topic?.topicId, topic?.partitions.length], ['a', ID, 2])
  await assert.rejects(admin.describeTopics(['nope']), /topic 'nope': there is no such topic/)
  assert.equal(io.pausesMs.length, 0)
  const asked = requests<RequestOf<'Metadata'>>('Metadata')
  assert(asked.every(request => !request.allowAutoTopicCreation))
  assert.deepEqual(await admin.listTopics(), [
    { name: 'a', topicId: ID, isInternal: false, partitions: 2, replicationFactor: 1 },
  ])
})

test("a broker's own settings are asked of that broker", async () => {
  const { admin, requests } = setUp({
    DescribeConfigs: request => ({
      results: request.resources.map(resource => ({ ...resource, errorCode: 0, configs: [] })),
    }),
    IncrementalAlterConfigs: request => ({
      responses: request.resources.map(resource => ({ ...resource, errorCode: 0 })),
    }),
  })
  const resources = [
    { type: 'topic', name: 'a' },
    { type: 'broker', name: '1' },
  ] as const
  const described = await admin.describeConfigs(resources)
  assert.deepEqual(described, [
    { type: 'topic', name: 'a', configs: [] },
    { type: 'broker', name: '1', configs: [] },
  ])
  assert.equal(requests('DescribeConfigs').length, 2)
  await assert.rejects(admin.describeConfigs([{ type: 'broker', name: 'x' }]), OptionError)
  const change = { ...resources[0], set: { k: 'v' }, unset: ['u'] }
  assert.deepEqual(await admin.incrementalAlterConfigs([change]), [resources[0]])
  const [request] = requests<RequestOf<'IncrementalAlterConfigs'>>('IncrementalAlterConfigs')
  assert.deepEqual(request?.resources[0]?.configs, [
    { name: 'k', configOperation: 0, value: 'v' },
    { name: 'u', configOperation: 1, value: null },
  ])
})

test('partitions grow, and the call returns when they are there', async () => {
  const topics = { a: [1] }
  const { admin, requests } = setUp(
    {
      CreatePartitions: request => {
        topics.a = [1, 1, 1]
        return { results: request.topics.map(({ name }) => ({ name, errorCode: 0 })) }
      },
    },
    topics,
  )
  assert.deepEqual(await admin.createPartitions([{ topic: 'a', count: 3 }]), ['a'])
  const [request] = requests<RequestOf<'CreatePartitions'>>('CreatePartitions')
  assert.deepEqual(request?.topics, [{ name: 'a', count: 3, assignments: null }])
})

test('offsets come in the order asked, each end in a request of its own, failures beside them', async () => {
  const { io, admin, requests } = setUp(
    {
      ListOffsets: request => ({
        topics: request.topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex, timestamp }) => ({
            partitionIndex,
            errorCode: partitionIndex === 1 ? 56 : 0,
            offset: timestamp === -2 ? 5 : 9,
          })),
        })),
      }),
    },
    { a: [1, 1, -1] },
  )
  const queries = [
    { topic: 'a', partition: 0, at: 'latest' },
    { topic: 'a', partition: 0, at: 'earliest' },
    { topic: 'a', partition: 1, at: 'latest' },
    { topic: 'a', partition: 2, at: 'latest' },
    { topic: 'nope', partition: 0, at: 'latest' },
  ] as const
  const answers = await io.settle(admin.listOffsets(queries, { timeoutMs: 1_000 }))
  assert.deepEqual(
    answers.map(({ offset, error }) => [offset, (error as AnswerError | null)?.error ?? null]),
    [
      [9, null],
      [5, null],
      [-1, 'KAFKA_STORAGE_ERROR'],
      [-1, 'LEADER_NOT_AVAILABLE'],
      [-1, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ],
  )
  const [first, second] = requests<RequestOf<'ListOffsets'>>('ListOffsets')
  assert.equal(first?.topics[0]?.partitions[0]?.timestamp, -1)
  assert.equal(second?.topics[0]?.partitions[0]?.timestamp, -2)
})

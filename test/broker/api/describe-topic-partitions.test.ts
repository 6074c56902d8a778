import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeTopicPartitions } from '../../../broker/api/describe-topic-partitions.ts'
import type { RequestInput, ResponseOf } from '../../../protocol/apis.ts'
import { errorName } from '../../../protocol/errors.ts'
import { testBroker } from '../harness.ts'

type Request = RequestInput<'DescribeTopicPartitions'>
const named = (...names: readonly string[]) => ({ topics: names.map(name => ({ name })) })

async function three(overrides: readonly string[] = []) {
  const { call, createTopic } = await testBroker({ overrides })
  await createTopic('c', 2)
  await createTopic('a', 3)
  await createTopic('b', 1)
  return async (request: Request) =>
    shown(await call({ DescribeTopicPartitions: describeTopicPartitions }, request))
}

/** `a 0 1, b 0 > c/1`: topics with their partitions, or their error, and the cursor. */
function shown({ topics, nextCursor }: ResponseOf<'DescribeTopicPartitions'>): string {
  const list = topics.map(({ name, errorCode, partitions }) =>
    [
      name,
      ...(errorCode === 0 ? partitions.map(p => p.partitionIndex) : [errorName(errorCode)]),
    ].join(' '),
  )
  const cursor =
    nextCursor === null ? '' : ` > ${nextCursor.topicName}/${nextCursor.partitionIndex}`
  return list.join(', ') + cursor
}

test('no topics asks for all, in order of their names', async () => {
  const ask = await three()
  assert.equal(await ask(named()), 'a 0 1 2, b 0, c 0 1')
})

test('topics that are asked for come once, in order, unknown ones with their error', async () => {
  const ask = await three()
  assert.equal(
    await ask(named('c', 'no good', 'none', 'c')),
    'c 0 1, no good INVALID_TOPIC_EXCEPTION, none UNKNOWN_TOPIC_OR_PARTITION',
  )
})

test('pages have as many partitions as fit, and the cursor leads through all of them', async () => {
  const ask = await three()
  const page = (topicName: string, partitionIndex: number) =>
    ask({ ...named(), responsePartitionLimit: 2, cursor: { topicName, partitionIndex } })
  assert.equal(await ask({ ...named(), responsePartitionLimit: 2 }), 'a 0 1 > a/2')
  assert.equal(await page('a', 2), 'a 2, b 0 > c/0')
  assert.equal(await page('c', 0), 'c 0 1')
  assert.equal(await page('c', 2), 'c')
  assert.equal(await ask({ ...named(), responsePartitionLimit: 6 }), 'a 0 1 2, b 0, c 0 1')
  assert.equal(await ask({ ...named(), responsePartitionLimit: 3 }), 'a 0 1 2 > b/0')
})

test('the cursor of a topic that is gone goes on with the next one', async () => {
  const ask = await three()
  const cursor = { topicName: 'aa', partitionIndex: 1 }
  assert.equal(await ask({ ...named(), cursor }), 'b 0, c 0 1')
})

test('a page is never larger than the broker allows, and never empty', async () => {
  const ask = await three(['max.request.partition.size.limit=1'])
  assert.equal(await ask({ ...named(), responsePartitionLimit: 100 }), 'a 0 > a/1')
  assert.equal(await ask({ ...named(), responsePartitionLimit: 0 }), 'a 0 > a/1')
})

test('a cursor that does not fit the request is refused for every topic', async () => {
  const ask = await three()
  const refused = 'a INVALID_REQUEST, b INVALID_REQUEST'
  const at = (topicName: string, partitionIndex: number) =>
    ask({ ...named('a', 'b'), cursor: { topicName, partitionIndex } })
  assert.equal(await at('zzz', 0), refused)
  assert.equal(await at('a', -1), refused)
  assert.equal(await at('b', 0), 'b 0')
})

test('replicas, leader and operations are there', async () => {
  const { call, createTopic } = await testBroker()
  await createTopic('a')
  const { topics } = await call({ DescribeTopicPartitions: describeTopicPartitions }, named('a'))
  assert.equal(topics[0]!.topicAuthorizedOperations, 3576)
  assert.deepEqual(topics[0]!.partitions[0], {
    errorCode: 0,
    partitionIndex: 0,
    leaderId: 1,
    leaderEpoch: 0,
    replicaNodes: [1],
    isrNodes: [1],
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    offlineReplicas: [],
  })
})

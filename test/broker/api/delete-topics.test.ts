import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deleteTopics } from '../../../broker/api/delete-topics.ts'
import { ZERO_UUID } from '../../../protocol/buffer.ts'
import { errorName } from '../../../protocol/errors.ts'
import { type TestBroker, testBroker, versionsOf } from '../harness.ts'

const UNKNOWN_ID = 'abcdefghijklmnopqrstuA'

function remove(
  { call }: TestBroker,
  topics: readonly { name?: string | null; topicId?: string }[],
) {
  return call({ DeleteTopics: deleteTopics }, { topics, timeoutMs: 1000 })
}

test('topics are deleted by name at every version', async () => {
  for (const version of versionsOf('DeleteTopics')) {
    const tested = await testBroker()
    await tested.createTopic('a', 2)
    await tested.createTopic('b')
    const { id } = tested.broker.image.topics.get('a')!
    const names = version >= 6 ? { topics: [{ name: 'a' }] } : { topicNames: ['a'] }
    const request = { ...names, timeoutMs: 1000 }
    const { responses } = await tested.call({ DeleteTopics: deleteTopics }, request, version)
    assert.deepEqual(responses, [
      { name: 'a', topicId: version >= 6 ? id : ZERO_UUID, errorCode: 0, errorMessage: null },
    ])
    assert.deepEqual(tested.seen.at(-1), ['b'])
  }
})

test('topics are deleted by id, and answered with their name', async () => {
  const tested = await testBroker()
  await tested.createTopic('a')
  const topicId = tested.broker.image.topics.get('a')!.id
  const { responses } = await remove(tested, [{ topicId }])
  assert.deepEqual([responses[0]!.name, responses[0]!.errorCode], ['a', 0])
  assert.equal(tested.broker.image.topics.size, 0)
})

test('what does not exist, or is asked for in a contradictory way, is refused in words', async () => {
  const tested = await testBroker()
  await tested.createTopic('a')
  const { id } = tested.broker.image.topics.get('a')!
  const refused = async (...topics: readonly { name?: string | null; topicId?: string }[]) =>
    (await remove(tested, topics)).responses.map(
      ({ errorCode, errorMessage }) => `${errorName(errorCode)}: ${errorMessage}`,
    )
  assert.deepEqual(await refused({ name: 'none' }), [
    'UNKNOWN_TOPIC_OR_PARTITION: This server does not host this topic-partition.',
  ])
  assert.deepEqual(await refused({ topicId: UNKNOWN_ID }), [
    'UNKNOWN_TOPIC_ID: This server does not host this topic ID.',
  ])
  assert.deepEqual(await refused({}), [
    'INVALID_REQUEST: Neither topic name nor id were specified.',
  ])
  assert.deepEqual(await refused({ name: 'a', topicId: UNKNOWN_ID }), [
    'INVALID_REQUEST: You may not specify both topic name and topic id.',
  ])
  assert.deepEqual(await refused({ name: 'a' }, { name: 'a' }), [
    'INVALID_REQUEST: Duplicate topic name.',
  ])
  assert.deepEqual(await refused({ topicId: id }, { topicId: id }), [
    'INVALID_REQUEST: Duplicate topic id.',
  ])
  const both = await refused({ name: 'a' }, { topicId: id })
  assert.match(both[0]!, /^INVALID_REQUEST: The provided topic name maps to an ID/)
  assert.equal(both[1], 'NONE: null')
})

test('one that cannot be deleted does not stop the others', async () => {
  const tested = await testBroker()
  await tested.createTopic('a')
  const { responses } = await remove(tested, [{ name: 'none' }, { name: 'a' }])
  assert.deepEqual(responses.map(({ errorCode }) => errorName(errorCode)).sort(), [
    'NONE',
    'UNKNOWN_TOPIC_OR_PARTITION',
  ])
})

test('delete.topic.enable=false refuses, with an error that old clients know', async () => {
  const tested = await testBroker({ overrides: ['delete.topic.enable=false'] })
  await tested.createTopic('a')
  for (const [version, error] of [
    [2, 'INVALID_REQUEST'],
    [3, 'TOPIC_DELETION_DISABLED'],
  ] as const) {
    const request = { topicNames: ['a'], timeoutMs: 1000 }
    const { responses } = await tested.call({ DeleteTopics: deleteTopics }, request, version)
    assert.equal(errorName(responses[0]!.errorCode), error)
  }
  assert.equal(tested.broker.image.topics.size, 1)
})

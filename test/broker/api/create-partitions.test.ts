import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPartitions } from '../../../broker/api/create-partitions.ts'
import { errorName } from '../../../protocol/errors.ts'
import { testBroker, versionsOf } from '../harness.ts'

interface Asked {
  readonly name: string
  readonly count: number
  readonly assignments: readonly { readonly brokerIds: readonly number[] }[] | null
}
const ask = (name: string, count: number, ...brokers: readonly (readonly number[])[]): Asked => ({
  name,
  count,
  assignments: brokers.length === 0 ? null : brokers.map(brokerIds => ({ brokerIds })),
})
const request = (...topics: readonly Asked[]) => ({ topics, timeoutMs: 1000, validateOnly: false })

test('partitions are added at every version, and the old ones stay as they are', async () => {
  for (const version of versionsOf('CreatePartitions')) {
    const { broker, call, createTopic } = await testBroker()
    await createTopic('a', 1)
    const before = broker.image.topics.get('a')!
    const response = await call(
      { CreatePartitions: createPartitions },
      request(ask('a', 3)),
      version,
    )
    assert.deepEqual(response.results, [{ name: 'a', errorCode: 0, errorMessage: null }])
    const after = broker.image.topics.get('a')!
    assert.deepEqual([after.id, after.partitions.length], [before.id, 3])
    assert.deepEqual(after.partitions[0], before.partitions[0])
  }
})

test('new partitions may be placed by hand', async () => {
  const { broker, call, createTopic } = await testBroker()
  await createTopic('a')
  await call({ CreatePartitions: createPartitions }, request(ask('a', 3, [1], [1])))
  assert.equal(broker.image.topics.get('a')!.partitions.length, 3)
})

test('what cannot be is refused with the words that tools show', async () => {
  const { broker, call, createTopic } = await testBroker()
  await createTopic('a', 2)
  const refused = async (...topics: readonly Asked[]) => {
    const { results } = await call({ CreatePartitions: createPartitions }, request(...topics))
    return results.map(r => `${errorName(r.errorCode)}: ${r.errorMessage}`)
  }
  assert.deepEqual(await refused(ask('none', 2)), ['UNKNOWN_TOPIC_OR_PARTITION: null'])
  assert.deepEqual(await refused(ask('a', 2)), [
    'INVALID_PARTITIONS: Topic already has 2 partition(s).',
  ])
  assert.deepEqual(await refused(ask('a', 1)), [
    'INVALID_PARTITIONS: The topic a currently has 2 partition(s); 1 would not be an increase.',
  ])
  assert.deepEqual(await refused(ask('a', 4, [1])), [
    'INVALID_REPLICA_ASSIGNMENT: Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.',
  ])
  assert.match((await refused(ask('a', 3, [5])))[0]!, /no such broker is registered/)
  assert.match((await refused(ask('a', 3, [1, 1])))[0]!, /more than once/)
  assert.match((await refused(ask('a', 20_000)))[0]!, /^POLICY_VIOLATION/)
  assert.deepEqual(await refused(ask('a', 4), ask('a', 5)), [
    'INVALID_REQUEST: Duplicate topic name.',
  ])
  assert.equal(broker.image.topics.get('a')!.partitions.length, 2)
})

test('validateOnly adds nothing', async () => {
  const { broker, call, createTopic } = await testBroker()
  await createTopic('a')
  const asked = { ...request(ask('a', 2)), validateOnly: true }
  const { results } = await call({ CreatePartitions: createPartitions }, asked)
  assert.equal(results[0]!.errorCode, 0)
  assert.equal(broker.image.topics.get('a')!.partitions.length, 1)
})

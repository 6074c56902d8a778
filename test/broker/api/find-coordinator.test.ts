/** FindCoordinator: groups are found here, and make the offsets topic; other kinds of coordinators are not there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName, errors } from '../../../protocol/errors.ts'
import { versionsOf } from '../harness.ts'
import { startHost } from '../host.ts'

test('the first group that is looked for makes the offsets topic; every version finds this broker', async () => {
  const host = await startHost({ overrides: ['offsets.topic.num.partitions=7'] })
  const client = host.connect()
  assert.equal(host.broker.image.topics.has('__consumer_offsets'), false)
  for (const version of versionsOf('FindCoordinator')) {
    const request = version < 4 ? { key: 'g' } : { coordinatorKeys: ['g', 'h'] }
    const response = await client.call('FindCoordinator', version, request)
    const answers = version < 4 ? [response] : response.coordinators
    assert.equal(answers.length, version < 4 ? 1 : 2)
    for (const { errorCode, nodeId, host: name, port } of answers) {
      assert.deepEqual([errorName(errorCode), nodeId, name, port], ['NONE', 1, '127.0.0.1', 9092])
    }
  }
  const topic = host.broker.image.topics.get('__consumer_offsets')!
  assert.equal(topic.partitions.length, 7)
  assert.equal(topic.configs['cleanup.policy'], 'compact')
  assert.equal(topic.configs['segment.bytes'], '104857600')
  await host.stop()
  assert.deepEqual(host.loggedErrors, [])
})

test('two clients that look at once make one topic', async () => {
  const host = await startHost()
  const [one, two] = [host.connect(), host.connect()]
  const answers = await Promise.all(
    [one, two].map(client => client.call('FindCoordinator', 2, { key: 'g', keyType: 0 })),
  )
  assert.deepEqual(
    answers.map(({ errorCode }) => errorName(errorCode)),
    ['NONE', 'NONE'],
  )
  assert.equal(host.broker.image.topics.get('__consumer_offsets')!.partitions.length, 50)
  await host.stop()
})

test('more replicas than brokers: clients are told to wait, the log how many are missing', async () => {
  const host = await startHost({ overrides: ['offsets.topic.replication.factor=3'] })
  const found = await host.connect().call('FindCoordinator', 2, { key: 'g', keyType: 0 })
  assert.equal(errorName(found.errorCode), 'COORDINATOR_NOT_AVAILABLE')
  assert.match(found.errorMessage!, /needs 3 brokers \(offsets\.topic\.replication\.factor\)/)
  const line = host.logger.lines.find(({ event }) => event === 'offsets topic not created')
  assert.deepEqual([line?.fields['replicationFactor'], line?.fields['brokers']], [3, 1])
  await host.stop()
})

test('transactions and share groups have no coordinators, in words and without a call to retry', async () => {
  const host = await startHost()
  const client = host.connect()
  const words = async (keyType: number) => {
    const request = { keyType, coordinatorKeys: ['k'] }
    const { coordinators } = await client.call('FindCoordinator', 6, request)
    const { errorCode, errorMessage, nodeId } = coordinators[0]!
    assert.equal(nodeId, -1)
    assert.equal(errors[errorName(errorCode)].retriable, false)
    return `${errorName(errorCode)}: ${errorMessage}`
  }
  assert.match(await words(1), /^UNSUPPORTED_VERSION: .*transactional\.id/)
  assert.match(await words(2), /^UNSUPPORTED_VERSION: .*share groups/)
  assert.match(await words(9), /^INVALID_REQUEST: /)
  assert.match(await words(-1), /^INVALID_REQUEST: /)
  const none = await client.call('FindCoordinator', 6, { keyType: 0, coordinatorKeys: [] })
  assert.deepEqual(none.coordinators, [])
  await host.stop()
})

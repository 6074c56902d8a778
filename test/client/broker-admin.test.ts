/** Administration besides topics and settings: the cluster, log directories, producers, records, offsets and members of groups. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import type { Admin } from '../../client/admin.ts'
import { Client } from '../../client/client.ts'
import type { AnswerError, PartialError } from '../../client/errors.ts'

let broker: EmbeddedBroker
let client: Client
let admin: Admin

before(async () => {
  broker = await startBroker()
  client = new Client({ bootstrap: broker.bootstrap })
  admin = client.admin()
  await admin.createTopics([{ name: 't', partitions: 2 }])
  const producer = client.producer()
  await producer.sendBatch(
    't',
    [0, 0, 0, 1].map(partition => ({ partition, value: 'x' })),
  )
  await producer.close()
})
after(async () => {
  admin.close()
  await broker.stop()
})

test('the cluster and its brokers', async () => {
  const { clusterId, controllerId, brokers } = await admin.brokers.describeCluster()
  assert.equal(clusterId?.length, 22)
  assert.equal(controllerId, 1)
  assert.deepEqual(brokers, [{ nodeId: 1, host: '127.0.0.1', port: broker.port, rack: null }])
})

test('log directories, with the size of each partition', async () => {
  const [dir] = await admin.brokers.describeLogDirs()
  assert.equal(dir?.nodeId, 1)
  const mine = dir?.partitions.filter(({ topic }) => topic === 't') ?? []
  assert.deepEqual(mine.map(({ partition, bytes }) => [partition, bytes > 60]).sort(), [
    [0, true],
    [1, true],
  ])
  assert.deepEqual(await admin.brokers.describeLogDirs([1]), [dir])
})

test('producers of a partition', async () => {
  const [producer, ...rest] = await admin.brokers.describeProducers([{ topic: 't', partition: 0 }])
  assert.equal(producer?.lastSequence, 2)
  assert.equal(producer?.transactionStartOffset, -1)
  assert.deepEqual(rest, [])
})

test('records are deleted from the front; what cannot be has its reason', async () => {
  const places = [{ topic: 't', partition: 0, before: 2 }]
  assert.deepEqual(await admin.deleteRecords(places), [
    { topic: 't', partition: 0, logStartOffset: 2 },
  ])
  const wrong = [
    { topic: 't', partition: 1, before: 'latest' as const },
    { topic: 't', partition: 0, before: 99 },
    { topic: 'nowhere', partition: 0, before: 1 },
  ]
  await assert.rejects(admin.deleteRecords(wrong), (error: PartialError<unknown>) => {
    assert.deepEqual(error.succeeded, [{ topic: 't', partition: 1, logStartOffset: 1 }])
    assert.deepEqual(error.failures.map(failure => failure.error).sort(), [
      'OFFSET_OUT_OF_RANGE',
      'UNKNOWN_TOPIC_OR_PARTITION',
    ])
    return true
  })
})

test('what is not there is an empty list, and no authorizer an error that says so', async () => {
  assert.deepEqual(await admin.brokers.listReassignments(), [])
  assert.deepEqual(await admin.brokers.listTransactions(), [])
  assert.deepEqual(await admin.brokers.describeQuotas(), [])
  assert.deepEqual(await admin.brokers.describeScramUsers(), [])
  const resources = await admin.brokers.listConfigResources()
  assert.ok(resources.some(({ type, name }) => type === 'topic' && name === 't'))
  await assert.rejects(
    admin.brokers.describeAcls(),
    (error: AnswerError) => error.error === 'SECURITY_DISABLED',
  )
})

test('offsets of a group are forgotten, and static members are taken out', async () => {
  const place = { topic: 't', partition: 0 }
  await admin.groups.setOffsets('forgetful', [{ ...place, offset: 1 }])
  await admin.groups.deleteOffsets('forgetful', [place])
  assert.deepEqual(await admin.groups.offsets('forgetful'), [])
  const consumer = client.consumer({ groupId: 'static', groupInstanceId: 'me' })
  consumer.subscribe('t')
  const ended = consumer.next()
  const isStable = ({ groupId, state }: { groupId: string; state: string }) =>
    groupId === 'static' && state === 'Stable'
  while (!(await admin.groups.list()).some(isStable));
  const [member] = (await admin.groups.describe('static')).members
  assert.equal(member?.groupInstanceId, 'me')
  await admin.groups.removeMembers('static', ['me'])
  const { members } = await admin.groups.describe('static')
  assert.ok(members.every(({ memberId }) => memberId !== member?.memberId))
  await consumer.close()
  assert.equal(await ended, null)
  await assert.rejects(
    admin.groups.removeMembers('static', ['nobody']),
    (error: AnswerError) => error.error === 'UNKNOWN_MEMBER_ID',
  )
})

/** Clients over a network that fails at every byte: nothing acknowledged is lost, nothing comes twice, order is kept. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { Client } from '../../client/client.ts'
import { string } from '../../client/serializers.ts'
import { tier } from '../tiers.ts'
import { consumeUnder, createTopic, fillTopic, produceUnder } from './fault-scenarios.ts'

let broker: EmbeddedBroker

before(async () => {
  broker = await startBroker({
    config: {
      'group.consumer.heartbeat.interval.ms': 50,
      'group.consumer.min.heartbeat.interval.ms': 50,
    },
  })
  await createTopic(broker.bootstrap, 'written')
  await fillTopic(broker.bootstrap, 'read', 8)
})

after(async () => {
  await broker.stop()
})

test('a producer is cut at every byte of what it receives', async () => {
  const { bytes } = await produceUnder(broker.bootstrap, 'written', {})
  for (let atByte = 0; atByte < bytes; atByte += tier.cutStride) {
    const { hasStruck } = await produceUnder(broker.bootstrap, 'written', { atByte })
    assert.ok(hasStruck || atByte > bytes * 0.9, `${atByte} of ${bytes}`)
  }
})

for (const groupProtocol of ['classic', 'consumer'] as const) {
  test(`a group member (${groupProtocol}) is cut at every byte of what it receives`, async () => {
    const run = (faults: { atByte?: number }) =>
      consumeUnder(broker.bootstrap, 'read', 8, faults, { groupProtocol })
    const { bytes } = await run({})
    for (let atByte = 0; atByte < bytes; atByte += tier.cutStride) await run({ atByte })
  })
}

test('a connection that falls silent in the middle of an answer is given up after a while', async () => {
  const { bytes } = await produceUnder(broker.bootstrap, 'written', {})
  for (let atByte = 10; atByte < bytes; atByte += tier.cutStride * 7) {
    await produceUnder(broker.bootstrap, 'written', { atByte, fault: 'silence' }, 60)
    await consumeUnder(
      broker.bootstrap,
      'read',
      8,
      { atByte, fault: 'silence' },
      { requestTimeoutMs: 60 },
    )
  }
})

test('answers that come byte by byte, and a wall clock that jumps, change nothing', async () => {
  const hour = 3_600_000
  // Brokers refuse what is more than an hour ahead.
  const clockJumpsMs = [0, hour * 0.9, -hour, -24 * hour, 5]
  await produceUnder(broker.bootstrap, 'written', { pieceBytes: 1, clockJumpsMs })
  await consumeUnder(broker.bootstrap, 'read', 8, { pieceBytes: 1, clockJumpsMs })
})

test('a topic that is deleted and made again under its clients goes on from its start', async () => {
  const client = new Client({ bootstrap: broker.bootstrap, retryBackoffMs: 5 })
  const admin = client.admin()
  await admin.createTopics([{ name: 'again', partitions: 1 }])
  const producer = client.producer()
  const consumer = client.consumer({ value: string, autoOffsetReset: 'earliest' })
  consumer.assign([{ topic: 'again', partition: 0 }])
  for (let i = 0; i < 3; i++)
    await producer.send({ topic: 'again', partition: 0, value: `old ${i}` })
  for (let i = 0; i < 3; i++) assert.equal((await consumer.next())!.value, `old ${i}`)
  await admin.deleteTopics(['again'])
  await admin.createTopics([{ name: 'again', partitions: 1 }])
  const { offset } = await producer.send({ topic: 'again', partition: 0, value: 'new' })
  assert.equal(offset, 0)
  assert.equal((await consumer.next())!.value, 'new')
  await producer.close()
  await consumer.close()
  admin.cluster.close()
})

test('a batch that the broker finds too large is sent in parts; each record hears of its own place', async () => {
  const client = new Client({ bootstrap: broker.bootstrap, retryBackoffMs: 5 })
  const admin = client.admin()
  const configs = { 'max.message.bytes': '1000' }
  await admin.createTopics([{ name: 'small', partitions: 1, configs }])
  admin.cluster.close()
  for (const compression of ['none', 'gzip'] as const) {
    const producer = client.producer({ lingerMs: 5, compression })
    const value = (i: number) => `${i} `.padEnd(200, `${Math.sin(i + 1)}`)
    const one = Array.from({ length: 20 }, (_, i) =>
      producer.send({ topic: 'small', partition: 0, value: value(i), headers: { n: `${i}` } }),
    )
    const many = producer.sendBatch(
      'small',
      Array.from({ length: 20 }, (_, i) => ({ partition: 0, value: value(20 + i) })),
    )
    const stream = producer.sendFrom(
      Array.from({ length: 20 }, (_, i) => ({
        topic: 'small',
        partition: 0,
        value: value(40 + i),
      })),
    )
    const offsets = (await Promise.all(one)).map(p => p.offset)
    const first = offsets[0]!
    assert.deepEqual(
      offsets,
      offsets.map((_, i) => first + i),
    )
    assert.equal(
      (await many).reduce((sum, { count }) => sum + count, 0),
      20,
    )
    assert.equal(await stream, 20)
    const huge = producer.send({
      topic: 'small',
      partition: 0,
      value: Buffer.alloc(2000, 1).map((_, i) => i * i * 7),
    })
    if (compression === 'none') await assert.rejects(huge, /MESSAGE_TOO_LARGE/)
    await huge.catch(() => {})
    await producer.close()
    const consumer = client.consumer({ value: string })
    consumer.assign([{ topic: 'small', partition: 0, offset: first }])
    for (let i = 0; i < 60; i++) {
      const record = (await consumer.next())!
      assert.equal(record.value, value(i))
      if (i < 20) assert.equal(record.headers[0]!.value!.toString(), `${i}`)
    }
    await consumer.close()
  }
})

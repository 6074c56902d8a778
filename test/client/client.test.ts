/** The package's own surface: a program as the README shows it, and types that refuse what is wrong. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startBroker } from '../../broker/embedded.ts'
import { Client, type ConsumerRecord, int32, json, OptionError } from '../../client/index.ts'

interface Order {
  readonly id: number
}

test('a producer, a consumer and an admin of one client; values have the types of their serializers', async () => {
  const broker = await startBroker()
  const client = new Client({ bootstrap: broker.bootstrap })
  const producer = client.producer({ key: int32, value: json<Order>() })
  const { partition, offset } = await producer.send({ topic: 'o', key: 1, value: { id: 5 } })
  assert.deepEqual([partition, offset], [0, 0])
  // @ts-expect-error A key is a number here.
  await assert.rejects(producer.send({ topic: 'o', key: 'one', value: { id: 5 } }))
  // @ts-expect-error An order has an id; the serializer itself does not look.
  await producer.send({ topic: 'o', key: 1, value: { name: 'x' } })
  const consumer = client.consumer({ key: int32, value: json<Order>() })
  consumer.assign([{ topic: 'o', partition: 0, offset: 'earliest' }])
  const record: ConsumerRecord<number, Order> | null = await consumer.next()
  assert.deepEqual([record?.key, record?.value?.id], [1, 5])
  const admin = client.admin()
  assert.deepEqual(
    (await admin.listTopics()).map(({ name }) => name),
    ['o'],
  )
  await Promise.all([producer.close(), consumer.close()])
  admin.cluster.close()
  await broker.stop()
})

test('options are checked before anything is connected', () => {
  assert.throws(() => new Client({ bootstrap: '' }), OptionError)
  const client = new Client({ bootstrap: 'localhost:1' })
  // @ts-expect-error There is no such codec.
  assert.throws(() => client.producer({ compression: 'zip' }), OptionError)
})

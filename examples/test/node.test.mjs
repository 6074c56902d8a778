// A real broker inside a test of node:test: node --test examples/test/node.test.mjs
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { Client, string } from 'ottla'
import { startBroker } from 'ottla/broker'

let broker
let client

before(async () => {
  broker = await startBroker()
  client = new Client({ bootstrap: broker.bootstrap })
})
afterEach(() => broker.reset())
after(() => broker.stop())

for (const name of ['one', 'another']) {
  test(`${name} test finds an empty broker`, async () => {
    const producer = client.producer()
    const { offset } = await producer.send({ topic: 'orders', value: name })
    await producer.close()
    assert.equal(offset, 0)

    const consumer = client.consumer({ value: string })
    consumer.assign([{ topic: 'orders', partition: 0, offset: 'earliest' }])
    assert.equal((await consumer.next()).value, name)
    await consumer.close()
  })
}

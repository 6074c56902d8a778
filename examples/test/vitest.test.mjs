// A real broker inside a test of Vitest: npx vitest run examples/test/vitest.test.mjs
import { Client, string } from 'ottla'
import { startBroker } from 'ottla/broker'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

let broker
let client

beforeAll(async () => {
  broker = await startBroker()
  client = new Client({ bootstrap: broker.bootstrap })
})
afterEach(() => broker.reset())
afterAll(() => broker.stop())

for (const name of ['one', 'another']) {
  test(`${name} test finds an empty broker`, async () => {
    const producer = client.producer()
    const { offset } = await producer.send({ topic: 'orders', value: name })
    await producer.close()
    expect(offset).toBe(0)

    const consumer = client.consumer({ value: string })
    consumer.assign([{ topic: 'orders', partition: 0, offset: 'earliest' }])
    expect((await consumer.next()).value).toBe(name)
    await consumer.close()
  })
}

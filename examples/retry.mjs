// A handler that fails: it is called again after a pause, and what fails for good goes to a dead-letter topic with the reason.
import { setTimeout as pause } from 'node:timers/promises'
import { Client, string } from 'ottla'

const client = new Client({ bootstrap: process.argv[2] ?? 'localhost:9092' })
const ATTEMPTS = 3

const producer = client.producer()
await producer.sendBatch('payments', [{ value: 'ok' }, { value: 'flaky' }, { value: 'broken' }])

const calls = new Map()
/** Fails once for `flaky`, and always for `broken`. */
function pay(value) {
  const call = (calls.get(value) ?? 0) + 1
  calls.set(value, call)
  if (value === 'broken' || (value === 'flaky' && call === 1)) throw new Error(`${value} failed`)
  console.log(`paid: ${value}, attempt ${call}`)
}

async function handle({ topic, partition, offset, key, value }) {
  for (let attempt = 1; ; attempt++) {
    try {
      return pay(value)
    } catch (error) {
      if (attempt < ATTEMPTS) {
        await pause(10 * 2 ** attempt)
        continue
      }
      const headers = { reason: error.message, from: `${topic} ${partition} ${offset}` }
      await producer.send({ topic: 'payments-dead', key, value, headers })
    }
    return
  }
}

const consumer = client.consumer({
  groupId: 'payments',
  autoOffsetReset: 'earliest',
  value: string,
})
consumer.subscribe('payments')
let left = 3
for await (const record of consumer) {
  await handle(record)
  if (--left === 0) break
}
await consumer.close()
await producer.close()

const dead = client.consumer({ value: string })
dead.assign([{ topic: 'payments-dead', partition: 0, offset: 'earliest' }])
const { value, headers } = await dead.next()
console.log(`dead letter: ${value}, because ${headers[0].value}, from ${headers[1].value}`)
await dead.close()

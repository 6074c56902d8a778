// A handler that fails: it is called again after a pause, later once more from a retry topic, and what fails for good goes to
// a dead-letter topic with the reason. Only then does the group go on behind it.
import { Client, string } from 'ottla'

const client = new Client({ bootstrap: process.argv[2] ?? 'localhost:9092' })

const admin = client.admin()
const topics = ['payments', 'payments-later', 'payments-dead']
await admin.createTopics(topics.map(name => ({ name, partitions: 1 })))

const producer = client.producer()
await producer.sendBatch('payments', [{ value: 'ok' }, { value: 'flaky' }, { value: 'broken' }])
await producer.close()

const calls = new Map()
/** Fails once for `flaky`, and always for `broken`. */
function pay(value) {
  const call = (calls.get(value) ?? 0) + 1
  calls.set(value, call)
  if (value === 'broken' || (value === 'flaky' && call === 1)) throw new Error(`${value} failed`)
  console.log(`paid: ${value}, attempt ${call}`)
}

const consumer = client.consumer({
  groupId: 'payments',
  autoOffsetReset: 'earliest',
  value: string,
  retry: {
    attempts: 3,
    backoffMs: 20,
    topics: [{ topic: 'payments-later', delayMs: 200 }],
    deadLetterTopic: 'payments-dead',
  },
})
consumer.subscribe('payments')
const working = consumer.eachMessage(({ value }) => pay(value))

const dead = client.consumer({ value: string })
dead.assign([{ topic: 'payments-dead', partition: 0, offset: 'earliest' }])
const { value, headers } = await dead.next()
const said = name => headers.find(({ key }) => key === `__connect.errors.${name}`).value
const from = `${said('topic')} ${said('partition')} ${said('offset')}`
console.log(`${value}: ${calls.get(value)} attempts`)
console.log(`dead letter: ${value}, because ${said('exception.message')}, from ${from}`)
await dead.close()
await consumer.close()
await working

await admin.deleteTopics(topics)
admin.close()

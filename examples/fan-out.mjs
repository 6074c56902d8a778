// One topic, two groups: billing and shipping each get every event, and the two members of shipping share theirs.
import { Client, string } from 'ottla'

const client = new Client({ bootstrap: process.argv[2] ?? 'localhost:9092' })
const EVENTS = 12

const admin = client.admin()
await admin.createTopics([{ name: 'events', partitions: 4 }])

/** A member of a group that counts what it gets, until `stop`. */
function member(groupId, count) {
  const consumer = client.consumer({ groupId, autoOffsetReset: 'earliest', value: string })
  consumer.subscribe('events')
  const done = consumer.eachMessage(({ value }) => count(value))
  return async () => {
    await consumer.close()
    await done
  }
}

const billed = new Set()
const shipped = new Set()
let complete
const both = new Promise(resolve => {
  complete = resolve
})
const into = set => value => {
  set.add(value)
  if (billed.size === EVENTS && shipped.size === EVENTS) complete()
}
const members = [
  member('billing', into(billed)),
  member('shipping', into(shipped)),
  member('shipping', into(shipped)),
]

const producer = client.producer()
for (let i = 0; i < EVENTS; i++) {
  await producer.send({ topic: 'events', partition: i % 4, value: `event ${i}` })
}
await producer.close()
await both
await Promise.all(members.map(stop => stop()))
console.log(`billing ${billed.size}, shipping ${shipped.size}`)

await admin.deleteTopics(['events'])
admin.close()

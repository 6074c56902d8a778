// From one topic into another. What was read is committed only when what came of it is written, so that nothing is lost if the
// program dies in between: the next one begins at the last commit, and writes what it writes again under the same keys.
import { Client, string } from 'ottla'

const client = new Client({ bootstrap: process.argv[2] ?? 'localhost:9092' })
const LINES = ['to be or not', 'to be', 'that is the question']

const admin = client.admin()
const topics = ['lines', 'shouted']
await admin.createTopics(topics.map(name => ({ name, partitions: 1 })))

const producer = client.producer({ acks: 'all' })
await producer.sendBatch(
  'lines',
  LINES.map(value => ({ value })),
)

/** Reads `count` lines, and dies before the commit if told to. */
async function translate(count, dies) {
  const consumer = client.consumer({
    groupId: 'translator',
    autoOffsetReset: 'earliest',
    autoCommit: false,
    value: string,
  })
  consumer.subscribe('lines')
  for (let i = 0; i < count; i++) {
    const { partition, offset, value } = await consumer.next()
    const key = `${partition}-${offset}`
    await producer.send({ topic: 'shouted', key, value: value.toUpperCase() })
    if (dies) break
    await consumer.commit([{ topic: 'lines', partition, offset: offset + 1 }])
  }
  await consumer.close()
}

await translate(1, true)
await translate(LINES.length, false)
await producer.close()

const reader = client.consumer({ key: string, value: string })
reader.assign([{ topic: 'shouted', partition: 0, offset: 'earliest' }])
const newest = new Map()
let records = 0
while (newest.size < LINES.length) {
  const { key, value } = await reader.next()
  newest.set(key, value)
  records++
}
await reader.close()
console.log(`${records} records, ${newest.size} keys: nothing is lost, one line was written twice`)
for (const [key, value] of [...newest].sort()) console.log(key, value)

await admin.deleteTopics(topics)
admin.close()

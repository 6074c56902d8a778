// Orders with typed values: written with the customer as key, so that each customer's stay in order, and added up by a group.
import { Client, json, string } from 'ottla'

const client = new Client({ bootstrap: process.argv[2] ?? 'localhost:9092' })

const admin = client.admin()
await admin.createTopics([{ name: 'customer-orders', partitions: 3 }])

const producer = client.producer({ key: string, value: json() })
const orders = [
  { customer: 'ada', item: 'tea', price: 3 },
  { customer: 'bob', item: 'coffee', price: 4 },
  { customer: 'ada', item: 'cake', price: 5 },
]
const places = await Promise.all(
  orders.map(order =>
    producer.send({ topic: 'customer-orders', key: order.customer, value: order }),
  ),
)
console.log(places[0].partition === places[2].partition, "ada's orders lie in one partition")
await producer.close()

const consumer = client.consumer({
  groupId: 'accounting',
  autoOffsetReset: 'earliest',
  key: string,
  value: json(),
})
consumer.subscribe('customer-orders')
const totals = new Map()
let left = orders.length
for await (const { key, value } of consumer) {
  totals.set(key, (totals.get(key) ?? 0) + value.price)
  if (--left === 0) break
}
await consumer.close()
for (const [customer, total] of [...totals].sort()) console.log(customer, total)

await admin.deleteTopics(['customer-orders'])
admin.close()

/** A broker that is stopped and started again under its clients: nothing acknowledged is lost, nothing comes twice. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startBroker } from '../../broker/embedded.ts'
import { Client } from '../../client/client.ts'
import { string } from '../../client/serializers.ts'

const RESTARTS = 3
const PARTITIONS = 2
const BETWEEN = 500

test('over restarts every record is written once, and a group reads it once', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'ottla-restarts-'))
  let broker = await startBroker({ dataDir })
  const { port } = broker
  const client = new Client({
    bootstrap: broker.bootstrap,
    retryBackoffMs: 5,
    retryBackoffMaxMs: 50,
  })
  const admin = client.admin()
  await admin.createTopics([{ name: 't', partitions: PARTITIONS }])
  admin.cluster.close()

  const total = BETWEEN * (RESTARTS + 1)
  const seen: string[] = []
  const consumer = client.consumer({ groupId: 'g', autoOffsetReset: 'earliest', value: string })
  consumer.subscribe('t')
  const reading = consumer.eachMessage(({ value }) => {
    seen.push(value!)
  })

  const producer = client.producer()
  let next = 0
  const sender = async (partition: number, end: number) => {
    while (next < end) await producer.send({ topic: 't', partition, value: `${next++}` })
  }
  const senders = (end: number) =>
    Promise.all(Array.from({ length: 20 }, (_, i) => sender(i % PARTITIONS, end)))
  for (let i = 0; i < RESTARTS; i++) {
    const sending = senders(BETWEEN * (i + 1))
    await producer.send({ topic: 't', partition: 0, value: `${next++}` })
    await broker.stop()
    broker = await startBroker({ dataDir, port })
    await sending
  }
  await senders(total)
  await producer.close()
  const written = next
  while (seen.length < written) await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(
    seen.map(Number).sort((a, b) => a - b),
    Array.from({ length: written }, (_, i) => i),
  )
  await consumer.close()
  await reading
  await broker.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

/**
 * What clients do while faults strike, and what must be true afterwards: every acknowledged record is there once, in the order
 * of its partition, and a group has read and committed it. Against any broker.
 */
import assert from 'node:assert/strict'
import { Client } from '../../client/client.ts'
import { string } from '../../client/serializers.ts'
import { type Faults, FaultyIo } from './faulty-io.ts'

const RECORDS = 12
export const PARTITIONS = 2
let runs = 0

export interface Ran {
  readonly bytes: number
  readonly hasStruck: boolean
}

function clientOf(bootstrap: string, faults: Faults, requestTimeoutMs: number) {
  const world = new FaultyIo(faults)
  const times = { retryBackoffMs: 1, retryBackoffMaxMs: 20, requestTimeoutMs }
  return { world, client: new Client({ bootstrap, ...times }, world.io) }
}

/** A topic with `PARTITIONS` partitions. */
export async function createTopic(bootstrap: string, name: string): Promise<void> {
  const admin = new Client({ bootstrap }).admin()
  await admin.createTopics([{ name, partitions: PARTITIONS }])
  admin.cluster.close()
}

/** Writes under faults; reads back without. */
export async function produceUnder(
  bootstrap: string,
  topic: string,
  faults: Faults,
  requestTimeoutMs = 5_000,
): Promise<Ran> {
  const { world, client } = clientOf(bootstrap, faults, requestTimeoutMs)
  const run = ++runs
  const producer = client.producer({ maxInFlight: 5, lingerMs: 0 })
  const values = (partition: number) =>
    Array.from({ length: RECORDS }, (_, i) => i).filter(i => i % PARTITIONS === partition)
  const sent: Promise<{ partition: number; offset: number }>[] = []
  for (let i = 0; i < RECORDS; i++) {
    sent.push(producer.send({ topic, partition: i % PARTITIONS, value: `${run} ${i}` }))
    // Several requests, so that several are on their way when the fault strikes.
    if (i % 3 === 2) await Promise.race([sent.at(-1), new Promise(r => setImmediate(r))])
  }
  const places = await Promise.all(sent)
  await producer.close()
  const reader = new Client({ bootstrap }).consumer({ value: string })
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const known = places.filter(p => p.partition === partition && p.offset >= 0)
    const first = Math.min(...known.map(p => p.offset))
    reader.assign([{ topic, partition, offset: Math.max(0, first - RECORDS) }])
    const seen: number[] = []
    while (seen.at(-1) !== values(partition).at(-1)) {
      const record = (await reader.next())!
      const [of, value] = record.value!.split(' ').map(Number)
      if (of === run) seen.push(value!)
    }
    assert.deepEqual(seen, values(partition), `run ${run}, ${JSON.stringify(faults)}`)
  }
  await reader.close()
  return { bytes: world.bytes, hasStruck: world.hasStruck }
}

/** A group reads under faults what `fillTopic` has written; what it has committed is looked at without. */
export async function consumeUnder(
  bootstrap: string,
  topic: string,
  count: number,
  faults: Faults,
  options: {
    readonly groupProtocol?: 'classic' | 'consumer'
    readonly requestTimeoutMs?: number
  } = {},
): Promise<Ran> {
  const { groupProtocol = 'classic', requestTimeoutMs = 5_000 } = options
  const { world, client } = clientOf(bootstrap, faults, requestTimeoutMs)
  const groupId = `${topic}-${groupProtocol}-${++runs}`
  const consumer = client.consumer({
    groupId,
    groupProtocol,
    autoOffsetReset: 'earliest',
    value: string,
    maxWaitMs: 20,
  })
  consumer.subscribe(topic)
  const next = new Map<number, number>()
  const seen = new Set<string>()
  while (seen.size < count) {
    const record = (await consumer.next())!
    // A share that was lost comes again; what comes is in order, and nothing is left out.
    const expected = next.get(record.partition) ?? 0
    assert.ok(
      record.offset <= expected,
      `${JSON.stringify(faults)}: ${record.offset} > ${expected}`,
    )
    next.set(record.partition, record.offset + 1)
    seen.add(`${record.partition} ${record.offset}`)
  }
  await consumer.commit(
    [...next].map(([partition]) => ({ topic, partition, offset: count / PARTITIONS })),
  )
  await consumer.close()
  const other = new Client({ bootstrap }).consumer({ groupId })
  const partitions = [...next.keys()].map(partition => ({ topic, partition }))
  for (const { offset } of await other.committed(partitions)) {
    assert.equal(offset, count / PARTITIONS, JSON.stringify(faults))
  }
  await other.close()
  return { bytes: world.bytes, hasStruck: world.hasStruck }
}

/** Writes `count` records, the same number into each partition. */
export async function fillTopic(bootstrap: string, topic: string, count: number): Promise<void> {
  await createTopic(bootstrap, topic)
  const producer = new Client({ bootstrap }).producer()
  const messages = Array.from({ length: count }, (_, i) => ({
    value: `${i}`,
    partition: i % PARTITIONS,
  }))
  await producer.sendBatch(topic, messages)
  await producer.close()
}

/** The consumer, over TCP against a broker in this process. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { Admin } from '../../client/admin.ts'
import { Cluster } from '../../client/cluster.ts'
import { Consumer } from '../../client/consumer.ts'
import type { ConsumerOptions } from '../../client/consumer-config.ts'
import { OptionError, type SerializerError } from '../../client/errors.ts'
import { Producer } from '../../client/producer.ts'
import { json, string } from '../../client/serializers.ts'
import { systemIo } from '../../protocol/system-io.ts'

const io = systemIo()
let broker: EmbeddedBroker
let admin: Admin
let producer: Producer

const cluster = () => new Cluster(io, { bootstrap: broker.bootstrap })

function consumer<K = Buffer, V = string>(options: ConsumerOptions<K, V> = {}): Consumer<K, V> {
  const value = string as unknown as ConsumerOptions<K, V>['value']
  return new Consumer<K, V>(io, cluster(), cluster(), { value, ...options })
}

async function topic(name: string, partitions: number, values: readonly string[]): Promise<string> {
  await admin.createTopics([{ name, partitions }])
  const messages = values.map((value, i) => ({
    value,
    partition: i % partitions,
    timestampMs: 1000 + i,
  }))
  await producer.sendBatch(name, messages)
  return name
}

async function take<V>(from: Consumer<Buffer, V>, count: number): Promise<(V | null)[]> {
  const values: (V | null)[] = []
  if (count > 0) {
    for await (const { value } of from) {
      values.push(value)
      if (values.length === count) break
    }
  }
  return values
}

before(async () => {
  broker = await startBroker()
  admin = new Admin(cluster())
  producer = new Producer(io, cluster())
})

after(async () => {
  await producer.close()
  admin.cluster.close()
  await broker.stop()
})

test('every record once, in order within its partition, what is there and what comes later', async () => {
  const name = await topic('all', 2, ['a', 'b', 'c', 'd'])
  const reader = consumer({ autoOffsetReset: 'earliest' })
  reader.assign([0, 1].map(partition => ({ topic: name, partition })))
  assert.deepEqual((await take(reader, 4)).sort(), ['a', 'b', 'c', 'd'])
  await producer.send({ topic: name, partition: 1, value: 'e' })
  const record = await reader.next()
  assert.deepEqual([record?.value, record?.partition, record?.offset], ['e', 1, 2])
  assert.equal(reader.position(name, 1), 3)
  assert.equal(reader.lag(name, 1), 0)
  await reader.close()
  assert.equal(await reader.next(), null)
})

test('it goes where it is told: an offset, both ends, a time', async () => {
  const name = await topic('seek', 1, ['a', 'b', 'c'])
  const reader = consumer()
  reader.assign([{ topic: name, partition: 0, offset: 1 }])
  assert.deepEqual(await take(reader, 2), ['b', 'c'])
  reader.seek(name, 0, 'earliest')
  assert.deepEqual(await take(reader, 1), ['a'])
  reader.seek(name, 0, { timestampMs: 1002 })
  assert.deepEqual(await take(reader, 1), ['c'])
  reader.seek(name, 0, 'latest')
  const next = reader.next()
  const { highWatermark } = await waitForPosition(reader, name)
  assert.equal(highWatermark, 3)
  await producer.send({ topic: name, partition: 0, value: 'new' })
  assert.equal((await next)?.value, 'new')
  await reader.close()
})

/** Resolves when the consumer has found its place at the end. */
async function waitForPosition(reader: Consumer<Buffer, string>, name: string) {
  while (reader.position(name, 0) === null) await new Promise(resolve => setImmediate(resolve))
  return { highWatermark: reader.position(name, 0) }
}

test('an offset that is not in the log leads to the reset, or to an error where there is none', async () => {
  const name = await topic('range', 1, ['a'])
  const reader = consumer({ autoOffsetReset: 'earliest' })
  reader.assign([{ topic: name, partition: 0, offset: 100 }])
  assert.deepEqual(await take(reader, 1), ['a'])
  await reader.close()
  const strict = consumer({ autoOffsetReset: 'none' })
  strict.assign([{ topic: name, partition: 0, offset: 100 }])
  await assert.rejects(strict.next(), /topic 'range' partition 0: offset 100 is not in the log/)
  strict.seek(name, 0, 0)
  assert.equal((await strict.next())?.value, 'a', 'a seek goes on behind the error')
  await strict.close()
})

test('a paused partition gives nothing until it is resumed, and then goes on where it was', async () => {
  const name = await topic('pause', 2, ['a0', 'a1', 'b0', 'b1'])
  const reader = consumer({ autoOffsetReset: 'earliest' })
  reader.assign([0, 1].map(partition => ({ topic: name, partition })))
  reader.pause([{ topic: name, partition: 0 }])
  assert.deepEqual(await take(reader, 2), ['a1', 'b1'])
  reader.pause([{ topic: name, partition: 1 }])
  reader.resume([{ topic: name, partition: 0 }])
  assert.deepEqual(await take(reader, 2), ['a0', 'b0'])
  await reader.close()
})

for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
  test(`batches of ${compression} are read`, async () => {
    const name = await topic(compression, 1, [])
    const packer = new Producer(io, cluster(), { compression })
    const values = Array.from({ length: 100 }, (_, i) => `value ${i}`)
    const headers = { trace: ['1', null], kind: Buffer.from([255]) }
    await packer.sendBatch(
      name,
      values.map(value => ({ value, key: 'k', headers })),
    )
    await packer.close()
    const reader = consumer({ autoOffsetReset: 'earliest' })
    reader.assign([{ topic: name, partition: 0 }])
    const batch = await reader.nextBatch()
    assert.deepEqual(
      batch?.records.map(r => r.value),
      values,
    )
    assert.deepEqual(
      batch?.records[0]?.headers.map(h => [h.key, h.value?.toString('hex') ?? null]),
      [
        ['trace', '31'],
        ['trace', null],
        ['kind', 'ff'],
      ],
    )
    await reader.close()
  })
}

test('a value that the serializer refuses is thrown with its place; a seek goes on behind it', async () => {
  const name = await topic('poison', 1, ['1', '{', '3'])
  const reader = consumer<Buffer, number>({ autoOffsetReset: 'earliest', value: json<number>() })
  reader.assign([{ topic: name, partition: 0 }])
  assert.deepEqual(await take(reader, 1), [1])
  await assert.rejects(reader.next(), (error: SerializerError) =>
    /topic 'poison' partition 0 offset 1, value: json/.test(error.message),
  )
  reader.seek(name, 0, 2)
  assert.deepEqual(await take(reader, 1), [3])
  await reader.close()
})

test('handlers get everything until the consumer is closed; a signal ends the wait', async () => {
  const name = await topic('each', 1, ['a', 'b', 'c'])
  const reader = consumer({ autoOffsetReset: 'earliest' })
  reader.assign([{ topic: name, partition: 0 }])
  const seen: (string | null)[] = []
  await reader.eachMessage(async ({ value }) => {
    seen.push(value)
    if (seen.length === 3) await reader.close()
  })
  assert.deepEqual(seen, ['a', 'b', 'c'])
  const idle = consumer()
  idle.assign([{ topic: name, partition: 0 }])
  const stop = new AbortController()
  const waits = idle.nextBatch({ signal: stop.signal })
  stop.abort(new Error('enough'))
  await assert.rejects(waits, /enough/)
  await idle.close()
})

test('what is not assigned cannot be asked about; options that make no sense are refused', async () => {
  const reader = consumer()
  assert.throws(() => reader.position('t', 0), OptionError)
  assert.throws(() => reader.assign([{ topic: 't', partition: 0, offset: -1 }]), OptionError)
  await reader.close()
  assert.throws(
    () => consumer({ maxWaitMs: -1, isolation: 'x' as 'read_committed' }),
    /maxWaitMs|isolation/,
  )
})

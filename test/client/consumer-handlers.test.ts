/** Handlers for several records at a time, what happens to those that fail, and what counts as done meanwhile. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { Client } from '../../client/client.ts'
import type { ConsumerOptions } from '../../client/consumer-config.ts'
import type { Producer } from '../../client/producer.ts'
import { json, string } from '../../client/serializers.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'

let broker: EmbeddedBroker
let client: Client
let producer: Producer

before(async () => {
  broker = await startBroker()
  client = new Client({ bootstrap: broker.bootstrap, retryBackoffMs: 5 })
  producer = client.producer()
})

after(async () => {
  await producer.close()
  await broker.stop()
})

interface Given {
  readonly key: string | null
  readonly value: string
}

async function topic(name: string, records: readonly Given[] = []): Promise<void> {
  const admin = client.admin()
  await admin.createTopics([{ name, partitions: 1 }])
  admin.cluster.close()
  if (records.length > 0) await producer.sendBatch(name, records)
}

function reader(groupId: string, options: ConsumerOptions<string, string> = {}) {
  const consumer = client.consumer<string, string>({
    groupId,
    autoOffsetReset: 'earliest',
    heartbeatIntervalMs: 20,
    key: string,
    value: string,
    ...options,
  })
  return consumer
}

async function committed(groupId: string, name: string): Promise<number> {
  const consumer = reader(groupId)
  const [offset] = await consumer.committed([{ topic: name, partition: 0 }])
  await consumer.close()
  return offset!.offset
}

let topics = 0

test('with concurrency each key keeps its order, and all keys are worked on at once', async () => {
  const seed = chooseSeed()
  const keys = fc.constantFrom('a', 'b', 'c', null)
  const runs = Math.max(5, Math.floor(tier.propertyRuns / 10))
  await fc.assert(
    fc.asyncProperty(
      fc.array(keys, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(),
      async (list, concurrency, turnSeed) => {
        const name = `keys-${++topics}`
        await topic(
          name,
          list.map((key, i) => ({ key, value: `${i}` })),
        )
        const random = seededRandom(turnSeed)
        const seen: { key: string | null; value: number }[] = []
        let atOnce = 0
        let most = 0
        const consumer = reader(`g-${name}`)
        consumer.subscribe(name)
        await consumer.eachMessage(
          async ({ key, value }) => {
            most = Math.max(most, ++atOnce)
            for (let i = Math.floor(random() * 4); i > 0; i--) {
              await new Promise(resolve => setImmediate(resolve))
            }
            atOnce--
            seen.push({ key, value: Number(value) })
            if (seen.length === list.length) void consumer.close()
          },
          { concurrency },
        )
        assert.ok(most <= concurrency)
        for (const key of concurrency === 1 ? [undefined] : ['a', 'b', 'c']) {
          const order = seen.filter(s => key === undefined || s.key === key).map(s => s.value)
          assert.deepEqual(
            order,
            [...order].sort((a, b) => a - b),
          )
        }
        assert.equal(new Set(seen.map(s => s.value)).size, list.length)
      },
    ),
    { seed, numRuns: runs },
  )
})

test('what is committed never passes a record that is still being handled', async () => {
  await topic(
    'window',
    ['slow', 'a', 'b', 'c'].map(key => ({ key, value: key })),
  )
  const consumer = reader('g-window', { autoCommit: false })
  consumer.subscribe('window')
  let free = () => {}
  const held = new Promise<void>(resolve => {
    free = resolve
  })
  let others = 0
  let told = () => {}
  const rest = new Promise<void>(resolve => {
    told = resolve
  })
  const run = consumer.eachMessage(
    async ({ key }) => {
      if (key === 'slow') return held
      if (++others === 3) told()
    },
    { concurrency: 2 },
  )
  await rest
  await consumer.commit()
  assert.equal(await committed('g-window', 'window'), 0, 'the first one is not done')
  free()
  await consumer.close()
  await run
  const again = reader('g-window')
  again.subscribe('window')
  const seen: (string | null)[] = []
  await again.eachMessage(
    ({ key }) => {
      seen.push(key)
      if (seen.length === 4) setImmediate(() => again.close())
    },
    { concurrency: 2 },
  )
  assert.deepEqual(seen.sort(), ['a', 'b', 'c', 'slow'])
  assert.equal(await committed('g-window', 'window'), 4)
})

test('what throws ends the call, after the others under way; it comes again', async () => {
  await topic(
    'throws',
    ['a', 'bad', 'c'].map(key => ({ key, value: key })),
  )
  const consumer = reader('g-throws')
  consumer.subscribe('throws')
  const run = consumer.eachMessage(
    async ({ key }) => {
      if (key === 'bad') throw new Error('no')
    },
    { concurrency: 3 },
  )
  await assert.rejects(run, /^Error: no$/)
  await consumer.close()
  assert.equal(await committed('g-throws', 'throws'), 1)
  await assert.rejects(
    reader('g').eachMessage(() => {}, { concurrency: 0 }),
    /concurrency is 0/,
  )
})

test('a record is tried again, then it goes to the retry topic, then to the dead letters', async () => {
  await topic('orders', [
    { key: 'good', value: '1' },
    { key: 'bad', value: '2' },
    { key: 'shaky', value: '3' },
  ])
  await topic('orders-retry')
  await topic('orders-dead')
  const retry = {
    attempts: 2,
    backoffMs: 1,
    topics: [{ topic: 'orders-retry', delayMs: 30 }],
    deadLetterTopic: 'orders-dead',
  }
  const consumer = reader('g-orders', { retry })
  consumer.subscribe('orders')
  const calls: string[] = []
  const run = consumer.eachMessage(({ topic: from, key }) => {
    calls.push(`${from} ${key}`)
    if (key === 'bad') throw new TypeError('never')
    if (key === 'shaky' && from === 'orders') throw new Error('not yet')
  })
  const dead = client.consumer({ value: string, key: string })
  dead.assign([{ topic: 'orders-dead', partition: 0, offset: 'earliest' }])
  const letter = (await dead.next())!
  await dead.close()
  const headers = Object.fromEntries(letter.headers.map(h => [h.key, h.value?.toString()]))
  assert.deepEqual([letter.key, letter.value], ['bad', '2'])
  assert.match(headers['__connect.errors.exception.stacktrace']!, /^TypeError: never\n/)
  delete headers['__connect.errors.exception.stacktrace']
  assert.deepEqual(headers, {
    '__connect.errors.topic': 'orders',
    '__connect.errors.partition': '0',
    '__connect.errors.offset': '1',
    '__connect.errors.connector.name': 'g-orders',
    '__connect.errors.task.id': '0',
    '__connect.errors.stage': 'TASK_PUT',
    '__connect.errors.class.name': 'ottla.Consumer',
    '__connect.errors.exception.class.name': 'TypeError',
    '__connect.errors.exception.message': 'never',
  })
  while (!calls.includes('orders-retry shaky')) await new Promise(resolve => setImmediate(resolve))
  await consumer.close()
  await run
  const count = (call: string) => calls.filter(c => c === call).length
  assert.equal(count('orders good'), 1)
  assert.equal(count('orders bad'), 2)
  assert.equal(count('orders-retry bad'), 2)
  assert.equal(count('orders shaky'), 2)
  assert.equal(count('orders-retry shaky'), 1)
  assert.equal(await committed('g-orders', 'orders'), 3)
  assert.equal(await committed('g-orders', 'orders-retry'), 2)
})

test('what no serializer can read goes to the dead letters as it is, and the next one is read', async () => {
  await topic('mixed', [
    { key: 'a', value: '1' },
    { key: 'b', value: '{' },
    { key: 'c', value: '3' },
  ])
  await topic('mixed-dead')
  const consumer = client.consumer<string, number>({
    groupId: 'g-mixed',
    autoOffsetReset: 'earliest',
    key: string,
    value: json<number>(),
    retry: { deadLetterTopic: 'mixed-dead' },
  })
  consumer.subscribe('mixed')
  const seen: (number | null)[] = []
  await consumer.eachMessage(({ value }) => {
    seen.push(value)
    if (seen.length === 2) setImmediate(() => consumer.close())
  })
  assert.deepEqual(seen, [1, 3])
  const dead = client.consumer({ value: string, key: string })
  dead.assign([{ topic: 'mixed-dead', partition: 0, offset: 'earliest' }])
  const letter = (await dead.next())!
  await dead.close()
  const stage = letter.headers.find(h => h.key === '__connect.errors.stage')?.value?.toString()
  assert.deepEqual([letter.key, letter.value, stage], ['b', '{', 'VALUE_CONVERTER'])
  assert.equal(await committed('g-mixed', 'mixed'), 3)
})

test('without a place to go what fails at last is thrown', async () => {
  await topic('nowhere', [{ key: 'a', value: '1' }])
  const consumer = reader('g-nowhere', { retry: { attempts: 3, backoffMs: 1 } })
  consumer.subscribe('nowhere')
  let calls = 0
  const run = consumer.eachMessage(() => {
    calls++
    throw new Error('no')
  })
  await assert.rejects(run, /^Error: no$/)
  assert.equal(calls, 3)
  await consumer.close()
  assert.equal(await committed('g-nowhere', 'nowhere'), -1)
})

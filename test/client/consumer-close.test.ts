/** What of a record counts as done when its consumer is closed while a handler has it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { Client } from '../../client/client.ts'
import type { Consumer } from '../../client/consumer.ts'
import type { Producer } from '../../client/producer.ts'
import { string } from '../../client/serializers.ts'
import { numberedTopic } from './numbered-topic.ts'

const COUNT = 10
/** Long enough that a test that waits for it to pass is seen to. */
const LONG_MS = 600_000

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

async function member(name: string): Promise<Consumer<Buffer, string>> {
  await numberedTopic({ client, producer }, name, 1, COUNT)
  const options = { autoOffsetReset: 'earliest', value: string, batches: 'fetched' } as const
  const consumer = client.consumer<Buffer, string>({ groupId: name, ...options })
  consumer.subscribe(name)
  return consumer
}

async function committed(name: string): Promise<number> {
  const admin = client.admin()
  const [offset] = await admin.groups.offsets(name)
  admin.close()
  return offset?.offset ?? -1
}

const later = () => new Promise<void>(resolve => setImmediate(resolve))

test('close in a handler, given time: its record is done, and none comes after it', async () => {
  const consumer = await member('given-time')
  const seen: string[] = []
  let closed: Promise<void> | undefined
  await consumer.eachMessage(async ({ value }) => {
    seen.push(value!)
    await later()
    if (value !== '2') return
    closed = consumer.close({ timeoutMs: LONG_MS })
    await later()
  })
  await closed
  assert.deepEqual(seen, ['0', '1', '2'])
  assert.equal(await committed('given-time'), 3)
})

test('several handlers at work are all waited for, and no other begins', async () => {
  const consumer = await member('several')
  const begun: string[] = []
  let closed: Promise<void> | undefined
  await consumer.eachMessage(
    async ({ value }) => {
      begun.push(value!)
      await later()
      closed ??= begun.length === 3 ? consumer.close({ timeoutMs: LONG_MS }) : undefined
      await later()
    },
    { concurrency: 3 },
  )
  await closed
  // One of the three may end, and the fourth begin, before the close.
  assert.ok(begun.length >= 3 && begun.length < COUNT, String(begun))
  assert.equal(await committed('several'), begun.length)
})

test('a batch counts as a whole', async () => {
  const consumer = await member('batch')
  let closed: Promise<void> | undefined
  let count = 0
  await consumer.eachBatch(async ({ records }) => {
    count += records.length
    closed ??= consumer.close({ timeoutMs: LONG_MS })
    await later()
  })
  await closed
  assert.ok(count > 0)
  assert.equal(await committed('batch'), count)
})

test('from outside: the handler gets to its end', async () => {
  const consumer = await member('outside')
  let begun = () => {}
  let free = () => {}
  const isAtWork = new Promise<void>(resolve => {
    begun = resolve
  })
  const held = new Promise<void>(resolve => {
    free = resolve
  })
  const signals: AbortSignal[] = []
  const running = consumer.eachMessage(async (_, { signal }) => {
    signals.push(signal)
    begun()
    await held
  })
  await isAtWork
  const closed = consumer.close({ timeoutMs: LONG_MS })
  const again = consumer.close()
  await later()
  assert.equal(signals[0]!.aborted, false, 'what it does still counts')
  free()
  await Promise.all([closed, again, running])
  assert.equal(signals.length, 1)
  assert.equal(await committed('outside'), 1)
})

test('a handler that fails while it is waited for has not done its record', async () => {
  const consumer = await member('fails')
  let closed: Promise<void> | undefined
  const running = consumer.eachMessage(async ({ value }) => {
    if (value !== '2') return
    closed = consumer.close({ timeoutMs: LONG_MS })
    await later()
    throw new Error('not done')
  })
  await assert.rejects(running, /not done/)
  await closed
  assert.equal(await committed('fails'), 2)
})

for (const timeoutMs of [undefined, 5]) {
  test(`a handler that waits for close itself (${timeoutMs} ms) goes on; its record comes again`, async () => {
    const name = `waits-${timeoutMs}`
    const consumer = await member(name)
    await consumer.eachMessage(async ({ value }, { signal }) => {
      if (value !== '2') return
      await consumer.close({ timeoutMs })
      assert.ok(signal.aborted, 'what is done from now on is done again')
    })
    assert.equal(await committed(name), 2)
  })
}

test('a signal that ends the handling: the record that it came with is done', async () => {
  const consumer = await member('signal')
  const stop = new AbortController()
  const { signal } = stop
  const handle = async ({ value }: { readonly value: string | null }) => {
    await later()
    if (value === '2') stop.abort()
  }
  await assert.rejects(consumer.eachMessage(handle, { signal }), { name: 'AbortError' })
  await consumer.close()
  assert.equal(await committed('signal'), 3)
})

test('for await: a record is done when the next is asked for, or at the break', async () => {
  const consumer = await member('break')
  for await (const { value } of consumer) if (value === '2') break
  await consumer.close()
  assert.equal(await committed('break'), 3)
  const other = await member('in-body')
  for await (const { value } of other) if (value === '2') await other.close()
  assert.equal(await committed('in-body'), 2, 'closed while the body has it')
})

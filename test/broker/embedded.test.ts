/** `startBroker`: a broker in this process, over TCP, with nothing left behind. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { startBroker } from '../../broker/embedded.ts'
import { batchOf, fetchOne, produceOne, valuesOf } from './batches.ts'
import { RawClient } from './raw-client.ts'

async function write(port: number, value: string): Promise<number> {
  const client = await RawClient.connect(port)
  await client.call('Metadata', 9, { topics: [{ name: 't' }] })
  const request = produceOne('t', 0, await batchOf([value]), -1)
  const { responses } = await client.call('Produce', 9, request)
  await client.close()
  const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
  assert.equal(errorCode, 0)
  return baseOffset
}

async function read(port: number): Promise<string[]> {
  const client = await RawClient.connect(port)
  const { responses } = await client.call('Fetch', 11, fetchOne('t', 0, 0))
  await client.close()
  return valuesOf(responses[0]!.partitions[0]!.records)
}

test('it takes a free port, serves, and stops; two do not meet', async () => {
  const [one, two] = await Promise.all([startBroker(), startBroker()])
  assert.notEqual(one.port, two.port)
  assert.equal(one.bootstrap, `127.0.0.1:${one.port}`)
  await write(one.port, 'a')
  await write(two.port, 'b')
  assert.deepEqual(await read(one.port), ['a'])
  assert.deepEqual(await read(two.port), ['b'])
  await Promise.all([one.stop(), two.stop()])
  await assert.rejects(RawClient.connect(one.port), /ECONNREFUSED/)
})

test('stopping twice is stopping once, and takes no time with clients that are connected', async () => {
  const broker = await startBroker()
  const clients = await Promise.all([1, 2, 3].map(() => RawClient.connect(broker.port)))
  await clients[0]!.call('ApiVersions', 0, {})
  const started = performance.now()
  await Promise.all([broker.stop(), broker.stop()])
  assert.ok(performance.now() - started < 2500, 'no client was waited for in vain')
  await Promise.all(clients.map(client => client.closed))
})

test('with a data directory the records are there after a restart', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'ottla-embedded-'))
  try {
    for (const [i, value] of ['a', 'b'].entries()) {
      const broker = await startBroker({ dataDir })
      assert.equal(await write(broker.port, value), i)
      await broker.stop()
    }
    const broker = await startBroker({ dataDir })
    assert.deepEqual(await read(broker.port), ['a', 'b'])
    await assert.rejects(startBroker({ dataDir }), /./, 'one broker at a time')
    await broker.stop()
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
})

test('a setting that is wrong is named and nothing stays open', async () => {
  await assert.rejects(startBroker({ config: { 'num.partitons': 3 } }), /num\.partitons/)
  const taken = net.createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => taken.once('listening', resolve))
  const { port } = taken.address() as net.AddressInfo
  await assert.rejects(startBroker({ port }), new RegExp(`${port} is taken`))
  taken.close()
})

test('a client is told the address that it connected to', async () => {
  const broker = await startBroker({ config: { listeners: 'PLAINTEXT://localhost:0' } })
  const client = await RawClient.connect(broker.port)
  const { brokers } = await client.call('Metadata', 9, { topics: [] })
  assert.deepEqual(
    brokers.map(({ host, port }) => ({ host, port })),
    [{ host: '127.0.0.1', port: broker.port }],
  )
  await client.close()
  await broker.stop()
})

test('a topic is truncated under its clients, and offsets go on', async () => {
  const broker = await startBroker()
  await write(broker.port, 'a')
  await broker.truncate('t')
  assert.equal(await write(broker.port, 'b'), 1)
  const client = await RawClient.connect(broker.port)
  const { responses } = await client.call('Fetch', 11, fetchOne('t', 0, 1))
  assert.equal(responses[0]!.partitions[0]!.logStartOffset, 1)
  assert.deepEqual(await valuesOf(responses[0]!.partitions[0]!.records), ['b'])
  await assert.rejects(broker.truncate('nowhere'), /no topic 'nowhere'/)
  await client.close()
  await broker.stop()
})

test('a reset broker is as new, on its port; one with a directory refuses', async () => {
  const broker = await startBroker({ config: { listeners: 'PLAINTEXT://localhost:0' } })
  await write(broker.port, 'a')
  await broker.reset()
  assert.equal(await write(broker.port, 'b'), 0, 'the topic is a new one')
  await broker.stop()
  await assert.rejects(broker.reset(), /stopped/)
  const dataDir = mkdtempSync(join(tmpdir(), 'ottla-embedded-'))
  const kept = await startBroker({ dataDir })
  await assert.rejects(kept.reset(), /in memory/)
  await kept.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

test('it may be disposed of by the language', {
  skip: Symbol.asyncDispose === undefined && 'this Node has no Symbol.asyncDispose',
}, async () => {
  const broker = await startBroker()
  await broker[Symbol.asyncDispose]()
  await assert.rejects(RawClient.connect(broker.port), /ECONNREFUSED/)
})

/**
 * Started, written to and stopped a hundred times, after a few that warm everything up: as many open handles, listeners of
 * the process and temporary folders as before, and a heap that does not grow with the count.
 */
test('a hundred brokers in a row leak nothing', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const turn = () => new Promise(resolve => setImmediate(resolve))
  const once = async () => {
    const broker = await startBroker()
    await write(broker.port, 'x'.repeat(10_000))
    await broker.stop()
  }
  const state = async () => {
    for (let i = 0; i < 5; i++) await turn()
    collect()
    const handles = process.getActiveResourcesInfo().filter(kind => /TCP|Timeout|FSReq/.test(kind))
    return {
      handles: handles.sort(),
      listeners: process.eventNames().map(name => [name, process.listenerCount(name)]),
      folders: readdirSync(tmpdir()).filter(name => /^ottla(?!-)/.test(name)),
      heap: process.memoryUsage().heapUsed,
    }
  }
  for (let i = 0; i < 10; i++) await once()
  const { heap: before, ...first } = await state()
  for (let i = 0; i < 100; i++) await once()
  const { heap: afterwards, ...last } = await state()
  assert.deepEqual(last, first)
  // One broker kept by mistake holds more than 100 KiB, its staging arena and its settings.
  const growth = (afterwards - before) / 100
  assert.ok(growth < 50_000, `the heap grows by ${Math.round(growth)} bytes with each`)
})

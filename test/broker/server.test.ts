/** The limits on connections: how many, how long they may be quiet, and how they end when the broker does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_WAIT_MS } from '../../broker/api/fetch.ts'
import { Broker } from '../../broker/broker.ts'
import { loadConfig } from '../../broker/config.ts'
import { STALL_MAX_MS } from '../../broker/connection.ts'
import { silentLogger } from '../../broker/logger.ts'
import { Metrics } from '../../broker/metrics.ts'
import { Server } from '../../broker/server.ts'
import { systemIo } from '../../protocol/system-io.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { batchOf, fetchOne, produceOne } from './batches.ts'
import { FakeSocket, idle } from './fake-network.ts'
import { type Host, requestFrame, startHost } from './host.ts'

async function withHost(
  overrides: readonly string[],
  run: (host: Host) => Promise<void>,
): Promise<void> {
  const host = await startHost({ overrides })
  await host.createTopic('t')
  try {
    await run(host)
  } finally {
    await host.stop()
  }
  assert.equal(host.broker.budget.used, 0)
  assert.deepEqual(host.loggedErrors, [])
}

const list = { replicaId: -1, topics: [] }
const refusals = (host: Host, reason: 'max.connections' | 'max.connections.per.ip' | 'stopping') =>
  host.broker.metrics.refusedConnections.get(reason)

test('max.connections: the last that fits is served, one more is closed and counted', () =>
  withHost(['max.connections=2'], async host => {
    const [first, second] = [host.connect(), host.connect()]
    await second.call('ListOffsets', 1, list)
    const third = host.connect()
    await idle()
    assert.ok(third.isClosed)
    assert.equal(refusals(host, 'max.connections'), 1)
    first.socket.destroy()
    await idle()
    await host.connect().call('ListOffsets', 1, list)
    assert.equal(host.server.connectionCount, 2)
  }))

test('max.connections.per.ip counts each address for itself; overrides give single ones another limit', () =>
  withHost(
    ['max.connections.per.ip=1', 'max.connections.per.ip.overrides=10.0.0.9:2,10.0.0.8:0'],
    async host => {
      const isRefused = async (address: string) => {
        const client = host.connect(address)
        await idle()
        return client.isClosed
      }
      assert.equal(await isRefused('10.0.0.1'), false)
      assert.equal(await isRefused('10.0.0.1'), true)
      assert.equal(await isRefused('10.0.0.2'), false)
      assert.equal(await isRefused('10.0.0.9'), false)
      assert.equal(await isRefused('10.0.0.9'), false)
      assert.equal(await isRefused('10.0.0.9'), true)
      assert.equal(await isRefused('10.0.0.8'), true)
      assert.equal(refusals(host, 'max.connections.per.ip'), 3)
    },
  ))

test('an address whose connections have ended may connect again', () =>
  withHost(['max.connections.per.ip=1'], async host => {
    for (let i = 0; i < 3; i++) {
      const client = host.connect('10.0.0.1')
      await client.call('ListOffsets', 1, list)
      client.socket.destroy()
      await idle()
    }
  }))

test('connections.max.idle.ms: quiet for less stays, quiet for longer is closed', () =>
  withHost(['connections.max.idle.ms=5000'], async host => {
    const [quiet, busy] = [host.connect(), host.connect()]
    await host.io.advance(3000)
    await busy.call('ListOffsets', 1, list)
    await host.io.advance(1999)
    assert.ok(!quiet.isClosed)
    await host.io.advance(1)
    assert.ok(quiet.isClosed)
    assert.ok(!busy.isClosed)
    // Looked at once a second, and what was taken counts from the next look.
    await host.io.advance(4000)
    assert.ok(busy.isClosed)
  }))

test('a connection whose Fetch waits is not idle, up to the longest wait of a Fetch', () =>
  withHost(['connections.max.idle.ms=5000'], async host => {
    const client = host.connect()
    const polled = client.call('Fetch', 11, fetchOne('t', 0, 0, { maxWaitMs: 60_000 }))
    await host.io.advance(MAX_WAIT_MS - 1)
    assert.ok(!client.isClosed)
    await host.io.advance(1)
    assert.equal((await polled).errorCode, 0)
    assert.ok(!client.isClosed)
  }))

test('a negative connections.max.idle.ms keeps quiet connections', () =>
  withHost(['connections.max.idle.ms=-1'], async host => {
    const client = host.connect()
    await host.io.advance(86_400_000 / 24)
    assert.ok(!client.isClosed)
  }))

test('a peer that stops in the middle of a request is dropped, one that trickles is not', () =>
  withHost([], async host => {
    const [silent, slow] = [host.connect(), host.connect()]
    const frame = requestFrame('ListOffsets', 1, list, 1)
    silent.socket.deliver(frame.subarray(0, 7))
    const answer = slow.expect(1)
    slow.socket.deliver(frame.subarray(0, 1))
    for (let at = 1; at < frame.length; at++) {
      await host.io.advance(STALL_MAX_MS - 1000)
      assert.ok(!slow.isClosed)
      assert.equal(silent.isClosed, at > 1)
      slow.socket.deliver(frame.subarray(at, at + 1))
    }
    await answer
  }))

test('half a large request gives its buffer back when the peer is dropped', () =>
  withHost([], async host => {
    const client = host.connect()
    const records = await batchOf(['x'.repeat(500_000)])
    client.socket.deliver(
      requestFrame('Produce', 7, produceOne('t', 0, records), 1).subarray(0, 400_000),
    )
    assert.ok(host.broker.budget.used > 500_000)
    await host.io.advance(STALL_MAX_MS)
    assert.ok(client.isClosed)
    assert.equal(host.broker.budget.used, 0)
  }))

test('a peer that does not take its answers is not served further, and dropped in the end', () =>
  withHost([], async host => {
    const client = host.connect()
    await client.call('Produce', 7, produceOne('t', 0, await batchOf(['x'.repeat(700_000)])))
    client.socket.takesAll = false
    for (let id = 10; id < 20; id++) {
      client.socket.deliver(requestFrame('Fetch', 11, fetchOne('t', 0, 0), id))
      await idle()
    }
    const unsent = client.socket.unsentBytes
    assert.ok(unsent > 1024 * 1024 && unsent < 1024 * 1024 + 800_000, `${unsent} bytes unsent`)
    assert.ok(client.socket.isPaused)
    assert.ok(client.socket.unreadBytes > 0)
    assert.ok(host.broker.budget.used >= 1_400_000, 'unsent answers are charged')
    for (let i = 0; i < 3; i++) {
      await host.io.advance(STALL_MAX_MS - 2000)
      client.socket.take(1)
    }
    assert.ok(!client.isClosed, 'as long as it takes a byte now and then')
    await host.io.advance(STALL_MAX_MS + 1000)
    assert.ok(client.isClosed)
  }))

test('a slow peer is served on when it has taken enough', () =>
  withHost([], async host => {
    const client = host.connect()
    await client.call('Produce', 7, produceOne('t', 0, await batchOf(['x'.repeat(700_000)])))
    client.socket.takesAll = false
    const answers: Promise<Buffer>[] = []
    for (let id = 10; id < 16; id++) {
      answers.push(client.expect(id))
      client.socket.deliver(requestFrame('Fetch', 11, fetchOne('t', 0, 0), id))
    }
    for (let i = 0; i < 12; i++) {
      await idle()
      client.socket.take()
    }
    await Promise.all(answers)
    assert.deepEqual(client.answered, [1, 10, 11, 12, 13, 14, 15])
  }))

test('stopping answers what was started, starts nothing more, and closes idle connections at once', async () => {
  const host = await startHost()
  await host.createTopic('t')
  const partition = host.broker.replicas.partition('t', 0)
  const { written } = partition
  partition.written = () => {}
  const [idling, waiting] = [host.connect(), host.connect()]
  const produced = waiting.call('Produce', 7, produceOne('t', 0, await batchOf(['a']), -1))
  await idle()
  const stopped = host.server.stop()
  await idle()
  assert.ok(idling.isClosed)
  assert.ok(!waiting.isClosed)
  waiting.socket.deliver(requestFrame('Produce', 7, produceOne('t', 0, await batchOf(['b'])), 9))
  const late = host.connect()
  await idle()
  assert.ok(late.isClosed)
  assert.equal(refusals(host, 'stopping'), 1)
  partition.written = written
  partition.written(1)
  await produced
  await stopped
  assert.ok(waiting.isClosed)
  assert.equal(partition.log.logEndOffset, 1, 'what came after the stop was not started')
  await host.stop()
})

test('stopping waits a bounded time for answers and peers, then closes', async () => {
  const host = await startHost()
  const [stuck, stubborn] = [host.connect(), host.connect()]
  stubborn.socket.peerFollows = false
  await host.createTopic('t')
  const polled = stuck.call('Fetch', 11, fetchOne('t', 0, 0, { maxWaitMs: 60_000 }))
  polled.catch(() => {})
  await idle()
  let isStopped = false
  const stopped = host.server.stop().then(() => {
    isStopped = true
  })
  await host.io.advance(4999)
  assert.ok(!isStopped)
  await host.io.advance(1)
  await stopped
  assert.equal(host.server.connectionCount, 0)
  await host.stop()
})

test('a peer that ends its side first and one that never follows ours: neither stays', () =>
  withHost([], async host => {
    const stubborn = host.connect()
    stubborn.socket.peerFollows = false
    const polled = stubborn.call('Fetch', 11, fetchOne('t', 0, 0, { maxWaitMs: 1000 }))
    stubborn.socket.peerEnds()
    await host.io.advance(1000)
    await polled
    assert.ok(stubborn.isClosed)
  }))

/** A server on real sockets, for what only they can say. */
async function openServer(listeners: string): Promise<{ server: Server; stop(): Promise<void> }> {
  const broker = await Broker.start({
    config: loadConfig({ overrides: [`listeners=${listeners}`], flags: { dataDir: '/ottla' } }),
    io: systemIo(),
    disk: new MemoryDisk(),
    logger: silentLogger,
    metrics: new Metrics(),
    version: 'test',
  })
  try {
    const server = await Server.open(broker)
    const stop = async () => {
      await server.stop()
      await broker.stop()
    }
    return { server, stop }
  } catch (error) {
    await broker.stop()
    throw error
  }
}

test('a port that is taken is named, with what to do, and nothing stays open', async () => {
  const { server, stop } = await openServer('PLAINTEXT://127.0.0.1:0')
  const { port } = server.addresses[0]!
  const second = openServer(`A://127.0.0.1:0,PLAINTEXT://127.0.0.1:${port}`)
  await assert.rejects(second, /./)
  const single = openServer(`PLAINTEXT://127.0.0.1:${port}`)
  await assert.rejects(single, new RegExp(`listener PLAINTEXT: 127.0.0.1:${port} is taken`))
  await stop()
})

test('an address of another machine is refused with a word', async () => {
  await assert.rejects(openServer('PLAINTEXT://192.0.2.1:0'), /192.0.2.1 is not an address of this/)
})

test('localhost is both loopback addresses, on one port', async () => {
  const { server, stop } = await openServer('PLAINTEXT://localhost:0')
  const [first, ...others] = server.addresses
  assert.equal(first!.host, '127.0.0.1')
  assert.ok(first!.port > 0)
  for (const { host, port } of others) {
    assert.equal(host, '::1')
    assert.equal(port, first!.port)
  }
  await stop()
})

test('a socket that is refused was never given a receiver', () =>
  withHost(['max.connections=1'], async host => {
    host.connect()
    const socket = new FakeSocket()
    host.io.connect(socket)
    await idle()
    assert.ok(socket.isDestroyed)
  }))

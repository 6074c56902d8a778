/** Door 1 on Node: what the sockets, turns and clocks of the system promise. */
import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import type { Receiver, Socket } from '../../protocol/io.ts'
import { systemIo } from '../../protocol/system-io.ts'

/** Keeps what comes; pauses when told to. */
class Keeper implements Receiver {
  readonly chunks: Buffer[] = []
  readonly events: string[] = []
  isPausing = false
  private readonly shared = Buffer.alloc(1024)
  private wakers: { isTrue: () => boolean; resolve: () => void }[] = []

  buffer(): Buffer {
    return this.shared
  }

  received(buffer: Buffer, count: number): boolean {
    this.chunks.push(Buffer.from(buffer.subarray(0, count)))
    this.wake()
    return !this.isPausing
  }

  ended(): void {
    this.events.push('ended')
    this.wake()
  }

  closed(error: Error | null): void {
    this.events.push(error === null ? 'closed' : 'closed with an error')
    this.wake()
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  until(isTrue: () => boolean): Promise<void> {
    return new Promise(resolve => {
      this.wakers.push({ isTrue, resolve })
      this.wake()
    })
  }

  private wake(): void {
    for (const { isTrue, resolve } of this.wakers) if (isTrue()) resolve()
  }
}

/** A connection: our accepted socket, and the peer as a plain socket of Node. */
async function connection(): Promise<{
  socket: Socket
  peer: net.Socket
  close(): Promise<void>
}> {
  const io = systemIo()
  let accepted: (socket: Socket) => void = () => {}
  const socket = new Promise<Socket>(resolve => {
    accepted = resolve
  })
  const listener = await io.network.listen('127.0.0.1', 0, one => accepted(one))
  const peer = net.connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true })
  peer.on('error', () => {})
  await new Promise<void>(resolve => peer.once('connect', resolve))
  const ours = await socket
  const close = async () => {
    peer.destroy()
    ours.destroy()
    await listener.close()
  }
  return { socket: ours, peer, close }
}

test('bytes arrive in the receiver’s buffer, also those that came before it was there', async () => {
  const { socket, peer, close } = await connection()
  await new Promise<void>(resolve => {
    peer.write('early ', () => resolve())
  })
  await new Promise(resolve => setImmediate(resolve))
  const keeper = new Keeper()
  socket.start(keeper)
  peer.write('late')
  await keeper.until(() => keeper.text === 'early late')
  await close()
})

test('a socket tells both of its addresses', async () => {
  const { socket, peer, close } = await connection()
  assert.equal(socket.localAddress, '127.0.0.1')
  assert.equal(socket.localPort, peer.remotePort)
  assert.equal(socket.remoteAddress, '127.0.0.1')
  assert.equal(socket.remotePort, peer.localPort)
  await close()
})

test('a receiver that says stop hears nothing more until resume', async () => {
  const { socket, peer, close } = await connection()
  const keeper = new Keeper()
  keeper.isPausing = true
  socket.start(keeper)
  const total = 300_000
  peer.write(Buffer.alloc(total, 'x'))
  await keeper.until(() => keeper.chunks.length === 1)
  for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
  assert.equal(keeper.chunks.length, 1)
  keeper.isPausing = false
  socket.resume()
  await keeper.until(() => keeper.text.length === total)
  await close()
})

test('chunks leave in order, and the sender is told when the kernel has them', async () => {
  const { socket, peer, close } = await connection()
  socket.start(new Keeper())
  let got = ''
  let done = () => {}
  const all = new Promise<void>(resolve => {
    done = resolve
  })
  peer.on('data', chunk => {
    got += chunk
    if (got.length === 7) done()
  })
  await new Promise<void>(resolve => {
    socket.write([Buffer.from('a'), Buffer.from('bcd'), Buffer.from('ef')], resolve)
    socket.write([Buffer.from('g')])
  })
  await all
  assert.equal(got, 'abcdefg')
  await close()
})

test('what a peer does not take is unsent; when it takes some, the mark moves', async () => {
  const { socket, peer, close } = await connection()
  socket.start(new Keeper())
  peer.pause()
  let isSent = false
  socket.write([Buffer.alloc(20_000_000)], () => {
    isSent = true
  })
  for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
  assert.ok(socket.unsentBytes > 1_000_000)
  assert.equal(isSent, false)
  const mark = socket.sendMark
  let taken = 0
  const moved = new Promise<void>(resolve => {
    peer.on('data', chunk => {
      taken += chunk.length
      if (taken >= 15_000_000) {
        peer.pause()
        resolve()
      }
    })
  })
  peer.resume()
  await moved
  for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
  assert.notEqual(socket.sendMark, mark)
  await close()
})

for (const when of ['while it is unsent', 'after the socket has closed']) {
  test(`the sender is told exactly once: the connection ends ${when}`, async () => {
    const { socket, peer, close } = await connection()
    const keeper = new Keeper()
    socket.start(keeper)
    peer.pause()
    let told = 0
    let tell = () => {}
    const heard = new Promise<void>(resolve => {
      tell = resolve
    })
    const sent = () => {
      told++
      tell()
    }
    const chunks = [Buffer.alloc(10_000_000), Buffer.alloc(10_000_000), Buffer.alloc(1)]
    if (when === 'while it is unsent') socket.write(chunks, sent)
    socket.destroy()
    await keeper.until(() => keeper.events.includes('closed'))
    if (when !== 'while it is unsent') socket.write(chunks, sent)
    await heard
    for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
    assert.equal(told, 1)
    assert.deepEqual(keeper.events, ['closed'])
    await close()
  })
}

test('a peer that has ended its side can still be answered; then the connection closes', async () => {
  const { socket, peer, close } = await connection()
  const keeper = new Keeper()
  socket.start(keeper)
  peer.end('question')
  await keeper.until(() => keeper.events.includes('ended'))
  assert.equal(keeper.text, 'question')
  let got = ''
  peer.on('data', chunk => {
    got += chunk
  })
  const ended = new Promise<void>(resolve => peer.on('end', () => resolve()))
  socket.write([Buffer.from('answer')])
  socket.end()
  await ended
  assert.equal(got, 'answer')
  await keeper.until(() => keeper.events.includes('closed'))
  assert.deepEqual(keeper.events, ['ended', 'closed'])
  await close()
})

test('a paused socket that has ended notices its peer’s end once it is resumed', async () => {
  const { socket, peer, close } = await connection()
  const keeper = new Keeper()
  socket.start(keeper)
  socket.pause()
  socket.end()
  peer.on('end', () => peer.end())
  peer.resume()
  socket.resume()
  await keeper.until(() => keeper.events.includes('closed'))
  await close()
})

test('a reset is a close, told once', async () => {
  const { socket, peer, close } = await connection()
  const keeper = new Keeper()
  socket.start(keeper)
  peer.write('x')
  await keeper.until(() => keeper.text === 'x')
  peer.resetAndDestroy()
  await keeper.until(() => keeper.events.some(event => event.startsWith('closed')))
  for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
  assert.equal(keeper.events.filter(event => event.startsWith('closed')).length, 1)
  await close()
})

test('a socket that is destroyed before it was started is just gone', async () => {
  const { socket, peer, close } = await connection()
  socket.destroy()
  await new Promise<void>(resolve =>
    peer
      .on('close', () => resolve())
      .resume()
      .end(),
  )
  await close()
})

test('a port that is taken, and one where nobody listens, reject with Node’s code', async () => {
  const { network } = systemIo()
  const listener = await network.listen('127.0.0.1', 0, () => {})
  await assert.rejects(
    network.listen('127.0.0.1', listener.port, () => {}),
    { code: 'EADDRINUSE' },
  )
  await listener.close()
  await assert.rejects(network.connect('127.0.0.1', listener.port, 1000), { code: 'ECONNREFUSED' })
})

test('a connection that we make survives a reset before it is started', async () => {
  const accepted: net.Socket[] = []
  const server = net.createServer(one => accepted.push(one)).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as net.AddressInfo
  const socket = await systemIo().network.connect('127.0.0.1', port, 1000)
  while (accepted.length === 0) await new Promise(resolve => setImmediate(resolve))
  accepted[0]!.resetAndDestroy()
  await new Promise(resolve => accepted[0]!.once('close', resolve))
  for (let i = 0; i < 10; i++) await new Promise(resolve => setImmediate(resolve))
  const keeper = new Keeper()
  socket.start(keeper)
  await keeper.until(() => keeper.events.length > 0)
  assert.match(keeper.events.join(), /^closed/)
  server.close()
})

test('at the end of a turn all writes come before all answers; what they ask for comes a turn later', async () => {
  const { turn } = systemIo()
  const order: string[] = []
  turn.answer(() => order.push('answer 1'))
  turn.write(() => {
    order.push('write 1')
    turn.write(() => order.push('write 3'))
  })
  turn.write(() => order.push('write 2'))
  turn.answer(() => order.push('answer 2'))
  assert.deepEqual(order, [])
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(order, ['write 1', 'write 2', 'answer 1', 'answer 2'])
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(order.at(-1), 'write 3')
})

test('a cancelled timer does not fire, another one does; ids are 16 bytes', async () => {
  const { clock, uuid, random } = systemIo()
  let isFired = false
  clock
    .timer(
      0,
      () => {
        isFired = true
      },
      true,
    )
    .cancel()
  const before = clock.monotonicMs()
  await new Promise<void>(resolve => clock.timer(5, resolve, true))
  assert.equal(isFired, false)
  assert.ok(clock.monotonicMs() - before >= 4)
  assert.equal(Buffer.from(uuid(), 'base64url').length, 16)
  assert.notEqual(uuid(), uuid())
  const value = random()
  assert.ok(value >= 0 && value < 1)
})

/**
 * Door 1 on Node: the system's clock, TCP sockets and randomness.
 *
 * Sockets are read with `onread`, straight into the receiver's buffer (2.5 times less CPU than 'data' events).
 * `net.createServer` has no such option, so the handle of an accepted socket moves to a socket of our making; `handle` is
 * not a documented option, so where it is missing 'data' events serve instead.
 *
 * Node asks for the next buffer right after a read, not before the next one, so the bytes may come into a buffer that
 * the receiver no longer expects: the receiver is told which one it was.
 */
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import { performance } from 'node:perf_hooks'
import type { Io, Listener, Receiver, Socket, Timer, Turn } from './io.ts'

/** Bun takes `onread`, and never calls it (1.4): there, 'data' events serve. */
const readsByEvents = process.versions['bun'] !== undefined

/** Used until a receiver is there to give its own. */
const firstBuffer = Buffer.allocUnsafeSlow(65536)

class SystemSocket implements Socket {
  private readonly socket: net.Socket
  private receiver: Receiver | null = null
  private readonly early: Buffer[] = []
  private error: Error | null = null
  private isClosed = false

  /** `make` gets the callbacks for `onread`; a socket made without them is read by 'data' events. */
  constructor(make: (onread: net.OnReadOpts) => net.Socket, byEvents = readsByEvents) {
    this.socket = make({
      buffer: () => this.receiver?.buffer() ?? firstBuffer,
      callback: (count, buffer) => this.received(buffer as Buffer, count),
    })
    // From the first moment: an error that nobody listens for would end the process.
    this.socket.on('error', error => {
      this.error = error
    })
    this.socket.on('close', () => {
      this.isClosed = true
      this.receiver?.closed(this.error)
    })
    if (byEvents) {
      this.socket.on('data', chunk => {
        if (!this.received(chunk, chunk.length)) this.socket.pause()
      })
    }
  }

  get localAddress(): string {
    return this.socket.localAddress ?? ''
  }

  get localPort(): number {
    return this.socket.localPort ?? 0
  }

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? ''
  }

  get remotePort(): number {
    return this.socket.remotePort ?? 0
  }

  get unsentBytes(): number {
    return this.socket.writableLength
  }

  get sendMark(): number {
    // Not documented, but what Node's own socket time-out looks at; without it only whole writes count.
    const handle = (this.socket as unknown as HandleOwner)._handle
    return this.socket.writableLength + (handle?.writeQueueSize ?? 0)
  }

  start(receiver: Receiver): void {
    const { socket } = this
    this.receiver = receiver
    if (this.isClosed) return queueMicrotask(() => receiver.closed(this.error))
    socket.on('end', () => receiver.ended())
    for (const bytes of this.early.splice(0)) receiver.received(bytes, bytes.length)
    socket.resume()
  }

  write(chunks: readonly Buffer[], sent?: () => void): void {
    const { socket } = this
    if (socket.destroyed || chunks.length === 0) {
      if (sent !== undefined) queueMicrotask(sent)
      return
    }
    const last = chunks.length - 1
    if (last > 0) socket.cork()
    for (let i = 0; i < last; i++) socket.write(chunks[i]!)
    if (sent === undefined) socket.write(chunks[last]!)
    else socket.write(chunks[last]!, () => sent())
    if (last > 0) socket.uncork()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  private received(buffer: Buffer, count: number): boolean {
    if (this.receiver !== null) return this.receiver.received(buffer, count)
    this.early.push(Buffer.from(buffer.subarray(0, count)))
    return true
  }
}

interface HandleOwner {
  _handle: { writeQueueSize?: number } | null
}

/** Moves an accepted connection to a socket that is read with `onread`. */
function adopt(accepted: net.Socket): SystemSocket {
  const owner = accepted as unknown as HandleOwner
  const handle = owner._handle
  if (readsByEvents || handle === null || handle === undefined)
    return new SystemSocket(() => accepted, true)
  owner._handle = null
  accepted.destroy()
  return new SystemSocket(onread => {
    const options = { handle, onread, readable: true, writable: true, allowHalfOpen: true }
    return new net.Socket(options as net.SocketConstructorOpts)
  })
}

function listen(host: string, port: number, accept: (socket: Socket) => void): Promise<Listener> {
  const options = { pauseOnConnect: true, noDelay: true, allowHalfOpen: true }
  const server = net.createServer(options, accepted => {
    accepted.on('error', () => {})
    accept(adopt(accepted))
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: 1024 }, () => {
      server.off('error', reject)
      // Accepting may fail later (EMFILE): the connection is lost, the listener goes on.
      server.on('error', () => {})
      const { address, port: bound } = server.address() as net.AddressInfo
      resolve({
        address,
        port: bound,
        close: () => new Promise<void>(done => server.close(() => done())),
      })
    })
  })
}

function connect(host: string, port: number, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let raw: net.Socket | undefined
    const socket = new SystemSocket(onread => {
      const options = { host, port, noDelay: true, keepAlive: true }
      raw = net.connect(readsByEvents ? options : { ...options, onread })
      return raw
    })
    const timer = setTimeout(() => {
      raw!.destroy()
      reject(new Error(`no answer from ${host}:${port} within ${timeoutMs} ms`))
    }, timeoutMs)
    raw!.once('error', error => {
      clearTimeout(timer)
      reject(error)
    })
    raw!.once('connect', () => {
      clearTimeout(timer)
      resolve(socket)
    })
  })
}

/** One `setImmediate` for all that waits for the end of a turn. */
function systemTurn(): Turn {
  let writes: (() => void)[] = []
  let answers: (() => void)[] = []
  let scheduled = false
  const schedule = () => {
    if (scheduled) return
    scheduled = true
    setImmediate(endTurn)
  }
  const endTurn = () => {
    scheduled = false
    const [nowWrites, nowAnswers] = [writes, answers]
    writes = []
    answers = []
    for (const callback of nowWrites) callback()
    for (const callback of nowAnswers) callback()
  }
  return {
    write(callback) {
      writes.push(callback)
      schedule()
    },
    answer(callback) {
      answers.push(callback)
      schedule()
    },
  }
}

function timer(delayMs: number, callback: () => void, keepsAlive = false): Timer {
  const handle = setTimeout(callback, delayMs)
  if (!keepsAlive) handle.unref()
  return { cancel: () => clearTimeout(handle) }
}

/** A fresh `Io`; brokers of one process may each have their own. */
export function systemIo(): Io {
  return {
    clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now(), timer },
    turn: systemTurn(),
    network: { listen, connect },
    random: () => Math.random(),
    uuid: () => randomBytes(16).toString('base64url'),
  }
}

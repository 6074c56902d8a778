/**
 * A real broker without sockets: in memory, with a clock that moves when told, and clients whose every byte the test
 * controls. What the tests of the connection, of the handlers and the fuzzing driver stand on.
 *
 *   const host = await startHost({ overrides: ['num.partitions=3'] })
 *   const client = host.connect()
 *   const response = await client.call('Metadata', 9, { topics: null })
 *   await host.stop()
 *
 * Turns end by themselves (`setImmediate`), or when the test says so after `io.holdsTurns = true`.
 */
import assert from 'node:assert/strict'
import { Broker } from '../../broker/broker.ts'
import { loadConfig } from '../../broker/config.ts'
import { Metrics } from '../../broker/metrics.ts'
import { Server } from '../../broker/server.ts'
import {
  type ApiName,
  apis,
  type RequestInput,
  type ResponseInput,
  type ResponseOf,
} from '../../protocol/apis.ts'
import { Reader, Writer } from '../../protocol/buffer.ts'
import { beginRequest, endFrame, hasResponseTags, skipTags } from '../../protocol/frame.ts'
import type { Io, Listener, Receiver, Socket, Timer } from '../../protocol/io.ts'
import { type Api, isFlexible } from '../../protocol/schema.ts'
import type { Disk } from '../../segment-store/disk.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { seededRandom } from '../tiers.ts'
import { recordingLogger } from './harness.ts'

/** When the fake clock starts: any moment will do, but not 0. */
export const START_MS = 1_700_000_000_000

interface PendingTimer extends Timer {
  readonly atMs: number
  readonly callback: () => void
}

export class FakeIo implements Io {
  elapsedMs = 0
  /** The test ends turns with `endTurn`. */
  holdsTurns = false
  readonly random: () => number
  private readonly timers = new Set<PendingTimer>()
  private writes: (() => void)[] = []
  private answers: (() => void)[] = []
  private isScheduled = false
  private accept: ((socket: Socket) => void) | null = null

  constructor(seed = 1) {
    this.random = seededRandom(seed)
  }

  readonly clock: Io['clock'] = {
    nowMs: () => START_MS + this.elapsedMs,
    monotonicMs: () => this.elapsedMs,
    timer: (delayMs, callback) => {
      const timer: PendingTimer = {
        atMs: this.elapsedMs + delayMs,
        callback,
        cancel: () => this.timers.delete(timer),
      }
      this.timers.add(timer)
      return timer
    },
  }

  readonly turn: Io['turn'] = {
    write: callback => {
      this.writes.push(callback)
      this.schedule()
    },
    answer: callback => {
      this.answers.push(callback)
      this.schedule()
    },
  }

  readonly network: Io['network'] = {
    listen: async (host, port, accept): Promise<Listener> => {
      this.accept = accept
      return { address: host, port: port === 0 ? 9092 : port, close: async () => {} }
    },
    connect: () => assert.fail('nothing here connects to others'),
  }

  uuid = () => {
    const bytes = Buffer.from(Array.from({ length: 16 }, () => Math.floor(this.random() * 256)))
    return bytes.toString('base64url')
  }

  get timerCount(): number {
    return this.timers.size
  }

  /** Lets the time pass, and what was due in it happen. */
  async advance(ms: number): Promise<void> {
    const end = this.elapsedMs + ms
    for (;;) {
      let next: PendingTimer | null = null
      for (const timer of this.timers) {
        if (timer.atMs <= end && (next === null || timer.atMs < next.atMs)) next = timer
      }
      if (next === null) break
      this.timers.delete(next)
      this.elapsedMs = Math.max(this.elapsedMs, next.atMs)
      next.callback()
      await idle()
    }
    this.elapsedMs = end
    await idle()
  }

  /** Ends a turn: all writes, then all answers, as the contract of `Turn` says. */
  endTurn(): void {
    this.isScheduled = false
    const [writes, answers] = [this.writes, this.answers]
    this.writes = []
    this.answers = []
    for (const callback of writes) callback()
    for (const callback of answers) callback()
  }

  /** Hands a connection to the listener. */
  connect(socket: FakeSocket): void {
    assert.ok(this.accept !== null, 'nobody listens')
    this.accept(socket)
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    setImmediate(() => {
      if (!this.holdsTurns) this.endTurn()
      else this.isScheduled = false
    })
  }
}

/** Everything that can happen without the clock has happened. */
export async function idle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise<void>(resolve => setImmediate(resolve))
}

interface Pending {
  readonly bytes: Buffer
  taken: number
  readonly sent: (() => void) | undefined
}

/**
 * The broker's end of a connection. As with a real one, a paused socket neither reads nor notices that the peer has
 * ended, what is written stays unsent until the peer takes it, and `closed` comes once, last, and not at once.
 */
export class FakeSocket implements Socket {
  readonly localAddress = '127.0.0.1'
  readonly localPort = 9092
  readonly remoteAddress: string
  readonly remotePort: number
  isPaused = false
  isDestroyed = false
  /** The broker has said that it will send no more. */
  hasEnded = false
  /** Whether the peer closes its side when the broker has ended, as clients do. */
  peerFollows = true
  /** Whether the peer takes what is sent at once; otherwise `take` does. */
  takesAll = true
  /** What the peer has got. */
  output: Buffer[] = []
  /** How often something was written: answers of a turn are joined. */
  writes = 0
  sendMark = 0
  onOutput: () => void = () => {}
  onClosed: () => void = () => {}
  private receiver: Receiver | null = null
  private inbox: Buffer[] = []
  private hasPeerEnded = false
  private wasEndTold = false
  private readonly unsent: Pending[] = []

  constructor(remoteAddress = '127.0.0.1', remotePort = 50_000) {
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
  }

  get unsentBytes(): number {
    let total = 0
    for (const { bytes, taken } of this.unsent) total += bytes.length - taken
    return total
  }

  /** Bytes that the broker has not read yet. */
  get unreadBytes(): number {
    return this.inbox.reduce((total, { length }) => total + length, 0)
  }

  // The broker's side.

  start(receiver: Receiver): void {
    this.receiver = receiver
    this.pump()
  }

  write(chunks: readonly Buffer[], sent?: () => void): void {
    this.writes++
    if (this.isDestroyed) {
      if (sent !== undefined) queueMicrotask(sent)
      return
    }
    chunks.forEach((bytes, i) => {
      this.unsent.push({ bytes, taken: 0, sent: i === chunks.length - 1 ? sent : undefined })
    })
    if (this.takesAll) queueMicrotask(() => this.take())
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    queueMicrotask(() => this.pump())
  }

  end(): void {
    if (this.hasEnded || this.isDestroyed) return
    this.hasEnded = true
    queueMicrotask(() => this.maybeClose())
  }

  destroy(): void {
    if (this.isDestroyed) return
    this.isDestroyed = true
    this.inbox = []
    queueMicrotask(() => {
      for (const { sent } of this.unsent.splice(0)) sent?.()
      this.receiver?.closed(null)
      this.onClosed()
    })
  }

  // The peer's side.

  /** The peer sends these bytes; they arrive in pieces of at most `pieceBytes`. */
  deliver(bytes: Buffer, pieceBytes = Number.POSITIVE_INFINITY): void {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      this.inbox.push(bytes.subarray(at, Math.min(bytes.length, at + pieceBytes)))
    }
    this.pump()
  }

  /** The peer takes so many of the unsent bytes; all, unless told otherwise. */
  take(count = Number.POSITIVE_INFINITY): void {
    while (count > 0 && this.unsent.length > 0 && !this.isDestroyed) {
      const first = this.unsent[0]!
      const end = Math.min(first.bytes.length, first.taken + count)
      // Copied only now: whoever reuses the buffer before it was taken is found out.
      this.output.push(Buffer.from(first.bytes.subarray(first.taken, end)))
      count -= end - first.taken
      this.sendMark += end - first.taken
      first.taken = end
      if (end < first.bytes.length) break
      this.unsent.shift()
      first.sent?.()
    }
    this.onOutput()
    this.maybeClose()
  }

  /** The peer will send no more. */
  peerEnds(): void {
    this.hasPeerEnded = true
    this.pump()
  }

  private pump(): void {
    while (!this.isPaused && !this.isDestroyed && this.inbox.length > 0 && this.receiver !== null) {
      const bytes = this.inbox[0]!
      const into = this.receiver.buffer()
      assert.ok(into.length > 0, 'a receiver always has room')
      const count = bytes.copy(into)
      if (count === bytes.length) this.inbox.shift()
      else this.inbox[0] = bytes.subarray(count)
      if (!this.receiver.received(into, count)) this.isPaused = true
    }
    if (this.inbox.length > 0 || this.isPaused || this.isDestroyed) return
    if (!this.hasPeerEnded || this.wasEndTold || this.receiver === null) return
    this.wasEndTold = true
    this.receiver.ended()
    this.maybeClose()
  }

  private maybeClose(): void {
    if (!this.hasEnded || this.unsent.length > 0) return
    if (this.peerFollows && !this.hasPeerEnded) this.peerEnds()
    if (this.wasEndTold) this.destroy()
  }
}

/** One request as a frame. */
export function requestFrame<N extends ApiName>(
  name: N,
  version: number,
  request: RequestInput<N>,
  correlationId: number,
  clientId: string | null = 'test',
): Buffer {
  const api: Api = apis[name]
  const writer = new Writer()
  const start = beginRequest(writer, api, version, correlationId, clientId)
  api.request.at(version, isFlexible(api, version)).write(writer, request)
  endFrame(writer, start, 0)
  return Buffer.from(writer.bytes())
}

/** One response without its length. Fails if bytes are left over. */
export function readResponse<N extends ApiName>(
  name: N,
  version: number,
  frame: Buffer,
): ResponseOf<N> {
  const api: Api = apis[name]
  const reader = new Reader(frame)
  reader.int32()
  if (hasResponseTags(api, version)) skipTags(reader)
  const response = api.response.at(version, isFlexible(api, version)).read(reader)
  assert.equal(reader.remaining, 0, `${name} v${version}: bytes behind the response`)
  return response as ResponseOf<N>
}

/** What a broker would send, for comparisons. */
export function responseBytes<N extends ApiName>(
  name: N,
  version: number,
  response: ResponseInput<N>,
): Buffer {
  const api: Api = apis[name]
  const writer = new Writer()
  api.response.at(version, isFlexible(api, version)).write(writer, response)
  return Buffer.from(writer.bytes())
}

interface Asked {
  readonly correlationId: number
  readonly resolve: (frame: Buffer) => void
  readonly reject: (error: Error) => void
}

/** A client at the other end of a FakeSocket. */
export class FakeClient {
  readonly socket: FakeSocket
  isClosed = false
  /** Correlation ids of the answers, in the order in which they came. */
  readonly answered: number[] = []
  private readonly asked = new Map<number, Asked>()
  private nextId = 1
  private rest: Buffer = Buffer.alloc(0)

  constructor(socket: FakeSocket) {
    this.socket = socket
    socket.onOutput = () => this.read()
    socket.onClosed = () => {
      this.isClosed = true
      for (const { reject } of this.asked.values()) reject(new Error('connection closed'))
      this.asked.clear()
    }
  }

  /** Sends a request; resolves with the answer, rejects when the connection closes before it. */
  call<N extends ApiName>(
    name: N,
    version: number,
    request: RequestInput<N>,
  ): Promise<ResponseOf<N>> {
    const id = this.nextId++
    const answer = this.expect(id)
    this.socket.deliver(requestFrame(name, version, request, id))
    return answer.then(frame => readResponse(name, version, frame))
  }

  /** Several requests in one piece of bytes. */
  callAll<N extends ApiName>(
    name: N,
    version: number,
    requests: readonly RequestInput<N>[],
  ): Promise<ResponseOf<N>[]> {
    const frames: Buffer[] = []
    const answers = requests.map(request => {
      const id = this.nextId++
      frames.push(requestFrame(name, version, request, id))
      return this.expect(id).then(frame => readResponse(name, version, frame))
    })
    this.socket.deliver(Buffer.concat(frames))
    return Promise.all(answers)
  }

  /** Sends a request that has no answer (acks=0). */
  tell<N extends ApiName>(name: N, version: number, request: RequestInput<N>): void {
    this.socket.deliver(requestFrame(name, version, request, this.nextId++))
  }

  /** The answer with this correlation id, without its length. */
  expect(correlationId: number): Promise<Buffer> {
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.asked.set(correlationId, { correlationId, resolve, reject })
    })
    // A test may look at the answer later than at the end of the connection.
    answer.catch(() => {})
    return answer
  }

  private read(): void {
    this.rest = Buffer.concat([this.rest, ...this.socket.output.splice(0)])
    while (this.rest.length >= 4) {
      const size = this.rest.readInt32BE(0)
      if (this.rest.length < 4 + size) return
      const frame = this.rest.subarray(4, 4 + size)
      this.rest = this.rest.subarray(4 + size)
      const id = frame.readInt32BE(0)
      this.answered.push(id)
      this.asked.get(id)?.resolve(frame)
      this.asked.delete(id)
    }
  }
}

/** A broker in memory with its listener, and the strings that tests pull. */
export class Host {
  readonly io: FakeIo
  readonly broker: Broker
  readonly server: Server
  readonly disk: Disk
  readonly logger: ReturnType<typeof recordingLogger>
  private readonly clients: FakeClient[] = []

  constructor(parts: {
    io: FakeIo
    broker: Broker
    server: Server
    disk: Disk
    logger: ReturnType<typeof recordingLogger>
  }) {
    this.io = parts.io
    this.broker = parts.broker
    this.server = parts.server
    this.disk = parts.disk
    this.logger = parts.logger
  }

  connect(remoteAddress = '127.0.0.1'): FakeClient {
    const client = new FakeClient(new FakeSocket(remoteAddress, 50_000 + this.clients.length))
    this.clients.push(client)
    this.io.connect(client.socket)
    return client
  }

  async createTopic(
    name: string,
    partitions = 1,
    configs: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const client = this.connect()
    const { topics } = await client.call('CreateTopics', 7, {
      topics: [
        {
          name,
          numPartitions: partitions,
          replicationFactor: 1,
          assignments: [],
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
      timeoutMs: 1000,
    })
    assert.equal(topics[0]!.errorCode, 0, topics[0]!.errorMessage ?? '')
    client.socket.destroy()
    await idle()
    return topics[0]!.topicId
  }

  /** Errors that were logged: a broker that answers peers properly logs none. */
  get loggedErrors(): readonly unknown[] {
    return this.logger.lines.filter(({ level }) => level === 'error')
  }

  async stop(): Promise<void> {
    this.io.holdsTurns = false
    for (const { socket } of this.clients) socket.destroy()
    await idle()
    await this.server.stop()
    await this.broker.stop()
  }
}

export async function startHost(
  options: { overrides?: readonly string[]; seed?: number; disk?: Disk } = {},
): Promise<Host> {
  const { overrides = [], seed = 1 } = options
  const io = new FakeIo(seed)
  const config = loadConfig({
    overrides: ['listeners=PLAINTEXT://127.0.0.1:9092', ...overrides],
    flags: { dataDir: '/ottla' },
  })
  const logger = recordingLogger()
  const disk = options.disk ?? new MemoryDisk(() => io.clock.nowMs())
  const metrics = new Metrics()
  const broker = await Broker.start({ config, io, disk, logger, metrics, version: 'test' })
  const server = await Server.open(broker)
  return new Host({ io, broker, server, disk, logger })
}

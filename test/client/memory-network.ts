/**
 * A network in memory and a clock that moves only when told, for tests of the client; and brokers that answer from a
 * script. `settle` runs a promise to its end: whenever nothing else can happen it moves the clock to the next timer.
 */
import {
  type ApiName,
  apiByKey,
  apis,
  type RequestOf,
  type ResponseInput,
} from '../../protocol/apis.ts'
import { Reader } from '../../protocol/buffer.ts'
import {
  beginResponse,
  endFrame,
  FrameDecoder,
  frameWriter,
  readRequestHeader,
  skipTags,
} from '../../protocol/frame.ts'
import type { Io, Listener, Receiver, Socket, Timer } from '../../protocol/io.ts'
import { isFlexible } from '../../protocol/schema.ts'

interface PendingTimer extends Timer {
  readonly atMs: number
  readonly callback: () => void
}

export class MemoryIo implements Io {
  private nowMs = 1_000
  private readonly timers = new Set<PendingTimer>()
  private readonly listeners = new Map<string, (socket: Socket) => void>()
  /** Bytes arrive in pieces of at most this size. */
  chunkBytes = Number.POSITIVE_INFINITY
  /** What each wait between attempts was: timers that keep the process alive. */
  readonly pausesMs: number[] = []
  connects = 0

  readonly clock: Io['clock'] = {
    nowMs: () => this.nowMs,
    monotonicMs: () => this.nowMs,
    timer: (delayMs, callback, keepsAlive = false) => {
      if (keepsAlive) this.pausesMs.push(delayMs)
      const atMs = this.nowMs + delayMs
      const timer = { atMs, callback, cancel: () => void this.timers.delete(timer) }
      this.timers.add(timer)
      return timer
    },
  }

  readonly turn: Io['turn'] = { write: queueMicrotask, answer: queueMicrotask }

  readonly network: Io['network'] = {
    listen: async (host, port, accept): Promise<Listener> => {
      const key = `${host}:${port}`
      this.listeners.set(key, accept)
      return { address: host, port, close: async () => void this.listeners.delete(key) }
    },
    connect: async (host, port) => {
      this.connects++
      const accept = this.listeners.get(`${host}:${port}`)
      if (accept === undefined) {
        throw Object.assign(new Error(`connect ECONNREFUSED ${host}:${port}`), {
          code: 'ECONNREFUSED',
        })
      }
      const [ours, theirs] = [new MemorySocket(this), new MemorySocket(this)]
      ours.peer = theirs
      theirs.peer = ours
      accept(theirs)
      return ours
    },
  }

  random = () => 0.5
  uuid = () => 'AAAAAAAAAAAAAAAAAAAAAQ'

  /** Moves to the next timer and runs it; false if there is none. */
  advance(): boolean {
    let next: PendingTimer | undefined
    for (const timer of this.timers) if (next === undefined || timer.atMs < next.atMs) next = timer
    if (next === undefined) return false
    this.timers.delete(next)
    this.nowMs = Math.max(this.nowMs, next.atMs)
    next.callback()
    return true
  }

  /** Lets `ms` pass, running what falls due. */
  async elapse(ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    let isOver = false
    this.clock.timer(ms, () => {
      isOver = true
    })
    while (!isOver) {
      await idle()
      this.advance()
    }
    this.nowMs = endMs
    await idle()
  }

  async settle<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const mark = () => {
      isSettled = true
    }
    promise.then(mark, mark)
    await idle()
    while (!isSettled) {
      if (!this.advance()) throw new Error('it waits for something that never comes')
      await idle()
    }
    return promise
  }
}

/** Everything that can run without the clock has run. */
export function idle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

class MemorySocket implements Socket {
  readonly localAddress = '127.0.0.1'
  readonly localPort = 1
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 2
  readonly unsentBytes = 0
  readonly sendMark = 0
  peer!: MemorySocket
  private readonly io: MemoryIo
  private receiver: Receiver | null = null
  private early: Buffer[] = []
  private isGone = false

  constructor(io: MemoryIo) {
    this.io = io
  }

  start(receiver: Receiver): void {
    this.receiver = receiver
    for (const bytes of this.early.splice(0)) this.arrive(bytes)
  }

  write(chunks: readonly Buffer[], sent?: () => void): void {
    const bytes = Buffer.concat(chunks)
    for (let at = 0; at < bytes.length; at += this.io.chunkBytes) {
      const piece = bytes.subarray(at, Math.min(bytes.length, at + this.io.chunkBytes))
      queueMicrotask(() => this.peer.arrive(piece))
    }
    if (sent !== undefined) queueMicrotask(sent)
  }

  pause(): void {}
  resume(): void {}

  end(): void {
    queueMicrotask(() => this.destroy())
  }

  destroy(): void {
    for (const socket of [this, this.peer]) {
      if (socket.isGone) continue
      socket.isGone = true
      queueMicrotask(() => socket.receiver?.closed(null))
    }
  }

  private arrive(bytes: Buffer): void {
    if (this.isGone) return
    if (this.receiver === null) {
      this.early.push(bytes)
      return
    }
    for (let at = 0; at < bytes.length && !this.isGone; ) {
      const into = this.receiver.buffer()
      const count = bytes.copy(into, 0, at)
      at += count
      this.receiver.received(into, count)
    }
  }
}

/** What a scripted broker does with a request, other than answer it. */
export type Misbehaviour = 'hang' | 'close'

type Answer<N extends ApiName> = ResponseInput<N> | Misbehaviour | Buffer

export type Script = {
  readonly [N in ApiName]?: (request: RequestOf<N>, version: number) => Answer<N>
}

export interface SeenRequest {
  readonly name: ApiName
  readonly version: number
  readonly clientId: string | null
  readonly request: unknown
}

export class ScriptedBroker {
  readonly seen: SeenRequest[] = []
  /** Versions that it says it serves, where they differ from ours. */
  ranges: { [N in ApiName]?: readonly [number, number] | null } = {}
  script: Script
  private readonly sockets = new Set<Socket>()

  constructor(io: MemoryIo, host: string, port: number, script: Script) {
    this.script = script
    io.network.listen(host, port, socket => this.serve(socket))
  }

  /** Names of the requests seen, ApiVersions left out. */
  get asked(): ApiName[] {
    return this.seen.map(({ name }) => name).filter(name => name !== 'ApiVersions')
  }

  get connections(): number {
    return this.sockets.size
  }

  dropConnections(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  /** Sends bytes that nobody asked for. */
  sendToAll(bytes: Buffer): void {
    for (const socket of this.sockets) socket.write([bytes])
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket)
    const decoder = new FrameDecoder(Buffer.alloc(65_536), 10_000_000, {
      frame: (buffer, start, end) => this.answer(socket, new Reader(buffer, start, end)),
      acquire: size => Buffer.alloc(size),
      release: () => {},
      unreadable: reason => {
        throw new Error(reason)
      },
    })
    socket.start({
      buffer: () => decoder.buffer(),
      received: (buffer, count) => decoder.received(buffer, count),
      ended: () => socket.destroy(),
      closed: () => void this.sockets.delete(socket),
    })
  }

  private answer(socket: Socket, reader: Reader): boolean {
    const { apiKey, apiVersion: version, correlationId, clientId } = readRequestHeader(reader)
    const api = apiByKey(apiKey)!
    const isKnown = version <= api.versions[1]
    const flexible = isFlexible(api, version)
    if (flexible) skipTags(reader)
    const request: unknown = isKnown ? api.request.at(version, flexible).read(reader) : null
    this.seen.push({ name: api.name, version, clientId, request })
    const script = this.script[api.name] as
      | ((request: unknown, version: number) => Answer<ApiName>)
      | undefined
    const answer = script?.(request, version) ?? this.otherwise(api.name)
    if (answer === 'hang') return true
    if (answer === 'close') {
      socket.destroy()
      return false
    }
    if (Buffer.isBuffer(answer)) socket.write([answer])
    else socket.write(frameOf(api.name, version, correlationId, answer))
    return true
  }

  private otherwise(name: ApiName): Answer<ApiName> {
    if (name !== 'ApiVersions') throw new Error(`the script has no answer to ${name}`)
    return { errorCode: 0, apiKeys: this.apiKeys() }
  }

  apiKeys(): { apiKey: number; minVersion: number; maxVersion: number }[] {
    return Object.values(apis).flatMap(api => {
      const range = this.ranges[api.name] === undefined ? api.versions : this.ranges[api.name]
      if (range === null || range === undefined) return []
      return [{ apiKey: api.key, minVersion: range[0], maxVersion: range[1] }]
    })
  }
}

/** A response as a frame; ApiVersions answers an unknown version in version 0, as Kafka does. */
function frameOf(name: ApiName, version: number, correlationId: number, answer: unknown): Buffer[] {
  const api = apis[name]
  const isRefused = name === 'ApiVersions' && (answer as { errorCode: number }).errorCode === 35
  const at = isRefused ? 0 : version
  const writer = frameWriter(256)
  const start = beginResponse(writer, api, at, correlationId)
  api.response.at(at, isFlexible(api, at)).write(writer, answer as never)
  endFrame(writer, start, 0)
  return writer.chunks()
}

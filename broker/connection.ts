/**
 * Room 1 of 5: one client socket. Cuts frames, decodes header and body, finds the handler, encodes and writes the answers
 * in the order of the requests; bounds what one client may have in flight. Knows no API, except that Produce requests
 * may overlap and ApiVersions is how clients find out what we speak.
 *
 * Order: a Produce starts while earlier Produces wait; any other request starts when all earlier requests of the
 * connection have been answered (house decision 5). A request that may not start yet is copied and held, and reading
 * stops: at most one request is held.
 *
 * Memory: frames are charged to the broker's budget while they are received or held, answers by whoever made their
 * buffers (fetch). A peer that does not take its answers is not read from, and is dropped after `STALL_MAX_MS`.
 */
import {
  type ApiName,
  apiByKey,
  apis,
  type RequestOf,
  type ResponseInput,
} from '../protocol/apis.ts'
import { MalformedError, Reader, type Writer } from '../protocol/buffer.ts'
import {
  beginResponse,
  endFrame,
  FrameDecoder,
  type FrameOwner,
  frameWriter,
  type RequestHeader,
  readRequestHeader,
  skipTags,
} from '../protocol/frame.ts'
import type { Receiver, Socket } from '../protocol/io.ts'
import { type Api, isFlexible } from '../protocol/schema.ts'
import { unsupportedApiVersions } from './api/api-versions.ts'
import type { Broker } from './broker.ts'
import {
  AfterTurn,
  type Answer,
  CloseConnection,
  type Handler,
  RELEASE,
  type Releasable,
  type RequestContext,
  type ServedApi,
} from './context.ts'
import { handlers, servedApis } from './handlers.ts'
import type { ListenerAddress } from './listeners.ts'

/** Requests of one connection that may wait for their answers at a time. */
const MAX_IN_FLIGHT = 128
/** With more than this unsent, no further request is started. */
const MAX_UNSENT_BYTES = 1024 * 1024
/** What a small answer takes: enough room at once costs less than growing. */
const ANSWER_BYTES = 96
/** A peer in the middle of a frame, or with answers to take, has this long to move a byte. */
export const STALL_MAX_MS = 30_000

/** All connections of a process read into this one: a read and its callback run back to back. */
const sharedReadBuffer = Buffer.allocUnsafeSlow(256 * 1024)

type AnyHandler = Handler<ApiName>
type AnyResponse = ResponseInput<ApiName>

/** A request that was started; answers leave in the order of these. */
class Slot implements RequestContext {
  readonly connection: Connection
  readonly api: Api<ApiName>
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly receivedMs: number
  readonly nowMs: number
  state: 'waiting' | 'after-turn' | 'done' = 'waiting'
  response: AnyResponse | null = null
  complete: (() => AnyResponse | null | Promise<AnyResponse | null>) | null = null
  onClosed: (() => void) | null = null

  constructor(connection: Connection, api: Api<ApiName>, header: RequestHeader, sinceMs: number) {
    this.connection = connection
    this.api = api
    this.apiVersion = header.apiVersion
    this.correlationId = header.correlationId
    this.clientId = header.clientId
    this.receivedMs = sinceMs
    this.nowMs = connection.nowMs
  }

  get listener(): ListenerAddress {
    return this.connection.listener
  }

  get principal(): string {
    return 'User:ANONYMOUS'
  }

  get clientAddress(): string {
    return this.connection.socket.remoteAddress
  }

  get connectionId(): number {
    return this.connection.id
  }

  get localAddress(): string {
    return this.connection.socket.localAddress
  }

  get localPort(): number {
    return this.connection.socket.localPort
  }

  get served(): readonly ServedApi[] {
    return servedApis
  }

  countError(name: Parameters<RequestContext['countError']>[0]): void {
    this.connection.broker.metrics.requestError(this.api.name, name)
  }
}

export class Connection implements Receiver, FrameOwner {
  readonly id: number
  readonly broker: Broker
  readonly socket: Socket
  readonly listener: ListenerAddress
  private readonly decoder: FrameDecoder
  private readonly slots: Slot[] = []
  private held: { frame: Buffer; size: number } | null = null
  private isFlushScheduled = false
  private isPaused = false
  private isAwaitingBudget = false
  /** Nothing new is started; the connection ends when what was started is answered. */
  private isClosing = false
  /** We have sent our last byte and wait for the peer to close its side. */
  private isEnding = false
  /** Dropped or closed: nothing is started, sent or read any more. */
  private isOver = false
  private isClosed = false
  private largeSize = 0
  private unsentAnswers = 0
  private lastProgressMs: number
  /** The time of day, as of the read or the wake-up whose requests are being started. */
  nowMs = 0
  private lastSendMark = 0
  private readonly onClosed: (connection: Connection) => void

  constructor(options: {
    id: number
    broker: Broker
    socket: Socket
    listener: ListenerAddress
    onClosed: (connection: Connection) => void
  }) {
    this.id = options.id
    this.broker = options.broker
    this.socket = options.socket
    this.listener = options.listener
    this.onClosed = options.onClosed
    this.lastProgressMs = options.broker.io.clock.monotonicMs()
    const limit = options.broker.config.socketRequestMaxBytes
    this.decoder = new FrameDecoder(sharedReadBuffer, limit, this)
  }

  /** Whether nothing is under way in either direction. */
  get isIdle(): boolean {
    return this.slots.length === 0 && this.held === null && !this.isStalling
  }

  /** Whether the peer owes us bytes, or the taking of bytes. */
  get isStalling(): boolean {
    if (this.isEnding || this.unsentAnswers > 0) return true
    return this.decoder.isInsideFrame && !this.isPaused
  }

  /** Milliseconds since a byte moved, by the monotonic clock. Called from time to time, by whoever holds us to limits. */
  quietMs(nowMs: number): number {
    const { sendMark } = this.socket
    if (sendMark !== this.lastSendMark) this.lastProgressMs = nowMs
    this.lastSendMark = sendMark
    return nowMs - this.lastProgressMs
  }

  // Receiver: the socket's side.

  buffer(): Buffer {
    return this.decoder.buffer()
  }

  received(buffer: Buffer, count: number): boolean {
    // No progress either: a peer that goes on sending is dropped in the end.
    if (this.isEnding) return true
    this.lastProgressMs = this.broker.io.clock.monotonicMs()
    this.nowMs = this.broker.io.clock.nowMs()
    if (this.decoder.received(buffer, count)) return true
    this.isPaused = true
    return false
  }

  ended(): void {
    // A half-closed peer may still want the answers to what it has sent.
    this.isClosing = true
    this.closeIfDone()
  }

  closed(_error: Error | null): void {
    if (this.isClosed) return
    this.isClosed = true
    this.isOver = true
    this.decoder.close()
    this.dropHeld()
    for (const slot of this.slots.splice(0)) {
      slot.onClosed?.()
      releaseResponse(slot.response)
    }
    this.onClosed(this)
  }

  /** Answers what was started, then closes. Nothing new is started. */
  drain(): void {
    this.isClosing = true
    this.pauseReading()
    this.closeIfDone()
  }

  /** Closes at once and logs why. */
  drop(reason: string): void {
    if (this.isOver) return
    this.isOver = true
    const { remoteAddress, remotePort } = this.socket
    const client = `${remoteAddress}:${remotePort}`
    this.broker.logger.info('connection dropped', { client, listener: this.listener.name, reason })
    this.socket.destroy()
  }

  // FrameOwner: the decoder's side.

  acquire(size: number): Buffer | null {
    const buffer = this.broker.budget.acquire(size)
    if (buffer !== null) {
      this.largeSize = size
      return buffer
    }
    this.awaitBudget()
    return null
  }

  release(buffer: Buffer): void {
    this.broker.budget.release(buffer, this.largeSize)
  }

  unreadable(reason: string): void {
    this.broker.metrics.unreadableFrames++
    this.drop(reason)
  }

  frame(buffer: Buffer, start: number, end: number): boolean {
    if (this.isClosing || this.isOver) return false
    if (!this.mayStart(buffer, start, end)) {
      this.hold(buffer, start, end)
      return false
    }
    this.begin(buffer, start, end)
    return this.mayRead()
  }

  // What is under way.

  private mayRead(): boolean {
    return (
      !this.isClosing &&
      !this.isOver &&
      this.held === null &&
      this.slots.length < MAX_IN_FLIGHT &&
      this.socket.unsentBytes < MAX_UNSENT_BYTES
    )
  }

  private mayStart(buffer: Buffer, start: number, end: number): boolean {
    if (this.socket.unsentBytes >= MAX_UNSENT_BYTES) return false
    if (this.slots.length === 0) return true
    const isProduce = end - start >= 2 && buffer.readInt16BE(start) === apis.Produce.key
    // Anything else began alone and is alone: the first speaks for all.
    return isProduce && this.slots[0]!.api.key === apis.Produce.key
  }

  private hold(buffer: Buffer, start: number, end: number): void {
    const size = end - start
    this.broker.budget.take(size)
    this.held = { frame: Buffer.from(buffer.subarray(start, end)), size }
  }

  private dropHeld(): void {
    if (this.held === null) return
    this.broker.budget.give(this.held.size)
    this.held = null
  }

  /** Starts the held request if it may, then reads on if that may be. */
  private goOn(): void {
    if (this.isOver || !this.isPaused) return
    this.nowMs = this.broker.io.clock.nowMs()
    const { held } = this
    if (held !== null && this.mayStart(held.frame, 0, held.size)) {
      this.held = null
      this.begin(held.frame, 0, held.size)
      this.broker.budget.give(held.size)
    }
    if (this.mayRead() && this.decoder.resume() && this.mayRead()) {
      this.isPaused = false
      this.socket.resume()
    }
  }

  private awaitBudget(): void {
    if (this.isAwaitingBudget) return
    this.isAwaitingBudget = true
    this.broker.metrics.pausedConnections++
    this.broker.budget.whenAvailable(() => {
      this.isAwaitingBudget = false
      this.broker.metrics.pausedConnections--
      this.goOn()
    })
  }

  private pauseReading(): void {
    if (this.isPaused) return
    this.isPaused = true
    this.socket.pause()
  }

  /** Decodes a frame and calls its handler. The frame is not used after the call returns. */
  private begin(buffer: Buffer, start: number, end: number): void {
    const reader = new Reader(buffer, start, end)
    let header: RequestHeader
    try {
      header = readRequestHeader(reader)
    } catch (error) {
      return this.unreadable(`a request header that cannot be read: ${String(error)}`)
    }
    const api = apiByKey(header.apiKey)
    const handler = api === undefined ? undefined : (handlers as HandlerTable)[api.name]
    if (api === undefined || handler === undefined) {
      return this.unreadable(`API key ${header.apiKey}, which this broker does not serve`)
    }
    const slot = new Slot(this, api, header, this.lastProgressMs)
    if (header.apiVersion < api.versions[0] || header.apiVersion > api.versions[1]) {
      return this.answerUnknownVersion(slot, header)
    }
    let request: RequestOf<ApiName>
    try {
      if (isFlexible(api, header.apiVersion)) skipTags(reader)
      request = api.request.at(header.apiVersion, isFlexible(api, header.apiVersion)).read(reader)
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      const what = `${api.name} v${header.apiVersion} from client '${header.clientId ?? ''}'`
      return this.unreadable(`${what} cannot be read: ${error.message}`)
    }
    this.slots.push(slot)
    this.call(slot, handler, request)
  }

  private answerUnknownVersion(slot: Slot, header: RequestHeader): void {
    if (slot.api.name !== 'ApiVersions') {
      const { api, apiVersion } = slot
      const range = `${api.versions[0]} to ${api.versions[1]}`
      return this.unreadable(`${api.name} version ${apiVersion}; this broker serves ${range}`)
    }
    // Answered in version 0, which every client reads (KIP-511).
    const answer = new Slot(this, slot.api, { ...header, apiVersion: 0 }, slot.receivedMs)
    slot.countError('UNSUPPORTED_VERSION')
    this.slots.push(answer)
    this.done(answer, unsupportedApiVersions(servedApis) as AnyResponse)
  }

  private call(slot: Slot, handler: AnyHandler, request: RequestOf<ApiName>): void {
    let answer: Answer<AnyResponse | null>
    try {
      answer = handler(this.broker, request, slot)
    } catch (error) {
      return this.fail(slot, error)
    }
    if (answer instanceof AfterTurn) {
      slot.state = 'after-turn'
      slot.complete = answer.complete
      this.scheduleFlush()
    } else if (answer instanceof Promise) this.settle(slot, answer)
    else this.done(slot, answer)
  }

  private settle(slot: Slot, answer: Promise<AnyResponse | null>): void {
    slot.state = 'waiting'
    answer.then(
      response => this.done(slot, response),
      error => this.fail(slot, error),
    )
  }

  /** A handler's bug, unless it says otherwise: handlers turn every expected failure into an answer themselves. */
  private fail(slot: Slot, error: unknown): void {
    if (this.isOver) return
    if (error instanceof CloseConnection) return this.drop(error.message)
    const { api, apiVersion } = slot
    const fields = { api: api.name, apiVersion, clientId: slot.clientId, error }
    this.broker.logger.error('request failed', fields)
    this.broker.metrics.requestError(api.name, 'UNKNOWN_SERVER_ERROR')
    this.drop(`${api.name} failed unexpectedly; see the error logged before this line`)
  }

  private done(slot: Slot, response: AnyResponse | null): void {
    if (this.isClosed) return releaseResponse(response)
    slot.state = 'done'
    slot.response = response
    this.scheduleFlush()
  }

  private scheduleFlush(): void {
    if (this.isFlushScheduled) return
    this.isFlushScheduled = true
    this.broker.io.turn.answer(() => this.flush())
  }

  /** At the end of a turn: completes what waited for its writes, then sends what is done, in order, in one write. */
  private flush(): void {
    this.isFlushScheduled = false
    for (const slot of this.slots) {
      if (slot.state === 'after-turn' && !this.isOver) this.completeAfterTurn(slot)
    }
    if (this.isOver) return
    let count = 0
    while (count < this.slots.length && this.slots[count]!.state === 'done') count++
    if (count > 0) this.send(this.slots.splice(0, count))
    this.goOn()
    this.closeIfDone()
  }

  private completeAfterTurn(slot: Slot): void {
    try {
      const answer = slot.complete!()
      if (answer instanceof Promise) return this.settle(slot, answer)
      slot.state = 'done'
      slot.response = answer
    } catch (error) {
      this.fail(slot, error)
    }
  }

  private send(slots: readonly Slot[]): void {
    const writer = frameWriter(ANSWER_BYTES * (slots.length + 1))
    const releases: (() => void)[] = []
    const nowMs = this.broker.io.clock.monotonicMs()
    for (const slot of slots) {
      this.broker.metrics.request(slot.api.name, slot.apiVersion, nowMs - slot.receivedMs)
      if (slot.response === null) continue
      const release = (slot.response as Releasable)[RELEASE]
      if (release !== undefined) releases.push(release)
      if (this.encode(writer, slot)) continue
      for (const { response } of slots) releaseResponse(response)
      return
    }
    const chunks = writer.chunks()
    if (chunks.length === 0) return
    this.unsentAnswers++
    this.lastProgressMs = nowMs
    this.socket.write(chunks, () => this.sent(releases))
  }

  private encode(writer: Writer, slot: Slot): boolean {
    const { api, apiVersion } = slot
    try {
      const gatheredBefore = writer.gatheredBytes
      const start = beginResponse(writer, api, apiVersion, slot.correlationId)
      api.response.at(apiVersion, isFlexible(api, apiVersion)).write(writer, slot.response!)
      endFrame(writer, start, gatheredBefore)
      return true
    } catch (error) {
      this.fail(slot, error)
      return false
    }
  }

  private sent(releases: readonly (() => void)[]): void {
    this.unsentAnswers--
    this.lastProgressMs = this.broker.io.clock.monotonicMs()
    for (const release of releases) release()
    this.goOn()
  }

  private closeIfDone(): void {
    if (!this.isClosing || this.isEnding || this.isOver || this.slots.length > 0) return
    this.isEnding = true
    this.socket.end()
    // A paused socket would not notice that the peer closes its side.
    if (this.isPaused) this.socket.resume()
  }
}

type HandlerTable = { readonly [name: string]: AnyHandler | undefined }

function releaseResponse(response: unknown): void {
  if (response !== null) (response as Releasable)[RELEASE]?.()
}

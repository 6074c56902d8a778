/**
 * One socket to one broker. `Connection.open` connects and asks which versions the broker serves; after that each
 * request is written at once, in the highest version that both sides know, and answers come back in the order of the
 * requests (a broker answers one connection in order), so what is in flight is a queue and not a table.
 *
 * Every request has a deadline. Answers cannot overtake each other, so one that is overdue holds up all behind it: when
 * a deadline passes the connection is closed and everything in flight fails. Giving up on one request by its signal
 * only drops the answer when it comes.
 *
 * `submit` is for callers on a hot path (a follower's fetch loop): no promise, and byte fields of the response are views
 * that are valid only during the call. `send` gives a promise, and byte fields that stay valid.
 */
import { type ApiName, apis, type RequestInput, type ResponseOf } from '../protocol/apis.ts'
import { MalformedError, Reader } from '../protocol/buffer.ts'
import { errorCode } from '../protocol/errors.ts'
import {
  beginRequest,
  endFrame,
  FrameDecoder,
  frameWriter,
  hasResponseTags,
  skipTags,
} from '../protocol/frame.ts'
import type { Io, Receiver, Socket, Timer } from '../protocol/io.ts'
import type { Api, Codec } from '../protocol/schema.ts'
import { type Address, formatAddress, SOFTWARE_NAME, SOFTWARE_VERSION } from './config.ts'
import { ClosedError, ConnectionError, type Place, TimeoutError, VersionError } from './errors.ts'

export interface ConnectionOptions extends Address {
  readonly clientId: string | null
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly maxResponseBytes: number
  /** How errors name the broker; default `host:port`. */
  readonly label?: string | undefined
  /** What to do when it cannot be reached, where more is known than the address. */
  readonly unreachableAdvice?: string | undefined
  /** Where reads go; connections of one client may share it. Default: 64 KiB of its own. */
  readonly readBuffer?: Buffer | undefined
  readonly watch?: RequestWatch | undefined
}

/** Hears of all requests of a connection. */
export interface RequestWatch {
  sent(api: Api): void
  /** `sentAtMs` is on the monotonic clock; `bytes` are the answer's. */
  answered(api: Api, version: number, correlationId: number, sentAtMs: number, bytes: number): void
}

export interface SendOptions {
  /** Default: the connection's requestTimeoutMs. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Who waits for a response; exactly one of the two is called, once. */
export interface Completion<R> {
  /** The response's byte fields must stay valid after `answered` has returned. */
  readonly keepsBytes: boolean
  answered(response: R): void
  failed(error: Error): void
}

/** One API in the version that both sides speak. */
interface Negotiated {
  readonly api: Api
  readonly version: number
  readonly request: Codec<unknown>
  readonly response: Codec<unknown>
}

interface InFlight {
  readonly correlationId: number
  readonly negotiated: Negotiated
  readonly sentAtMs: number
  readonly deadlineMs: number
  /** Null once its caller has given up: the answer is dropped. */
  completion: Completion<never> | null
}

/** More than this many unanswered requests on one connection are refused. */
const MAX_IN_FLIGHT = 512

const READ_BUFFER_BYTES = 65_536

export class Connection {
  readonly label: string
  readonly remote: Address
  private readonly io: Io
  private readonly options: ConnectionOptions
  private readonly socket: Socket
  private readonly decoder: FrameDecoder
  private readonly inFlight: InFlight[] = []
  private readonly negotiated = new Map<ApiName, Negotiated>()
  private served: ReadonlyMap<number, readonly [number, number]> | null = null
  private nextCorrelationId = 1
  private timer: Timer | null = null
  private timerAtMs = Number.POSITIVE_INFINITY
  private failure: Error | null = null
  private onClosed: ((error: Error) => void) | null = null

  private constructor(io: Io, options: ConnectionOptions, socket: Socket) {
    this.io = io
    this.options = options
    this.socket = socket
    this.remote = { host: options.host, port: options.port }
    this.label = options.label ?? formatAddress(options)
    const readBuffer = options.readBuffer ?? Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
    this.decoder = new FrameDecoder(readBuffer, options.maxResponseBytes, {
      frame: (buffer, start, end) => this.receive(buffer, start, end),
      acquire: size => Buffer.allocUnsafeSlow(size),
      release: () => {},
      unreadable: reason => this.fail(notKafka(this.label, `its answer reads as ${reason}`)),
    })
    socket.start(this.receiver())
  }

  /** Connects and learns the broker's versions. Rejects with a ConnectionError, TimeoutError or VersionError. */
  static async open(io: Io, options: ConnectionOptions): Promise<Connection> {
    const label = options.label ?? formatAddress(options)
    const startMs = io.clock.monotonicMs()
    let socket: Socket
    try {
      socket = await io.network.connect(options.host, options.port, options.connectTimeoutMs)
    } catch (error) {
      throw cannotConnect(label, error, options.unreachableAdvice)
    }
    const connection = new Connection(io, { ...options, label }, socket)
    const leftMs = options.connectTimeoutMs - (io.clock.monotonicMs() - startMs)
    try {
      await connection.learnVersions(Math.max(1, leftMs))
    } catch (error) {
      connection.close()
      if (error instanceof TimeoutError) throw notKafka(label, 'it accepts, but answers nothing')
      throw error
    }
    return connection
  }

  get isOpen(): boolean {
    return this.failure === null
  }

  /** Requests without an answer so far. */
  get inFlightCount(): number {
    return this.inFlight.length
  }

  /** Called once when the connection is no longer usable, with the reason; at once if that has already happened. */
  whenClosed(callback: (error: Error) => void): void {
    if (this.failure === null) this.onClosed = callback
    else callback(this.failure)
  }

  /** The version that requests of this API are written in. Throws a VersionError if there is none in common. */
  version(name: ApiName): number {
    return this.negotiate(name).version
  }

  /** Whether client and broker share a version of this API. */
  serves(name: ApiName): boolean {
    const range = this.served?.get(apis[name].key)
    return range !== undefined && commonVersion(apis[name].versions, range) !== null
  }

  /** Sends a request; resolves with the response, whatever errors are inside it. */
  send<N extends ApiName>(
    name: N,
    request: RequestInput<N>,
    { timeoutMs, signal }: SendOptions = {},
  ): Promise<ResponseOf<N>> {
    if (signal !== undefined) return this.sendWithSignal(name, request, timeoutMs, signal)
    return new Promise((answered, failed) => {
      this.submit(name, request, timeoutMs, { keepsBytes: true, answered, failed })
    })
  }

  /** Sends a request that has no answer (Produce with acks=0). */
  sendAndForget<N extends ApiName>(name: N, request: RequestInput<N>): void {
    this.write(this.negotiate(name), request)
  }

  /**
   * Sends a request; `completion` hears the outcome. Large byte fields are sent from where they lie: leave them alone until
   * then. Throws, without calling `completion`, if nothing can be sent.
   */
  submit<N extends ApiName>(
    name: N,
    request: RequestInput<N>,
    timeoutMs: number | undefined,
    completion: Completion<ResponseOf<N>>,
  ): void {
    this.enqueue(this.negotiate(name), request, timeoutMs, completion)
  }

  /** Closes now; everything in flight fails with `reason`. */
  close(reason: Error = new ClosedError(`the connection to ${this.label} was closed`)): void {
    this.fail(reason)
  }

  private sendWithSignal<N extends ApiName>(
    name: N,
    request: RequestInput<N>,
    timeoutMs: number | undefined,
    signal: AbortSignal,
  ): Promise<ResponseOf<N>> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const entry = this.enqueue<ResponseOf<N>>(this.negotiate(name), request, timeoutMs, {
        keepsBytes: true,
        answered(response) {
          signal.removeEventListener('abort', abort)
          resolve(response)
        },
        failed(error) {
          signal.removeEventListener('abort', abort)
          reject(error)
        },
      })
      const abort = () => {
        entry.completion = null
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  private enqueue<R>(
    negotiated: Negotiated,
    request: unknown,
    timeoutMs: number | undefined,
    completion: Completion<R>,
  ): InFlight {
    const place = { broker: this.label, api: negotiated.api.name }
    if (this.inFlight.length >= MAX_IN_FLIGHT) {
      const reason = `${MAX_IN_FLIGHT} requests to ${this.label} are without an answer`
      throw new ConnectionError(reason, { place, advice: 'send fewer at once' })
    }
    const correlationId = this.write(negotiated, request)
    const sentAtMs = this.io.clock.monotonicMs()
    const deadlineMs = sentAtMs + (timeoutMs ?? this.options.requestTimeoutMs)
    const entry: InFlight = { correlationId, negotiated, sentAtMs, deadlineMs, completion }
    this.inFlight.push(entry)
    this.options.watch?.sent(negotiated.api)
    if (deadlineMs < this.timerAtMs) this.armTimer(deadlineMs)
    return entry
  }

  /** Writes the request's frame; returns its correlation id. */
  private write({ api, version, request: codec }: Negotiated, request: unknown): number {
    if (this.failure !== null) throw lost(this.label, api.name, this.failure)
    const correlationId = this.nextCorrelationId
    const writer = frameWriter(256)
    const start = beginRequest(writer, api, version, correlationId, this.options.clientId)
    try {
      codec.write(writer, request)
    } catch (error) {
      // A field that this version lacks, or a value that does not fit it: only the broker's version decides the first.
      if (!(error instanceof TypeError)) throw error
      const place = { broker: this.label, api: api.name }
      const reason = `${api.name} version ${version} of ${this.label} cannot say this: ${error.message}`
      throw new VersionError(reason, place, 'use a newer broker, or ask for less')
    }
    endFrame(writer, start, 0)
    this.nextCorrelationId = (correlationId + 1) & 0x7fffffff
    this.socket.write(writer.chunks())
    return correlationId
  }

  private negotiate(name: ApiName): Negotiated {
    const known = this.negotiated.get(name)
    if (known !== undefined) return known
    const api = apis[name]
    const range = this.served?.get(api.key)
    const place = { broker: this.label, api: name }
    if (range === undefined) {
      const advice = 'use a newer broker, or the port of a broker if this one is a controller'
      throw new VersionError(`${this.label} does not serve ${name}`, place, advice)
    }
    const version = commonVersion(api.versions, range)
    if (version === null) {
      const [ours, theirs] = [api.versions, range].map(([low, high]) => `${low} to ${high}`)
      const reason = `${this.label} serves ${name} in versions ${theirs}, this client in ${ours}`
      const advice = range[1] < api.versions[0] ? 'use a newer broker' : 'use a newer client'
      throw new VersionError(reason, place, advice)
    }
    const negotiated = negotiatedAt(api, version)
    this.negotiated.set(name, negotiated)
    return negotiated
  }

  private receiver(): Receiver {
    return {
      buffer: () => this.decoder.buffer(),
      received: (buffer, count) => this.decoder.received(buffer, count),
      ended: () => this.fail(this.hungUp(null)),
      closed: error => this.fail(this.hungUp(error)),
    }
  }

  /** One response; false when the connection has failed on it. */
  private receive(buffer: Buffer, start: number, end: number): boolean {
    const entry = this.inFlight.shift()
    if (entry === undefined) {
      this.fail(notKafka(this.label, 'it answers what was not asked'))
      return false
    }
    const { completion, negotiated, correlationId } = entry
    let response: unknown
    try {
      // The read buffer is overwritten by the next read; a large response already has a buffer of its own.
      const keeps = completion?.keepsBytes === true && (start > 0 || end < buffer.length)
      const bytes = keeps ? Buffer.from(buffer.subarray(start, end)) : buffer
      const reader = keeps ? new Reader(bytes) : new Reader(bytes, start, end)
      const answered = reader.int32()
      if (answered !== correlationId) {
        throw new MalformedError(`an answer to request ${answered} in place of ${correlationId}`)
      }
      if (completion !== null) response = readResponse(reader, negotiated)
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      const failure = notKafka(
        this.label,
        `its ${negotiated.api.name} answer is cut: ${error.message}`,
      )
      completion?.failed(failure)
      this.fail(failure)
      return false
    }
    const { api, version } = negotiated
    this.options.watch?.answered(api, version, correlationId, entry.sentAtMs, end - start)
    completion?.answered(response as never)
    return this.failure === null
  }

  private async learnVersions(timeoutMs: number): Promise<void> {
    const [, highest] = apis.ApiVersions.versions
    let answer = await this.askVersions(highest, timeoutMs)
    if (answer.errorCode === errorCode('UNSUPPORTED_VERSION')) {
      const range = answer.apiKeys.find(({ apiKey }) => apiKey === apis.ApiVersions.key)
      const theirs = range === undefined ? 0 : Math.min(range.maxVersion, highest)
      answer = await this.askVersions(Math.max(0, theirs), timeoutMs)
    }
    if (answer.errorCode !== 0) {
      const place = { broker: this.label, api: 'ApiVersions' }
      const reason = `${this.label} does not say which versions it serves (error ${answer.errorCode})`
      throw new VersionError(reason, place, 'use a newer broker')
    }
    const ranges = answer.apiKeys.map(k => [k.apiKey, [k.minVersion, k.maxVersion]] as const)
    this.served = new Map(ranges)
  }

  private askVersions(version: number, timeoutMs: number): Promise<ResponseOf<'ApiVersions'>> {
    const request: RequestInput<'ApiVersions'> = {
      clientSoftwareName: SOFTWARE_NAME,
      clientSoftwareVersion: SOFTWARE_VERSION,
    }
    const negotiated = negotiatedAt(apis.ApiVersions, version)
    return new Promise((answered, failed) => {
      this.enqueue<ResponseOf<'ApiVersions'>>(negotiated, request, timeoutMs, {
        keepsBytes: true,
        answered,
        failed,
      })
    })
  }

  private armTimer(atMs: number): void {
    this.timer?.cancel()
    this.timerAtMs = atMs
    const delayMs = Math.max(0, Math.ceil(atMs - this.io.clock.monotonicMs()))
    this.timer = this.io.clock.timer(delayMs, () => this.checkDeadlines())
  }

  private checkDeadlines(): void {
    this.timerAtMs = Number.POSITIVE_INFINITY
    const nowMs = this.io.clock.monotonicMs()
    const earliestMs = Math.min(...this.inFlight.map(entry => entry.deadlineMs))
    if (earliestMs > nowMs) {
      if (this.inFlight.length > 0) this.armTimer(earliestMs)
      return
    }
    const overdue = this.inFlight.filter(entry => entry.deadlineMs <= nowMs)
    for (const entry of overdue) {
      this.inFlight.splice(this.inFlight.indexOf(entry), 1)
      entry.completion?.failed(unanswered(this.label, entry, nowMs))
    }
    const api = overdue[0]!.negotiated.api.name
    const reason = `the connection to ${this.label} was given up, because ${api} got no answer in time`
    this.fail(new ConnectionError(reason, { place: { broker: this.label } }))
  }

  /** The end of the connection; the first reason counts. */
  private fail(failure: Error): void {
    if (this.failure !== null) return
    this.failure = failure
    this.timer?.cancel()
    this.decoder.close()
    this.socket.destroy()
    for (const { completion, negotiated } of this.inFlight.splice(0)) {
      completion?.failed(forRequest(failure, this.label, negotiated.api.name))
    }
    this.onClosed?.(failure)
  }

  private hungUp(error: Error | null): Error {
    if (this.served === null) {
      return notKafka(this.label, `it closed the connection at the first request${codeOf(error)}`)
    }
    return lost(this.label, undefined, error)
  }
}

function negotiatedAt(api: Api, version: number): Negotiated {
  const flexible = api.flexible !== null && version >= api.flexible
  const request = api.request.at(version, flexible)
  return { api, version, request, response: api.response.at(version, flexible) }
}

function readResponse(reader: Reader, { api, version, response }: Negotiated): unknown {
  if (hasResponseTags(api, version)) skipTags(reader)
  if (api.name !== 'ApiVersions') return response.read(reader)
  // A broker that does not know the version asked for answers in version 0, which has the error first as all have.
  const position = reader.position
  const unsupported = reader.int16() === errorCode('UNSUPPORTED_VERSION')
  reader.position = position
  return unsupported ? negotiatedAt(api, 0).response.read(reader) : response.read(reader)
}

/** The highest version in both ranges, or null. */
function commonVersion(ours: readonly [number, number], theirs: readonly [number, number]) {
  const version = Math.min(ours[1], theirs[1])
  return version >= ours[0] && version >= theirs[0] ? version : null
}

/** The failure of a connection as the failure of one request on it. */
function forRequest(failure: Error, label: string, api: string): Error {
  return failure instanceof ConnectionError && failure.place.api === undefined
    ? new ConnectionError(`${api} got no answer: ${failure.message.replace(/\.$/, '')}`, {
        place: { broker: label, api },
        neverOpened: failure.neverOpened,
        cause: failure,
      })
    : failure
}

function unanswered(label: string, { negotiated, sentAtMs }: InFlight, nowMs: number) {
  const api = negotiated.api.name
  const afterMs = Math.round(nowMs - sentAtMs)
  return new TimeoutError(`${label} did not answer ${api} within ${afterMs} ms`, {
    place: { broker: label, api },
    advice: 'the broker is overloaded or the network is broken; it may have done what was asked',
  })
}

function lost(label: string, api: string | undefined, cause: Error | null): Error {
  if (cause instanceof ClosedError) return cause
  const place: Place = { broker: label, api }
  const reason = `${label} closed the connection${codeOf(cause)}`
  return new ConnectionError(reason, { place, advice: 'see whether it stopped', cause })
}

function notKafka(label: string, why: string): ConnectionError {
  return new ConnectionError(`${label} does not speak Kafka's protocol: ${why}`, {
    place: { broker: label },
    neverOpened: true,
    advice: 'check that this is the plaintext port of a broker (not TLS, HTTP or a controller)',
  })
}

function codeOf(error: Error | null): string {
  const code = error !== null && 'code' in error ? String(error.code) : error?.message
  return code === undefined || code === '' ? '' : ` (${code})`
}

const CONNECT_ADVICE: { readonly [code: string]: string } = {
  ECONNREFUSED: 'nothing listens there; start a broker, or correct the address',
  ENOTFOUND: 'the name is unknown here; correct it',
  EAI_AGAIN: 'names cannot be looked up at the moment; check the network',
  EHOSTUNREACH: 'there is no way to this host; check address and network',
  ENETUNREACH: 'there is no way to this network; check address and network',
}

function cannotConnect(label: string, error: unknown, advice?: string): ConnectionError {
  // Node tries all addresses of a name and reports them together, with an empty message.
  const first = error instanceof AggregateError ? (error.errors[0] as Error) : (error as Error)
  const code = 'code' in first ? String(first.code) : ''
  return new ConnectionError(`cannot connect to ${label} (${code === '' ? first.message : code})`, {
    place: { broker: label },
    neverOpened: true,
    advice:
      advice ?? CONNECT_ADVICE[code] ?? 'check that it runs and that no firewall is in between',
    cause: error,
  })
}

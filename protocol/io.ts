/**
 * Door 1: time, sockets, randomness. Everything above it is plain computation, so that a whole cluster can run in one
 * process, in virtual time, from a seed. `system-io.ts` is the implementation on Node's own clock and sockets.
 */

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall-clock milliseconds since 1970 (record timestamps, retention). */
  nowMs(): number
  /** Milliseconds with fractions that never go back (deadlines, latencies). */
  monotonicMs(): number
  /** Calls back once after `delayMs`; keeps the process alive until then only if `keepsAlive` is true. */
  timer(delayMs: number, callback: () => void, keepsAlive?: boolean): Timer
}

/**
 * The end of an event-loop turn, when every socket that was ready has been read. All `write` callbacks run before all
 * `answer` callbacks: logs write what the turn appended, then connections answer what that write made true.
 */
export interface Turn {
  write(callback: () => void): void
  answer(callback: () => void): void
}

/** Says where incoming bytes should go and hears where they came: no copy between the kernel and a frame. */
export interface Receiver {
  /** Where the next bytes should go; never empty. A network may use a buffer of its own instead. */
  buffer(): Buffer
  /** The first `count` bytes of `buffer` have come; valid during the call. False: stop reading until `resume`. */
  received(buffer: Buffer, count: number): boolean
  /** The peer will send no more. The socket may still be written. */
  ended(): void
  /** The socket is gone; called exactly once, last. */
  closed(error: Error | null): void
}

export interface Socket {
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  /** Bytes handed to `write` that the kernel has not taken yet. */
  readonly unsentBytes: number
  /** Any number that changes whenever the kernel takes some of the unsent bytes. */
  readonly sendMark: number
  start(receiver: Receiver): void
  /** Sends the chunks in order; `sent` is called when the kernel has them all, or the socket has closed. */
  write(chunks: readonly Buffer[], sent?: () => void): void
  pause(): void
  resume(): void
  /** Sends what is pending, then closes. */
  end(): void
  /** Closes now. */
  destroy(): void
}

export interface Listener {
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

export interface Network {
  /** Rejects with Node's error (EADDRINUSE, …). Port 0 takes a free one. */
  listen(host: string, port: number, accept: (socket: Socket) => void): Promise<Listener>
  /** Rejects with Node's error, or a time-out after `timeoutMs`. */
  connect(host: string, port: number, timeoutMs: number): Promise<Socket>
}

export interface Io {
  readonly clock: Clock
  readonly turn: Turn
  readonly network: Network
  /** Uniform in [0, 1). */
  random(): number
  /** 16 random bytes as Kafka's text form of a UUID. */
  uuid(): string
}

/**
 * `Io` for tests: a clock that moves when told, turns that end by themselves (`setImmediate`) or when the test says so
 * (`holdsTurns`), and sockets of which the test is the peer.
 */
import assert from 'node:assert/strict'
import type { Io, Listener, Receiver, Socket, Timer } from '../../protocol/io.ts'
import { seededRandom } from '../tiers.ts'

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

/**
 * The world as a client sees it, with faults: after so many received bytes a connection is cut, or says nothing any more;
 * answers come in small pieces; the wall clock jumps. Everything else is the real one.
 */
import type { Io, Receiver, Socket } from '../../protocol/io.ts'
import { systemIo } from '../../protocol/system-io.ts'

export interface Faults {
  /** Of the bytes received on all connections together, the one behind which the fault strikes, once. */
  readonly atByte?: number
  /** Default: the connection is cut. */
  readonly fault?: 'cut' | 'silence'
  /** Answers come in pieces of at most so many bytes. */
  readonly pieceBytes?: number
  /** Added to the wall clock, one after the other, each time that it is read. */
  readonly clockJumpsMs?: readonly number[]
}

export class FaultyIo {
  readonly io: Io
  /** Received so far. */
  bytes = 0
  hasStruck = false
  private readonly faults: Faults
  private reads = 0

  constructor(faults: Faults) {
    this.faults = faults
    const io = systemIo()
    const { clock, network } = io
    this.io = {
      ...io,
      turn: io.turn,
      random: () => io.random(),
      uuid: () => io.uuid(),
      clock: {
        nowMs: () => clock.nowMs() + this.jumpMs(),
        monotonicMs: () => clock.monotonicMs(),
        timer: (delayMs, callback, keepsAlive) => clock.timer(delayMs, callback, keepsAlive),
      },
      network: {
        listen: (host, port, accept) => network.listen(host, port, accept),
        connect: async (...place) => this.faulty(await network.connect(...place)),
      },
    }
  }

  private jumpMs(): number {
    const jumps = this.faults.clockJumpsMs ?? [0]
    return jumps[this.reads++ % jumps.length]!
  }

  private faulty(socket: Socket): Socket {
    let isSilent = false
    const start = socket.start.bind(socket)
    socket.start = (receiver: Receiver) => {
      const view = Buffer.allocUnsafe(65_536)
      start({
        ...receiver,
        buffer: () => view,
        ended: () => receiver.ended(),
        closed: error => receiver.closed(error),
        received: (buffer, count) => {
          if (isSilent) return true
          const end = this.endOf(count)
          this.bytes += end
          const isOpen = this.deliver(receiver, buffer.subarray(0, end))
          if (end === count || this.hasStruck) return isOpen
          this.hasStruck = true
          isSilent = true
          if (this.faults.fault !== 'silence') socket.destroy()
          return true
        },
      })
    }
    return socket
  }

  /** How many of the bytes that have come are let through. */
  private endOf(count: number): number {
    const { atByte } = this.faults
    if (atByte === undefined || this.hasStruck) return count
    return this.bytes + count > atByte ? Math.max(0, atByte - this.bytes) : count
  }

  private deliver(receiver: Receiver, bytes: Buffer): boolean {
    const pieceBytes = this.faults.pieceBytes ?? bytes.length
    for (let at = 0; at < bytes.length; ) {
      const into = receiver.buffer()
      const count = Math.min(pieceBytes, into.length, bytes.length - at)
      bytes.copy(into, 0, at, at + count)
      if (!receiver.received(into, count)) return false
      at += count
    }
    return true
  }
}

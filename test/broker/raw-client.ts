/** A client over TCP that sends what it is told, frame by frame or byte by byte. */
import net from 'node:net'
import type { ApiName, RequestInput, ResponseOf } from '../../protocol/apis.ts'
import { readResponse, requestFrame } from './host.ts'

interface Asked {
  readonly resolve: (frame: Buffer) => void
  readonly reject: (error: Error) => void
}

export class RawClient {
  readonly socket: net.Socket
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>
  isClosed = false
  answers = 0
  private readonly pending = new Map<number, Asked>()
  private nextId = 1
  private rest: Buffer = Buffer.alloc(0)

  private constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', chunk => this.read(chunk))
    socket.on('error', () => {})
    this.closed = new Promise(resolve => {
      socket.on('close', () => {
        this.isClosed = true
        for (const { reject } of this.pending.values()) reject(new Error('connection closed'))
        this.pending.clear()
        resolve()
      })
    })
  }

  static connect(port: number, host = '127.0.0.1'): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host, noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new RawClient(socket))
      })
    })
  }

  call<N extends ApiName>(
    name: N,
    version: number,
    request: RequestInput<N>,
    clientId = 'test',
  ): Promise<ResponseOf<N>> {
    const id = this.nextId++
    const answer = this.expect(id)
    this.send(requestFrame(name, version, request, id, clientId))
    return answer.then(frame => readResponse(name, version, frame))
  }

  /** The answer with this correlation id, without its length. */
  expect(correlationId: number): Promise<Buffer> {
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.pending.set(correlationId, { resolve, reject })
    })
    answer.catch(() => {})
    return answer
  }

  /** How many requests were sent by `call`. */
  get asked(): number {
    return this.nextId - 1
  }

  send(bytes: Buffer): void {
    if (!this.isClosed) this.socket.write(bytes)
  }

  close(): Promise<void> {
    this.socket.destroy()
    return this.closed
  }

  private read(chunk: Buffer): void {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    let at = 0
    while (this.rest.length - at >= 4) {
      const end = at + 4 + this.rest.readInt32BE(at)
      if (end > this.rest.length) break
      const frame = this.rest.subarray(at + 4, end)
      at = end
      this.answers++
      const id = frame.readInt32BE(0)
      this.pending.get(id)?.resolve(frame)
      this.pending.delete(id)
    }
    this.rest = this.rest.subarray(at)
  }
}

/**
 * The bar that a broker is held against: a plain TCP server that knows only that frames begin with their length. As an
 * appender it sums each read (CRC-32C), writes it to a file as it came, and answers the frames that ended in it, together;
 * as a reader it answers each frame with a mebibyte, or what is asked, of a file, read through the thread pool into
 * buffers that are used again. So it does what no broker can leave out, and nothing else.
 *
 * Forked by lean.ts; tells its port, ends with its parent.
 */
import fs from 'node:fs'
import net from 'node:net'
import { crc32c } from '../protocol/crc32c.ts'
import { FrameCount } from './frame-count.ts'

export interface RawJob {
  readonly file: string
  /** Null: append what comes. Otherwise answer with so many bytes. */
  readonly readBytes: number | null
}

/** As long as the answer to a Produce of one partition. */
const ANSWER = Buffer.alloc(64)
ANSWER.writeInt32BE(60)
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024)

let fd = -1
let end = 0
const idle: Buffer[] = []

class RawConnection {
  private readonly job: RawJob
  private readonly socket: net.Socket
  private readonly frames = new FrameCount()
  private position = 0

  constructor(job: RawJob, accepted: net.Socket) {
    this.job = job
    // As in protocol/system-io.ts: `onread` has to be given when a socket is made.
    const owner = accepted as unknown as { _handle: object | null }
    const handle = owner._handle
    owner._handle = null
    accepted.destroy()
    const onread = {
      buffer: readBuffer,
      callback: (count: number) => {
        this.received(count)
        return true
      },
    }
    const options = { handle, onread, readable: true, writable: true }
    this.socket = new net.Socket(options as net.SocketConstructorOpts)
    this.socket.on('error', () => {})
    this.socket.resume()
  }

  private received(count: number): void {
    const frames = this.frames.ended(readBuffer, count)
    if (this.job.readBytes === null) {
      crc32c(readBuffer, 0, count)
      fs.writeSync(fd, readBuffer, 0, count, end)
      end += count
      if (frames > 0) this.socket.write(frames === 1 ? ANSWER : answers(frames))
    } else for (let i = 0; i < frames; i++) this.answerFromFile(this.job.readBytes)
  }

  private answerFromFile(bytes: number): void {
    const buffer = idle.pop() ?? Buffer.allocUnsafeSlow(bytes)
    if (this.position + bytes > end) this.position = 0
    fs.read(fd, buffer, 0, bytes, this.position, error => {
      if (error !== null) throw error
      const head = Buffer.allocUnsafe(64)
      head.writeInt32BE(60 + bytes)
      this.socket.cork()
      this.socket.write(head)
      this.socket.write(buffer, () => void idle.push(buffer))
      this.socket.uncork()
    })
    this.position += bytes
  }
}

const joined: Buffer[] = []

function answers(frames: number): Buffer {
  return (joined[frames] ??= Buffer.concat(Array.from({ length: frames }, () => ANSWER)))
}

process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.once('message', (job: RawJob) => {
  fd = fs.openSync(job.file, job.readBytes === null ? 'w+' : 'r')
  end = job.readBytes === null ? 0 : fs.fstatSync(fd).size
  const server = net.createServer({ pauseOnConnect: true, noDelay: true }, accepted => {
    new RawConnection(job, accepted)
  })
  server.listen(0, '127.0.0.1', () => {
    process.send?.({ port: (server.address() as net.AddressInfo).port })
  })
})

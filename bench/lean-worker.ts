/** The process of the lean load generator: does one job (lean-job.ts), says what it measured, and ends with its parent. */
import { connect, type Socket } from 'node:net'
import { FrameCount } from './frame-count.ts'
import { encodeLatency, newLatency, recordUs } from './latency.ts'
import type { FromLeanWorker, Histograms, LeanJob, LeanResult, Pace, Ring } from './lean-job.ts'
import { processProbe } from './machine.ts'

/** Each read is looked at before the next: one buffer serves all connections. */
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024)
/** How often what is due is sent, at an open pace. */
const TICK_MS = 1

/** One socket: sends the next requests of its ring, counts the answers. */
class LeanSocket {
  private readonly ring: Buffer
  private readonly requestBytes: number
  private readonly onAnswers: (count: number) => void
  private socket!: Socket
  private next = 0
  private readonly frames = new FrameCount()
  bytesReceived = 0
  /** When those under way were due (-1 in the warm-up), and sent, oldest first; at an open pace only. */
  readonly dueMs: number[] = []
  readonly sentMs: number[] = []

  constructor({ bytes, requestBytes }: Ring, onAnswers: (count: number) => void) {
    this.ring = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
    this.requestBytes = requestBytes
    this.onAnswers = onAnswers
  }

  open(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const onread = {
        buffer: readBuffer,
        callback: (count: number) => {
          this.received(count)
          return true
        },
      }
      this.socket = connect({ host: '127.0.0.1', port, noDelay: true, onread }, resolve)
      this.socket.on('error', reject)
      this.socket.on('close', () => fail(new Error('the connection was closed')))
    })
  }

  send(count: number): void {
    const { ring, requestBytes } = this
    let left = count * requestBytes
    while (left > 0) {
      const end = Math.min(ring.length, this.next + left)
      this.socket.write(ring.subarray(this.next, end))
      left -= end - this.next
      this.next = end === ring.length ? 0 : end
    }
  }

  private received(count: number): void {
    this.bytesReceived += count
    const answers = this.frames.ended(readBuffer, count)
    if (answers > 0) this.onAnswers(answers)
  }
}

class Measurement {
  private readonly sockets: readonly LeanSocket[]
  private readonly probe: ReturnType<typeof processProbe>
  private begun = { ms: 0, cpu: 0, own: 0, bytes: 0 }

  constructor(sockets: readonly LeanSocket[], pid: number) {
    this.sockets = sockets
    this.probe = processProbe([pid])
  }

  private async now() {
    const { user, system } = process.cpuUsage()
    const usage = await this.probe()
    if (usage === null) throw new Error('the process under load is gone')
    const bytes = this.sockets.reduce((sum, socket) => sum + socket.bytesReceived, 0)
    return { ms: performance.now(), cpu: usage.cpuSeconds, own: (user + system) / 1e6, bytes }
  }

  async begin(): Promise<void> {
    this.begun = await this.now()
  }

  async result(requests: number): Promise<Omit<LeanResult, keyof Histograms>> {
    const [from, to] = [this.begun, await this.now()]
    return {
      requests,
      bytesReceived: to.bytes - from.bytes,
      seconds: (to.ms - from.ms) / 1000,
      cpu: to.cpu - from.cpu,
      ownCpu: to.own - from.own,
    }
  }
}

type Closed = Extract<Pace, { inFlight: number }>
type Open = Exclude<Pace, Closed>

async function runClosed(job: LeanJob, pace: Closed): Promise<LeanResult> {
  const total = pace.warmup + pace.measured
  let toSend = total
  let answered = 0
  let begun: Promise<void> | null = null
  const [done, finish] = signal()
  const sockets: LeanSocket[] = ringsOf(job).map((ring, i) => {
    return new LeanSocket(ring, count => {
      answered += count
      const next = Math.min(count, toSend)
      toSend -= next
      if (next > 0) sockets[i]!.send(next)
      if (begun === null && answered >= pace.warmup) begun = measurement.begin()
      if (answered === total) finish()
    })
  })
  const measurement = new Measurement(sockets, job.pid)
  for (const socket of sockets) await socket.open(job.port)
  // What is under way then is not waited for, and not counted.
  process.once('message', finish)
  if (pace.warmup === 0) begun = measurement.begin()
  for (const socket of sockets) {
    const first = Math.min(pace.inFlight, toSend)
    toSend -= first
    socket.send(first)
  }
  await done
  const empty = encodeLatency(newLatency())
  return {
    ...(await measurement.result(answered - pace.warmup)),
    latency: empty,
    late: empty,
    service: empty,
  }
}

async function runOpen(job: LeanJob, pace: Open): Promise<LeanResult> {
  const [latency, late, service] = [newLatency(), newLatency(), newLatency()]
  const warmupMs = pace.warmupSeconds * 1000
  const total = Math.floor(pace.perSecond * (pace.warmupSeconds + pace.seconds))
  const warmup = Math.floor(pace.perSecond * pace.warmupSeconds)
  let answered = 0
  const [done, finish] = signal()
  const sockets: LeanSocket[] = ringsOf(job).map((ring, i) => {
    return new LeanSocket(ring, count => {
      const nowMs = performance.now()
      const sentMs = sockets[i]!.sentMs.splice(0, count)
      for (const [k, dueMs] of sockets[i]!.dueMs.splice(0, count).entries()) {
        if (dueMs < 0) continue
        recordUs(latency, (nowMs - dueMs) * 1000)
        recordUs(service, (nowMs - sentMs[k]!) * 1000)
      }
      answered += count
      if (answered === total) finish()
    })
  })
  const measurement = new Measurement(sockets, job.pid)
  for (const socket of sockets) await socket.open(job.port)
  const startMs = performance.now()
  let sent = 0
  let isMeasuring = false
  const tick = () => {
    const nowMs = performance.now()
    for (; sent < total; sent++) {
      const dueMs = startMs + (sent * 1000) / pace.perSecond
      if (dueMs > nowMs) break
      if (sent >= warmup) recordUs(late, (nowMs - dueMs) * 1000)
      const socket = sockets[sent % sockets.length]!
      socket.dueMs.push(sent < warmup ? -1 : dueMs)
      socket.sentMs.push(nowMs)
      socket.send(1)
    }
    if (!isMeasuring && nowMs - startMs >= warmupMs) {
      isMeasuring = true
      measurement.begin().catch(fail)
    }
    if (sent < total) setTimeout(tick, TICK_MS)
  }
  tick()
  await done
  const result = await measurement.result(total - warmup)
  const histograms = { latency, late, service }
  const encoded = Object.entries(histograms).map(([name, one]) => [name, encodeLatency(one)])
  return { ...result, ...(Object.fromEntries(encoded) as Histograms) }
}

/** Of each connection. */
function ringsOf({ rings, connections }: LeanJob): Ring[] {
  return Array.from({ length: connections }, (_, i) => rings[i % rings.length]!)
}

function signal(): [Promise<void>, () => void] {
  let finish = () => {}
  const done = new Promise<void>(resolve => {
    finish = resolve
  })
  return [done, finish]
}

let isOver = false
const tell = (message: FromLeanWorker) => {
  isOver = true
  process.send?.(message, undefined, undefined, () => {})
}

function fail(error: Error): void {
  if (!isOver) tell({ type: 'failed', message: error.message })
}

process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.once('message', (job: LeanJob) => {
  const { pace } = job
  const run = 'inFlight' in pace ? runClosed(job, pace) : runOpen(job, pace)
  run.then(result => tell({ type: 'done', result })).catch(fail)
})

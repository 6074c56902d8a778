/**
 * The lean load generator, seen by whoever uses it: requests that are made once and sent again and again over raw sockets,
 * from a process of its own (lean-worker.ts), so that the broker is the limit and not a client.
 *
 * All requests of a connection have one length, so the next ones are always one piece of memory, or two.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Connection } from '../client/connection.ts'
import { type ApiName, apis, type RequestInput } from '../protocol/apis.ts'
import { Writer } from '../protocol/buffer.ts'
import { beginRequest, endFrame } from '../protocol/frame.ts'
import { encodeBatch } from '../protocol/records.ts'
import { type Api, isFlexible } from '../protocol/schema.ts'
import type { BenchBroker } from './group-bench.ts'

/** Requests of one length, one behind the other, sent in a circle. */
export interface Ring {
  readonly bytes: Uint8Array
  readonly requestBytes: number
}

/** Closed: so many requests under way on each connection. Open: due at a rate, whatever the answers do. */
export type Pace =
  | { readonly inFlight: number; readonly warmup: number; readonly measured: number }
  | { readonly perSecond: number; readonly warmupSeconds: number; readonly seconds: number }

export interface LeanJob {
  readonly port: number
  /** Whose processor time is counted while it is measured. */
  readonly pid: number
  readonly rings: readonly Ring[]
  /** How many there are; they take the rings in turn. */
  readonly connections: number
  readonly pace: Pace
}

/** Of an open pace: histograms of microseconds, encoded. */
export interface Histograms {
  /** From the moment at which a request was due. */
  readonly latency: string
  /** From due to sent: the generator's own part. */
  readonly late: string
  /** From sent to answered. */
  readonly service: string
}

/** Of the measured part. */
export interface LeanResult extends Histograms {
  readonly requests: number
  readonly bytesReceived: number
  readonly seconds: number
  /** Processor seconds: of the process under load, and of the generator. */
  readonly cpu: number
  readonly ownCpu: number
}

export type FromLeanWorker =
  | { readonly type: 'done'; readonly result: LeanResult }
  | { readonly type: 'failed'; readonly message: string }

/** A generator at work. At a closed pace it may be stopped: the result is then what it has come to. */
export interface LeanRun {
  readonly result: Promise<LeanResult>
  stop(): void
}

export function startLean(job: LeanJob): LeanRun {
  const child = fork(new URL('./lean-worker.js', import.meta.url), { serialization: 'advanced' })
  const result = new Promise<LeanResult>((resolve, reject) => {
    child.on('message', (message: FromLeanWorker) => {
      if (message.type === 'done') resolve(message.result)
      else reject(new Error(`the load generator: ${message.message}`))
    })
    child.once('exit', code => reject(new Error(`the load generator ended with ${code}`)))
  })
  result.finally(() => end(child)).catch(() => {})
  child.send(job)
  return { result, stop: () => void (child.connected && child.send('stop')) }
}

export function runLean(job: LeanJob): Promise<LeanResult> {
  return startLean(job).result
}

/** A process that is told to go by the end of its channel. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.connected) child.disconnect()
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/** A request as it goes over the wire, its length in front. */
export function framed<N extends ApiName>(name: N, request: RequestInput<N>): Buffer {
  const api = apis[name] as Api<ApiName>
  const version = api.versions[1]
  const writer = new Writer(1024)
  const start = beginRequest(writer, api, version, 0, 'lean')
  api.request.at(version, isFlexible(api, version)).write(writer, request as never)
  endFrame(writer, start, 0)
  return Buffer.from(writer.bytes())
}

/** A batch of so many records with values of so many bytes. */
export function leanBatch(records: number, valueBytes: number): Promise<Buffer> {
  const timestamp = Date.now()
  const value = Buffer.alloc(valueBytes, 'ottla ')
  const all = Array.from({ length: records }, () => ({ timestamp, key: null, value }))
  return encodeBatch(all) as Promise<Buffer>
}

/** What `connections` send that together write the batch to all partitions of a topic, one batch a request, in turn. */
export function producing(
  topicId: string,
  partitions: number,
  batch: Buffer,
  connections: number,
): Ring[] {
  const rings = Math.min(connections, partitions)
  return Array.from({ length: rings }, (_, first) => {
    const own: Buffer[] = []
    for (let index = first; index < partitions; index += rings) {
      const topicData = [{ topicId, partitionData: [{ index, records: batch }] }]
      own.push(framed('Produce', { acks: -1, timeoutMs: 30_000, topicData }))
    }
    return ringOf(own)
  })
}

export interface ReadSteps {
  readonly from: number
  readonly end: number
  /** Of each partition in each request. */
  readonly records: number
  readonly bytes: number
}

/** Reads of `bytes` bytes at a time, each so far behind the one before that it is sure to have got there. */
export function stepsOf(
  batch: Buffer,
  recordsInBatch: number,
  from: number,
  end: number,
  bytes: number,
): ReadSteps {
  const batches = Math.min(Math.floor(bytes / batch.length) - 1, (end - from) / recordsInBatch)
  return { from, end, records: batches * recordsInBatch, bytes }
}

/** No answer was empty or an error; those under way at the beginning are allowed for. */
export function expectBytes({ bytesReceived, requests }: LeanResult, steps: ReadSteps): void {
  const least = steps.bytes * requests * 0.7
  if (bytesReceived >= least) return
  throw new Error(`${bytesReceived} bytes came for ${requests} requests of ${steps.bytes}`)
}

/** Reads of these partitions from one offset to before another, and then again. */
export function fetching(topicId: string, indexes: readonly number[], steps: ReadSteps): Ring {
  const { from, end: endOffset, records, bytes } = steps
  const requests: Buffer[] = []
  for (let fetchOffset = from; fetchOffset + records <= endOffset; fetchOffset += records) {
    const partitions = indexes.map(partition => ({
      partition,
      fetchOffset,
      partitionMaxBytes: bytes,
    }))
    const maxBytes = bytes * indexes.length
    const topics = [{ topicId, partitions }]
    requests.push(framed('Fetch', { maxWaitMs: 0, minBytes: 1, maxBytes, topics }))
  }
  return ringOf(requests)
}

const RING_REQUESTS = 64
const RING_BYTES = 256 * 1024

/** Long enough that what is sent at a time is seldom in more than two pieces. */
function ringOf(requests: readonly Buffer[]): Ring {
  const once = Buffer.concat(requests)
  const most = Math.max(1, Math.floor(RING_BYTES / once.length))
  const times = Math.min(most, Math.ceil(RING_REQUESTS / requests.length))
  const bytes = Buffer.concat(Array.from({ length: times }, () => once))
  return { bytes, requestBytes: requests[0]!.length }
}

/** The ends of the partitions of a topic, added up. */
export async function endOffsets(
  broker: BenchBroker,
  topic: string,
  partitions: number,
): Promise<number> {
  const connection: Connection = await broker.connect()
  const asked = Array.from({ length: partitions }, (_, partitionIndex) => ({
    partitionIndex,
    timestamp: -1,
  }))
  const topics = [{ name: topic, partitions: asked }]
  const answer = await connection.send('ListOffsets', { replicaId: -1, topics })
  connection.close()
  return answer.topics[0]!.partitions.reduce((sum, { offset }) => sum + offset, 0)
}

/**
 * Stands between clients and a broker and does one thing wrong, once: with the records of the next Produce request that holds
 * enough of them. The batch gets a checksum that fits, so that no broker can know. Everything else passes as it is.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { apiByKey, type RequestOf } from '../../protocol/apis.ts'
import { Reader } from '../../protocol/buffer.ts'
import {
  beginRequest,
  endFrame,
  frameWriter,
  readRequestHeader,
  skipTags,
} from '../../protocol/frame.ts'
import { type DecodedRecord, decodeBatch, encodeBatch } from '../../protocol/records.ts'
import { isFlexible } from '../../protocol/schema.ts'

export type Fault = 'drop' | 'double' | 'reorder' | 'damage'

const PRODUCE = 0

const FAULTS: { readonly [Name in Fault]: (records: DecodedRecord[]) => DecodedRecord[] } = {
  drop: records => records.toSpliced(1, 1),
  double: records => records.toSpliced(1, 0, records[1]!),
  reorder: ([first, second, third, ...rest]) => [first!, third!, second!, ...rest],
  damage: ([first, ...rest]) => {
    const value = Buffer.from(first!.value!)
    value[value.length - 1] = value.at(-1)! ^ 1
    return [{ ...first!, value }, ...rest]
  },
}

export class TamperingProxy {
  /** Set it when the broker is there. */
  targetPort = 0
  private readonly server: Server
  private planted: Fault | null = null
  private readonly sockets = new Set<Socket>()

  private constructor(server: Server) {
    this.server = server
    server.on('connection', client => this.serve(client))
  }

  static async start(): Promise<TamperingProxy> {
    const server = createServer({ noDelay: true })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return new TamperingProxy(server)
  }

  plant(fault: Fault): void {
    this.planted = fault
  }

  /** Whether what was planted has been done. */
  get hasTampered(): boolean {
    return this.planted === null
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
  }

  private serve(client: Socket): void {
    const broker = connect({ host: '127.0.0.1', port: this.targetPort, noDelay: true })
    for (const [one, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        this.sockets.delete(one)
        other.destroy()
      })
    }
    broker.pipe(client)
    let pending = Buffer.alloc(0)
    client.on('data', bytes => {
      pending = Buffer.concat([pending, bytes])
      while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
        const end = 4 + pending.readInt32BE(0)
        for (const chunk of this.passed(pending.subarray(0, end))) broker.write(chunk)
        pending = pending.subarray(end)
      }
    })
  }

  private passed(frame: Buffer): readonly Buffer[] {
    if (this.planted === null || frame.readInt16BE(4) !== PRODUCE) return [frame]
    const reader = new Reader(frame, 4, frame.length)
    const { apiVersion: version, correlationId, clientId } = readRequestHeader(reader)
    const api = apiByKey(PRODUCE)!
    const flexible = isFlexible(api, version)
    if (flexible) skipTags(reader)
    const codec = api.request.at(version, flexible)
    const request = codec.read(reader) as RequestOf<'Produce'>
    const topicData = request.topicData.map(topic => ({
      ...topic,
      partitionData: topic.partitionData.map(partition => ({
        ...partition,
        records: this.tampered(partition.records),
      })),
    }))
    if (!this.hasTampered) return [frame]
    const writer = frameWriter(frame.length)
    const start = beginRequest(writer, api, version, correlationId, clientId)
    codec.write(writer, { ...request, topicData })
    endFrame(writer, start, 0)
    return writer.chunks().map(chunk => Buffer.from(chunk))
  }

  private tampered(bytes: Buffer | null): Buffer | null {
    if (bytes === null || this.planted === null) return bytes
    const records = decodeBatch(bytes, 0, 1 << 20) as DecodedRecord[]
    if (records.length < 3) return bytes
    const done = FAULTS[this.planted](records)
    this.planted = null
    return encodeBatch(done) as Buffer
  }
}

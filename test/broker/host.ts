/**
 * A real broker without sockets: in memory, with a clock that moves when told, and clients whose every byte the test
 * controls. What the tests of the connection, of the handlers and the fuzzing driver stand on.
 *
 *   const host = await startHost({ overrides: ['num.partitions=3'] })
 *   const client = host.connect()
 *   const response = await client.call('Metadata', 9, { topics: null })
 *   await host.stop()
 */
import assert from 'node:assert/strict'
import { Broker } from '../../broker/broker.ts'
import { loadConfig } from '../../broker/config.ts'
import { Metrics } from '../../broker/metrics.ts'
import { Server } from '../../broker/server.ts'
import { type ApiName, apis, type RequestInput, type ResponseOf } from '../../protocol/apis.ts'
import { Reader, Writer } from '../../protocol/buffer.ts'
import { beginRequest, endFrame, hasResponseTags, skipTags } from '../../protocol/frame.ts'
import { type Api, isFlexible } from '../../protocol/schema.ts'
import type { Disk } from '../../segment-store/disk.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { FakeIo, FakeSocket, idle } from './fake-network.ts'
import { recordingLogger } from './harness.ts'

/** One request as a frame. */
export function requestFrame<N extends ApiName>(
  name: N,
  version: number,
  request: RequestInput<N>,
  correlationId: number,
  clientId: string | null = 'test',
): Buffer {
  const api: Api = apis[name]
  const writer = new Writer()
  const start = beginRequest(writer, api, version, correlationId, clientId)
  api.request.at(version, isFlexible(api, version)).write(writer, request)
  endFrame(writer, start, 0)
  return Buffer.from(writer.bytes())
}

/** One response without its length. Fails if bytes are left over. */
export function readResponse<N extends ApiName>(
  name: N,
  version: number,
  frame: Buffer,
): ResponseOf<N> {
  const api: Api = apis[name]
  const reader = new Reader(frame)
  reader.int32()
  if (hasResponseTags(api, version)) skipTags(reader)
  const response = api.response.at(version, isFlexible(api, version)).read(reader)
  assert.equal(reader.remaining, 0, `${name} v${version}: bytes behind the response`)
  return response as ResponseOf<N>
}

interface Asked {
  readonly correlationId: number
  readonly resolve: (frame: Buffer) => void
  readonly reject: (error: Error) => void
}

/** A client at the other end of a FakeSocket. */
export class FakeClient {
  readonly socket: FakeSocket
  isClosed = false
  /** Correlation ids of the answers, in the order in which they came. */
  readonly answered: number[] = []
  private readonly asked = new Map<number, Asked>()
  private nextId = 1
  private rest: Buffer = Buffer.alloc(0)

  constructor(socket: FakeSocket) {
    this.socket = socket
    socket.onOutput = () => this.read()
    socket.onClosed = () => {
      this.isClosed = true
      for (const { reject } of this.asked.values()) reject(new Error('connection closed'))
      this.asked.clear()
    }
  }

  /** Sends a request; resolves with the answer, rejects when the connection closes before it. */
  call<N extends ApiName>(
    name: N,
    version: number,
    request: RequestInput<N>,
  ): Promise<ResponseOf<N>> {
    const id = this.nextId++
    const answer = this.expect(id)
    this.socket.deliver(requestFrame(name, version, request, id))
    return answer.then(frame => readResponse(name, version, frame))
  }

  /** Several requests in one piece of bytes. */
  callAll<N extends ApiName>(
    name: N,
    version: number,
    requests: readonly RequestInput<N>[],
  ): Promise<ResponseOf<N>[]> {
    const frames: Buffer[] = []
    const answers = requests.map(request => {
      const id = this.nextId++
      frames.push(requestFrame(name, version, request, id))
      return this.expect(id).then(frame => readResponse(name, version, frame))
    })
    this.socket.deliver(Buffer.concat(frames))
    return Promise.all(answers)
  }

  /** Sends a request that has no answer (acks=0). */
  tell<N extends ApiName>(name: N, version: number, request: RequestInput<N>): void {
    this.socket.deliver(requestFrame(name, version, request, this.nextId++))
  }

  /** The answer with this correlation id, without its length. */
  expect(correlationId: number): Promise<Buffer> {
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.asked.set(correlationId, { correlationId, resolve, reject })
    })
    // A test may look at the answer later than at the end of the connection.
    answer.catch(() => {})
    return answer
  }

  private read(): void {
    this.rest = Buffer.concat([this.rest, ...this.socket.output.splice(0)])
    while (this.rest.length >= 4) {
      const size = this.rest.readInt32BE(0)
      if (this.rest.length < 4 + size) return
      const frame = this.rest.subarray(4, 4 + size)
      this.rest = this.rest.subarray(4 + size)
      const id = frame.readInt32BE(0)
      this.answered.push(id)
      this.asked.get(id)?.resolve(frame)
      this.asked.delete(id)
    }
  }
}

/** A broker in memory with its listener, and the strings that tests pull. */
export class Host {
  readonly io: FakeIo
  readonly broker: Broker
  readonly server: Server
  readonly disk: Disk
  readonly logger: ReturnType<typeof recordingLogger>
  private readonly clients: FakeClient[] = []

  constructor(parts: {
    io: FakeIo
    broker: Broker
    server: Server
    disk: Disk
    logger: ReturnType<typeof recordingLogger>
  }) {
    this.io = parts.io
    this.broker = parts.broker
    this.server = parts.server
    this.disk = parts.disk
    this.logger = parts.logger
  }

  connect(remoteAddress = '127.0.0.1'): FakeClient {
    const client = new FakeClient(new FakeSocket(remoteAddress, 50_000 + this.clients.length))
    this.clients.push(client)
    this.io.connect(client.socket)
    return client
  }

  async createTopic(
    name: string,
    partitions = 1,
    configs: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const client = this.connect()
    const { topics } = await client.call('CreateTopics', 7, {
      topics: [
        {
          name,
          numPartitions: partitions,
          replicationFactor: 1,
          assignments: [],
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
      timeoutMs: 1000,
    })
    assert.equal(topics[0]!.errorCode, 0, topics[0]!.errorMessage ?? '')
    client.socket.destroy()
    await idle()
    return topics[0]!.topicId
  }

  /** Errors that were logged: a broker that answers peers properly logs none. */
  get loggedErrors(): readonly unknown[] {
    return this.logger.lines.filter(({ level }) => level === 'error')
  }

  /** Closes the connections of all clients and forgets them. */
  disconnectAll(): void {
    for (const { socket } of this.clients.splice(0)) socket.destroy()
  }

  async stop(): Promise<void> {
    this.io.holdsTurns = false
    this.disconnectAll()
    await idle()
    await this.server.stop()
    await this.broker.stop()
  }
}

export async function startHost(
  options: {
    overrides?: readonly string[]
    seed?: number
    disk?: Disk
    /** `log.dirs`. */
    dataDir?: string
  } = {},
): Promise<Host> {
  const { overrides = [], seed = 1 } = options
  const io = new FakeIo(seed)
  const config = loadConfig({
    overrides: ['listeners=PLAINTEXT://127.0.0.1:9092', ...overrides],
    flags: { dataDir: options.dataDir ?? '/ottla' },
  })
  const logger = recordingLogger()
  const disk = options.disk ?? new MemoryDisk(() => io.clock.nowMs())
  const metrics = new Metrics()
  const broker = await Broker.start({ config, io, disk, logger, metrics, version: 'test' })
  const server = await Server.open(broker)
  return new Host({ io, broker, server, disk, logger })
}

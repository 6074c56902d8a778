/**
 * A broker for the tests of handlers: real settings, controller and store (in memory), no sockets and no logs. `call`
 * sends a request through the schema both ways at the version asked for, so every version is known to be readable and
 * writable.
 */
import assert from 'node:assert/strict'
import type { Broker } from '../../broker/broker.ts'
import { type BrokerConfig, loadConfig, reconfigure } from '../../broker/config.ts'
import { AfterTurn, type Handler, type RequestContext } from '../../broker/context.ts'
import type { Logger } from '../../broker/logger.ts'
import { Controller } from '../../broker/metadata/controller.ts'
import type { ClusterImage } from '../../broker/metadata/image.ts'
import { type LocalStore, openLocalStore } from '../../broker/metadata/local.ts'
import { ProducerIds } from '../../broker/producer-ids.ts'
import {
  type ApiName,
  apis,
  type RequestInput,
  type RequestOf,
  type ResponseOf,
} from '../../protocol/apis.ts'
import { Reader, Writer } from '../../protocol/buffer.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { Io } from '../../protocol/io.ts'
import { type Api, isFlexible, type Type } from '../../protocol/schema.ts'
import { validateTopicConfigs } from '../../segment-store/config.ts'

export const CLUSTER_ID = 'MkU3OEVBNTcwNTJENDM2Qk'

export interface LogLine {
  readonly level: keyof Logger
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A logger that keeps its lines. */
export function recordingLogger(): Logger & { readonly lines: readonly LogLine[]; forget(): void } {
  const lines: LogLine[] = []
  const at =
    (level: keyof Logger) =>
    (event: string, fields = {}) => {
      lines.push({ level, event, fields })
    }
  const forget = () => {
    lines.length = 0
  }
  return {
    lines,
    forget,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
}

/** Time stands still, ids count up. */
export function stillIo(): Io {
  let ids = 0
  const unused = () => assert.fail('these tests have no network and no turns')
  return {
    clock: { nowMs: () => 0, monotonicMs: () => 0, timer: () => ({ cancel() {} }) },
    turn: { write: unused, answer: unused },
    network: { listen: unused, connect: unused },
    random: () => 0.5,
    uuid: () => {
      const bytes = Buffer.alloc(16)
      bytes.writeUInt32BE(++ids, 12)
      return bytes.toString('base64url')
    },
  }
}

export interface TestBroker {
  readonly broker: Broker
  readonly store: LocalStore
  readonly logger: ReturnType<typeof recordingLogger>
  /** Errors that were counted, in order. */
  readonly counted: ErrorName[]
  /** Names of the topics of each image that was acted on. */
  readonly seen: string[][]
  /** Calls a handler at a version, the newest unless said otherwise. */
  call<N extends ApiName>(
    api: { readonly [K in N]: Handler<N> },
    request: RequestInput<N>,
    version?: number,
    context?: Partial<RequestContext>,
  ): Promise<ResponseOf<N>>
  createTopic(name: string, partitions?: number, configs?: Record<string, string>): Promise<void>
}

export async function testBroker(
  options: {
    overrides?: readonly string[]
    store?: LocalStore
    onImage?: (before: ClusterImage, after: ClusterImage) => Promise<void> | void
  } = {},
): Promise<TestBroker> {
  const config = loadConfig({ overrides: options.overrides ?? [] })
  const store =
    options.store ?? (await openLocalStore({ disk: NO_DISK, path: null, clusterId: CLUSTER_ID }))
  const logger = recordingLogger()
  const io = stillIo()
  const settings = {
    placement: () => config,
    validateTopicConfigs: (configs: Readonly<Record<string, string | null>>) =>
      validateTopicConfigs(configs, config.topicDefaults),
  }
  const { nodeId } = config
  const controller = new Controller({ store, nodeId, io, logger, settings })
  const seen: string[][] = []
  controller.onImage((before, after) => {
    follow(config, after)
    seen.push([...after.topics.keys()])
    return options.onImage?.(before, after)
  })
  await controller.start()
  const broker = {
    config,
    io,
    logger,
    controller,
    store,
    producerIds: new ProducerIds(store),
    replicas: { isOffline: () => false },
    get image() {
      return controller.image
    },
  } as unknown as Broker
  const counted: ErrorName[] = []
  return {
    broker,
    store,
    logger,
    counted,
    seen,
    async call(table, request, version, context) {
      const [name] = Object.keys(table) as [keyof typeof table]
      const api = apis[name] as unknown as Api
      const at = version ?? api.versions[1]
      const read = through(api, at, api.request, request) as RequestOf<typeof name>
      const answer = table[name](broker, read, { ...contextAt(at, counted), ...context })
      const response = await (answer instanceof AfterTurn ? answer.complete() : answer)
      assert.notEqual(response, null, `${name} has an answer`)
      return through(api, at, api.response, response) as ResponseOf<typeof name>
    },
    async createTopic(name, partitions = 1, configs = {}) {
      const topic = { name, numPartitions: partitions, replicationFactor: -1, assignments: [] }
      const [outcome] = await controller.createTopics([{ ...topic, configs }])
      assert.ok(outcome !== undefined && 'value' in outcome, `${name} was created`)
    },
  }
}

const NO_DISK = null as never

function follow(config: BrokerConfig, image: ClusterImage): void {
  const broker = image.brokerConfigs.get(String(config.nodeId)) ?? {}
  const clusterDefault = image.brokerConfigs.get('') ?? {}
  assert.deepEqual(reconfigure(config, { broker, clusterDefault }), [])
}

/** What the other side reads of what this side writes. */
function through<T, I>(api: Api, version: number, type: Type<T, I>, value: I): T {
  const codec = type.at(version, isFlexible(api, version))
  const writer = new Writer()
  codec.write(writer, value)
  const reader = new Reader(Buffer.from(writer.bytes()))
  const read = codec.read(reader)
  assert.equal(reader.remaining, 0)
  return read
}

function contextAt(apiVersion: number, counted: ErrorName[]): RequestContext {
  return {
    apiVersion,
    clientId: 'test',
    listener: { name: 'PLAINTEXT', host: 'localhost', port: 9092, advertised: null },
    principal: 'User:ANONYMOUS',
    clientAddress: '127.0.0.1',
    connectionId: 1,
    localAddress: '127.0.0.1',
    localPort: 9092,
    receivedMs: 0,
    nowMs: 0,
    served: [],
    onClosed: null,
    countError: name => counted.push(name),
  }
}

/** All versions of an API that we serve. */
export function versionsOf(name: ApiName): readonly number[] {
  const [lowest, highest] = apis[name].versions
  return Array.from({ length: highest - lowest + 1 }, (_, i) => lowest + i)
}

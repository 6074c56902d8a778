/**
 * The brokers that a client knows, and one connection to each, opened when it is first needed.
 *
 * Addresses come from the bootstrap list until a broker has told us about the cluster. The list stays in reserve: when
 * no broker that we know can be reached any more, it is tried again.
 */
import type { ResponseOf } from '../protocol/apis.ts'
import type { Io } from '../protocol/io.ts'
import type { Api } from '../protocol/schema.ts'
import { type Address, type ClientConfig, formatAddress } from './config.ts'
import { Connection, type RequestWatch } from './connection.ts'
import { ClosedError, ConnectionError } from './errors.ts'

/** How long the opening of a connection may take, and who may give up waiting for it. */
export interface Patience {
  /** On the monotonic clock. */
  readonly deadlineMs: number
  readonly signal: AbortSignal | undefined
}

export interface RequestHooks {
  /** Makes what hears of all requests to one broker; `nodeId` is below 0 for bootstrap addresses. */
  readonly watch?: (nodeId: number, label: string) => RequestWatch
}

interface Node extends Address {
  /** Bootstrap addresses have ids below 0. */
  readonly id: number
  connection: Connection | null
  opening: Promise<Connection> | null
  /** When connecting failed last; 0 if it did not. */
  failedAtMs: number
}

const READ_BUFFER_BYTES = 65_536

export class Brokers {
  /** Whether any broker has ever answered. */
  hasConnected = false
  private readonly io: Io
  private readonly config: ClientConfig
  private readonly hooks: RequestHooks
  private readonly readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
  private readonly bootstrap: readonly Node[]
  private readonly known = new Map<number, Node>()
  private isClosed = false

  constructor(io: Io, config: ClientConfig, hooks: RequestHooks) {
    this.io = io
    this.config = config
    this.hooks = hooks
    this.bootstrap = config.bootstrap.map((address, i) => newNode(-1 - i, address))
  }

  /** Node ids, as of the last metadata. */
  get ids(): readonly number[] {
    return [...this.known.keys()]
  }

  has(nodeId: number): boolean {
    return this.known.has(nodeId)
  }

  /** How errors name a broker. */
  label(nodeId: number): string {
    const node = this.known.get(nodeId)
    return node === undefined ? `broker ${nodeId}` : labelOf(node)
  }

  /** The open connection to this broker, or null. */
  openConnection(nodeId: number): Connection | null {
    const connection = this.known.get(nodeId)?.connection ?? null
    return connection?.isOpen === true ? connection : null
  }

  /** A connection to this broker. Rejects with a ConnectionError, TimeoutError or VersionError. */
  async open(nodeId: number, patience: Patience): Promise<Connection> {
    const node = this.known.get(nodeId)
    if (node !== undefined) return this.openTo(node, patience)
    const advice = 'see whether it runs'
    throw new ConnectionError(`broker ${nodeId} is not in the cluster at the moment`, { advice })
  }

  /** The least busy of the open connections; else the first broker that can be reached, bootstrap addresses last. */
  async openAny(patience: Patience): Promise<Connection> {
    const nodes = [...this.known.values(), ...this.bootstrap]
    const open = nodes.map(n => n.connection).filter(c => c?.isOpen === true)
    if (open.length > 0) {
      return open.reduce((a, b) => (b!.inFlightCount < a!.inFlightCount ? b : a))!
    }
    // Those that failed longest ago come first; the sort is stable, so that otherwise bootstrap addresses come last.
    nodes.sort((a, b) => a.failedAtMs - b.failedAtMs)
    const failures: ConnectionError[] = []
    for (const node of nodes) {
      try {
        return await this.openTo(node, patience)
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error
        failures.push(error)
        if (this.io.clock.monotonicMs() >= patience.deadlineMs) break
      }
    }
    throw failures.length === 1 ? failures[0] : noneReachable(failures)
  }

  /** Takes over what metadata say. A broker that has gone, or moved to another address, loses its connection. */
  learn(brokers: ResponseOf<'Metadata'>['brokers']): void {
    const gone = new Set(this.known.keys())
    for (const { nodeId, host, port } of brokers) {
      const node = this.known.get(nodeId)
      if (node?.host === host && node.port === port) gone.delete(nodeId)
    }
    for (const nodeId of gone) this.forget(nodeId)
    for (const { nodeId, host, port } of brokers) {
      if (!this.known.has(nodeId)) this.known.set(nodeId, newNode(nodeId, { host, port }))
    }
  }

  /** Back to the bootstrap addresses. */
  forgetAll(): void {
    for (const nodeId of [...this.known.keys()]) this.forget(nodeId)
  }

  /** Closes all connections, for good. */
  close(error: Error): void {
    this.isClosed = true
    for (const node of [...this.bootstrap, ...this.known.values()]) node.connection?.close(error)
  }

  private openTo(node: Node, patience: Patience): Promise<Connection> {
    if (node.connection?.isOpen === true) return Promise.resolve(node.connection)
    node.opening ??= this.openNew(node, leftMs(this.io, patience)).finally(() => {
      node.opening = null
    })
    return abortable(node.opening, patience.signal)
  }

  private async openNew(node: Node, timeoutMs: number): Promise<Connection> {
    const isAdvertised = node.id >= 0 && this.hasConnected
    try {
      const connection = await Connection.open(this.io, {
        ...this.config,
        host: node.host,
        port: node.port,
        label: labelOf(node),
        connectTimeoutMs: Math.min(this.config.connectTimeoutMs, timeoutMs),
        readBuffer: this.readBuffer,
        watch: this.watch(node),
        unreachableAdvice: isAdvertised
          ? "the cluster itself gave this address: check that the broker runs, and its setting 'advertised.listeners'"
          : undefined,
      })
      this.adopt(node, connection)
      return connection
    } catch (error) {
      node.failedAtMs = this.io.clock.monotonicMs()
      throw error
    }
  }

  private watch(node: Node): RequestWatch | undefined {
    const hook = this.hooks.watch?.(node.id, labelOf(node))
    const { meter } = this.config.telemetry
    if (meter === null) return hook
    const { clock } = this.io
    return {
      sent: api => hook?.sent(api),
      answered(api: Api, version, correlationId, sentAtMs, bytes) {
        meter.answered(api.name, clock.monotonicMs() - sentAtMs)
        hook?.answered(api, version, correlationId, sentAtMs, bytes)
      },
    }
  }

  private adopt(node: Node, connection: Connection): void {
    if (this.isClosed) {
      connection.close()
      throw new ClosedError()
    }
    const { telemetry } = this.config
    this.hasConnected = true
    node.failedAtMs = 0
    node.connection = connection
    telemetry.connected(connection)
    connection.whenClosed(error => {
      telemetry.disconnected(connection, error)
      if (node.connection === connection) node.connection = null
    })
    if (node.id < 0) return
    for (const { connection: spare } of this.bootstrap) {
      if (spare !== null && spare.inFlightCount === 0) spare.close()
    }
  }

  private forget(nodeId: number): void {
    const node = this.known.get(nodeId)
    this.known.delete(nodeId)
    node?.connection?.close(
      new ConnectionError(`${this.label(nodeId)} has left the cluster or moved`, {}),
    )
  }
}

function newNode(id: number, { host, port }: Address): Node {
  return { id, host, port, connection: null, opening: null, failedAtMs: 0 }
}

function labelOf(node: Node): string {
  return node.id < 0 ? formatAddress(node) : `broker ${node.id} at ${formatAddress(node)}`
}

/** Until the deadline; at least 1. */
export function leftMs(io: Io, { deadlineMs }: Patience): number {
  return Math.max(1, Math.ceil(deadlineMs - io.clock.monotonicMs()))
}

/** Settles as `promise` does, or rejects when the signal says so; `promise` goes on for its other users. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function noneReachable(failures: readonly ConnectionError[]): ConnectionError {
  const reasons = failures.map(f => f.message.replace(/\.$/, '')).join('; ')
  return new ConnectionError(`not one of ${failures.length} brokers can be reached: ${reasons}`, {
    neverOpened: true,
    cause: failures.at(-1),
  })
}

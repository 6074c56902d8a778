/**
 * The listeners of a broker and the connections they accepted: opening, limits, sweeping, draining.
 *
 *   max.connections, max.connections.per.ip   one more is closed at once, and counted
 *   connections.max.idle.ms                   a connection on which nothing is under way is closed after it
 *   STALL_MAX_MS                              a peer that stops in the middle of a frame, or does not take its answers
 */
import type { Listener, Socket, Timer } from '../protocol/io.ts'
import type { Broker } from './broker.ts'
import type { ListenerConfig } from './config.ts'
import { Connection, STALL_MAX_MS } from './connection.ts'
import { bindAddresses, type ListenerAddress } from './listeners.ts'

/** How often connections are held to their time limits. */
const SWEEP_INTERVAL_MS = 1000
/** What a drain waits for answers that are under way. */
const DRAIN_MAX_MS = 5000

export class Server {
  private readonly broker: Broker
  private readonly listeners: Listener[] = []
  private readonly connections = new Set<Connection>()
  private readonly perAddress = new Map<string, number>()
  private nextId = 1
  private isStopping = false
  private nextSweep: Timer | null = null
  private onDrained: (() => void) | null = null
  readonly addresses: ListenerAddress[] = []

  private constructor(broker: Broker) {
    this.broker = broker
  }

  /** Opens every configured listener. Rejects with which one could not be bound, and why. */
  static async open(broker: Broker): Promise<Server> {
    const server = new Server(broker)
    try {
      for (const listener of broker.config.listeners) await server.bind(listener)
    } catch (error) {
      await server.stop()
      throw error
    }
    server.sweepLater()
    return server
  }

  get connectionCount(): number {
    return this.connections.size
  }

  /** Stops accepting, answers what is under way (for a bounded time), closes all connections. */
  async stop(): Promise<void> {
    this.isStopping = true
    this.nextSweep?.cancel()
    for (const listener of this.listeners) void listener.close()
    for (const connection of this.connections) connection.drain()
    // Members wait for each other, not for us.
    this.broker.groups.stop()
    if (this.connections.size === 0) return
    await new Promise<void>(resolve => {
      // Sockets that are not read keep no process alive: the timer must.
      const timer = this.broker.io.clock.timer(DRAIN_MAX_MS, resolve, true)
      this.onDrained = () => {
        timer.cancel()
        resolve()
      }
    })
    for (const connection of this.connections) connection.drop('the broker is stopping')
  }

  private async bind(listener: ListenerConfig): Promise<void> {
    let { port } = listener
    for (const { host, required } of bindAddresses(listener)) {
      try {
        const accept = (socket: Socket) => this.accept(socket, address)
        const bound = await this.broker.io.network.listen(host, port, accept)
        // Port 0 takes a free one; the other address of the same listener takes that one too.
        port = bound.port
        const { name, advertised } = listener
        const address: ListenerAddress = { name, host, port, advertised }
        this.listeners.push(bound)
        this.addresses.push(address)
      } catch (error) {
        if (required) throw new Error(`listener ${listener.name}: ${explain(error, host, port)}`)
      }
    }
  }

  private accept(socket: Socket, listener: ListenerAddress): void {
    const refused = this.refusal(socket)
    if (refused !== null) {
      this.broker.metrics.connectionRefused(refused)
      return socket.destroy()
    }
    const { remoteAddress } = socket
    this.perAddress.set(remoteAddress, (this.perAddress.get(remoteAddress) ?? 0) + 1)
    const connection = new Connection({
      id: this.nextId++,
      broker: this.broker,
      socket,
      listener,
      onClosed: closed => this.forget(closed, remoteAddress),
    })
    this.connections.add(connection)
    this.broker.metrics.connectionOpened(listener.name)
    socket.start(connection)
  }

  private refusal(socket: Socket): string | null {
    const { maxConnections, maxConnectionsPerIp, maxConnectionsPerIpOverrides } = this.broker.config
    if (this.isStopping) return 'stopping'
    if (this.connections.size >= maxConnections) return 'max.connections'
    const limit = maxConnectionsPerIpOverrides.get(socket.remoteAddress) ?? maxConnectionsPerIp
    if ((this.perAddress.get(socket.remoteAddress) ?? 0) >= limit) return 'max.connections.per.ip'
    return null
  }

  private forget(connection: Connection, remoteAddress: string): void {
    this.connections.delete(connection)
    const left = this.perAddress.get(remoteAddress)! - 1
    if (left === 0) this.perAddress.delete(remoteAddress)
    else this.perAddress.set(remoteAddress, left)
    this.broker.metrics.connectionClosed(connection.listener.name)
    this.broker.groups.disconnected(connection.id)
    if (this.connections.size === 0) this.onDrained?.()
  }

  private sweepLater(): void {
    this.nextSweep = this.broker.io.clock.timer(SWEEP_INTERVAL_MS, () => {
      this.sweep()
      this.sweepLater()
    })
  }

  private sweep(): void {
    const nowMs = this.broker.io.clock.monotonicMs()
    const maxIdleMs = this.broker.config.connectionsMaxIdleMs
    for (const connection of this.connections) {
      const quietMs = connection.quietMs(nowMs)
      if (connection.isStalling && quietMs >= STALL_MAX_MS) {
        connection.drop(`no byte moved for ${STALL_MAX_MS} ms in the middle of a request or answer`)
      } else if (connection.isIdle && maxIdleMs >= 0 && quietMs >= maxIdleMs) {
        connection.drop(`idle for ${maxIdleMs} ms (connections.max.idle.ms)`)
      }
    }
  }
}

function explain(error: unknown, host: string, port: number): string {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') {
    return `${host}:${port} is taken by another process; stop it, or choose another port (--port, listeners)`
  }
  if (code === 'EADDRNOTAVAIL') return `${host} is not an address of this machine (listeners)`
  if (code === 'EACCES')
    return `no permission to bind ${host}:${port}; ports below 1024 need privileges`
  if (code === 'ENOTFOUND') return `the name ${host} does not resolve (listeners)`
  return `${host}:${port}: ${String(error)}`
}

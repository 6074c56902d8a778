/**
 * The small HTTP server for operators: figures for Prometheus, and two probes for whatever keeps the broker running.
 *
 *   GET /metrics   Prometheus' text format
 *   GET /healthz   200 as long as the process can answer
 *   GET /readyz    200 when clients are served; 503 and the reason while starting, stopping or failed
 *
 * HTTP itself is loaded when the server starts, prom-client at the first scrape. Everything is bounded: connections,
 * header size, the time for a request, the time a reader may stall. Overlapping scrapes share one result.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Logger, silentLogger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import type { MetricsRegistry } from './metrics-registry.ts'

export type Readiness =
  /** `remark`: what is not well although clients are served. */
  | { readonly isReady: true; readonly remark?: string }
  | { readonly isReady: false; readonly reason: string }

export interface HostAndPort {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
}

export interface MetricsServerOptions {
  readonly address: HostAndPort
  readonly metrics: Metrics
  /** Asked at each /readyz. */
  readonly readiness: () => Readiness
  readonly logger?: Logger
  readonly limits?: Partial<MetricsServerLimits>
}

export interface MetricsServerLimits {
  /** One more is closed at once. */
  readonly maxConnections: number
  readonly maxHeaderBytes: number
  /** From the first byte of a request, or the connection, to the end of its headers; and how often that is checked. */
  readonly requestTimeoutMs: number
  readonly checkIntervalMs: number
  /** A connection on which nothing moves is closed, in the middle of an answer or between requests. */
  readonly idleTimeoutMs: number
}

export interface MetricsServer {
  /** host:port as bound, never port 0. */
  readonly address: string
  /** Ends every connection. */
  close(): Promise<void>
}

const LIMITS: MetricsServerLimits = {
  maxConnections: 32,
  maxHeaderBytes: 8192,
  requestTimeoutMs: 5000,
  checkIntervalMs: 5000,
  idleTimeoutMs: 120_000,
}

const TEXT = 'text/plain; charset=utf-8'

interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** Rejects with Node's error (EADDRINUSE, …) when the address cannot be bound. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { address, logger = silentLogger } = options
  const limits = { ...LIMITS, ...options.limits }
  const { createServer } = await import('node:http')
  const pages = new Pages(options, logger)
  const settings = {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.requestTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
  }
  const server = createServer(settings, (request, response) => {
    // A page never fails: what can fail is turned into a 500 inside.
    void pages.answer(request, response)
  })
  server.maxConnections = limits.maxConnections
  server.timeout = limits.idleTimeoutMs
  await listening(server, address)
  // Out of file descriptors, for one: the next connection may succeed, and the broker must not end over it.
  server.on('error', error => logger.warn('metrics connection not accepted', { error }))
  const bound = server.address() as AddressInfo
  return {
    address: `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`,
    close: () => closed(server),
  }
}

function listening(server: Server, { host, port }: HostAndPort): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function closed(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

class Pages {
  private readonly options: MetricsServerOptions
  private readonly logger: Logger
  private registry: MetricsRegistry | null = null
  private readonly byPath: Readonly<Record<string, () => Page | Promise<Page>>>

  constructor(options: MetricsServerOptions, logger: Logger) {
    this.options = options
    this.logger = logger
    this.byPath = {
      '/metrics': () => this.figures(),
      '/healthz': () => text(200, 'ok'),
      '/readyz': () => this.ready(),
    }
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method } = request
    const isRead = method === 'GET' || method === 'HEAD'
    const page = isRead ? await this.page(request.url ?? '/') : text(405, 'GET and HEAD only')
    if (!isRead) response.setHeader('allow', 'GET, HEAD')
    // Nothing reads a request's body, so the connection of one that has a body cannot be used again.
    const { headers } = request
    if (!isRead || headers['content-length'] !== undefined || headers['transfer-encoding']) {
      response.setHeader('connection', 'close')
    }
    response.setHeader('content-type', page.type)
    response.setHeader('content-length', Buffer.byteLength(page.body))
    response.setHeader('cache-control', 'no-store')
    response.writeHead(page.status)
    response.end(method === 'HEAD' ? undefined : page.body)
  }

  private async page(url: string): Promise<Page> {
    const path = url.split('?', 1)[0]!
    if (!Object.hasOwn(this.byPath, path)) {
      return text(404, `no such page; there are ${Object.keys(this.byPath).join(', ')}`)
    }
    try {
      return await this.byPath[path]!()
    } catch (error) {
      this.logger.error('metrics page failed', { path, error })
      return text(500, String(error))
    }
  }

  private async figures(): Promise<Page> {
    if (this.registry === null) {
      const { MetricsRegistry } = await import('./metrics-registry.ts')
      this.registry ??= new MetricsRegistry(this.options.metrics, nextTurn)
    }
    const body = await this.registry.scrape()
    return { status: 200, type: this.registry.contentType, body }
  }

  private ready(): Page {
    const readiness = this.options.readiness()
    if (!readiness.isReady) return text(503, readiness.reason)
    return text(200, readiness.remark === undefined ? 'ready' : `ready; ${readiness.remark}`)
  }
}

function text(status: number, line: string): Page {
  return { status, type: TEXT, body: `${line}\n` }
}

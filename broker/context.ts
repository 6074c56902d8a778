/**
 * What a handler gets beside the request, and what it may answer with.
 *
 * A handler answers at once where nothing waits. `afterTurn` is for what must be true before the answer may leave but
 * needs no promise: the turn's write of a log. `null` means that the request has no answer (acks=0).
 */
import type { ApiName, RequestOf, ResponseInput } from '../protocol/apis.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { Broker } from './broker.ts'
import type { ListenerAddress } from './listeners.ts'

export interface ServedApi {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

export interface RequestContext {
  readonly apiVersion: number
  readonly clientId: string | null
  readonly listener: ListenerAddress
  /** Always 'User:ANONYMOUS' until listeners authenticate. */
  readonly principal: string
  readonly clientAddress: string
  readonly connectionId: number
  /** The address that the client connected to: what we advertise unless told otherwise. */
  readonly localAddress: string
  readonly localPort: number
  /** When the request arrived, by the monotonic clock. */
  readonly receivedMs: number
  /** The time of day when it was started, asked once for all requests of a read. */
  readonly nowMs: number
  /** What this broker serves, for ApiVersions. */
  readonly served: readonly ServedApi[]
  /** Set by a handler that waits: called if the connection is gone before the answer. */
  onClosed: (() => void) | null
  /** Counts an error that the response will carry, for the metrics. */
  countError(name: ErrorName): void
}

/** An answer that is made when the turn's writes are done; a promise where they are not yet what it needs. */
export class AfterTurn<R> {
  readonly complete: () => R | Promise<R>

  constructor(complete: () => R | Promise<R>) {
    this.complete = complete
  }
}

export type Answer<R> = R | Promise<R> | AfterTurn<R>

export type Handler<N extends ApiName> = (
  broker: Broker,
  request: RequestOf<N>,
  context: RequestContext,
) => Answer<ResponseInput<N> | null>

/** A response whose bytes lie in pooled buffers carries this: called once, when the socket has taken them. */
export const RELEASE = Symbol('release')
export interface Releasable {
  [RELEASE]?: () => void
}

/** Thrown by a handler whose only fitting answer is the end of the connection. */
export class CloseConnection extends Error {
  override readonly name = 'CloseConnection'
}

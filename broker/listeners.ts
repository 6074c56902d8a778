/**
 * Listeners: where a broker binds, and what it tells clients to connect to.
 *
 * Unless `advertised.listeners` is set, a client is told the address that it connected to itself: right through port
 * forwarding into a container or a VM, on any interface, without configuration.
 */
import type { ListenerConfig } from './config.ts'
import type { RequestContext } from './context.ts'

/** One listener as it is bound. */
export interface ListenerAddress {
  readonly name: string
  readonly host: string
  /** The port that was bound: never 0. */
  readonly port: number
  /** What `advertised.listeners` says for this listener, if anything. */
  readonly advertised: { readonly host: string; readonly port: number } | null
}

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** What this broker tells the client of `context` to connect to. */
export function advertisedEndpoint(context: RequestContext): Endpoint {
  const { advertised } = context.listener
  if (advertised !== null) return advertised
  return { host: readableAddress(context.localAddress), port: context.localPort }
}

/**
 * `::ffff:127.0.0.1` is how a dual-stack socket shows an IPv4 address; clients want the IPv4 form. `::1` becomes a name,
 * because not every client can take a bare IPv6 address apart from a port.
 */
export function readableAddress(address: string): string {
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address
  return plain === '::1' ? 'localhost' : plain
}

/** The addresses to bind for one configured listener: `localhost` is both loopback addresses where both exist. */
export function bindAddresses(
  listener: ListenerConfig,
): readonly { host: string; required: boolean }[] {
  if (listener.host === 'localhost') {
    return [
      { host: '127.0.0.1', required: true },
      { host: '::1', required: false },
    ]
  }
  if (listener.host === '' || listener.host === '0.0.0.0')
    return [{ host: '0.0.0.0', required: true }]
  return [{ host: listener.host, required: true }]
}

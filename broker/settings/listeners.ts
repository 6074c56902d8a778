/**
 * `listeners` and what belongs to it: text into addresses, with every mistake named. A KRaft controller's listener is
 * dropped: a `server.properties` of Kafka has one, and nothing here listens for controllers.
 */

export interface ListenerConfig {
  /** Upper case, as Kafka has it. */
  readonly name: string
  /** '' is every interface, 'localhost' both loopback addresses. */
  readonly host: string
  /** 0 is a free port. */
  readonly port: number
  readonly securityProtocol: 'PLAINTEXT'
  /** What `advertised.listeners` says; null: the address that the client connected to. */
  readonly advertised: { readonly host: string; readonly port: number } | null
}

export interface ListenerSettings {
  readonly listeners: readonly string[]
  readonly advertisedListeners: readonly string[] | null
  readonly listenerSecurityProtocolMap: string
  readonly controllerListenerNames: readonly string[]
}

interface NamedAddress {
  readonly name: string
  readonly host: string
  readonly port: number
}

/** What clients may connect to. Mistakes go to `problems`, one sentence each. */
export function parseListeners(
  settings: ListenerSettings,
  problems: string[],
): readonly ListenerConfig[] {
  const isController = controllerNames(settings.controllerListenerNames)
  const protocols = parseProtocols(settings.listenerSecurityProtocolMap, problems)
  const bound = parseAddresses('listeners', settings.listeners, problems).filter(
    ({ name }) => !isController(name),
  )
  const advertised = parseAddresses(
    'advertised.listeners',
    settings.advertisedListeners ?? [],
    problems,
  ).filter(({ name }) => !isController(name))
  if (bound.length === 0) problems.push('listeners: there is none that clients could connect to')
  checkDuplicates(bound, problems)
  for (const { name, host } of advertised) {
    if (!bound.some(listener => listener.name === name)) {
      problems.push(`advertised.listeners: ${name} is not among the listeners`)
    }
    if (host === '' || host === '0.0.0.0' || host === '::') {
      problems.push(`advertised.listeners: ${name} needs a host that clients can connect to`)
    }
  }
  for (const { name } of bound) checkProtocol(name, protocols, problems)
  return bound.map(listener => {
    const known = advertised.find(({ name }) => name === listener.name)
    return {
      ...listener,
      securityProtocol: 'PLAINTEXT',
      advertised: known === undefined ? null : { host: known.host, port: known.port },
    }
  })
}

/** `listeners` with the port of the only one for clients replaced, or null where there is not exactly one. */
export function withPort(
  listeners: readonly string[],
  controllerListenerNames: readonly string[],
  port: number,
): string[] | null {
  const isController = controllerNames(controllerListenerNames)
  let replaced = 0
  const changed = listeners.map(text => {
    const address = parseAddress(text)
    if (address === null || isController(address.name)) return text
    replaced++
    return text.replace(/\d+$/, String(port))
  })
  return replaced === 1 ? changed : null
}

/** `host:port`, where an IPv6 host stands in brackets; null if it is not that. */
export function parseHostPort(text: string): { host: string; port: number } | null {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([0-9a-zA-Z\-._]*)):(\d{1,5})$/.exec(text.trim())
  if (match === null) return null
  const port = Number(match[3])
  return port > 65535 ? null : { host: match[1] ?? match[2] ?? '', port }
}

function parseAddress(text: string): NamedAddress | null {
  const separator = text.indexOf('://')
  const address = separator <= 0 ? null : parseHostPort(text.slice(separator + 3))
  return address === null ? null : { name: text.slice(0, separator).toUpperCase(), ...address }
}

function parseAddresses(
  setting: string,
  items: readonly string[],
  problems: string[],
): NamedAddress[] {
  const addresses: NamedAddress[] = []
  for (const item of items) {
    const address = parseAddress(item)
    if (address !== null) addresses.push(address)
    else problems.push(`${setting}: "${item}" is not name://host:port`)
  }
  return addresses
}

function controllerNames(names: readonly string[]): (name: string) => boolean {
  const upper = new Set(['CONTROLLER', ...names.map(name => name.toUpperCase())])
  return name => upper.has(name)
}

function parseProtocols(text: string, problems: string[]): Map<string, string> {
  const protocols = new Map<string, string>()
  for (const item of text.split(',')) {
    if (item.trim() === '') continue
    const [name = '', protocol = '', ...rest] = item.split(':').map(part => part.trim())
    if (name === '' || protocol === '' || rest.length > 0) {
      problems.push(`listener.security.protocol.map: "${item.trim()}" is not name:protocol`)
    } else protocols.set(name.toUpperCase(), protocol.toUpperCase())
  }
  return protocols
}

function checkProtocol(
  name: string,
  protocols: ReadonlyMap<string, string>,
  problems: string[],
): void {
  const protocol = protocols.get(name)
  if (protocol === undefined) {
    problems.push(`listeners: ${name} has no protocol in listener.security.protocol.map`)
  } else if (protocol !== 'PLAINTEXT') {
    problems.push(`listeners: ${name} is ${protocol}; only PLAINTEXT is served so far`)
  }
}

function checkDuplicates(addresses: readonly NamedAddress[], problems: string[]): void {
  const names = new Set<string>()
  const places = new Set<string>()
  for (const { name, host, port } of addresses) {
    const place = `${host}:${port}`
    if (names.has(name)) problems.push(`listeners: ${name} occurs twice`)
    if (port !== 0 && places.has(place)) problems.push(`listeners: ${place} occurs twice`)
    names.add(name)
    places.add(place)
  }
}

/**
 * One address as a client meets it: what its name means, whether the port accepts, what speaks there, and in which versions.
 * Where something else than Kafka's protocol speaks, it is tried as TLS and as HTTP, to say which.
 */
import { lookup } from 'node:dns/promises'
import { connect as connectTls } from 'node:tls'
import { type Address, formatAddress } from '../client/config.ts'
import { Connection } from '../client/connection.ts'
import { type ApiName, apis } from '../protocol/apis.ts'
import type { Io } from '../protocol/io.ts'
import type { Report } from './doctor.ts'

export interface Examination {
  readonly connectTimeoutMs: number
  readonly report: Report
  /** How findings name the address; default: itself. */
  readonly label?: string
  /** What to do when it cannot be used, where more is known than the address. */
  readonly advice?: string
}

/** An open connection to a broker there, or null when there is none. */
export async function checkAddress(
  io: Io,
  address: Address,
  examination: Examination,
): Promise<Connection | null> {
  const { report, advice, connectTimeoutMs, label = formatAddress(address) } = examination
  const found = await resolved(address.host, label, examination)
  if (found.length === 0) return null
  if (!(await anyAccepts(io, found, address.port, label, examination))) return null
  let connection: Connection
  try {
    connection = await Connection.open(io, {
      ...address,
      label,
      clientId: 'ottla-doctor',
      connectTimeoutMs,
      requestTimeoutMs: connectTimeoutMs,
      maxResponseBytes: 128 * 1024 * 1024,
    })
  } catch (error) {
    const other = await whatSpeaks(io, address, connectTimeoutMs)
    const [text, remedy] = OTHERS[other] ?? [`it ${other}`, OTHER_ADVICE]
    report('problem', label, text, advice ?? remedy)
    if (other === 'accepts') report('problem', label, (error as Error).message.replace(/\.$/, ''))
    return null
  }
  if (checkVersions(connection, label, report)) return connection
  connection.close()
  return null
}

const NAME_ADVICE: { readonly [code: string]: string } = {
  ENOTFOUND: 'the name is unknown here: correct it, or make it known (DNS, /etc/hosts)',
  EAI_AGAIN: 'names cannot be looked up at the moment: check the network and its name server',
}

function isIp(host: string): boolean {
  return host.includes(':') || /^[\d.]+$/.test(host)
}

async function resolved(
  host: string,
  label: string,
  { report, advice }: Examination,
): Promise<readonly string[]> {
  if (isIp(host)) return [host]
  try {
    const list = (await lookup(host, { all: true })).map(({ address }) => address)
    report('ok', label, `the name '${host}' is ${list.join(' and ')}`)
    return list
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    const known = NAME_ADVICE[code] ?? message
    report('problem', label, `the name '${host}' cannot be looked up (${code})`, advice ?? known)
    return []
  }
}

const CONNECT_ADVICE: { readonly [code: string]: string } = {
  ECONNREFUSED: 'nothing listens there: start the broker, or correct the port',
  EHOSTUNREACH: 'there is no way to this host: check address and network',
  ENETUNREACH: 'there is no way to this network: check address and network',
}

async function anyAccepts(
  io: Io,
  hosts: readonly string[],
  port: number,
  label: string,
  { report, advice, connectTimeoutMs }: Examination,
): Promise<boolean> {
  const tries = await Promise.all(
    hosts.map(async host => {
      try {
        const startMs = io.clock.monotonicMs()
        const socket = await io.network.connect(host, port, connectTimeoutMs)
        socket.destroy()
        return { host, tookMs: io.clock.monotonicMs() - startMs, code: null }
      } catch (error) {
        return { host, tookMs: 0, code: (error as NodeJS.ErrnoException).code ?? '' }
      }
    }),
  )
  for (const { host, tookMs, code } of tries) {
    if (code === null) {
      report('ok', label, `port ${port} accepts at ${host}, after ${tookMs.toFixed(1)} ms`)
      continue
    }
    const isOnly = tries.every(one => one.code !== null)
    const why = code === '' ? `does not answer within ${connectTimeoutMs} ms` : `refuses (${code})`
    const remedy = CONNECT_ADVICE[code] ?? 'a firewall may be in between, or the machine is down'
    if (isOnly) report('problem', label, `port ${port} at ${host} ${why}`, advice ?? remedy)
    else {
      const text = `port ${port} at ${host} ${why}, but another address of the name accepts`
      report('warning', label, text, 'clients that try only one address may fail: name that one')
    }
  }
  return tries.some(({ code }) => code === null)
}

/** What a client that produces, consumes and administers asks for. */
const NEEDED: readonly ApiName[] = ['Metadata', 'Produce', 'Fetch', 'ListOffsets']
const FOR_GROUPS: readonly ApiName[] = ['FindCoordinator', 'JoinGroup', 'OffsetCommit']

function checkVersions(connection: Connection, label: string, report: Report): boolean {
  const lacking = (names: readonly ApiName[]) => names.filter(name => !connection.serves(name))
  if (!connection.serves('Metadata')) {
    const text = 'it speaks the protocol but serves no Metadata: this is the port of a controller'
    report('problem', label, text, 'give the port of a broker')
    return false
  }
  const missing = lacking(NEEDED)
  if (missing.length > 0) {
    const text = `no version of ${missing.join(', ')} in common with this client`
    report('problem', label, text, 'use a broker of Kafka 2.1 or newer')
  }
  const withoutGroups = lacking(FOR_GROUPS)
  if (withoutGroups.length > 0) {
    report('warning', label, `it serves no groups: ${withoutGroups.join(', ')} is missing`)
  }
  if (missing.length === 0) {
    const versions = NEEDED.map(name => `${name} ${connection.version(name)}`).join(', ')
    const count = Object.keys(apis).filter(name => connection.serves(name as ApiName)).length
    report('ok', label, `it is a broker: ${versions}; ${count} APIs in common`)
    if (connection.version('Produce') < 7) {
      report('warning', label, 'it is too old for zstd', 'compress with another codec')
    }
  }
  return missing.length === 0
}

const OTHER_ADVICE = 'check that this is the address of a broker'

const OTHERS: { readonly [what: string]: readonly [text: string, advice: string] } = {
  'speaks TLS': [
    'it speaks TLS, and this client speaks plaintext',
    "use the broker's PLAINTEXT listener; TLS is not supported yet",
  ],
  'speaks HTTP': ['it is a web server, not a broker', OTHER_ADVICE],
  'answers nothing': [
    'it accepts, but answers nothing',
    'the broker hangs, still starts, or something else listens there',
  ],
  accepts: ['it accepts, but does not speak Kafka’s protocol', OTHER_ADVICE],
}

/** Long enough for a handshake, short enough to wait for three of them. */
const PROBE_MS = 1_500

/** What else than a broker this may be. */
async function whatSpeaks(io: Io, address: Address, timeoutMs: number): Promise<string> {
  const withinMs = Math.min(PROBE_MS, timeoutMs)
  if (await speaksTls(address, withinMs)) return 'speaks TLS'
  const answer = await answerTo(io, address, 'GET / HTTP/1.0\r\n\r\n', withinMs)
  if (answer.startsWith('HTTP/')) return 'speaks HTTP'
  if (answer !== '') {
    const shown = answer.split(/[\r\n]/)[0]!.replace(/[^ -~]/g, '.')
    return `answers '${shown.slice(0, 40)}'`
  }
  const greeting = await answerTo(io, address, '', withinMs)
  return greeting === '' ? 'answers nothing' : 'accepts'
}

function speaksTls({ host, port }: Address, timeoutMs: number): Promise<boolean> {
  return new Promise(resolve => {
    const servername = isIp(host) ? {} : { servername: host }
    // Only whether there is TLS at all: nothing is sent, so nothing is trusted.
    const socket = connectTls({ host, port, rejectUnauthorized: false, ...servername })
    const end = (isTls: boolean) => {
      socket.destroy()
      resolve(isTls)
    }
    socket.setTimeout(timeoutMs, () => end(false))
    socket.once('secureConnect', () => end(true))
    // A server that wants a certificate of ours, or another version, says so in TLS.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end(/ALERT|UNSUPPORTED_PROTOCOL|HANDSHAKE_FAILURE/.test(error.code ?? '')),
    )
    socket.once('close', () => end(false))
  })
}

async function answerTo(
  io: Io,
  { host, port }: Address,
  text: string,
  timeoutMs: number,
): Promise<string> {
  const socket = await io.network.connect(host, port, timeoutMs).catch(() => null)
  if (socket === null) return ''
  const into = Buffer.alloc(256)
  return new Promise(resolve => {
    const end = (answer: string) => {
      timer.cancel()
      socket.destroy()
      resolve(answer)
    }
    const timer = io.clock.timer(timeoutMs, () => end(''), true)
    socket.start({
      buffer: () => into,
      received(buffer, count) {
        end(buffer.toString('latin1', 0, count))
        return true
      },
      ended: () => end(''),
      closed: () => end(''),
    })
    if (text !== '') socket.write([Buffer.from(text)])
  })
}

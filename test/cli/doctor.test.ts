/** `ottla doctor` in this process: against a broker that is well, and against everything that is not. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { cli } from './run-cli.ts'

let broker: EmbeddedBroker

before(async () => {
  broker = await startBroker()
  await cli(['topic', 'create', 'orders', '--bootstrap', broker.bootstrap])
})

after(() => broker.stop())

const doctor = (bootstrap: string, ...args: string[]) =>
  cli(['doctor', '--bootstrap', bootstrap, '--timeout', '3000', ...args])

/** Runs `use` with a server on a free port of this machine. */
async function serving<T>(server: Server, use: (address: string) => Promise<T>): Promise<T> {
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  try {
    return await use(`127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

test('a cluster that is well: every step is told, exit code 0', async () => {
  const { code, out, err } = await doctor(broker.bootstrap, '--topic', 'orders')
  assert.deepEqual([code, err], [0, ''])
  for (const expected of [
    /^ok {7}codecs: none, gzip, snappy, lz4, zstd work here$/m,
    /^ok {7}127\.0\.0\.1:\d+: port \d+ accepts at 127\.0\.0\.1, after [\d.]+ ms$/m,
    /^ok {7}127\.0\.0\.1:\d+: it is a broker: Metadata \d+, Produce \d+, /m,
    /^ok {7}cluster: id [\w-]{22}, 1 broker$/m,
    /^ok {7}broker 1 at 127\.0\.0\.1:\d+: it is a broker/m,
    /^ok {7}topics: 1 with a leader and all replicas everywhere$/m,
    /^ok {7}group 'ottla-doctor': its coordinator is broker 1 at 127\.0\.0\.1:\d+$/m,
    /^0 problems, \d warnings?\.$/m,
  ]) {
    assert.match(out, expected)
  }
})

test('--json gives the findings as data; colours only where they are wanted', async () => {
  const json = await doctor(broker.bootstrap, '--json')
  const findings = JSON.parse(json.out) as { level: string; about: string }[]
  assert(findings.some(({ level, about }) => level === 'ok' && about === 'cluster'))
  const args = ['doctor', '--bootstrap', broker.bootstrap]
  const coloured = await cli(args, [], { hasColours: true })
  assert(coloured.out.startsWith('\u001b[32mok     \u001b[39m  codecs'), coloured.out)
})

test('a name that nobody knows', async () => {
  const { code, out, err } = await doctor('no-such-host.invalid:9092')
  assert.equal(code, 3)
  assert.match(out, /problem {2}no-such-host\.invalid:9092: the name .* cannot be looked up/)
  assert.match(err, /^ottla: no broker could be reached: 1 problem, 0 warnings\./)
})

test('a port where nothing listens', async () => {
  const closed = await serving(createServer(), async address => address)
  const { code, out } = await doctor(closed)
  assert.equal(code, 3)
  assert.match(out, /refuses \(ECONNREFUSED\)\n {9}nothing listens there: start the broker/)
})

test('one of two addresses is enough, and the other is named', async () => {
  const closed = await serving(createServer(), async address => address)
  const { code, out, err } = await doctor(`${closed},${broker.bootstrap}`)
  assert.equal(code, 1)
  assert.match(out, /^problem {2}127\.0\.0\.1:\d+: port \d+ at 127\.0\.0\.1 refuses/m)
  assert.match(err, /^ottla: 1 problem, \d warnings?\.\n$/)
})

test('what speaks something else than Kafka is told apart', async () => {
  const http = createHttpServer((_, response) => response.end('hello'))
  const web = await serving(http, address => doctor(address))
  assert.match(web.out, /it is a web server, not a broker/)

  const tls = await serving(createTlsServer({}), address => doctor(address))
  assert.match(
    tls.out,
    /it speaks TLS, and this client speaks plaintext\n {9}use the broker's PLAIN/,
  )

  const greeter = createServer(socket => socket.end('SSH-2.0-OpenSSH_9\r\n'))
  const ssh = await serving(greeter, address => doctor(address))
  assert.match(ssh.out, /it answers 'SSH-2\.0-OpenSSH_9'/)

  const silent = createServer(() => {})
  const mute = await serving(silent, address => doctor(address, '--timeout', '200'))
  assert.match(mute.out, /it accepts, but answers nothing/)
  for (const { code } of [web, tls, ssh, mute]) assert.equal(code, 3)
})

test('an advertised address that leads nowhere, or to another broker', async () => {
  const closed = await serving(createServer(), async address => address)
  for (const [address, expected] of [
    [
      closed,
      /^problem {2}broker 7 at 127\.0\.0\.1:\d+: port .* refuses.*\n.*advertised\.listeners/m,
    ],
    [broker.bootstrap, /^problem {2}broker 7 at .*: a broker of another cluster answers there/m],
    [
      'kafka.invalid:9092',
      /^problem {2}broker 7 at kafka\.invalid:9092: the name .*\n.*advertised/m,
    ],
  ] as const) {
    const config = { 'node.id': 7, 'advertised.listeners': `PLAINTEXT://${address}` }
    const lost = await startBroker({ config })
    try {
      const { code, out, err } = await doctor(lost.bootstrap, '--timeout', '500')
      assert.equal(code, 1, err)
      assert.match(out, expected)
    } finally {
      await lost.stop()
    }
  }
})

test('a topic that is not there, and one that refuses acks=all', async () => {
  const missing = await doctor(broker.bootstrap, '--topic', 'nowhere')
  assert.equal(missing.code, 1)
  assert.match(missing.out, /^problem {2}topic 'nowhere': .*UNKNOWN_TOPIC_OR_PARTITION/m)
  const demanding = ['--config', 'min.insync.replicas=2', '--bootstrap', broker.bootstrap]
  await cli(['topic', 'create', 'demanding', ...demanding])
  const few = await doctor(broker.bootstrap, '--topic', 'demanding')
  assert.equal(few.code, 1)
  assert.match(few.out, /topic 'demanding': partition 0 has fewer replicas in sync .* \(2\)/)
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Metrics } from '../../broker/metrics.ts'
import {
  type MetricsServerOptions,
  type Readiness,
  startMetricsServer,
} from '../../broker/metrics-server.ts'

const LOCAL = { host: '127.0.0.1', port: 0 }

interface Running {
  readonly port: number
  readonly address: string
  readonly metrics: Metrics
  close(): Promise<void>
}

async function start(t: TestContext, over: Partial<MetricsServerOptions> = {}): Promise<Running> {
  const metrics = new Metrics()
  const readiness = (): Readiness => ({ isReady: true })
  const server = await startMetricsServer({ address: LOCAL, metrics, readiness, ...over })
  t.after(() => server.close())
  const port = Number(server.address.split(':').at(-1))
  return { port, metrics, address: server.address, close: () => server.close() }
}

interface Answer {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}

async function ask(port: number, method: string, path: string, body?: string): Promise<Answer> {
  const outgoing = request({ host: '127.0.0.1', port, method, path, agent: false })
  outgoing.end(body)
  const [incoming] = await once(outgoing, 'response')
  let received = ''
  for await (const chunk of incoming) received += chunk
  return { status: incoming.statusCode, headers: incoming.headers, body: received }
}

/** What the server sends to a client that sends `text`, until it closes the connection. */
async function untilClosed(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  socket.on('data', chunk => {
    received += chunk
  })
  socket.on('error', () => {})
  if (text !== '') socket.write(text)
  await once(socket, 'close')
  return received
}

test('/metrics is Prometheus text with the figures of now', async t => {
  const { port, metrics } = await start(t)
  metrics.unreadableFrames = 7
  const answer = await ask(port, 'GET', '/metrics?any=thing')
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  assert.match(answer.body, /^ottla_frames_unreadable_total 7$/m)
  metrics.unreadableFrames = 8
  assert.match((await ask(port, 'GET', '/metrics')).body, /^ottla_frames_unreadable_total 8$/m)
})

test('/healthz is 200 whatever the readiness; /readyz says why it is not ready', async t => {
  let readiness: Readiness = { isReady: false, reason: 'starting: recovering logs' }
  const { port } = await start(t, { readiness: () => readiness })
  assert.equal((await ask(port, 'GET', '/healthz')).status, 200)
  const before = await ask(port, 'GET', '/readyz')
  assert.deepEqual([before.status, before.body], [503, 'starting: recovering logs\n'])
  readiness = { isReady: true }
  assert.equal((await ask(port, 'GET', '/readyz')).status, 200)
  readiness = { isReady: false, reason: 'stopping' }
  assert.equal((await ask(port, 'GET', '/readyz')).status, 503)
  assert.equal((await ask(port, 'GET', '/healthz')).status, 200)
})

test('HEAD has the status and length of GET, without the body', async t => {
  const { port } = await start(t, { readiness: () => ({ isReady: false, reason: 'no' }) })
  for (const path of ['/healthz', '/readyz', '/nothing']) {
    const [get, head] = [await ask(port, 'GET', path), await ask(port, 'HEAD', path)]
    assert.equal(head.status, get.status)
    assert.equal(head.headers['content-length'], get.headers['content-length'])
    assert.equal(head.body, '')
  }
})

test('an unknown path is 404 with the paths there are; inherited names are not paths', async t => {
  const { port } = await start(t)
  for (const path of ['/', '/metrics/', '/constructor', '/__proto__']) {
    const answer = await ask(port, 'GET', path)
    assert.equal(answer.status, 404, path)
    assert.match(answer.body, /\/metrics, \/healthz, \/readyz/)
  }
})

test('other methods are 405 and end the connection', async t => {
  const { port } = await start(t)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const answer = await ask(port, method, '/metrics', 'x'.repeat(100_000))
    assert.equal(answer.status, 405)
    assert.equal(answer.headers['allow'], 'GET, HEAD')
    assert.equal(answer.headers['connection'], 'close')
  }
})

test('a connection serves many requests; one with a body is answered and closed', async t => {
  const { port } = await start(t)
  const get = 'GET /healthz HTTP/1.1\r\nhost: a\r\n'
  const last = `${get}content-length: 5\r\n\r\nhello`
  const received = await untilClosed(port, `${get}\r\n${get}\r\n${last}`)
  assert.equal(received.match(/HTTP\/1\.1 200 OK/g)?.length, 3)
})

test('a page that fails is 500 and the server goes on', async t => {
  const errors: unknown[] = []
  const quiet = () => {}
  const logger = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (_: string, fields?: object) => errors.push(fields),
  }
  const readiness = (): Readiness => {
    throw new Error('broken')
  }
  const { port } = await start(t, { readiness, logger })
  const answer = await ask(port, 'GET', '/readyz')
  assert.deepEqual([answer.status, answer.body], [500, 'Error: broken\n'])
  assert.equal(errors.length, 1)
  assert.equal((await ask(port, 'GET', '/healthz')).status, 200)
})

test('what is not HTTP, and headers above the limit, are refused; headers below it are served', async t => {
  const { port } = await start(t, { limits: { maxHeaderBytes: 1000 } })
  assert.match(await untilClosed(port, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 /)
  const withHeader = (length: number) =>
    `GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: ${'y'.repeat(length)}\r\n\r\n`
  assert.match(await untilClosed(port, withHeader(800)), /^HTTP\/1\.1 200 /)
  assert.match(await untilClosed(port, withHeader(1100)), /^HTTP\/1\.1 431 /)
})

test('a request that is not finished in time is ended, and so is a connection on which nothing moves', async t => {
  const slow = { requestTimeoutMs: 50, checkIntervalMs: 10 }
  const unfinished = await start(t, { limits: slow })
  assert.match(
    await untilClosed(unfinished.port, 'GET /healthz HTTP/1.1\r\nho'),
    /^HTTP\/1\.1 408 /,
  )
  const idle = await start(t, { limits: { idleTimeoutMs: 50 } })
  assert.equal(await untilClosed(idle.port, ''), '')
})

test('the last connection within the limit is served, one more is closed at once', async t => {
  const { port } = await start(t, { limits: { maxConnections: 2 } })
  const held: Socket[] = []
  t.after(() => {
    for (const socket of held) socket.destroy()
  })
  for (let i = 0; i < 2; i++) {
    const socket = connect(port, '127.0.0.1')
    held.push(socket)
    socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n')
    const [chunk] = await once(socket, 'data')
    assert.match(String(chunk), /^HTTP\/1\.1 200 /)
  }
  assert.equal(await untilClosed(port, 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n'), '')
  held.pop()!.destroy()
  // The server sees that close in its own time; until then it may still refuse.
  let answer = ''
  while (answer === '') {
    answer = await untilClosed(
      port,
      'GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
    )
  }
  assert.match(answer, /^HTTP\/1\.1 200 /)
})

test('an address that is taken rejects with EADDRINUSE', async t => {
  const { port } = await start(t)
  await assert.rejects(start(t, { address: { host: '127.0.0.1', port } }), { code: 'EADDRINUSE' })
})

test('the address says the port that was bound; closing frees it and ends open connections', async t => {
  const server = await start(t)
  assert.match(server.address, /^127\.0\.0\.1:[1-9]\d*$/)
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  const ended = once(socket, 'close')
  socket.resume()
  await server.close()
  await ended
  const again = await start(t, { address: { host: '127.0.0.1', port: server.port } })
  assert.equal(again.port, server.port)
})

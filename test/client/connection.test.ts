/** One connection against a broker that answers from a script: versions, pipelining, deadlines, and every way to break. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { SOFTWARE_NAME, SOFTWARE_VERSION } from '../../client/config.ts'
import { Connection, type ConnectionOptions } from '../../client/connection.ts'
import { ClosedError, ConnectionError, TimeoutError, VersionError } from '../../client/errors.ts'
import type { ResponseOf } from '../../protocol/apis.ts'
import { idle, MemoryIo, type Script, ScriptedBroker } from './memory-network.ts'

const OPTIONS: ConnectionOptions = {
  host: 'broker',
  port: 9092,
  clientId: 'me',
  connectTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  maxResponseBytes: 1_000_000,
}

const METADATA = { brokers: [], clusterId: 'c', controllerId: 1, topics: [] }
const REQUEST = { topics: null }

function metadataOf(clusterId: string) {
  return { ...METADATA, clusterId }
}

function setUp(script: Script = { Metadata: () => METADATA }) {
  const io = new MemoryIo()
  const broker = new ScriptedBroker(io, 'broker', 9092, script)
  return { io, broker, open: (more = {}) => Connection.open(io, { ...OPTIONS, ...more }) }
}

test("it says who it is, and the version it names is the package's", async () => {
  const { broker, open } = setUp()
  await open()
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  assert.equal(SOFTWARE_VERSION, version)
  assert.deepEqual(broker.seen, [
    {
      name: 'ApiVersions',
      version: 4,
      clientId: 'me',
      request: { clientSoftwareName: SOFTWARE_NAME, clientSoftwareVersion: version },
    },
  ])
})

test('a request goes out in the highest version that both sides know', async () => {
  const { broker, open } = setUp()
  broker.ranges = { Metadata: [2, 7] }
  const connection = await open()
  const answer = await connection.send('Metadata', REQUEST)
  assert.equal(answer.clusterId, 'c')
  assert.equal(connection.version('Metadata'), 7)
  assert.equal(broker.seen[1]?.version, 7)
})

test('a broker that does not know our ApiVersions version is asked again in its own', async () => {
  for (const [theirs, expected] of [
    [{ apiKey: 18, minVersion: 0, maxVersion: 2 }, 2],
    [undefined, 0],
  ] as const) {
    const { broker, open } = setUp()
    const refusal = { errorCode: 35, apiKeys: theirs === undefined ? [] : [theirs] }
    const all = { errorCode: 0, apiKeys: broker.apiKeys() }
    broker.script = { Metadata: () => METADATA, ApiVersions: (_, v) => (v > 2 ? refusal : all) }
    const connection = await open()
    assert.deepEqual(
      broker.seen.map(({ version }) => version),
      [4, expected],
    )
    assert.equal((await connection.send('Metadata', REQUEST)).clusterId, 'c')
  }
})

test('without a version in common the error names broker, API and both ranges', async () => {
  const { broker, open } = setUp()
  broker.ranges = { CreateTopics: [0, 1], DeleteTopics: null }
  const connection = await open()
  assert.equal(connection.serves('CreateTopics'), false)
  assert.equal(connection.serves('DeleteTopics'), false)
  assert.equal(connection.serves('Metadata'), true)
  const topics = { topics: [], timeoutMs: 1 }
  await assert.rejects(connection.send('CreateTopics', topics), error => {
    assert(error instanceof VersionError)
    assert.match(error.message, /broker:9092 serves CreateTopics in versions 0 to 1.* 2 to 7/)
    return true
  })
  await assert.rejects(connection.send('DeleteTopics', topics), /does not serve DeleteTopics/)
})

test('what a version cannot say is a VersionError, and the connection goes on', async () => {
  const { broker, open } = setUp()
  broker.ranges = { Metadata: [0, 3] }
  const connection = await open()
  const request = { topics: null, allowAutoTopicCreation: false }
  await assert.rejects(connection.send('Metadata', request), VersionError)
  assert.equal((await connection.send('Metadata', REQUEST)).clusterId, 'c')
})

test('requests are pipelined, and each gets its own answer however the bytes arrive', async () => {
  for (const chunkBytes of [1, 3, 7, 1_000_000]) {
    let answers = 0
    const { io, broker, open } = setUp({ Metadata: () => metadataOf(`c${answers++}`) })
    const connection = await open()
    io.chunkBytes = chunkBytes
    const sent = Array.from({ length: 5 }, () => connection.send('Metadata', REQUEST))
    assert.equal(connection.inFlightCount, 5)
    const ids = (await Promise.all(sent)).map(({ clusterId }) => clusterId)
    assert.deepEqual(ids, ['c0', 'c1', 'c2', 'c3', 'c4'])
    assert.equal(connection.inFlightCount, 0)
    assert.equal(broker.connections, 1)
  }
})

test('byte fields of a response outlive later reads', async () => {
  let fill = 0
  const { open } = setUp({
    Fetch: () => ({
      responses: [
        {
          topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
          partitions: [
            {
              partitionIndex: 0,
              errorCode: 0,
              highWatermark: 1,
              records: Buffer.alloc(64, ++fill),
            },
          ],
        },
      ],
    }),
  })
  const connection = await open()
  const fetch = () => connection.send('Fetch', { maxWaitMs: 0, minBytes: 1, topics: [] })
  const answers = [await fetch(), await fetch(), await fetch()]
  const recordsOf = (a: ResponseOf<'Fetch'>) => a.responses[0]?.partitions[0]?.records?.[0]
  assert.deepEqual(answers.map(recordsOf), [1, 2, 3])
})

test('a request without an answer in time fails with its API and broker; the others fail too', async () => {
  let answers = 0
  const { io, open } = setUp({ Metadata: () => (answers++ === 0 ? METADATA : 'hang') })
  const connection = await open()
  const [first, second, third] = [30_000, 200, 30_000].map(timeoutMs =>
    connection.send('Metadata', REQUEST, { timeoutMs }),
  )
  await first
  const outcomes = Promise.allSettled([second!, third!])
  await io.elapse(199)
  assert.equal(connection.isOpen, true)
  await io.elapse(1)
  const [late, behind] = (await outcomes) as PromiseRejectedResult[]
  assert(late?.reason instanceof TimeoutError)
  assert.match(late.reason.message, /^broker:9092 did not answer Metadata within 200 ms/)
  assert(behind?.reason instanceof ConnectionError)
  assert.equal(behind.reason.neverOpened, false)
  assert.equal(connection.isOpen, false)
})

test('giving up by signal drops the answer and keeps the connection', async () => {
  let answers = 0
  const { open } = setUp({ Metadata: () => metadataOf(`c${answers++}`) })
  const connection = await open()
  const controller = new AbortController()
  const given = connection.send('Metadata', REQUEST, { signal: controller.signal })
  const other = connection.send('Metadata', REQUEST, { signal: new AbortController().signal })
  controller.abort(new Error('enough'))
  await assert.rejects(given, /enough/)
  assert.equal((await other).clusterId, 'c1')
  assert.equal(connection.isOpen, true)
  const early = connection.send('Metadata', REQUEST, { signal: controller.signal })
  await assert.rejects(early, /enough/)
  assert.equal(connection.inFlightCount, 0)
})

test('a lost connection fails what is in flight, tells its owner once, and refuses more', async () => {
  const { broker, open } = setUp({ Metadata: () => 'hang' })
  const connection = await open()
  const reasons: string[] = []
  connection.whenClosed(error => reasons.push(error.message))
  const sent = connection.send('Metadata', REQUEST)
  await idle()
  broker.dropConnections()
  await assert.rejects(sent, error => {
    assert(error instanceof ConnectionError)
    assert.equal(error.retriable, true)
    assert.match(error.message, /Metadata got no answer: broker:9092 closed the connection/)
    return true
  })
  assert.equal(reasons.length, 1)
  await assert.rejects(connection.send('Metadata', REQUEST), ConnectionError)
  connection.whenClosed(error => reasons.push(error.message))
  assert.equal(reasons.length, 2)
})

test('closing fails what is in flight with a ClosedError', async () => {
  const { broker, open } = setUp({ Metadata: () => 'hang' })
  const connection = await open()
  const sent = connection.send('Metadata', REQUEST)
  connection.close()
  await assert.rejects(sent, ClosedError)
  await assert.rejects(connection.send('Metadata', REQUEST), ClosedError)
  await idle()
  assert.equal(broker.connections, 0)
})

test('a port where nobody listens, or where no broker answers, is told from one that was lost', async () => {
  const { io, broker, open } = setUp()
  const nobody = await open({ port: 1 }).catch((error: unknown) => error)
  assert(nobody instanceof ConnectionError)
  assert.match(nobody.message, /cannot connect to broker:1 \(ECONNREFUSED\): nothing listens there/)
  const peers: Script[] = [
    { ApiVersions: () => 'close' },
    { ApiVersions: () => 'hang' },
    { ApiVersions: () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') },
    { ApiVersions: () => Buffer.from([0, 0, 0, 6, 0, 0, 0, 1, 0, 0]) },
    { ApiVersions: () => Buffer.from([0, 0, 0, 6, 0, 0, 0, 9, 0, 0]) },
  ]
  for (const script of peers) {
    broker.script = script
    const error = await io.settle(open()).catch((reason: unknown) => reason)
    assert(error instanceof ConnectionError, String(error))
    assert.equal(error.neverOpened, true)
    assert.match(error.message, /broker:9092 does not speak Kafka's protocol/)
  }
})

test('an answer to nothing, cut, out of order or too large closes the connection and nothing else', async () => {
  const bad: (Buffer | null)[] = [
    null,
    Buffer.from([0, 0, 0, 4, 0, 0, 0, 2]),
    Buffer.from([0, 0, 0, 2, 0, 0]),
    Buffer.from([0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0]),
    Buffer.from([0x7f, 0xff, 0xff, 0xff]),
    Buffer.from([0xff, 0xff, 0xff, 0xff]),
  ]
  for (const bytes of bad) {
    const { broker, open } = setUp({ Metadata: () => bytes ?? 'hang' })
    const connection = await open()
    if (bytes === null) broker.sendToAll(Buffer.from([0, 0, 0, 4, 0, 0, 0, 2]))
    else await assert.rejects(connection.send('Metadata', REQUEST), ConnectionError)
    await idle()
    assert.equal(connection.isOpen, false)
  }
})

test('there is a limit to what one connection has in flight', async () => {
  const { open } = setUp({ Metadata: () => 'hang' })
  const connection = await open()
  const outcome = { keepsBytes: true, answered: () => {}, failed: () => {} }
  for (let i = 0; i < 512; i++) connection.submit('Metadata', REQUEST, 1_000, outcome)
  assert.throws(() => connection.submit('Metadata', REQUEST, 1_000, outcome), ConnectionError)
  assert.equal(connection.isOpen, true)
})

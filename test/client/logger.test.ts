/** What a client tells its logger, and what it never says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { Client, Kafka, type Logger, OptionError } from '../../client/index.ts'
import { warnings } from '../../client/logger.ts'

interface Line {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

function recorder(): { lines: Line[]; logger: Logger; until(message: RegExp): Promise<Line> } {
  const lines: Line[] = []
  const waiting = new Set<() => void>()
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } })
    for (const look of waiting) look()
  }
  const until = (message: RegExp) =>
    new Promise<Line>(resolve => {
      const look = () => {
        const found = lines.find(line => message.test(line.message))
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  return { lines, logger: { debug: at('debug'), info: at('info'), warn: at('warn') }, until }
}

const QUICK = {
  'num.partitions': 1,
  'group.consumer.heartbeat.interval.ms': 20,
  'group.consumer.min.heartbeat.interval.ms': 20,
}

async function withBroker(work: (broker: EmbeddedBroker) => Promise<void>): Promise<void> {
  const broker = await startBroker({ config: QUICK })
  try {
    await work(broker)
  } finally {
    await broker.stop()
  }
}

test('connections and the life of a group are told, with who and where', () =>
  withBroker(async ({ bootstrap }) => {
    const { lines, logger } = recorder()
    const client = new Client({ bootstrap, clientId: 'shop', logger })
    const producer = client.producer()
    const value = 'a secret value'
    await producer.send({ topic: 'orders', key: 'a secret key', value, headers: { h: 'secret' } })
    const consumer = client.consumer({ groupId: 'g', autoOffsetReset: 'earliest' })
    consumer.subscribe('orders')
    await consumer.next()
    await consumer.close()
    await producer.close()
    const told = lines.filter(({ level }) => level === 'info').map(({ message }) => message)
    for (const message of ['connected', 'joined', 'partitions are taken over', 'disconnected']) {
      assert.ok(told.includes(message), message)
    }
    const taken = lines.find(({ message }) => message === 'partitions are taken over')!
    assert.deepEqual(taken.fields, { clientId: 'shop', group: 'g', partitions: ['orders-0'] })
    for (const { fields } of lines) assert.equal(fields['clientId'], 'shop')
    assert.ok(
      lines.every(({ level }) => level !== 'warn'),
      JSON.stringify(lines),
    )
    assert.doesNotMatch(JSON.stringify(lines), /secret/)
  }))

test('a topic that is subscribed to and missing is told once, and read when it is there', () =>
  withBroker(async ({ bootstrap }) => {
    const { lines, logger, until } = recorder()
    const client = new Client({ bootstrap, logger, metadataMaxAgeMs: 1 })
    const consumer = client.consumer({
      groupId: 'g',
      autoOffsetReset: 'earliest',
      heartbeatIntervalMs: 1,
    })
    consumer.subscribe('late')
    const { fields } = await until(/does not exist/)
    assert.equal(fields['topic'], 'late')
    assert.equal(fields['group'], 'g')
    await until(/^joined$/)
    const admin = client.admin()
    await admin.createTopics([{ name: 'late', partitions: 1 }])
    const { fields: why } = await until(/^rebalance$/)
    assert.equal(why['reason'], 'topics or their partitions have changed')
    const producer = client.producer()
    await producer.send({ topic: 'late', value: 'x' })
    assert.equal((await consumer.next())?.value?.toString(), 'x')
    assert.equal(lines.filter(({ message }) => /does not exist/.test(message)).length, 1)
    await consumer.close()
    await producer.close()
    admin.close()
  }))

test('a member by KIP-848 tells of it too, and again when the topic was there since', () =>
  withBroker(async ({ bootstrap }) => {
    const { lines, logger, until } = recorder()
    const client = new Client({ bootstrap, logger, metadataMaxAgeMs: 1 })
    const admin = client.admin()
    await admin.createTopics([{ name: 'here' }])
    const groupProtocol = 'consumer'
    const consumer = client.consumer({ groupId: 'g', groupProtocol, autoOffsetReset: 'earliest' })
    const told = () => lines.filter(({ message }) => /does not exist/.test(message))
    consumer.subscribe(['here', 'late'])
    const { fields, level } = await until(/topic 'late' does not exist/)
    assert.equal(level, 'warn')
    assert.equal(fields['topic'], 'late')
    assert.equal(fields['group'], 'g')
    const producer = client.producer()
    await producer.send({ topic: 'late', value: 'x' })
    assert.equal((await consumer.next())?.value?.toString(), 'x')
    assert.equal(told().length, 1)
    lines.length = 0
    await admin.deleteTopics(['late'])
    await until(/topic 'late' does not exist/)
    assert.ok(told().every(({ fields: { topic } }) => topic === 'late'))
    await consumer.close()
    await producer.close()
    admin.close()
  }))

test('what passes is for debugging, what goes on is a warning with its reason', async () => {
  const { lines, logger, until } = recorder()
  // Nothing listens on port 1.
  const client = new Client({ bootstrap: '127.0.0.1:1', logger, retryBackoffMs: 1 })
  const consumer = client.consumer({ groupId: 'g' })
  consumer.subscribe('t')
  const { fields, message } = await until(/keeps failing/)
  assert.match(message, /membership of g/)
  assert.equal(fields['tries'], 4)
  assert.equal(fields['error'], 'ConnectionError')
  assert.match(String(fields['reason']), /cannot connect to 127\.0\.0\.1:1 \(ECONNREFUSED\)/)
  const before = lines.filter(({ level }) => level === 'debug')
  assert.deepEqual(
    before.map(line => line.fields['tries']),
    [1, 2, 3],
  )
  await consumer.close()
})

test('pino takes the lines', () =>
  withBroker(async ({ bootstrap }) => {
    const written: string[] = []
    const logger = pino({ level: 'info' }, { write: (line: string) => void written.push(line) })
    const producer = new Client({ bootstrap, clientId: 'shop', logger }).producer()
    await producer.send({ topic: 't', value: 'x' })
    await producer.close()
    const lines = written.map(line => JSON.parse(line) as { msg: string; clientId: string })
    assert.ok(lines.some(({ msg, clientId }) => msg === 'connected' && clientId === 'shop'))
  }))

test('without a logger a program hears of what it should look at on standard error', t => {
  const warn = t.mock.method(console, 'warn', () => {})
  warnings.info({ broker: 'b' }, 'connected')
  warnings.warn({ clientId: 'shop', topic: undefined, tries: 4 }, 'it keeps failing')
  assert.deepEqual(
    warn.mock.calls.map(({ arguments: [line] }) => line),
    ['ottla: it keeps failing (clientId=shop tries=4)'],
  )
})

test('kafkajs programs have the lines in their own logger, and what is no logger is refused', () =>
  withBroker(async ({ bootstrap }) => {
    const seen: string[] = []
    const logCreator = () => (entry: { log: { message: string } }) =>
      void seen.push(entry.log.message)
    const admin = new Kafka({ brokers: [bootstrap], logLevel: 5, logCreator }).admin()
    await admin.connect()
    await admin.disconnect()
    assert.ok(seen.includes('connected'), seen.join())
    const logger = { info() {} } as unknown as Logger
    assert.throws(() => new Client({ bootstrap, logger }), OptionError)
  }))

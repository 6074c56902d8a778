/**
 * The first minutes of a user with foreign clients: the quick start with kcat, what kcat and kafkajs ask on the way, and
 * that a broker stops, starts again and guards its directory.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Admin, Kafka, logLevel } from 'kafkajs'
import {
  freePort,
  missing,
  OTTLA,
  run,
  runWell,
  type Server,
  startOttla,
  subjectIsKafka,
} from './harness.ts'
import { kcatRead } from './harness-tools.ts'

/** kafkajs exports its enum in a way that an ES module cannot import. */
const TOPIC_RESOURCE = 2

const noKcat = missing('kcat')

let server: Server

before(async () => {
  server = await startOttla({ bare: true })
})

after(async () => {
  await server.stop()
})

/** kafkajs as it comes, except that it tries everything only once: nothing may need a second attempt. */
function kafkajs(): Kafka {
  const retry = { retries: subjectIsKafka ? 5 : 0 }
  return new Kafka({ brokers: [server.bootstrap], retry, logLevel: logLevel.NOTHING })
}

async function withAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkajs().admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

function numbered(count: number): string {
  return Array.from(
    { length: count },
    (_, i) => `record ${i}: ${'päckchen '.repeat(i % 7)}\n`,
  ).join('')
}

test('1,000 records through kcat come back identical', { skip: noKcat }, async () => {
  const lines = numbered(1000)
  await runWell('kcat', ['-P', '-b', server.bootstrap, '-t', 'quick-start'], { stdin: lines })
  const where = { bootstrap: server.bootstrap, topic: 'quick-start', partition: 0 }
  assert.equal((await kcatRead(where, '%s\\n')).toString(), lines)
  const args = ['-C', '-b', server.bootstrap, '-t', 'quick-start', '-e', '-q']
  assert.equal((await runWell('kcat', args)).toString(), lines, 'kcat -C with nothing else said')
})

test('kcat lists the cluster and asks for offsets by time', { skip: noKcat }, async () => {
  const { bootstrap, port } = server
  await runWell('kcat', ['-P', '-b', bootstrap, '-t', 'asked', '-p', '0'], { stdin: 'a\nb\nc\n' })
  const listed: {
    brokers: { id: number; name: string }[]
    topics: { topic: string; partitions: object[] }[]
  } = JSON.parse((await runWell('kcat', ['-L', '-J', '-b', bootstrap, '-t', 'asked'])).toString())
  assert.deepEqual(listed.brokers, [{ id: 1, name: `127.0.0.1:${port}` }])
  assert.deepEqual(listed.topics, [
    {
      topic: 'asked',
      partitions: [{ partition: 0, leader: 1, replicas: [{ id: 1 }], isrs: [{ id: 1 }] }],
    },
  ])
  const ask = async (time: number): Promise<string> =>
    (await runWell('kcat', ['-Q', '-b', bootstrap, '-t', `asked:0:${time}`])).toString().trim()
  assert.equal(await ask(-2), 'asked [0] offset 0')
  assert.equal(await ask(-1), 'asked [0] offset 3')
  assert.equal(await ask(1), 'asked [0] offset 0')
  assert.equal(await ask(Date.now() + 60_000), 'asked [0] offset -1')
})

test('a kafkajs producer needs no second attempt at a topic that did not exist', async () => {
  const producer = kafkajs().producer()
  await producer.connect()
  try {
    const sent = await producer.send({
      topic: 'made-by-kafkajs',
      messages: [{ key: 'k', value: 'v', headers: { h: 'x' } }, { value: null }],
    })
    assert.deepEqual(
      sent.map(({ topicName, partition, errorCode, baseOffset }) => [
        topicName,
        partition,
        errorCode,
        baseOffset,
      ]),
      [['made-by-kafkajs', 0, 0, '0']],
    )
  } finally {
    await producer.disconnect()
  }
})

test('kafkajs administers topics and their settings', () =>
  withAdmin(async admin => {
    const topic = 'administered'
    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] }), true)
    assert.equal(await admin.createTopics({ topics: [{ topic }] }), false, 'it exists')
    assert.ok((await admin.listTopics()).includes(topic))
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    const [described] = (await admin.fetchTopicMetadata({ topics: [topic] })).topics
    assert.equal(described?.partitions.length, 3)
    const resource = { type: TOPIC_RESOURCE, name: topic }
    const configEntries = [{ name: 'retention.ms', value: '12345' }]
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ ...resource, configEntries }],
    })
    const configNames = ['retention.ms', 'cleanup.policy']
    const read = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ ...resource, configNames }],
    })
    const settings = read.resources[0]?.configEntries.map(e => [e.configName, e.configValue])
    assert.deepEqual(
      new Map(settings as [string, string][]),
      new Map([
        ['retention.ms', '12345'],
        ['cleanup.policy', 'delete'],
      ]),
    )
    const cluster = await admin.describeCluster()
    assert.deepEqual(cluster.brokers, [{ nodeId: 1, host: '127.0.0.1', port: server.port }])
    assert.equal(cluster.controller, 1)
    await admin.deleteTopics({ topics: [topic] })
    assert.ok(!(await admin.listTopics()).includes(topic))
  }))

test('kafkajs asks for offsets and deletes records', () =>
  withAdmin(async admin => {
    const topic = 'trimmed'
    await admin.createTopics({ topics: [{ topic }] })
    const producer = kafkajs().producer({ idempotent: true, retry: { retries: 1 } })
    await producer.connect()
    const messages = ['a', 'b', 'c', 'd'].map(value => ({ value }))
    await producer.send({ topic, acks: -1, messages })
    await producer.disconnect()
    const whole = { partition: 0, offset: '4', low: '0', high: '4' }
    assert.deepEqual(await admin.fetchTopicOffsets(topic), [whole])
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] })
    assert.deepEqual(await admin.fetchTopicOffsets(topic), [{ ...whole, low: '3' }])
    const byTime = await admin.fetchTopicOffsetsByTimestamp(topic, 0)
    assert.deepEqual(byTime, [{ partition: 0, offset: '3' }])
  }))

test('a broker that was told to stop leaves nothing to recover and starts where it was', {
  skip: noKcat,
}, async () => {
  const first = await startOttla({ bare: true })
  const { port, dataDir, bootstrap } = first
  const lines = numbered(100)
  await runWell('kcat', ['-P', '-b', bootstrap, '-t', 'kept', '-p', '0'], { stdin: lines })
  assert.equal(await first.stop(), subjectIsKafka ? 143 : 0)
  const second = await startOttla({ bare: true, port, dataDir })
  try {
    const read = await kcatRead({ bootstrap, topic: 'kept', partition: 0 }, '%s\\n')
    assert.equal(read.toString(), lines)
  } finally {
    await second.stop()
  }
})

test('a second broker on the same directory says so and ends', {
  skip: subjectIsKafka,
}, async () => {
  const directory = join(server.dataDir, 'data')
  const args = ['broker', '--port', String(await freePort()), '--data-dir', directory]
  args.push('--override', 'metrics.listener=')
  const { code, stdout, stderr } = await run(process.execPath, [OTTLA, ...args])
  assert.notEqual(code, 0)
  assert.ok((stdout.toString() + stderr).includes(directory), stdout.toString() + stderr)
})

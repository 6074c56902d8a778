/**
 * `ottla topic` as a user runs it, against a broker in a process of its own: every command once, its output, its exit code.
 * OTTLA_E2E_SUBJECT=kafka runs the same against Apache Kafka.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { freePort, run, type Server, startOttla } from './harness.ts'

const OTTLA = process.env['OTTLA_BIN'] ?? join(process.cwd(), 'bin', 'ottla')

let broker: Server

before(async () => {
  broker = await startOttla()
})
after(async () => {
  await broker.stop()
})

async function topic(...args: string[]) {
  return topicAt(broker.bootstrap, ...args)
}

async function topicAt(bootstrap: string, ...args: string[]) {
  const all = [OTTLA, 'topic', ...args, '--bootstrap', bootstrap]
  const { code, stdout, stderr } = await run(process.execPath, all)
  return { code, out: stdout.toString(), err: stderr }
}

test('a topic is created, listed, described, altered and deleted', async () => {
  const created = await topic(
    'create',
    'orders',
    '--partitions',
    '3',
    '--config',
    'retention.ms=1000',
  )
  assert.deepEqual(created, { code: 0, out: 'orders created: 3 partitions, 1 replica\n', err: '' })

  const listed = await topic('list')
  assert.equal(listed.code, 0)
  assert.match(listed.out, /^TOPIC +PARTITIONS +REPLICAS\norders +3 +1\n$/)

  const described = await topic('describe', 'orders')
  assert.equal(described.code, 0)
  assert.match(described.out, /^Topic orders, id [\w-]{22}\n/)
  for (const index of [0, 1, 2]) {
    assert.match(described.out, new RegExp(`\\n +${index} +1 +1 +1 +- +0 +0 +0\\n`))
  }
  assert.match(described.out, /retention\.ms=1000 {2}\(topic\)/)
  assert.match(described.out, /acks=1: the leader has the record in its machine's memory/)

  const change = ['--partitions', '4', '--config', 'flush.messages=1']
  const altered = await topic('alter', 'orders', ...change, '--delete-config', 'retention.ms')
  assert.equal(altered.code, 0, altered.err)
  const again = await topic('describe', 'orders', '--json')
  const [json] = JSON.parse(again.out) as [
    { partitions: unknown[]; configs: Record<string, { value: string }>; acks: string[] },
  ]
  assert.equal(json.partitions.length, 4)
  assert.equal(json.configs['flush.messages']?.value, '1')
  assert.equal(json.configs['retention.ms'], undefined)
  assert.equal(json.acks[0], 'acks=1: the leader has the record on disk.')

  const deleted = await topic('delete', 'orders')
  assert.deepEqual(deleted, { code: 0, out: 'orders deleted\n', err: '' })
  assert.equal((await topic('list')).out, 'There are no topics.\n')
})

test('refusals are one line that names topic, error and broker, and exit code 1', async () => {
  await topic('create', 'twice')
  const place = `CreateTopics, broker 1 at ${broker.bootstrap}`
  for (const [args, expected] of [
    [['create', 'twice'], `(TOPIC_ALREADY_EXISTS, ${place})`],
    [['create', 'x', '--replication-factor', '2'], `(INVALID_REPLICATION_FACTOR, ${place})`],
    [['create', 'x', '--config', 'retention.ms=x'], `(INVALID_CONFIG, ${place})`],
    [['create', 'x y'], `(INVALID_TOPIC_EXCEPTION, ${place})`],
    [['alter', 'twice', '--partitions', '1'], '(INVALID_PARTITIONS, CreatePartitions, '],
    [['alter', 'twice', '--config', 'no.such=1'], '(INVALID_CONFIG, IncrementalAlterConfigs, '],
    [['delete', 'nope'], '(UNKNOWN_TOPIC_OR_PARTITION, DeleteTopics, '],
    [['describe', 'nope'], '(UNKNOWN_TOPIC_OR_PARTITION, Metadata, '],
  ] as const) {
    const { code, out, err } = await topic(...args)
    assert.deepEqual([code, out], [1, ''], err)
    assert.match(err, /^ottla: topic '[^\n]+\n$/)
    assert(err.includes(expected), `${err} lacks ${expected}`)
  }
  const tolerated = await topic('create', 'twice', '--if-not-exists')
  assert.deepEqual([tolerated.code, tolerated.out], [0, 'twice exists already\n'])
  assert.equal((await topic('delete', 'twice', 'nope', '--if-exists')).code, 0)
})

test('without a broker it is exit code 3, and the line says how to start one', async () => {
  const { code, err } = await topicAt(`127.0.0.1:${await freePort()}`, 'list')
  assert.equal(code, 3)
  assert.match(err, /ECONNREFUSED.*'ottla broker' starts one here/)
})

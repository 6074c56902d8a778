/**
 * Logs move between Kafka and Ottla, both ways, and every record is served: rolled, compacted, shortened and
 * transactional ones, in every codec.
 */
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { RawClient } from '../broker/raw-client.ts'
import { chooseSeed } from '../tiers.ts'
import { missing, type Server, startKafka, startOttla } from './harness.ts'
import { dumpWell, ToolJvm } from './harness-tools.ts'
import {
  clientOf,
  compacted,
  createTopics,
  fill,
  fillTransactions,
  partitionDirectory,
  type Served,
  served,
} from './stored-logs.ts'

const skip = missing('kafka', 'kcat')
const jvm = new ToolJvm()
after(() => jvm.close())

const overrides = {
  'log.cleaner.backoff.ms': '200',
  'log.segment.delete.delay.ms': '100',
  'log.initial.task.delay.ms': '100',
}
const compacting = { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.01' }
const rolling = { 'internal.segment.bytes': '200000' }
const TOPICS = {
  plain: {},
  rolled: rolling,
  shortened: rolling,
  compacted: { ...compacting, ...rolling },
}
const CHECKPOINTS = [
  'cleaner-offset-checkpoint',
  'log-start-offset-checkpoint',
  'recovery-point-offset-checkpoint',
  'replication-offset-checkpoint',
]

async function fillAll(server: Server, seed: number): Promise<void> {
  await createTopics(server, TOPICS)
  for (const topic of Object.keys(TOPICS)) {
    // A topic that is compacted only keeps its records for ever.
    const fromMs = Date.now() - (topic === 'compacted' ? 30 * 86_400_000 : 600_000)
    await fill(server, topic, { seed, requests: topic === 'plain' ? 20 : 100, fromMs })
  }
  await compacted(server, 'compacted')
}

/** Up to the middle of the second segment: what is left of it comes back when the checkpoint is gone. */
async function shorten(server: Server): Promise<number> {
  const second = readdirSync(partitionDirectory(server, 'shortened'))
    .filter(name => name.endsWith('.log'))
    .map(name => Number.parseInt(name, 10))
    .sort((a, b) => a - b)[1]!
  const client = await RawClient.connect(server.port)
  const partitions = [{ partitionIndex: 0, offset: second + 100 }]
  const topics = [{ name: 'shortened', partitions }]
  const answer = await client.call('DeleteRecords', 2, { topics, timeoutMs: 10_000 })
  assert.equal(answer.topics[0]!.partitions[0]!.lowWatermark, second + 100)
  await client.close()
  return second
}

async function servedBy(server: Server, topics: Iterable<string>): Promise<Map<string, Served>> {
  const all = new Map<string, Served>()
  for (const topic of topics) all.set(topic, await served(server, topic))
  return all
}

function assertServed(found: ReadonlyMap<string, Served>, expected: ReadonlyMap<string, Served>) {
  for (const [topic, { committed, uncommitted }] of expected) {
    assert.ok(committed.length > 1000, `${topic} was read`)
    assert.equal(found.get(topic)!.committed, committed, `${topic}, read_committed`)
    assert.equal(found.get(topic)!.uncommitted, uncommitted, `${topic}, read_uncommitted`)
  }
}

/** One more record, and the offset that it got. Not idempotent: Kafka would give it the id of a producer of ours. */
async function append(server: Server, topic: string, idempotent: boolean): Promise<number> {
  const producer = clientOf(server).producer({ idempotent })
  await producer.connect()
  const answers = await producer.send({ topic, messages: [{ key: 'k', value: 'after the move' }] })
  await producer.disconnect()
  return Number(answers[0]!.baseOffset)
}

function nextOffset({ uncommitted }: Served): number {
  return Number.parseInt(uncommitted.trimEnd().split('\n').at(-1)!, 10) + 1
}

/** Our segment files take the place of Kafka's; its `partition.metadata` stays, and no checkpoint does. */
function putInto(kafka: Server, ours: Server): void {
  for (const topic of Object.keys(TOPICS)) {
    const [from, to] = [partitionDirectory(ours, topic), partitionDirectory(kafka, topic)]
    for (const name of readdirSync(to)) if (name !== 'partition.metadata') rmSync(join(to, name))
    for (const name of readdirSync(from)) {
      if (/^\d{20}\.(log|index|timeindex|txnindex|snapshot)$/.test(name)) {
        copyFileSync(join(from, name), join(to, name))
      }
    }
  }
  removeCheckpoints(kafka)
}

function removeCheckpoints({ dataDir }: Server): void {
  for (const name of CHECKPOINTS) rmSync(join(dataDir, 'data', name), { force: true })
}

test('Kafka serves every record of our segment files', { skip }, async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed} (OTTLA_SEED=${seed} repeats it)`)
  const ours = await startOttla({ overrides })
  let expected: Map<string, Served>
  let shortenedTo: number
  try {
    await fillAll(ours, seed)
    const whole = await served(ours, 'shortened')
    shortenedTo = await shorten(ours)
    expected = await servedBy(ours, Object.keys(TOPICS))
    // The start of a log is in the checkpoint only: its files have more.
    const isThere = (line: string) => Number.parseInt(line, 10) >= shortenedTo
    const lines = whole.committed.split('\n').filter(isThere).join('\n')
    const records = `${lines}\n`
    assert.ok(records.length > expected.get('shortened')!.committed.length)
    expected.set('shortened', { committed: records, uncommitted: records })
  } finally {
    await ours.stop()
  }
  for (const topic of Object.keys(TOPICS)) await dumpWell(jvm, partitionDirectory(ours, topic))
  const { dataDir, port, ...first } = await startKafka({ overrides })
  await createTopics({ dataDir, port, ...first }, TOPICS)
  await first.stop()
  const stopped = { dataDir, port, ...first }
  putInto(stopped, ours)
  // Once believing our indexes and snapshots, as after a clean stop; once recovering, which reads every batch.
  for (const isClean of [true, false]) {
    const mark = join(dataDir, 'data', '.kafka_cleanshutdown')
    if (!isClean) {
      putInto(stopped, ours)
      rmSync(mark, { force: true })
    }
    assert.equal(existsSync(mark), isClean)
    const kafka = await startKafka({ overrides, dataDir, port })
    try {
      assertServed(await servedBy(kafka, Object.keys(TOPICS)), expected)
      for (const [topic, records] of expected) {
        assert.equal(await append(kafka, topic, false), nextOffset(records), `${topic} goes on`)
      }
    } finally {
      await kafka.stop()
    }
  }
})

test("we serve every record of Kafka's directory, compacted and transactional ones too", {
  skip,
}, async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed} (OTTLA_SEED=${seed} repeats it)`)
  const transactional = { transactions: rolling, 'compacted-transactions': TOPICS.compacted }
  const topics = [...Object.keys(TOPICS), ...Object.keys(transactional)]
  const kafka = await startKafka({ overrides })
  let expected: Map<string, Served>
  try {
    await fillAll(kafka, seed)
    await createTopics(kafka, transactional)
    for (const topic of Object.keys(transactional)) {
      await fillTransactions(kafka, topic, { seed, requests: 100, fromMs: Date.now() - 600_000 })
    }
    await compacted(kafka, 'compacted-transactions')
    await shorten(kafka)
    expected = await servedBy(kafka, topics)
  } finally {
    await kafka.stop()
  }
  const { committed, uncommitted } = expected.get('transactions')!
  assert.ok(committed.length < uncommitted.length, 'some transactions were aborted')
  const { dataDir, port } = kafka
  for (const how of ['adopting', 'a second time'] as const) {
    const ours = await startOttla({ overrides, dataDir, port })
    try {
      assertServed(await servedBy(ours, topics), expected)
      if (how === 'adopting') continue
      for (const topic of Object.keys(TOPICS)) {
        assert.equal(
          await append(ours, topic, true),
          nextOffset(expected.get(topic)!),
          `${topic} goes on`,
        )
      }
    } finally {
      await ours.stop()
    }
  }
})

/**
 * Compaction equals Kafka's: the same batches with the same settings through Kafka 4.3.1 and through Ottla leave the
 * same records (offset, key, value) once neither has anything to compact any more.
 *
 * Method: one partition each, the same requests in the same order. `min.compaction.lag.ms` holds the cleaners back while
 * records are written, so that both make the same passes; a pass is over when the cleaner's checkpoint has come to the
 * active segment. At the end both are stopped, and our own reader reads both directories.
 */
import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { chooseSeed } from '../tiers.ts'
import { missing, type Server, startKafka, startOttla, temporaryDirectory } from './harness.ts'
import {
  compacted,
  createTopics,
  fill,
  fillTransactions,
  recordsIn,
  served,
  setTopic,
  type TopicSettings,
} from './stored-logs.ts'

const overrides = {
  'log.cleaner.backoff.ms': '200',
  'log.segment.delete.delay.ms': '100',
  'log.initial.task.delay.ms': '100',
}
const compacting = {
  'cleanup.policy': 'compact',
  'min.cleanable.dirty.ratio': '0.01',
  'internal.segment.bytes': '200000',
}
const HELD = { 'min.compaction.lag.ms': String(86_400_000) }
const TOPICS: Readonly<Record<string, TopicSettings>> = {
  /** Tombstones stay, with a delete horizon. */
  tombstones: compacting,
  /** Those that had their horizon in the first pass go in the second. */
  spent: { ...compacting, 'delete.retention.ms': '1' },
}

/** Lets the cleaner work once, up to the active segment. */
async function pass(server: Server, topic: string, settings: TopicSettings): Promise<void> {
  await setTopic(server, topic, settings)
  await compacted(server, topic)
  await setTopic(server, topic, { ...settings, ...HELD })
}

/** Answers how many records were written to each topic. */
async function fillAndCompact(server: Server, seed: number, fromMs: number): Promise<number> {
  const held = Object.entries(TOPICS).map(([name, settings]) => [name, { ...settings, ...HELD }])
  await createTopics(server, Object.fromEntries(held))
  let count = 0
  for (const wave of [0, 1]) {
    for (const [topic, settings] of Object.entries(TOPICS)) {
      // The last tombstones of the first wave's keys must not be superseded in the second.
      const prefix = `wave-${wave}-`
      count += await fill(server, topic, { seed: seed + wave, requests: 100, fromMs, prefix })
      await pass(server, topic, settings)
    }
  }
  return count / Object.keys(TOPICS).length
}

const isTombstone = (record: string) => record.endsWith(' undefined')

test('compaction leaves the records that Kafka leaves, in every codec', {
  skip: missing('kafka', 'kcat'),
}, async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed} (OTTLA_SEED=${seed} repeats it)`)
  const [ours, theirs] = await Promise.all([startOttla({ overrides }), startKafka({ overrides })])
  const fromMs = Date.now() - 600_000
  let written = 0
  try {
    const counts = await Promise.all([ours, theirs].map(each => fillAndCompact(each, seed, fromMs)))
    written = counts[0]!
  } finally {
    await Promise.all([ours.stop(), theirs.stop()])
  }
  const tombstones = new Map<string, number>()
  for (const topic of Object.keys(TOPICS)) {
    const [left, expected] = [await recordsIn(ours, topic), await recordsIn(theirs, topic)]
    assert.ok(expected.length > 300 && expected.length < written / 2, `${expected.length} records`)
    assert.deepEqual(left, expected, topic)
    tombstones.set(topic, left.filter(isTombstone).length)
  }
  assert.ok(tombstones.get('spent')! < tombstones.get('tombstones')!, 'some tombstones have gone')
  t.diagnostic(`${written} records each; tombstones left: ${[...tombstones].join('; ')}`)
})

test('an adopted log with transactions is compacted as Kafka compacts it', {
  skip: missing('kafka', 'kcat'),
}, async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed} (OTTLA_SEED=${seed} repeats it)`)
  const topic = 'transactions'
  const writer = await startKafka({ overrides })
  try {
    await createTopics(writer, { [topic]: { ...compacting, ...HELD } })
    await fillTransactions(writer, topic, { seed, requests: 150, fromMs: Date.now() - 600_000 })
  } finally {
    await writer.stop()
  }
  const written = (await recordsIn(writer, topic)).length
  const dataDir = temporaryDirectory('adopted')
  cpSync(join(writer.dataDir, 'data'), join(dataDir, 'data'), { recursive: true })
  // Adopted topics have the broker's settings.
  const defaults = {
    'log.cleanup.policy': 'compact',
    'log.cleaner.min.cleanable.ratio': '0.01',
  }
  const theirs = await startKafka({ overrides, dataDir: writer.dataDir })
  const ours = await startOttla({ overrides: { ...overrides, ...defaults }, dataDir })
  try {
    await setTopic(theirs, topic, compacting)
    await Promise.all([compacted(ours, topic), compacted(theirs, topic)])
    const [left, expected] = [await served(ours, topic), await served(theirs, topic)]
    assert.equal(left.uncommitted, expected.uncommitted)
    assert.equal(left.committed, expected.committed)
    assert.notEqual(left.committed, left.uncommitted)
  } finally {
    await Promise.all([ours.stop(), theirs.stop()])
  }
  const [left, expected] = [await recordsIn(ours, topic), await recordsIn(theirs, topic)]
  assert.ok(left.length < written / 2, `${left.length} of ${written} are left`)
  assert.deepEqual(left, expected)
  t.diagnostic(`${left.length} of ${written} records left, markers among them`)
})

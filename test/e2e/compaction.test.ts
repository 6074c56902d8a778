/**
 * Compaction equals Kafka's: the same batches with the same settings through Kafka 4.3.1 and through Ottla leave the
 * same records (offset, key, value) once neither has anything to compact any more.
 *
 * Method: one partition each, the same requests in the same order; wait until the cleaner's checkpoint has come to the
 * active segment on both sides; stop both; read both directories with our own reader.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CompressionTypes, Kafka, logLevel, type Message } from 'kafkajs'
import * as batches from '../../protocol/record-batch.ts'
import { decodeBatch } from '../../protocol/records.ts'
import { SystemDisk } from '../../segment-store/system-disk.ts'
import { bytesOf, openLog } from '../segment-store/store-harness.ts'
import { chooseSeed, seededRandom } from '../tiers.ts'
import { missing, pause, type Server, startKafka, startOttla } from './harness.ts'

const TOPIC = 'compacted'
const DEADLINE_MS = 90_000
const overrides = {
  'log.cleaner.backoff.ms': '200',
  'log.segment.delete.delay.ms': '100',
  'log.initial.task.delay.ms': '100',
}

/** Answers how many records were written. */
async function fill(server: Server, seed: number): Promise<number> {
  let count = 0
  const random = seededRandom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const kafka = new Kafka({ brokers: [server.bootstrap], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  const configEntries = [
    { name: 'cleanup.policy', value: 'compact' },
    { name: 'min.cleanable.dirty.ratio', value: '0.01' },
    { name: 'segment.bytes', value: '1048576' },
  ]
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 1, configEntries }] })
  await admin.disconnect()
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let i = 0; i < 300; i++) {
    const messages: Message[] = Array.from({ length: 1 + below(40) }, (_, n) => ({
      key: `key-${below(400)}`,
      value: below(8) === 0 ? null : `${i}-${n}-`.padEnd(below(1500), 'abcdefghij'),
      timestamp: String(1_700_000_000_000 + i * 1000),
    }))
    const compression = below(2) === 0 ? CompressionTypes.None : CompressionTypes.GZIP
    count += messages.length
    await producer.send({ topic: TOPIC, messages, compression, acks: -1 })
  }
  await producer.disconnect()
  return count
}

/** Waits until everything below the active segment has been compacted. */
async function idle(server: Server): Promise<void> {
  const directory = join(server.dataDir, 'data', `${TOPIC}-0`)
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    const active = Math.max(
      ...readdirSync(directory)
        .filter(name => /^\d{20}\.log$/.test(name))
        .map(name => Number.parseInt(name, 10)),
    )
    let text = ''
    try {
      text = readFileSync(join(server.dataDir, 'data', 'cleaner-offset-checkpoint'), 'utf8')
    } catch {
      // Not written yet.
    }
    const cleaned = Number(new RegExp(`^${TOPIC} 0 (\\d+)$`, 'm').exec(text)?.[1] ?? -1)
    if (active > 0 && cleaned === active) return
    assert.ok(performance.now() < deadline, `cleaned ${cleaned}, active ${active}`)
    await pause(100)
  }
}

async function recordsIn(server: Server): Promise<string[]> {
  const { log } = await openLog(new SystemDisk(), join(server.dataDir, 'data', `${TOPIC}-0`))
  const found: string[] = []
  for (let next = log.logStartOffset; next < log.writtenOffset; ) {
    const upTo = log.writtenOffset
    const request = { offset: next, maxBytes: 1_000_000, upTo, minOneBatch: true, committed: false }
    const bytes = bytesOf(await log.read(request))
    if (bytes.length === 0) break
    for (const at of batches.batchPositions(bytes)) {
      next = batches.lastOffset(bytes, at) + 1
      for (const { offset, key, value } of await decodeBatch(bytes, at, 10_000_000)) {
        found.push(`${offset} ${key} ${value}`)
      }
    }
  }
  await log.close()
  return found
}

test('compaction leaves the records that Kafka leaves', { skip: missing('kafka') }, async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed} (OTTLA_SEED=${seed} repeats it)`)
  const [ours, theirs] = await Promise.all([startOttla({ overrides }), startKafka({ overrides })])
  let written = 0
  try {
    const counts = await Promise.all([fill(ours, seed), fill(theirs, seed)])
    written = counts[0]
    await Promise.all([idle(ours), idle(theirs)])
  } finally {
    await Promise.all([ours.stop(), theirs.stop()])
  }
  const [left, expected] = [await recordsIn(ours), await recordsIn(theirs)]
  assert.ok(expected.length > 300 && expected.length < written, `${expected.length} records`)
  assert.deepEqual(left, expected)
})

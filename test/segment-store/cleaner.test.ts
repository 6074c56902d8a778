/**
 * Compaction against a simple model, tombstones and their horizon, codecs, and a kill at each step of the swap.
 *
 * The model: of the records below the cleaned offset the newest of each key stays, at its offset.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CodecName } from '../../protocol/compression.ts'
import * as batches from '../../protocol/record-batch.ts'
import {
  type BatchOptions,
  type DecodedRecord,
  decodeBatch,
  encodeBatch,
  type RecordInput,
} from '../../protocol/records.ts'
import type { CleaningEngine } from '../../segment-store/cleaner.ts'
import { clean } from '../../segment-store/cleaning.ts'
import type { Log } from '../../segment-store/log.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import { appendNow, bytesOf, config, NOW, openLog, type TestLog } from './store-harness.ts'

const DIRECTORY = '/data/orders-0'
const DAY = 86_400_000
const compacted = {
  cleanupPolicy: { compact: true, delete: false },
  segmentBytes: 1200,
  indexIntervalBytes: 200,
  minCleanableDirtyRatio: 0,
  fileDeleteDelayMs: 0,
}

const record = (key: string | null, value: string | null, timestamp = NOW): RecordInput => ({
  timestamp,
  key: key === null ? null : Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
})

async function write(
  opened: TestLog,
  records: readonly RecordInput[],
  codec: CodecName = 'none',
  options: BatchOptions = {},
): Promise<number> {
  return appendNow(opened, await encodeBatch(records, codec, options)).baseOffset
}

async function batchesOf(log: Log): Promise<Buffer[]> {
  const found: Buffer[] = []
  for (let next = log.logStartOffset; next < log.writtenOffset; ) {
    const upTo = log.writtenOffset
    const slice = await log.read({
      offset: next,
      maxBytes: 1_000_000,
      upTo,
      minOneBatch: true,
      committed: false,
    })
    const bytes = bytesOf(slice)
    if (bytes.length === 0) break
    for (const at of batches.batchPositions(bytes)) {
      const one = bytes.subarray(at, at + batches.sizeInBytes(bytes, at))
      assert.equal(batches.crc(one, 0), batches.computeCrc(one, 0))
      if (batches.lastOffset(one, 0) >= next) found.push(Buffer.from(one))
      next = Math.max(next, batches.lastOffset(one, 0) + 1)
    }
  }
  return found
}

async function recordsOf(log: Log): Promise<DecodedRecord[]> {
  const found: DecodedRecord[] = []
  for (const one of await batchesOf(log)) found.push(...(await decodeBatch(one, 0, 1_000_000)))
  return found
}

const line = ({ offset, key, value }: Pick<DecodedRecord, 'offset' | 'key' | 'value'>) =>
  `${offset} ${key} ${value}`

test('of each key the newest record stays, whatever was written and compacted before', async () => {
  const seed = chooseSeed()
  for (let run = 0; run < tier.seeds; run++) await oneRun(seed + run)
})

async function oneRun(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const disk = new MemoryDisk()
  let opened = await openLog(disk, DIRECTORY, { config: config(compacted) })
  const model: { offset: number; key: string; value: string | null }[] = []
  let now = NOW
  let cleaned = 0
  try {
    for (let step = 0; step < 60; step++) {
      const { log } = opened
      const codec = (['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)[below(8)] ?? 'none'
      const records = Array.from({ length: 1 + below(6) }, (_, i) => {
        const value = below(5) === 0 ? null : `${step}-${i}`.padEnd(below(80), '.')
        return record(`k${below(12)}`, value, now + below(1000))
      })
      const base = await write(opened, records, codec)
      for (const [i, { key, value }] of records.entries()) {
        model.push({
          offset: base + i,
          key: String(key),
          value: value === null ? null : String(value),
        })
      }
      now += below(DAY / 4)
      if (below(6) === 0) {
        const dedupeBufferBytes = below(2) === 0 ? 24 * 8 : 24 * 1000
        const limits = { dedupeBufferBytes, loadFactor: 0.9, ioBufferBytes: 4096 }
        const result = await log.compact(now, { limits })
        if (result !== null) {
          assert.ok(result.endOffset > cleaned || result.endOffset === cleaned, 'it goes on')
          cleaned = result.endOffset
        }
      }
      if (below(15) === 0) {
        const killed = below(2) === 0 ? disk.snapshot() : null
        if (killed === null) await log.close()
        opened = await openLog(killed ?? disk, DIRECTORY, {
          config: config(compacted),
          wasCleanShutdown: killed === null,
          cleanedOffset: log.cleanedOffset,
        })
        if (killed !== null) {
          // Everything after goes to the disk of the killed process.
          Object.assign(disk, killed)
        }
      }
      if (below(10) === 0) await check(opened.log, model)
    }
    await check(opened.log, model)
  } catch (error) {
    throw new Error(`seed ${seed} (OTTLA_SEED=${seed} repeats it)`, { cause: error })
  }
}

/** Nothing is there that was not written, each key's newest value is, and below the cleaned offset nothing else. */
async function check(
  log: Log,
  model: readonly { offset: number; key: string; value: string | null }[],
): Promise<void> {
  const found = await recordsOf(log)
  const written = new Map(model.map(entry => [entry.offset, entry]))
  const newestClean = new Map<string, number>()
  const newest = new Map<string, number>()
  for (const { offset, key } of model) {
    newest.set(key, offset)
    if (offset < log.cleanedOffset) newestClean.set(key, offset)
  }
  let last = -1
  const seen = new Set<number>()
  for (const { offset, key, value } of found) {
    assert.ok(offset > last, 'offsets ascend')
    last = offset
    seen.add(offset)
    const entry = written.get(offset)!
    assert.equal(line({ offset, key, value }), `${offset} ${entry.key} ${entry.value}`)
    if (offset < log.cleanedOffset) {
      assert.equal(newestClean.get(String(key)), offset, `superseded record ${offset} stays`)
    }
  }
  for (const [key, offset] of newest) {
    const isTombstone = written.get(offset)!.value === null
    if (!isTombstone) assert.ok(seen.has(offset), `the newest value of ${key} is gone`)
  }
  for (const { offset } of model) {
    if (offset >= log.cleanedOffset) assert.ok(seen.has(offset), `${offset} was never compacted`)
  }
}

test('a tombstone stays for delete.retention.ms from the pass that found it, and then goes', async () => {
  for (const codec of ['none', 'gzip', 'lz4', 'zstd'] as const) {
    const settings = config({ ...compacted, deleteRetentionMs: DAY })
    const opened = await openLog(new MemoryDisk(), DIRECTORY, { config: settings })
    const { log } = opened
    await write(opened, [record('a', '1'), record('b', '1')], codec)
    await write(opened, [record('a', null, NOW + 5), record('c', '1', NOW + 7)], codec)
    log.roll(NOW)
    await log.compact(NOW + 10)
    assert.deepEqual((await recordsOf(log)).map(line), ['1 b 1', '2 a null', '3 c 1'])
    const [, marked] = await batchesOf(log)
    assert.ok(batches.hasDeleteHorizon(marked!, 0))
    assert.equal(batches.baseTimestamp(marked!, 0), NOW + 10 + DAY)
    assert.deepEqual(
      (await decodeBatch(marked!, 0, 1000)).map(({ timestamp }) => timestamp - NOW),
      [5, 7],
      'times of records are as before',
    )
    const again = async (nowMs: number) => {
      await write(opened, [record('d', 'x')], codec)
      log.roll(nowMs)
      await log.compact(nowMs)
      return (await recordsOf(log)).map(line).slice(0, 3)
    }
    assert.deepEqual(await again(NOW + 9 + DAY), ['1 b 1', '2 a null', '3 c 1'])
    assert.deepEqual((await again(NOW + 10 + DAY)).slice(0, 2), ['1 b 1', '3 c 1'])
  }
})

test('what a producer wrote last is remembered by an empty batch, and the log ends where it did', async () => {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, DIRECTORY, { config: config(compacted) })
  const producer = { producerId: 7, producerEpoch: 3 }
  await write(opened, [record('a', '1')], 'none', { ...producer, baseSequence: 0 })
  await write(opened, [record('a', '2')], 'none', { ...producer, baseSequence: 1 })
  await write(opened, [record('a', '3')])
  await write(opened, [record('a', '4')])
  opened.log.roll(NOW)
  await opened.log.compact(NOW)
  const left = await batchesOf(opened.log)
  assert.deepEqual(
    left.map(one => [batches.baseOffset(one, 0), batches.recordCount(one, 0)]),
    [
      [1, 0],
      [3, 1],
    ],
  )
  assert.equal(batches.lastSequence(left[0]!, 0), 1)
  const duplicate = await write(opened, [record('a', '2')], 'none', {
    ...producer,
    baseSequence: 1,
  })
  assert.equal(duplicate, 1)
  const killed = await openLog(disk.snapshot(), DIRECTORY, {
    config: config(compacted),
    wasCleanShutdown: false,
  })
  assert.equal(killed.log.logEndOffset, 4)
  assert.equal(killed.log.activeProducers()[0]!.lastSequence, 1)
})

test('what a producer wrote last below the bound stays, since what it wrote above may be truncated', async () => {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, DIRECTORY, { config: config(compacted) })
  const { log } = opened
  const put = (key: string, baseSequence: number) =>
    write(opened, [record(key, '1')], 'none', { producerId: 7, producerEpoch: 3, baseSequence })
  const left = async () =>
    (await batchesOf(log)).map(one => [batches.baseOffset(one, 0), batches.recordCount(one, 0)])
  await put('a', 0)
  await write(opened, [record('a', '2')])
  log.roll(NOW)
  await put('b', 1)
  await log.compact(NOW)
  const expected = [
    [0, 0],
    [1, 1],
  ]
  assert.deepEqual(await left(), [...expected, [2, 1]])
  await log.truncateTo(2)
  const bare = disk.snapshot()
  for (const { name } of await bare.list(DIRECTORY)) {
    if (name.endsWith('.snapshot')) await bare.remove(`${DIRECTORY}/${name}`)
  }
  const options = { config: config(compacted), wasCleanShutdown: false }
  const killed = await openLog(bare, DIRECTORY, options)
  assert.equal(killed.log.activeProducers()[0]?.lastSequence, 0)
  // It goes when a later one is below the bound, in the dirty part or in the clean one.
  await put('c', 1)
  log.roll(NOW)
  await put('d', 2)
  await log.compact(NOW)
  assert.deepEqual(await left(), [
    [1, 1],
    [2, 1],
    [3, 1],
  ])
})

test('a kill at each step of a pass leaves the old segments or the new, and nothing else', async () => {
  const steps = await killAt(Number.POSITIVE_INFINITY)
  assert.ok(steps > 20, `${steps} steps`)
  for (let step = 0; step < steps; step++) await killAt(step)
})

/** Runs a pass on a disk that dies at its `step`-th change; answers how many changes there were. */
async function killAt(step: number): Promise<number> {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, DIRECTORY, { config: config(compacted) })
  for (let i = 0; i < 40; i++) await write(opened, [record(`k${i % 7}`, `${i}`.padEnd(60, '.'))])
  await opened.log.sync()
  const before = (await recordsOf(opened.log)).map(line)
  let changes = 0
  let dead: MemoryDisk | null = null
  const watched = [
    'rename',
    'remove',
    'replaceFile',
    'createSync',
    'syncDirectory',
    'open',
  ] as const
  for (const name of watched) {
    const original = (disk[name] as (...given: unknown[]) => unknown).bind(disk)
    Object.assign(disk, {
      [name]: (...given: unknown[]) => {
        if (changes++ === step) dead = disk.snapshot()
        return original(...given)
      },
    })
  }
  await opened.log.compact(NOW)
  const after = (await recordsOf(opened.log)).map(line)
  assert.ok(after.length < before.length)
  if (dead === null) return changes
  const { log } = await openLog(dead, DIRECTORY, {
    config: config(compacted),
    wasCleanShutdown: false,
    recoveryPoint: opened.log.recoveryPoint,
  })
  const found = (await recordsOf(log)).map(line)
  for (const entry of after) assert.ok(found.includes(entry), `step ${step}: ${entry} is lost`)
  for (const entry of found) assert.ok(before.includes(entry), `step ${step}: ${entry} came up`)
  assert.equal(log.logEndOffset, 40)
  const names = (await (dead as MemoryDisk).list(DIRECTORY)).map(({ name }) => name)
  assert.ok(!names.some(name => /cleaned|swap|deleted/.test(name)), `step ${step}: ${names}`)
  return changes
}

test('a pass over damaged bytes changes nothing and says where they are', async () => {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, DIRECTORY, { config: config(compacted) })
  for (let i = 0; i < 20; i++) await write(opened, [record('k', `${i}`.padEnd(60, '.'))])
  const file = await disk.open(`${DIRECTORY}/00000000000000000000.log`)
  file.writeAt(100, Buffer.from([0xff]))
  await assert.rejects(opened.log.compact(NOW), /orders-0: batch at offset 0 has a wrong checksum/)
  assert.equal(opened.log.failure, null)
  const names = (await disk.list(DIRECTORY)).map(({ name }) => name)
  assert.ok(!names.some(name => name.includes('cleaned')))
})

test('the newest record is found where a header promises one that is gone', async () => {
  for (const codec of ['none', 'gzip', 'lz4', 'zstd'] as const) {
    const opened = await openLog(new MemoryDisk(), DIRECTORY, { config: config(compacted) })
    const { log } = opened
    const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0 }
    await write(opened, [record('a', '1', NOW + 90)], codec, producer)
    await write(opened, [record('b', '1', NOW + 10), record('c', '1', NOW + 70)], codec)
    await write(opened, [record('d', '1', NOW + 70), record('a', '2', NOW + 20)], codec)
    assert.equal((await log.maxTimestamp())?.offset, 0)
    log.roll(NOW)
    await log.compact(NOW)
    // The first batch is empty now, kept for its producer, and still has the greatest timestamp in its header.
    const [first] = await batchesOf(log)
    assert.deepEqual(
      [batches.recordCount(first!, 0), batches.maxTimestamp(first!, 0)],
      [0, NOW + 90],
    )
    const { offset, timestamp } = (await log.maxTimestamp())!
    assert.deepEqual([offset, timestamp], [2, NOW + 70])
    await log.advanceLogStartTo(3)
    assert.equal((await log.maxTimestamp())?.offset, 3)
    await log.advanceLogStartTo(4)
    assert.equal((await log.maxTimestamp())?.timestamp, NOW + 20)
    assert.equal((await log.offsetForTimestamp(NOW + 5))?.offset, 4)
  }
})

test('a pass whose segments are deleted under it is given up, and the next one works', async () => {
  const settings = config({ ...compacted, fileDeleteDelayMs: 0 })
  const opened = await openLog(new MemoryDisk(), DIRECTORY, { config: settings })
  const { log } = opened
  for (let i = 0; i < 3; i++) {
    await write(opened, [record('a', `${i}`), record('b', `${i}`)])
    log.roll(NOW)
  }
  // Retention, or DeleteRecords, in the middle of a pass that has not come to these segments.
  const engine: CleaningEngine = async (job, env) => {
    await log.advanceLogStartTo(log.segments[2]!.baseOffset)
    return await clean(job, env)
  }
  assert.equal(await log.compact(NOW, { engine }), null)
  assert.equal(log.failure, null)
  assert.ok((await log.compact(NOW)) !== null)
  assert.deepEqual((await recordsOf(log)).map(line), ['4 a 2', '5 b 2'])
})

test('nothing above the last stable offset is compacted', async () => {
  const opened = await openLog(new MemoryDisk(), DIRECTORY, { config: config(compacted) })
  const { log } = opened
  await write(opened, [record('a', 'kept')])
  await write(opened, [record('a', 'undecided')], 'none', {
    ...{ producerId: 5, producerEpoch: 0, baseSequence: 0 },
    isTransactional: true,
  })
  assert.equal(log.lastStableOffset, 1)
  log.roll(NOW)
  assert.equal(await log.compact(NOW), null)
  assert.deepEqual((await recordsOf(log)).map(line), ['0 a kept', '1 a undecided'])
})

test('aborted data goes at once; its marker waits for the delete horizon, then goes too', async () => {
  const disk = new MemoryDisk()
  await disk.makeDirectory(DIRECTORY)
  const file = disk.createSync(`${DIRECTORY}/00000000000000000000.log`)
  const transaction = { producerId: 5, producerEpoch: 0, isTransactional: true }
  const marker = { ...record('', ''), key: Buffer.from([0, 0, 0, 0]), value: Buffer.alloc(6) }
  const put = async (baseOffset: number, one: RecordInput, options: BatchOptions) => {
    file.append([await encodeBatch([one], 'none', { ...options, baseOffset, leaderEpoch: 0 })])
  }
  await put(0, record('a', 'kept'), {})
  await put(1, record('a', 'aborted'), { ...transaction, baseSequence: 0 })
  await put(2, marker, { ...transaction, isControl: true, baseSequence: -1 })
  await put(3, record('b', '1'), { producerId: 5, producerEpoch: 1, baseSequence: 0 })
  const settings = config({ ...compacted, deleteRetentionMs: DAY })
  const opened = await openLog(disk, DIRECTORY, { config: settings, wasCleanShutdown: false })
  const { log } = opened
  assert.equal(log.segments[0]!.txnIndex.entries.length, 1)
  const pass = async (nowMs: number) => {
    log.roll(nowMs)
    await log.compact(nowMs)
    const left = await batchesOf(log)
    return left.map(one => [batches.baseOffset(one, 0), batches.isControl(one, 0)])
  }
  assert.deepEqual(await pass(NOW), [
    [0, false],
    [2, true],
    [3, false],
  ])
  const firstPass = log.segments[0]!.txnIndex.entries
  await write(opened, [record('c', '1')])
  await pass(NOW + 1)
  assert.deepEqual(log.segments[0]!.txnIndex.entries, [], JSON.stringify(firstPass))
  await write(opened, [record('d', '1')])
  const offsets = (await pass(NOW + 2 + 2 * DAY)).map(([offset]) => offset)
  assert.deepEqual(offsets, [0, 3, 4, 5], 'the marker is gone')
})

test('a record that is too young is not compacted because an older part of its segment is clean', async () => {
  const disk = new MemoryDisk()
  const settings = config({ ...compacted, minCompactionLagMs: 1000 })
  const first = await openLog(disk, DIRECTORY, { config: settings })
  await write(first, [record('a', '1')])
  await write(first, [record('b', '1')])
  await first.log.close()
  // An earlier pass came up to 1; then a power cut took the name of the segment that began there.
  const opened = await openLog(disk, DIRECTORY, { config: settings, cleanedOffset: 1 })
  await write(opened, [record('a', '2', NOW)])
  opened.log.roll(NOW)
  assert.equal(await opened.log.compact(NOW + 999), null)
  assert.equal(opened.log.cleanedOffset, 1)
  assert.equal((await recordsOf(opened.log)).length, 3)
  assert.equal((await opened.log.compact(NOW + 1000))?.endOffset, 3)
  assert.deepEqual((await recordsOf(opened.log)).map(line), ['1 b 1', '2 a 2'])
})

test('a pass whose segments retention takes away ends, and the next one goes on', async () => {
  const opened = await openLog(new MemoryDisk(), DIRECTORY, { config: config(compacted) })
  const { log } = opened
  for (let i = 0; i < 40; i++) await write(opened, [record(`k${i % 7}`, `${i}`.padEnd(60, '.'))])
  let reads = 0
  const pace = async () => {
    // The map is full; the segments are about to be read again.
    if (++reads === log.segments.length - 1) await log.advanceLogStartTo(15)
  }
  assert.equal(await log.compact(NOW, { pace }), null)
  assert.equal(log.failure, null)
  assert.ok(log.logStartOffset === 15 && reads > 1)
  const result = await log.compact(NOW)
  assert.ok(result !== null && result.recordsKept <= result.recordsRead)
})

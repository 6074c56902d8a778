/** One log: offsets, reading, rolling, duplicates, shortening, failing. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { ProtocolError } from '../../protocol/errors.ts'
import * as batches from '../../protocol/record-batch.ts'
import type { File } from '../../segment-store/disk.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import {
  append,
  appendNow,
  batch,
  batchesIn,
  bytesOf,
  config,
  disks,
  NOW,
  openLog,
  readAll,
  type TestLog,
} from './store-harness.ts'

const DIRECTORY = '/data/orders-0'
const all = disks()
after(() => {
  for (const disk of all) disk.remove()
})

async function memoryLog(overrides = {}): Promise<TestLog> {
  return openLog(new MemoryDisk(), DIRECTORY, { config: config(overrides) })
}

function read({ log }: TestLog, offset: number, options = {}) {
  const upTo = log.writtenOffset
  return log.read({ offset, maxBytes: 1024, upTo, minOneBatch: true, committed: false, ...options })
}

function isError(name: string): (error: unknown) => boolean {
  return error => error instanceof ProtocolError && error.error === name
}

for (const { name, disk, root } of all) {
  test(`appended batches come back with their offsets and epochs (${name} disk)`, async () => {
    const opened = await openLog(disk, `${root}/orders-0`)
    const bytes = batch(10)
    const before = Buffer.from(bytes)
    assert.equal(appendNow(opened, bytes, 3).baseOffset, 0)
    const info = appendNow(opened, batch(5), 3)
    assert.deepEqual([info.baseOffset, info.lastOffset, info.duplicate], [10, 14, false])
    assert.deepEqual(bytes, before)
    const slice = await read(opened, 0)
    const [chunk] = slice.chunks
    assert.equal(batches.leaderEpoch(chunk!, 0), 3)
    assert.equal(batches.computeCrc(chunk!, 0), batches.crc(chunk!, 0))
    assert.deepEqual(
      batchesIn(bytesOf(slice)).map(({ baseOffset, lastOffset }) => [baseOffset, lastOffset]),
      [
        [0, 9],
        [10, 14],
      ],
    )
    await opened.log.close()
  })
}

test('nothing is visible before the end of the turn, then all of it at once', async () => {
  const opened = await memoryLog()
  const { log, turn, written } = opened
  append(log, batch(3))
  append(log, batch(3))
  assert.equal(log.logEndOffset, 6)
  assert.equal(log.writtenOffset, 0)
  assert.equal((await read(opened, 0)).size, 0)
  turn.end()
  assert.deepEqual(written, [6])
  assert.equal(log.writtenOffset, 6)
  assert.equal(bytesOf(await read(opened, 0)).length, log.sizeBytes)
  await log.sync()
  assert.equal(log.durableOffset, 6)
})

test('a read begins with the batch that holds the offset and stops in front of the bound', async () => {
  const opened = await memoryLog({ indexIntervalBytes: 200 })
  for (let i = 0; i < 40; i++) appendNow(opened, batch(10))
  for (const offset of [0, 9, 10, 19, 105, 399]) {
    const [first] = batchesIn(bytesOf(await read(opened, offset)))
    assert.equal(first!.baseOffset, offset - (offset % 10), `offset ${offset}`)
  }
  for (const upTo of [5, 10, 11, 35, 40]) {
    const found = batchesIn(bytesOf(await read(opened, 0, { upTo, maxBytes: 1e6 })))
    assert.equal((found.at(-1)?.lastOffset ?? -1) + 1, upTo - (upTo % 10), `bound ${upTo}`)
  }
  assert.equal((await read(opened, 400)).size, 0)
  assert.equal((await read(opened, 100, { upTo: 50 })).size, 0)
  assert.throws(() => read(opened, 401), isError('OFFSET_OUT_OF_RANGE'))
  assert.throws(() => read(opened, -1), isError('OFFSET_OUT_OF_RANGE'))
})

test('a first batch larger than the limit comes whole or not at all; later ones may be cut', async () => {
  const opened = await memoryLog()
  const size = batch(1, { valueBytes: 3000 }).length
  appendNow(opened, batch(1, { valueBytes: 3000 }))
  appendNow(opened, batch(1, { valueBytes: 3000 }))
  assert.equal((await read(opened, 0, { maxBytes: size - 1, minOneBatch: false })).size, 0)
  assert.equal((await read(opened, 0, { maxBytes: size, minOneBatch: false })).size, size)
  assert.equal((await read(opened, 0, { maxBytes: 1 })).size, size)
  assert.equal((await read(opened, 0, { maxBytes: size + 70 })).size, size + 70)
})

test('a batch larger than a staging block, and many small ones, keep their order', async () => {
  const opened = await memoryLog()
  append(opened.log, batch(1))
  append(opened.log, batch(1, { valueBytes: 100_000 }))
  for (let i = 0; i < 2000; i++) append(opened.log, batch(1, { valueBytes: 100 }))
  opened.turn.end()
  const seen = await readAll(opened.log, 0, 10_000)
  assert.deepEqual(
    seen.map(({ baseOffset }) => baseOffset),
    Array.from({ length: 2002 }, (_, i) => i),
  )
})

test('a log rolls when the next batch would not fit, by time, and when an index is full', async () => {
  const size = batch(1).length
  const bases = ({ log }: TestLog) => log.segments.map(({ baseOffset }) => baseOffset)
  const bySize = await memoryLog({ segmentBytes: size * 3 })
  for (let i = 0; i < 7; i++) appendNow(bySize, batch(1))
  assert.deepEqual(bases(bySize), [0, 3, 6])
  assert.throws(
    () => append(bySize.log, batch(1, { valueBytes: size * 3 })),
    isError('RECORD_LIST_TOO_LARGE'),
  )
  const byTime = await memoryLog({ segmentMs: 1000 })
  for (const timestamp of [NOW, NOW + 1000, NOW + 1001, NOW + 1002]) {
    appendNow(byTime, batch(1, { timestamp }))
  }
  assert.deepEqual(bases(byTime), [0, 2])
  const byIndex = await memoryLog({ segmentIndexBytes: 48, indexIntervalBytes: 0 })
  for (let i = 0; i < 9; i++) appendNow(byIndex, batch(1, { timestamp: NOW + i }))
  assert.deepEqual(bases(byIndex), [0, 4, 8])
  assert.equal((await readAll(byIndex.log, 0)).length, 9)
})

test('a repeated batch answers its first offsets and is not written again', async () => {
  const opened = await memoryLog()
  const sent = batch(5, { producerId: 4, producerEpoch: 0, baseSequence: 0 })
  appendNow(opened, sent)
  appendNow(opened, batch(2))
  const again = appendNow(opened, sent)
  assert.deepEqual([again.duplicate, again.baseOffset, again.lastOffset], [true, 0, 4])
  assert.equal(opened.log.logEndOffset, 7)
  const gap = batch(1, { producerId: 4, producerEpoch: 0, baseSequence: 6 })
  assert.throws(() => append(opened.log, gap), isError('OUT_OF_ORDER_SEQUENCE_NUMBER'))
  assert.equal(opened.log.logEndOffset, 7)
  assert.equal(opened.log.activeProducers()[0]!.lastSequence, 4)
})

test('offsets are found by time, inside a batch and across segments', async () => {
  const opened = await memoryLog({ segmentBytes: 2000, indexIntervalBytes: 300 })
  for (let i = 0; i < 100; i++) appendNow(opened, batch(10, { timestamp: NOW + i * 10 }), 1)
  assert(opened.log.segments.length > 5)
  for (const at of [0, 5, 137, 138, 999]) {
    const found = await opened.log.offsetForTimestamp(NOW + at)
    assert.deepEqual(found, { timestamp: NOW + at, offset: at, leaderEpoch: 1 })
  }
  assert.equal((await opened.log.offsetForTimestamp(0))!.offset, 0)
  assert.equal(await opened.log.offsetForTimestamp(NOW + 1000), null)
  appendNow(opened, batch(1, { timestamp: NOW + 500 }), 1)
  const latest = await opened.log.maxTimestamp()
  assert.deepEqual(latest, { timestamp: NOW + 999, offset: 999, leaderEpoch: 1 })
  await opened.log.advanceLogStartTo(138)
  assert.equal((await opened.log.offsetForTimestamp(NOW))!.offset, 138)
})

test('the bytes between two offsets are exact near the end', async () => {
  const opened = await memoryLog({ segmentBytes: 5000 })
  const size = batch(10).length
  for (let i = 0; i < 30; i++) appendNow(opened, batch(10))
  const { log } = opened
  assert.equal(log.bytesBetween(300, 300), 0)
  assert.equal(log.bytesBetween(290, 300), size)
  assert.equal(log.bytesBetween(270, 290), 2 * size)
  assert.equal(log.bytesBetween(0, 300), log.sizeBytes)
})

test('deleted records are gone for readers at once and their segments from the disk', async () => {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, DIRECTORY, { config: config({ segmentBytes: 1000 }) })
  for (let i = 0; i < 20; i++) appendNow(opened, batch(10))
  const { log } = opened
  await log.advanceLogStartTo(105)
  assert.equal(log.logStartOffset, 105)
  assert.throws(() => read(opened, 104), isError('OFFSET_OUT_OF_RANGE'))
  assert.equal(batchesIn(bytesOf(await read(opened, 105)))[0]!.baseOffset, 100)
  assert(log.segments[0]!.baseOffset > 0 && log.segments[0]!.baseOffset <= 105)
  const names = (await disk.list(DIRECTORY)).map(({ name }) => name)
  assert(!names.includes('00000000000000000000.log'))
  await assert.rejects(log.advanceLogStartTo(201), isError('OFFSET_OUT_OF_RANGE'))
  assert.equal(log.epochAt(104), -1)
  assert.equal(log.epochAt(105), 0)
})

test('truncation drops whole batches, and producers forget what they sent there', async () => {
  const opened = await memoryLog({ segmentBytes: 700 })
  for (let i = 0; i < 20; i++) {
    const options = { producerId: 1, producerEpoch: 0, baseSequence: i * 5 }
    appendNow(opened, batch(5, options), i < 10 ? 0 : 1)
  }
  const { log } = opened
  await log.truncateTo(42)
  assert.deepEqual([log.logEndOffset, log.writtenOffset, log.latestEpoch], [42, 42, 0])
  assert.equal((await readAll(log, 0)).at(-1)!.lastOffset, 39)
  assert.equal(log.activeProducers()[0]!.lastSequence, 39)
  assert.equal(appendNow(opened, batch(1), 2).baseOffset, 42)
  assert.equal(batchesIn(bytesOf(await read(opened, 40)))[0]!.baseOffset, 42)
  await log.truncateFullyTo(1000)
  assert.deepEqual([log.logStartOffset, log.logEndOffset], [1000, 1000])
  assert.equal(log.activeProducers().length, 0)
  assert.equal(appendNow(opened, batch(1), 3).baseOffset, 1000)
})

/** A disk on which appends wait. */
class FaultyDisk extends MemoryDisk {
  gate: Promise<void> | null = null

  override createSync(path: string): File {
    const file = super.createSync(path)
    const write = file.append.bind(file)
    file.append = chunks => {
      const { gate } = this
      return gate === null ? write(chunks) : gate.then(() => write(chunks))
    }
    return file
  }
}

test('while the disk is slow appends gather behind the write under way', async () => {
  const disk = new FaultyDisk()
  const opened = await openLog(disk, DIRECTORY, { config: config({ segmentBytes: 1000 }) })
  const { log, turn, written } = opened
  let open = () => {}
  disk.gate = new Promise(resolve => {
    open = resolve
  })
  for (let i = 0; i < 30; i++) appendNow(opened, batch(5))
  assert.equal(log.writtenOffset, 0)
  assert.equal(log.logEndOffset, 150)
  open()
  assert.equal(await log.flushNow(), 150)
  turn.end()
  assert(written.length < 30)
  assert.equal((await readAll(log, 0)).length, 30)
  await log.sync()
  assert.equal(log.durableOffset, 150)
  await log.close()
})

/** The sparse indexes: lookup between entries, truncation, what is refused as damaged, and saving only what is new. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { OffsetIndex } from '../../segment-store/offset-index.ts'
import { SegmentIndexes } from '../../segment-store/segment-indexes.ts'
import { TimeIndex } from '../../segment-store/time-index.ts'
import { TxnIndex } from '../../segment-store/txn-index.ts'

function offsetIndex(): OffsetIndex {
  const index = new OffsetIndex(1000, 1024)
  index.append(1009, 500)
  index.append(1019, 900)
  index.append(1029, 1400)
  return index
}

test('an offset is looked up at the greatest entry at or below it', () => {
  const index = offsetIndex()
  assert.equal(index.lookup(1000), 0)
  assert.equal(index.lookup(1008), 0)
  assert.equal(index.lookup(1009), 500)
  assert.equal(index.lookup(1018), 500)
  assert.equal(index.lookup(1019), 900)
  assert.equal(index.lookup(9999), 1400)
  assert.equal(index.offsetBehind(500), 1009)
  assert.equal(index.offsetBehind(501), 1019)
  assert.equal(index.offsetBehind(1401), null)
})

test('an index is full at its last entry and takes no offset beyond 31 bits', () => {
  const index = new OffsetIndex(5, 16)
  index.append(6, 1)
  assert.equal(index.isFull, false)
  index.append(5 + 0x7fffffff, 2)
  assert.equal(index.isFull, true)
  assert.throws(() => new OffsetIndex(5, 16).append(5 + 0x80000000, 1))
})

test('truncating an offset index drops the batches from a position on', () => {
  const index = offsetIndex()
  index.truncateToPosition(901)
  assert.equal(index.lastOffset, 1019)
  index.truncateToPosition(900)
  assert.equal(index.lastOffset, 1009)
})

test('an offset index that does not fit its log is not sane', () => {
  const good = offsetIndex().entries.bytes.subarray(0, 24)
  const sane = (bytes: Buffer, size: number) => new OffsetIndex(1000, 1024, bytes).isSane(size)
  assert.equal(sane(good, 1401), true)
  assert.equal(sane(good, 1400), false)
  assert.equal(sane(good.subarray(0, 23), 9999), false)
  assert.equal(sane(Buffer.concat([good, Buffer.alloc(8)]), 9999), false)
  assert.equal(sane(Buffer.alloc(0), 0), true)
})

test('a time index keeps ascending timestamps only and finds the greatest at or below', () => {
  const index = new TimeIndex(1000, 1024)
  index.maybeAppend(5000, 1009)
  index.maybeAppend(5000, 1019)
  index.maybeAppend(4000, 1029)
  index.maybeAppend(2 ** 41, 1039)
  assert.equal(index.entries.count, 2)
  assert.equal(index.lookup(4999), 1000)
  assert.equal(index.lookup(5000), 1009)
  assert.equal(index.lookup(2 ** 41 - 1), 1009)
  assert.equal(index.lookup(2 ** 41), 1039)
  assert.equal(index.lastTimestamp, 2 ** 41)
  index.truncateTo(1039)
  assert.equal(index.lastTimestamp, 5000)
  assert.equal(index.isSane(1010), true)
  assert.equal(index.isSane(1009), false)
})

test('saving an index writes the file once and then only what changed', async () => {
  const disk = new MemoryDisk()
  const index = offsetIndex()
  await index.entries.save(disk, '/i', false)
  const file = await disk.readFile('/i')
  assert.equal(file!.length, 24)
  index.append(1039, 2000)
  await index.entries.save(disk, '/i', true)
  assert.deepEqual(await disk.readFile('/i'), index.entries.bytes.subarray(0, 32))
  index.truncateToPosition(900)
  await index.entries.save(disk, '/i', false)
  assert.equal((await disk.readFile('/i'))!.length, 8)
  const read = new OffsetIndex(1000, 1024, await disk.readFile('/i'))
  assert.equal(read.lookup(1010), 500)
  const empty = new OffsetIndex(0, 1024)
  await empty.entries.save(disk, '/empty', false)
  assert.equal((await disk.readFile('/empty'))!.length, 0)
})

test('aborted transactions are collected where they touch the read, up to a stable offset behind it', async () => {
  const index = new TxnIndex()
  const first = { producerId: 1, firstOffset: 10, lastOffset: 20, lastStableOffset: 21 }
  const second = { producerId: 2, firstOffset: 25, lastOffset: 40, lastStableOffset: 41 }
  index.append(first)
  index.append(second)
  const collect = (start: number, end: number) => {
    const found: (typeof first)[] = []
    const isComplete = index.collect(start, end, found)
    return { found, isComplete }
  }
  assert.deepEqual(collect(0, 10), { found: [], isComplete: true })
  assert.deepEqual(collect(20, 25), { found: [first], isComplete: true })
  assert.deepEqual(collect(21, 26), { found: [second], isComplete: true })
  assert.deepEqual(collect(15, 100), { found: [first, second], isComplete: false })
  const disk = new MemoryDisk()
  await index.save(disk, '/t')
  const bytes = (await disk.readFile('/t'))!
  assert.equal(bytes.length, 68)
  assert.deepEqual(TxnIndex.parse(bytes, 0, 41)?.entries, [first, second])
  assert.equal(TxnIndex.parse(bytes, 0, 40), null)
  assert.equal(TxnIndex.parse(bytes.subarray(0, 67), 0, 41), null)
})

test('indexes that are forgotten as soon as they are saved do not disturb who saves them', async () => {
  // The offset index has something to save, the time index has not: whoever looks in between finds both saved.
  for (let steps = 0; steps < 20; steps++) {
    const disk = new MemoryDisk()
    await disk.makeDirectory('/log')
    const indexes = new SegmentIndexes(0, '/log/0')
    indexes.begin(1024)
    indexes.offsets!.append(9, 500)
    indexes.times!.maybeAppend(1, 9)
    await indexes.save(disk, true)
    indexes.offsets!.append(19, 900)
    const saving = indexes.save(disk, true)
    for (let step = 0; step < steps; step++) await null
    if (indexes.areSaved) indexes.forget()
    await saving
    assert.equal((await disk.readFile('/log/0.index'))!.length, 16)
  }
})

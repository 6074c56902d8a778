/** A reader who goes on is led to its batch, not to the one before it; and never to where something else stands now. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { File } from '../../segment-store/disk.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { ReadPositions } from '../../segment-store/read-positions.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import { appendNow, batch, batchesIn, bytesOf, openLog, type TestLog } from './store-harness.ts'

/** Counts what is read, and may keep the next read waiting when it has its bytes. */
class CountingDisk extends MemoryDisk {
  readBytes = 0
  gate: Promise<void> | null = null

  override createSync(path: string): File {
    const file = super.createSync(path)
    const [read, readSync] = [file.read.bind(file), file.readSync.bind(file)]
    file.read = async (position, into) => {
      const { gate } = this
      this.gate = null
      const count = await read(position, into)
      await gate
      return count
    }
    file.readSync = (position, into) => {
      this.readBytes += into.length
      return readSync(position, into)
    }
    return file
  }
}

async function read({ log }: TestLog, offset: number, maxBytes: number) {
  const upTo = log.writtenOffset
  const request = { offset, maxBytes, upTo, minOneBatch: true, committed: false }
  return batchesIn(bytesOf(await log.read(request)))
}

const LARGE = { valueBytes: 4000 }

test('a reader who goes on reads little more than it answers', async () => {
  const disk = new CountingDisk()
  const opened = await openLog(disk, '/data/orders-0')
  for (let i = 0; i < 200; i++) appendNow(opened, batch(4, LARGE))
  // The newest batches are known in another way.
  const end = opened.log.logEndOffset - 300
  for (const maxBytes of [20_000, 70_000, 200_000]) {
    let [offset, answered] = [0, 0]
    disk.readBytes = 0
    while (offset < end) {
      const found = await read(opened, offset, maxBytes)
      assert.equal(found[0]?.baseOffset, offset)
      for (const { size } of found) answered += size
      offset = found.at(-1)!.lastOffset + 1
    }
    // A read ends in the middle of a batch, which begins the next one.
    const most = answered * (1 + 16_100 / (maxBytes - 16_100)) + 16_100
    const overReads = 4096 * (answered / (maxBytes - 16_100))
    assert(disk.readBytes <= most + overReads, `${disk.readBytes} bytes for ${answered}`)
  }
})

test('what a read that began before a truncation has learned is not believed after it', async () => {
  const disk = new CountingDisk()
  const opened = await openLog(disk, '/data/orders-0')
  const { log } = opened
  // More than are known as the newest.
  for (let i = 0; i < 100; i++) appendNow(opened, batch(4, LARGE))
  let open = () => {}
  disk.gate = new Promise(resolve => {
    open = resolve
  })
  // More than is read at once, so it waits.
  const late = read(opened, 0, 320_000)
  await log.truncateTo(40)
  for (let i = 0; i < 200; i++) appendNow(opened, batch(3, { valueBytes: 1000 }))
  open()
  assert.equal((await late)[0]?.baseOffset, 0)
  // Backwards, so that no read learns what the next one wants; the late one has been told of 76.
  for (let offset = 85; offset >= 40; offset -= 3) {
    const [found] = await read(opened, offset, 1)
    assert.equal(found?.baseOffset, offset)
  }
})

test('appends, truncations and readers in any order: each read begins with the batch of its offset', async () => {
  const seed = chooseSeed()
  console.log(`# seed ${seed}`)
  const random = seededRandom(seed)
  const below = (count: number) => Math.floor(random() * count)
  for (let life = 0; life < tier.seeds; life++) {
    const opened = await openLog(new CountingDisk(), '/data/orders-0')
    const { log } = opened
    const next = [0, 0, 0]
    let stored: { baseOffset: number; lastOffset: number }[] = []
    for (let step = 0; step < 150; step++) {
      const kind = below(12)
      if (kind === 0 && log.logEndOffset > 0) {
        await log.truncateTo(below(log.logEndOffset))
        stored = stored.filter(({ lastOffset }) => lastOffset < log.logEndOffset)
        for (const [i, offset] of next.entries()) next[i] = Math.min(offset, log.logEndOffset)
      } else if (kind < 6) {
        for (let i = below(8); i >= 0; i--) {
          stored.push(appendNow(opened, batch(1 + below(4), { valueBytes: below(6000) })))
        }
      } else {
        const reader = below(next.length)
        const offset = below(5) === 0 ? below(log.logEndOffset + 1) : next[reader]!
        const found = await read(opened, offset, 1 + below(60_000))
        const wanted = stored.find(({ lastOffset }) => lastOffset >= offset)
        assert.equal(found[0]?.baseOffset, wanted?.baseOffset)
        next[reader] = (found.at(-1)?.lastOffset ?? offset - 1) + 1
      }
    }
    await log.close()
  }
})

test('as many readers are remembered as there may be, each with its last place', () => {
  const places = new ReadPositions()
  for (let i = 0; i < 16; i++) places.note(i * 10, i)
  places.note(30, 333)
  assert.deepEqual([places.find(30), places.find(0), places.find(5)], [333, 0, -1])
  places.note(1000, 1)
  assert.deepEqual([places.find(0), places.find(10), places.find(1000)], [-1, 1, 1])
})

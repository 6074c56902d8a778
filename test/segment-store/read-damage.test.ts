/** Damaged files under a reader: an error that names file and position, or the right bytes; never others, never a crash. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolError } from '../../protocol/errors.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { OffsetIndex } from '../../segment-store/offset-index.ts'
import { appendNow, batch, batchesIn, bytesOf, config, NOW, openLog } from './store-harness.ts'

const directory = '/data/orders-0'
const FIRST = `${directory}/${'0'.repeat(20)}`
const settings = config({ segmentBytes: 16_384, indexIntervalBytes: 600 })

/** Two sealed segments and an active one, closed in order. Each batch has three records. */
async function closedLog(valueBytes: (i: number) => number = i => 20 + (i % 50)) {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, directory, { config: settings })
  for (let i = 0; opened.log.segments.length < 3; i++) {
    appendNow(opened, batch(3, { timestamp: NOW + i, valueBytes: valueBytes(i) }))
  }
  const { logEndOffset } = opened.log
  await opened.log.close()
  const bytes = (await disk.readFile(`${FIRST}.log`))!
  return { disk, logEndOffset, bytes, sealedEnd: opened.log.segments[1]!.baseOffset }
}

type Opened = Awaited<ReturnType<typeof openLog>>

function reopen(disk: MemoryDisk): Promise<Opened> {
  return openLog(disk, directory, { config: settings })
}

async function readOne({ log }: Opened, offset: number, maxBytes = 1): Promise<Buffer> {
  const upTo = log.writtenOffset
  return bytesOf(await log.read({ offset, maxBytes, upTo, minOneBatch: true, committed: false }))
}

const isCorrupt = (error: unknown) =>
  error instanceof ProtocolError && error.error === 'CORRUPT_MESSAGE'

test('a bit flipped anywhere under the checksum is an error for who reads that batch, and for nobody else', async () => {
  const { disk, bytes } = await closedLog()
  const seen = batchesIn(bytes)
  const victim = seen[7]!
  const start = seen.slice(0, 7).reduce((sum, { size }) => sum + size, 0)
  const file = await disk.open(`${FIRST}.log`)
  // Length, then everything from the magic on; offset and epoch are under no checksum.
  for (let at = 8; at < victim.size; at++) {
    if (at === 12) at = 16
    const flipped = Buffer.from([bytes[start + at]! ^ (1 << (at & 7))])
    file.writeAt(start + at, flipped)
    const opened = await reopen(disk)
    for (let offset = victim.baseOffset; offset <= victim.lastOffset; offset++) {
      await assert.rejects(readOne(opened, offset), isCorrupt, `byte ${at}, offset ${offset}`)
    }
    const before = await readOne(opened, seen[6]!.baseOffset)
    assert(before.equals(bytes.subarray(start - seen[6]!.size, start)), `byte ${at}`)
    await opened.log.abandon()
    file.writeAt(start + at, bytes.subarray(start + at, start + at + 1))
  }
})

test('damage is logged once for each place, with file and position, and counted', async () => {
  const { disk, bytes } = await closedLog()
  const file = await disk.open(`${FIRST}.log`)
  const { size } = batchesIn(bytes)[0]!
  file.writeAt(size + 70, Buffer.from([bytes[size + 70]! ^ 1]))
  const opened = await reopen(disk)
  for (let i = 0; i < 3; i++) {
    await assert.rejects(readOne(opened, 4), {
      message: new RegExp(
        `orders-0: checksum \\d+ stored, \\d+ computed at ${size} in ${FIRST}.log`,
      ),
    })
  }
  assert.equal(opened.log.damage.count, 1)
  const told = opened.events.filter(({ event }) => event === 'damaged batch')
  assert.deepEqual(
    told.map(({ fields }) => [fields['file'], fields['position']]),
    [[`${FIRST}.log`, size]],
  )
})

test('an answer ends in front of an impossible header, and of a wrong checksum before long', async () => {
  const { disk, bytes } = await closedLog()
  const seen = batchesIn(bytes)
  const startOf = (i: number) => seen.slice(0, i).reduce((sum, { size }) => sum + size, 0)
  const file = await disk.open(`${FIRST}.log`)
  file.writeAt(startOf(20) + 16, Buffer.from([9]))
  const opened = await reopen(disk)
  assert.equal((await readOne(opened, 0, 16_000)).length, startOf(20))
  await assert.rejects(readOne(opened, 60), isCorrupt)
  file.writeAt(startOf(10) + 65, Buffer.from([bytes[startOf(10) + 65]! ^ 1]))
  const sizes = new Set<number>()
  for (let i = 0; i < 128; i++) sizes.add((await readOne(opened, 0, 16_000)).length)
  assert(sizes.has(startOf(10)), 'the sample never met it')
})

test('a batch that says it is longer than its file is an error, not an empty answer for ever', async () => {
  const { disk, bytes } = await closedLog()
  const last = batchesIn(bytes).at(-1)!
  const file = await disk.open(`${FIRST}.log`)
  file.writeAt(bytes.length - last.size + 8, Buffer.from([0x7f]))
  const opened = await reopen(disk)
  await assert.rejects(readOne(opened, last.baseOffset), isCorrupt)
})

test('a batch whose offset says that it is of another segment is an error', async () => {
  const { disk, bytes } = await closedLog()
  const file = await disk.open(`${FIRST}.log`)
  file.writeAt(3, Buffer.from([1]))
  const opened = await reopen(disk)
  await assert.rejects(readOne(opened, 0), isCorrupt)
  file.writeAt(3, bytes.subarray(3, 4))
  assert.equal((await readOne(opened, 0)).length, batchesIn(bytes)[0]!.size)
})

test('an index of another log is noticed by the first read that it leads astray, and made anew', async () => {
  const { disk, logEndOffset } = await closedLog()
  const right = (await disk.readFile(`${FIRST}.index`))!
  const other = await closedLog(i => 25 + (i % 31))
  const foreign = (await other.disk.readFile(`${FIRST}.index`))!
  assert(!foreign.equals(right))
  await disk.replaceFile(`${FIRST}.index`, foreign)
  const opened = await reopen(disk)
  for (let offset = 0; offset < logEndOffset; offset++) {
    const [found] = batchesIn(await readOne(opened, offset))
    assert(found!.baseOffset <= offset && offset <= found!.lastOffset, `offset ${offset}`)
  }
  assert((await disk.readFile(`${FIRST}.index`))!.equals(right))
  const told = opened.events.filter(({ event }) => event.startsWith('index does not fit'))
  assert.equal(told.length, 1)
})

test('an index whose positions are batches, but the wrong ones, leads no reader past its batch', async () => {
  // All batches are of one size, so any multiple of it is where some batch begins.
  const { disk, bytes, sealedEnd } = await closedLog(() => 40)
  const { size } = batchesIn(bytes)[0]!
  const wrong = new OffsetIndex(0, 1000)
  for (let i = 1; i < 10; i++) wrong.append(i * 6 + 2, (i * 2 + 5) * size)
  await disk.replaceFile(`${FIRST}.index`, wrong.entries.bytes.subarray(0, 9 * 8))
  const opened = await reopen(disk)
  for (let offset = 0; offset < sealedEnd; offset++) {
    const [found] = batchesIn(await readOne(opened, offset))
    assert.equal(found!.baseOffset, offset - (offset % 3))
  }
})

test('a damaged batch at the place that a good index names is still an error, and the index is made anew only once', async () => {
  const { disk } = await closedLog()
  const index = new OffsetIndex(0, 1000, await disk.readFile(`${FIRST}.index`))
  const file = await disk.open(`${FIRST}.log`)
  file.writeAt(index.positionAt(2) + 16, Buffer.from([7]))
  const opened = await reopen(disk)
  for (let i = 0; i < 3; i++) await assert.rejects(readOne(opened, index.offsetAt(2)), isCorrupt)
  const told = opened.events.filter(({ event }) => event.startsWith('index does not fit'))
  assert(told.length <= 1)
})

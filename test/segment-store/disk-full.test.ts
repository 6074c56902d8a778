/** A log on a disk that fills: no half batch, no false acknowledgement, and it goes on by itself when there is room. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { File } from '../../segment-store/disk.ts'
import { RESERVE_FILE } from '../../segment-store/free-space.ts'
import { LogDirectory } from '../../segment-store/log-directory.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import {
  append,
  appendNow,
  batch,
  config,
  ManualTurn,
  NOW,
  openLog,
  readAll,
  type TestLog,
} from './store-harness.ts'

const DIRECTORY = '/data/orders-0'
const isStorageError = (error: unknown) =>
  error instanceof ProtocolError && error.error === 'KAFKA_STORAGE_ERROR'

/** Memory with a number of bytes left to write; what does not fit is written as far as it does. */
class SmallDisk extends MemoryDisk {
  room = Number.POSITIVE_INFINITY
  /** Appends answer later, like those that go through the pool. */
  isSlow = false
  private readonly wrapped = new WeakSet<File>()

  private full(): Error {
    return Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  }

  private wrap(file: File): File {
    this.wrapped.add(file)
    const write = file.append.bind(file)
    const appendAll = (chunks: readonly Buffer[]): number => {
      const bytes = Buffer.concat(chunks)
      const fits = Math.min(this.room, bytes.length)
      if (fits > 0) write([bytes.subarray(0, fits)])
      this.room -= fits
      if (fits < bytes.length) throw this.full()
      return bytes.length
    }
    file.append = chunks => {
      if (!this.isSlow) return appendAll(chunks)
      return Promise.resolve().then(() => appendAll(chunks))
    }
    return file
  }

  override createSync(path: string): File {
    if (this.room === 0) throw this.full()
    return this.wrap(super.createSync(path))
  }

  override async open(path: string, options: { create?: boolean } = {}): Promise<File> {
    const file = await super.open(path, options)
    return this.wrapped.has(file) ? file : this.wrap(file)
  }

  override replaceFile(path: string, bytes: Buffer): Promise<void> {
    return this.room < bytes.length ? Promise.reject(this.full()) : super.replaceFile(path, bytes)
  }
}

interface Drops {
  readonly dropped: number[]
  readonly ranOut: () => number
}

async function opened(disk: SmallDisk, segmentBytes = 1 << 20): Promise<TestLog & Drops> {
  const dropped: number[] = []
  let times = 0
  const failures: Error[] = []
  const log = await openLog(disk, DIRECTORY, {
    config: config({ segmentBytes }),
    space: { wrote() {}, ranOut: () => void times++ },
    on: {
      written() {},
      dropped: offset => dropped.push(offset),
      failed: error => failures.push(error),
    },
  })
  return { ...log, failures, dropped, ranOut: () => times }
}

const sequenced = (baseSequence: number, count = 5) =>
  batch(count, { producerId: 7, producerEpoch: 0, baseSequence })

for (const isSlow of [false, true]) {
  test(`a full disk drops what did not fit, whole, and the log goes on (${isSlow ? 'slow' : 'fast'})`, async () => {
    const disk = new SmallDisk()
    const it = await opened(disk)
    const { log, turn } = it
    disk.isSlow = isSlow
    appendNow(it, sequenced(0))
    await log.flushNow()
    const size = log.sizeBytes
    disk.room = 40
    append(log, sequenced(5))
    append(log, sequenced(10))
    turn.end()
    if (!isSlow) await Promise.resolve()
    await log.flushNow()
    assert.deepEqual(it.dropped, [5])
    assert.deepEqual([it.failures.length, log.failure], [0, null])
    assert.deepEqual([log.logEndOffset, log.writtenOffset, log.sizeBytes], [5, 5, size])
    assert.equal((await disk.readFile(`${DIRECTORY}/00000000000000000000.log`))!.length, size)
    assert.equal((await readAll(log, 0)).length, 1)
    assert(it.ranOut() >= 1)
    // The producer sends the same again when there is room: nothing is taken for a repeat, nothing for a gap.
    disk.room = Number.POSITIVE_INFINITY
    assert.deepEqual(appendNow(it, sequenced(5)).duplicate, false)
    assert.deepEqual(appendNow(it, sequenced(10)).baseOffset, 10)
    await log.flushNow()
    assert.equal(appendNow(it, sequenced(10)).duplicate, true)
    await log.sync()
    assert.equal(log.durableOffset, 15)
    await log.close()
    const again = await openLog(disk, DIRECTORY)
    assert.deepEqual([again.log.logEndOffset, (await readAll(again.log, 0)).length], [15, 3])
    await again.log.close()
  })
}

test('nothing is taken while the log is rolled back', async () => {
  const disk = new SmallDisk()
  const it = await opened(disk)
  appendNow(it, batch(1))
  disk.room = 0
  append(it.log, batch(1))
  it.turn.end()
  // The write has failed; what it left is being put away.
  for (let i = 0; it.dropped.length === 0 && i < 20; i++) await Promise.resolve()
  assert.equal(it.dropped.length, 1)
  assert.throws(() => append(it.log, batch(1)), isStorageError)
  await it.log.flushNow()
  disk.room = Number.POSITIVE_INFINITY
  assert.equal(appendNow(it, batch(1)).baseOffset, 1)
  await it.log.close()
})

test('a roll that finds no room refuses the batch and leaves the log as it was', async () => {
  const disk = new SmallDisk()
  const it = await opened(disk, 500)
  for (let i = 0; i < 2; i++) appendNow(it, batch(5))
  disk.room = 0
  assert.throws(() => append(it.log, batch(5)), isStorageError)
  assert.throws(() => append(it.log, batch(5)), isStorageError)
  assert.deepEqual([it.log.logEndOffset, it.log.failure], [10, null])
  disk.room = Number.POSITIVE_INFINITY
  assert.equal(appendNow(it, batch(5)).baseOffset, 10)
  assert.equal(it.log.segments.length, 2)
  await it.log.close()
})

test('indexes and snapshots that find no room hold the recovery point back, not the log', async () => {
  const disk = new SmallDisk()
  const it = await opened(disk, 500)
  for (let i = 0; i < 2; i++) appendNow(it, sequenced(i * 5))
  appendNow(it, sequenced(10))
  disk.room = 1
  await it.log.writer.settled()
  await assert.rejects(it.log.sync(), isStorageError)
  assert.deepEqual([it.log.failure, it.log.durableOffset], [null, 0])
  disk.room = Number.POSITIVE_INFINITY
  await it.log.sync()
  assert.equal(it.log.durableOffset, 15)
  appendNow(it, sequenced(15))
  await it.log.close()
  assert.equal(it.failures.length, 0)
})

test('whatever fits when, the log is what was written, before and after a restart', async () => {
  const seed = chooseSeed()
  console.log(`seed ${seed}`)
  const random = seededRandom(seed)
  for (let round = 0; round < tier.seeds; round++) {
    const disk = new SmallDisk()
    let it = await opened(disk, 800)
    let sequence = 0
    let written = 0
    for (let step = 0; step < 60; step++) {
      if (random() < 0.3) disk.room = Math.floor(random() * 1200)
      if (random() < 0.2) disk.room = Number.POSITIVE_INFINITY
      disk.isSlow = random() < 0.5
      const before = sequence
      const count = 1 + Math.floor(random() * 4)
      for (let i = 0; i < count; i++) {
        try {
          append(it.log, sequenced(sequence, 2))
          sequence += 2
        } catch (error) {
          assert(isStorageError(error), String(error))
          break
        }
        if (random() < 0.3) it.turn.end()
      }
      it.turn.end()
      await it.log.flushNow()
      await it.log.flushNow()
      // Offsets and sequence numbers run together here: one producer, no gaps.
      assert.equal(it.log.writtenOffset, it.log.logEndOffset)
      assert(it.log.writtenOffset >= before && it.log.writtenOffset <= sequence)
      sequence = it.log.writtenOffset
      written = sequence
      assert.deepEqual(it.failures, [])
      if (random() < 0.1) {
        disk.room = Number.POSITIVE_INFINITY
        await it.log.close()
        it = await opened(disk, 800)
      }
      assert.equal(it.log.activeProducers()[0]?.lastSequence ?? -1, written - 1)
    }
    const seen = await readAll(it.log, 0)
    assert.deepEqual(
      seen.map(({ baseOffset }) => baseOffset),
      Array.from({ length: written / 2 }, (_, i) => i * 2),
    )
    disk.room = Number.POSITIVE_INFINITY
    await it.log.close()
  }
})

for (const isReserved of [true, false]) {
  const how = isReserved
    ? 'uses the reserve'
    : 'without a reserve leaves no mark, and loses nothing'
  test(`a stop on a disk that is full to the last byte ${how}`, async () => {
    const disk = new SmallDisk()
    const turn = new ManualTurn()
    const open = async () => {
      const directory = await LogDirectory.open({
        path: '/data',
        disk,
        io: {
          clock: { nowMs: () => NOW, monotonicMs: () => 0, timer: () => ({ cancel() {} }) },
          turn,
          uuid: () => Buffer.alloc(16, 1).toString('base64url'),
        },
        buffers: new BufferPool(1024 * 1024),
        producerIdExpirationMs: 1e12,
      })
      const on = { written() {}, failed() {} }
      return { directory, log: await directory.openLog('orders', 0, null, config(), on) }
    }
    const { directory, log } = await open()
    if (isReserved) await directory.free.check()
    append(log, sequenced(0))
    turn.end()
    await log.settle()
    disk.room = 0
    const remove = disk.remove.bind(disk)
    disk.remove = async path => {
      if (path.endsWith(RESERVE_FILE)) disk.room = 10_000
      await remove(path)
    }
    await directory.close()
    assert.equal(disk.room > 0, isReserved)
    disk.room = Number.POSITIVE_INFINITY
    const again = await open()
    assert.equal(again.directory.wasCleanShutdown, isReserved)
    assert.equal((await readAll(again.log, 0)).length, 1)
    assert.equal(append(again.log, sequenced(0)).duplicate, true)
    await again.directory.close()
  })
}

/** A disk that fails: failed syncs, a full disk in the middle of a batch, reads that fail or fall short, flipped bits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolError } from '../../protocol/errors.ts'
import * as batches from '../../protocol/record-batch.ts'
import { encodeBatch } from '../../protocol/records.ts'
import {
  append,
  appendNow,
  batch,
  bytesOf,
  config,
  NOW,
  openLog,
  readAll,
  type TestLog,
} from '../segment-store/store-harness.ts'
import { type Operation, SimulatedDisk } from './disk.ts'
import { CRASH_MODES, Medium } from './medium.ts'

const DIRECTORY = '/data/orders-0'
const FIRST = `${DIRECTORY}/00000000000000000000.log`
const small = config({ segmentBytes: 1000, indexIntervalBytes: 200 })

function newDisk(): SimulatedDisk {
  return new SimulatedDisk(new Medium(), { random: () => 0, nowMs: () => NOW })
}

function isStorageError(error: unknown): boolean {
  return error instanceof ProtocolError && error.error === 'KAFKA_STORAGE_ERROR'
}

async function recovered(disk: SimulatedDisk): Promise<TestLog> {
  return await openLog(disk, DIRECTORY, { config: small, wasCleanShutdown: false })
}

/** A log with 10 batches of two records in several segments, all of it synced. */
async function filled(disk: SimulatedDisk): Promise<TestLog> {
  const opened = await openLog(disk, DIRECTORY, { config: small })
  for (let i = 0; i < 10; i++) appendNow(opened, batch(2, { valueBytes: 50 }))
  await opened.log.writer.settled()
  await opened.log.sync()
  for (const path of ['', '/data']) await disk.syncDirectory(path)
  return opened
}

for (const target of ['.log', '.index', 'directory'] as const) {
  test(`one failed sync (${target}) takes the log offline, and is never tried again`, async () => {
    const disk = newDisk()
    const opened = await openLog(disk, DIRECTORY, { config: small })
    for (let i = 0; i < 10; i++) append(opened.log, batch(2, { valueBytes: 50 }))
    const syncs: Operation[] = []
    disk.fault = operation => {
      const { kind, path } = operation
      const isDirectory = kind === 'syncDirectory' && target === 'directory'
      if (!isDirectory && !(kind === 'sync' && path.endsWith(target))) return null
      syncs.push(operation)
      return syncs.length === 1 ? { code: 'EIO' } : null
    }
    opened.turn.end()
    await opened.log.writer.settled()
    await assert.rejects(opened.log.sync(), isStorageError)
    assert.equal(opened.failures.length, 1)
    assert.throws(() => append(opened.log, batch(1)), isStorageError)
    await assert.rejects(opened.log.sync(), isStorageError)
    await opened.log.close()
    assert.equal(syncs.length, 1, 'a second sync would be a lie')
    assert.equal(opened.log.durableOffset, 0)
    // What was written can still be read, and everything whole is there after the next start.
    disk.fault = null
    const after = await recovered(disk.reopened('process'))
    assert.equal(after.log.logEndOffset, 20)
  })
}

test('a batch whose write overtakes a sync, or is overtaken by it, is put on the medium by the next sync', async () => {
  // The disk is slow to write, so a write is under way for a while. It begins at each step of a sync in turn.
  for (let steps = 0; steps < 40; steps++) {
    let isWriting = false
    const random = () => (isWriting ? 0.9 : 0)
    const disk = new SimulatedDisk(new Medium(), { random, nowMs: () => NOW, slowShare: 1 })
    const opened = await openLog(disk, DIRECTORY, { config: small })
    for (const path of ['', '/data']) await disk.syncDirectory(path)
    append(opened.log, batch(2))
    await opened.log.flushNow()
    const first = opened.log.sync()
    for (let step = 0; step < steps; step++) await null
    append(opened.log, batch(2))
    isWriting = true
    opened.turn.end()
    isWriting = false
    await first
    await opened.log.flushNow()
    await opened.log.sync()
    assert.equal(opened.log.durableOffset, 4)
    const after = await recovered(disk.reopened('lost'))
    assert.equal(after.log.logEndOffset, 4, `the second write began ${steps} steps after the sync`)
  }
})

test('a disk that is full in the middle of a batch leaves no half batch, before and after a crash', async () => {
  const size = batch(2, { valueBytes: 50 }).length
  for (const mode of [...CRASH_MODES, 'process'] as const) {
    for (let room = 0; room < size; room += 23) {
      const disk = newDisk()
      const opened = await filled(disk)
      const space = await disk.space()
      disk.capacityBytes = space.totalBytes - space.freeBytes + room
      append(opened.log, batch(2, { valueBytes: 50 }))
      opened.turn.end()
      await opened.log.writer.settled()
      assert.deepEqual(opened.failures, [], 'a full disk is no broken one')
      assert.equal(opened.log.writtenOffset, 20)
      disk.capacityBytes = Number.POSITIVE_INFINITY
      const after = await recovered(disk.reopened(mode))
      assert.equal(after.log.logEndOffset, 20, `${room} bytes, ${mode}`)
      assert.equal((await readAll(after.log, 0)).length, 10)
      assert.equal(appendNow(after, batch(1)).baseOffset, 20)
    }
  }
})

test('a read that fails is an error for its reader and nobody else', async () => {
  const disk = newDisk()
  const { log } = await filled(disk)
  disk.fault = ({ kind, path }) =>
    kind === 'read' && path.endsWith('.log') ? { code: 'EIO' } : null
  for (const offset of [0, 10, 18]) {
    const request = { offset, maxBytes: 10_000, upTo: 20, minOneBatch: true, committed: false }
    await assert.rejects(async () => await log.read(request), { code: 'EIO' })
  }
  await assert.rejects(log.offsetForTimestamp(NOW), { code: 'EIO' })
  assert.equal(log.failure, null)
  disk.fault = null
  assert.equal((await readAll(log, 0)).length, 10)
})

test('a read that falls short answers what it has, or an error that names the file; it never waits for more', async () => {
  const disk = newDisk()
  const { log } = await filled(disk)
  const whole = new Map<number, Buffer>()
  const read = async (offset: number) => {
    const request = { offset, maxBytes: 10_000, upTo: 20, minOneBatch: true, committed: false }
    return bytesOf(await log.read(request))
  }
  for (let offset = 0; offset < 20; offset += 2) whole.set(offset, await read(offset))
  for (let short = 0; short < 300; short += 7) {
    disk.fault = ({ kind, path }) =>
      kind === 'read' && path.endsWith('.log') ? { bytesRead: short } : null
    for (const [offset, bytes] of whole) {
      const found = await read(offset).catch((error: unknown) => {
        assert(error instanceof ProtocolError && error.error === 'CORRUPT_MESSAGE', String(error))
        assert.match(error.message, /\.log ends at \d+ of \d+ bytes/)
        return Buffer.alloc(0)
      })
      assert(found.equals(bytes.subarray(0, found.length)), `${short} bytes at ${offset}`)
    }
  }
})

test('any flipped bit from the recovery point on ends the log there; none is ever read after that', async () => {
  const disk = newDisk()
  const { log } = await filled(disk)
  const { size } = log.segments[0]!
  const each = size / log.segments[0]!.endOffset
  await log.close()
  for (let position = 0; position < size; position += 3) {
    // Base offset and leader epoch of a batch stand in front of its checksum.
    const inBatch = position % (each * 2)
    if (inBatch < batches.BATCH_LENGTH || (inBatch >= 12 && inBatch < 16)) continue
    const damaged = disk.reopened('kept')
    damaged.flipBit(FIRST, position, position % 8)
    const { log: found } = await recovered(damaged)
    const good = Math.floor(position / (each * 2)) * 2
    assert.equal(found.logEndOffset, good, `bit ${position % 8} of byte ${position}`)
    assert.equal((await readAll(found, 0)).length, good / 2)
  }
})

test('flipped bits in indexes, snapshots and the epoch file lose no record after an unclean stop', async () => {
  const disk = newDisk()
  await (await filled(disk)).log.close()
  const files = (await disk.reopened('kept').list(DIRECTORY)).filter(
    ({ name, size }) => !name.endsWith('.log') && size > 0,
  )
  assert(files.length > 4)
  for (const { name, size } of files) {
    for (let position = 0; position < size; position++) {
      const damaged = disk.reopened('kept')
      damaged.flipBit(`${DIRECTORY}/${name}`, position, position % 8)
      const { log } = await recovered(damaged)
      assert.equal((await readAll(log, 0)).length, 10, `byte ${position} of ${name}`)
    }
  }
})

test('a pass of compaction that cannot save an index gives up, leaves nothing, and says why', async () => {
  const disk = newDisk()
  const settings = { ...small, cleanupPolicy: { compact: true, delete: false } }
  const opened = await openLog(disk, DIRECTORY, { config: settings })
  const { log, turn } = opened
  const key = Buffer.from('k')
  // A full disk stops the pass, a broken one the log.
  for (const code of ['ENOSPC', 'EIO'] as const) {
    for (let i = 0; i < 20; i++) {
      append(log, encodeBatch([{ timestamp: NOW + i, key, value: Buffer.alloc(80) }]) as Buffer)
      turn.end()
    }
    disk.fault = ({ kind, path }) =>
      kind === 'write' && path.endsWith('.timeindex.cleaned') ? { code } : null
    await assert.rejects(log.compact(NOW), { code })
    assert.equal((log.failure as { code?: string } | null)?.code, code === 'EIO' ? code : undefined)
    const names = (await disk.list(DIRECTORY)).map(({ name }) => name)
    assert(!names.some(name => name.includes('cleaned')), String(names))
    disk.fault = null
    if (code === 'ENOSPC') assert.ok((await log.compact(NOW)) !== null)
  }
})

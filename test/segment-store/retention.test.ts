/** Retention: what goes and what stays, and in which order the disk hears of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeletedFiles } from '../../segment-store/deleted-files.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import {
  appendNow,
  batch,
  bytesOf,
  config,
  NOW,
  openLog,
  readAll,
  type TestLog,
} from './store-harness.ts'

const DIRECTORY = '/data/orders-0'
const HOUR = 3_600_000
const base = { segmentBytes: 750, retentionMs: HOUR, fileDeleteDelayMs: 0 }

/** Segments of two batches of 10 records each, one batch each second from NOW on. */
async function filled(disk: MemoryDisk, settings = {}, options = {}): Promise<TestLog> {
  const opened = await openLog(disk, DIRECTORY, {
    config: config({ ...base, ...settings }),
    ...options,
  })
  for (let i = 0; i < 6; i++) appendNow(opened, batch(10, { timestamp: NOW + i * 1000 }))
  return opened
}

const names = async (disk: MemoryDisk) =>
  (await disk.list(DIRECTORY)).map(({ name }) => name).sort()

test('a segment goes when its newest record is older than retention.ms, and not a moment before', async () => {
  const disk = new MemoryDisk()
  const { log } = await filled(disk)
  const bases = log.segments.map(({ baseOffset }) => baseOffset)
  assert.deepEqual(bases, [0, 20, 40])
  // The last record of the first segment is 1009 ms after NOW.
  assert.equal(await log.enforceRetention(NOW + 1009 + HOUR), 0)
  assert.equal(await log.enforceRetention(NOW + 1010 + HOUR), 1)
  assert.equal(log.logStartOffset, 20)
  assert.ok(!(await names(disk)).some(name => name.startsWith('00000000000000000000.')))
  assert.equal((await readAll(log, 20)).length, 4)
})

test('an idle log becomes empty: its active segment goes too, and the next record has the next offset', async () => {
  const disk = new MemoryDisk()
  const opened = await filled(disk)
  assert.equal(await opened.log.enforceRetention(NOW + 2 * HOUR), 3)
  assert.deepEqual([opened.log.logStartOffset, opened.log.logEndOffset], [60, 60])
  assert.equal(opened.log.sizeBytes, 0)
  assert.equal(await opened.log.enforceRetention(NOW + 3 * HOUR), 0, 'an empty segment stays')
  assert.equal(appendNow(opened, batch(1)).baseOffset, 60)
  await opened.log.close()
  const { log } = await openLog(disk, DIRECTORY, { config: config(base), logStartOffset: 60 })
  assert.deepEqual([log.logStartOffset, log.logEndOffset], [60, 61])
})

test('-1 keeps everything, and so does a policy without delete', async () => {
  for (const settings of [
    { retentionMs: -1 },
    { cleanupPolicy: { compact: true, delete: false } },
    { cleanupPolicy: { compact: false, delete: false } },
  ]) {
    const { log } = await filled(new MemoryDisk(), settings)
    assert.equal(await log.enforceRetention(NOW + 1000 * HOUR), 0)
  }
})

test('retention.bytes: the oldest segments go as long as what stays has at least that size', async () => {
  const { log } = await filled(new MemoryDisk(), { retentionMs: -1 })
  const sizes = log.segments.map(({ size }) => size)
  const tail = sizes[1]! + sizes[2]!
  for (const [retentionBytes, count] of [
    [tail + 1, 0],
    [tail, 1],
    [0, 3],
  ] as const) {
    const other = await filled(new MemoryDisk(), { retentionMs: -1, retentionBytes })
    assert.equal(await other.log.enforceRetention(NOW), count, `${retentionBytes}`)
  }
})

test('nothing above the high watermark goes', async () => {
  const { log } = await filled(new MemoryDisk())
  log.highWatermark = 39
  assert.equal(await log.enforceRetention(NOW + 2 * HOUR), 1)
  log.highWatermark = 40
  assert.equal(await log.enforceRetention(NOW + 2 * HOUR), 1)
  assert.equal(log.logStartOffset, 40)
})

test('where the log starts is on the medium before a file is touched', async () => {
  const disk = new MemoryDisk()
  const seen: [number, boolean][] = []
  const { log } = await filled(
    disk,
    {},
    {
      on: {
        written: () => {},
        failed: () => {},
        startMoved: async () => {
          const isThere = (await names(disk)).includes('00000000000000000000.log')
          seen.push([log.logStartOffset, isThere])
        },
      },
    },
  )
  await log.enforceRetention(NOW + 1010 + HOUR)
  assert.deepEqual(seen, [[20, true]])
})

test('a start that cannot be checkpointed keeps the files; the next pass removes them', async () => {
  const disk = new MemoryDisk()
  let isBroken = true
  const { log } = await filled(
    disk,
    {},
    {
      on: {
        written: () => {},
        failed: () => {},
        startMoved: () => (isBroken ? Promise.reject(new Error('EIO')) : Promise.resolve()),
      },
    },
  )
  await assert.rejects(log.enforceRetention(NOW + 1010 + HOUR), /EIO/)
  assert.ok((await names(disk)).includes('00000000000000000000.log'))
  isBroken = false
  assert.equal(await log.enforceRetention(NOW + 1010 + HOUR), 1)
})

test('a dropped file stays for file.delete.delay.ms under another name', async () => {
  const disk = new MemoryDisk()
  let now = NOW
  const deletedFiles = new DeletedFiles(disk, () => now)
  const { log } = await filled(disk, { fileDeleteDelayMs: 60_000 }, { deletedFiles })
  await log.enforceRetention(NOW + 1010 + HOUR)
  const dropped = '00000000000000000000.log.deleted'
  assert.ok((await names(disk)).includes(dropped))
  now += 59_999
  await deletedFiles.sweep()
  assert.ok((await names(disk)).includes(dropped))
  now += 1
  await deletedFiles.sweep()
  assert.ok(!(await names(disk)).includes(dropped))
  assert.equal(deletedFiles.count, 0)
})

test('a read that began in a segment that goes is finished, or told that the offset is out of range', async () => {
  const disk = new MemoryDisk()
  const opened = await filled(disk)
  await opened.log.close()
  const { log } = await openLog(disk, DIRECTORY, { config: config(base) })
  const request = { offset: 0, maxBytes: 100_000, upTo: 60, minOneBatch: true, committed: false }
  // The first segment is not loaded: its file is being opened while retention takes it away.
  const early = log.read(request)
  const gone = log.enforceRetention(NOW + 1010 + HOUR)
  const outcome = await Promise.resolve(early).then(
    slice => bytesOf(slice).length,
    error => String(error),
  )
  assert.equal(await gone, 1)
  if (outcome !== log.segments[0]!.size) assert.match(String(outcome), /outside \[20, 60\]/)
  await assert.rejects(async () => log.read(request), /outside \[20, 60\]/)
})

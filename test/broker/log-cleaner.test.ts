/** Which log is compacted next, what is counted, and what happens to one that cannot be. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../../broker/config.ts'
import { LogCleaner } from '../../broker/log-cleaner.ts'
import { encodeBatch } from '../../protocol/records.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { appendNow, config, openLog, type TestLog } from '../segment-store/store-harness.ts'
import { recordingLogger, stillIo } from './harness.ts'

const compacted = config({
  cleanupPolicy: { compact: true, delete: false },
  segmentBytes: 600,
  fileDeleteDelayMs: 0,
})

async function logWith(disk: MemoryDisk, name: string, count: number): Promise<TestLog> {
  const opened = await openLog(disk, `/data/${name}`, { config: compacted })
  for (let i = 0; i < count; i++) {
    const value = Buffer.alloc(100, 'v')
    const records = [{ timestamp: 1, key: Buffer.from('k'), value }]
    appendNow(opened, await encodeBatch(records))
  }
  return opened
}

function cleanerOf(logs: readonly TestLog[], overrides: readonly string[] = []) {
  const logger = recordingLogger()
  const cleaner = new LogCleaner({
    config: loadConfig({ overrides: [...overrides] }),
    io: stillIo(),
    logger,
    logs: () => logs.map(({ log }) => log),
  })
  return { cleaner, logger }
}

test('every log that asks for it is compacted, and the passes are counted', async () => {
  const disk = new MemoryDisk()
  const logs = [await logWith(disk, 'a-0', 20), await logWith(disk, 'b-0', 40)]
  const idle = await logWith(disk, 'c-0', 2)
  const { cleaner, logger } = cleanerOf([...logs, idle])
  await cleaner.run()
  assert.deepEqual(
    logger.lines.map(({ event }) => event),
    ['log compacted', 'log compacted'],
  )
  assert.equal(cleaner.figures.passes, 2)
  assert.ok(cleaner.figures.bytesRead > cleaner.figures.bytesWritten)
  assert.equal(cleaner.figures.maxDirtyPercent, 0, 'nothing is dirty any more')
  assert.equal(idle.log.cleanedOffset, 0)
})

test('log.cleaner.enable=false compacts nothing', async () => {
  const opened = await logWith(new MemoryDisk(), 'a-0', 20)
  const { cleaner } = cleanerOf([opened], ['log.cleaner.enable=false'])
  await cleaner.run()
  assert.equal(opened.log.cleanedOffset, 0)
})

test('a damaged log is named once and left alone; the others are compacted', async () => {
  const disk = new MemoryDisk()
  const damaged = await logWith(disk, 'a-0', 20)
  const good = await logWith(disk, 'b-0', 20)
  const file = await disk.open('/data/a-0/00000000000000000000.log')
  file.writeAt(90, Buffer.from([1]))
  const { cleaner, logger } = cleanerOf([damaged, good])
  await cleaner.run()
  await cleaner.run()
  const errors = logger.lines.filter(({ level }) => level === 'error')
  assert.deepEqual(
    errors.map(({ fields }) => fields['log']),
    ['a-0'],
  )
  assert.equal(cleaner.figures.uncleanablePartitions, 1)
  assert.ok(good.log.cleanedOffset > 0)
})

test('a stop ends the pass under way, and nothing of it is left behind', async () => {
  const disk = new MemoryDisk()
  const opened = await logWith(disk, 'a-0', 20)
  const { cleaner, logger } = cleanerOf([opened])
  const run = cleaner.run()
  cleaner.stop()
  await run
  assert.equal(opened.log.cleanedOffset, 0)
  assert.deepEqual(logger.lines, [])
  const names = (await disk.list('/data/a-0')).map(({ name }) => name)
  assert.ok(!names.some(name => name.includes('cleaned')))
})

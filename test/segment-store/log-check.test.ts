/** The scrubber on logs that are being written: what is half done is no problem, what stays wrong is one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeBatch } from '../../protocol/records.ts'
import { checkLog } from '../../segment-store/log-check.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { append, appendNow, batch, config, NOW, openLog } from './store-harness.ts'

const directory = '/data/orders-0'
const noWait = async () => {}

async function written(disk: MemoryDisk) {
  const opened = await openLog(disk, directory, {
    config: config({ segmentBytes: 20_000, indexIntervalBytes: 500 }),
  })
  for (let i = 0; i < 100; i++) appendNow(opened, batch(5, { timestamp: NOW + (i % 7) * 1000 }))
  await opened.log.sync()
  return opened
}

test('a log that is open and grows has no problems', async () => {
  const disk = new MemoryDisk()
  const opened = await written(disk)
  let steps = 0
  const onBytes = () => {
    steps += 1
    appendNow(opened, batch(3))
  }
  const result = await checkLog({ disk, directory, onBytes, settle: noWait })
  assert.deepEqual(result.problems, [])
  assert.equal(result.segments, opened.log.segments.length)
  assert(steps >= result.segments && result.records >= 500)
})

test('a batch that is half written when it is looked at, and whole a moment later, is no problem', async () => {
  const disk = new MemoryDisk()
  const opened = await written(disk)
  const { path } = opened.log.segments.at(-1)!
  const file = await disk.open(`${path}.log`)
  const next = batch(5, { baseOffset: opened.log.logEndOffset })
  file.append([next.subarray(0, 50)])
  let settled = 0
  const settle = async () => {
    settled += 1
    file.append([next.subarray(50)])
  }
  const good = await checkLog({ disk, directory, onBytes: noWait, settle })
  assert.deepEqual([good.problems, settled], [[], 1])
  file.append([next.subarray(0, 50)])
  const torn = await checkLog({ disk, directory, onBytes: noWait, settle: noWait })
  assert.match(torn.problems[0]!.problem, /header cut short|offset/)
})

test('a segment that retention takes away meanwhile has no problems', async () => {
  const disk = new MemoryDisk()
  const { log } = await written(disk)
  let isFirst = true
  const onBytes = async () => {
    if (isFirst) await log.advanceLogStartTo(log.segments.at(-1)!.baseOffset)
    isFirst = false
  }
  const result = await checkLog({ disk, directory, onBytes, settle: noWait })
  assert.deepEqual(result.problems, [])
  assert(result.segments < 4)
})

test('batches larger than the window of the walk are decoded, and their damage is found', async () => {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, directory)
  const value = Buffer.alloc(700_000, 'abcdefg')
  for (const codec of ['none', 'gzip', 'zstd'] as const) {
    const records = [{ timestamp: NOW, value }]
    const bytes = await encodeBatch(records, codec)
    append(opened.log, bytes)
    opened.turn.end()
  }
  const check = () => checkLog({ disk, directory, onBytes: noWait, settle: noWait })
  const good = await check()
  assert.deepEqual([good.batches, good.records, good.problems], [3, 3, []])
  const file = await disk.open(`${opened.log.segments[0]!.path}.log`)
  file.writeAt(500_000, Buffer.from([0]))
  const bad = await check()
  assert.equal(bad.problems.length, 1)
  assert.equal(bad.problems[0]!.position, 0)
})

test('whoever checks may stop it', async () => {
  const disk = new MemoryDisk()
  await written(disk)
  const onBytes = () => Promise.reject(new Error('enough'))
  await assert.rejects(checkLog({ disk, directory, onBytes, settle: noWait }), /enough/)
})

test('a batch whose records are not what its header says is found although its checksum is right', async () => {
  const disk = new MemoryDisk()
  await disk.makeDirectory(directory)
  const file = await disk.open(`${directory}/${'0'.repeat(20)}.log`, { create: true })
  const three = batch(3)
  // Of three records, the header says, the last has offset 1.
  const { writeBatchHeader } = await import('../../protocol/record-batch.ts')
  const header = { recordCount: 3, lastOffsetDelta: 1, baseTimestamp: NOW, maxTimestamp: NOW + 2 }
  writeBatchHeader(three, 0, three.length, header)
  file.append([three])
  const two = batch(2, { baseOffset: 2 })
  writeBatchHeader(two, 0, two.length, { ...header, baseOffset: 2, recordCount: 1 })
  file.append([two])
  const { problems } = await checkLog({ disk, directory, onBytes: noWait, settle: noWait })
  assert.match(problems[0]!.problem, /record with offset delta 2, due after 1, at most 1/)
  assert.match(problems[1]!.problem, /records cannot be decoded: \d+ bytes behind the last record/)
})

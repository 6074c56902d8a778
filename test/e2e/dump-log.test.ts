/**
 * Kafka's own dump tool reads a directory of ours without complaint: batches, both indexes, and the producer snapshot.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { encodeBatch } from '../../protocol/records.ts'
import { appendNow, batch, config, disks, NOW, openLog } from '../segment-store/store-harness.ts'

const tool = path.resolve(process.cwd(), '../shared/peers/kafka/kafka')
const hasJava = spawnSync('java', ['-version']).status === 0
const skip = !hasJava ? 'no java' : !fs.existsSync(tool) && 'no ../shared/peers/kafka'

test("Kafka's dump tool agrees with our files after a clean stop", { skip }, async () => {
  const [, { disk, root, remove }] = disks() as [unknown, ReturnType<typeof disks>[number]]
  try {
    const directory = `${root}/orders-0`
    const settings = config({ segmentBytes: 60_000, indexIntervalBytes: 1000 })
    const opened = await openLog(disk, directory, { config: settings })
    for (let i = 0; i < 300; i++) {
      const producer = { producerId: i % 2, producerEpoch: 3, baseSequence: (i >> 1) * 5 }
      const timestamp = NOW + i * 100 - (i % 7) * 250
      appendNow(opened, batch(5, { ...producer, timestamp, valueBytes: 50 + (i % 90) }), 2)
    }
    assert(opened.log.segments.length >= 3)
    const end = opened.log.logEndOffset
    await opened.log.close()
    const names = fs
      .readdirSync(directory)
      .filter(name => /\.(log|index|timeindex|snapshot)$/.test(name))
    const files = names.map(name => `${directory}/${name}`).join(',')
    const dump = (...flags: string[]) =>
      execFileSync(tool, ['dump-log', '--files', files, ...flags], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        maxBuffer: 64 * 1024 * 1024,
      })
    const deep = dump('--deep-iteration')
    assert.equal(deep.match(/isvalid: true/g)?.length, 300)
    assert.match(deep, new RegExp(`lastOffset: ${end - 1} `))
    for (const report of [deep, dump('--index-sanity-check'), dump('--verify-index-only')]) {
      assert.doesNotMatch(
        report,
        /isvalid: false|mismatch|non-consecutive|out of order|corrupt|exception/i,
      )
      assert.doesNotMatch(report, /Found (timestamp|index)|truncated|less than/i)
    }
    assert.match(deep, /producerId: 1 producerEpoch: 3/)
  } finally {
    remove()
  }
})

test("Kafka's dump tool reads a compacted directory without complaint", { skip }, async () => {
  const [, { disk, root, remove }] = disks() as [unknown, ReturnType<typeof disks>[number]]
  try {
    const directory = `${root}/orders-0`
    const settings = config({
      segmentBytes: 20_000,
      indexIntervalBytes: 1000,
      cleanupPolicy: { compact: true, delete: false },
      fileDeleteDelayMs: 0,
    })
    const opened = await openLog(disk, directory, { config: settings })
    for (let i = 0; i < 400; i++) {
      const records = Array.from({ length: 5 }, (_, n) => ({
        timestamp: NOW + i * 100 + n,
        key: Buffer.from(`key ${(i * 5 + n) % 97}`),
        value: (i + n) % 9 === 0 ? null : Buffer.alloc(60, 'v'),
      }))
      const codec = (['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)[i % 5]!
      const producer = { producerId: i % 3, producerEpoch: 0, baseSequence: Math.floor(i / 3) * 5 }
      appendNow(opened, await encodeBatch(records, codec, producer))
    }
    const before = opened.log.sizeBytes
    const result = await opened.log.compact(NOW + 60_000)
    assert.ok(result !== null && opened.log.sizeBytes < before / 3)
    await opened.log.close()
    const names = fs
      .readdirSync(directory)
      .filter(name => /\.(log|index|timeindex|snapshot)$/.test(name))
    const files = names.map(name => `${directory}/${name}`).join(',')
    for (const flags of [['--deep-iteration'], ['--index-sanity-check'], ['--verify-index-only']]) {
      const report = execFileSync(tool, ['dump-log', '--files', files, ...flags], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        maxBuffer: 64 * 1024 * 1024,
      })
      assert.doesNotMatch(report, /isvalid: false|mismatch|out of order|corrupt|exception/i)
      assert.doesNotMatch(report, /Found (timestamp|index)|truncated|less than/i)
      if (flags[0] === '--deep-iteration') assert.match(report, /deleteHorizonMs: OptionalLong\[/)
    }
  } finally {
    remove()
  }
})

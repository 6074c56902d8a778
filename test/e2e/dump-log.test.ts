/**
 * Kafka's own dump tool reads directories of ours without complaint: batches, both indexes, and the producer snapshot; of
 * logs that rolled, were compacted, were cut at either end, or were torn and recovered.
 */
import assert from 'node:assert/strict'
import { appendFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { encodeBatch } from '../../protocol/records.ts'
import { SystemDisk } from '../../segment-store/system-disk.ts'
import {
  appendNow,
  batch,
  config,
  NOW,
  openLog,
  type TestLog,
} from '../segment-store/store-harness.ts'
import { missing, temporaryDirectory } from './harness.ts'
import { dumpWell, ToolJvm } from './harness-tools.ts'

const skip = missing('kafka')
const jvm = new ToolJvm()
after(() => jvm.close())
const disk = new SystemDisk()
const small = config({ segmentBytes: 60_000, indexIntervalBytes: 1000, fileDeleteDelayMs: 0 })

/** Batches of five records, of two producers, with timestamps that go up and down; `from` is the first one's number. */
function fill(opened: TestLog, from: number, count: number): void {
  for (let i = from; i < from + count; i++) {
    const producer = { producerId: i % 2, producerEpoch: 3, baseSequence: (i >> 1) * 5 }
    const timestamp = NOW + i * 100 - (i % 7) * 250
    appendNow(opened, batch(5, { ...producer, timestamp, valueBytes: 50 + (i % 90) }), 2)
  }
}

test("Kafka's dump tool agrees with our files after a clean stop", { skip }, async () => {
  const directory = `${temporaryDirectory('dump')}/orders-0`
  const opened = await openLog(disk, directory, { config: small })
  fill(opened, 0, 300)
  assert(opened.log.segments.length >= 3)
  const end = opened.log.logEndOffset
  await opened.log.close()
  const deep = await dumpWell(jvm, directory)
  assert.equal(deep.match(/isvalid: true/g)?.length, 300)
  assert.match(deep, new RegExp(`lastOffset: ${end - 1} `))
  assert.match(deep, /producerId: 1 producerEpoch: 3/)
})

test("Kafka's dump tool reads a compacted directory without complaint", { skip }, async () => {
  const directory = `${temporaryDirectory('dump')}/orders-0`
  const cleanupPolicy = { compact: true, delete: false }
  const opened = await openLog(disk, directory, {
    config: { ...small, segmentBytes: 20_000, cleanupPolicy },
  })
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
  assert.match(await dumpWell(jvm, directory), /deleteHorizonMs: OptionalLong\[/)
})

test("Kafka's dump tool reads directories that were cut or torn without complaint", {
  skip,
}, async () => {
  const directory = `${temporaryDirectory('dump')}/orders-0`
  let opened = await openLog(disk, directory, { config: small })
  fill(opened, 0, 300)
  // At its end, inside of a batch, and filled up again; at its start.
  const cutAt = opened.log.segments[1]!.baseOffset + 202
  await opened.log.truncateTo(cutAt)
  assert.equal(opened.log.logEndOffset, cutAt)
  fill(opened, Math.floor(cutAt / 5), 200)
  await opened.log.advanceLogStartTo(opened.log.segments[1]!.baseOffset + 7)
  const { logStartOffset, logEndOffset } = opened.log
  await opened.log.close()
  await dumpWell(jvm, directory)
  // Half a batch at the end, as a power cut leaves it.
  const torn = batch(5, { valueBytes: 100 })
  appendFileSync(`${opened.log.segments.at(-1)!.path}.log`, torn.subarray(0, torn.length / 2))
  opened = await openLog(disk, directory, {
    config: small,
    wasCleanShutdown: false,
    logStartOffset,
  })
  assert.deepEqual(
    [opened.log.logStartOffset, opened.log.logEndOffset],
    [logStartOffset, logEndOffset],
  )
  await opened.log.close()
  assert.match(await dumpWell(jvm, directory), new RegExp(`lastOffset: ${logEndOffset - 1} `))
})

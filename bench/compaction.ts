/**
 * Speed of compaction: `node dist/bench/compaction.js [MB] [record bytes] [distinct keys] [codec] [thread]`. Writes a log on the
 * real disk, reads it once (the measure), compacts it, and prints both in MB of uncompressed input per second.
 */
import { cleanInThread } from '../broker/cleaner-thread.ts'
import type { CodecName } from '../protocol/compression.ts'
import { encodeBatch } from '../protocol/records.ts'
import { type BenchLog, inDirectory, openBenchLog, plainRead } from './bench-log.ts'

const MEGABYTE = 1_000_000
const [, , megabytes = '200', recordBytes = '1024', keys = '20000', codec = 'none', where = ''] =
  process.argv
const batchRecords = Math.max(1, Math.floor(16_384 / Number(recordBytes)))

async function fill({ append, endTurn }: BenchLog): Promise<number> {
  let bytes = 0
  let key = 1
  while (bytes < Number(megabytes) * MEGABYTE) {
    const records = Array.from({ length: batchRecords }, () => {
      key = (key * 16807) % 2147483647
      const text = `key-${key % Number(keys)}`
      const value = Buffer.alloc(Math.max(1, Number(recordBytes) - text.length - 12), text)
      return { timestamp: Date.now(), key: Buffer.from(text), value }
    })
    append(await encodeBatch(records, codec as CodecName))
    endTurn()
    bytes += batchRecords * Number(recordBytes)
  }
  return bytes
}

await inDirectory('compaction', async root => {
  const directory = `${root}/bench-0`
  const cleanupPolicy = { compact: true, delete: false }
  const bench = await openBenchLog(directory, { cleanupPolicy, segmentBytes: 64 * 1024 * 1024 })
  const { log } = bench
  const bytes = await fill(bench)
  log.roll(Date.now())
  await log.sync()
  const megabytesPerSecond = (ms: number) => bytes / MEGABYTE / (ms / 1000)
  const read = await plainRead(directory)
  const cpuBefore = process.cpuUsage()
  const start = performance.now()
  const result = await log.compact(Date.now(), where === 'thread' ? { engine: cleanInThread } : {})
  const compacted = megabytesPerSecond(performance.now() - start)
  const { user, system } = process.cpuUsage(cpuBefore)
  const cpu = megabytesPerSecond((user + system) / 1000)
  console.log(`${megabytes} MB in records of ${recordBytes} bytes, ${keys} keys, ${codec} ${where}`)
  console.log(`plain read ${read.toFixed(0)} MB/s; compaction ${compacted.toFixed(0)} MB/s`)
  console.log(
    `ratio to the read ${(compacted / read).toFixed(3)}; ${cpu.toFixed(0)} MB per CPU second`,
  )
  console.log(`kept ${result?.recordsKept} of ${result?.recordsRead} records`)
  await log.close()
})

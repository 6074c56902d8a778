/**
 * Speed of compaction: `node dist/bench/compaction.js [MB] [record bytes] [distinct keys] [codec] [thread]`. Writes a log on the
 * real disk, reads it once (the measure), compacts it, and prints both in MB of uncompressed input per second.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { cleanInThread } from '../broker/cleaner-thread.ts'
import { BufferPool } from '../protocol/buffer-pool.ts'
import type { CodecName } from '../protocol/compression.ts'
import { encodeBatch } from '../protocol/records.ts'
import { defaultLogConfig } from '../segment-store/config.ts'
import { Log } from '../segment-store/log.ts'
import { Staging } from '../segment-store/staging.ts'
import { SystemDisk } from '../segment-store/system-disk.ts'

const MEGABYTE = 1_000_000
const [, , megabytes = '200', recordBytes = '1024', keys = '20000', codec = 'none', where = ''] =
  process.argv
const root = fs.mkdtempSync(path.join(process.env['TMPDIR'] ?? os.tmpdir(), 'ottla-compaction-'))
const directory = `${root}/bench-0`
const batchRecords = Math.max(1, Math.floor(16_384 / Number(recordBytes)))

async function fill(log: Log, end: () => void): Promise<number> {
  let bytes = 0
  let key = 1
  while (bytes < Number(megabytes) * MEGABYTE) {
    const records = Array.from({ length: batchRecords }, () => {
      key = (key * 16807) % 2147483647
      const text = `key-${key % Number(keys)}`
      const value = Buffer.alloc(Math.max(1, Number(recordBytes) - text.length - 12), text)
      return { timestamp: Date.now(), key: Buffer.from(text), value }
    })
    const batch = await encodeBatch(records, codec as CodecName)
    log.append(batch, Date.now(), 0, 0, Date.now())
    end()
    bytes += batchRecords * Number(recordBytes)
  }
  return bytes
}

async function main(): Promise<void> {
  const due: (() => void)[] = []
  const disk = new SystemDisk()
  await disk.makeDirectory(directory)
  const log = await Log.open({
    directory,
    disk,
    config: {
      ...defaultLogConfig,
      cleanupPolicy: { compact: true, delete: false },
      segmentBytes: 64 * 1024 * 1024,
      fileDeleteDelayMs: 0,
    },
    turn: { write: callback => due.push(callback), answer: () => {} },
    buffers: new BufferPool(64 * 1024 * 1024),
    staging: new Staging(),
    producerIdExpirationMs: 86_400_000,
    nowMs: Date.now(),
    wasCleanShutdown: true,
    recoveryPoint: 0,
    logStartOffset: 0,
    on: { written: () => {}, failed: error => console.error(error) },
  })
  const bytes = await fill(log, () => {
    for (const callback of due.splice(0)) callback()
  })
  log.roll(Date.now())
  await log.sync()
  const megabytesPerSecond = (ms: number) => bytes / MEGABYTE / (ms / 1000)

  const readStart = performance.now()
  const window = Buffer.alloc(524_288)
  for (const name of fs.readdirSync(directory).filter(file => file.endsWith('.log'))) {
    const file = await disk.open(`${directory}/${name}`)
    for (let at = 0; at < file.size; at += window.length) await file.read(at, window)
    await file.close()
  }
  const read = megabytesPerSecond(performance.now() - readStart)

  const cpuBefore = process.cpuUsage()
  const start = performance.now()
  const result = await log.compact(Date.now(), where === 'thread' ? { engine: cleanInThread } : {})
  const compacted = megabytesPerSecond(performance.now() - start)
  const { user, system } = process.cpuUsage(cpuBefore)
  const cpu = megabytesPerSecond((user + system) / 1000)
  console.log(`${megabytes} MB in records of ${recordBytes} bytes, ${keys} keys, ${codec}`)
  console.log(`plain read ${read.toFixed(0)} MB/s; compaction ${compacted.toFixed(0)} MB/s`)
  console.log(
    `ratio to the read ${(compacted / read).toFixed(3)}; ${cpu.toFixed(0)} MB per CPU second`,
  )
  console.log(`kept ${result?.recordsKept} of ${result?.recordsRead} records`)
  await log.close()
}

try {
  await main()
} finally {
  fs.rmSync(root, { recursive: true, force: true })
}

/**
 * How long the event loop stands still while retention drops a large segment: `node dist/bench/retention.js [MB]`.
 * Writes a segment of that size (1,074 MB: a gibibyte) and one record more, drops the first, and prints the longest
 * delay of a timer that is due every millisecond, beside that of the same time with nothing to do.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { BufferPool } from '../protocol/buffer-pool.ts'
import { encodeBatch } from '../protocol/records.ts'
import { defaultLogConfig } from '../segment-store/config.ts'
import { Log } from '../segment-store/log.ts'
import { Staging } from '../segment-store/staging.ts'
import { SystemDisk } from '../segment-store/system-disk.ts'

const megabytes = Number(process.argv[2] ?? 1074)
const root = fs.mkdtempSync(path.join(process.env['TMPDIR'] ?? os.tmpdir(), 'ottla-retention-'))
const directory = `${root}/bench-0`

/** The longest that the loop was late, in milliseconds, while `work` ran. */
async function longestDelay(work: () => Promise<unknown>): Promise<number> {
  let worst = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    worst = Math.max(worst, now - last - 1)
    last = now
  }, 1)
  await work()
  clearInterval(timer)
  return worst
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
      retentionMs: 1000,
      segmentBytes: 2_000_000_000,
      fileDeleteDelayMs: 0,
    },
    turn: { write: callback => due.push(callback), answer: () => {} },
    buffers: new BufferPool(1024 * 1024),
    staging: new Staging(),
    producerIdExpirationMs: 86_400_000,
    nowMs: Date.now(),
    wasCleanShutdown: true,
    recoveryPoint: 0,
    logStartOffset: 0,
    on: { written: () => {}, failed: error => console.error(error) },
  })
  const timestamp = Date.now() - 3_600_000
  const batch = await encodeBatch([{ timestamp, key: null, value: Buffer.alloc(1_000_000, 'v') }])
  for (let i = 0; i < megabytes; i++) {
    log.append(batch, timestamp, 0, 0, Date.now())
    for (const callback of due.splice(0)) callback()
  }
  log.roll(Date.now())
  await log.sync()
  await log.enforceRetention(0)
  const idle = await longestDelay(() => new Promise(resolve => setTimeout(resolve, 500)))
  const start = performance.now()
  let segments = 0
  const worst = await longestDelay(async () => {
    segments = await log.enforceRetention(Date.now())
  })
  const ms = performance.now() - start
  console.log(`${segments} segment(s) of ${megabytes} MB dropped in ${ms.toFixed(0)} ms`)
  console.log(
    `longest stall ${worst.toFixed(1)} ms; idle loop on this machine ${idle.toFixed(1)} ms`,
  )
  await log.close()
}

try {
  await main()
} finally {
  fs.rmSync(root, { recursive: true, force: true })
}

/**
 * How long the event loop stands still while retention drops a large segment: `node dist/bench/retention.js [MB]`.
 * Writes a segment of that size (1,074 MB: a gibibyte) and one record more, drops the first, and prints the longest
 * delay of a timer that is due every millisecond; beside it that of as long a time with nothing to do, and of as long a time
 * in which another process removes such a file, which is what the machine itself does to everybody.
 */
import { execFile } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { encodeBatch } from '../protocol/records.ts'
import { inDirectory, openBenchLog } from './bench-log.ts'

const megabytes = Number(process.argv[2] ?? 1074)

/** The longest that the loop was late while `work` ran, and how long that was, in milliseconds. */
async function longestDelay(work: () => Promise<unknown>): Promise<{ worst: number; ms: number }> {
  let worst = 0
  const start = performance.now()
  let last = start
  const look = () => {
    const now = performance.now()
    worst = Math.max(worst, now - last - 1)
    last = now
  }
  const timer = setInterval(look, 1)
  await work()
  look()
  clearInterval(timer)
  return { worst, ms: performance.now() - start }
}

await inDirectory('retention', async root => {
  const directory = `${root}/bench-0`
  const limits = { retentionMs: 1000, segmentBytes: 2_000_000_000 }
  const { log, append, endTurn } = await openBenchLog(directory, limits)
  const timestamp = Date.now() - 3_600_000
  const value = Buffer.alloc(1_000_000, 'v')
  const batch = await encodeBatch([{ timestamp, key: null, value }])
  for (let i = 0; i < megabytes; i++) {
    append(batch)
    endTurn()
  }
  log.roll(Date.now())
  await log.sync()
  await log.enforceRetention(0)
  const copy = join(root, 'copy')
  const segment = `${log.segments[0]!.path}.log`
  await pipeline(createReadStream(segment), createWriteStream(copy, { flush: true }))
  let segments = 0
  const ours = await longestDelay(async () => {
    segments = await log.enforceRetention(Date.now())
  })
  const idle = await longestDelay(() => new Promise(resolve => setTimeout(resolve, ours.ms)))
  const other = await longestDelay(() => promisify(execFile)('rm', [copy]))
  const shown = ({ worst, ms }: typeof ours) => `${worst.toFixed(1)} ms in ${ms.toFixed(0)} ms`
  console.log(`${segments} segment(s) of ${megabytes} MB dropped; longest stall ${shown(ours)}`)
  console.log(`idle ${shown(idle)}; while rm removes such a file ${shown(other)}`)
  await log.close()
})

/**
 * How fast a log is recovered after an unclean stop, beside a plain read of the same bytes: both through the same door,
 * both with the page cache warm. `node dist/bench/recovery.js [MiB] [directory]`
 *
 * Also what parts of it cost: the walk from header to header, and the same with checksums, of one segment after the other.
 */
import { join } from 'node:path'
import { encodeBatch } from '../protocol/records.ts'
import { walkBatches } from '../segment-store/batch-walker.ts'
import { disk, inDirectory, median, openBenchLog, plainRead } from './bench-log.ts'

const TURN_BYTES = 1024 * 1024
const MEGABYTE = 1_000_000
const RUNS = 5
const segmentBytes = 256 * 1024 * 1024

const mebibytes = Number(process.argv[2] ?? 512)

async function fill(directory: string, records: number): Promise<void> {
  const { log, append, endTurn } = await openBenchLog(directory, { segmentBytes })
  const value = Buffer.alloc(100, 'v')
  const made = Array.from({ length: records }, () => ({ timestamp: 1_700_000_000_000, value }))
  for (let staged = 0, i = 0; log.sizeBytes < mebibytes * 1024 * 1024; i++) {
    const producer = { producerId: i % 10, producerEpoch: 0 }
    const baseSequence = Math.floor(i / 10) * records
    const batch = (await encodeBatch(made, 'none', { ...producer, baseSequence })) as Buffer
    append(batch)
    staged += batch.length
    if (staged < TURN_BYTES) continue
    staged = 0
    endTurn()
  }
  endTurn()
  await log.close()
}

/** MB a second of wall-clock time, and of processor time. */
interface Rate {
  readonly wall: number
  readonly cpu: number
}

async function rateOf(work: () => Promise<number>): Promise<Rate> {
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  const megabytes = (await work()) / MEGABYTE
  const ms = performance.now() - startMs
  const { user, system } = process.cpuUsage(cpuBefore)
  return { wall: megabytes / (ms / 1000), cpu: megabytes / ((user + system) / 1e6) }
}

async function walk(directory: string, checkCrc: boolean): Promise<number> {
  let bytes = 0
  for (const { name } of await disk.list(directory)) {
    if (!name.endsWith('.log')) continue
    const file = await disk.open(`${directory}/${name}`)
    const options = { checkCrc, firstOffset: 0, readAhead: true }
    bytes += (await walkBatches(file, 0, file.size, options, () => {})).position
    await file.close()
  }
  return bytes
}

async function recover(directory: string): Promise<number> {
  const { log } = await openBenchLog(directory, { segmentBytes }, false)
  const bytes = log.sizeBytes
  await log.close()
  return bytes
}

const shown = (rates: readonly Rate[]): string => {
  const cpu = median(rates.map(rate => rate.cpu)).toFixed(0)
  return `${median(rates.map(({ wall }) => wall)).toFixed(0)} MB/s (${cpu} MB a CPU second)`
}

const measure = async (root: string): Promise<void> => {
  for (const records of [1, 10, 150]) {
    const directory = join(root, `records-${records}`)
    await fill(directory, records)
    const plain: number[] = []
    const [recovered, headers, checked]: [Rate[], Rate[], Rate[]] = [[], [], []]
    for (let i = 0; i < RUNS; i++) {
      plain.push(await plainRead(directory))
      recovered.push(await rateOf(() => recover(directory)))
      headers.push(await rateOf(() => walk(directory, false)))
      checked.push(await rateOf(() => walk(directory, true)))
    }
    const ratio = median(recovered.map(({ wall }) => wall)) / median(plain)
    console.log(`${records} records a batch: plain read ${median(plain).toFixed(0)} MB/s`)
    console.log(`  recovery ${shown(recovered)}, ratio ${ratio.toFixed(2)}`)
    console.log(`  headers only ${shown(headers)}; with checksums ${shown(checked)}`)
  }
}

await inDirectory('recovery', measure, process.argv[3])

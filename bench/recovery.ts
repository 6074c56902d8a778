/**
 * How fast a log is recovered after an unclean stop, beside a plain read of the same bytes: both through the same door,
 * both with the page cache warm. `node dist/bench/recovery.js [MiB] [directory]`
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BufferPool } from '../protocol/buffer-pool.ts'
import * as batches from '../protocol/record-batch.ts'
import { encodeBatch } from '../protocol/records.ts'
import { defaultLogConfig } from '../segment-store/config.ts'
import { Log } from '../segment-store/log.ts'
import { Staging } from '../segment-store/staging.ts'
import { SystemDisk } from '../segment-store/system-disk.ts'

const TURN_BYTES = 1024 * 1024
const READ_BYTES = 1024 * 1024
const RUNS = 5

const mebibytes = Number(process.argv[2] ?? 512)
const root = mkdtempSync(join(process.argv[3] ?? tmpdir(), 'ottla-recovery-'))
const disk = new SystemDisk()
let writes: (() => void)[] = []
const endTurn = () => {
  for (const write of writes.splice(0)) write()
}

function open(directory: string, wasCleanShutdown: boolean): Promise<Log> {
  writes = []
  return Log.open({
    directory,
    disk,
    config: { ...defaultLogConfig, segmentBytes: 256 * 1024 * 1024 },
    turn: { write: callback => void writes.push(callback), answer: () => {} },
    buffers: new BufferPool(TURN_BYTES),
    staging: new Staging(),
    producerIdExpirationMs: 86_400_000,
    nowMs: Date.now(),
    wasCleanShutdown,
    recoveryPoint: 0,
    logStartOffset: 0,
    on: {
      written: () => {},
      failed: error => {
        throw error
      },
    },
  })
}

async function fill(directory: string, records: number): Promise<void> {
  await disk.makeDirectory(directory)
  const log = await open(directory, true)
  const value = Buffer.alloc(100, 'v')
  const made = Array.from({ length: records }, () => ({ timestamp: 1_700_000_000_000, value }))
  for (let staged = 0, i = 0; log.sizeBytes < mebibytes * 1024 * 1024; i++) {
    const producer = { producerId: i % 10, producerEpoch: 0 }
    const baseSequence = Math.floor(i / 10) * records
    const batch = (await encodeBatch(made, 'none', { ...producer, baseSequence })) as Buffer
    log.append(batch, batches.maxTimestamp(batch, 0), 0, 0, Date.now())
    staged += batch.length
    if (staged < TURN_BYTES) continue
    staged = 0
    endTurn()
  }
  endTurn()
  await log.close()
}

async function plainRead(directory: string): Promise<number> {
  const into = Buffer.alloc(READ_BYTES)
  let bytes = 0
  const startMs = performance.now()
  for (const { name } of await disk.list(directory)) {
    if (!name.endsWith('.log')) continue
    const file = await disk.open(`${directory}/${name}`)
    for (let at = 0; at < file.size; at += READ_BYTES) bytes += await file.read(at, into)
    await file.close()
  }
  return bytes / 1e3 / (performance.now() - startMs)
}

async function recovery(directory: string): Promise<number> {
  const startMs = performance.now()
  const log = await open(directory, false)
  const rate = log.sizeBytes / 1e3 / (performance.now() - startMs)
  await log.close()
  return rate
}

const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[numbers.length >> 1]!

try {
  for (const records of [1, 10, 150]) {
    const directory = join(root, `records-${records}`)
    await fill(directory, records)
    const plain: number[] = []
    const recovered: number[] = []
    for (let i = 0; i < RUNS; i++) {
      plain.push(await plainRead(directory))
      recovered.push(await recovery(directory))
    }
    const [read, checked] = [median(plain), median(recovered)]
    const rates = `plain read ${read.toFixed(0)} MB/s, recovery ${checked.toFixed(0)} MB/s`
    console.log(`${records} records a batch: ${rates}, ratio ${(checked / read).toFixed(2)}`)
    rmSync(directory, { recursive: true })
  }
} finally {
  rmSync(root, { recursive: true, force: true })
}

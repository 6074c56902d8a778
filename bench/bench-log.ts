/**
 * What the benchmarks of storage share: a log on the real disk without a broker, and a plain read of its bytes, which is
 * what they compare themselves with.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BufferPool } from '../protocol/buffer-pool.ts'
import { maxTimestamp } from '../protocol/record-batch.ts'
import { defaultLogConfig, type LogConfig } from '../segment-store/config.ts'
import type { Disk } from '../segment-store/disk.ts'
import { Log } from '../segment-store/log.ts'
import { Staging } from '../segment-store/staging.ts'
import { SystemDisk } from '../segment-store/system-disk.ts'

const MEGABYTE = 1_000_000
const READ_BYTES = 1024 * 1024

export const disk = new SystemDisk()

export interface BenchLog {
  readonly log: Log
  append(batch: Buffer): void
  /** Writes what was appended. */
  endTurn(): void
}

export async function openBenchLog(
  directory: string,
  config: Partial<LogConfig>,
  wasCleanShutdown = true,
  where: Disk = disk,
): Promise<BenchLog> {
  await where.makeDirectory(directory)
  const due: (() => void)[] = []
  const log = await Log.open({
    directory,
    disk: where,
    config: { ...defaultLogConfig, fileDeleteDelayMs: 0, ...config },
    turn: { write: callback => due.push(callback), answer: () => {} },
    buffers: new BufferPool(64 * MEGABYTE),
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
  return {
    log,
    append: batch => log.append(batch, maxTimestamp(batch, 0), 0, 0, Date.now()),
    endTurn() {
      for (const callback of due.splice(0)) callback()
    },
  }
}

/** Reads all segments once; answers MB a second. */
export async function plainRead(directory: string): Promise<number> {
  const into = Buffer.alloc(READ_BYTES)
  let bytes = 0
  const startMs = performance.now()
  for (const { name } of await disk.list(directory)) {
    if (!name.endsWith('.log')) continue
    const file = await disk.open(`${directory}/${name}`)
    for (let at = 0; at < file.size; at += READ_BYTES) bytes += await file.read(at, into)
    await file.close()
  }
  return bytes / MEGABYTE / ((performance.now() - startMs) / 1000)
}

/** Runs with a directory that is gone afterwards. */
export async function inDirectory(
  name: string,
  run: (root: string) => Promise<void>,
  parent = tmpdir(),
): Promise<void> {
  const root = mkdtempSync(join(parent, `ottla-${name}-`))
  try {
    await run(root)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

export const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!

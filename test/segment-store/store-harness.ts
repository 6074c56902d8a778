/**
 * What the tests of the store share: a turn that ends when the test says so, batches, logs on either disk.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import type { Turn } from '../../protocol/io.ts'
import * as batches from '../../protocol/record-batch.ts'
import { type BatchOptions, encodeBatch } from '../../protocol/records.ts'
import { defaultLogConfig, type LogConfig } from '../../segment-store/config.ts'
import type { Disk } from '../../segment-store/disk.ts'
import { type AppendInfo, Log, type LogOptions, type LogSlice } from '../../segment-store/log.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { Staging } from '../../segment-store/staging.ts'
import { SystemDisk } from '../../segment-store/system-disk.ts'

export const NOW = 1_700_000_000_000

/** A turn of the event loop that ends when `end` is called. */
export class ManualTurn implements Turn {
  private writes: (() => void)[] = []
  private answers: (() => void)[] = []

  write(callback: () => void): void {
    this.writes.push(callback)
  }

  answer(callback: () => void): void {
    this.answers.push(callback)
  }

  end(): void {
    for (const callback of this.writes.splice(0)) callback()
    for (const callback of this.answers.splice(0)) callback()
  }
}

export interface Recorded {
  readonly written: number[]
  readonly failures: Error[]
  readonly events: { event: string; fields: Readonly<Record<string, unknown>> }[]
}

export interface TestLog extends Recorded {
  readonly log: Log
  readonly turn: ManualTurn
}

export function config(overrides: Partial<LogConfig> = {}): LogConfig {
  return { ...defaultLogConfig, ...overrides }
}

export async function openLog(
  disk: Disk,
  directory: string,
  overrides: Partial<LogOptions> = {},
): Promise<TestLog> {
  const turn = new ManualTurn()
  const recorded: Recorded = { written: [], failures: [], events: [] }
  await disk.makeDirectory(directory)
  const log = await Log.open({
    directory,
    disk,
    config: config(),
    turn,
    buffers: new BufferPool(1024 * 1024),
    staging: new Staging(64 * 1024),
    producerIdExpirationMs: 86_400_000,
    nowMs: NOW,
    wasCleanShutdown: true,
    recoveryPoint: 0,
    logStartOffset: 0,
    log: {
      info: (event, fields) => recorded.events.push({ event, fields }),
      warn: (event, fields) => recorded.events.push({ event, fields }),
    },
    on: {
      written: offset => recorded.written.push(offset),
      failed: error => recorded.failures.push(error),
    },
    ...overrides,
  })
  return { log, turn, ...recorded }
}

/** An uncompressed batch of `count` records of `valueBytes` each. */
export function batch(
  count: number,
  options: BatchOptions & { timestamp?: number; valueBytes?: number } = {},
): Buffer {
  const { timestamp = NOW, valueBytes = 20, ...rest } = options
  const value = Buffer.alloc(valueBytes, 'v')
  const records = Array.from({ length: count }, (_, i) => ({ timestamp: timestamp + i, value }))
  return encodeBatch(records, 'none', rest) as Buffer
}

export function append(log: Log, bytes: Buffer, leaderEpoch = 0, nowMs = NOW): AppendInfo {
  return log.append(bytes, batches.maxTimestamp(bytes, 0), 0, leaderEpoch, nowMs)
}

export function appendNow({ log, turn }: TestLog, bytes: Buffer, leaderEpoch = 0): AppendInfo {
  const info = append(log, bytes, leaderEpoch)
  turn.end()
  return info
}

/** Bytes of a slice, which is released. */
export function bytesOf(slice: LogSlice): Buffer {
  const bytes = Buffer.concat(slice.chunks)
  slice.release()
  return bytes
}

export interface SeenBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly size: number
}

/** The whole batches in some bytes. */
export function batchesIn(bytes: Buffer): SeenBatch[] {
  return [...batches.batchPositions(bytes)].map(at => ({
    baseOffset: batches.baseOffset(bytes, at),
    lastOffset: batches.lastOffset(bytes, at),
    size: batches.sizeInBytes(bytes, at),
  }))
}

/** All whole batches of a log from `offset` on, read in pieces of `maxBytes`. */
export async function readAll(log: Log, offset: number, maxBytes = 4096): Promise<SeenBatch[]> {
  const seen: SeenBatch[] = []
  for (let next = offset; next < log.writtenOffset; ) {
    const upTo = log.writtenOffset
    const slice = await log.read({
      offset: next,
      maxBytes,
      upTo,
      minOneBatch: true,
      committed: false,
    })
    const found = batchesIn(bytesOf(slice))
    if (found.length === 0) break
    seen.push(...found)
    next = found.at(-1)!.lastOffset + 1
  }
  return seen
}

export interface TestDisk {
  readonly name: string
  readonly disk: Disk
  readonly root: string
  remove(): void
}

/** Both disks, each with a directory of its own. */
export function disks(): TestDisk[] {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ottla-store-'))
  return [
    { name: 'memory', disk: new MemoryDisk(), root: '/data', remove: () => {} },
    {
      name: 'system',
      disk: new SystemDisk(),
      root,
      remove: () => fs.rmSync(root, { recursive: true, force: true }),
    },
  ]
}

export const GOLDEN = path.resolve(process.cwd(), '../shared/kafka-protocol')

/** A copy of the data directory that Kafka wrote, to be written to; null where it is not at hand. */
export function copyOfGoldenDirectory(): string | null {
  const source = path.join(GOLDEN, 'data-dir')
  if (!fs.existsSync(source)) return null
  const target = fs.mkdtempSync(path.join(os.tmpdir(), 'ottla-golden-'))
  fs.cpSync(source, target, { recursive: true })
  const makeWritable = (entry: string) => {
    fs.chmodSync(entry, fs.statSync(entry).isDirectory() ? 0o755 : 0o644)
    if (!fs.statSync(entry).isDirectory()) return
    for (const name of fs.readdirSync(entry)) makeWritable(path.join(entry, name))
  }
  makeWritable(target)
  return target
}

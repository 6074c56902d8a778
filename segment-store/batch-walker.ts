/**
 * Walks the batches of a log file from the front, a window of the file at a time: for recovery, for rebuilding indexes
 * and for replaying producers. Stops at the first thing that cannot be a batch and says what is wrong with it; whether
 * that is a torn tail to cut or damage to report is for the caller to know.
 */

import { crc32c } from '../protocol/crc32c.ts'
import {
  ATTRIBUTES,
  baseOffset,
  batchLength,
  CURRENT_MAGIC,
  crc,
  isControl,
  LOG_OVERHEAD,
  lastOffset,
  lastOffsetDelta,
  magic,
  RECORD_BATCH_OVERHEAD,
} from '../protocol/record-batch.ts'
import type { File } from './disk.ts'

const WINDOW_BYTES = 256 * 1024

export interface WalkOptions {
  /** Also check each batch's checksum, which reads every byte. */
  readonly checkCrc: boolean
  /** No batch may begin below this offset. */
  readonly firstOffset: number
  /** Hears of a wrong checksum, and the walk goes on behind that batch; without it the walk stops there. */
  readonly onBadCrc?: (position: number, damage: string) => void
}

export interface WalkEnd {
  /** Where the last good batch ends. */
  readonly position: number
  /** The offset after the last good batch; `firstOffset` if there was none. */
  readonly nextOffset: number
  /** What is wrong with the bytes at `position`; null if all were good. */
  readonly damage: string | null
}

/**
 * Sees one batch: its header lies at `at` in `buffer` (so does the body of control batches); `position` is its place
 * in the file. Returning false stops the walk in front of this batch.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: most visitors have nothing to say
export type BatchVisitor = (buffer: Buffer, at: number, position: number) => boolean | void

export async function walkBatches(
  file: File,
  from: number,
  to: number,
  options: WalkOptions,
  visit: BatchVisitor,
): Promise<WalkEnd> {
  const window = new Window(
    file,
    to,
    Math.max(RECORD_BATCH_OVERHEAD, Math.min(WINDOW_BYTES, to - from)),
  )
  let position = from
  let nextOffset = options.firstOffset
  const stop = (damage: string | null): WalkEnd => ({ position, nextOffset, damage })
  while (position < to) {
    if (!window.holds(position, RECORD_BATCH_OVERHEAD)) {
      await window.moveTo(position)
      if (!window.holds(position, RECORD_BATCH_OVERHEAD)) return stop('header cut short')
    }
    const { buffer } = window
    let at = position - window.start
    const wrong = batchDamage(buffer, at, to - position, nextOffset)
    if (wrong !== null) return stop(wrong)
    const size = LOG_OVERHEAD + batchLength(buffer, at)
    if ((options.checkCrc || isControl(buffer, at)) && !window.holds(position, size)) {
      await window.moveTo(position)
      at = 0
    }
    if (options.checkCrc) {
      const stored = crc(buffer, at)
      const sum = window.holds(position, size)
        ? crc32c(buffer, at + ATTRIBUTES, at + size)
        : await crcOfLargeBatch(window, position, size)
      if (sum !== stored) {
        const damage = `checksum ${stored} stored, ${sum} computed`
        if (options.onBadCrc === undefined) return stop(damage)
        options.onBadCrc(position, damage)
        // Of its offsets only the first one is outside the checksum.
        nextOffset += 1
        position += size
        continue
      }
      if (!window.holds(position, RECORD_BATCH_OVERHEAD)) await window.moveTo(position)
      at = position - window.start
    }
    if (visit(buffer, at, position) === false) return stop(null)
    nextOffset = lastOffset(buffer, at) + 1
    position += size
  }
  return stop(null)
}

/** What makes these bytes no batch; null if the header is believable and the batch ends within `available`. */
export function batchDamage(
  b: Buffer,
  at: number,
  available: number,
  nextOffset: number,
): string | null {
  const length = batchLength(b, at)
  if (magic(b, at) !== CURRENT_MAGIC) return `magic ${magic(b, at)}`
  if (length < RECORD_BATCH_OVERHEAD - LOG_OVERHEAD) return `batch length ${length}`
  if (length > available - LOG_OVERHEAD)
    return `batch cut short: ${available - LOG_OVERHEAD} of ${length} bytes`
  if (lastOffsetDelta(b, at) < 0) return `last offset delta ${lastOffsetDelta(b, at)}`
  if (baseOffset(b, at) < nextOffset)
    return `offset ${baseOffset(b, at)} where ${nextOffset} or more was due`
  return null
}

async function crcOfLargeBatch(window: Window, position: number, size: number): Promise<number> {
  const end = position + size
  let sum = 0
  let next = position + ATTRIBUTES
  while (next < end) {
    await window.moveTo(next)
    const count = Math.min(window.filled, end - next)
    if (count === 0) return -1
    sum = crc32c(window.buffer, 0, count, sum)
    next += count
  }
  return sum
}

/** The part of the file that is in memory. */
class Window {
  readonly buffer: Buffer
  start = 0
  filled = 0
  private readonly file: File
  private readonly end: number

  constructor(file: File, end: number, size: number) {
    this.file = file
    this.end = end
    this.buffer = Buffer.allocUnsafe(size)
  }

  holds(position: number, length: number): boolean {
    return position >= this.start && position + length <= this.start + this.filled
  }

  async moveTo(position: number): Promise<void> {
    const length = Math.min(this.buffer.length, Math.max(0, this.end - position))
    this.start = position
    this.filled = await this.file.read(position, this.buffer.subarray(0, length))
  }
}

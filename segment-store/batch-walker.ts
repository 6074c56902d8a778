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
/** Reading ahead pays with larger pieces: each costs a way through the thread pool. */
const AHEAD_WINDOW_BYTES = 512 * 1024

export interface WalkOptions {
  /** Also check each batch's checksum, which reads every byte. */
  readonly checkCrc: boolean
  /** No batch may begin below this offset. */
  readonly firstOffset: number
  /** Read the file while batches are looked at: for whoever walks much of it. */
  readonly readAhead?: boolean
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
  const { readAhead = false } = options
  const most = readAhead ? AHEAD_WINDOW_BYTES : WINDOW_BYTES
  const windowBytes = Math.max(2 * RECORD_BATCH_OVERHEAD, Math.min(most, to - from))
  const window = new Window(file, to, windowBytes, readAhead)
  let position = from
  let nextOffset = options.firstOffset
  const stop = (damage: string | null): WalkEnd => ({ position, nextOffset, damage })
  while (position < to) {
    if (!window.holds(position, RECORD_BATCH_OVERHEAD)) {
      await window.moveTo(position)
      if (!window.holds(position, RECORD_BATCH_OVERHEAD)) return stop('header cut short')
    }
    let { buffer } = window
    let at = window.index(position)
    const wrong = batchDamage(buffer, at, to - position, nextOffset)
    if (wrong !== null) return stop(wrong)
    const size = LOG_OVERHEAD + batchLength(buffer, at)
    if ((options.checkCrc || isControl(buffer, at)) && !window.holds(position, size)) {
      await window.moveTo(position)
      buffer = window.buffer
      at = window.index(position)
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
      buffer = window.buffer
      at = window.index(position)
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
    const at = window.index(next)
    sum = crc32c(window.buffer, at, at + count, sum)
    next += count
  }
  return sum
}

/**
 * The part of the file that is in memory. With `readAhead` the next part is being read meanwhile, into a second buffer
 * that has room in front for the batch that the two share:
 *
 *   buffer:  │ … │ filled from `start` on │        other:  │ room for the rest │ being read │
 *                                  └── rest of it, copied when it becomes the window ──┘
 */
class Window {
  buffer: Buffer
  start = 0
  filled = 0
  private first = 0
  private other: Buffer | null = null
  private ahead: Promise<number> | null = null
  private readonly file: File
  private readonly end: number
  private readonly room: number
  private readonly isReadingAhead: boolean

  constructor(file: File, end: number, size: number, readAhead: boolean) {
    this.file = file
    this.end = end
    this.isReadingAhead = readAhead
    this.room = readAhead ? size >>> 1 : 0
    this.buffer = Buffer.allocUnsafe(this.room + size)
  }

  holds(position: number, length: number): boolean {
    return position >= this.start && position + length <= this.start + this.filled
  }

  /** Where in `buffer` the file's byte at `position` is. */
  index(position: number): number {
    return this.first + position - this.start
  }

  async moveTo(position: number): Promise<void> {
    const known = this.start + this.filled
    const rest = known - position
    if (this.ahead === null || position < this.start || rest < 0 || rest > this.room) {
      await this.readAt(position)
    } else {
      const count = await this.ahead
      this.buffer.copy(this.other!, this.room - rest, this.index(position), this.index(known))
      ;[this.buffer, this.other] = [this.other!, this.buffer]
      this.first = this.room - rest
      this.start = position
      this.filled = rest + count
    }
    this.ahead = null
    const next = this.start + this.filled
    if (!this.isReadingAhead || next >= this.end) return
    this.other ??= Buffer.allocUnsafe(this.buffer.length)
    const length = Math.min(this.other.length - this.room, this.end - next)
    this.ahead = this.file.read(next, this.other.subarray(this.room, this.room + length))
    // Whoever comes to these bytes hears of it; a walk that ends before them does not need to.
    this.ahead.catch(() => {})
  }

  private async readAt(position: number): Promise<void> {
    const length = Math.min(this.buffer.length - this.room, Math.max(0, this.end - position))
    // The other buffer must not be read into while it becomes this one.
    await this.ahead?.catch(() => {})
    this.start = position
    this.first = this.room
    this.filled = 0
    this.filled = await this.file.read(
      position,
      this.buffer.subarray(this.first, this.first + length),
    )
  }
}

/**
 * Sparse index from timestamp to offset (`.timeindex`). A hint, except that its last entry is how a closed segment
 * remembers its greatest timestamp; without the file that is found by walking the segment.
 *
 *   entry, 12 bytes:  int64 timestamp             greatest timestamp seen so far in the segment
 *                     int32 offset - baseOffset   last offset of the batch that holds it
 *
 * An entry says: no batch up to that one has a greater timestamp. Timestamps ascend strictly, offsets never fall.
 */
import assert from 'node:assert/strict'
import type { Disk } from './disk.ts'
import { IndexEntries } from './index-entries.ts'

export const TIME_ENTRY_BYTES = 12
const TWO_32 = 4294967296

export class TimeIndex {
  readonly entries: IndexEntries
  private readonly baseOffset: number
  private readonly maxEntries: number

  constructor(baseOffset: number, maxBytes: number, bytes: Buffer | null = null) {
    this.baseOffset = baseOffset
    this.entries = new IndexEntries(TIME_ENTRY_BYTES, bytes)
    this.maxEntries = Math.floor(maxBytes / TIME_ENTRY_BYTES)
  }

  /** One entry is kept free for the last one, written when the segment is closed. */
  get isFull(): boolean {
    return this.entries.count >= this.maxEntries - 1
  }

  /** Timestamp of the last entry; -1 where there is none. */
  get lastTimestamp(): number {
    const { count } = this.entries
    return count === 0 ? -1 : this.timestampAt(count - 1)
  }

  get lastOffset(): number {
    const { count } = this.entries
    return count === 0 ? this.baseOffset : this.offsetAt(count - 1)
  }

  timestampAt(index: number): number {
    return this.entries.int32(index, 0) * TWO_32 + (this.entries.int32(index, 4) >>> 0)
  }

  offsetAt(index: number): number {
    return this.baseOffset + this.entries.int32(index, 8)
  }

  /** Adds an entry if `timestamp` is greater than the last one's. */
  maybeAppend(timestamp: number, offset: number): void {
    if (timestamp <= this.lastTimestamp) return
    const { entries } = this
    assert(offset >= this.lastOffset, 'time index offsets never fall')
    const at = entries.add()
    const high = Math.floor(timestamp / TWO_32)
    entries.bytes.writeInt32BE(high, at)
    entries.bytes.writeInt32BE((timestamp - high * TWO_32) | 0, at + 4)
    entries.bytes.writeInt32BE(offset - this.baseOffset, at + 8)
  }

  /** Offset from which a search for `timestamp` may start: that of the greatest entry at or below it. */
  lookup(timestamp: number): number {
    let low = 0
    let high = this.entries.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.timestampAt(middle) <= timestamp) low = middle + 1
      else high = middle
    }
    return low === 0 ? this.baseOffset : this.offsetAt(low - 1)
  }

  /** Drops the entries at or above `offset`. */
  truncateTo(offset: number): void {
    let { count } = this.entries
    while (count > 0 && this.offsetAt(count - 1) >= offset) count--
    this.entries.truncate(count)
  }

  /** Whether what was read from a file can be this index of a segment that ends before `endOffset`. */
  isSane(endOffset: number): boolean {
    const { count, isRagged } = this.entries
    if (isRagged || count > this.maxEntries + 1) return false
    for (let i = 0; i < count; i++) {
      if (this.entries.int32(i, 8) < 0) return false
      if (i > 0 && this.timestampAt(i) <= this.timestampAt(i - 1)) return false
      if (i > 0 && this.offsetAt(i) < this.offsetAt(i - 1)) return false
    }
    return count === 0 || this.lastOffset < endOffset
  }
}

/** An index of only the last entry in the file: enough to know the greatest timestamp. Null where it cannot be read. */
export async function readLastEntry(
  disk: Disk,
  path: string,
  baseOffset: number,
): Promise<TimeIndex | null> {
  const entry = Buffer.alloc(TIME_ENTRY_BYTES)
  try {
    const file = await disk.open(path)
    try {
      const start = file.size - TIME_ENTRY_BYTES
      if (start < 0 || file.size % TIME_ENTRY_BYTES !== 0) return null
      if ((await file.read(start, entry)) !== TIME_ENTRY_BYTES) return null
    } finally {
      await file.close()
    }
  } catch {
    return null
  }
  return new TimeIndex(baseOffset, TIME_ENTRY_BYTES * 2, entry)
}

/**
 * Sparse index from offset to file position (`.index`). A hint: everything in it can be rebuilt from the log.
 *
 *   entry, 8 bytes:  int32 offset - baseOffset   last offset of a batch
 *                    int32 position              where that batch begins in the .log file
 *
 * Invariants: both columns ascend strictly; no entry points behind the end of the log. The entries are kept in memory in
 * the form of the file, so writing them is one copy-free append.
 */
import assert from 'node:assert/strict'
import { IndexEntries } from './index-entries.ts'

export const OFFSET_ENTRY_BYTES = 8
export const MAX_RELATIVE_OFFSET = 0x7fffffff

export class OffsetIndex {
  readonly entries: IndexEntries
  private readonly baseOffset: number
  private readonly maxEntries: number

  constructor(baseOffset: number, maxBytes: number, bytes: Buffer | null = null) {
    this.baseOffset = baseOffset
    this.entries = new IndexEntries(OFFSET_ENTRY_BYTES, bytes)
    this.maxEntries = Math.floor(maxBytes / OFFSET_ENTRY_BYTES)
  }

  get isFull(): boolean {
    return this.entries.count >= this.maxEntries
  }

  /** Offset of the last entry, or the base offset where there is none. */
  get lastOffset(): number {
    const { count } = this.entries
    return count === 0 ? this.baseOffset : this.offsetAt(count - 1)
  }

  get lastPosition(): number {
    const { count } = this.entries
    return count === 0 ? 0 : this.positionAt(count - 1)
  }

  offsetAt(index: number): number {
    return this.baseOffset + this.entries.int32(index, 0)
  }

  positionAt(index: number): number {
    return this.entries.int32(index, 4)
  }

  append(offset: number, position: number): void {
    const { entries } = this
    const relative = offset - this.baseOffset
    if (relative < 0 || relative > MAX_RELATIVE_OFFSET) {
      assert.fail(`offset ${offset} does not fit the index`) // its text is made here only: this is a hot path
    }
    assert(entries.count === 0 || offset > this.lastOffset, 'offset index entries ascend')
    const at = entries.add()
    entries.bytes.writeInt32BE(relative, at)
    entries.bytes.writeInt32BE(position, at + 4)
  }

  /** Position of the greatest entry at or below `offset`; 0, the start of the file, where there is none. */
  lookup(offset: number): number {
    const index = this.floor(offset)
    return index < 0 ? 0 : this.positionAt(index)
  }

  /** Index of the greatest entry at or below `offset`, or -1. */
  floor(offset: number): number {
    const relative = offset - this.baseOffset
    const { count } = this.entries
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.entries.int32(middle, 0) <= relative) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Offset of the first entry whose batch begins at or behind `position`; null if there is none. */
  offsetBehind(position: number): number | null {
    let low = 0
    let high = this.entries.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.positionAt(middle) < position) low = middle + 1
      else high = middle
    }
    return low === this.entries.count ? null : this.offsetAt(low)
  }

  /** Drops the entries of batches that begin at or behind `position`. */
  truncateToPosition(position: number): void {
    let { count } = this.entries
    while (count > 0 && this.positionAt(count - 1) >= position) count--
    this.entries.truncate(count)
  }

  /** Whether what was read from a file can be this index of a log file of `logBytes` bytes. */
  isSane(logBytes: number): boolean {
    const { count, isRagged } = this.entries
    if (isRagged || count > this.maxEntries + 1) return false
    for (let i = 0; i < count; i++) {
      if (this.entries.int32(i, 0) < 0 || this.positionAt(i) < 0) return false
      if (i > 0 && this.entries.int32(i, 0) <= this.entries.int32(i - 1, 0)) return false
      if (i > 0 && this.positionAt(i) <= this.positionAt(i - 1)) return false
    }
    return count === 0 || this.lastPosition < logBytes
  }
}

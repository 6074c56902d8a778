/**
 * The aborted transactions that ended in a segment (`.txnindex`; no file where there is none). Readers of committed
 * data are told these, and skip the batches of those producers.
 *
 *   entry, 34 bytes:  int16 version             0
 *                     int64 producerId
 *                     int64 firstOffset         of the transaction
 *                     int64 lastOffset          of its abort marker
 *                     int64 lastStableOffset    of the log once that marker was written
 *
 * Entries are in the order of lastOffset.
 */
import { Reader, Writer } from '../protocol/buffer.ts'
import type { Disk } from './disk.ts'

const ENTRY_BYTES = 34

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly lastStableOffset: number
}

export class TxnIndex {
  private aborted: AbortedTransaction[] = []
  /** The file says exactly what is here. */
  isSaved = true

  get entries(): readonly AbortedTransaction[] {
    return this.aborted
  }

  append(transaction: AbortedTransaction): void {
    this.aborted.push(transaction)
    this.isSaved = false
  }

  /** Drops transactions that ended at or above `offset`. */
  truncateTo(offset: number): void {
    const kept = this.aborted.filter(transaction => transaction.lastOffset < offset)
    if (kept.length === this.aborted.length) return
    this.aborted = kept
    this.isSaved = false
  }

  /**
   * Adds to `found` what a reader of [start, end) must know. Answers whether later segments need no look: a
   * transaction that ends there began behind the stable offset of the last one here.
   */
  collect(start: number, end: number, found: AbortedTransaction[]): boolean {
    for (const transaction of this.aborted) {
      if (transaction.lastOffset >= start && transaction.firstOffset < end) found.push(transaction)
      if (transaction.lastStableOffset >= end) return true
    }
    return false
  }

  async save(disk: Disk, path: string): Promise<void> {
    if (this.isSaved) return
    this.isSaved = true
    if (this.aborted.length === 0) return disk.remove(path)
    const writer = new Writer(this.aborted.length * ENTRY_BYTES)
    for (const transaction of this.aborted) {
      writer.int16(0)
      writer.int64(transaction.producerId)
      writer.int64(transaction.firstOffset)
      writer.int64(transaction.lastOffset)
      writer.int64(transaction.lastStableOffset)
    }
    await disk.replaceFile(path, writer.bytes())
  }

  /** null if the bytes are no such index of transactions that ended before `endOffset`. */
  static parse(bytes: Buffer, baseOffset: number, endOffset: number): TxnIndex | null {
    if (bytes.length % ENTRY_BYTES !== 0) return null
    const index = new TxnIndex()
    const reader = new Reader(bytes)
    while (reader.remaining > 0) {
      if (reader.int16() !== 0) return null
      const transaction = {
        producerId: reader.int64(),
        firstOffset: reader.int64(),
        lastOffset: reader.int64(),
        lastStableOffset: reader.int64(),
      }
      if (transaction.lastOffset < baseOffset || transaction.lastOffset >= endOffset) return null
      index.aborted.push(transaction)
    }
    return index
  }
}

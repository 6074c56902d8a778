/**
 * Transactions as the cleaner meets them on its way through a log: which data was aborted and may go, and which markers
 * end nothing any more. A marker stays as long as a batch of its transaction does; an aborted one then stays in the
 * index of aborted transactions too, or its records would come back.
 */
import * as batches from '../protocol/record-batch.ts'
import { readMarker } from './producer-state.ts'
import type { AbortedTransaction, TxnIndex } from './txn-index.ts'

export class CleanedTransactions {
  /** In the order of their first offsets; those up to `next` have begun. */
  private readonly aborted: readonly AbortedTransaction[]
  private next = 0
  /** Aborted transactions under way: by producer, and whether a batch of theirs was met. */
  private readonly ongoing = new Map<number, { transaction: AbortedTransaction; isSeen: boolean }>()
  /** Producers with a batch in a transaction that was committed. */
  private readonly committed = new Set<number>()
  /** Where aborted transactions go whose marker stays. */
  index: TxnIndex | null = null

  constructor(aborted: readonly AbortedTransaction[]) {
    this.aborted = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  /** Takes note of a batch; answers whether what is in it may be dropped on account of its transaction. */
  visit(buffer: Buffer, at: number): boolean {
    this.beginUpTo(batches.lastOffset(buffer, at))
    if (batches.isControl(buffer, at)) return this.visitMarker(buffer, at)
    if (!batches.isTransactional(buffer, at)) return false
    const producerId = batches.producerId(buffer, at)
    const ongoing = this.ongoing.get(producerId)
    if (ongoing === undefined) {
      this.committed.add(producerId)
      return false
    }
    ongoing.isSeen = true
    return true
  }

  private visitMarker(buffer: Buffer, at: number): boolean {
    // An emptied control batch was cleaned before and only tells its producer's epoch.
    if (batches.recordCount(buffer, at) === 0) return true
    const marker = readMarker(buffer, at)
    if (marker === null) return false
    const producerId = batches.producerId(buffer, at)
    if (!marker.isAbort) return !this.committed.delete(producerId)
    const ongoing = this.ongoing.get(producerId)
    this.ongoing.delete(producerId)
    if (ongoing === undefined || !ongoing.isSeen) return true
    this.index?.append(ongoing.transaction)
    return false
  }

  private beginUpTo(offset: number): void {
    for (; this.next < this.aborted.length; this.next++) {
      const transaction = this.aborted[this.next]!
      if (transaction.firstOffset > offset) return
      const { producerId } = transaction
      if (!this.ongoing.has(producerId))
        this.ongoing.set(producerId, { transaction, isSeen: false })
    }
  }
}

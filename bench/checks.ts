/**
 * Whether what was written is what is read: each producer numbers its records within a partition from 0, so a reader knows
 * what it misses, what it has twice, and what came out of turn. One `StreamCheck` for each producer and partition that one
 * consumer reads.
 */

/** So many missing records are remembered one by one; with more, the rest is only counted. */
const MISSING_MAX = 100_000

export class StreamCheck {
  duplicated = 0
  reordered = 0
  received = 0
  private next = 0
  private readonly missing = new Set<number>()
  /** Missing records beyond those that are remembered. */
  private uncounted = 0

  saw(sequence: number): void {
    this.received++
    if (sequence === this.next) {
      this.next++
      return
    }
    if (sequence > this.next) {
      for (let gone = this.next; gone < sequence; gone++) {
        if (this.missing.size < MISSING_MAX) this.missing.add(gone)
        else this.uncounted++
      }
      this.next = sequence + 1
      return
    }
    // What is late was missing before; what is not missing has been here.
    if (this.missing.delete(sequence)) this.reordered++
    else this.duplicated++
  }

  /** Whether nothing of the first `sent` records can still come. */
  isComplete(sent: number): boolean {
    return this.next >= sent && this.missing.size === 0 && this.uncounted === 0
  }

  /** How many of the first `sent` records never came, apart from those that may not have been written. */
  lost(sent: number, failed: readonly number[]): number {
    const behind = Math.max(0, sent - this.next)
    const unwritten = failed.filter(one => one >= this.next || this.missing.has(one)).length
    return Math.max(0, this.missing.size + this.uncounted + behind - unwritten)
  }
}

export interface CheckCounts {
  /** Acknowledged, and never read. */
  readonly lost: number
  readonly duplicated: number
  readonly reordered: number
  /** Read, but not as they were written. */
  readonly corrupt: number
}

export const NO_FAULTS: CheckCounts = { lost: 0, duplicated: 0, reordered: 0, corrupt: 0 }

export function sumOfChecks(counts: readonly CheckCounts[]): CheckCounts {
  return counts.reduce(
    (a, b) => ({
      lost: a.lost + b.lost,
      duplicated: a.duplicated + b.duplicated,
      reordered: a.reordered + b.reordered,
      corrupt: a.corrupt + b.corrupt,
    }),
    NO_FAULTS,
  )
}

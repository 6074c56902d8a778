/**
 * What the last commits of a `LocalStore` changed, for watchers that come late and for reading at an older revision. Bounded
 * by the number of changed keys, in whole commits: one that deletes topics has thousands.
 */
import type { Update } from './store.ts'

const MAX_KEYS = 1024

/** One commit: `B` is what is kept of an entry that it replaced. */
export interface HistoryItem<B> {
  readonly revision: number
  readonly updates: readonly Update[]
  /** What each key was before; null where it was not there. */
  readonly before: ReadonlyMap<string, B | null>
}

export class History<B> {
  /** Oldest first. */
  private items: HistoryItem<B>[] = []
  private keyCount = 0
  /** The newest revision of which nothing is known any more. */
  compactedTo: number

  constructor(revision: number) {
    this.compactedTo = revision
  }

  get all(): readonly HistoryItem<B>[] {
    return this.items
  }

  add(item: HistoryItem<B>): void {
    this.items.push(item)
    this.keyCount += item.updates.length
  }

  /** Forgets the oldest commits where there is too much; watchers must have been given all that there is. */
  trim(): void {
    if (this.keyCount < 2 * MAX_KEYS) return
    let [first, keys] = [this.items.length, 0]
    while (first > 0 && keys + this.items[first - 1]!.updates.length <= MAX_KEYS) {
      keys += this.items[--first]!.updates.length
    }
    if (first > 0) this.forget(this.items[first - 1]!.revision)
  }

  /** Forgets everything up to this revision. */
  forget(revision: number): void {
    this.items = this.items.filter(item => item.revision > revision)
    this.keyCount = this.items.reduce((sum, { updates }) => sum + updates.length, 0)
    this.compactedTo = Math.max(this.compactedTo, revision)
  }
}

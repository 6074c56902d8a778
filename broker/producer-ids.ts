/**
 * `ProducerIds`: ids for idempotent producers, never given twice in the life of a cluster.
 *
 * Ids come from blocks; a block belongs to this broker once the store says so. What is left of a block when the broker
 * stops is lost, which costs nothing of the 2^63 there are. Inside a block nobody waits.
 */
import type { MetadataStore } from './metadata/store.ts'

const KEY = 'pid'
const BLOCK = 1000
const ATTEMPTS = 10

export class ProducerIds {
  private readonly store: MetadataStore
  private following = 0
  private end = 0
  private floor = 0
  private allocation: Promise<void> | null = null

  constructor(store: MetadataStore) {
    this.store = store
  }

  /** An id that was never given away; a promise only where a new block has to be taken first. */
  next(): number | Promise<number> {
    if (this.following < this.end) return this.following++
    return this.nextOfNewBlock()
  }

  /** No id below this may be given away: logs of an adopted directory know producers that we did not make. */
  startAt(id: number): void {
    this.floor = Math.max(this.floor, id)
    this.following = Math.max(this.following, this.floor)
  }

  private async nextOfNewBlock(): Promise<number> {
    while (this.following >= this.end) {
      // All who find the block empty wait for the same new one.
      this.allocation ??= this.allocate().finally(() => {
        this.allocation = null
      })
      await this.allocation
    }
    return this.following++
  }

  private async allocate(): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const entry = (await this.store.range(KEY)).entries.find(({ key }) => key === KEY)
      const stored = entry === undefined ? 0 : (JSON.parse(entry.value) as { next: number }).next
      const start = Math.max(stored, this.floor)
      const value = JSON.stringify({ next: start + BLOCK })
      const compare = [{ key: KEY, modRevision: entry?.modRevision ?? 0 }]
      const { ok } = await this.store.commit(compare, [{ key: KEY, value }])
      if (!ok) continue
      this.following = Math.max(start, this.floor)
      this.end = start + BLOCK
      return
    }
    throw new Error('no block of producer ids: others kept taking them')
  }
}

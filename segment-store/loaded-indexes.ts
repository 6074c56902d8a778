/**
 * `LoadedIndexes`: which segments have their indexes in memory. All of a broker's would not fit, so above a limit those
 * that were not used for longest are read again when they are needed.
 *
 * The choice is by second chance, as with file handles: who was used since the last round stays for another one. The limit
 * may be passed by what is in use, and by what the newest segments grow between two looks.
 */
const LIMIT_BYTES = 128 * 1024 * 1024
/** How far it goes down, so that not every load trims. */
const TRIM_TO = 3 / 4

export interface IndexOwner {
  /** Used since it was last looked at. */
  wasUsed: boolean
  /** What its indexes take in memory now; 0 without them. */
  readonly indexBytes: number
  /** Gives them up, if it can. */
  unload(): Promise<void>
}

export class LoadedIndexes {
  private readonly limitBytes: number
  private readonly owners = new Set<IndexOwner>()
  /** Of all, as counted at the last look, and what was loaded since. */
  private bytes = 0
  private trimming: Promise<void> | null = null

  constructor(limitBytes: number = LIMIT_BYTES) {
    this.limitBytes = limitBytes
  }

  /** Segments with indexes in memory. */
  get count(): number {
    return this.owners.size
  }

  took(owner: IndexOwner): void {
    if (this.owners.has(owner)) return
    this.owners.add(owner)
    this.bytes += owner.indexBytes
    if (this.bytes > this.limitBytes) void this.trim()
  }

  gave(owner: IndexOwner): void {
    this.owners.delete(owner)
  }

  /** Counts again, and goes below the limit where it is passed. */
  trim(): Promise<void> {
    this.trimming ??= this.trimOnce().finally(() => {
      this.trimming = null
    })
    return this.trimming
  }

  private async trimOnce(): Promise<void> {
    let bytes = 0
    for (const owner of this.owners) bytes += owner.indexBytes
    this.bytes = bytes
    if (bytes <= this.limitBytes) return
    for (const owner of [...this.owners, ...this.owners]) {
      if (this.bytes <= this.limitBytes * TRIM_TO) return
      if (owner.wasUsed) {
        owner.wasUsed = false
        continue
      }
      const before = owner.indexBytes
      // What cannot be saved stays; whoever owns the disk has heard why.
      await owner.unload().catch(() => {})
      this.bytes -= before - owner.indexBytes
    }
  }
}

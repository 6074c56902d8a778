/**
 * Entries of one fixed size, in memory exactly as in the file: the body of both indexes. Grows by doubling from
 * nothing, and knows how much of it the file already holds, so that saving writes only what is new.
 */
import type { Disk } from './disk.ts'

const FIRST_ENTRIES = 16

export class IndexEntries {
  readonly entryBytes: number
  bytes: Buffer
  count: number
  /** What was read from the file had a length that is no multiple of the entry's. */
  readonly isRagged: boolean
  /** Entries that the file holds as they are here; -1: there is no such file, or its contents are not to be trusted. */
  private savedCount: number
  /** The file may be longer than what is saved of it. */
  private isTrimmed = true

  constructor(entryBytes: number, bytes: Buffer | null) {
    this.entryBytes = entryBytes
    this.bytes = bytes ?? Buffer.alloc(0)
    this.count = Math.floor(this.bytes.length / entryBytes)
    this.isRagged = this.bytes.length % entryBytes !== 0
    this.savedCount = bytes === null ? -1 : this.count
  }

  int32(index: number, at: number): number {
    const b = this.bytes
    const p = index * this.entryBytes + at
    return (b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!
  }

  /** Room for one more entry; answers where it begins in `bytes`. */
  add(): number {
    const at = this.count * this.entryBytes
    if (at + this.entryBytes > this.bytes.length) {
      const grown = Buffer.alloc(Math.max(this.bytes.length * 2, FIRST_ENTRIES * this.entryBytes))
      this.bytes.copy(grown, 0, 0, at)
      this.bytes = grown
    }
    this.count += 1
    return at
  }

  truncate(count: number): void {
    this.count = count
    if (this.savedCount > count) this.savedCount = count
    this.isTrimmed = false
  }

  /** The file says exactly what is here. */
  get isSaved(): boolean {
    return this.savedCount === this.count && this.isTrimmed
  }

  /**
   * Makes the file equal to these entries, on the medium. Nothing is written where nothing changed. In place, a crash on
   * the way may leave a part of it: that is for segments that recovery would read again. Otherwise the file is replaced.
   */
  async save(disk: Disk, path: string, inPlace: boolean): Promise<void> {
    const { count, savedCount, entryBytes } = this
    if (this.isSaved) return
    if (!inPlace) {
      await disk.replaceFile(path, this.bytes.subarray(0, count * entryBytes))
      this.savedCount = count
      this.isTrimmed = true
      return
    }
    const file = await disk.open(path, { create: true })
    try {
      const start = Math.max(0, savedCount) * entryBytes
      if (file.size !== start) await file.truncate(start)
      const rest = this.bytes.subarray(start, count * entryBytes)
      if (rest.length > 0) await file.append([rest])
      await file.sync()
      this.savedCount = count
      this.isTrimmed = true
    } finally {
      await file.close()
    }
  }
}

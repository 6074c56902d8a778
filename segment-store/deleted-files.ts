/**
 * Files that were dropped and stay on the disk for a while, renamed to `.deleted`: a reader, or a person with a backup
 * tool, may still hold them. Whoever has a clock calls `sweep`; what a stop leaves behind goes at the next start.
 */
import { dirname } from 'node:path'
import type { Disk } from './disk.ts'

interface Doomed {
  readonly path: string
  readonly dueMs: number
  remove(path: string): Promise<void>
}

export class DeletedFiles {
  private readonly disk: Disk
  private readonly nowMs: () => number
  /** By the directory that they are in: a topic with thousands of partitions forgets as many directories. */
  private readonly doomed = new Map<string, Doomed[]>()

  constructor(disk: Disk, nowMs: () => number) {
    this.disk = disk
    this.nowMs = nowMs
  }

  get count(): number {
    let count = 0
    for (const files of this.doomed.values()) count += files.length
    return count
  }

  /** Removes the file (or what `remove` removes) once `delayMs` have passed; at once, before this resolves, if that is 0. */
  async add(
    path: string,
    delayMs: number,
    remove: (path: string) => Promise<void> = each => this.disk.remove(each),
  ): Promise<void> {
    if (delayMs === 0) return remove(path)
    const directory = dirname(path)
    const files = this.doomed.get(directory) ?? []
    this.doomed.set(directory, files)
    files.push({ path, dueMs: this.nowMs() + delayMs, remove })
  }

  /**
   * Removes what is due, one file after the other; everything if `isUrgent`, because the disk is nearly full. What cannot
   * be removed now is tried again at the next start.
   */
  async sweep(isUrgent = false): Promise<void> {
    const nowMs = isUrgent ? Number.POSITIVE_INFINITY : this.nowMs()
    const due: Doomed[] = []
    for (const [directory, files] of this.doomed) {
      const kept = files.filter(({ dueMs }) => dueMs > nowMs)
      if (kept.length === files.length) continue
      due.push(...files.filter(({ dueMs }) => dueMs <= nowMs))
      if (kept.length === 0) this.doomed.delete(directory)
      else this.doomed.set(directory, kept)
    }
    for (const { path, remove } of due) await remove(path)
  }

  /** Forgets the files in a directory, which goes as a whole. */
  forget(directory: string): void {
    this.doomed.delete(directory)
  }
}

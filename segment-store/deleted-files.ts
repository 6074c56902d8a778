/**
 * Files that were dropped and stay on the disk for a while, renamed to `.deleted`: a reader, or a person with a backup
 * tool, may still hold them. Whoever has a clock calls `sweep`; what a stop leaves behind goes at the next start.
 */
import type { Disk } from './disk.ts'

interface Doomed {
  readonly path: string
  readonly dueMs: number
  remove(path: string): Promise<void>
}

export class DeletedFiles {
  private readonly disk: Disk
  private readonly nowMs: () => number
  private doomed: Doomed[] = []

  constructor(disk: Disk, nowMs: () => number) {
    this.disk = disk
    this.nowMs = nowMs
  }

  get count(): number {
    return this.doomed.length
  }

  /** Removes the file (or what `remove` removes) once `delayMs` have passed; at once, before this resolves, if that is 0. */
  async add(
    path: string,
    delayMs: number,
    remove: (path: string) => Promise<void> = each => this.disk.remove(each),
  ): Promise<void> {
    if (delayMs === 0) return remove(path)
    this.doomed.push({ path, dueMs: this.nowMs() + delayMs, remove })
  }

  /**
   * Removes what is due, one file after the other; everything if `isUrgent`, because the disk is nearly full. What cannot
   * be removed now is tried again at the next start.
   */
  async sweep(isUrgent = false): Promise<void> {
    const nowMs = isUrgent ? Number.POSITIVE_INFINITY : this.nowMs()
    const due = this.doomed.filter(({ dueMs }) => dueMs <= nowMs)
    this.doomed = this.doomed.filter(({ dueMs }) => dueMs > nowMs)
    for (const { path, remove } of due) await remove(path)
  }

  /** Forgets the files below a directory, which goes as a whole. */
  forget(directory: string): void {
    this.doomed = this.doomed.filter(({ path }) => !path.startsWith(`${directory}/`))
  }
}

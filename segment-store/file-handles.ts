/**
 * `FileHandles`: which files of a disk have a descriptor now. A broker has more files than a process may have open, so
 * descriptors are a bounded resource: a file takes one when it is used, and gives it back when others need it.
 *
 * The choice is by second chance ("clock"): using a file sets a flag, which costs the hot path one store; the hand goes
 * round, clears flags, and takes the first file that was not used since it last came by. Files with unsynced bytes go
 * last: the kernel tells a failed write-back to descriptors that were open, and to a later one only as long as it
 * remembers the file.
 *
 * Invariants: `count <= limit` except while every open file is busy; a file is in `open` exactly while it has a descriptor.
 */

/** A file that can give its descriptor back and take another later. */
export interface HandleOwner {
  readonly path: string
  /** Used since the hand last came by. */
  wasUsed: boolean
  /** Bytes were written and not synced. */
  readonly isUnsynced: boolean
  /** An operation is under way, or the file has no name any more by which it could be opened again. */
  readonly isPinned: boolean
  /** Where it stands among the open ones; kept by `FileHandles`. */
  slot: number
  giveUpHandle(): void
}

/** Descriptors that are left for sockets, listeners and everything else. */
const SHARE_OF_FILES = 0.5
const MIN_HANDLES = 16
const MAX_HANDLES = 16_384

/** How many files may be open at a time where the process may have `openFilesMax` descriptors. */
export function handlesFor(openFilesMax: number): number {
  const share = Math.floor(openFilesMax * SHARE_OF_FILES)
  return Math.max(MIN_HANDLES, Math.min(MAX_HANDLES, share))
}

export class FileHandles {
  readonly limit: number
  private readonly open: HandleOwner[] = []
  private hand = 0

  constructor(limit: number) {
    this.limit = limit
  }

  /** Files that have a descriptor. */
  get count(): number {
    return this.open.length
  }

  /** Sees to it that one more file may take a descriptor. */
  makeRoom(): void {
    while (this.open.length >= this.limit && this.takeOne());
  }

  took(file: HandleOwner): void {
    file.wasUsed = true
    file.slot = this.open.length
    this.open.push(file)
  }

  gave(file: HandleOwner): void {
    const last = this.open.pop()!
    if (last === file) return
    this.open[file.slot] = last
    last.slot = file.slot
  }

  /** Closes the descriptor that is probably needed last. False: all are busy. */
  takeOne(): boolean {
    const { open } = this
    const round = open.length
    for (let looked = 0; looked < 3 * round; looked++) {
      if (this.hand >= open.length) this.hand = 0
      const file = open[this.hand]!
      const mayGo = looked >= 2 * round || !(file.wasUsed || file.isUnsynced)
      if (!file.isPinned && mayGo) {
        file.giveUpHandle()
        return true
      }
      file.wasUsed = false
      this.hand += 1
    }
    return false
  }
}

/**
 * Door 2: files. Everything that touches a file system goes through `Disk`, so that logs run on memory and on simulated
 * faulty disks as well. `system-disk.ts` is the implementation on Node's own `fs`, `memory-disk.ts` the one in memory.
 */
import { constants } from 'node:os'

export interface File {
  /** Bytes handed to the disk so far. */
  readonly size: number
  /**
   * Appends the chunks in order. A number (bytes written) when it was done at once; a promise only while the disk is
   * slow. At most one append is under way at a time: the caller waits for the promise before the next. On failure some
   * of the bytes may have reached the file; `size` then says how many.
   */
  append(chunks: readonly Buffer[]): number | Promise<number>
  /** Reads into all of `into` from `position`; answers the bytes read, fewer only at the end of the file. */
  read(position: number, into: Buffer): Promise<number>
  /** The same at once: for small reads of what was written a moment ago, which the page cache still holds. */
  readSync(position: number, into: Buffer): number
  /** Overwrites bytes inside the file (index entries, never batches). */
  writeAt(position: number, bytes: Buffer): void
  truncate(size: number): Promise<void>
  /** To the medium. A rejected sync is final: the caller must not try again (house.md 2.4). */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface Disk {
  /** How often writes had to leave the event loop because they kept it waiting. */
  readonly slowdowns: number
  /**
   * Opens for reading and appending; creates an empty file where there is none and `create` is set. `readOnly` asks for
   * no right to write, for whoever only looks.
   */
  open(path: string, options?: { create?: boolean; readOnly?: boolean }): Promise<File>
  /** Opens what is there, at once: for a log that is needed in the middle of an append. */
  openSync(path: string): File
  /** Creates an empty file at once, or empties the one that is there: a log rolls in the middle of an append. */
  createSync(path: string): File
  /** The whole of a small file; null where there is none. */
  readFile(path: string): Promise<Buffer | null>
  /** The same at once: a start reads thousands of files of a few bytes, and an append the indexes that it goes on with. */
  readFileSync(path: string): Buffer | null
  /** Replaces a small file: written aside, synced, renamed over, directory synced. A crash leaves the old or the new. */
  replaceFile(path: string, bytes: Buffer): Promise<void>
  /** Names in a directory with what they are; empty where there is none. */
  list(path: string): Promise<readonly DirectoryEntry[]>
  makeDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file or a whole directory; nothing happens where there is none. */
  remove(path: string): Promise<void>
  syncDirectory(path: string): Promise<void>
  /** Takes the exclusive lock that `path` stands for; rejects with LockedError if held. Gone when the process is. */
  lock(path: string): Promise<DiskLock>
  /** Bytes in the file system and bytes free, where known. */
  space(path: string): Promise<{ totalBytes: number; freeBytes: number }>
}

export interface DirectoryEntry {
  readonly name: string
  readonly isDirectory: boolean
  readonly size: number
  readonly modifiedMs: number
}

export interface DiskLock {
  release(): Promise<void>
}

/** There is no room: unlike any other failure of a write, this one passes. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** Errors of the system that say nothing about the medium: no room, no such name, no more descriptors, our own mistakes. */
const NOT_THE_MEDIUM = new Set([
  ...['ENOSPC', 'EDQUOT', 'ENOENT', 'EEXIST', 'ENOTEMPTY', 'EISDIR', 'EMFILE', 'ENFILE', 'ENOMEM'],
  ...['EBADF', 'EINVAL', 'EINTR', 'EAGAIN', 'ENAMETOOLONG', 'EBUSY'],
])

/** An error of the operating system, not of this program. */
export function isSystemError(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  if (typeof code !== 'string') return false
  // Where libuv has no name for a number (EUCLEAN) its code is a sentence.
  return Object.hasOwn(constants.errno, code) || code.startsWith('Unknown system error')
}

/** What lies under a file cannot be relied on any more: a read, write or sync failed for its own sake. */
export function isDiskGone(error: unknown): boolean {
  return isSystemError(error) && !NOT_THE_MEDIUM.has((error as { code: string }).code)
}

/** The lock is held by someone who lives. */
export class LockedError extends Error {
  override readonly name = 'LockedError'
  readonly path: string
  /** Who holds it, in words: "process 4711 since …"; '' where that cannot be known. */
  readonly holder: string

  constructor(path: string, holder: string) {
    super(`${path} is locked${holder === '' ? '' : ` by ${holder}`}`)
    this.path = path
    this.holder = holder
  }
}

/**
 * `replaceFile` by the other operations: the new contents are on the medium before the name is theirs, and the name is
 * before this resolves.
 */
export async function replaceByRename(disk: Disk, path: string, bytes: Buffer): Promise<void> {
  const aside = `${path}.tmp`
  const file = await disk.open(aside, { create: true })
  try {
    // A crash may have left one.
    if (file.size > 0) await file.truncate(0)
    await file.append([bytes])
    await file.sync()
  } catch (error) {
    // On a full disk a half file would only take room.
    await disk.remove(aside).catch(() => {})
    throw error
  } finally {
    await file.close()
  }
  await disk.rename(aside, path)
  await disk.syncDirectory(path.slice(0, path.lastIndexOf('/')))
}

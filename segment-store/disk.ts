/**
 * Door 2: files. Everything that touches a file system goes through `Disk`, so that logs run on memory and on simulated
 * faulty disks as well. `system-disk.ts` is the implementation on Node's own `fs`, `memory-disk.ts` the one in memory.
 */

export interface File {
  /** Bytes handed to the disk so far. */
  readonly size: number
  /**
   * Appends the chunks in order. A number (bytes written) when it was done at once; a promise only while the disk is
   * slow. At most one append is under way at a time: the caller waits for the promise before the next.
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
  /** Opens for reading and appending; creates an empty file where there is none and `create` is set. */
  open(path: string, options?: { create?: boolean }): Promise<File>
  /** The whole of a small file; null where there is none. */
  readFile(path: string): Promise<Buffer | null>
  /** Replaces a small file: written aside, synced, renamed over, directory synced. A crash leaves the old or the new. */
  replaceFile(path: string, bytes: Buffer): Promise<void>
  /** Names in a directory with what they are; empty where there is none. */
  list(
    path: string,
  ): Promise<readonly { name: string; isDirectory: boolean; size: number; modifiedMs: number }[]>
  makeDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file or a whole directory; nothing happens where there is none. */
  remove(path: string): Promise<void>
  syncDirectory(path: string): Promise<void>
  /** Takes the exclusive lock that `path` stands for; rejects with who holds it. Gone when the process is. */
  lock(path: string): Promise<{ release(): Promise<void> }>
  /** Bytes in the file system and bytes free, where known. */
  space(path: string): Promise<{ totalBytes: number; freeBytes: number }>
}

/**
 * `File` on Node's own `fs`. Its descriptor is borrowed: `FileHandles` may take it back between two operations, and the
 * next one opens the file again. Nothing else can be told from outside.
 *
 * Appends are synchronous while the disk is fast and go through the thread pool while it is slow (`disk-pace.ts`).
 */
import fs from 'node:fs'
import { promisify } from 'node:util'
import type { File } from './disk.ts'
import type { DiskPace } from './disk-pace.ts'
import type { FileHandles, HandleOwner } from './file-handles.ts'
import type { PoolSlots } from './pool-slots.ts'

/** Some systems take at most this many pieces in one write. */
const MAX_PIECES = 1024

const closeFd = promisify(fs.close)
const fdatasync = promisify(fs.fdatasync)
const ftruncate = promisify(fs.ftruncate)

/** What the files of one disk share. */
export interface SystemFiles {
  readonly handles: FileHandles
  readonly pace: DiskPace
  readonly slots: PoolSlots
  /** The file was closed. */
  forget(file: SystemFile): void
}

export class SystemFile implements File, HandleOwner {
  /** Kept up to date by the disk when it renames. */
  path: string
  wasUsed = false
  isUnsynced = false
  /** The name is gone: only the descriptor leads to the bytes. */
  isNameless = false
  isClosed = false
  slot = -1
  private readonly files: SystemFiles
  private readonly access: number
  private fd = -1
  private end: number
  /** Operations in the pool: the descriptor must not be given back (and reused) under them. */
  private busy = 0
  /** Those, and the ones that wait for a place there. */
  private operations = 0
  private closing: (() => void) | null = null

  constructor(files: SystemFiles, path: string, access: number, fd: number, size: number) {
    this.files = files
    this.path = path
    this.access = access
    this.end = size
    this.hold(fd)
  }

  get size(): number {
    return this.end
  }

  get isPinned(): boolean {
    return this.busy > 0 || this.isNameless
  }

  private hold(fd: number): void {
    this.fd = fd
    this.files.handles.took(this)
  }

  /** The descriptor, opened again if it was taken back. */
  private handle(): number {
    this.wasUsed = true
    return this.fd === -1 ? this.reopen() : this.fd
  }

  private reopen(): number {
    if (this.isClosed && this.operations === 0)
      throw new Error(`${this.path} was used after it was closed`)
    this.files.handles.makeRoom()
    this.hold(openWithRoom(this.files.handles, this.path, this.access))
    return this.fd
  }

  giveUpHandle(): void {
    const { fd } = this
    this.fd = -1
    this.files.handles.gave(this)
    fs.closeSync(fd)
  }

  /** Its name is about to go. */
  loseName(): void {
    if (this.isClosed || this.isNameless) return
    try {
      this.handle()
    } catch {
      // Nobody can read it any more; whoever tries hears why.
    }
    this.isNameless = true
  }

  append(chunks: readonly Buffer[]): number | Promise<number> {
    const startMs = performance.now()
    this.isUnsynced = true
    if (this.files.pace.isSlow(startMs)) return this.appendInPool(chunks)
    const start = this.end
    const fd = this.handle()
    if (chunks.length === 1) this.writeOne(fd, chunks[0]!)
    else this.writeMany(fd, chunks)
    const written = this.end - start
    const nowMs = performance.now()
    this.files.pace.wrote(written, nowMs - startMs, nowMs)
    return written
  }

  private writeOne(fd: number, chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      const count = fs.writeSync(fd, chunk, at, chunk.length - at, this.end)
      at += count
      this.end += count
    }
  }

  private writeMany(fd: number, chunks: readonly Buffer[]): void {
    let rest = chunks
    while (rest.length > 0) {
      const count = fs.writevSync(fd, pieces(rest), this.end)
      this.end += count
      rest = behind(rest, count)
    }
  }

  private async appendInPool(chunks: readonly Buffer[]): Promise<number> {
    const start = this.end
    let rest = chunks
    while (rest.length > 0) {
      const count = await this.writevInPool(pieces(rest))
      this.end += count
      rest = behind(rest, count)
    }
    return this.end - start
  }

  private writevInPool(chunks: readonly Buffer[]): Promise<number> {
    return this.inPool(fd => {
      return new Promise((resolve, reject) => {
        fs.writev(fd, chunks as Buffer[], this.end, (error, count) => {
          if (error === null) resolve(count)
          else reject(error)
        })
      })
    })
  }

  private async inPool<T>(run: (fd: number) => Promise<T>): Promise<T> {
    this.operations += 1
    try {
      return await this.files.slots.run(async () => {
        const fd = this.handle()
        this.busy += 1
        try {
          return await run(fd)
        } finally {
          this.busy -= 1
        }
      })
    } finally {
      this.operations -= 1
      if (this.operations === 0) this.closing?.()
    }
  }

  async read(position: number, into: Buffer): Promise<number> {
    let filled = 0
    while (filled < into.length) {
      const count = await this.readInPool(position + filled, into, filled)
      if (count === 0) break
      filled += count
    }
    return filled
  }

  private readInPool(position: number, into: Buffer, at: number): Promise<number> {
    return this.inPool(fd => {
      return new Promise((resolve, reject) => {
        fs.read(fd, into, at, into.length - at, position, (error, count) => {
          if (error === null) resolve(count)
          else reject(error)
        })
      })
    })
  }

  readSync(position: number, into: Buffer): number {
    const fd = this.handle()
    let filled = 0
    while (filled < into.length) {
      const count = fs.readSync(fd, into, filled, into.length - filled, position + filled)
      if (count === 0) break
      filled += count
    }
    return filled
  }

  writeAt(position: number, bytes: Buffer): void {
    this.isUnsynced = true
    fs.writeSync(this.handle(), bytes, 0, bytes.length, position)
  }

  async truncate(size: number): Promise<void> {
    this.isUnsynced = true
    await this.inPool(fd => ftruncate(fd, size))
    this.end = size
  }

  sync(): Promise<void> {
    return this.inPool(async fd => {
      // What is appended while the sync runs is not covered by it.
      this.isUnsynced = false
      try {
        await fdatasync(fd)
      } catch (error) {
        this.isUnsynced = true
        throw error
      }
    })
  }

  async close(): Promise<void> {
    if (this.isClosed) return
    this.isClosed = true
    if (this.operations > 0) {
      await new Promise<void>(resolve => {
        this.closing = resolve
      })
    }
    this.files.forget(this)
    const { fd } = this
    if (fd === -1) return
    this.fd = -1
    this.files.handles.gave(this)
    await closeFd(fd)
  }
}

/** Opens at once; where the process has no descriptor left after all, one of ours is given up for it. */
export function openWithRoom(handles: FileHandles, path: string, flags: number): number {
  try {
    return fs.openSync(path, flags, 0o644)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if ((code !== 'EMFILE' && code !== 'ENFILE') || !handles.takeOne()) throw error
    return fs.openSync(path, flags, 0o644)
  }
}

function pieces(chunks: readonly Buffer[]): readonly Buffer[] {
  return chunks.length > MAX_PIECES ? chunks.slice(0, MAX_PIECES) : chunks
}

/** What is left of the chunks when the first `count` bytes are gone. */
function behind(chunks: readonly Buffer[], count: number): readonly Buffer[] {
  let index = 0
  while (index < chunks.length && count >= chunks[index]!.length) {
    count -= chunks[index]!.length
    index += 1
  }
  if (index === chunks.length) return []
  const rest = chunks.slice(index)
  rest[0] = rest[0]!.subarray(count)
  return rest
}

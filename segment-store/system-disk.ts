/**
 * `Disk` on Node's own `fs`; with `directory-lock.ts` the only place that knows about it.
 *
 * Appends are synchronous while the disk is fast and go through the thread pool while it is slow (`disk-pace.ts`).
 */
import fs from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { lockDirectory } from './directory-lock.ts'
import type { DirectoryEntry, Disk, DiskLock, File } from './disk.ts'
import { DiskPace } from './disk-pace.ts'

/** Some systems take at most this many pieces in one write. */
const MAX_PIECES = 1024

const openFd = promisify(fs.open)
const closeFd = promisify(fs.close)
const fdatasync = promisify(fs.fdatasync)
const fsync = promisify(fs.fsync)
const ftruncate = promisify(fs.ftruncate)
const fstat = promisify(fs.fstat)

export class SystemDisk implements Disk {
  /** Shared by all files: what makes one slow makes all of them slow. */
  private readonly pace = new DiskPace()

  get slowdowns(): number {
    return this.pace.switches
  }

  async open(path: string, options: { create?: boolean; readOnly?: boolean } = {}): Promise<File> {
    const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants
    const access = options.readOnly === true ? O_RDONLY : O_RDWR
    const fd = await openFd(path, options.create === true ? access | O_CREAT : access, 0o644)
    const { size } = await fstat(fd)
    return new SystemFile(fd, size, this.pace)
  }

  createSync(path: string): File {
    const { O_RDWR, O_CREAT, O_TRUNC } = fs.constants
    return new SystemFile(fs.openSync(path, O_RDWR | O_CREAT | O_TRUNC, 0o644), 0, this.pace)
  }

  async readFile(path: string): Promise<Buffer | null> {
    try {
      return await fs.promises.readFile(path)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null
      throw error
    }
  }

  async replaceFile(path: string, bytes: Buffer): Promise<void> {
    const aside = `${path}.tmp`
    const fd = await openFd(aside, 'w', 0o644)
    try {
      await promisify(fs.writeFile)(fd, bytes)
      await fsync(fd)
    } finally {
      await closeFd(fd)
    }
    await fs.promises.rename(aside, path)
    await this.syncDirectory(dirname(path))
  }

  async list(path: string): Promise<readonly DirectoryEntry[]> {
    const entries: DirectoryEntry[] = []
    for (const entry of await this.names(path)) {
      try {
        const { size, mtimeMs } = await fs.promises.stat(`${path}/${entry.name}`)
        const isDirectory = entry.isDirectory()
        entries.push({ name: entry.name, isDirectory, size, modifiedMs: Math.floor(mtimeMs) })
      } catch (error) {
        // Gone since it was listed.
        if (codeOf(error) !== 'ENOENT') throw error
      }
    }
    return entries
  }

  private async names(path: string): Promise<fs.Dirent[]> {
    try {
      return await fs.promises.readdir(path, { withFileTypes: true })
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return []
      throw error
    }
  }

  async makeDirectory(path: string): Promise<void> {
    await fs.promises.mkdir(path, { recursive: true })
  }

  async rename(from: string, to: string): Promise<void> {
    await fs.promises.rename(from, to)
  }

  async remove(path: string): Promise<void> {
    await fs.promises.rm(path, { recursive: true, force: true })
  }

  async syncDirectory(path: string): Promise<void> {
    // Windows cannot open a directory, and needs no sync of one.
    if (process.platform === 'win32') return
    const fd = await openFd(path, 'r')
    try {
      await fsync(fd)
    } finally {
      await closeFd(fd)
    }
  }

  lock(path: string): Promise<DiskLock> {
    return lockDirectory(path)
  }

  async space(path: string): Promise<{ totalBytes: number; freeBytes: number }> {
    const { bsize, blocks, bavail } = await fs.promises.statfs(path)
    return { totalBytes: bsize * blocks, freeBytes: bsize * bavail }
  }
}

class SystemFile implements File {
  private readonly fd: number
  private readonly pace: DiskPace
  private end: number
  /** Reads and writes under way: the descriptor must not be given back (and reused) under them. */
  private busy = 0
  private closing: (() => void) | null = null

  constructor(fd: number, size: number, pace: DiskPace) {
    this.fd = fd
    this.end = size
    this.pace = pace
  }

  get size(): number {
    return this.end
  }

  append(chunks: readonly Buffer[]): number | Promise<number> {
    const startMs = performance.now()
    if (this.pace.isSlow(startMs)) return this.appendInPool(chunks)
    const start = this.end
    if (chunks.length === 1) this.writeOne(chunks[0]!)
    else this.writeMany(chunks)
    const written = this.end - start
    const nowMs = performance.now()
    this.pace.wrote(written, nowMs - startMs, nowMs)
    return written
  }

  private writeOne(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      const count = fs.writeSync(this.fd, chunk, at, chunk.length - at, this.end)
      at += count
      this.end += count
    }
  }

  private writeMany(chunks: readonly Buffer[]): void {
    let rest = chunks
    while (rest.length > 0) {
      const count = fs.writevSync(this.fd, pieces(rest), this.end)
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
    return new Promise((resolve, reject) => {
      this.busy += 1
      fs.writev(this.fd, chunks as Buffer[], this.end, (error, count) => {
        this.finished()
        if (error === null) resolve(count)
        else reject(error)
      })
    })
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
    return new Promise((resolve, reject) => {
      this.busy += 1
      fs.read(this.fd, into, at, into.length - at, position, (error, count) => {
        this.finished()
        if (error === null) resolve(count)
        else reject(error)
      })
    })
  }

  private finished(): void {
    this.busy -= 1
    if (this.busy === 0) this.closing?.()
  }

  readSync(position: number, into: Buffer): number {
    let filled = 0
    while (filled < into.length) {
      const count = fs.readSync(this.fd, into, filled, into.length - filled, position + filled)
      if (count === 0) break
      filled += count
    }
    return filled
  }

  writeAt(position: number, bytes: Buffer): void {
    fs.writeSync(this.fd, bytes, 0, bytes.length, position)
  }

  async truncate(size: number): Promise<void> {
    await ftruncate(this.fd, size)
    this.end = size
  }

  async sync(): Promise<void> {
    this.busy += 1
    try {
      await fdatasync(this.fd)
    } finally {
      this.finished()
    }
  }

  async close(): Promise<void> {
    if (this.busy > 0) {
      await new Promise<void>(resolve => {
        this.closing = resolve
      })
    }
    await closeFd(this.fd)
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

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

/**
 * `Disk` on Node's own `fs`; with `system-file.ts` and `directory-lock.ts` the only place that knows about it.
 */
import fs from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { lockDirectory } from './directory-lock.ts'
import {
  type DirectoryEntry,
  type Disk,
  type DiskLock,
  type File,
  replaceByRename,
} from './disk.ts'
import { DiskPace } from './disk-pace.ts'
import { FileHandles, handlesFor } from './file-handles.ts'
import { PoolSlots } from './pool-slots.ts'
import { openWithRoom, SystemFile, type SystemFiles } from './system-file.ts'

/** Operations in the thread pool at a time; it has far fewer threads. */
const POOL_SLOTS = 64
/** What a process may have open where the system does not say it. */
const OPEN_FILES_DEFAULT = 1024

const closeFd = promisify(fs.close)
const fsync = promisify(fs.fsync)

export class SystemDisk implements Disk, SystemFiles {
  /** Shared by all files: what makes one slow makes all of them slow. */
  readonly pace = new DiskPace()
  readonly slots = new PoolSlots(POOL_SLOTS)
  readonly handles: FileHandles
  /** Files that are not closed, by the directory they are in: a rename must tell them. */
  private readonly files = new Map<string, Set<SystemFile>>()

  /** `openFilesMax` is what the process may have open; a part of that is used for files. */
  constructor(openFilesMax: number = openFilesLimit()) {
    this.handles = new FileHandles(handlesFor(openFilesMax))
  }

  get slowdowns(): number {
    return this.pace.switches
  }

  open(path: string, options: { create?: boolean; readOnly?: boolean } = {}): Promise<File> {
    const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants
    const access = options.readOnly === true ? O_RDONLY : O_RDWR
    return new Promise(resolve => {
      resolve(this.openAt(path, access, options.create === true ? O_CREAT : 0))
    })
  }

  openSync(path: string): File {
    return this.openAt(path, fs.constants.O_RDWR, 0)
  }

  createSync(path: string): File {
    const { O_RDWR, O_CREAT, O_TRUNC } = fs.constants
    return this.openAt(path, O_RDWR, O_CREAT | O_TRUNC)
  }

  /** At once: opening a file costs less than the way through the thread pool. */
  private openAt(path: string, access: number, creation: number): SystemFile {
    this.handles.makeRoom()
    const fd = openWithRoom(this.handles, path, access | creation)
    const file = new SystemFile(this, path, access, fd, fs.fstatSync(fd).size)
    this.remember(file)
    return file
  }

  private remember(file: SystemFile): void {
    const directory = dirname(file.path)
    const files = this.files.get(directory)
    if (files === undefined) this.files.set(directory, new Set([file]))
    else files.add(file)
  }

  forget(file: SystemFile): void {
    const directory = dirname(file.path)
    const files = this.files.get(directory)
    files?.delete(file)
    if (files?.size === 0) this.files.delete(directory)
  }

  /** The open files that have this path, or lie in the directory of this path. */
  private *filesAt(path: string): Iterable<SystemFile> {
    for (const file of this.files.get(dirname(path)) ?? []) if (file.path === path) yield file
    yield* this.files.get(path) ?? []
  }

  async readFile(path: string): Promise<Buffer | null> {
    try {
      return await fs.promises.readFile(path)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null
      throw error
    }
  }

  readFileSync(path: string): Buffer | null {
    try {
      return fs.readFileSync(path)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null
      throw error
    }
  }

  replaceFile(path: string, bytes: Buffer): Promise<void> {
    return replaceByRename(this, path, bytes)
  }

  /** At once, as opening: a start looks at tens of thousands of names. */
  async list(path: string): Promise<readonly DirectoryEntry[]> {
    const entries: DirectoryEntry[] = []
    for (const entry of names(path)) {
      const stat = fs.statSync(`${path}/${entry.name}`, { throwIfNoEntry: false })
      // Gone since it was listed.
      if (stat === undefined) continue
      const { size, mtimeMs } = stat
      const isDirectory = entry.isDirectory()
      entries.push({ name: entry.name, isDirectory, size, modifiedMs: Math.floor(mtimeMs) })
    }
    return entries
  }

  async makeDirectory(path: string): Promise<void> {
    await fs.promises.mkdir(path, { recursive: true })
  }

  async rename(from: string, to: string): Promise<void> {
    for (const file of this.filesAt(to)) file.loseName()
    // Neither name leads to them while it changes.
    const moved = [...this.filesAt(from)]
    for (const file of moved) file.loseName()
    try {
      await fs.promises.rename(from, to)
    } catch (error) {
      for (const file of moved) file.isNameless = false
      throw error
    }
    for (const file of moved) {
      this.forget(file)
      file.path = to + file.path.slice(from.length)
      file.isNameless = false
      if (!file.isClosed) this.remember(file)
    }
  }

  async remove(path: string): Promise<void> {
    for (const file of this.filesAt(path)) file.loseName()
    await fs.promises.rm(path, { recursive: true, force: true })
  }

  async syncDirectory(path: string): Promise<void> {
    // Windows cannot open a directory, and needs no sync of one.
    if (process.platform === 'win32') return
    await this.slots.run(async () => {
      const fd = openWithRoom(this.handles, path, fs.constants.O_RDONLY)
      try {
        await fsync(fd)
      } finally {
        await closeFd(fd)
      }
    })
  }

  lock(path: string): Promise<DiskLock> {
    return lockDirectory(path)
  }

  async space(path: string): Promise<{ totalBytes: number; freeBytes: number }> {
    const { bsize, blocks, bavail } = await fs.promises.statfs(path)
    return { totalBytes: bsize * blocks, freeBytes: bsize * bavail }
  }
}

function names(path: string): fs.Dirent[] {
  try {
    return fs.readdirSync(path, { withFileTypes: true })
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** How many files this process may have open. Node has raised it to the hard limit when it started. */
function openFilesLimit(): number {
  try {
    const text = fs.readFileSync('/proc/self/limits', 'latin1')
    const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(text) ?? []
    if (soft === 'unlimited') return Number.MAX_SAFE_INTEGER
    return Number(soft ?? OPEN_FILES_DEFAULT)
  } catch {
    return OPEN_FILES_DEFAULT
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

/**
 * `Disk` in memory, for tests and for brokers embedded in them. Everything is done at once; nothing is ever torn or
 * lost, except through `snapshot`, which is what a killed process would leave behind.
 */
import type { DirectoryEntry, Disk, DiskLock, File } from './disk.ts'
import { LockedError } from './disk.ts'

interface Node {
  bytes: Buffer
  size: number
  modifiedMs: number
}

export class MemoryDisk implements Disk {
  readonly slowdowns = 0
  private readonly files = new Map<string, Node>()
  private readonly directories = new Set<string>()
  private readonly locks = new Set<string>()
  private readonly nowMs: () => number

  constructor(nowMs: () => number = () => 0) {
    this.nowMs = nowMs
  }

  async open(path: string, options: { create?: boolean } = {}): Promise<File> {
    if (options.create === true && !this.files.has(path)) return this.createSync(path)
    return this.openSync(path)
  }

  openSync(path: string): File {
    const node = this.files.get(path)
    if (node === undefined) throw notFound(path)
    return new MemoryFile(node, this.nowMs)
  }

  createSync(path: string): File {
    const node = { bytes: Buffer.alloc(0), size: 0, modifiedMs: this.nowMs() }
    this.files.set(path, node)
    return new MemoryFile(node, this.nowMs)
  }

  async readFile(path: string): Promise<Buffer | null> {
    return this.readFileSync(path)
  }

  readFileSync(path: string): Buffer | null {
    const node = this.files.get(path)
    return node === undefined ? null : Buffer.from(node.bytes.subarray(0, node.size))
  }

  replaceFile(path: string, bytes: Buffer): Promise<void> {
    this.files.set(path, {
      bytes: Buffer.from(bytes),
      size: bytes.length,
      modifiedMs: this.nowMs(),
    })
    return Promise.resolve()
  }

  list(path: string): Promise<readonly DirectoryEntry[]> {
    const entries = new Map<string, DirectoryEntry>()
    const prefix = `${path}/`
    for (const directory of this.directories) {
      if (!directory.startsWith(prefix)) continue
      const name = directory.slice(prefix.length).split('/')[0]!
      entries.set(name, { name, isDirectory: true, size: 0, modifiedMs: 0 })
    }
    for (const [file, node] of this.files) {
      if (!file.startsWith(prefix)) continue
      const [name, below] = file.slice(prefix.length).split('/')
      if (below !== undefined) continue
      entries.set(name!, {
        name: name!,
        isDirectory: false,
        size: node.size,
        modifiedMs: node.modifiedMs,
      })
    }
    return Promise.resolve([...entries.values()])
  }

  makeDirectory(path: string): Promise<void> {
    for (let end = path.indexOf('/', 1); end !== -1; end = path.indexOf('/', end + 1)) {
      this.directories.add(path.slice(0, end))
    }
    this.directories.add(path)
    return Promise.resolve()
  }

  rename(from: string, to: string): Promise<void> {
    const moved = (path: string) =>
      path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : null
    let found = false
    for (const [path, node] of [...this.files]) {
      const target = moved(path)
      if (target === null) continue
      this.files.delete(path)
      this.files.set(target, node)
      found = true
    }
    for (const path of [...this.directories]) {
      const target = moved(path)
      if (target === null) continue
      this.directories.delete(path)
      this.directories.add(target)
      found = true
    }
    return found ? Promise.resolve() : Promise.reject(notFound(from))
  }

  remove(path: string): Promise<void> {
    const isBelow = (other: string) => other === path || other.startsWith(`${path}/`)
    for (const file of [...this.files.keys()]) if (isBelow(file)) this.files.delete(file)
    for (const directory of [...this.directories]) {
      if (isBelow(directory)) this.directories.delete(directory)
    }
    return Promise.resolve()
  }

  syncDirectory(): Promise<void> {
    return Promise.resolve()
  }

  lock(path: string): Promise<DiskLock> {
    if (this.locks.has(path)) return Promise.reject(new LockedError(path, 'this process'))
    this.locks.add(path)
    const release = () => {
      this.locks.delete(path)
      return Promise.resolve()
    }
    return Promise.resolve({ release })
  }

  space(): Promise<{ totalBytes: number; freeBytes: number }> {
    return Promise.resolve({ totalBytes: 2 ** 40, freeBytes: 2 ** 40 })
  }

  /** A copy of all files as they are now, without locks: the disk of a process that was killed at this moment. */
  snapshot(): MemoryDisk {
    const copy = new MemoryDisk(this.nowMs)
    for (const directory of this.directories) copy.directories.add(directory)
    for (const [path, node] of this.files) {
      const bytes = Buffer.from(node.bytes.subarray(0, node.size))
      copy.files.set(path, { bytes, size: bytes.length, modifiedMs: node.modifiedMs })
    }
    return copy
  }
}

class MemoryFile implements File {
  private readonly node: Node
  private readonly nowMs: () => number

  constructor(node: Node, nowMs: () => number) {
    this.node = node
    this.nowMs = nowMs
  }

  get size(): number {
    return this.node.size
  }

  append(chunks: readonly Buffer[]): number {
    const { node } = this
    let total = 0
    for (const chunk of chunks) total += chunk.length
    if (node.size + total > node.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(4096, node.bytes.length * 2, node.size + total))
      node.bytes.copy(grown, 0, 0, node.size)
      node.bytes = grown
    }
    for (const chunk of chunks) {
      node.bytes.set(chunk, node.size)
      node.size += chunk.length
    }
    node.modifiedMs = this.nowMs()
    return total
  }

  readSync(position: number, into: Buffer): number {
    const { node } = this
    if (position >= node.size) return 0
    return node.bytes.copy(into, 0, position, Math.min(node.size, position + into.length))
  }

  read(position: number, into: Buffer): Promise<number> {
    return Promise.resolve(this.readSync(position, into))
  }

  writeAt(position: number, bytes: Buffer): void {
    this.node.bytes.set(bytes, position)
  }

  truncate(size: number): Promise<void> {
    this.node.size = Math.min(this.node.size, size)
    return Promise.resolve()
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function notFound(path: string): Error {
  return Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' })
}

/**
 * `Disk` as the worst that a file system may be: what was not synced can be lost or torn, names are not durable before
 * their directory is synced, reads and writes fail where a test says so, and the machine may stop at any operation and at
 * any byte of a write.
 *
 *   const disk = new SimulatedDisk(new Medium(), { random: seededRandom(7) })
 *   disk.crashAfter(1234)                       bytes written, and one for each other operation
 *   …                                           from there on everything rejects with a CrashError
 *   const next = disk.reopened('torn')          what a power cut leaves, on a fresh disk
 *   const same = disk.reopened('process')       what a killed process leaves: the kernel still has everything
 */
import {
  type DirectoryEntry,
  type Disk,
  type DiskLock,
  type File,
  LockedError,
  replaceByRename,
} from '../../segment-store/disk.ts'
import { type CrashMode, DirectoryNode, FileNode, type Medium, type Mutation } from './medium.ts'

/** The machine is off. */
export class CrashError extends Error {
  override readonly name = 'CrashError'
  readonly code = 'ECRASHED'
}

export type OperationKind = Mutation['kind'] | 'open' | 'read' | 'list'

export interface Operation {
  readonly kind: OperationKind
  readonly path: string
  /** Bytes to be read or written. */
  readonly bytes: number
}

/** What goes wrong with an operation. */
export type Fault =
  /** It fails; of a write the first `written` bytes have reached the file. */
  | { readonly code: 'EIO' | 'ENOSPC'; readonly written?: number }
  /** A read answers only so many bytes. */
  | { readonly bytesRead: number }

export interface SimulatedDiskOptions {
  readonly random: () => number
  readonly nowMs?: () => number
  /** The share of appends that are not done at once. */
  readonly slowShare?: number
  /** Bytes that all files together may have. */
  readonly capacityBytes?: number
}

export class SimulatedDisk implements Disk {
  slowdowns = 0
  readonly medium: Medium
  /** Asked before each operation. */
  fault: ((operation: Operation) => Fault | null) | null = null
  /** Told of each operation, for a readable trace. */
  trace: ((operation: Operation) => void) | null = null
  /** Every change so far, where it is wanted. */
  journal: Mutation[] | null = null
  /** Bytes written, and one for each other change. */
  done = 0
  isCrashed = false
  capacityBytes: number
  private stopAt = Number.POSITIVE_INFINITY
  private readonly options: SimulatedDiskOptions
  private readonly locks = new Set<string>()

  constructor(medium: Medium, options: SimulatedDiskOptions) {
    this.medium = medium
    this.options = options
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY
  }

  /** The machine stops when so much more was done: in the middle of a write, or in front of another change. */
  crashAfter(units: number): void {
    this.stopAt = this.done + units
  }

  crash(): void {
    this.isCrashed = true
  }

  /** The disk after the machine (or only the process) has stopped; this one is dead. */
  reopened(mode: CrashMode | 'process'): SimulatedDisk {
    this.crash()
    const { medium, options } = this
    const left = mode === 'process' ? medium : medium.afterCrash(mode, options.random)
    return new SimulatedDisk(left, { ...options, capacityBytes: this.capacityBytes })
  }

  /** Turns over one bit of a file, in what programs see and on the medium. */
  flipBit(path: string, position: number, bit: number): void {
    const file = this.medium.find(path)
    if (!(file instanceof FileNode)) throw notFound(path)
    const flip = (bytes: Buffer) => {
      if (position < bytes.length) bytes[position] = bytes[position]! ^ (1 << bit)
    }
    flip(file.bytes)
    flip(file.synced)
  }

  // ---------------------------------------------------------------------------------------------- operations

  /** Asks for a fault and makes the change. Every change goes through here. */
  change(mutation: Mutation, path: string): void {
    const bytes = mutation.kind === 'write' ? mutation.bytes.length : 0
    const fault = this.begin({ kind: mutation.kind, path, bytes })
    if (fault !== null && 'code' in fault) {
      if (mutation.kind === 'write') this.make(cut(mutation, fault.written ?? 0))
      throw failure(fault.code, path)
    }
    this.make(mutation)
  }

  private make(mutation: Mutation): void {
    const units = mutation.kind === 'write' ? mutation.bytes.length : 1
    if (this.done + units > this.stopAt) {
      if (mutation.kind === 'write') this.carryOut(cut(mutation, this.stopAt - this.done))
      this.done = this.stopAt
      this.isCrashed = true
      throw new CrashError('the machine has stopped')
    }
    this.done += units
    this.carryOut(mutation)
    if (mutation.kind === 'write') {
      this.medium.file(mutation.id).modifiedMs = this.options.nowMs?.() ?? 0
    }
  }

  private carryOut(mutation: Mutation): void {
    this.journal?.push(mutation)
    this.medium.apply(mutation)
  }

  /** The fault of an operation, if it has one. */
  begin(operation: Operation): Fault | null {
    if (this.isCrashed) throw new CrashError('the machine has stopped')
    this.trace?.(operation)
    return this.fault?.(operation) ?? null
  }

  /** As `begin`, for operations that read: throws what fails, answers how much a read may fill. */
  beginRead(operation: Operation): number {
    const fault = this.begin(operation)
    if (fault === null) return operation.bytes
    if ('code' in fault) throw failure(fault.code, operation.path)
    return Math.min(operation.bytes, fault.bytesRead)
  }

  /** Others may run in front of what is asynchronous. */
  async wait(): Promise<void> {
    for (let left = Math.floor(this.options.random() * 3); left > 0; left--) await null
  }

  get isAppendSlow(): boolean {
    const { slowShare = 0, random } = this.options
    return slowShare > 0 && random() < slowShare
  }

  /** How many of so many more bytes there is room for. */
  room(bytes: number): number {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return bytes
    return Math.max(0, Math.min(bytes, this.capacityBytes - usedBytes(this.medium.root)))
  }

  // -------------------------------------------------------------------------------------------------- door 2

  async open(path: string, options: { create?: boolean } = {}): Promise<File> {
    await this.wait()
    this.beginRead({ kind: 'open', path, bytes: 0 })
    const node = this.medium.find(path)
    if (node instanceof FileNode) return new SimulatedFile(this, node, path)
    if (options.create !== true) throw notFound(path)
    return this.createSync(path)
  }

  openSync(path: string): File {
    this.beginRead({ kind: 'open', path, bytes: 0 })
    const node = this.medium.find(path)
    if (node instanceof FileNode) return new SimulatedFile(this, node, path)
    throw notFound(path)
  }

  createSync(path: string): File {
    const node = this.medium.find(path)
    if (node instanceof FileNode) {
      this.change({ kind: 'truncate', id: node.id, size: 0 }, path)
      return new SimulatedFile(this, node, path)
    }
    const id = this.medium.newId()
    this.change({ kind: 'create', path, id }, path)
    return new SimulatedFile(this, this.medium.file(id), path)
  }

  async readFile(path: string): Promise<Buffer | null> {
    await this.wait()
    return this.readFileSync(path)
  }

  readFileSync(path: string): Buffer | null {
    const node = this.medium.find(path)
    const size = node instanceof FileNode ? node.size : 0
    const count = this.beginRead({ kind: 'read', path, bytes: size })
    return node instanceof FileNode ? Buffer.from(node.contents.subarray(0, count)) : null
  }

  replaceFile(path: string, bytes: Buffer): Promise<void> {
    return replaceByRename(this, path, bytes)
  }

  async list(path: string): Promise<readonly DirectoryEntry[]> {
    await this.wait()
    this.beginRead({ kind: 'list', path, bytes: 0 })
    const node = this.medium.find(path)
    if (!(node instanceof DirectoryNode)) return []
    return [...node.entries].map(([name, entry]) => {
      const isDirectory = entry instanceof DirectoryNode
      const { size, modifiedMs } = isDirectory ? { size: 0, modifiedMs: 0 } : entry
      return { name, isDirectory, size, modifiedMs }
    })
  }

  async makeDirectory(path: string): Promise<void> {
    await this.wait()
    const names = path.split('/').slice(1)
    for (let count = 1; count <= names.length; count++) {
      const upper = `/${names.slice(0, count).join('/')}`
      if (this.medium.find(upper) === null) {
        this.change({ kind: 'makeDirectory', path: upper }, upper)
      }
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await this.wait()
    if (this.medium.find(from) === null) throw notFound(from)
    this.change({ kind: 'rename', from, to }, from)
  }

  async remove(path: string): Promise<void> {
    await this.wait()
    const node = this.medium.find(path)
    if (node === null) return this.throwIfCrashed()
    if (node instanceof DirectoryNode) {
      for (const name of [...node.entries.keys()]) await this.remove(`${path}/${name}`)
    }
    this.change({ kind: 'remove', path }, path)
  }

  async syncDirectory(path: string): Promise<void> {
    await this.wait()
    this.change({ kind: 'syncDirectory', path }, path)
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
    const totalBytes = Math.min(this.capacityBytes, 2 ** 40)
    return Promise.resolve({ totalBytes, freeBytes: this.room(totalBytes) })
  }

  private throwIfCrashed(): void {
    if (this.isCrashed) throw new CrashError('the machine has stopped')
  }
}

class SimulatedFile implements File {
  private readonly disk: SimulatedDisk
  private readonly node: FileNode
  private readonly path: string
  private isClosed = false

  constructor(disk: SimulatedDisk, node: FileNode, path: string) {
    this.disk = disk
    this.node = node
    this.path = path
  }

  get size(): number {
    return this.node.size
  }

  append(chunks: readonly Buffer[]): number | Promise<number> {
    this.mustBeOpen()
    if (!this.disk.isAppendSlow) return this.write(chunks)
    this.disk.slowdowns += 1
    return this.disk.wait().then(() => this.write(chunks))
  }

  private write(chunks: readonly Buffer[]): number {
    const { disk, node, path } = this
    const bytes = Buffer.concat(chunks)
    const room = disk.room(bytes.length)
    const position = node.size
    disk.change({ kind: 'write', id: node.id, position, bytes: bytes.subarray(0, room) }, path)
    if (room < bytes.length) throw failure('ENOSPC', path)
    return bytes.length
  }

  async read(position: number, into: Buffer): Promise<number> {
    this.mustBeOpen()
    await this.disk.wait()
    return this.fill(position, into)
  }

  readSync(position: number, into: Buffer): number {
    this.mustBeOpen()
    return this.fill(position, into)
  }

  private fill(position: number, into: Buffer): number {
    const { disk, node, path } = this
    const bytes = Math.max(0, Math.min(into.length, node.size - position))
    const count = disk.beginRead({ kind: 'read', path, bytes })
    return node.contents.copy(into, 0, position, position + count)
  }

  writeAt(position: number, bytes: Buffer): void {
    this.mustBeOpen()
    const { disk, node, path } = this
    disk.change({ kind: 'write', id: node.id, position, bytes: Buffer.from(bytes) }, path)
  }

  async truncate(size: number): Promise<void> {
    this.mustBeOpen()
    await this.disk.wait()
    this.disk.change({ kind: 'truncate', id: this.node.id, size }, this.path)
  }

  async sync(): Promise<void> {
    this.mustBeOpen()
    await this.disk.wait()
    this.disk.change({ kind: 'sync', id: this.node.id }, this.path)
  }

  async close(): Promise<void> {
    this.mustBeOpen()
    this.isClosed = true
    await this.disk.wait()
  }

  private mustBeOpen(): void {
    if (this.isClosed) throw Object.assign(new Error(`${this.path} is closed`), { code: 'EBADF' })
  }
}

function cut(mutation: Mutation & { kind: 'write' }, bytes: number): Mutation {
  return { ...mutation, bytes: mutation.bytes.subarray(0, bytes) }
}

function usedBytes(directory: DirectoryNode): number {
  let total = 0
  for (const node of directory.entries.values()) {
    total += node instanceof FileNode ? node.size : usedBytes(node)
  }
  return total
}

function notFound(path: string): Error {
  return Object.assign(new Error(`ENOENT: no such file: ${path}`), { code: 'ENOENT' })
}

function failure(code: 'EIO' | 'ENOSPC', path: string): Error {
  const words = code === 'EIO' ? 'i/o error' : 'no space left on device'
  return Object.assign(new Error(`${code}: ${words}: ${path}`), { code })
}

/**
 * A `Disk` that tells when the medium under one data directory has failed. Every file of the directory is used through it,
 * so that no failed read, write or sync is missed, whoever met it.
 *
 * A failure is final: after the first one every operation but closing is refused with KAFKA_STORAGE_ERROR without a call
 * into the system. (A second try that succeeds would prove nothing, and one on a dying disk may take minutes.)
 */
import { ProtocolError } from '../protocol/errors.ts'
import { type DirectoryEntry, type Disk, type DiskLock, type File, isDiskGone } from './disk.ts'

/** Thrown instead of the system's own error, which is its cause. */
class DiskGoneError extends ProtocolError {
  constructor(error: Error) {
    super('KAFKA_STORAGE_ERROR', `the data directory is offline (${error.message})`)
    this.cause = error
  }
}

/** Whether something failed because the medium did: told by a `WatchedDisk`, or by the system itself. */
export function isStorageFailure(error: unknown): boolean {
  return error instanceof DiskGoneError || isDiskGone(error)
}

/** What was tried when the medium failed. */
export interface DiskFailure {
  /** `read`, `write`, `sync`, …: for people. */
  readonly operation: string
  readonly file: string
  readonly error: Error
}

/** Whoever is told of the failure; it may be told of several. */
type OnFailure = (failure: DiskFailure) => void

export class WatchedDisk implements Disk {
  private readonly disk: Disk
  private readonly onFailure: OnFailure
  private failure: Error | null = null

  constructor(disk: Disk, onFailure: OnFailure) {
    this.disk = disk
    this.onFailure = onFailure
  }

  get slowdowns(): number {
    return this.disk.slowdowns
  }

  /** From here on everything is refused. */
  giveUp(error: Error): void {
    this.failure ??= error
  }

  private refuseIfFailed(): void {
    if (this.failure !== null) throw new DiskGoneError(this.failure)
  }

  /** What whoever asked for the operation hears of its failure. */
  judge(operation: string, file: string, error: unknown): unknown {
    if (!isDiskGone(error)) return error
    this.onFailure({ operation, file, error: error as Error })
    return new DiskGoneError(error as Error)
  }

  /** Runs an operation on a file; used by the open files too. */
  async watch<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
    this.refuseIfFailed()
    try {
      return await run()
    } catch (error) {
      throw this.judge(operation, path, error)
    }
  }

  watchSync<T>(operation: string, path: string, run: () => T): T {
    this.refuseIfFailed()
    try {
      return run()
    } catch (error) {
      throw this.judge(operation, path, error)
    }
  }

  open(path: string, options?: { create?: boolean; readOnly?: boolean }): Promise<File> {
    return this.watch('open', path, async () => {
      return new WatchedFile(this, path, await this.disk.open(path, options))
    })
  }

  openSync(path: string): File {
    return new WatchedFile(
      this,
      path,
      this.watchSync('open', path, () => this.disk.openSync(path)),
    )
  }

  createSync(path: string): File {
    return new WatchedFile(
      this,
      path,
      this.watchSync('create', path, () => this.disk.createSync(path)),
    )
  }

  readFileSync(path: string): Buffer | null {
    return this.watchSync('read', path, () => this.disk.readFileSync(path))
  }

  readFile(path: string): Promise<Buffer | null> {
    return this.watch('read', path, () => this.disk.readFile(path))
  }

  replaceFile(path: string, bytes: Buffer): Promise<void> {
    return this.watch('replace', path, () => this.disk.replaceFile(path, bytes))
  }

  list(path: string): Promise<readonly DirectoryEntry[]> {
    return this.watch('list', path, () => this.disk.list(path))
  }

  makeDirectory(path: string): Promise<void> {
    return this.watch('make directory', path, () => this.disk.makeDirectory(path))
  }

  rename(from: string, to: string): Promise<void> {
    return this.watch('rename', from, () => this.disk.rename(from, to))
  }

  remove(path: string): Promise<void> {
    return this.watch('remove', path, () => this.disk.remove(path))
  }

  syncDirectory(path: string): Promise<void> {
    return this.watch('sync', path, () => this.disk.syncDirectory(path))
  }

  lock(path: string): Promise<DiskLock> {
    return this.disk.lock(path)
  }

  /** Not watched: where the space cannot be told, the files may still be well. */
  space(path: string): Promise<{ totalBytes: number; freeBytes: number }> {
    return this.disk.space(path)
  }
}

class WatchedFile implements File {
  private readonly disk: WatchedDisk
  private readonly path: string
  private readonly file: File

  constructor(disk: WatchedDisk, path: string, file: File) {
    this.disk = disk
    this.path = path
    this.file = file
  }

  get size(): number {
    return this.file.size
  }

  append(chunks: readonly Buffer[]): number | Promise<number> {
    const outcome = this.atOnce('write', () => this.file.append(chunks))
    if (typeof outcome === 'number') return outcome
    return outcome.catch(error => {
      throw this.disk.judge('write', this.path, error)
    })
  }

  read(position: number, into: Buffer): Promise<number> {
    return this.inTime('read', () => this.file.read(position, into))
  }

  readSync(position: number, into: Buffer): number {
    return this.atOnce('read', () => this.file.readSync(position, into))
  }

  writeAt(position: number, bytes: Buffer): void {
    this.atOnce('write', () => this.file.writeAt(position, bytes))
  }

  truncate(size: number): Promise<void> {
    return this.inTime('truncate', () => this.file.truncate(size))
  }

  sync(): Promise<void> {
    return this.inTime('sync', () => this.file.sync())
  }

  close(): Promise<void> {
    return this.file.close()
  }

  private atOnce<T>(operation: string, run: () => T): T {
    return this.disk.watchSync(operation, this.path, run)
  }

  private inTime<T>(operation: string, run: () => Promise<T>): Promise<T> {
    return this.disk.watch(operation, this.path, run)
  }
}

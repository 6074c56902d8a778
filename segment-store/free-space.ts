/**
 * `FreeSpace`: the room that is left on the disk of a data directory.
 *
 *   free bytes ──────────── resume ──────── limit ──────────────── 0
 *               all is well   │ as before    │ producers are refused
 *
 * Below `log.dir.free.bytes.min` (at most a twentieth of the file system) producers are refused; a quarter above it they
 * are welcome again. Asked of the system by whoever has a clock (`check`), and counted in between: when what was written
 * since could have crossed the limit, it counts as crossed until the next check. A write that found no room says so too.
 *
 * A reserve file is kept for what must work on a full disk: deleting topics, checkpoints, a clean stop, a start. It is
 * removed when one of them finds no room, and made again when there is.
 */
import { ProtocolError } from '../protocol/errors.ts'
import { type Disk, isDiskFull } from './disk.ts'
import type { SpaceWatch, StoreLog } from './log-options.ts'

export const RESERVE_FILE = '.ottla-reserve'
const RESERVE_BYTES = 4 * 1024 * 1024
/** On small disks neither limit nor reserve may take more than this part. */
const MAX_SHARE = 1 / 20
const RESUME_FACTOR = 1.25

export interface FreeSpaceOptions {
  readonly disk: Disk
  readonly path: string
  /** `log.dir.free.bytes.min`; 0 leaves it to the disk to be full. */
  readonly minBytes: number
  readonly log?: StoreLog | undefined
}

export class FreeSpace implements SpaceWatch {
  /** Producers are refused. */
  isLow = false
  private readonly options: FreeSpaceOptions
  private limitBytes: number
  /** What may still be written before the limit could be crossed. */
  private allowance = Number.POSITIVE_INFINITY
  /** As last asked. */
  freeBytes = Number.POSITIVE_INFINITY
  private hasReserve = false
  private checking: Promise<void> | null = null

  constructor(options: FreeSpaceOptions) {
    this.options = options
    this.limitBytes = options.minBytes
  }

  /** Looks at what an earlier run left: on a low disk its reserve is needed now. */
  async open(): Promise<void> {
    const found = await this.options.disk.list(this.options.path)
    this.hasReserve = found.some(({ name }) => name === RESERVE_FILE)
    await this.measure()
    if (this.isLow) await this.release()
  }

  /** What is dropped had better be gone at once. */
  get isTight(): boolean {
    return this.isLow || this.freeBytes < RESERVE_BYTES
  }

  wrote(bytes: number): void {
    this.allowance -= bytes
    if (this.allowance < 0) this.turnLow()
  }

  ranOut(): void {
    this.freeBytes = 0
    this.turnLow()
  }

  /** Asks the system; one question at a time. */
  check(): Promise<void> {
    this.checking ??= this.checkOnce().finally(() => {
      this.checking = null
    })
    return this.checking
  }

  private async checkOnce(): Promise<void> {
    const totalBytes = await this.measure()
    const reserveBytes = Math.floor(Math.min(RESERVE_BYTES, totalBytes * MAX_SHARE))
    const isRoomy = this.freeBytes >= this.limitBytes * RESUME_FACTOR + reserveBytes
    if (!this.hasReserve && isRoomy) await this.makeReserve(reserveBytes)
  }

  /** Answers the bytes of the file system. */
  private async measure(): Promise<number> {
    const { disk, path, minBytes, log } = this.options
    const { totalBytes, freeBytes } = await disk.space(path)
    this.freeBytes = freeBytes
    this.limitBytes = Math.floor(Math.min(minBytes, totalBytes * MAX_SHARE))
    this.allowance = freeBytes - this.limitBytes
    const resumeBytes = this.limitBytes * RESUME_FACTOR
    if (freeBytes < this.limitBytes) this.turnLow()
    else if (this.isLow && freeBytes >= resumeBytes) {
      this.isLow = false
      log?.info('disk has room again, producers are welcome', { directory: path, freeBytes })
    }
    return totalBytes
  }

  private turnLow(): void {
    if (this.isLow) return
    this.isLow = true
    this.options.log?.warn('disk nearly full, producers are refused', {
      directory: this.options.path,
      freeBytes: this.freeBytes,
      limitBytes: this.limitBytes,
      setting: 'log.dir.free.bytes.min',
      remedy: 'delete topics or records, lower retention, or add space; it goes on by itself',
    })
  }

  /** What a producer is told. Retriable: clients try again until their own deadline. */
  refusal(what: string): ProtocolError {
    const why = `the disk of ${this.options.path} is nearly full`
    const limit = `fewer than ${this.limitBytes} bytes are free (log.dir.free.bytes.min)`
    return new ProtocolError('KAFKA_STORAGE_ERROR', `${what} is refused: ${why}, ${limit}`)
  }

  /** Runs what a full disk must not prevent; where there is no room, once more without the reserve. */
  async withReserve<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task()
    } catch (error) {
      if (!isDiskFull(error)) throw error
      this.ranOut()
      if (!(await this.release())) throw error
      return await task()
    }
  }

  /** Gives the reserve up. False: there was none. */
  async release(): Promise<boolean> {
    if (!this.hasReserve) return false
    const { disk, path, log } = this.options
    this.hasReserve = false
    await disk.remove(`${path}/${RESERVE_FILE}`)
    log?.warn('disk full, reserve given up', { directory: path })
    return true
  }

  private async makeReserve(bytes: number): Promise<void> {
    const { disk, path } = this.options
    try {
      const file = await disk.open(`${path}/${RESERVE_FILE}`, { create: true })
      try {
        await file.append([noise(bytes)])
        await file.sync()
      } finally {
        await file.close()
      }
      this.hasReserve = true
    } catch (error) {
      await disk.remove(`${path}/${RESERVE_FILE}`)
      if (!isDiskFull(error)) throw error
    }
  }
}

/** Bytes that no file system makes smaller. */
function noise(bytes: number): Buffer {
  const words = new Int32Array(Math.ceil(bytes / 4))
  let state = 1
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    words[i] = state ^ (state >>> 15)
  }
  return Buffer.from(words.buffer, 0, bytes)
}

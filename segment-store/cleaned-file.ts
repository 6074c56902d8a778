/**
 * The segment that compaction writes: `<base offset>.log.cleaned` with its indexes beside it, all of it on the medium
 * when `finish` resolves. Files with this ending are removed at the next start.
 */
import * as batches from '../protocol/record-batch.ts'
import type { Disk, File } from './disk.ts'
import { OffsetIndex } from './offset-index.ts'
import { INDEX_SUFFIXES } from './segment.ts'
import { TimeIndex } from './time-index.ts'
import { TxnIndex } from './txn-index.ts'

/** What is gathered before it is written. */
const FLUSH_BYTES = 256 * 1024

export class CleanedFile {
  readonly txnIndex = new TxnIndex()
  private readonly disk: Disk
  private readonly path: string
  private readonly file: File
  private readonly offsetIndex: OffsetIndex
  private readonly timeIndex: TimeIndex
  private readonly indexIntervalBytes: number
  private readonly pending = Buffer.allocUnsafe(FLUSH_BYTES)
  private pendingBytes = 0
  private large: Buffer[] = []
  private largeBytes = 0
  private bytes = 0
  private bytesSinceIndexEntry = 0
  private greatestTimestamp = -1
  private isClosed = false
  private offsetOfGreatest: number

  static async create(
    disk: Disk,
    path: string,
    baseOffset: number,
    config: { readonly segmentIndexBytes: number; readonly indexIntervalBytes: number },
  ): Promise<CleanedFile> {
    // What an interrupted pass left.
    for (const suffix of INDEX_SUFFIXES) await disk.remove(`${path}${suffix}.cleaned`)
    const file = disk.createSync(`${path}.log.cleaned`)
    return new CleanedFile(disk, path, file, baseOffset, config)
  }

  private constructor(
    disk: Disk,
    path: string,
    file: File,
    baseOffset: number,
    config: { readonly segmentIndexBytes: number; readonly indexIntervalBytes: number },
  ) {
    this.disk = disk
    this.path = path
    this.file = file
    this.offsetIndex = new OffsetIndex(baseOffset, config.segmentIndexBytes)
    this.timeIndex = new TimeIndex(baseOffset, config.segmentIndexBytes)
    this.indexIntervalBytes = config.indexIntervalBytes
    this.offsetOfGreatest = baseOffset
  }

  get size(): number {
    return this.bytes
  }

  get isFlushDue(): boolean {
    return this.largeBytes > 0 || this.pendingBytes > FLUSH_BYTES / 2
  }

  /** Takes a copy of the batch. After it, `isFlushDue` is to be asked. */
  add(batch: Buffer): void {
    this.index(batch)
    if (batch.length > FLUSH_BYTES - this.pendingBytes) {
      this.large = [Buffer.from(batch)]
      this.largeBytes = batch.length
    } else {
      this.pending.set(batch, this.pendingBytes)
      this.pendingBytes += batch.length
    }
    this.bytes += batch.length
  }

  private index(batch: Buffer): void {
    const timestamp = batches.maxTimestamp(batch, 0)
    const last = batches.lastOffset(batch, 0)
    if (timestamp > this.greatestTimestamp) {
      this.greatestTimestamp = timestamp
      this.offsetOfGreatest = last
    }
    if (this.bytesSinceIndexEntry > this.indexIntervalBytes && !this.offsetIndex.isFull) {
      this.offsetIndex.append(last, this.bytes)
      if (!this.timeIndex.isFull) {
        this.timeIndex.maybeAppend(this.greatestTimestamp, this.offsetOfGreatest)
      }
      this.bytesSinceIndexEntry = 0
    }
    this.bytesSinceIndexEntry += batch.length
  }

  /** Writes what was gathered; answers how much. */
  async flush(): Promise<number> {
    const count = this.pendingBytes + this.largeBytes
    if (count === 0) return 0
    await this.file.append([this.pending.subarray(0, this.pendingBytes), ...this.large])
    this.pendingBytes = 0
    this.large = []
    this.largeBytes = 0
    return count
  }

  /** Everything that was added is on the medium, with its indexes. */
  async finish(): Promise<void> {
    await this.flush()
    await this.file.sync()
    this.timeIndex.maybeAppend(this.greatestTimestamp, this.offsetOfGreatest)
    const { disk, path } = this
    await this.offsetIndex.entries.save(disk, `${path}.index.cleaned`, true)
    await this.timeIndex.entries.save(disk, `${path}.timeindex.cleaned`, true)
    await this.txnIndex.save(disk, `${path}.txnindex.cleaned`)
    await this.close()
  }

  private async close(): Promise<void> {
    if (this.isClosed) return
    this.isClosed = true
    await this.file.close()
  }

  /** Gives up: the files go. */
  async abandon(): Promise<void> {
    await this.close()
    await removeCleaned(this.disk, this.path)
  }
}

/** Removes the `.cleaned` files of one segment. */
export async function removeCleaned(disk: Disk, path: string): Promise<void> {
  for (const suffix of ['.log', ...INDEX_SUFFIXES]) await disk.remove(`${path}${suffix}.cleaned`)
}

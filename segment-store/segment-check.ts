/**
 * Checking one segment without changing anything: every batch's header and checksum, that its records can be decoded,
 * that offsets ascend, and that both indexes say what the log says. In steps of bounded size, so that whoever checks a
 * running broker's files can go as slowly as it likes.
 *
 * A missing index is no problem (it is rebuilt when it is needed), one that lies is.
 */
import { MalformedError } from '../protocol/buffer.ts'
import { codecs, decompress } from '../protocol/compression.ts'
import * as batches from '../protocol/record-batch.ts'
import { type RecordScan, scanRecords } from '../protocol/record-scan.ts'
import { RecordCursor } from '../protocol/records.ts'
import { type WalkOptions, walkBatches } from './batch-walker.ts'
import type { File } from './disk.ts'
import { OFFSET_ENTRY_BYTES, OffsetIndex } from './offset-index.ts'
import { TIME_ENTRY_BYTES, TimeIndex } from './time-index.ts'

/** Something in a file that cannot be right. */
export interface Problem {
  readonly file: string
  /** Where in the file; -1: the file as a whole. */
  readonly position: number
  readonly problem: string
}

/** What a batch may decompress to. */
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024
/** Batches that do not fit the walker's window, and those of an asynchronous codec, wait until so many have come. */
const MAX_PENDING = 32
/** Larger batches are only summed up: reading one whole would take that much memory. */
const LARGEST_DECODED_BYTES = 256 * 1024 * 1024
/** Of one segment; a file of rubbish would otherwise give millions. */
const MAX_PROBLEMS = 100

export interface SegmentFiles {
  /** Path without the suffix. */
  readonly path: string
  readonly baseOffset: number
  readonly log: File
  /** Contents of the index files; null where there is none. */
  readonly index: Buffer | null
  readonly timeIndex: Buffer | null
}

export class SegmentCheck {
  readonly problems: Problem[] = []
  batchCount = 0
  recordCount = 0
  /** How far the log file has been checked. */
  position = 0
  /** The offset after the last batch. */
  nextOffset: number
  /** The checking is over: everything was looked at, or what follows `position` can be no batch. */
  isDone = false

  private readonly files: SegmentFiles
  private readonly size: number
  private readonly pending: number[] = []
  private readonly indexes: IndexCheck
  private readonly cursor = new RecordCursor()
  private readonly scan: RecordScan = { minDelta: 0, maxDelta: 0, indexOfMax: 0, hasNullKey: false }

  constructor(files: SegmentFiles) {
    this.files = files
    this.size = files.log.size
    this.nextOffset = files.baseOffset
    this.indexes = new IndexCheck(files, (file, position, problem) =>
      this.report(file, position, problem),
    )
  }

  /** Checks about `bytes` more (at least one batch). */
  async step(bytes: number): Promise<void> {
    if (this.isDone) return
    const { log } = this.files
    const until = this.position + bytes
    const options: WalkOptions = {
      checkCrc: true,
      firstOffset: this.nextOffset,
      onBadCrc: (position, damage) => {
        this.reportLog(position, damage)
        this.indexes.sawDamage(position)
      },
    }
    const start = this.position
    const end = await walkBatches(log, start, this.size, options, (buffer, at, position) => {
      if (position > start && (position >= until || this.pending.length >= MAX_PENDING))
        return false
      this.sawBatch(buffer, at, position)
      return true
    })
    this.position = end.position
    this.nextOffset = Math.max(this.nextOffset, end.nextOffset)
    for (const position of this.pending.splice(0)) await this.checkLater(position)
    if (end.damage !== null) {
      const rest = this.size - end.position
      this.reportLog(end.position, `${end.damage}; the ${rest} bytes from here on cannot be read`)
    }
    if (end.damage === null && end.position < this.size) return
    this.isDone = true
    if (end.damage === null) this.indexes.finish(end.position)
  }

  private sawBatch(buffer: Buffer, at: number, position: number): void {
    this.batchCount += 1
    this.recordCount += Math.max(0, batches.recordCount(buffer, at))
    this.indexes.sawBatch(buffer, at, position)
    const isWhole = batches.sizeInBytes(buffer, at) <= buffer.length - at
    if (!isWhole) {
      this.pending.push(position)
      return
    }
    const isLater = this.checkRecords(buffer, at, position)
    // Its bytes are in a window that moves on.
    if (isLater !== null) {
      isLater.catch(() => {})
      this.pending.push(position)
    }
  }

  private async checkLater(position: number): Promise<void> {
    const header = Buffer.alloc(batches.RECORD_BATCH_OVERHEAD)
    await this.files.log.read(position, header)
    const size = batches.sizeInBytes(header, 0)
    if (size > LARGEST_DECODED_BYTES) return
    const batch = Buffer.allocUnsafe(size)
    if ((await this.files.log.read(position, batch)) < size) return
    await this.checkRecords(batch, 0, position)
  }

  /** null: checked. A promise for a codec that is only asynchronous. */
  private checkRecords(buffer: Buffer, at: number, position: number): Promise<void> | null {
    const start = at + batches.RECORD_BATCH_OVERHEAD
    const end = at + batches.sizeInBytes(buffer, at)
    const count = batches.recordCount(buffer, at)
    const last = batches.lastOffsetDelta(buffer, at)
    const codec = batches.codec(buffer, at)
    if (codec === codecs.none || count === 0) {
      this.walkRecords(buffer, start, end, count, last, position)
      return null
    }
    try {
      const plain = decompress(codec, buffer.subarray(start, end), MAX_DECOMPRESSED_BYTES)
      if (Buffer.isBuffer(plain)) {
        this.walkRecords(plain, 0, plain.length, count, last, position)
        return null
      }
      return plain.then(
        bytes => this.walkRecords(bytes, 0, bytes.length, count, last, position),
        error => this.reportLog(position, `cannot be decompressed: ${messageOf(error)}`),
      )
    } catch (error) {
      this.reportLog(position, `cannot be decompressed: ${messageOf(error)}`)
      return null
    }
  }

  private walkRecords(
    bytes: Buffer,
    start: number,
    end: number,
    count: number,
    lastDelta: number,
    position: number,
  ): void {
    if (count === lastDelta + 1 && scanRecords(bytes, start, end, count, this.scan)) return
    const { cursor } = this
    let previous = -1
    try {
      cursor.reset(bytes, start, end, count)
      while (cursor.next()) {
        const { offsetDelta } = cursor
        if (offsetDelta <= previous || offsetDelta > lastDelta) {
          const range = `after ${previous}, at most ${lastDelta}`
          this.reportLog(position, `record with offset delta ${offsetDelta}, due ${range}`)
          return
        }
        previous = offsetDelta
      }
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      this.reportLog(position, `records cannot be decoded: ${error.message}`)
    }
  }

  private reportLog(position: number, problem: string): void {
    this.report('.log', position, problem)
  }

  private report(suffix: string, position: number, problem: string): void {
    if (this.problems.length >= MAX_PROBLEMS) return
    this.problems.push({ file: `${this.files.path}${suffix}`, position, problem })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Holds the indexes against the batches as they come by. */
class IndexCheck {
  private offsets: OffsetIndex | null
  private times: TimeIndex | null
  private nextOffsetEntry = 0
  private nextTimeEntry = 0
  private maxTimestamp = -1
  private readonly report: (suffix: string, position: number, problem: string) => void

  constructor(
    { index, timeIndex, baseOffset }: SegmentFiles,
    report: (suffix: string, position: number, problem: string) => void,
  ) {
    this.report = report
    const offsets = index === null ? null : withoutZeros(index, OFFSET_ENTRY_BYTES)
    const times = timeIndex === null ? null : withoutZeros(timeIndex, TIME_ENTRY_BYTES)
    this.offsets = offsets && new OffsetIndex(baseOffset, offsets.length + 8, offsets)
    this.times = times && new TimeIndex(baseOffset, times.length + 12, times)
    if (this.offsets?.isSane(Number.POSITIVE_INFINITY) === false) {
      this.report('.index', -1, 'entries that do not ascend, or a piece of one')
      this.offsets = null
    }
    if (this.times?.isSane(Number.POSITIVE_INFINITY) === false) {
      this.report('.timeindex', -1, 'entries that do not ascend, or a piece of one')
      this.times = null
    }
  }

  sawBatch(buffer: Buffer, at: number, position: number): void {
    this.maxTimestamp = Math.max(this.maxTimestamp, batches.maxTimestamp(buffer, at))
    const { offsets } = this
    while (offsets !== null && this.nextOffsetEntry < offsets.entries.count) {
      const i = this.nextOffsetEntry
      const indexed = offsets.positionAt(i)
      if (indexed > position) break
      this.nextOffsetEntry += 1
      const says = `entry ${i} says offset ${offsets.offsetAt(i)} at position ${indexed}`
      const where = i * OFFSET_ENTRY_BYTES
      if (indexed < position) this.report('.index', where, `${says}, where no batch begins`)
      else if (offsets.offsetAt(i) < batches.baseOffset(buffer, at)) {
        const first = batches.baseOffset(buffer, at)
        this.report('.index', where, `${says}, where offset ${first} begins`)
      }
    }
    this.checkTimesUpTo(batches.lastOffset(buffer, at))
  }

  /** Of a batch with a wrong checksum nothing is known but where it begins. */
  sawDamage(position: number): void {
    const { offsets } = this
    this.times = null
    if (offsets === null || this.nextOffsetEntry >= offsets.entries.count) return
    if (offsets.positionAt(this.nextOffsetEntry) === position) this.nextOffsetEntry += 1
  }

  private checkTimesUpTo(offset: number): void {
    const { times } = this
    while (times !== null && this.nextTimeEntry < times.entries.count) {
      const i = this.nextTimeEntry
      if (times.offsetAt(i) > offset) return
      this.nextTimeEntry += 1
      const stored = times.timestampAt(i)
      if (stored === this.maxTimestamp) continue
      const says = `entry ${i} says timestamp ${stored} up to offset ${times.offsetAt(i)}`
      this.report(
        '.timeindex',
        i * TIME_ENTRY_BYTES,
        `${says}, where the log has ${this.maxTimestamp}`,
      )
    }
  }

  /** The log ends at `position`: what is left in the indexes points behind it. */
  finish(position: number): void {
    const { offsets, times } = this
    if (offsets !== null && this.nextOffsetEntry < offsets.entries.count) {
      const i = this.nextOffsetEntry
      const says = `entry ${i} says position ${offsets.positionAt(i)}`
      this.report('.index', i * OFFSET_ENTRY_BYTES, `${says}, behind the last batch (${position})`)
    }
    if (times !== null && this.nextTimeEntry < times.entries.count) {
      const i = this.nextTimeEntry
      const says = `entry ${i} says offset ${times.offsetAt(i)}`
      this.report('.timeindex', i * TIME_ENTRY_BYTES, `${says}, behind the last batch`)
    }
  }
}

/** Kafka makes the indexes of its newest segment large and full of zeros; what was not used is no entry. */
function withoutZeros(bytes: Buffer, entryBytes: number): Buffer {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return bytes.subarray(0, Math.min(bytes.length, Math.ceil(end / entryBytes) * entryBytes))
}

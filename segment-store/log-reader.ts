/**
 * Reading a log: bytes from an offset on.
 *
 * A read begins at the position that the index knows at or before the wanted batch and finds the batch in the bytes that
 * came: no call into the kernel for a batch header. What was written a moment ago is read at once (the page cache has
 * it, the event loop does not wait); anything else goes through the pool and answers with a promise.
 *
 *   read:   ┌ batches before ┬ first batch with lastOffset >= offset ┬ … ┬ cut ┐
 *           position from the index                                  answer ends at maxBytes, or in front of upTo
 */

import type { BufferPool } from '../protocol/buffer-pool.ts'
import { ProtocolError } from '../protocol/errors.ts'
import * as batches from '../protocol/record-batch.ts'
import { walkBatches } from './batch-walker.ts'
import { impossible, ReadDamage } from './read-damage.ts'
import type { ReadPositions } from './read-positions.ts'
import type { Segment } from './segment.ts'
import type { AbortedTransaction } from './txn-index.ts'

export { ReadDamage }

/** Bytes needed to know which offsets a batch holds, and where it ends. */
const BYTES_TO_LAST_OFFSET = batches.LAST_OFFSET_DELTA + 4
/** Reads up to this size of recent bytes are done at once. */
const SYNC_READ_BYTES = 64 * 1024
/** So many bytes before the end of what was written are taken to be in the page cache. */
const HOT_TAIL_BYTES = 4 * 1024 * 1024
/** In answers of more batches than this the index is good enough to go on by. */
const FOLLOWED_BATCHES = 64

/** Bytes of a log, valid until `release`, which is called exactly once, when they have been sent. */
export interface LogSlice {
  readonly chunks: readonly Buffer[]
  readonly size: number
  /** What a reader of committed data must skip; null if the read was not `committed`. */
  readonly aborted: readonly AbortedTransaction[] | null
  release(): void
}

export interface ReadRequest {
  readonly offset: number
  readonly maxBytes: number
  /** Nothing at or above this offset is answered: the high watermark, or the last stable offset. */
  readonly upTo: number
  /** The first batch is answered whole even if it is larger than `maxBytes`. */
  readonly minOneBatch: boolean
  /** Also tell the aborted transactions. */
  readonly committed: boolean
}

/** What reading needs to know of a log. */
export interface ReadableLog {
  readonly segments: readonly Segment[]
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly writtenOffset: number
  readonly buffers: BufferPool
  readonly overReadBytes: number
  readonly name: string
  readonly damage: ReadDamage
}

const NOTHING: readonly Buffer[] = []

class EmptySlice implements LogSlice {
  readonly chunks = NOTHING
  readonly size = 0
  readonly aborted: readonly AbortedTransaction[] | null

  constructor(aborted: readonly AbortedTransaction[] | null) {
    this.aborted = aborted
  }

  release(): void {}
}

const EMPTY = new EmptySlice(null)
const EMPTY_COMMITTED = new EmptySlice([])

class PooledSlice implements LogSlice {
  readonly chunks: readonly Buffer[]
  readonly size: number
  readonly aborted: readonly AbortedTransaction[] | null
  private readonly pool: BufferPool
  private buffer: Buffer | null

  constructor(
    pool: BufferPool,
    buffer: Buffer,
    start: number,
    end: number,
    aborted: readonly AbortedTransaction[] | null,
  ) {
    this.pool = pool
    this.buffer = buffer
    this.chunks = [buffer.subarray(start, end)]
    this.size = end - start
    this.aborted = aborted
  }

  release(): void {
    if (this.buffer !== null) this.pool.release(this.buffer)
    this.buffer = null
  }
}

/** Index of the segment that holds `offset`, or the first one if all begin above it. */
export function segmentIndexFor(segments: readonly Segment[], offset: number): number {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (segments[middle]!.baseOffset <= offset) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

/**
 * Answers from the batch that contains `offset` on. Throws OFFSET_OUT_OF_RANGE outside [logStartOffset, logEndOffset];
 * between `upTo` and the end there is nothing to see yet.
 */
export function readLog(log: ReadableLog, request: ReadRequest): LogSlice | Promise<LogSlice> {
  const { offset } = request
  if (offset < log.logStartOffset || offset > log.logEndOffset) {
    throw new ProtocolError(
      'OFFSET_OUT_OF_RANGE',
      `offset ${offset} of ${log.name} is outside [${log.logStartOffset}, ${log.logEndOffset}]`,
    )
  }
  const bound = Math.min(request.upTo, log.writtenOffset)
  if (offset >= bound) return empty(request)
  const segment = log.segments[segmentIndexFor(log.segments, offset)]!
  return new SegmentRead(log, request, bound, segment).start()
}

function empty(request: ReadRequest): LogSlice {
  return request.committed ? EMPTY_COMMITTED : EMPTY
}

/** One read in one segment. It may take several reads of the file, nearly always one. */
class SegmentRead {
  private readonly log: ReadableLog
  private readonly request: ReadRequest
  private readonly bound: number
  private readonly segment: Segment
  /** Bytes at or behind this position are not answered. */
  private limit = 0
  /** The limit is where `bound` begins; otherwise the answer is cut by looking at batches. */
  private isLimitExact = false
  /** Bytes that the file should have had for the last read of it. */
  private asked = 0
  /** The position came from the index, which may not be this segment's. */
  private isFromIndex = false
  /** As they were when the read began: if the segment is truncated meanwhile, nobody looks at these any more. */
  private places: ReadPositions | null = null

  constructor(log: ReadableLog, request: ReadRequest, bound: number, segment: Segment) {
    this.log = log
    this.request = request
    this.bound = bound
    this.segment = segment
  }

  start(): LogSlice | Promise<LogSlice> {
    const { segment, request } = this
    if (!segment.isLoaded) return this.loadFirst()
    this.limit = segment.writtenSize
    const boundPosition = segment.tailPosition(this.bound)
    if (this.bound >= segment.endOffset || this.bound === this.log.writtenOffset) {
      this.isLimitExact = true
    } else if (boundPosition !== -1) {
      this.limit = Math.min(this.limit, boundPosition)
      this.isLimitExact = true
    }
    const exact = segment.tailPosition(request.offset)
    if (exact !== -1) return this.readFrom(exact, request.maxBytes)
    this.places = segment.indexes.readPositions
    const before = segment.positionBefore(request.offset)
    const over = request.maxBytes < SYNC_READ_BYTES ? this.log.overReadBytes : 0
    this.isFromIndex = before > 0 && !segment.isActive
    return this.readFrom(before, request.maxBytes + over)
  }

  private async loadFirst(): Promise<LogSlice> {
    const { segment, log, request } = this
    try {
      // The log may have changed meanwhile: begin anew.
      return await segment.use(() => readLog(log, request))
    } catch (error) {
      // Deleted or replaced while its files were being opened.
      if (log.segments.includes(segment)) throw error
      return await readLog(log, request)
    }
  }

  private readFrom(position: number, wanted: number): LogSlice | Promise<LogSlice> {
    const { segment, log } = this
    const length = Math.min(Math.max(wanted, BYTES_TO_LAST_OFFSET), this.limit - position)
    if (length < BYTES_TO_LAST_OFFSET) {
      return this.isFromIndex ? this.withoutIndex(null) : this.nextSegment()
    }
    this.asked = length
    const buffer = log.buffers.acquire(length)
    const into = buffer.subarray(0, length)
    const isHot =
      length <= SYNC_READ_BYTES + log.overReadBytes &&
      segment.isActive &&
      position + HOT_TAIL_BYTES >= segment.writtenSize
    if (isHot) return this.evaluate(buffer, segment.file.readSync(position, into), position, true)
    return segment.use(() => this.readInPool(buffer, into, position))
  }

  private async readInPool(buffer: Buffer, into: Buffer, position: number): Promise<LogSlice> {
    let filled: number
    try {
      filled = await this.segment.file.read(position, into)
    } catch (error) {
      this.log.buffers.release(buffer)
      throw error
    }
    const isTail = this.segment.isActive && position + HOT_TAIL_BYTES >= this.segment.writtenSize
    return await this.evaluate(buffer, filled, position, isTail)
  }

  /**
   * Finds the wanted batch among the `filled` bytes that stand at `position` in the file, and cuts the answer. Bytes that
   * were not written a moment ago are looked at more closely: disks forget.
   */
  private evaluate(
    buffer: Buffer,
    filled: number,
    position: number,
    isRecent: boolean,
  ): LogSlice | Promise<LogSlice> {
    const { request, segment, log } = this
    if (this.isFromIndex && this.isIndexWrong(buffer, filled)) return this.withoutIndex(buffer)
    this.isFromIndex = false
    let at = 0
    let due = segment.baseOffset
    while (at + BYTES_TO_LAST_OFFSET <= filled && batches.lastOffset(buffer, at) < request.offset) {
      const size = this.checkedSize(buffer, at, position, due)
      due = batches.lastOffset(buffer, at) + 1
      at += size
    }
    if (at + BYTES_TO_LAST_OFFSET > filled) {
      log.buffers.release(buffer)
      if (filled < this.asked) return this.cutShort(position + filled)
      return this.readFrom(position + at, request.maxBytes + log.overReadBytes)
    }
    const first = this.checkedSize(buffer, at, position, due)
    const isTooLarge = first > request.maxBytes && !request.minOneBatch
    if (isTooLarge || batches.lastOffset(buffer, at) >= this.bound) {
      this.mustEndInSegment(buffer, at, position)
      log.buffers.release(buffer)
      return empty(request)
    }
    if (at + first > filled) {
      if (position + at + first > segment.writtenSize) {
        throw this.damaged(buffer, position + at, `batch of ${first} bytes, more than there are`)
      }
      log.buffers.release(buffer)
      if (position + at + first > this.limit) return empty(request)
      if (filled < this.asked) return this.cutShort(position + filled)
      return this.readFrom(position + at, Math.max(first, request.maxBytes))
    }
    let end = Math.min(filled, at + Math.max(first, request.maxBytes))
    if (!isRecent) end = this.cutAtDamage(buffer, at, end, position)
    if (!this.isLimitExact) end = this.cutAtBound(buffer, at, end, position)
    this.noteNext(buffer, at, end, position)
    const aborted = request.committed ? this.abortedBefore(position + end) : null
    return new PooledSlice(log.buffers, buffer, at, end, aborted)
  }

  /** Remembers where the batch behind the last whole one of the answer begins. */
  private noteNext(buffer: Buffer, start: number, end: number, position: number): void {
    if (this.places === null) return
    let at = start
    let due = -1
    for (let i = 0; at + BYTES_TO_LAST_OFFSET <= end; i++) {
      if (i === FOLLOWED_BATCHES || impossible(buffer, at, due) !== null) return
      const size = batches.sizeInBytes(buffer, at)
      if (at + size > end) break
      due = batches.lastOffset(buffer, at) + 1
      at += size
    }
    if (due !== -1) this.places.note(due, position + at)
  }

  /** An index entry stands for a batch at or before the wanted one: anything else there, and it is not our index. */
  private isIndexWrong(buffer: Buffer, filled: number): boolean {
    if (filled < BYTES_TO_LAST_OFFSET) return false
    if (impossible(buffer, 0, this.segment.baseOffset) !== null) return true
    return batches.baseOffset(buffer, 0) > this.request.offset
  }

  /** Once for each segment: makes new indexes from the batches and reads again. */
  private async withoutIndex(buffer: Buffer | null): Promise<LogSlice> {
    const { log, segment, request } = this
    if (buffer !== null) log.buffers.release(buffer)
    const isNew = await segment.use(() => segment.remakeIndexes())
    this.isFromIndex = false
    if (isNew) log.damage.noteIndex(`${segment.path}.index`)
    return isNew ? readLog(log, request) : this.readFrom(0, request.maxBytes)
  }

  /** Bytes in front of the first damaged batch may be answered; if that is the wanted one, nothing. */
  private cutAtDamage(buffer: Buffer, start: number, end: number, position: number): number {
    const found = this.log.damage.find(buffer, start, end)
    if (found === null) return end
    if (found.at === start) throw this.damaged(buffer, position + start, found.problem)
    this.damaged(null, position + found.at, found.problem)
    return found.at
  }

  /** A batch that goes beyond its segment's end is none: its offset, which no checksum covers, is not what it was. */
  private mustEndInSegment(buffer: Buffer, at: number, position: number): void {
    const last = batches.lastOffset(buffer, at)
    const { endOffset, isActive } = this.segment
    if (isActive || last < endOffset) return
    const problem = `last offset ${last} in a segment that ends before ${endOffset}`
    throw this.damaged(buffer, position + at, problem)
  }

  private damaged(buffer: Buffer | null, position: number, problem: string): ProtocolError {
    if (buffer !== null) this.log.buffers.release(buffer)
    return this.log.damage.report(this.log.name, `${this.segment.path}.log`, position, problem)
  }

  /** The file has no more, though batches were due: it was truncated under this read, or its end has been lost. */
  private cutShort(end: number): LogSlice {
    const { log, segment, request } = this
    if (end >= segment.writtenSize) return empty(request)
    throw new ProtocolError(
      'CORRUPT_MESSAGE',
      `${log.name}: ${segment.path}.log ends at ${end} of ${segment.writtenSize} bytes`,
    )
  }

  private cutAtBound(buffer: Buffer, start: number, end: number, position: number): number {
    let at = start
    while (at + BYTES_TO_LAST_OFFSET <= end) {
      if (batches.lastOffset(buffer, at) >= this.bound) return at
      at += this.checkedSize(buffer, at, position, 0)
    }
    // A last batch that is cut, but of which enough was seen, may stay. Of less than that nothing is known.
    return Math.min(at, end)
  }

  /** Size of a batch that lies in a file: never trusted to be possible. */
  private checkedSize(buffer: Buffer, at: number, position: number, due: number): number {
    const problem = impossible(buffer, at, due)
    if (problem !== null) throw this.damaged(buffer, position + at, problem)
    return batches.sizeInBytes(buffer, at)
  }

  /** The offset lies in a gap (compaction removed what was there): the answer is in the next segment. */
  private nextSegment(): LogSlice | Promise<LogSlice> {
    const { segments } = this.log
    // By offset: this segment may be gone from the list, and its successor may hold what was in it.
    const index = segmentIndexFor(segments, this.segment.endOffset)
    const next = segments[index] === this.segment ? segments[index + 1] : segments[index]
    if (next === undefined || this.segment.endOffset >= this.bound) return empty(this.request)
    return new SegmentRead(this.log, this.request, this.bound, next).start()
  }

  private abortedBefore(endPosition: number): readonly AbortedTransaction[] {
    const { log, request, segment } = this
    const known = segment.offsetBehind(endPosition) ?? segment.endOffset
    const end = Math.min(known, this.bound)
    const found: AbortedTransaction[] = []
    for (let i = log.segments.indexOf(segment); i < log.segments.length; i++) {
      if (log.segments[i]!.txnIndex.collect(request.offset, end, found)) break
    }
    return found
  }
}

/** About how many bytes a read of [offset, upTo) could answer; exact near the end of the log. */
export function bytesBetween(log: ReadableLog, offset: number, upTo: number): number {
  const bound = Math.min(upTo, log.writtenOffset)
  if (offset >= bound) return 0
  let total = 0
  for (let i = segmentIndexFor(log.segments, offset); i < log.segments.length; i++) {
    const segment = log.segments[i]!
    if (segment.baseOffset >= bound) break
    const end = bound >= segment.endOffset ? segment.writtenSize : positionOf(segment, bound)
    total += end - (offset <= segment.baseOffset ? 0 : positionOf(segment, offset))
  }
  return Math.max(total, 1)
}

function positionOf(segment: Segment, offset: number): number {
  const exact = segment.tailPosition(offset)
  if (exact !== -1) return Math.min(exact, segment.writtenSize)
  return segment.isLoaded ? segment.positionBefore(offset) : 0
}

/** Where the first batch begins that holds `offset` or a later one; the end of the segment if there is none. */
export async function positionOfBatch(segment: Segment, offset: number): Promise<number> {
  const candidate = await findBatch(segment, segment.positionBefore(offset), (buffer, at) => {
    return batches.lastOffset(buffer, at) >= offset
  })
  return candidate?.position ?? segment.writtenSize
}

/** The first batch from `position` on that `matches`, read whole. */
export async function findBatch(
  segment: Segment,
  position: number,
  matches: (buffer: Buffer, at: number) => boolean,
): Promise<{ batch: Buffer; position: number } | null> {
  let found = -1
  let size = 0
  const options = { checkCrc: false, firstOffset: segment.baseOffset }
  await walkBatches(segment.file, position, segment.writtenSize, options, (buffer, at, place) => {
    if (!matches(buffer, at)) return true
    found = place
    size = batches.sizeInBytes(buffer, at)
    return false
  })
  if (found === -1) return null
  const batch = Buffer.allocUnsafe(size)
  const filled = await segment.file.read(found, batch)
  return filled === size ? { batch, position: found } : null
}

/**
 * Damage that reads run into: told to the log once for each place, counted, and answered with CORRUPT_MESSAGE.
 *
 * A batch's checksum covers all its bytes, and summing all that is read would cost a broker a good part of what reading
 * costs; the reader of a batch sums it anyway. So of what comes from the disk the first batch of each read is checked
 * and of the others one in sixty-one. What a client is given up to a damaged batch is whole; from there on it gets the
 * error.
 */
import { ProtocolError } from '../protocol/errors.ts'
import * as batches from '../protocol/record-batch.ts'
import type { StoreLog } from './log-options.ts'

/** One batch in so many is summed; the first of each read always. */
const SAMPLED = 61
/** Batches of one read that are looked at: some reads hold thousands of small ones. */
const LOOKED_AT = 64
/** Places that are remembered, so that a client that asks again and again fills no log. */
const REMEMBERED = 256

export class ReadDamage {
  /** Places found damaged since the log was opened. */
  count = 0
  private readonly log: StoreLog | undefined
  private readonly seen = new Set<string>()
  private untilSample = SAMPLED

  constructor(log: StoreLog | undefined) {
    this.log = log
  }

  /** Notes that the batch at `position` is not what was written; answers the error for who wanted it. */
  report(name: string, file: string, position: number, problem: string): ProtocolError {
    const place = `${file} ${position}`
    if (!this.seen.has(place)) {
      this.count += 1
      if (this.seen.size >= REMEMBERED) this.seen.clear()
      this.seen.add(place)
      this.log?.warn('damaged batch', { file, position, problem })
    }
    return new ProtocolError('CORRUPT_MESSAGE', `${name}: ${problem} at ${position} in ${file}`)
  }

  /** Notes that an index proved to be another file's; it has been made anew. */
  noteIndex(file: string): void {
    this.log?.warn('index does not fit its log, rebuilt', { file })
  }

  /** What is wrong with the whole batch at `at`; null if it is right, or was not summed this time. */
  sample(buffer: Buffer, at: number, isFirst: boolean): string | null {
    if (!isFirst) {
      this.untilSample -= 1
      if (this.untilSample > 0) return null
      this.untilSample = SAMPLED
    }
    const stored = batches.crc(buffer, at)
    const sum = batches.computeCrc(buffer, at)
    return sum === stored ? null : `checksum ${stored} stored, ${sum} computed`
  }

  /**
   * Looks at the batches in `buffer[start, end)`. Answers where the first one begins that can be no batch of this place
   * or has a wrong checksum, and what is wrong with it; null if none was found.
   */
  find(buffer: Buffer, start: number, end: number): { at: number; problem: string } | null {
    let at = start
    let due = batches.baseOffset(buffer, start)
    for (let i = 0; i < LOOKED_AT && at + batches.RECORD_BATCH_OVERHEAD <= end; i++) {
      const size = batches.sizeInBytes(buffer, at)
      const problem =
        impossible(buffer, at, due) ??
        (at + size <= end ? this.sample(buffer, at, at === start) : null)
      if (problem !== null) return { at, problem }
      due = batches.lastOffset(buffer, at) + 1
      at += size
    }
    return null
  }
}

/** Why what stands at `at` can be no batch that begins at offset `due` or later; null if it can. Needs no whole header. */
export function impossible(b: Buffer, at: number, due: number): string | null {
  const size = batches.sizeInBytes(b, at)
  if (batches.magic(b, at) !== batches.CURRENT_MAGIC) return `magic ${batches.magic(b, at)}`
  if (size < batches.RECORD_BATCH_OVERHEAD) return `batch of ${size} bytes`
  const delta = batches.lastOffsetDelta(b, at)
  if (delta < 0) return `last offset delta ${delta}`
  const base = batches.baseOffset(b, at)
  return base < due ? `offset ${base} where ${due} or more was due` : null
}

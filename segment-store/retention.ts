/**
 * Retention: what of a log is older than `retention.ms`, or more than `retention.bytes`, is dropped, whole segments from
 * its start, never above the high watermark.
 *
 * A segment's age is that of its newest record. The active segment counts as the others: once all of it is past
 * retention a new one is begun, so that a topic that nobody writes to any more becomes empty.
 */
import type { LogParts } from './log-parts.ts'
import type { Segment } from './segment.ts'
import { advanceLogStart, deleteSegmentsBelowStart } from './shortening.ts'

/** One pass at the time `nowMs`; answers the number of segments that went. */
export async function enforceRetention(log: LogParts, nowMs: number): Promise<number> {
  // An earlier pass may have moved the start and then failed.
  let count = await deleteSegmentsBelowStart(log)
  const start = log.config.cleanupPolicy.delete ? await retainedFrom(log, nowMs) : -1
  if (start <= log.logStartOffset) return count
  if (start > log.active.baseOffset) {
    // The log always has an active segment; one that has failed cannot begin another.
    if (!log.writer.canAppend) return count
    log.roll(nowMs)
  }
  count += await advanceLogStart(log, start)
  return count
}

/** The offset from which on the log is kept; -1 if all of it is. */
async function retainedFrom(log: LogParts, nowMs: number): Promise<number> {
  const { retentionMs, retentionBytes } = log.config
  const { highWatermark } = log
  const { writtenOffset } = log.writer
  const end = highWatermark === -1 ? writtenOffset : Math.min(highWatermark, writtenOffset)
  let sizeBytes = 0
  for (const segment of log.segmentList) sizeBytes += segment.size
  let from = -1
  for (const segment of [...log.segmentList]) {
    if (segment.size === 0 && segment === log.active) break
    if (segment.endOffset > end) break
    const isTooMuch = retentionBytes >= 0 && sizeBytes - segment.size >= retentionBytes
    if (!isTooMuch && !(retentionMs >= 0 && (await isTooOld(segment, nowMs - retentionMs)))) break
    sizeBytes -= segment.size
    from = segment.endOffset
  }
  return from
}

async function isTooOld(segment: Segment, beforeMs: number): Promise<boolean> {
  await segment.loadMaxTimestamp()
  const newest = segment.maxTimestamp >= 0 ? segment.maxTimestamp : segment.createdMs
  return newest < beforeMs
}

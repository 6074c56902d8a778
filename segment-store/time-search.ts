/**
 * Finding records by time: the first at or after a timestamp, and the newest. The time index says where to begin; then
 * batches are looked at by their headers, and the records of those that may hold the answer are decoded.
 */
import * as batches from '../protocol/record-batch.ts'
import { decodeBatch } from '../protocol/records.ts'
import { findBatch, type ReadableLog } from './log-reader.ts'
import type { Segment } from './segment.ts'

/** Bounds what one batch may decompress to when its records are searched for a time. */
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024

export interface TimestampAndOffset {
  readonly timestamp: number
  readonly offset: number
  readonly leaderEpoch: number
}

/** The first record at or above `startOffset` whose timestamp is `timestamp` or later; null if there is none. */
export async function findByTimestamp(
  log: ReadableLog,
  timestamp: number,
): Promise<TimestampAndOffset | null> {
  for (const segment of [...log.segments]) {
    if (segment.endOffset <= log.logStartOffset) continue
    await segment.loadMaxTimestamp()
    if (segment.maxTimestamp < timestamp) continue
    const found = await segment.use(() => searchSegment(log, segment, timestamp))
    if (found !== null) return found
  }
  return null
}

async function searchSegment(
  log: ReadableLog,
  segment: Segment,
  timestamp: number,
): Promise<TimestampAndOffset | null> {
  const from = Math.max(segment.offsetBefore(timestamp), log.logStartOffset)
  let position = segment.positionBefore(from)
  while (position < segment.writtenSize) {
    const candidate = await findBatch(segment, position, (buffer, at) => {
      if (batches.lastOffset(buffer, at) < log.logStartOffset) return false
      return batches.maxTimestamp(buffer, at) >= timestamp
    })
    if (candidate === null) return null
    for (const record of await decodeBatch(candidate.batch, 0, MAX_DECOMPRESSED_BYTES)) {
      if (record.timestamp < timestamp || record.offset < log.logStartOffset) continue
      const leaderEpoch = batches.leaderEpoch(candidate.batch, 0)
      return { timestamp: record.timestamp, offset: record.offset, leaderEpoch }
    }
    position = candidate.position + candidate.batch.length
  }
  return null
}

/**
 * The first record with the greatest timestamp of the log; null if no record has one. Compaction keeps batches without
 * records, and DeleteRecords cuts within one: a header may promise a time that no readable record has.
 */
export async function findMaxTimestamp(log: ReadableLog): Promise<TimestampAndOffset | null> {
  const segments = log.segments.filter(({ endOffset }) => endOffset > log.logStartOffset)
  for (const segment of segments) await segment.loadMaxTimestamp()
  // A stable sort: of equal times the earlier segment comes first.
  segments.sort((a, b) => b.maxTimestamp - a.maxTimestamp)
  let best: TimestampAndOffset | null = null
  for (const segment of segments) {
    if (segment.maxTimestamp <= (best?.timestamp ?? -1)) break
    const above: number = best?.timestamp ?? -1
    const found: TimestampAndOffset | null = await segment.use(() => newestIn(log, segment, above))
    best = found ?? best
  }
  return best
}

/** The first record with the segment's greatest timestamp, if that is above `above`. */
async function newestIn(
  log: ReadableLog,
  segment: Segment,
  above: number,
): Promise<TimestampAndOffset | null> {
  // Where the index says that it is; only if it is not there, in any batch.
  const hinted = segment.positionBefore(segment.offsetOfMaxTimestamp)
  const found = await newestFrom(log, segment, hinted, segment.maxTimestamp - 1)
  return found ?? (await newestFrom(log, segment, 0, above))
}

/** The first record from `position` on with the greatest timestamp of all above `above`. */
async function newestFrom(
  log: ReadableLog,
  segment: Segment,
  position: number,
  above: number,
): Promise<TimestampAndOffset | null> {
  let best = null as TimestampAndOffset | null
  for (let next = position; next < segment.writtenSize; ) {
    const atLeast = (best?.timestamp ?? above) + 1
    const candidate = await findBatch(segment, next, (buffer, at) => {
      if (batches.lastOffset(buffer, at) < log.logStartOffset) return false
      return batches.recordCount(buffer, at) > 0 && batches.maxTimestamp(buffer, at) >= atLeast
    })
    if (candidate === null) return best
    const { batch } = candidate
    for (const { timestamp, offset } of await decodeBatch(batch, 0, MAX_DECOMPRESSED_BYTES)) {
      if (offset < log.logStartOffset || timestamp <= (best?.timestamp ?? above)) continue
      best = { timestamp, offset, leaderEpoch: batches.leaderEpoch(batch, 0) }
    }
    // Nothing in the segment can be newer.
    if (best !== null && best.timestamp >= segment.maxTimestamp) return best
    next = candidate.position + batch.length
  }
  return best
}

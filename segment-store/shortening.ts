/**
 * A log gets shorter: at its start (DeleteRecords, retention), where whole segments go, or at its end (truncation), where
 * the last one is cut.
 */
import assert from 'node:assert/strict'
import { ProtocolError } from '../protocol/errors.ts'
import type { LogParts } from './log-parts.ts'
import { positionOfBatch, segmentIndexFor } from './log-reader.ts'
import { INDEX_SUFFIXES, Segment } from './segment.ts'

/**
 * Nothing below `offset` can be read any more; segments that lie wholly below go. Where the log starts is on the medium
 * before a file is touched: a crash leaves files that are too many, never a log that seems to start too early.
 */
export async function advanceLogStart(log: LogParts, offset: number): Promise<number> {
  if (offset > log.logEndOffset) {
    throw new ProtocolError('OFFSET_OUT_OF_RANGE', `${log.name} ends at ${log.logEndOffset}`)
  }
  if (offset <= log.logStartOffset) return 0
  log.storeLog?.info('log start moved', { log: log.name, from: log.logStartOffset, to: offset })
  log.logStartOffset = offset
  await log.startMoved()
  if (log.epochs.truncateFromStart(offset)) log.areEpochsDirty = true
  log.saveEpochs()
  return await deleteSegmentsBelowStart(log)
}

/** Removes the segments that end at or below the log's start, and answers how many. The active one always stays. */
export async function deleteSegmentsBelowStart(log: LogParts): Promise<number> {
  const { segmentList, disk, directory } = log
  await log.writer.allWritten()
  await log.writer.settled()
  const isBelow = (segment: Segment, next: Segment | undefined) =>
    segment !== log.active && next !== undefined && next.baseOffset <= log.logStartOffset
  const gone = segmentList.filter((segment, i) => isBelow(segment, segmentList[i + 1]))
  if (gone.length === 0) return 0
  const files: string[] = []
  for (const segment of gone) {
    files.push(await setAside(log, segment))
    log.storeLog?.info('segment deleted', {
      log: log.name,
      baseOffset: segment.baseOffset,
      bytes: segment.size,
    })
  }
  // As long as they are in the list, the log's start stays checkpointed.
  await disk.syncDirectory(directory)
  segmentList.splice(0, gone.length)
  for (const file of files) await log.deletedFiles.add(file, log.config.fileDeleteDelayMs)
  await log.snapshots.removeStray(segmentList)
  return gone.length
}

/** Takes a segment's files out of the log and answers what its log file is called now: it may be large. */
async function setAside({ disk }: LogParts, segment: Segment): Promise<string> {
  await segment.close()
  const aside = `${segment.path}.log.deleted`
  await disk.rename(`${segment.path}.log`, aside)
  for (const suffix of INDEX_SUFFIXES) await disk.remove(`${segment.path}${suffix}`)
  return aside
}

/**
 * Drops everything at and above `offset`, and the whole of a batch that contains it. What was cut off is gone from the
 * medium when this resolves: it must not come back between batches that are appended in its place.
 */
export async function truncate(log: LogParts, offset: number): Promise<void> {
  assert(offset >= 0, `negative offset ${offset}`)
  await log.settle()
  if (offset >= log.logEndOffset) return
  const { segmentList } = log
  if (offset <= segmentList[0]!.baseOffset) return truncateFully(log, offset)
  log.storeLog?.info('log truncated', { log: log.name, from: log.logEndOffset, to: offset })
  await forgetAbove(log, offset)
  const keep = segmentIndexFor(segmentList, offset)
  await removeNewestFirst(log, segmentList.splice(keep + 1))
  const active = segmentList[keep]!
  // In use: its indexes must not be given up on the way.
  await active.use(async () => {
    await active.truncateTo(await positionOfBatch(active, offset), offset)
  })
  log.active = active
  active.isActive = true
  endAt(log, offset)
  await log.snapshots.restore(log.producers, segmentList, offset, 0)
  await log.startMoved()
}

/** One after the other, each on the medium before the next, so that a crash leaves no hole between two segments. */
async function removeNewestFirst(log: LogParts, segments: readonly Segment[]): Promise<void> {
  for (const segment of segments.toReversed()) {
    await segment.remove()
    await log.disk.syncDirectory(log.directory)
  }
}

/**
 * Drops what was appended and could not be written: the log ends at `writtenOffset` again, with the producers and epochs
 * of then. Nothing is staged any more and nothing appended meanwhile.
 */
export async function rollBack(log: LogParts): Promise<void> {
  const { segmentList, writer } = log
  const offset = writer.writtenOffset
  const keep = segmentIndexFor(segmentList, offset)
  for (const segment of segmentList.splice(keep + 1)) await segment.remove()
  const active = segmentList[keep]!
  log.active = active
  active.isActive = true
  await active.use(() => active.truncateTo(active.writtenSize, offset))
  endAt(log, offset)
  await log.snapshots.restore(log.producers, segmentList, offset, 0)
}

/** Drops everything and starts again, empty, at `offset`. */
export async function truncateFully(log: LogParts, offset: number): Promise<void> {
  await log.settle()
  log.storeLog?.info('log truncated fully', { log: log.name, from: log.logEndOffset, to: offset })
  await forgetAbove(log, offset)
  await removeNewestFirst(log, log.segmentList.splice(0))
  log.active = Segment.create(log.place, log.config, offset, 0)
  log.segmentList.push(log.active)
  // A log without its first segment would seem to start later.
  await log.disk.syncDirectory(log.directory)
  log.logStartOffset = offset
  log.epochs.clear()
  log.areEpochsDirty = true
  endAt(log, offset)
  log.producers.clear()
  await log.snapshots.removeAll()
  await log.startMoved()
}

/**
 * The recovery point goes back before anything is cut: after a crash on the way, what is appended in the place of the old
 * batches would lie below it, and nobody would look whether it is whole.
 */
async function forgetAbove(log: LogParts, offset: number): Promise<void> {
  log.writer.durableOffset = Math.min(log.writer.durableOffset, offset)
  log.cleanedOffset = Math.min(log.cleanedOffset, offset)
  await log.startMoved()
}

function endAt(log: LogParts, offset: number): void {
  log.logEndOffset = offset
  log.writer.endAt(offset)
  log.cleanedOffset = Math.min(log.cleanedOffset, offset)
  log.logStartOffset = Math.min(log.logStartOffset, offset)
  if (log.epochs.truncateFromEnd(offset)) log.areEpochsDirty = true
  log.saveEpochs()
}

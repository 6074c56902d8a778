/**
 * A log gets shorter: at its start (DeleteRecords, retention), where whole segments go, or at its end (truncation), where
 * the last one is cut.
 */
import assert from 'node:assert/strict'
import { ProtocolError } from '../protocol/errors.ts'
import type { LogParts } from './log-parts.ts'
import { positionOfBatch, segmentIndexFor } from './log-reader.ts'
import { Segment } from './segment.ts'

/** Nothing below `offset` can be read any more; segments that lie wholly below go. */
export async function advanceLogStart(log: LogParts, offset: number): Promise<void> {
  if (offset > log.logEndOffset) {
    throw new ProtocolError('OFFSET_OUT_OF_RANGE', `${log.name} ends at ${log.logEndOffset}`)
  }
  if (offset <= log.logStartOffset) return
  log.storeLog?.info('log start moved', { log: log.name, from: log.logStartOffset, to: offset })
  log.logStartOffset = offset
  if (log.epochs.truncateFromStart(offset)) log.areEpochsDirty = true
  log.saveEpochs()
  await deleteSegmentsBelowStart(log)
}

/** Removes the segments that end at or below the log's start. The active one always stays. */
export async function deleteSegmentsBelowStart(log: LogParts): Promise<void> {
  await log.writer.allWritten()
  const { segmentList } = log
  while (segmentList.length > 1 && segmentList[1]!.baseOffset <= log.logStartOffset) {
    const segment = segmentList.shift()!
    log.storeLog?.info('segment deleted', { log: log.name, baseOffset: segment.baseOffset })
    await segment.remove()
  }
  await log.snapshots.removeStray(segmentList)
}

/** Drops everything at and above `offset`, and the whole of a batch that contains it. */
export async function truncate(log: LogParts, offset: number): Promise<void> {
  assert(offset >= 0, `negative offset ${offset}`)
  await log.settle()
  if (offset >= log.logEndOffset) return
  const { segmentList } = log
  if (offset <= segmentList[0]!.baseOffset) return truncateFully(log, offset)
  log.storeLog?.info('log truncated', { log: log.name, from: log.logEndOffset, to: offset })
  const keep = segmentIndexFor(segmentList, offset)
  for (const segment of segmentList.splice(keep + 1)) await segment.remove()
  const active = segmentList[keep]!
  await active.load()
  await active.truncateTo(await positionOfBatch(active, offset), offset)
  log.active = active
  active.isActive = true
  endAt(log, offset)
  await log.snapshots.restore(log.producers, segmentList, offset, 0)
}

/** Drops everything and starts again, empty, at `offset`. */
export async function truncateFully(log: LogParts, offset: number): Promise<void> {
  await log.settle()
  log.storeLog?.info('log truncated fully', { log: log.name, from: log.logEndOffset, to: offset })
  for (const segment of log.segmentList.splice(0)) await segment.remove()
  log.active = Segment.create(log.place, log.config, offset, 0)
  log.segmentList.push(log.active)
  log.writer.isDirectoryDirty = true
  log.logStartOffset = offset
  log.epochs.clear()
  log.areEpochsDirty = true
  endAt(log, offset)
  log.producers.clear()
  await log.snapshots.removeAll()
}

function endAt(log: LogParts, offset: number): void {
  log.logEndOffset = offset
  log.writer.endAt(offset)
  log.logStartOffset = Math.min(log.logStartOffset, offset)
  if (log.epochs.truncateFromEnd(offset)) log.areEpochsDirty = true
  log.saveEpochs()
}

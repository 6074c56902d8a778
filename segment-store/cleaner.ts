/**
 * Compaction of one log: which part of it is dirty, whether that is worth a pass, and the pass itself. The work on files
 * is in cleaning.ts and may be done by another thread; what is done here changes the log.
 *
 *   logStartOffset      firstDirtyOffset                 bound                 active
 *   ├── cleaned before ──┼── newest offset of each key ──┼── too young, or ───┼──────┤
 *                                                           not yet decided
 */
import assert from 'node:assert/strict'
import { INT64_MAX } from '../protocol/buffer.ts'
import {
  type CleanedGroup,
  type CleanerLimits,
  type CleaningEnvironment,
  type CleaningJob,
  type CleaningResult,
  clean,
} from './cleaning.ts'
import type { LogParts } from './log-parts.ts'
import { segmentIndexFor } from './log-reader.ts'
import type { HashKey } from './offset-map.ts'
import type { Segment } from './segment.ts'
import { swapIn } from './swap.ts'

export type { CleanerLimits, CleaningJob, CleaningResult } from './cleaning.ts'

/** Does the work on files: here, or in another thread. */
export type CleaningEngine = (job: CleaningJob, env: CleaningEnvironment) => Promise<CleaningResult>

export interface CleaningOptions {
  readonly limits?: CleanerLimits
  /** Numbers that nobody can foresee; the default is for tests. */
  readonly hashKey?: HashKey
  readonly engine?: CleaningEngine
  /** Told of the bytes read and written; may take its time, and rejects to end the pass. */
  readonly pace?: (bytes: number) => void | Promise<void>
}

const DEFAULT_LIMITS: CleanerLimits = {
  dedupeBufferBytes: 134_217_728,
  loadFactor: 0.9,
  ioBufferBytes: 524_288,
}

export interface Dirtiness {
  readonly firstDirtyOffset: number
  /** Above it nothing may be compacted yet. Where a segment begins. */
  readonly bound: number
  readonly cleanBytes: number
  readonly cleanableBytes: number
  /** `cleanableBytes` as a part of both. */
  readonly ratio: number
  /** How long ago the oldest dirty record should have been compacted (`max.compaction.lag.ms`); 0: not yet. */
  readonly overdueMs: number
}

/** What there is to compact; null if the log is not compacted by its policy. */
export async function dirtinessOf(log: LogParts, nowMs: number): Promise<Dirtiness | null> {
  const { config, segmentList } = log
  if (!config.cleanupPolicy.compact) return null
  const firstDirtyOffset = Math.min(
    Math.max(log.cleanedOffset, log.logStartOffset),
    log.logEndOffset,
  )
  const bound = await boundOf(log, firstDirtyOffset, nowMs)
  let cleanBytes = 0
  let cleanableBytes = 0
  let oldestMs = Number.POSITIVE_INFINITY
  const isLagBounded = config.maxCompactionLagMs < INT64_MAX
  for (const segment of [...segmentList]) {
    if (segment.endOffset <= firstDirtyOffset) cleanBytes += segment.size
    else if (segment.endOffset <= bound) {
      cleanableBytes += segment.size
      if (!isLagBounded) continue
      if (segment.firstTimestamp < 0) await segment.use(() => segment.loadFirstTimestamp())
      if (segment.firstTimestamp > 0) oldestMs = Math.min(oldestMs, segment.firstTimestamp)
    }
  }
  const total = cleanBytes + cleanableBytes
  return {
    firstDirtyOffset,
    bound,
    cleanBytes,
    cleanableBytes,
    ratio: total === 0 ? 0 : cleanableBytes / total,
    overdueMs: isLagBounded ? Math.max(0, nowMs - config.maxCompactionLagMs - oldestMs) : 0,
  }
}

/** Whether the settings of the topic ask for a pass. */
export function isWorthCleaning(log: LogParts, dirtiness: Dirtiness): boolean {
  if (dirtiness.cleanableBytes === 0) return false
  return dirtiness.overdueMs > 0 || dirtiness.ratio > log.config.minCleanableDirtyRatio
}

async function boundOf(log: LogParts, firstDirtyOffset: number, nowMs: number): Promise<number> {
  const { segmentList, active, highWatermark } = log
  const { writtenOffset } = log.writer
  const end = highWatermark === -1 ? writtenOffset : Math.min(highWatermark, writtenOffset)
  const stable = Math.min(end, log.lastStableOffset)
  // Down to where a segment begins: only whole segments are replaced.
  let bound = active.baseOffset
  if (stable < bound) bound = segmentList[segmentIndexFor(segmentList, stable)]!.baseOffset
  const lagMs = log.config.minCompactionLagMs
  if (lagMs > 0) {
    for (const segment of [...segmentList]) {
      if (segment.baseOffset >= bound) break
      if (segment.endOffset <= firstDirtyOffset) continue
      await segment.loadMaxTimestamp()
      if (segment.maxTimestamp > nowMs - lagMs) bound = segment.baseOffset
    }
  }
  return Math.max(bound, firstDirtyOffset)
}

/**
 * One pass over a log at the time `nowMs`, if there is anything to compact at all; null if not, or if the log has changed
 * under it. When it resolves the result is on the medium, and the cleaned offset noted.
 */
export async function cleanLog(
  log: LogParts,
  nowMs: number,
  options: CleaningOptions = {},
): Promise<CleaningResult | null> {
  rollOverdue(log, nowMs)
  // Only what is synced, with its indexes, is replaced: nothing else would write to the old files again.
  await log.sync()
  const dirtiness = await dirtinessOf(log, nowMs)
  if (dirtiness === null || dirtiness.cleanableBytes === 0) return null
  const sources = log.segmentList.filter(
    segment => segment !== log.active && segment.endOffset <= dirtiness.bound,
  )
  if (sources.some(segment => segment.isDirty || !segment.areIndexesSaved)) return null
  // A new segment may end before the next one begins. Behind the recovery point that would be taken for damage.
  if (log.recoveryPoint < dirtiness.bound) return null
  await log.cleanedMoved()
  const job = jobFor(log, sources, dirtiness, nowMs, options)
  let isStale = false
  const swapped = new Set<number>()
  const finished = async (group: CleanedGroup) => {
    if (!isStale) isStale = !(await log.exclusively(() => swapIn(log, group)))
    if (isStale) throw new LogChangedError(log.name)
    for (const base of group.sources) swapped.add(base)
  }
  const pace = options.pace ?? (() => {})
  const engine = options.engine ?? clean
  try {
    const result = await engine(job, { disk: log.disk, pace, finished })
    assert(result.endOffset <= dirtiness.bound, 'nothing above the bound is compacted')
    log.cleanedOffset = Math.max(log.cleanedOffset, result.endOffset)
    await log.cleanedMoved()
    return result
  } catch (error) {
    // Its segments were deleted or cut off: the next pass begins with what is there then.
    const areGone = sources.some(segment => segment.isGone && !swapped.has(segment.baseOffset))
    if (isStale || areGone) return null
    throw error
  }
}

class LogChangedError extends Error {
  override readonly name = 'LogChangedError'
}

/** A record must not stay uncompacted for ever because nothing is written behind it. */
function rollOverdue(log: LogParts, nowMs: number): void {
  const { active, config, writer } = log
  if (active.size === 0 || !writer.canAppend || !config.cleanupPolicy.compact) return
  if (config.maxCompactionLagMs >= INT64_MAX || active.firstTimestamp <= 0) return
  if (active.firstTimestamp < nowMs - config.maxCompactionLagMs) log.roll(nowMs)
}

function jobFor(
  log: LogParts,
  sources: readonly Segment[],
  dirtiness: Dirtiness,
  nowMs: number,
  options: CleaningOptions,
): CleaningJob {
  const { config } = log
  const lastRecords = new Map<number, { lastOffset: number; epoch: number }>()
  for (const { producerId, lastOffset, epoch } of log.producers.entries()) {
    lastRecords.set(producerId, { lastOffset, epoch })
  }
  return {
    name: log.name,
    directory: log.directory,
    segments: sources.map(({ baseOffset, endOffset, size }) => ({ baseOffset, endOffset, size })),
    firstDirtyOffset: dirtiness.firstDirtyOffset,
    bound: dirtiness.bound,
    aborted: log.segmentList.flatMap(({ txnIndex }) => [...txnIndex.entries]),
    lastRecords,
    segmentBytes: config.segmentBytes,
    segmentIndexBytes: config.segmentIndexBytes,
    indexIntervalBytes: config.indexIntervalBytes,
    deleteRetentionMs: config.deleteRetentionMs,
    nowMs,
    limits: options.limits ?? DEFAULT_LIMITS,
    hashKey: options.hashKey ?? [1, 2, 3, 4],
  }
}

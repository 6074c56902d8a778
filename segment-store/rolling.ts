/**
 * When a log begins a new segment: before the newest one outgrows its size, its age or its indexes.
 */
import { ProtocolError } from '../protocol/errors.ts'
import type { LogConfig } from './config.ts'
import type { Segment } from './segment.ts'

/** What the decision depends on. */
export interface RollingLog {
  readonly name: string
  readonly config: LogConfig
  readonly active: Segment
}

/**
 * Whether a batch of `size` bytes that ends at `lastOffset` needs a new segment.
 *
 * @throws RECORD_LIST_TOO_LARGE for one that fits no segment
 */
export function mustRoll(
  log: RollingLog,
  size: number,
  lastOffset: number,
  timestamp: number,
  nowMs: number,
): boolean {
  const { active, config } = log
  if (size > config.segmentBytes) {
    throw new ProtocolError(
      'RECORD_LIST_TOO_LARGE',
      `a batch of ${size} bytes does not fit segment.bytes ${config.segmentBytes} of ${log.name}`,
    )
  }
  if (active.size === 0) return false
  if (active.size > config.segmentBytes - size) return true
  const waitedMs =
    active.firstTimestamp >= 0 ? timestamp - active.firstTimestamp : nowMs - active.createdMs
  if (waitedMs > maxSegmentMs(config) - jitterMs(log)) return true
  return active.areIndexesFull || !active.fits(lastOffset)
}

/** Only sealed segments are compacted: where that must happen in time, they are sealed in time. */
function maxSegmentMs({ cleanupPolicy, maxCompactionLagMs, segmentMs }: LogConfig): number {
  return cleanupPolicy.compact ? Math.min(maxCompactionLagMs, segmentMs) : segmentMs
}

/** Partitions that began together should not roll together: a part of `segment.jitter.ms`, fixed for each segment. */
function jitterMs({ name, config, active }: RollingLog): number {
  const { segmentJitterMs } = config
  if (segmentJitterMs === 0) return 0
  let hash = active.baseOffset % 2147483647
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) | 0
  return Math.abs(hash) % Math.min(segmentJitterMs, maxSegmentMs(config))
}

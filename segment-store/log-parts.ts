/**
 * What a log is made of, for the files that do a part of its work: shortening.ts,
 * retention.ts, cleaner.ts, swap.ts. `Log` is the
 * only implementation; everyone outside of this room uses its methods.
 */
import type { LogConfig } from './config.ts'
import type { DeletedFiles } from './deleted-files.ts'
import type { Disk } from './disk.ts'
import type { LeaderEpochs } from './leader-epochs.ts'
import type { StoreLog } from './log-options.ts'
import type { LogWriter } from './log-writer.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import type { ProducerStates } from './producer-state.ts'
import type { Segment, SegmentPlace } from './segment.ts'

export interface LogParts {
  readonly name: string
  readonly directory: string
  readonly disk: Disk
  readonly place: SegmentPlace
  readonly storeLog: StoreLog | undefined
  readonly writer: LogWriter
  readonly config: LogConfig
  /** At least one; the last is `active`. Changed in place. */
  readonly segmentList: Segment[]
  active: Segment
  readonly producers: ProducerStates
  readonly epochs: LeaderEpochs
  readonly snapshots: ProducerSnapshots
  areEpochsDirty: boolean
  logStartOffset: number
  logEndOffset: number
  readonly highWatermark: number
  readonly lastStableOffset: number
  /** Below it compaction has been; never above the end. */
  cleanedOffset: number
  readonly deletedFiles: DeletedFiles
  /** Seals the active segment and begins the next. */
  roll(nowMs: number): void
  /** Resolves when the log's start and its recovery point are on the medium. */
  startMoved(): Promise<void>
  /** Resolves when `cleanedOffset` and the recovery point are noted. */
  cleanedMoved(): Promise<void>
  /** Below it everything is on the medium, and described there. */
  readonly recoveryPoint: number
  sync(): Promise<void>
  /** Runs what adds, drops or replaces sealed segments, one after the other. */
  exclusively<T>(task: () => Promise<T>): Promise<T>
  /** Writes the epoch file, in the background, if it does not say what `epochs` says. */
  saveEpochs(): void
  /** Waits until nothing is being written any more, neither batches nor what describes them. */
  settle(): Promise<void>
}

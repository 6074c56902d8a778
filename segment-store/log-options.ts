/**
 * What a log is opened with, and whom it tells.
 */
import type { BufferPool } from '../protocol/buffer-pool.ts'
import type { Turn } from '../protocol/io.ts'
import type { CleanSegment } from './clean-segments.ts'
import type { LogConfig } from './config.ts'
import type { DeletedFiles } from './deleted-files.ts'
import type { Disk } from './disk.ts'
import type { LoadedIndexes } from './loaded-indexes.ts'
import type { Staging } from './staging.ts'

/** The part of a logger that the store needs. */
export interface StoreLog {
  info(event: string, fields: Readonly<Record<string, unknown>>): void
  warn(event: string, fields: Readonly<Record<string, unknown>>): void
}

export interface LogCallbacks {
  /** Everything below `writtenOffset` is with the kernel. Called at the turn's end, or later while the disk is slow. */
  written(writtenOffset: number): void
  /**
   * The log starts later, or ends earlier, than it did. Resolves when its start and its recovery point are on the medium:
   * only then do files go, or batches come in the place of others.
   */
  startMoved?(): Promise<void>
  /** The disk was full: nothing above `writtenOffset` that was appended so far will ever be written. The log goes on. */
  dropped?(writtenOffset: number): void
  /**
   * Compaction has come to `cleanedOffset`, or is about to replace segments. Resolves when that is noted, and the recovery
   * point, below which alone a log may have holes.
   */
  cleanedMoved?(): Promise<void>
  /** The log has failed; called once. */
  failed(error: Error): void
}

/** Who watches the free space of the directory (free-space.ts). */
export interface SpaceWatch {
  /** So many bytes of batches went to the disk. */
  wrote(bytes: number): void
  /** A write found no room. */
  ranOut(): void
}

export interface LogOptions {
  readonly directory: string
  readonly disk: Disk
  readonly config: LogConfig
  readonly turn: Turn
  readonly buffers: BufferPool
  readonly staging: Staging
  readonly indexes?: LoadedIndexes | undefined
  /** Where dropped files go; without it they are removed at once. */
  readonly deletedFiles?: DeletedFiles
  readonly producerIdExpirationMs: number
  readonly nowMs: number
  /** For telling how far a long recovery has come; without it that is not told. */
  readonly monotonicMs?: () => number
  readonly wasCleanShutdown: boolean
  /** What the clean stop noted of the newest segment; without it that is read. */
  readonly cleanSegment?: CleanSegment | undefined
  /** Below it everything is known to be on the medium. */
  readonly recoveryPoint: number
  /** As checkpointed, or 0. */
  readonly logStartOffset: number
  /** Below it compaction has been, as checkpointed, and may have left holes between segments; 0 where it has not. */
  readonly cleanedOffset?: number
  readonly log?: StoreLog
  readonly space?: SpaceWatch | undefined
  readonly on: LogCallbacks
}

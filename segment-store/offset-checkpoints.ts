/**
 * The checkpoint files of a data directory that note an offset for each log: recovery points, starts, high watermarks, and
 * how far compaction has come. Nothing in them is indispensable: without a recovery point more is checked.
 */
import {
  CLEANED_OFFSETS,
  encodeOffsets,
  HIGH_WATERMARKS,
  LOG_START_OFFSETS,
  type Offsets,
  parseOffsets,
  RECOVERY_POINTS,
} from './checkpoint.ts'
import type { Disk } from './disk.ts'
import type { Log } from './log.ts'
import type { StoreLog } from './log-options.ts'

const FILES = [RECOVERY_POINTS, LOG_START_OFFSETS, HIGH_WATERMARKS, CLEANED_OFFSETS]

export interface OffsetCheckpointsOptions {
  readonly path: string
  readonly disk: Disk
  readonly log?: StoreLog | undefined
  /** What a file that finds no room may use (free-space.ts). */
  readonly space: { withReserve<T>(task: () => Promise<T>): Promise<T> }
  /** The logs that are open, by name. */
  readonly logs: ReadonlyMap<string, Log>
}

export class OffsetCheckpoints {
  private readonly options: OffsetCheckpointsOptions
  /** Contents of the files: as read at the start, then as written. */
  private readonly offsets = new Map<string, Offsets>()
  /** Names of deleted logs of which the files may still speak, and how many writes of them had begun by then. */
  private readonly forgotten = new Map<string, number>()
  private writes = 0
  private saving: Promise<void> = Promise.resolve()
  private nextSave: Promise<void> | null = null

  constructor(options: OffsetCheckpointsOptions) {
    this.options = options
  }

  async load(): Promise<void> {
    for (const file of FILES) this.offsets.set(file, await this.read(file))
  }

  private async read(file: string): Promise<Offsets> {
    const { disk, path, log } = this.options
    const bytes = await disk.readFile(`${path}/${file}`)
    if (bytes === null) return new Map()
    try {
      return parseOffsets(bytes)
    } catch (error) {
      log?.warn('checkpoint unreadable, going on without', { name: file, error: String(error) })
      return new Map()
    }
  }

  /** What one of the files says of a log. */
  offsetOf(file: string, name: string): number | undefined {
    return this.offsets.get(file)?.get(name)
  }

  /** Nothing holds of this log any more. Answers whether the files, as they are on the medium, may speak of it. */
  forget(name: string): boolean {
    for (const offsets of this.offsets.values()) {
      if (offsets.delete(name)) this.forgotten.set(name, this.writes)
    }
    return this.forgotten.has(name)
  }

  /**
   * The offsets of all logs as they are at this moment or later, on the medium. One after the other, because the files
   * are replaced by way of one aside each; who asks while others wait for their turn waits with them.
   */
  save(): Promise<void> {
    this.nextSave ??= this.saving.then(() => {
      this.nextSave = null
      return this.write()
    })
    const save = this.nextSave
    this.saving = save.catch(() => {})
    return save
  }

  /** Each file has the logs that are there when it is made: one that was deleted meanwhile must not come back. */
  private async write(): Promise<void> {
    const write = ++this.writes
    const { logs } = this.options
    await this.replace(RECOVERY_POINTS, offsets => {
      for (const [name, log] of logs) if (log.failure === null) offsets.set(name, log.recoveryPoint)
    })
    await this.replace(LOG_START_OFFSETS, offsets => {
      for (const [name, log] of logs) {
        if (log.logStartOffset > log.segments[0]!.baseOffset) offsets.set(name, log.logStartOffset)
        else offsets.delete(name)
      }
    })
    await this.replace(HIGH_WATERMARKS, offsets => {
      for (const [name, log] of logs) {
        if (log.failure !== null) continue
        offsets.set(name, log.highWatermark === -1 ? log.writtenOffset : log.highWatermark)
      }
    })
    // Most directories have no log that was ever compacted.
    const compacted = [...logs].some(([, log]) => log.cleanedOffset > 0)
    if (compacted || this.forgotten.size > 0) {
      await this.replace(CLEANED_OFFSETS, offsets => {
        for (const [name, { cleanedOffset }] of logs) {
          if (cleanedOffset > 0) offsets.set(name, cleanedOffset)
        }
      })
    }
    for (const [name, before] of this.forgotten) if (before < write) this.forgotten.delete(name)
  }

  private async replace(file: string, change: (offsets: Offsets) => void): Promise<void> {
    const offsets = this.offsets.get(file)!
    change(offsets)
    const bytes = encodeOffsets(offsets)
    const { disk, path, space } = this.options
    await space.withReserve(() => disk.replaceFile(`${path}/${file}`, bytes))
  }
}

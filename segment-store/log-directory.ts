/**
 * A data directory: the logs of one broker, one directory each, and what is known about all of them.
 *
 *   .lock                                our exclusive lock (directory-lock.ts)
 *   meta.properties                      whose directory this is
 *   .ottla-clean-segments                what the clean stop knew of each log's newest segment (clean-segments.ts)
 *   .kafka_cleanshutdown                 there between a clean stop and the next start; without it logs are recovered
 *   recovery-point-offset-checkpoint     of each log: below it everything is on the medium
 *   log-start-offset-checkpoint          where a log starts, if that is not 0
 *   replication-offset-checkpoint        high watermarks
 *   cleaner-offset-checkpoint            how far compaction has come
 *   orders-0/ orders-1/ …                the logs: <topic>-<partition>
 *   orders-0.<id>-delete/                a deleted log on its way out
 *
 * A directory whose medium fails goes offline as a whole, until the next start: its logs fail, nothing more is written.
 *
 * Invariant: the clean mark is removed before the first log is opened and written after the last one was closed.
 */
import type { BufferPool } from '../protocol/buffer-pool.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Io } from '../protocol/io.ts'
import {
  CLEANED_OFFSETS,
  encodeMetaProperties,
  encodePartitionMetadata,
  HIGH_WATERMARKS,
  LOG_START_OFFSETS,
  META_PROPERTIES,
  type MetaProperties,
  PARTITION_METADATA,
  parseMetaProperties,
  parsePartitionMetadata,
  RECOVERY_POINTS,
} from './checkpoint.ts'
import {
  CLEAN_SEGMENTS,
  type CleanSegment,
  type CleanSegments,
  encodeCleanSegments,
  readCleanSegments,
} from './clean-segments.ts'
import type { LogConfig } from './config.ts'
import { DeletedFiles } from './deleted-files.ts'
import { type Disk, type DiskLock, isDiskFull, isSystemError, LockedError } from './disk.ts'
import { FreeSpace } from './free-space.ts'
import { LoadedIndexes } from './loaded-indexes.ts'
import { Log } from './log.ts'
import type { LogCallbacks, StoreLog } from './log-options.ts'
import { asideName, isDeletedLog, removeAside, whyLeftAlone } from './logs-aside.ts'
import { OffsetCheckpoints } from './offset-checkpoints.ts'
import { segmentFileName } from './segment.ts'
import { Staging } from './staging.ts'
import { type DiskFailure, WatchedDisk } from './watched-disk.ts'

const CLEAN_MARK = '.kafka_cleanshutdown'
/** Kafka's form of the mark; -1 is its "no broker epoch known". */
const CLEAN_MARK_BYTES = Buffer.from('{"version":0,"brokerEpoch":-1}')

/** Another process uses the directory. */
export class DirectoryLockedError extends Error {
  override readonly name = 'DirectoryLockedError'

  constructor(path: string, holder: string) {
    const who = holder === '' ? 'another process' : holder
    super(`the data directory ${path} is in use by ${who}: stop that, or use another directory`)
  }
}

export interface LogDirectoryOptions {
  readonly path: string
  readonly disk: Disk
  readonly io: Pick<Io, 'clock' | 'turn' | 'uuid'>
  readonly buffers: BufferPool
  readonly producerIdExpirationMs: number
  /** `log.dir.free.bytes.min`; without it nothing is refused before the disk is full. */
  readonly freeBytesMin?: number
  readonly log?: StoreLog
  /** Shared by all directories of a broker; without it this one has its own. */
  readonly staging?: Staging
  readonly indexes?: LoadedIndexes
  /** The directory is offline from now on; called once, before its logs hear of it. */
  readonly onFailed?: (directory: LogDirectory, failure: DiskFailure) => void
}

export interface PartitionDirectory {
  readonly topic: string
  readonly partition: number
  /** null: there is no partition.metadata, or it cannot be read. */
  readonly topicId: string | null
  readonly directory: string
}

export interface LeftAlone {
  readonly name: string
  readonly why: string
}

export class LogDirectory {
  readonly path: string
  /** For all files below this directory: it notices when the medium fails. */
  readonly disk: Disk
  /** Why the directory is offline; null while it works. */
  failure: Error | null = null
  private readonly watched: WatchedDisk
  private readonly options: LogDirectoryOptions
  private readonly lock: DiskLock
  private readonly staging: Staging
  private readonly indexes: LoadedIndexes
  /** Dropped segments that stay for `file.delete.delay.ms`; whoever has a timer calls its `sweep`. */
  readonly deletedFiles: DeletedFiles
  /** One for all logs that go: thousands may wait. */
  private readonly removeLater = (aside: string) => removeAside(this.disk, aside)
  /** The room that is left; whoever has a timer calls its `check`. */
  readonly free: FreeSpace
  private readonly logs = new Map<string, Log>()
  /** Names of log directories that exist. */
  private readonly names = new Set<string>()
  /** And of those that do not exist yet. */
  private readonly making = new Set<string>()
  /** Names of the files beside them, as found at the start. */
  private readonly files = new Set<string>()
  private skipped: LeftAlone[] = []
  private properties: MetaProperties | null = null
  /** Whether the directory was closed in order before it was opened now. */
  wasCleanShutdown = false
  /** A log could not be opened, so its state is as it was found: not clean. */
  private hasUnopened = false
  private readonly checkpoints: OffsetCheckpoints
  /** As the clean stop before this start noted them. */
  private cleanSegments: CleanSegments = new Map()

  /** Takes the lock and reads what is there; creates the directory. Rejects with DirectoryLockedError. */
  static async open(options: LogDirectoryOptions): Promise<LogDirectory> {
    const { disk, path } = options
    await disk.makeDirectory(path)
    let lock: DiskLock
    try {
      lock = await disk.lock(`${path}/.lock`)
    } catch (error) {
      if (error instanceof LockedError) throw new DirectoryLockedError(path, error.holder)
      throw error
    }
    const directory = new LogDirectory(options, lock)
    try {
      await directory.free.open()
      await directory.load()
      return directory
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  private constructor(options: LogDirectoryOptions, lock: DiskLock) {
    this.path = options.path
    this.options = options
    this.lock = lock
    this.staging = options.staging ?? new Staging()
    this.indexes = options.indexes ?? new LoadedIndexes()
    this.watched = new WatchedDisk(options.disk, failure => this.fail(failure))
    this.disk = this.watched
    this.deletedFiles = new DeletedFiles(this.disk, () => options.io.clock.nowMs())
    const { disk } = this
    const { path, freeBytesMin: minBytes = 0, log } = options
    this.free = new FreeSpace({ disk, path, minBytes, log })
    this.checkpoints = new OffsetCheckpoints({ path, disk, log, space: this.free, logs: this.logs })
  }

  private async load(): Promise<void> {
    const { disk, path } = this
    const properties = await disk.readFile(`${path}/${META_PROPERTIES}`)
    if (properties !== null) this.properties = parseMetaProperties(properties)
    await this.checkpoints.load()
    const entries = await disk.list(path)
    this.skipped = []
    for (const { name, isDirectory } of entries) {
      if (!isDirectory) {
        this.files.add(name)
        continue
      }
      const why = whyLeftAlone(name)
      if (why === null) this.names.add(name)
      else this.skipped.push({ name, why })
    }
    for (const { name, why } of this.skipped) {
      this.options.log?.info('directory left alone', { directory: `${path}/${name}`, why })
    }
    this.wasCleanShutdown = this.files.has(CLEAN_MARK)
    if (this.wasCleanShutdown) {
      this.cleanSegments = readCleanSegments(disk, path, this.options.log)
      await disk.remove(`${path}/${CLEAN_MARK}`)
      await disk.remove(`${path}/${CLEAN_SEGMENTS}`)
      await disk.syncDirectory(path)
    } else if (this.names.size > 0) {
      // A killed process may have made directories whose names are not on the medium yet.
      await disk.syncDirectory(path)
      this.options.log?.info('no clean stop, logs will be recovered', { directory: path })
    }
  }

  /** Takes the directory offline: none of its logs is served any more, nothing is written to it. */
  fail(failure: DiskFailure): void {
    if (this.failure !== null) return
    this.failure = failure.error
    this.watched.giveUp(failure.error)
    this.options.onFailed?.(this, failure)
    for (const log of this.logs.values()) log.writer.fail(failure.error)
  }

  /** Whether the directory had a file of this name when it was opened. */
  hasFile(name: string): boolean {
    return this.files.has(name)
  }

  /** Whether there is a log of this name, opened or not. */
  hasLog(name: string): boolean {
    return this.names.has(name)
  }

  logNames(): Iterable<string> {
    return this.names
  }

  /** Logs that there are or will be, opened or not. */
  get logCount(): number {
    return this.names.size + this.making.size
  }

  get metaProperties(): MetaProperties | null {
    return this.properties
  }

  async writeMetaProperties(properties: MetaProperties): Promise<void> {
    const bytes = encodeMetaProperties(properties)
    await this.disk.replaceFile(`${this.path}/${META_PROPERTIES}`, bytes)
    this.properties = properties
  }

  /** Every directory that looks like a log and is not open. */
  unopened(): PartitionDirectory[] {
    const found: PartitionDirectory[] = []
    for (const name of this.names) {
      if (this.logs.has(name)) continue
      const dash = name.lastIndexOf('-')
      const directory = `${this.path}/${name}`
      found.push({
        topic: name.slice(0, dash),
        partition: Number(name.slice(dash + 1)),
        topicId: this.topicIdOf(name),
        directory,
      })
    }
    return found
  }

  /** The topic id that the directory of this name says it is of; null where it does not say so. */
  topicIdOf(name: string): string | null {
    const directory = `${this.path}/${name}`
    const bytes = this.disk.readFileSync(`${directory}/${PARTITION_METADATA}`)
    if (bytes === null) return null
    try {
      return parsePartitionMetadata(bytes)
    } catch {
      this.options.log?.warn('partition.metadata unreadable', { directory })
      return null
    }
  }

  /** Directories that are no logs of ours to open, and why. */
  leftAlone(): readonly LeftAlone[] {
    return this.skipped
  }

  /**
   * Opens the log of a partition, which is created with its `partition.metadata` where there is none. A directory of this
   * name that belongs to a topic with another id is set aside first.
   */
  async openLog(
    topic: string,
    partition: number,
    topicId: string | null,
    config: LogConfig,
    on: LogCallbacks,
  ): Promise<Log> {
    const name = `${topic}-${partition}`
    // At once: whoever chooses among directories counts it already.
    if (!this.names.has(name)) this.making.add(name)
    try {
      const log = await this.free.withReserve(() => this.open(name, topicId, config, on))
      this.logs.set(name, log)
      if (this.failure !== null) log.writer.fail(this.failure)
      return log
    } catch (error) {
      this.hasUnopened = true
      throw error
    } finally {
      this.making.delete(name)
    }
  }

  private async open(
    name: string,
    topicId: string | null,
    config: LogConfig,
    on: LogCallbacks,
  ): Promise<Log> {
    const { io, buffers, producerIdExpirationMs, log } = this.options
    const { disk } = this
    const directory = `${this.path}/${name}`
    const known = this.names.has(name) ? this.topicIdOf(name) : null
    const isStray = topicId !== null && known !== null && known !== topicId
    if (isStray) await this.setStrayAside(name, known, topicId)
    const isNew = !this.names.has(name)
    if (isNew) {
      // What an earlier log of this name had reached says nothing about this one, also after a crash.
      if (this.checkpoints.forget(name)) await this.checkpoints.save()
      await disk.makeDirectory(directory)
      this.names.add(name)
      this.making.delete(name)
    }
    if (topicId !== null && known !== topicId) {
      const bytes = encodePartitionMetadata(topicId)
      await disk.replaceFile(`${directory}/${PARTITION_METADATA}`, bytes)
    }
    if (isNew) await disk.syncDirectory(this.path)
    const { checkpoints } = this
    const opened = await Log.open({
      directory,
      disk,
      config,
      turn: io.turn,
      buffers,
      staging: this.staging,
      indexes: this.indexes,
      deletedFiles: this.deletedFiles,
      producerIdExpirationMs,
      nowMs: io.clock.nowMs(),
      monotonicMs: () => io.clock.monotonicMs(),
      wasCleanShutdown: isNew || this.wasCleanShutdown,
      cleanSegment: isNew ? undefined : this.cleanSegments.get(name),
      recoveryPoint: checkpoints.offsetOf(RECOVERY_POINTS, name) ?? 0,
      logStartOffset: checkpoints.offsetOf(LOG_START_OFFSETS, name) ?? 0,
      ...(log === undefined ? {} : { log }),
      space: this.free,
      cleanedOffset: checkpoints.offsetOf(CLEANED_OFFSETS, name) ?? 0,
      on: {
        ...on,
        failed: error => this.logFailed(directory, error, on),
        startMoved: () => checkpoints.save(),
        cleanedMoved: () => checkpoints.save(),
      },
    })
    return opened
  }

  /** A log that the system has let down takes the directory with it; one that met a mistake of ours goes alone. */
  private logFailed(file: string, error: Error, on: LogCallbacks): void {
    if (isSystemError(error)) this.fail({ operation: 'write', file, error })
    else if (this.failure === null) {
      this.options.log?.warn('log failed', { directory: file, error: error.message })
    }
    on.failed(error)
  }

  /**
   * A directory of this name that belongs to another topic id is what a deletion left that was decided and not begun, or
   * was put there by hand: a topic of the same name must not meet its data. It stays, under Kafka's name for such ones.
   */
  private async setStrayAside(name: string, found: string, topicId: string): Promise<void> {
    if (this.logs.has(name)) {
      const detail = `${this.path}/${name} is open for topic id ${found}, not ${topicId}`
      throw new ProtocolError('INCONSISTENT_TOPIC_ID', detail)
    }
    const aside = await this.setAside(name, 'stray')
    this.names.delete(name)
    const fields = { directory: aside, topicId: found, newTopicId: topicId }
    this.options.log?.warn(
      'directory of an earlier topic set aside; remove it if you need nothing of it',
      fields,
    )
  }

  /** The high watermark that the last checkpoint noted for a log; -1 where there is none. */
  checkpointedHighWatermark(topic: string, partition: number): number {
    return this.checkpoints.offsetOf(HIGH_WATERMARKS, `${topic}-${partition}`) ?? -1
  }

  /**
   * Deletes a log. Its directory is out of the way (renamed) when this resolves; the files go after
   * `file.delete.delay.ms`, in the background. `deleted` may be given to hear when they are gone, or left to the sweep.
   */
  async deleteLog(log: Log, deleted: () => void = () => {}): Promise<void> {
    await log.abandon()
    this.deletedFiles.forget(log.directory)
    this.logs.delete(log.name)
    this.names.delete(log.name)
    this.checkpoints.forget(log.name)
    // What cannot be renamed now is named, or removed, at the next start.
    if (this.failure !== null) return deleted()
    const aside = await this.setAside(log.name, 'delete')
    if (log.config.fileDeleteDelayMs > 0) {
      await this.deletedFiles.add(aside, log.config.fileDeleteDelayMs, this.removeLater)
      return deleted()
    }
    removeAside(this.disk, aside).then(deleted, error => {
      this.options.log?.warn('deleted log not removed', { directory: aside, error: String(error) })
      deleted()
    })
  }

  /** Gives a log's directory the name that Kafka gives to one on its way out; durable when this resolves. */
  private async setAside(name: string, why: 'delete' | 'stray'): Promise<string> {
    const { disk } = this
    const aside = `${this.path}/${asideName(name, why, this.options.io.uuid())}`
    await this.free.withReserve(() => disk.rename(`${this.path}/${name}`, aside))
    await disk.syncDirectory(this.path)
    return aside
  }

  /**
   * Finishes the deletions that a stop interrupted. What goes has the name of a deleted log and belongs to a topic of
   * which `isKnown` knows nothing (or is empty); anything else stays. Answers the names of what went.
   */
  async removeDeleted(isKnown: (topicId: string) => boolean): Promise<string[]> {
    const removed: string[] = []
    for (const { name } of this.skipped) {
      if (!isDeletedLog(name)) continue
      const directory = `${this.path}/${name}`
      const topicId = this.topicIdOf(name)
      const isOurs =
        topicId === null ? (await this.disk.list(directory)).length === 0 : !isKnown(topicId)
      if (!isOurs) continue
      await removeAside(this.disk, directory)
      removed.push(name)
    }
    this.skipped = this.skipped.filter(({ name }) => !removed.includes(name))
    return removed
  }

  /** Once a minute, and when something must not be forgotten: notes how far each log has come. */
  async checkpoint(): Promise<void> {
    if (this.failure !== null) return
    const nowMs = this.options.io.clock.nowMs()
    for (const log of this.logs.values()) await log.housekeep(nowMs)
    await this.checkpoints.save()
    await this.indexes.trim()
  }

  space(): Promise<{ totalBytes: number; freeBytes: number }> {
    return this.disk.space(this.path)
  }

  /** A clean stop: closes the logs that are still open, and leaves the mark if all of them are well. */
  async close(): Promise<void> {
    if (this.failure !== null) return await this.abandon()
    try {
      for (const log of this.logs.values()) await this.free.withReserve(() => log.close())
      await this.checkpoints.save()
      const areWell = [...this.logs.values()].every(log => log.failure === null)
      if (areWell && !this.hasUnopened) await this.free.withReserve(() => this.markClean())
    } catch (error) {
      if (!isDiskFull(error)) throw error
      const fields = { directory: this.path, error: String(error) }
      this.options.log?.warn(
        'disk full, not even the reserve was enough: logs will be recovered',
        fields,
      )
      for (const log of this.logs.values()) await log.abandon()
    } finally {
      await this.lock.release()
    }
  }

  private async markClean(): Promise<void> {
    const segments: CleanSegments = new Map()
    for (const [name, log] of this.logs) {
      const noted = await this.describe(log)
      if (noted !== null) segments.set(name, noted)
    }
    await this.disk.replaceFile(`${this.path}/${CLEAN_SEGMENTS}`, encodeCleanSegments(segments))
    await this.disk.replaceFile(`${this.path}/${CLEAN_MARK}`, CLEAN_MARK_BYTES)
  }

  /** What is known of a closed log's newest segment; null where its file is not what it should be. */
  private async describe({ name, directory, active }: Log): Promise<CleanSegment | null> {
    const before = this.cleanSegments.get(name)
    // Not written to since. Where it was, and is as long as before, its time of modification will tell.
    if (before !== undefined && active.isAsIn(before)) return before
    const file = segmentFileName(active.baseOffset, '.log')
    const found = (await this.disk.list(directory)).find(entry => entry.name === file)
    return found?.size === active.size ? active.describe(found.modifiedMs) : null
  }

  /** Lets go of everything at once, without a mark: the next start recovers. */
  async abandon(): Promise<void> {
    for (const log of this.logs.values()) await log.abandon()
    await this.lock.release()
  }
}

/**
 * The data directories of one broker (`log.dirs`), usually one for each disk. A log lies in one of them as a whole; a new
 * one goes where the fewest are, among those with room.
 *
 * A directory that cannot be read at the start, or fails later, is offline until the next start; the others go on. As long
 * as one is, a log that is in none of the others may be in it: it is not made anew.
 */
import { ProtocolError } from '../protocol/errors.ts'
import type { LogConfig } from './config.ts'
import { LoadedIndexes } from './loaded-indexes.ts'
import type { Log } from './log.ts'
import {
  DirectoryLockedError,
  LogDirectory,
  type LogDirectoryOptions,
  type PartitionDirectory,
} from './log-directory.ts'
import type { LogCallbacks } from './log-options.ts'
import { Staging } from './staging.ts'
import { type DiskFailure, isStorageFailure } from './watched-disk.ts'

export interface LogDirectoriesOptions
  extends Omit<LogDirectoryOptions, 'path' | 'staging' | 'indexes' | 'onFailed'> {
  /** At least one, no two alike. */
  readonly paths: readonly string[]
  /** A directory went offline while it was in use. */
  readonly onFailed: (directory: LogDirectory, failure: DiskFailure) => void
}

export interface OfflineDirectory {
  readonly path: string
  readonly error: Error
}

export class LogDirectories {
  /** Those that could be opened, in the order of the setting. */
  readonly all: readonly LogDirectory[]
  private readonly unreadable: readonly OfflineDirectory[]
  /** Ids of directories that are not here at all; set by who remembers them. */
  missing: readonly string[] = []

  /**
   * Opens all directories. Rejects with what is wrong if another process uses one, if one holds what is not understood, if
   * none can be read, or if one log lies in two of them.
   */
  static async open(options: LogDirectoriesOptions): Promise<LogDirectories> {
    const opened: LogDirectory[] = []
    const unreadable: OfflineDirectory[] = []
    const shared = { staging: new Staging(), indexes: new LoadedIndexes() }
    // Of one that fails while it is opened, opening tells.
    const onFailed = (directory: LogDirectory, failure: DiskFailure) => {
      if (opened.includes(directory)) options.onFailed(directory, failure)
    }
    try {
      for (const path of options.paths) {
        try {
          opened.push(await LogDirectory.open({ ...options, ...shared, path, onFailed }))
        } catch (error) {
          if (!isStorageFailure(error)) throw error
          unreadable.push({ path, error: error as Error })
        }
      }
      if (opened.length === 0) throw noneReadable(unreadable)
      refuseTwice(opened)
      return new LogDirectories(opened, unreadable)
    } catch (error) {
      for (const directory of opened) await directory.abandon()
      throw inWords(error, options.paths)
    }
  }

  private constructor(all: readonly LogDirectory[], unreadable: readonly OfflineDirectory[]) {
    this.all = all
    this.unreadable = unreadable
  }

  get online(): readonly LogDirectory[] {
    return this.all.filter(({ failure }) => failure === null)
  }

  get offline(): readonly OfflineDirectory[] {
    const failed = this.all.flatMap(({ path, failure }) =>
      failure === null ? [] : [{ path, error: failure }],
    )
    return [...this.unreadable, ...failed]
  }

  /** Whether all directories were closed in order before they were opened now. */
  get wasCleanShutdown(): boolean {
    return this.unreadable.length === 0 && this.all.every(each => each.wasCleanShutdown)
  }

  /** Every directory that looks like a log and is not open. */
  unopened(): PartitionDirectory[] {
    return this.online.flatMap(each => each.unopened())
  }

  /**
   * Opens the log of a partition where it is, or makes it. `isNew` says that it was never made before: then it cannot be
   * in a directory that is offline.
   *
   * @throws KAFKA_STORAGE_ERROR where it may be in an offline directory, or its directory fails while it is opened
   */
  async openLog(
    topic: string,
    partition: number,
    topicId: string | null,
    isNew: boolean,
    config: LogConfig,
    on: LogCallbacks,
  ): Promise<Log> {
    const name = `${topic}-${partition}`
    for (;;) {
      const found = this.find(name, topicId)
      const absent = this.absent
      // What an earlier topic of that name left is not what is looked for.
      const isHere = found !== null && isOfTopic(found.topicIdOf(name), topicId)
      if (!isHere && !isNew && absent !== null) {
        const why = `${name} is in no data directory that can be read, and ${absent}`
        throw new ProtocolError('KAFKA_STORAGE_ERROR', why)
      }
      const directory = found ?? this.choose()
      try {
        return await directory.openLog(topic, partition, topicId, config, on)
      } catch (error) {
        // A new one can as well be made elsewhere.
        const isElsewhere = isNew && directory.failure !== null && this.online.length > 0
        if (!isElsewhere) throw error
      }
    }
  }

  /** Why a log is not lost: it is here, or may be in a directory that is offline. Null where its directory is gone. */
  whyNotLost(topic: string, partition: number, topicId: string): string | null {
    const name = `${topic}-${partition}`
    const having = this.find(name, topicId)
    if (having !== null && isOfTopic(having.topicIdOf(name), topicId)) {
      return `it is in ${having.path}`
    }
    const [offline] = this.offline
    if (offline === undefined) return null
    return `it may be in ${offline.path}, which is offline: ${offline.error.message}`
  }

  /** Which directory may hold what is not found, in words; null where all are here. */
  private get absent(): string | null {
    const [offline] = this.offline
    if (offline !== undefined) return `${offline.path} is offline`
    const [id] = this.missing
    return id === undefined ? null : `the directory with the directory.id ${id} is not here`
  }

  /** Where the log of this name is. Of two, an earlier topic of that name left one: its id tells. */
  private find(name: string, topicId: string | null): LogDirectory | null {
    const having = this.online.filter(each => each.hasLog(name))
    if (having.length < 2) return having[0] ?? null
    for (const directory of having) {
      if (directory.topicIdOf(name) === topicId) return directory
    }
    return having[0]!
  }

  /** The directory with the fewest logs, the first of several; one without room only where none has any. */
  private choose(): LogDirectory {
    const { online } = this
    const roomy = online.filter(({ free }) => !free.isLow)
    const among = roomy.length > 0 ? roomy : online
    if (among.length === 0) {
      throw new ProtocolError('KAFKA_STORAGE_ERROR', 'all data directories are offline')
    }
    return among.reduce((least, each) => (each.logCount < least.logCount ? each : least))
  }

  /** The directory that a log of ours is in. */
  directoryOf(log: Log): LogDirectory {
    const path = log.directory.slice(0, log.directory.lastIndexOf('/'))
    return this.all.find(each => each.path === path)!
  }

  /** See `LogDirectory.deleteLog`. */
  async deleteLog(log: Log): Promise<void> {
    await this.directoryOf(log).deleteLog(log)
  }

  /** Why no partitions can be added now: no directory has room. Null while one has. */
  refusal(what: string): ProtocolError | null {
    const { online } = this
    if (online.some(({ free }) => !free.isLow)) return null
    return online[0]?.free.refusal(what) ?? null
  }

  /** Finishes the deletions that a stop interrupted; see `LogDirectory.removeDeleted`. */
  async removeDeleted(isKnown: (topicId: string) => boolean): Promise<string[]> {
    const removed: string[] = []
    for (const directory of this.online) removed.push(...(await directory.removeDeleted(isKnown)))
    return removed
  }

  /** On full disks, what logs describe themselves with when they are closed. */
  async releaseReserves(): Promise<void> {
    for (const { free } of this.online) if (free.isLow) await free.release()
  }

  /** Once a minute: each directory notes how far its logs have come. One that cannot does not keep the others. */
  async checkpoint(): Promise<void> {
    await eachOf(this.online, directory => directory.checkpoint())
  }

  /** A clean stop of those that are well; the others are let go of. */
  async close(): Promise<void> {
    await eachOf(this.all, directory => directory.close())
  }

  /** Lets go of everything at once, without a mark: the next start recovers. */
  async abandon(): Promise<void> {
    await eachOf(this.all, directory => directory.abandon())
  }
}

/** Whether a log that says it is of one topic may be of the other; those without an id may be of any. */
function isOfTopic(said: string | null, topicId: string | null): boolean {
  return said === null || topicId === null || said === topicId
}

/** Does it for all, and rejects with the first failure of a directory that is not offline for it. */
async function eachOf(
  directories: readonly LogDirectory[],
  run: (directory: LogDirectory) => Promise<void>,
): Promise<void> {
  const outcomes = await Promise.allSettled(directories.map(run))
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome.status === 'rejected' && directories[i]!.failure === null) throw outcome.reason
  }
}

/** One log in two directories: nobody can know which one is right. Logs of two topics of one name are no such case. */
function refuseTwice(directories: readonly LogDirectory[]): void {
  const places = new Map<string, LogDirectory[]>()
  for (const directory of directories) {
    for (const name of directory.logNames()) {
      const same = places.get(name)
      if (same === undefined) places.set(name, [directory])
      else same.push(directory)
    }
  }
  for (const [name, having] of places) {
    if (having.length < 2) continue
    const byId = new Map<string | null, LogDirectory>()
    for (const directory of having) {
      const id = directory.topicIdOf(name)
      const other = byId.get(id)
      if (other !== undefined) {
        throw new Error(
          `the log ${name} is in two data directories, ${other.path} and ${directory.path}: ` +
            'find out which one is right, and move the other away',
        )
      }
      byId.set(id, directory)
    }
  }
}

function noneReadable(unreadable: readonly OfflineDirectory[]): Error {
  const each = unreadable.map(({ path, error }) => `${path}: ${error.message}`)
  const what = each.length === 1 ? 'the data directory' : 'none of the data directories'
  const cannot = each.length === 1 ? 'cannot be used' : 'can be used'
  return new Error(`${what} ${cannot}: ${each.join('; ')}`)
}

/** Two names of one directory look like another process that uses it. */
function inWords(error: unknown, paths: readonly string[]): unknown {
  if (!(error instanceof DirectoryLockedError) || paths.length === 1) return error
  return new Error(`${error.message}; or two of log.dirs are names of one directory`)
}

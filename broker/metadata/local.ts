/**
 * `LocalStore`: the metadata of a broker that runs alone, in one file of its data directory, `ottla-metadata`. Without
 * a path it lives in memory only.
 *
 * The file is lines of text. Each starts with the CRC-32C of the rest in eight hexadecimal digits and a space:
 *
 *   <crc> {"format":1,"clusterId":"…","revision":R,"entries":N}       the snapshot's head
 *   <crc> ["<key>","<value>",modRevision,createRevision,"<lease>"?]   N of them
 *   <crc> [[R+1,[["<key>","<value>"|null,"<lease>"?],…]],…]           commits that were synced together; more follow
 *
 * The snapshot is replaced whole, so it is either the old or the new one; a group of commits is one append and one
 * sync, and no group is begun before the one before it is on the medium. So only the last line can be torn: it was
 * never acknowledged and is cut. A damaged line anywhere else means that the medium lost something: opening fails
 * instead of serving half of the truth.
 *
 * The file appears with the first commit: until then the directory is not ours (adoption.ts).
 * Leased keys die with the process that held them: they are gone when the file is opened again.
 */
import { crc32c } from '../../protocol/crc32c.ts'
import { type Disk, type File, isDiskFull } from '../../segment-store/disk.ts'
import { History } from './history.ts'
import {
  type Change,
  type CommitResult,
  type Compare,
  type Entry,
  type Lease,
  MaybeAppliedError,
  type MetadataStore,
  NotSentError,
  type Update,
  type Watcher,
} from './store.ts'

/** The name of the file inside the data directory. */
export const METADATA_FILE = 'ottla-metadata'

const FORMAT = 1
/** A file below this is never rewritten; above it, once it is this many times as large as its snapshot was. */
const COMPACT_FROM_BYTES = 1024 * 1024
const COMPACT_FACTOR = 4

export interface LocalStoreOptions {
  readonly disk: Disk
  /** Where the file is; null keeps everything in memory. */
  readonly path: string | null
  /** The cluster's id where the file does not say it yet. */
  readonly clusterId: string
  /** What a commit that finds no room may use (free-space.ts). */
  readonly space?: { withReserve<T>(task: () => Promise<T>): Promise<T> }
}

interface StoredEntry extends Entry {
  readonly lease: string | null
}

type Changed = readonly [key: string, value: string | null, lease?: string]
type StoredCommit = readonly [revision: number, changes: readonly Changed[]]

interface PendingCommit {
  readonly compare: readonly Compare[]
  readonly changes: readonly Change[]
  readonly resolve: (result: CommitResult) => void
  readonly reject: (error: Error) => void
}

interface Watch {
  readonly prefix: string
  readonly watcher: Watcher
  next: number
  isDraining: boolean
  hasEnded: boolean
}

export async function openLocalStore(options: LocalStoreOptions): Promise<LocalStore> {
  const { disk, path } = options
  const text = path === null ? null : await disk.readFile(path)
  const loaded = text === null ? null : readStored(text, path!)
  const store = new LocalStore(options, loaded)
  if (loaded !== null) await store.open(loaded)
  return store
}

export class LocalStore implements MetadataStore {
  readonly clusterId: string
  private readonly disk: Disk
  private readonly path: string | null
  private readonly space: LocalStoreOptions['space']
  private readonly entries: Map<string, StoredEntry>
  private revision: number
  private file: File | null = null
  private snapshotBytes = 0
  private queue: PendingCommit[] = []
  private isWriting = false
  private idle: (() => void)[] = []
  private failure: Error | null = null
  private readonly history: History<StoredEntry>
  private readonly watches = new Set<Watch>()

  constructor(options: LocalStoreOptions, loaded: Loaded | null) {
    this.disk = options.disk
    this.path = options.path
    this.space = options.space
    this.clusterId = loaded?.clusterId ?? options.clusterId
    this.entries = loaded?.entries ?? new Map()
    this.revision = loaded?.revision ?? 0
    this.history = new History(this.revision)
  }

  /** Cuts a torn line, and lets go of keys whose holders are gone. */
  async open({ validBytes, snapshotBytes }: Loaded): Promise<void> {
    this.snapshotBytes = snapshotBytes
    const leased = [...this.entries.values()].filter(entry => entry.lease !== null)
    if (leased.length > 0) {
      for (const { key } of leased) this.entries.delete(key)
      this.revision++
      this.history.compactedTo = this.revision
      return this.rewrite()
    }
    const file = await this.disk.open(this.path!)
    this.file = file
    if (file.size <= validBytes) return
    await file.truncate(validBytes)
    await file.sync()
  }

  async range(
    prefix: string,
    options: { atRevision?: number; limit?: number } = {},
  ): Promise<{ entries: readonly Entry[]; revision: number; more: boolean }> {
    const revision = options.atRevision ?? this.revision
    const all = revision === this.revision ? this.entries : this.entriesAt(revision)
    const found = [...all.values()]
      .filter(entry => entry.key.startsWith(prefix))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
    const limit = options.limit ?? found.length
    return { entries: found.slice(0, limit).map(plain), revision, more: found.length > limit }
  }

  private entriesAt(revision: number): ReadonlyMap<string, StoredEntry> {
    const { compactedTo } = this.history
    if (revision < compactedTo || revision > this.revision)
      throw new RangeError(`revision ${revision} is not in ${compactedTo}–${this.revision}`)
    const entries = new Map(this.entries)
    for (const item of this.history.all.toReversed()) {
      if (item.revision <= revision) break
      for (const [key, before] of item.before) {
        if (before === null) entries.delete(key)
        else entries.set(key, before)
      }
    }
    return entries
  }

  commit(compare: readonly Compare[], changes: readonly Change[]): Promise<CommitResult> {
    if (this.failure !== null)
      return Promise.reject(new NotSentError(`metadata store: ${this.failure.message}`))
    return new Promise((resolve, reject) => {
      this.queue.push({ compare, changes, resolve, reject })
      if (!this.isWriting) void this.writeQueued()
    })
  }

  /** Writes what has gathered, group by group: one append and one sync for all commits that came during the last one. */
  private async writeQueued(): Promise<void> {
    this.isWriting = true
    // Commits of the same turn share the first group too.
    await Promise.resolve()
    while (this.queue.length > 0) {
      const group = this.queue
      this.queue = []
      const decided = decide(group, this.entries, this.revision)
      try {
        if (decided.items.length > 0) await this.persistSomehow(decided)
      } catch (error) {
        if (isDiskFull(error)) {
          const why = `metadata store: the disk is full (${(error as Error).message})`
          for (const { reject } of group) reject(new NotSentError(why, { cause: error }))
          continue
        }
        this.fail(error as Error, group)
        break
      }
      this.history.trim()
      for (const item of decided.items) this.apply(item)
      for (const [i, pending] of group.entries()) pending.resolve(decided.results[i]!)
    }
    this.isWriting = false
    for (const wake of this.idle.splice(0)) wake()
  }

  private fail(error: Error, group: readonly PendingCommit[]): void {
    this.failure = error
    for (const { reject } of group)
      reject(new MaybeAppliedError(`metadata store: ${error.message}`, { cause: error }))
    for (const { reject } of this.queue.splice(0))
      reject(new NotSentError(`metadata store: ${error.message}`, { cause: error }))
  }

  /** On a full disk with what is reserved for it. Where that is gone too, nothing was written. */
  private persistSomehow(decided: Decided): Promise<void> {
    const persist = () => this.persist(decided)
    return this.space?.withReserve(persist) ?? persist()
  }

  private async persist(decided: Decided): Promise<void> {
    if (this.path === null) return
    const grown = this.file === null ? 0 : this.file.size
    const isDue = grown > COMPACT_FROM_BYTES && grown > COMPACT_FACTOR * this.snapshotBytes
    if (this.file === null || isDue) return this.rewrite(decided)
    const commits = decided.items.map(
      (item): StoredCommit => [item.revision, item.changes.map(stored)],
    )
    try {
      await this.file.append([line(commits)])
    } catch (error) {
      await this.file.truncate(grown)
      throw error
    }
    // A failed sync is final, whatever the reason: the line may be on the medium or not.
    await this.file.sync().catch(cause => {
      throw new Error(`sync failed: ${(cause as Error).message}`, { cause })
    })
  }

  /** Replaces the file by a snapshot, with the group that is being committed already in it. */
  private async rewrite(decided?: Decided): Promise<void> {
    const entries = new Map(this.entries)
    for (const item of decided?.items ?? []) {
      for (const [key, entry] of item.after) {
        if (entry === null) entries.delete(key)
        else entries.set(key, entry)
      }
    }
    const revision = decided?.items.at(-1)?.revision ?? this.revision
    const head = { format: FORMAT, clusterId: this.clusterId, revision, entries: entries.size }
    const lines = [line(head)]
    for (const e of entries.values()) {
      const fields = [e.key, e.value, e.modRevision, e.createRevision]
      lines.push(line(e.lease === null ? fields : [...fields, e.lease]))
    }
    const bytes = Buffer.concat(lines)
    await this.closeFile()
    await this.disk.replaceFile(this.path!, bytes)
    this.file = await this.disk.open(this.path!)
    this.snapshotBytes = bytes.length
  }

  private apply(item: DecidedItem): void {
    const before = new Map<string, StoredEntry | null>()
    for (const [key, entry] of item.after) {
      before.set(key, this.entries.get(key) ?? null)
      if (entry === null) this.entries.delete(key)
      else this.entries.set(key, entry)
    }
    this.revision = item.revision
    const updates = item.changes.map(
      ({ key, value }): Update => ({ key, value, revision: item.revision }),
    )
    this.history.add({ revision: item.revision, updates, before })
    for (const watch of this.watches) this.drainSoon(watch)
  }

  watch(prefix: string, fromRevision: number, watcher: Watcher): () => void {
    const watch = { prefix, watcher, next: fromRevision, isDraining: false, hasEnded: false }
    this.watches.add(watch)
    this.drainSoon(watch)
    return () => {
      watch.hasEnded = true
      this.watches.delete(watch)
    }
  }

  /** Watchers are called from a microtask: never inside `watch` or `commit`, and before the commit's promise is seen. */
  private drainSoon(watch: Watch): void {
    if (watch.isDraining) return
    watch.isDraining = true
    queueMicrotask(() => {
      watch.isDraining = false
      this.drain(watch)
    })
  }

  private drain(watch: Watch): void {
    if (watch.hasEnded || watch.next > this.revision) return
    const { compactedTo, all } = this.history
    if (watch.next <= compactedTo) {
      watch.hasEnded = true
      this.watches.delete(watch)
      watch.watcher.compacted(compactedTo)
      return
    }
    for (const item of all) {
      if (item.revision < watch.next) continue
      watch.next = item.revision + 1
      const updates = item.updates.filter(update => update.key.startsWith(watch.prefix))
      if (updates.length > 0) watch.watcher.batch(item.revision, updates)
      if (watch.hasEnded) return
    }
  }

  /** The holder and the store are one process, so a lease lasts until it is revoked or the process ends. */
  async lease(_ttlMs: number, id: string): Promise<Lease> {
    let isHeld = true
    return {
      valid: () => isHeld && this.failure === null,
      revoke: async () => {
        isHeld = false
        const held = [...this.entries.values()].filter(entry => entry.lease === id)
        if (held.length === 0) return
        await this.commit(
          [],
          held.map(({ key }) => ({ key, value: null })),
        )
      },
    }
  }

  async compact(revision: number): Promise<void> {
    this.history.forget(Math.min(revision, this.revision))
  }

  async info() {
    return {
      clusterId: this.clusterId,
      revision: this.revision,
      dbSize: this.file?.size ?? 0,
      quota: Number.MAX_SAFE_INTEGER,
      version: `local ${FORMAT}`,
    }
  }

  /** Waits for what was committed; everything after it is refused. */
  async close(): Promise<void> {
    if (this.isWriting) await new Promise<void>(resolve => this.idle.push(resolve))
    this.failure ??= new Error('is closed')
    this.watches.clear()
    await this.closeFile()
  }

  private async closeFile(): Promise<void> {
    const { file } = this
    this.file = null
    await file?.close()
  }
}

interface DecidedItem {
  readonly revision: number
  readonly changes: readonly Change[]
  /** The keys as this commit leaves them. */
  readonly after: ReadonlyMap<string, StoredEntry | null>
}

interface Decided {
  readonly results: readonly CommitResult[]
  readonly items: readonly DecidedItem[]
}

/** Decides the commits of a group one after the other, each on what the ones before it leave behind. */
function decide(
  group: readonly PendingCommit[],
  entries: ReadonlyMap<string, StoredEntry>,
  revision: number,
): Decided {
  const tentative = new Map<string, StoredEntry | null>()
  const get = (key: string) => tentative.get(key) ?? (tentative.has(key) ? null : entries.get(key))
  const results: CommitResult[] = []
  const items: DecidedItem[] = []
  for (const { compare, changes } of group) {
    const ok = compare.every(c => {
      const entry = get(c.key)
      const isModified = c.modRevision !== undefined && c.modRevision !== (entry?.modRevision ?? 0)
      const isOther =
        c.createRevision !== undefined && c.createRevision !== (entry?.createRevision ?? 0)
      return !isModified && !isOther
    })
    if (!ok || changes.length === 0) {
      const seen = compare.map(c => get(c.key) ?? null).filter(entry => entry !== null)
      results.push({ ok, revision, seen: ok ? [] : seen.map(plain) })
      continue
    }
    revision++
    const after = new Map<string, StoredEntry | null>()
    for (const change of changes) after.set(change.key, storedEntry(change, get, revision))
    for (const [key, entry] of after) tentative.set(key, entry)
    items.push({ revision, changes, after })
    results.push({ ok: true, revision, seen: [] })
  }
  return { results, items }
}

function storedEntry(
  { key, value, lease }: Change,
  get: (key: string) => StoredEntry | null | undefined,
  revision: number,
): StoredEntry | null {
  if (value === null) return null
  const createRevision = get(key)?.createRevision ?? revision
  return { key, value, modRevision: revision, createRevision, lease: lease ?? null }
}

function plain({ key, value, modRevision, createRevision }: StoredEntry): Entry {
  return { key, value, modRevision, createRevision }
}

function stored({ key, value, lease }: Change): Changed {
  return lease === undefined ? [key, value] : [key, value, lease]
}

function line(value: unknown): Buffer {
  const text = Buffer.from(`00000000 ${JSON.stringify(value)}\n`)
  const crc = crc32c(text, 9, text.length - 1)
  text.write(crc.toString(16).padStart(8, '0'), 0, 'latin1')
  return text
}

interface Loaded {
  readonly clusterId: string
  readonly revision: number
  readonly entries: Map<string, StoredEntry>
  readonly validBytes: number
  readonly snapshotBytes: number
}

function readStored(text: Buffer, path: string): Loaded {
  const lines = readLines(text, path)
  const head = lines.values[0] as
    | { format: number; clusterId: string; revision: number; entries: number }
    | undefined
  if (head === undefined || head.format !== FORMAT)
    throw new Error(`${path}: not a metadata file of format ${FORMAT}`)
  if (lines.values.length < head.entries + 1) throw new Error(`${path}: the snapshot is cut short`)
  const entries = new Map<string, StoredEntry>()
  for (const value of lines.values.slice(1, head.entries + 1)) {
    const [key, text, modRevision, createRevision, lease = null] = value as [
      string,
      string,
      number,
      number,
      string?,
    ]
    entries.set(key, { key, value: text, modRevision, createRevision, lease })
  }
  let { revision } = head
  for (const group of lines.values.slice(head.entries + 1) as (readonly StoredCommit[])[]) {
    for (const [committed, changes] of group) {
      if (committed !== revision + 1)
        throw new Error(`${path}: revision ${committed} after ${revision}`)
      revision = committed
      for (const [key, value, lease] of changes) {
        const change = lease === undefined ? { key, value } : { key, value, lease }
        const entry = storedEntry(change, k => entries.get(k), revision)
        if (entry === null) entries.delete(key)
        else entries.set(key, entry)
      }
    }
  }
  const { clusterId } = head
  const snapshotBytes = lines.ends[head.entries]!
  return { clusterId, revision, entries, validBytes: lines.validBytes, snapshotBytes }
}

/** The values of all lines up to a torn last one. */
function readLines(
  text: Buffer,
  path: string,
): { values: unknown[]; ends: number[]; validBytes: number } {
  const values: unknown[] = []
  const ends: number[] = []
  let start = 0
  while (start < text.length) {
    const end = text.indexOf(0x0a, start)
    const isWhole = end >= start + 9
    const crc = Number.parseInt(text.toString('latin1', start, start + 8), 16)
    if (!isWhole || crc !== crc32c(text, start + 9, end)) {
      const isLast = end === -1 || end === text.length - 1
      if (isLast) break
      throw new Error(`${path}: damaged at byte ${start}`)
    }
    values.push(JSON.parse(text.toString('utf8', start + 9, end)))
    start = end + 1
    ends.push(start)
  }
  return { values, ends, validBytes: start }
}

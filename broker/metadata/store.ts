/**
 * Door 3: the cluster's shared truth, as verbs that etcd has and a local file can have too. Topics, their settings and
 * everything else that must survive and be agreed on are keys here; requests read only the `ClusterImage` made of them.
 *
 * Contract: `commit` is all or nothing and never repeated by the store; watchers hear whole revisions, in order, each
 * once; a compare with revision 0 asks that the key be absent, and may name keys that are not written (fences).
 */

export interface Entry {
  readonly key: string
  readonly value: string
  readonly modRevision: number
  readonly createRevision: number
}

/** `value` null: the key was deleted, or its lease lapsed. */
export interface Update {
  readonly key: string
  readonly value: string | null
  readonly revision: number
}

export interface Compare {
  readonly key: string
  readonly modRevision?: number
  readonly createRevision?: number
}

/** `value` null deletes. */
export interface Change {
  readonly key: string
  readonly value: string | null
  readonly lease?: string
}

export interface CommitResult {
  /** False: a compare did not hold, nothing was written, `seen` has the compared keys as they are. */
  readonly ok: boolean
  readonly revision: number
  readonly seen: readonly Entry[]
}

export interface Watcher {
  /** A whole revision, in order, exactly once. */
  batch(revision: number, updates: readonly Update[]): void
  /** The revisions in between are gone: list again and watch from there. */
  compacted(revision: number): void
  /** Nothing was heard of the store for a while. */
  stale(sinceMs: number): void
}

export interface Lease {
  valid(nowMs: number): boolean
  revoke(): Promise<void>
}

export interface MetadataStore {
  /** All keys that start with `prefix`, in order, as of one revision. */
  range(
    prefix: string,
    options?: { atRevision?: number; limit?: number },
  ): Promise<{ entries: readonly Entry[]; revision: number; more: boolean }>
  /** Rejects with NotSent (safe to repeat) or MaybeApplied (read again first). */
  commit(compare: readonly Compare[], changes: readonly Change[]): Promise<CommitResult>
  /** Hears of every revision from `fromRevision` on; the returned function ends it. */
  watch(prefix: string, fromRevision: number, watcher: Watcher): () => void
  /** Keys written with the lease vanish when it is not renewed for `ttlMs`. */
  lease(ttlMs: number, id: string): Promise<Lease>
  compact(revision: number): Promise<void>
  info(): Promise<{
    clusterId: string
    revision: number
    dbSize: number
    quota: number
    version: string
  }>
  close(): Promise<void>
}

/** The commit certainly did not happen; it may be tried again. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError'
}

/** Nobody knows whether the commit happened: read again before deciding anything. */
export class MaybeAppliedError extends Error {
  override readonly name = 'MaybeAppliedError'
}

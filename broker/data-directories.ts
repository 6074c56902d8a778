/**
 * What the broker must know of its data directories before it may serve what is in them: that they belong together, which
 * one holds the metadata, and whether one is missing.
 *
 * `meta.properties` in each names the cluster, the node and the directory itself. The metadata is in one of them: the first
 * one of `log.dirs` when it is made, after that wherever it is found. It also keeps the ids of the directories, so that a
 * disk that is not mounted is noticed: otherwise its logs would be made anew, empty, somewhere else.
 */
import type { Io } from '../protocol/io.ts'
import type { LogDirectories } from '../segment-store/log-directories.ts'
import type { LogDirectory } from '../segment-store/log-directory.ts'
import { type BrokerConfig, giveIfMissing } from './config.ts'
import { METADATA_FILE } from './metadata/local.ts'
import type { MetadataStore } from './metadata/store.ts'

const KEY = 'directories'
const ATTEMPTS = 10

/**
 * The cluster id in `meta.properties`, which is written where there is none. A directory keeps the id of the node that it
 * was made for: serving it under another one would make two nodes of one.
 */
export async function identify(
  directories: LogDirectories,
  config: BrokerConfig,
  io: Io,
): Promise<string> {
  const known = directories.all.filter(({ metaProperties }) => metaProperties !== null)
  const [first] = known
  for (const directory of known) agree(first!, directory)
  refuseCopies(known)
  const found = first?.metaProperties ?? null
  if (found !== null && !config.given.has('broker.id')) {
    giveIfMissing(config, 'node.id', { text: String(found.nodeId), origin: 'meta.properties' })
  }
  if (found !== null && config.nodeId !== found.nodeId) {
    throw new Error(
      `${first!.path} belongs to node ${found.nodeId}, but node.id is ${config.nodeId}: ` +
        'set node.id to it, or use another directory (log.dirs, --data-dir)',
    )
  }
  const clusterId = found?.clusterId ?? io.uuid()
  for (const directory of directories.all) {
    if (directory.metaProperties !== null) continue
    const { nodeId } = config
    await directory.writeMetaProperties({ clusterId, nodeId, directoryId: io.uuid() })
  }
  return clusterId
}

function agree(one: LogDirectory, other: LogDirectory): void {
  const [a, b] = [one.metaProperties!, other.metaProperties!]
  for (const key of ['clusterId', 'nodeId'] as const) {
    if (a[key] === b[key]) continue
    const what = key === 'clusterId' ? 'cluster' : 'node'
    throw new Error(
      `${one.path} belongs to ${what} ${a[key]}, but ${other.path} to ${b[key]}: ` +
        'log.dirs may only name directories of one broker',
    )
  }
}

/** Two directories with one id: one was copied, and both would be written. */
function refuseCopies(known: readonly LogDirectory[]): void {
  const byId = new Map<string, LogDirectory>()
  for (const directory of known) {
    const { directoryId } = directory.metaProperties!
    if (directoryId === '') continue
    const other = byId.get(directoryId)
    if (other !== undefined) {
      throw new Error(
        `${other.path} and ${directory.path} have the same directory.id ${directoryId}: one is a copy of the other; ` +
          'leave one of them out of log.dirs',
      )
    }
    byId.set(directoryId, directory)
  }
}

/** Where the metadata is, or will be. Rejects where that cannot be known. */
export function metadataDirectory(directories: LogDirectories): LogDirectory {
  const { all, offline } = directories
  const [found, second] = all.filter(directory => directory.hasFile(METADATA_FILE))
  if (second !== undefined) {
    throw new Error(
      `${found!.path} and ${second.path} both have the file ${METADATA_FILE}: ` +
        'find out which one is right, and move the other away',
    )
  }
  if (found !== undefined) return found
  const [missing] = offline
  if (missing !== undefined) {
    throw new Error(
      `no directory that can be read has the file ${METADATA_FILE}, and ${missing.path} cannot be read ` +
        `(${missing.error.message}): it may be there. The first start needs all of log.dirs`,
    )
  }
  return all[0]!
}

/** Ids of the directories that this broker had and that are not here: not in `log.dirs`, or not mounted, or unreadable. */
export async function missingDirectories(
  store: MetadataStore,
  directories: LogDirectories,
): Promise<readonly string[]> {
  const here = idsOf(directories)
  return (await rememberedIds(store)).ids.filter(id => !here.includes(id))
}

/**
 * Remembers the directories that are here; forgets those that are not, once everything that there should be was found
 * without them.
 */
export async function rememberDirectories(
  store: MetadataStore,
  directories: LogDirectories,
  isEverythingHere: boolean,
): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { ids: before, modRevision } = await rememberedIds(store)
    const here = idsOf(directories)
    const ids = isEverythingHere ? here : [...new Set([...before, ...here])]
    // One directory has the metadata itself: where it is missing, nothing is remembered.
    const isNeeded = ids.length > 1 || before.length > 0
    if (!isNeeded || ids.toSorted().join() === before.toSorted().join()) return
    const change = { key: KEY, value: JSON.stringify({ ids }) }
    const { ok } = await store.commit([{ key: KEY, modRevision }], [change])
    if (ok) return
  }
}

function idsOf(directories: LogDirectories): readonly string[] {
  return directories.all.flatMap(({ metaProperties }) => {
    const id = metaProperties?.directoryId ?? ''
    return id === '' ? [] : [id]
  })
}

async function rememberedIds(
  store: MetadataStore,
): Promise<{ ids: readonly string[]; modRevision: number }> {
  const { entries } = await store.range(KEY)
  const entry = entries.find(({ key }) => key === KEY)
  if (entry === undefined) return { ids: [], modRevision: 0 }
  return { ...(JSON.parse(entry.value) as { ids: string[] }), modRevision: entry.modRevision }
}

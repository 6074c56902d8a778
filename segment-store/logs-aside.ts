/**
 * Directories of logs that are out of the way: renamed to `<topic>-<partition>.<32 hex digits>-delete` (on its way out) or
 * `-stray` (of an earlier topic), Kafka's names for them.
 */
import { PARTITION_METADATA } from './checkpoint.ts'
import type { Disk } from './disk.ts'

/** File names are limited to 255 bytes; a deleted log's name is its topic's, cut, and 42 more. */
const MAX_NAME = 255
const DELETED = /^.+-\d+\.[0-9a-f]{32}-delete$/

/** The name of the directory of log `name` when it is out of the way; `uuid` makes it unlike all others. */
export function asideName(name: string, why: 'delete' | 'stray', uuid: string): string {
  const suffix = `.${Buffer.from(uuid, 'base64url').toString('hex')}-${why}`
  const dash = name.lastIndexOf('-')
  const number = name.slice(dash)
  const topic = name.slice(0, Math.min(dash, MAX_NAME - suffix.length - number.length))
  return `${topic}${number}${suffix}`
}

/** Whether a directory's name says that it is a deleted log. */
export function isDeletedLog(name: string): boolean {
  return DELETED.test(name)
}

/** Removes what was deleted. `partition.metadata` goes last: a crash on the way leaves a directory that says what it is. */
export async function removeAside(disk: Disk, directory: string): Promise<void> {
  for (const { name } of await disk.list(directory)) {
    if (name !== PARTITION_METADATA) await disk.remove(`${directory}/${name}`)
  }
  await disk.syncDirectory(directory)
  await disk.remove(directory)
}

/** Why a directory of this name is not opened as a log; null for the name of a log. */
export function whyLeftAlone(name: string): string | null {
  if (/-delete$/.test(name)) return 'a deleted log'
  if (/-stray$/.test(name)) return 'a log that Kafka set aside'
  if (/-future$/.test(name)) return 'an unfinished move between directories'
  if (/^__cluster_metadata-\d+$/.test(name)) return "Kafka's own cluster metadata"
  if (/^.+-\d+$/.test(name)) return null
  return 'not the name of a log'
}

/** Which directories of logs a path on the command line means. */
import type { SystemDisk } from '../segment-store/system-disk.ts'
import { UsageError } from './failure.ts'

const SEGMENT_FILE = /^\d{20}\.(log|index|timeindex|txnindex|snapshot)$/

/** The directories of logs that `path` is or has. @throws UsageError where there is none */
export async function logDirectories(disk: SystemDisk, path: string): Promise<string[]> {
  const trimmed = path.replace(/(?<=.)\/+$/, '')
  const entries = await disk.list(trimmed).catch(error => {
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}`)
  })
  if (entries.some(({ name, isDirectory }) => !isDirectory && SEGMENT_FILE.test(name))) {
    return [trimmed]
  }
  const logs: string[] = []
  for (const { name, isDirectory } of entries) {
    if (!isDirectory || !/-(\d+|delete|stray|future)$/.test(name)) continue
    logs.push(`${trimmed}/${name}`)
  }
  if (logs.length > 0) return logs.sort()
  const isDataDirectory = entries.some(({ name }) => name === 'meta.properties')
  if (isDataDirectory) return []
  throw new UsageError(`there is no log in ${path}: name a data directory, or one like orders-0.`)
}

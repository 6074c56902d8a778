/**
 * Putting compacted segments in the place of those that they were made from, so that a crash at any step leaves the old
 * ones or the new one. The directory is synced after each step (│), because renames may reach the medium in any order.
 *
 *   X.*.cleaned synced │ X.*index.cleaned → .swap │ X.log.cleaned → X.log.swap │ other old logs → .deleted
 *     │ old indexes removed │ X.log → X.log.deleted │ X.*index.swap → X.*index │ X.log.swap → X.log │
 *
 * X is the base offset of the first old segment and of the new one. `X.log.swap` decides: before it is there, what is
 * `.cleaned` or `.swap` goes at the next start; once it is there, `finishSwaps` does the rest of the steps.
 */

import assert from 'node:assert/strict'
import { walkBatches } from './batch-walker.ts'
import { removeCleaned } from './cleaned-file.ts'
import type { CleanedGroup } from './cleaning.ts'
import type { Disk } from './disk.ts'
import type { StoreLog } from './log-options.ts'
import type { LogParts } from './log-parts.ts'
import { INDEX_SUFFIXES, Segment, segmentFileName } from './segment.ts'
import { TxnIndex } from './txn-index.ts'

/**
 * Swaps a finished group in. Answers false, and removes what was made, if its segments are not all there any more.
 * Runs alone (`exclusively`). A failure behind the deciding step is final for the log.
 */
export async function swapIn(log: LogParts, group: CleanedGroup): Promise<boolean> {
  const { disk, directory, segmentList } = log
  const base = group.sources[0]!
  const path = `${directory}/${segmentFileName(base, '')}`
  const first = segmentList.findIndex(segment => segment.baseOffset === base)
  const old = first === -1 ? [] : segmentList.slice(first, first + group.sources.length)
  const isThere =
    old.length === group.sources.length &&
    old.every((segment, i) => segment.baseOffset === group.sources[i] && segment !== log.active)
  if (!isThere || !log.writer.canAppend) {
    await removeCleaned(disk, path)
    return false
  }
  for (const segment of old) await segment.hold()
  await disk.syncDirectory(directory)
  await renameIndexes(disk, path, '.cleaned', '.swap')
  await disk.syncDirectory(directory)
  await disk.rename(`${path}.log.cleaned`, `${path}.log.swap`)
  try {
    await disk.syncDirectory(directory)
    const fresh = await openSwapped(log, group, old.at(-1)!)
    await fresh.hold()
    segmentList.splice(first, old.length, fresh)
    for (const segment of old) {
      await segment.close()
      await segment.letGo()
    }
    await settleFiles(log, old, path)
    await fresh.letGo()
  } catch (error) {
    log.writer.fail(error)
    throw error
  }
  await log.snapshots.removeStray(segmentList)
  return true
}

/** The new segment, loaded from the files with `.swap` behind their names. */
async function openSwapped(log: LogParts, group: CleanedGroup, last: Segment): Promise<Segment> {
  const { disk, place, config } = log
  const fresh = new Segment(place, config, group.sources[0]!, group.size, last.createdMs)
  fresh.endOffset = last.endOffset
  const read = (suffix: string) => disk.readFile(`${fresh.path}${suffix}.swap`)
  const [offsets, times] = [await read('.index'), await read('.timeindex')]
  const aborted = await read('.txnindex')
  if (aborted !== null) {
    const index = TxnIndex.parse(aborted, fresh.baseOffset, fresh.endOffset)
    assert(index !== null, 'the index of aborted transactions was written by us')
    fresh.txnIndex = index
  }
  fresh.adopt(await disk.open(`${fresh.path}.log.swap`), offsets, times)
  return fresh
}

async function settleFiles(log: LogParts, old: readonly Segment[], path: string): Promise<void> {
  const { disk, directory } = log
  const aside: string[] = []
  const setAside = async (oldPath: string) => {
    await disk.rename(`${oldPath}.log`, `${oldPath}.log.deleted`)
    aside.push(`${oldPath}.log.deleted`)
  }
  for (const segment of old.slice(1)) await setAside(segment.path)
  if (old.length > 1) await disk.syncDirectory(directory)
  for (const segment of old) {
    for (const suffix of INDEX_SUFFIXES) await disk.remove(`${segment.path}${suffix}`)
  }
  await disk.syncDirectory(directory)
  await setAside(path)
  await disk.syncDirectory(directory)
  await finishRenames(disk, directory, path)
  for (const file of aside) await log.deletedFiles.add(file, log.config.fileDeleteDelayMs)
}

async function renameIndexes(disk: Disk, path: string, from: string, to: string): Promise<void> {
  for (const suffix of INDEX_SUFFIXES) {
    // There need not be a .txnindex.
    if ((await disk.readFile(`${path}${suffix}${from}`)) === null) continue
    await disk.rename(`${path}${suffix}${from}`, `${path}${suffix}${to}`)
  }
}

async function finishRenames(disk: Disk, directory: string, path: string): Promise<void> {
  await renameIndexes(disk, path, '.swap', '')
  await disk.syncDirectory(directory)
  await disk.rename(`${path}.log.swap`, `${path}.log`)
  await disk.syncDirectory(directory)
}

const SWAP = /^(\d{20})\.(log|index|timeindex|txnindex)\.swap$/

/** Ends the swaps that a crash, of ours or of Kafka, left undone. To be called before anything else is read. */
export async function finishSwaps(disk: Disk, directory: string, log?: StoreLog): Promise<void> {
  const names = new Set((await disk.list(directory)).map(({ name }) => name))
  for (const name of [...names].sort()) {
    const [, digits, kind] = SWAP.exec(name) ?? []
    if (digits === undefined) continue
    if (kind === 'log') {
      log?.info('unfinished compaction completed', { directory, segment: Number(digits) })
      await finishSwap(disk, directory, digits, names)
    } else if (!names.has(`${digits}.log.swap`)) {
      // Without its log: not yet decided, or of a Kafka that had renamed the log first.
      const target = `${digits}.${kind}`
      const isUndecided = names.has(`${digits}.log.cleaned`) || names.has(target)
      if (isUndecided || !names.has(`${digits}.log`)) await disk.remove(`${directory}/${name}`)
      else await disk.rename(`${directory}/${name}`, `${directory}/${target}`)
    }
  }
}

async function finishSwap(
  disk: Disk,
  directory: string,
  digits: string,
  names: ReadonlySet<string>,
): Promise<void> {
  const path = `${directory}/${digits}`
  const base = Number(digits)
  const end = await endOffsetOf(disk, `${path}.log.swap`, base)
  for (const name of names) {
    const [, other] = /^(\d{20})\.log$/.exec(name) ?? []
    if (other === undefined || Number(other) <= base || Number(other) >= end) continue
    await disk.remove(`${directory}/${name}`)
  }
  await disk.syncDirectory(directory)
  // Kafka renames the log first: its indexes may still be .cleaned.
  await renameIndexes(disk, path, '.cleaned', '.swap')
  if (names.has(`${digits}.log`)) {
    for (const suffix of INDEX_SUFFIXES) await disk.remove(`${path}${suffix}`)
    await disk.syncDirectory(directory)
    await disk.remove(`${path}.log`)
    await disk.syncDirectory(directory)
  }
  await finishRenames(disk, directory, path)
}

async function endOffsetOf(disk: Disk, path: string, baseOffset: number): Promise<number> {
  const file = await disk.open(path)
  try {
    const options = { checkCrc: false, firstOffset: baseOffset }
    return (await walkBatches(file, 0, file.size, options, () => true)).nextOffset
  } finally {
    await file.close()
  }
}

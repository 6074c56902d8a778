/**
 * The scrubber: checks all files of one log without changing any, also while a broker writes them (`ottla log verify`,
 * and a broker in the background).
 *
 * What looks wrong in a file that somebody works on may only be half done. So a segment with problems is checked once
 * more after a while; what holds then, counts. A segment that has gone meanwhile (retention, compaction) has none.
 */
import { MalformedError } from '../protocol/buffer.ts'
import { LEADER_EPOCHS, PARTITION_METADATA, parsePartitionMetadata } from './checkpoint.ts'
import type { Disk, File } from './disk.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import { ProducerStates } from './producer-state.ts'
import { segmentFileName } from './segment.ts'
import { type Problem, SegmentCheck } from './segment-check.ts'
import { TxnIndex } from './txn-index.ts'

const STEP_BYTES = 1024 * 1024
const DATA_FILE = /^(\d{20})\.(log|txnindex|snapshot)$/

export interface LogCheckOptions {
  readonly disk: Disk
  readonly directory: string
  /** Called after so many bytes were read, and waited for: the place to go slowly, to show progress, or to stop by throwing. */
  readonly onBytes: (bytes: number) => Promise<void> | void
  /** Waits a moment: for whoever is in the middle of writing a file. */
  readonly settle: () => Promise<void>
}

export interface LogCheckResult {
  readonly segments: number
  readonly batches: number
  readonly records: number
  readonly bytes: number
  readonly problems: readonly Problem[]
}

/** Checks one log's directory. Rejects only where the directory itself cannot be read, and with what `onBytes` throws. */
export async function checkLog(options: LogCheckOptions): Promise<LogCheckResult> {
  const { disk, directory } = options
  const names = (await disk.list(directory)).filter(entry => !entry.isDirectory)
  const bases = names
    .map(({ name }) => DATA_FILE.exec(name))
    .filter(match => match !== null && match[2] === 'log')
    .map(match => Number(match![1]))
    .sort((a, b) => a - b)
  const total = { segments: 0, batches: 0, records: 0, bytes: 0, problems: [] as Problem[] }
  for (const [i, base] of bases.entries()) {
    const nextBase = bases[i + 1] ?? Number.POSITIVE_INFINITY
    let found = await checkSegment(options, base, nextBase)
    if (found !== null && found.problems.length > 0) {
      await options.settle()
      found = await checkSegment(options, base, nextBase)
    }
    if (found === null) continue
    total.segments += 1
    total.batches += found.batchCount
    total.records += found.recordCount
    total.bytes += found.position
    total.problems.push(...found.problems)
  }
  for (const { name } of names)
    total.problems.push(...(await checkSmallFile(disk, directory, name)))
  return total
}

/** null: there is no such segment any more. */
async function checkSegment(
  { disk, directory, onBytes }: LogCheckOptions,
  baseOffset: number,
  nextBase: number,
): Promise<SegmentCheck | null> {
  const path = `${directory}/${segmentFileName(baseOffset, '')}`
  let log: File
  try {
    log = await disk.open(`${path}.log`, { readOnly: true })
  } catch (error) {
    if (await isGone(disk, directory, segmentFileName(baseOffset, '.log'))) return null
    throw error
  }
  try {
    const [index, timeIndex] = [
      await disk.readFile(`${path}.index`),
      await disk.readFile(`${path}.timeindex`),
    ]
    const check = new SegmentCheck({ path, baseOffset, log, index, timeIndex })
    while (!check.isDone) {
      const before = check.position
      try {
        await check.step(STEP_BYTES)
      } catch (error) {
        const problem = `cannot be read: ${error instanceof Error ? error.message : error}`
        check.problems.push({ file: `${path}.log`, position: before, problem })
        break
      }
      await onBytes(check.position - before)
    }
    if (check.nextOffset > nextBase) {
      const problem = `goes on to offset ${check.nextOffset - 1}, the next segment begins at ${nextBase}`
      check.problems.push({ file: `${path}.log`, position: -1, problem })
    }
    return check
  } finally {
    await log.close()
  }
}

async function isGone(disk: Disk, directory: string, name: string): Promise<boolean> {
  return !(await disk.list(directory)).some(entry => entry.name === name)
}

/** Snapshots, transaction indexes, the epoch file, the topic's id: whether they can be read and say what is possible. */
async function checkSmallFile(disk: Disk, directory: string, name: string): Promise<Problem[]> {
  const [, digits, kind] = DATA_FILE.exec(name) ?? []
  const isChecked =
    kind === 'snapshot' ||
    kind === 'txnindex' ||
    name === LEADER_EPOCHS ||
    name === PARTITION_METADATA
  if (!isChecked) return []
  const file = `${directory}/${name}`
  const bytes = await disk.readFile(file)
  if (bytes === null) return []
  const problem = smallFileProblem(bytes, name, kind, Number(digits))
  return problem === null ? [] : [{ file, position: -1, problem }]
}

function smallFileProblem(
  bytes: Buffer,
  name: string,
  kind: string | undefined,
  offset: number,
): string | null {
  try {
    if (kind === 'snapshot') {
      const producers = new ProducerStates(Number.POSITIVE_INFINITY)
      producers.loadSnapshot(bytes, 0, offset)
    } else if (kind === 'txnindex') {
      if (TxnIndex.parse(bytes, offset, Number.POSITIVE_INFINITY) === null)
        return 'no transaction index of this segment'
    } else if (name === LEADER_EPOCHS) LeaderEpochs.parse(bytes)
    else parsePartitionMetadata(bytes)
    return null
  } catch (error) {
    if (error instanceof MalformedError) return error.message
    throw error
  }
}

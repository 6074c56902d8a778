/**
 * `ottla log dump`: the files of a log as they are. Reads each file as a row of items (batches with their records, index
 * entries, producers, …); `log-dump-text.ts` prints them as Kafka's dump tool does, `--json` as objects.
 */
import { MalformedError } from '../protocol/buffer.ts'
import * as batches from '../protocol/record-batch.ts'
import { type DecodedRecord, decodeBatch } from '../protocol/records.ts'
import { batchDamage } from '../segment-store/batch-walker.ts'
import { LEADER_EPOCHS, PARTITION_METADATA, parseLines } from '../segment-store/checkpoint.ts'
import type { File } from '../segment-store/disk.ts'
import { OffsetIndex } from '../segment-store/offset-index.ts'
import { ProducerStates } from '../segment-store/producer-state.ts'
import type { SystemDisk } from '../segment-store/system-disk.ts'
import { TimeIndex } from '../segment-store/time-index.ts'
import { TxnIndex } from '../segment-store/txn-index.ts'
import type { Terminal } from './context.ts'
import { UsageError } from './failure.ts'
import { logDirectories } from './log-directories.ts'
import {
  batchItem,
  type DumpOptions,
  dumpText,
  type Item,
  plainDecoder,
  type RecordDecoder,
  recordItem,
} from './log-dump-text.ts'
import { offsetsDecoder } from './offsets-decoder.ts'

/** What one batch may decompress to. */
const MAX_DECOMPRESSED_BYTES = 1024 * 1024 * 1024
const DUMPED = /^(\d{20})\.(log|index|timeindex|txnindex|snapshot)$/

/** Prints the files, in the order given; those of a directory by name. @throws UsageError for what is no such file */
export async function dumpPaths(
  disk: SystemDisk,
  paths: readonly string[],
  asked: DumpOptions,
  terminal: Terminal,
): Promise<void> {
  // Nobody decodes what is not printed.
  const options = asked.offsetsDecoder === true ? { ...asked, printDataLog: true } : asked
  const files: string[] = []
  for (const path of paths) files.push(...(await filesOf(disk, path)))
  let damaged = 0
  for (const file of files) {
    if (options.json !== true) terminal.out(`Dumping ${file}\n`)
    for await (const item of itemsOf(disk, file, options)) {
      if (item.type === 'damage') damaged += 1
      const line =
        options.json === true ? JSON.stringify({ file, ...item }) : dumpText(item, options)
      terminal.out(`${line}\n`)
      await terminal.drained?.()
    }
  }
  if (damaged > 0)
    throw new DamageError(`not everything could be read: ${damaged} damaged place(s)`)
}

class DamageError extends Error {
  override readonly name = 'DamageError'
  readonly retriable = false
}

async function filesOf(disk: SystemDisk, path: string): Promise<string[]> {
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (isDumped(name)) return [path]
  const files: string[] = []
  for (const directory of await logDirectories(disk, path)) {
    const names = (await disk.list(directory)).map(entry => entry.name)
    files.push(...names.filter(isDumped).map(each => `${directory}/${each}`))
  }
  return files.sort()
}

function isDumped(name: string): boolean {
  return DUMPED.test(name) || name === LEADER_EPOCHS || name === PARTITION_METADATA
}

async function* itemsOf(
  disk: SystemDisk,
  path: string,
  options: DumpOptions,
): AsyncGenerator<Item, void, void> {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const [, digits, kind] = DUMPED.exec(name) ?? []
  if (kind === 'log') return yield* logItems(disk, path, Number(digits), options)
  const bytes = await disk.readFile(path)
  if (bytes === null) throw new UsageError(`${path} does not exist.`)
  try {
    yield* smallFileItems(bytes, name, kind, Number(digits))
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error
    yield { type: 'damage', position: 0, problem: error.message }
  }
}

function* smallFileItems(
  bytes: Buffer,
  name: string,
  kind: string | undefined,
  baseOffset: number,
): Generator<Item, void, void> {
  if (kind === 'index') {
    const index = new OffsetIndex(baseOffset, bytes.length, bytes)
    for (let i = 0; i < index.entries.count; i++) {
      // What Kafka made room for and has not used.
      if (i > 0 && index.offsetAt(i) === baseOffset) return
      yield { type: 'index', offset: index.offsetAt(i), position: index.positionAt(i) }
    }
  } else if (kind === 'timeindex') {
    const index = new TimeIndex(baseOffset, bytes.length, bytes)
    for (let i = 0; i < index.entries.count; i++) {
      if (i > 0 && index.timestampAt(i) === 0) return
      yield { type: 'timeindex', timestamp: index.timestampAt(i), offset: index.offsetAt(i) }
    }
  } else if (kind === 'txnindex') {
    const index = TxnIndex.parse(bytes, baseOffset, Number.POSITIVE_INFINITY)
    if (index === null) throw new MalformedError('no transaction index of this segment')
    for (const aborted of index.entries) yield { type: 'txnindex', version: 0, ...aborted }
  } else if (kind === 'snapshot') {
    const producers = new ProducerStates(Number.POSITIVE_INFINITY)
    producers.loadSnapshot(bytes, 0)
    for (const entry of producers.entries()) yield { type: 'producer', ...entry.describe() }
  } else if (name === LEADER_EPOCHS) {
    for (const [epoch, startOffset] of parseLines(bytes, 2)) {
      yield { type: 'leaderEpoch', epoch: Number(epoch), startOffset: Number(startOffset) }
    }
  } else yield { type: 'topicId', text: bytes.toString('utf8').trim().replace(/\n/g, ' ') }
}

async function* logItems(
  disk: SystemDisk,
  path: string,
  baseOffset: number,
  options: DumpOptions,
): AsyncGenerator<Item, void, void> {
  const file = await disk.open(path, { readOnly: true }).catch(error => {
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}`)
  })
  try {
    yield { type: 'log', baseOffset }
    const decoder = options.offsetsDecoder === true ? offsetsDecoder : plainDecoder
    let position = 0
    let next = baseOffset
    for (let count = 0; position < file.size && count < (options.maxBatches ?? Infinity); count++) {
      const batch = await batchAt(file, position, next)
      if (typeof batch === 'string') {
        yield { type: 'damage', position, problem: batch, bytesLeft: file.size - position }
        return
      }
      yield batchItem(batch, position)
      if (options.deep === true || options.printDataLog === true) {
        yield* recordItems(batch, position, options.printDataLog === true ? decoder : null)
      }
      position += batch.length
      next = batches.lastOffset(batch, 0) + 1
    }
  } finally {
    await file.close()
  }
}

/** The whole batch, or what is wrong there. */
async function batchAt(file: File, position: number, nextOffset: number): Promise<Buffer | string> {
  const header = Buffer.alloc(batches.RECORD_BATCH_OVERHEAD)
  const filled = await file.read(position, header)
  if (filled < header.length) return `header cut short: ${filled} of ${header.length} bytes`
  const damage = batchDamage(header, 0, file.size - position, nextOffset)
  if (damage !== null) return damage
  const batch = Buffer.allocUnsafe(batches.sizeInBytes(header, 0))
  return (await file.read(position, batch)) === batch.length ? batch : 'the file became shorter'
}

async function* recordItems(
  batch: Buffer,
  position: number,
  decoder: RecordDecoder | null,
): AsyncGenerator<Item, void, void> {
  let records: readonly DecodedRecord[]
  try {
    records = await decodeBatch(batch, 0, MAX_DECOMPRESSED_BYTES)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    yield { type: 'damage', position, problem: `records cannot be decoded: ${why}` }
    return
  }
  for (const record of records) yield recordItem(batch, record, decoder)
}

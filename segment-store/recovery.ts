/**
 * Opening a log: what its files say, and after an unclean stop what is still true of them.
 *
 * After a clean stop the indexes, the producer snapshot and the epoch file are complete. What it noted of the newest segment
 * (clean-segments.ts) makes it unnecessary to look at any; without that, the batches behind the last index entry are read.
 * After an unclean one everything from the recovery point on is read and checked, batch by
 * batch: the log is cut in front of the first that is torn or damaged, indexes are rebuilt, producers and leader epochs
 * replayed. Below the recovery point everything is known to be on the medium, so nothing there is read.
 *
 * What is acknowledged was handed to the kernel: a killed process loses none of it. A power cut can take what was not
 * synced; recovery then finds the last whole batch.
 */
import * as batches from '../protocol/record-batch.ts'
import { type WalkEnd, walkBatches } from './batch-walker.ts'
import { LEADER_EPOCHS } from './checkpoint.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import type { LogOptions, StoreLog } from './log-options.ts'
import { OFFSET_ENTRY_BYTES } from './offset-index.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import { ProducerStates } from './producer-state.ts'
import { Segment, segmentFileName } from './segment.ts'
import { finishSwaps } from './swap.ts'
import { TIME_ENTRY_BYTES } from './time-index.ts'
import { TxnIndex } from './txn-index.ts'

/** A log file begins with a batch of format 0 or 1, which Kafka 4 no longer writes and we do not read. */
export class OldFormatError extends Error {
  override readonly name = 'OldFormatError'
}

export interface OpenedLog {
  /** At least one; the last is active and loaded. */
  readonly segments: Segment[]
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** Below it everything is on the medium. */
  readonly durableOffset: number
  readonly producers: ProducerStates
  readonly epochs: LeaderEpochs
  /** The epoch file does not say what `epochs` says. */
  readonly areEpochsDirty: boolean
  readonly snapshots: ProducerSnapshots
}

/** What the names in a log's directory mean. */
interface Inventory {
  readonly logs: Map<number, { size: number; modifiedMs: number }>
  readonly withTxnIndex: Set<number>
  /** Of the sparse indexes, those that may be whole: their sizes are multiples of an entry's. */
  readonly whole: Set<string>
  readonly snapshots: number[]
}

/** How often a long recovery says how far it has come, and after how many bytes it looks at the clock. */
const PROGRESS_EVERY_MS = 5_000
const PROGRESS_STEP_BYTES = 8 * 1024 * 1024

const FILE_NAME = /^(\d{20})\.(log|index|timeindex|txnindex|snapshot)$/

export async function openLog(options: LogOptions): Promise<OpenedLog> {
  return await new Opening(options).run()
}

class Opening {
  private readonly options: LogOptions
  private readonly log: StoreLog | undefined
  private segments: Segment[] = []
  private readonly producers: ProducerStates
  private epochs = new LeaderEpochs()
  private areEpochsDirty = false
  /** Of the segments that were checked so far one misses offsets between two batches. */
  private hasGaps = false
  private snapshots: ProducerSnapshots

  constructor(options: LogOptions) {
    this.options = options
    this.log = options.log
    this.producers = new ProducerStates(options.producerIdExpirationMs)
    this.snapshots = new ProducerSnapshots(options.disk, options.directory, [], options.log)
  }

  async run(): Promise<OpenedLog> {
    const { options } = this
    await finishSwaps(options.disk, options.directory, options.log)
    const inventory = await this.takeInventory()
    this.snapshots = new ProducerSnapshots(
      options.disk,
      options.directory,
      inventory.snapshots,
      options.log,
    )
    this.loadEpochs()
    await this.makeSegments(inventory)
    const wasClean = options.wasCleanShutdown && (await this.openClean(inventory))
    if (!wasClean) await this.recover()
    const active = this.segments.at(-1)!
    active.isActive = true
    const logStartOffset = Math.max(options.logStartOffset, this.segments[0]!.baseOffset)
    if (active.endOffset < logStartOffset) await this.startAnewAt(logStartOffset)
    const logEndOffset = this.segments.at(-1)!.endOffset
    if (this.epochs.truncateFromEnd(logEndOffset)) this.areEpochsDirty = true
    const recoveryPoint = wasClean ? logEndOffset : options.recoveryPoint
    return {
      segments: this.segments,
      logStartOffset,
      logEndOffset,
      durableOffset: Math.min(recoveryPoint, logEndOffset),
      producers: this.producers,
      epochs: this.epochs,
      areEpochsDirty: this.areEpochsDirty,
      snapshots: this.snapshots,
    }
  }

  private async takeInventory(): Promise<Inventory> {
    const { disk, directory } = this.options
    const inventory: Inventory = {
      logs: new Map(),
      withTxnIndex: new Set(),
      whole: new Set(),
      snapshots: [],
    }
    const others: { name: string; base: number }[] = []
    for (const { name, isDirectory, size, modifiedMs } of await disk.list(directory)) {
      if (isDirectory) continue
      if (/\.(deleted|cleaned|tmp)$/.test(name)) {
        await disk.remove(`${directory}/${name}`)
        continue
      }
      const [, digits, kind] = FILE_NAME.exec(name) ?? []
      if (digits === undefined) continue
      const base = Number(digits)
      if (kind === 'log') inventory.logs.set(base, { size, modifiedMs })
      else if (kind === 'snapshot') inventory.snapshots.push(base)
      else others.push({ name, base })
      if (kind === 'index' && size % OFFSET_ENTRY_BYTES === 0) inventory.whole.add(name)
      if (kind === 'timeindex' && size % TIME_ENTRY_BYTES === 0) inventory.whole.add(name)
      if (kind === 'txnindex') inventory.withTxnIndex.add(base)
    }
    // Indexes without a log file are what an interrupted deletion leaves.
    for (const { name, base } of others) {
      if (!inventory.logs.has(base)) await disk.remove(`${directory}/${name}`)
    }
    return inventory
  }

  private loadEpochs(): void {
    const { disk, directory } = this.options
    const bytes = disk.readFileSync(`${directory}/${LEADER_EPOCHS}`)
    if (bytes === null) return
    try {
      this.epochs = LeaderEpochs.parse(bytes)
    } catch (error) {
      this.log?.warn('leader epochs unreadable, starting without', {
        directory,
        error: String(error),
      })
    }
  }

  private async makeSegments(inventory: Inventory): Promise<void> {
    const { options } = this
    const { disk, directory, config } = options
    const bases = [...inventory.logs.keys()].sort((a, b) => a - b)
    for (const base of bases) {
      const { size, modifiedMs } = inventory.logs.get(base)!
      const previous = this.segments.at(-1)
      if (previous !== undefined) previous.endOffset = base
      this.segments.push(new Segment(options, config, base, size, Math.max(0, modifiedMs)))
    }
    if (this.segments.length === 0) {
      this.segments.push(await this.createFirst(options.logStartOffset))
    }
    for (const segment of this.segments) {
      if (!inventory.withTxnIndex.has(segment.baseOffset)) continue
      const bytes = await disk.readFile(`${segment.path}.txnindex`)
      const isLast = segment === this.segments.at(-1)
      const end = isLast ? Number.POSITIVE_INFINITY : segment.endOffset
      const index = bytes === null ? null : TxnIndex.parse(bytes, segment.baseOffset, end)
      if (index === null)
        this.log?.warn('txnindex unreadable', { directory, base: segment.baseOffset })
      else segment.txnIndex = index
    }
  }

  /** Its name is on the medium before there are others: a log without its first segment would seem to start later. */
  private async createFirst(offset: number): Promise<Segment> {
    const { options } = this
    const segment = Segment.create(options, options.config, offset, options.nowMs)
    await options.disk.syncDirectory(options.directory)
    return segment
  }

  /** Answers false where the files turn out not to be those of a clean stop. */
  private async openClean({ whole }: Inventory): Promise<boolean> {
    const { directory, cleanSegment, nowMs } = this.options
    const active = this.segments.at(-1)!
    const { baseOffset } = active
    const areIndexesThere = ['.index', '.timeindex'].every(suffix =>
      whole.has(segmentFileName(baseOffset, suffix)),
    )
    const isKnown = cleanSegment !== undefined && areIndexesThere && active.resume(cleanSegment)
    if (!isKnown) {
      await this.refuseOldFormat(active)
      const { damage, position } = await active.use(() => active.scanTail())
      if (damage !== null) {
        this.log?.warn('damaged after a clean stop, recovering', { directory, damage, position })
        return false
      }
      if (active.size > 0) await active.use(() => active.loadFirstTimestamp())
    }
    await this.snapshots.restore(this.producers, this.segments, active.endOffset, nowMs)
    return true
  }

  private async recover(): Promise<void> {
    const { directory, recoveryPoint, nowMs } = this.options
    // One that ends there may have been the active one when it was synced: then its index files are older than it.
    let first = this.segments.findIndex(segment => segment.endOffset >= recoveryPoint)
    if (first === -1) first = this.segments.length - 1
    // Newer snapshots, if any, are rebuilt rather than believed: what they describe may be about to be cut.
    const firstBase = this.segments[first]!.baseOffset
    await this.snapshots.restore(this.producers, this.segments, firstBase, nowMs)
    // Nor what the epoch file says of them.
    if (this.epochs.truncateFromEnd(firstBase)) this.areEpochsDirty = true
    const bytesBefore = this.segments.reduce((sum, segment) => sum + segment.size, 0)
    let damage: string | null = null
    let checkedBytes = 0
    const total = this.segments.slice(first).reduce((sum, segment) => sum + segment.size, 0)
    const progress = this.progressOf(total)
    for (let i = first; i < this.segments.length; i++) {
      const segment = this.segments[i]!
      // As a roll would: the segments in front of it may be deleted before the next snapshot.
      if (i > first) await this.snapshots.save(segment.baseOffset, this.producers.encodeSnapshot())
      const end = await this.recoverSegment(segment, position => progress(checkedBytes + position))
      checkedBytes += end.position
      damage = end.damage
      if (damage === null) continue
      await this.removeLost(this.segments.splice(i + 1))
    }
    const active = this.segments.at(-1)!
    const bytes = this.segments.reduce((sum, segment) => sum + segment.size, 0)
    const fields = { directory, recoveryPoint, logEndOffset: active.endOffset, checkedBytes }
    if (damage === null) this.log?.info('log recovered', fields)
    else
      this.log?.info('log recovered, damaged tail cut', { ...fields, damage, bytesBefore, bytes })
  }

  /** To be told how many of the log's bytes are checked; says so in the log every few seconds. */
  private progressOf(totalBytes: number): (checkedBytes: number) => void {
    const { monotonicMs, directory } = this.options
    if (monotonicMs === undefined || this.log === undefined) return () => {}
    let saidMs = monotonicMs()
    let lookAt = PROGRESS_STEP_BYTES
    return checkedBytes => {
      if (checkedBytes < lookAt) return
      lookAt = checkedBytes + PROGRESS_STEP_BYTES
      const nowMs = monotonicMs()
      if (nowMs - saidMs < PROGRESS_EVERY_MS) return
      saidMs = nowMs
      this.log?.info('log is being recovered', { directory, checkedBytes, totalBytes })
    }
  }

  /** Newest first, each on the medium before the next: a crash meanwhile must not leave a hole. */
  private async removeLost(segments: readonly Segment[]): Promise<void> {
    const { disk, directory } = this.options
    for (const segment of segments.toReversed()) {
      await segment.remove()
      await disk.syncDirectory(directory)
    }
  }

  /** Checks every batch, rebuilds what is derived from them, and cuts the file in front of the first bad one. */
  private async recoverSegment(
    segment: Segment,
    progress: (position: number) => void,
  ): Promise<WalkEnd> {
    await this.refuseOldFormat(segment)
    await segment.openForRecovery()
    segment.txnIndex.truncateTo(segment.baseOffset)
    const options = { checkCrc: true, firstOffset: segment.baseOffset, readAhead: true }
    let due = segment.baseOffset
    const visit = (buffer: Buffer, at: number, position: number) => {
      progress(position)
      if (batches.baseOffset(buffer, at) > due) this.hasGaps = true
      due = batches.lastOffset(buffer, at) + 1
      segment.noteBatch(buffer, at, position)
      const epoch = batches.leaderEpoch(buffer, at)
      if (epoch > this.epochs.latest && this.epochs.assign(epoch, batches.baseOffset(buffer, at))) {
        this.areEpochsDirty = true
      }
      const aborted = this.producers.replay(buffer, at)
      if (aborted !== null) segment.txnIndex.append(aborted)
    }
    const end = await walkBatches(segment.file, 0, segment.size, options, visit)
    if (end.position < segment.size) {
      await segment.file.truncate(end.position)
      // What was cut off must not come back between batches that are appended in its place.
      await segment.file.sync()
      segment.size = end.position
      segment.writtenSize = end.position
    }
    segment.isDirty = true
    const next = this.segments[this.segments.indexOf(segment) + 1]
    const damage = end.damage ?? this.checkHole(next, end.nextOffset)
    if (next === undefined || damage !== null) segment.endOffset = end.nextOffset
    else {
      segment.seal()
      await segment.saveIndexes(true)
    }
    return { ...end, damage }
  }

  /**
   * A power cut may take the unsynced end of a segment, exactly at a batch, and leave what was written behind it in the
   * next. Only compaction leaves such holes on purpose, and only below the recovery point as it was noted before
   * (cleaner.ts). Where that is lost, a log that misses offsets already has been compacted. Answers what
   * is missing; where that had been deleted before, only the producers are unknown.
   */
  private checkHole(next: Segment | undefined, endOffset: number): string | null {
    if (next === undefined || next.baseOffset <= endOffset) return null
    const { recoveryPoint, cleanedOffset = 0, logStartOffset } = this.options
    if (next.baseOffset <= Math.max(recoveryPoint, cleanedOffset)) return null
    if (recoveryPoint === 0 && this.hasGaps) return null
    if (next.baseOffset > logStartOffset) {
      return `offsets ${endOffset} to ${next.baseOffset - 1} are missing`
    }
    // Nobody knows how far those had come who wrote there.
    this.producers.clear()
    return null
  }

  private async refuseOldFormat(segment: Segment): Promise<void> {
    if (segment.size <= batches.MAGIC) return
    const { disk } = this.options
    const file = await disk.open(`${segment.path}.log`)
    const head = Buffer.alloc(batches.MAGIC + 1)
    await file.read(0, head)
    await file.close()
    const format = batches.magic(head, 0)
    const length = batches.batchLength(head, 0)
    // A file of zeros (preallocated, then cut off from its process) has length 0: that is damage, not an old format.
    if (format >= 0 && format < batches.CURRENT_MAGIC && length >= 14 && length < segment.size) {
      throw new OldFormatError(`${segment.path}.log holds messages of format ${format}`)
    }
  }

  /** The checkpoint says that the log starts behind its end: what is there was deleted long ago. */
  private async startAnewAt(offset: number): Promise<void> {
    const { options } = this
    this.log?.warn('log ends before its start', {
      directory: options.directory,
      logStartOffset: offset,
    })
    for (const segment of this.segments) await segment.remove()
    this.segments = [await this.createFirst(offset)]
    this.producers.clear()
    await this.snapshots.removeAll()
    this.epochs.clear()
    this.areEpochsDirty = true
  }
}

/**
 * The two sparse indexes of one segment, and what is needed for their next entries. They may be out of memory
 * (`areLoaded`); the greatest timestamp is known beyond that.
 *
 * Invariants: both indexes are in memory or neither is; neither points past the end of the log file.
 */
import type { CleanSegment } from './clean-segments.ts'
import type { Disk } from './disk.ts'
import { OffsetIndex } from './offset-index.ts'
import { ReadPositions } from './read-positions.ts'
import { readLastEntry, TimeIndex } from './time-index.ts'

const UNKNOWN = Number.NEGATIVE_INFINITY

export class SegmentIndexes {
  offsets: OffsetIndex | null = null
  times: TimeIndex | null = null
  /** Of all batches, -1 if none has one; only once it `knowsGreatest`. */
  greatestTimestamp = UNKNOWN
  /** Last offset of the batch that holds it. */
  offsetOfGreatest: number
  /** Bytes of batches since the one that has the last entry, its own included. */
  bytesSinceEntry = 0
  private readonly baseOffset: number
  /** Path of the segment's files, without the suffix. */
  private readonly path: string
  /** The files are not to be read; the next save removes them. */
  private areFilesBad = false
  /** Older entries are missing: a reader begins further in front, and these are not saved. */
  private isPartial = false
  private saving: Promise<void> = Promise.resolve()
  private reads: ReadPositions | null = null

  constructor(baseOffset: number, path: string) {
    this.baseOffset = baseOffset
    this.path = path
    this.offsetOfGreatest = baseOffset
  }

  get areLoaded(): boolean {
    return this.offsets !== null
  }

  get knowsGreatest(): boolean {
    return this.greatestTimestamp !== UNKNOWN
  }

  /** What readers have learned beyond the indexes; another object once the segment was truncated. */
  get readPositions(): ReadPositions {
    this.reads ??= new ReadPositions()
    return this.reads
  }

  /** Where the batch of this offset begins, or one that is about an index interval in front of it. */
  positionBefore(offset: number): number {
    const known = this.reads?.find(offset) ?? -1
    return known === -1 ? this.offsets!.lookup(offset) : known
  }

  get areFull(): boolean {
    return this.offsets!.isFull || this.times!.isFull
  }

  /** What they take in memory. */
  get bytes(): number {
    return (this.offsets?.entries.bytes.length ?? 0) + (this.times?.entries.bytes.length ?? 0)
  }

  /** Begins empty ones: for a new segment, or to fill them by walking the file. */
  begin(maxBytes: number): void {
    this.offsets = new OffsetIndex(this.baseOffset, maxBytes)
    this.times = new TimeIndex(this.baseOffset, maxBytes)
    this.greatestTimestamp = -1
    this.offsetOfGreatest = this.baseOffset
    this.bytesSinceEntry = 0
  }

  /** Takes what index files say; null stands for a file that is not there. */
  adopt(offsets: Buffer | null, times: Buffer | null, maxBytes: number): void {
    this.hold(
      new OffsetIndex(this.baseOffset, maxBytes, offsets),
      new TimeIndex(this.baseOffset, maxBytes, times),
    )
  }

  /** The same if it can be right for a log file of `logBytes` bytes whose offsets end before `endOffset`. */
  take(
    offsetBytes: Buffer | null,
    timeBytes: Buffer | null,
    maxBytes: number,
    log: { readonly bytes: number; readonly endOffset: number },
  ): boolean {
    if (offsetBytes === null || timeBytes === null || this.areFilesBad) return false
    const offsets = new OffsetIndex(this.baseOffset, maxBytes, offsetBytes)
    const times = new TimeIndex(this.baseOffset, maxBytes, timeBytes)
    if (!offsets.isSane(log.bytes) || !times.isSane(log.endOffset)) return false
    this.hold(offsets, times)
    return true
  }

  private hold(offsets: OffsetIndex, times: TimeIndex): void {
    this.offsets = offsets
    this.times = times
    // The newest segment may know of a later one than its file.
    if (this.knowsGreatest) return
    this.greatestTimestamp = times.lastTimestamp
    this.offsetOfGreatest = times.lastOffset
  }

  /** Goes on without the entries so far, which cannot be had at once: what follows is indexed, and nothing is saved. */
  goOnWithout(maxBytes: number): void {
    this.offsets = new OffsetIndex(this.baseOffset, maxBytes)
    this.times = new TimeIndex(this.baseOffset, maxBytes)
    this.areFilesBad = true
    this.isPartial = true
  }

  /** Takes over what was made anew from the batches. */
  replaceBy(made: SegmentIndexes): void {
    this.offsets = made.offsets
    this.times = made.times
    this.greatestTimestamp = made.greatestTimestamp
    this.offsetOfGreatest = made.offsetOfGreatest
    this.bytesSinceEntry = made.bytesSinceEntry
  }

  /** What a clean stop notes of them. */
  describe(): Pick<CleanSegment, 'greatestTimestamp' | 'offsetOfGreatest' | 'bytesSinceEntry'> {
    const { greatestTimestamp, offsetOfGreatest, bytesSinceEntry } = this
    return { greatestTimestamp, offsetOfGreatest, bytesSinceEntry }
  }

  /** Goes on from there; they are read when they are needed. */
  resume(clean: CleanSegment): void {
    this.greatestTimestamp = clean.greatestTimestamp
    this.offsetOfGreatest = clean.offsetOfGreatest
    this.bytesSinceEntry = clean.bytesSinceEntry
  }

  /** Accounts for a batch: an entry after every `intervalBytes`, as Kafka's. */
  note(
    last: number,
    timestamp: number,
    position: number,
    size: number,
    intervalBytes: number,
  ): void {
    if (timestamp > this.greatestTimestamp) {
      this.greatestTimestamp = timestamp
      this.offsetOfGreatest = last
    }
    if (this.bytesSinceEntry > intervalBytes) {
      this.offsets!.append(last, position)
      this.times!.maybeAppend(this.greatestTimestamp, this.offsetOfGreatest)
      this.bytesSinceEntry = 0
    }
    this.bytesSinceEntry += size
  }

  /** The greatest timestamp gets an entry: nothing more follows, or not for a while. */
  seal(): void {
    if (this.isPartial) return this.forget()
    this.times?.maybeAppend(this.greatestTimestamp, this.offsetOfGreatest)
  }

  truncateTo(position: number, endOffset: number): void {
    this.reads = null
    this.offsets!.truncateToPosition(position)
    this.times!.truncateTo(endOffset)
    this.greatestTimestamp = this.times!.lastTimestamp
    this.offsetOfGreatest = this.times!.lastOffset
  }

  /** The files say what is in memory. */
  get areSaved(): boolean {
    if (this.areFilesBad) return false
    if (this.offsets === null || this.isPartial) return true
    return this.offsets.entries.isSaved && this.times!.entries.isSaved
  }

  /** Makes the files equal to what is in memory; not in place where no recovery would see a torn one. */
  save(disk: Disk, inPlace: boolean): Promise<void> {
    const run = this.saving.then(() => this.saveOnce(disk, inPlace))
    this.saving = run.catch(() => {})
    return run
  }

  private async saveOnce(disk: Disk, inPlace: boolean): Promise<void> {
    if (this.areFilesBad) {
      for (const suffix of ['.index', '.timeindex']) await disk.remove(this.path + suffix)
      this.areFilesBad = false
    }
    // What is saved already may be forgotten meanwhile.
    const { offsets, times } = this
    if (offsets === null || times === null || this.isPartial) return
    await offsets.entries.save(disk, `${this.path}.index`, inPlace)
    await times.entries.save(disk, `${this.path}.timeindex`, inPlace)
  }

  /** They are read again, or made again from the batches, when somebody needs them. */
  forget(): void {
    this.offsets = null
    this.times = null
    this.reads = null
    this.isPartial = false
  }

  /** Learns the greatest timestamp from the last entry in the file. False: that cannot be right. */
  async loadGreatest(disk: Disk, endOffset: number): Promise<boolean> {
    const last = await readLastEntry(disk, `${this.path}.timeindex`, this.baseOffset)
    if (last === null || !last.isSane(endOffset)) return false
    if (this.knowsGreatest) return true
    this.greatestTimestamp = last.lastTimestamp
    this.offsetOfGreatest = last.lastOffset
    return true
  }
}

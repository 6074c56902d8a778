/**
 * The `.snapshot` files of a log's directory, and restoring producers from them. A snapshot is taken at each roll and at
 * a clean stop; those at a segment's base offset stay as long as the segment (a later truncation may need them), of the
 * others only the newest.
 */
import * as batches from '../protocol/record-batch.ts'
import { walkBatches } from './batch-walker.ts'
import type { Disk } from './disk.ts'
import type { StoreLog } from './log-options.ts'
import type { ProducerStates } from './producer-state.ts'
import { type Segment, segmentFileName } from './segment.ts'

export class ProducerSnapshots {
  private readonly disk: Disk
  private readonly directory: string
  private readonly log: StoreLog | undefined
  /** Ascending. */
  private offsets: number[]

  constructor(disk: Disk, directory: string, offsets: readonly number[], log?: StoreLog) {
    this.disk = disk
    this.directory = directory
    this.offsets = [...offsets].sort((a, b) => a - b)
    this.log = log
  }

  /** Offset of the newest snapshot; -1 where there is none. */
  get latest(): number {
    return this.offsets.at(-1) ?? -1
  }

  private path(offset: number): string {
    return `${this.directory}/${segmentFileName(offset, '.snapshot')}`
  }

  async save(offset: number, bytes: Buffer): Promise<void> {
    await this.disk.replaceFile(this.path(offset), bytes)
    if (!this.offsets.includes(offset)) this.offsets.push(offset)
    this.offsets.sort((a, b) => a - b)
  }

  async removeAbove(offset: number): Promise<void> {
    await this.removeUnless(at => at <= offset)
  }

  async removeAll(): Promise<void> {
    await this.removeUnless(() => false)
  }

  /** Removes what belongs to no segment, except the newest. */
  async removeStray(segments: readonly Segment[]): Promise<void> {
    const bases = new Set(segments.map(segment => segment.baseOffset))
    const { latest } = this
    await this.removeUnless(at => at === latest || bases.has(at))
  }

  private async removeUnless(isKept: (offset: number) => boolean): Promise<void> {
    const gone = this.offsets.filter(offset => !isKept(offset))
    this.offsets = this.offsets.filter(isKept)
    for (const offset of gone) await this.disk.remove(this.path(offset))
  }

  /**
   * Brings `producers` to what they were at `end`: from the newest good snapshot at or below it, and the headers of the
   * batches from there on. Newer snapshots are removed, they speak of what is not there. The segments may be sealed.
   */
  async restore(
    producers: ProducerStates,
    segments: readonly Segment[],
    end: number,
    nowMs: number,
  ): Promise<void> {
    await this.removeAbove(end)
    const known = await this.load(producers, segments[0]!.baseOffset, nowMs)
    for (const segment of segments) {
      if (segment.endOffset <= known || segment.baseOffset >= end) continue
      // In use: what runs in the background must not unload it meanwhile.
      await segment.use(async () => {
        const from = known <= segment.baseOffset ? 0 : segment.positionBefore(known)
        const options = { checkCrc: false, firstOffset: segment.baseOffset }
        await walkBatches(segment.file, from, segment.size, options, (buffer, at) => {
          if (batches.baseOffset(buffer, at) >= end) return false
          if (batches.lastOffset(buffer, at) >= known) producers.replay(buffer, at)
          return true
        })
      })
      if (segment !== segments.at(-1)) await segment.unload()
    }
  }

  /**
   * Loads the newest good snapshot and answers its offset, 0 where there is none. Damaged ones are removed, and those
   * older than the first segment: what producers wrote in between is not known, and an old state of a producer is
   * worse than none, which any sequence may follow.
   */
  private async load(producers: ProducerStates, firstBase: number, nowMs: number): Promise<number> {
    while (this.latest >= firstBase) {
      const { latest } = this
      try {
        const bytes = this.disk.readFileSync(this.path(latest)) ?? Buffer.alloc(0)
        producers.loadSnapshot(bytes, nowMs, latest)
        return latest
      } catch (error) {
        const fields = { directory: this.directory, snapshot: latest, error: String(error) }
        this.log?.warn('producer snapshot unreadable, using an older one', fields)
        await this.removeAbove(latest - 1)
      }
    }
    await this.removeAll()
    producers.clear()
    return 0
  }
}

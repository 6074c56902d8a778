/**
 * Which leader epoch assigned which offsets: each entry says that from `startOffset` on, until the next entry, batches
 * are of `epoch`. Followers find with it where their log and the leader's part ways. Saved as text
 * (`leader-epoch-checkpoint`), rebuilt by recovery from the batches.
 *
 *   0                      version
 *   2                      number of entries
 *   0 0                    epoch, start offset
 *   4 1130
 *
 * Invariant: epochs and start offsets ascend strictly.
 */
import { parseLines } from './checkpoint.ts'

export interface EpochEntry {
  readonly epoch: number
  readonly startOffset: number
}

export interface EpochEndOffset {
  readonly leaderEpoch: number
  readonly endOffset: number
}

export const NO_EPOCH = -1

export class LeaderEpochs {
  /** The newest epoch; -1 where there is none. Looked at by every append. */
  latest = NO_EPOCH
  private list: EpochEntry[] = []

  get entries(): readonly EpochEntry[] {
    return this.list
  }

  /** From `startOffset` on the log is of `epoch`; answers whether that is news. Entries that it contradicts go. */
  assign(epoch: number, startOffset: number): boolean {
    const last = this.list.at(-1)
    if (last !== undefined && last.epoch === epoch && startOffset >= last.startOffset) return false
    if (epoch < 0) return false
    this.list = this.list.filter(entry => entry.epoch < epoch && entry.startOffset < startOffset)
    this.list.push({ epoch, startOffset })
    this.latest = epoch
    return true
  }

  /** The epoch that assigned `offset`; -1 if the log no longer (or never) knew. */
  epochAt(offset: number): number {
    for (let i = this.list.length - 1; i >= 0; i--) {
      if (this.list[i]!.startOffset <= offset) return this.list[i]!.epoch
    }
    return NO_EPOCH
  }

  /**
   * Where the greatest epoch at or below `epoch` ends: the start of the next one, or the end of the log. An epoch below
   * all that are known ends where the log's epochs begin; one above them is not known: (-1, -1).
   */
  endOffsetFor(epoch: number, logEndOffset: number): EpochEndOffset {
    if (epoch === NO_EPOCH || epoch > this.latest || this.list.length === 0) {
      return { leaderEpoch: NO_EPOCH, endOffset: -1 }
    }
    if (epoch === this.latest) return { leaderEpoch: epoch, endOffset: logEndOffset }
    const above = this.list.findIndex(entry => entry.epoch > epoch)
    const floor = this.list[above - 1]
    return { leaderEpoch: floor?.epoch ?? epoch, endOffset: this.list[above]!.startOffset }
  }

  /** The log now ends at `endOffset`. Answers whether entries went. */
  truncateFromEnd(endOffset: number): boolean {
    const kept = this.list.filter(entry => entry.startOffset < endOffset)
    const changed = kept.length !== this.list.length
    this.list = kept
    this.latest = kept.at(-1)?.epoch ?? NO_EPOCH
    return changed
  }

  /** The log now starts at `startOffset`; the epoch in force there starts there too. Answers whether entries changed. */
  truncateFromStart(startOffset: number): boolean {
    const kept = this.list.filter(entry => entry.startOffset > startOffset)
    const inForce = this.list[this.list.length - kept.length - 1]
    if (
      inForce === undefined ||
      (inForce.startOffset === startOffset && kept.length === this.list.length - 1)
    ) {
      return false
    }
    this.list = [{ epoch: inForce.epoch, startOffset }, ...kept]
    return true
  }

  clear(): void {
    this.list = []
    this.latest = NO_EPOCH
  }

  encode(): Buffer {
    const lines = this.list.map(entry => `${entry.epoch} ${entry.startOffset}\n`)
    return Buffer.from(`0\n${lines.length}\n${lines.join('')}`)
  }

  /** Throws MalformedError. An empty file has no entries: Kafka leaves one in a log that was never written. */
  static parse(bytes: Buffer): LeaderEpochs {
    const epochs = new LeaderEpochs()
    for (const [epoch, startOffset] of parseLines(bytes, 2)) {
      epochs.assign(Number(epoch), Number(startOffset))
    }
    return epochs
  }
}

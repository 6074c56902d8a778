/**
 * Where readers of a segment go on. The index has the last offset of a batch, so it leads whoever wants the next one to the
 * batch before it: with batches of 16 KiB a fetch of 64 KiB reads a fifth in vain, with batches of a mebibyte half. A
 * reader nearly always wants the offset behind its last answer; these are remembered, as many as there may be readers.
 *
 * Whoever truncates the segment forgets the object: what a read that is still under way then notes is not seen.
 */
const READERS = 16

export class ReadPositions {
  private readonly offsets = new Float64Array(READERS).fill(-1)
  private readonly positions = new Float64Array(READERS)
  private next = 0

  /** The batch that begins with this offset, or a later one in a compacted log, begins at this position. */
  note(offset: number, position: number): void {
    let slot = this.offsets.indexOf(offset)
    if (slot === -1) {
      slot = this.next
      this.next = (slot + 1) % READERS
    }
    this.offsets[slot] = offset
    this.positions[slot] = position
  }

  /** -1: not known here. */
  find(offset: number): number {
    const slot = this.offsets.indexOf(offset)
    return slot === -1 ? -1 : this.positions[slot]!
  }
}

/**
 * Where the newest batches of the active segment begin: consumers at the tail find their batch without reading.
 */
const TAIL_BATCHES = 64

export class TailPositions {
  private readonly offsets = new Float64Array(TAIL_BATCHES)
  private readonly positions = new Float64Array(TAIL_BATCHES)
  private next = 0
  private count = 0

  add(offset: number, position: number): void {
    this.offsets[this.next] = offset
    this.positions[this.next] = position
    this.next = (this.next + 1) & (TAIL_BATCHES - 1)
    if (this.count < TAIL_BATCHES) this.count += 1
  }

  /** Position of the newest batch that begins at or below `offset`, -1 if all of these begin above. */
  find(offset: number): number {
    for (let i = 1; i <= this.count; i++) {
      const slot = (this.next - i) & (TAIL_BATCHES - 1)
      if (this.offsets[slot]! <= offset) return this.positions[slot]!
    }
    return -1
  }
}

/**
 * Where appended batches wait for the end of the turn: one arena of blocks, shared by all logs of a broker, so that a
 * thousand idle partitions cost nothing and the block in use stays in the processor's cache.
 *
 *   block   ┌ log a ┬ log b ┬ log a ┬ log c ┬ free ──────┐    filled from the left; `used` is where free space begins
 *
 * Invariants: a block counts the runs in it that are not yet written (`pins`); it is filled again from the start only
 * when that count is zero. A batch never crosses blocks; one larger than a block gets a block of its own size, which is
 * forgotten after its write.
 */
import assert from 'node:assert/strict'

export const STAGING_BLOCK_BYTES = 1024 * 1024
/** Idle blocks beyond this many are given back to the garbage collector. */
const MAX_IDLE_BLOCKS = 8
/** Room for runs that a log keeps between turns. */
const MAX_REMEMBERED_RUNS = 16

export class StagingBlock {
  readonly buffer: Buffer
  used = 0
  pins = 0

  constructor(size: number) {
    this.buffer = Buffer.allocUnsafeSlow(size)
  }
}

export class Staging {
  readonly blockBytes: number
  private readonly idle: StagingBlock[] = []
  private current: StagingBlock

  constructor(blockBytes: number = STAGING_BLOCK_BYTES) {
    this.blockBytes = blockBytes
    this.current = new StagingBlock(blockBytes)
  }

  /** A block with `size` bytes free at `used`; the caller copies there and moves `used`. */
  blockFor(size: number): StagingBlock {
    const block = this.current
    if (block.used + size <= this.blockBytes) return block
    if (size > this.blockBytes) return new StagingBlock(size)
    this.current = this.idle.pop() ?? new StagingBlock(this.blockBytes)
    // A full block that nobody waits for any more would otherwise be lost.
    if (block.pins === 0) this.recycle(block)
    return this.current
  }

  /** A run in this block has been written (or given up). */
  unpin(block: StagingBlock): void {
    block.pins -= 1
    assert(block.pins >= 0, 'a staging block was released twice')
    if (block.pins === 0) this.recycle(block)
  }

  private recycle(block: StagingBlock): void {
    block.used = 0
    if (block === this.current || block.buffer.length !== this.blockBytes) return
    if (this.idle.length < MAX_IDLE_BLOCKS) this.idle.push(block)
  }
}

/** The staged bytes of one segment, in order: runs in blocks, of which neighbours have been joined. */
export class StagedRuns {
  private readonly staging: Staging
  // Side by side and counted, because emptying an array by its length costs more than a batch may.
  private readonly blocks: StagingBlock[] = []
  private readonly starts: number[] = []
  private readonly ends: number[] = []
  private count = 0

  constructor(staging: Staging) {
    this.staging = staging
  }

  get isEmpty(): boolean {
    return this.count === 0
  }

  /** Copies a batch in and answers where it now lies: at the answered position of `lastBlock.buffer`. */
  add(batch: Buffer): number {
    const size = batch.length
    const block = this.staging.blockFor(size)
    const start = block.used
    block.buffer.set(batch, start)
    block.used = start + size
    const last = this.count - 1
    if (last >= 0 && this.blocks[last] === block && this.ends[last] === start) {
      this.ends[last] = start + size
      return start
    }
    block.pins += 1
    this.blocks[this.count] = block
    this.starts[this.count] = start
    this.ends[this.count] = start + size
    this.count += 1
    return start
  }

  get lastBlock(): StagingBlock {
    return this.blocks[this.count - 1]!
  }

  chunks(): Buffer[] {
    const chunks: Buffer[] = []
    for (let i = 0; i < this.count; i++) {
      chunks.push(this.blocks[i]!.buffer.subarray(this.starts[i]!, this.ends[i]!))
    }
    return chunks
  }

  /** Gives the space back; what was staged here must be written, or given up. */
  clear(): void {
    let isLarge = this.count > MAX_REMEMBERED_RUNS
    for (let i = 0; i < this.count; i++) {
      const block = this.blocks[i]!
      if (block.buffer.length !== this.staging.blockBytes) isLarge = true
      this.staging.unpin(block)
    }
    // A burst, or a batch with a block of its own, must not be held on to.
    if (isLarge) {
      this.blocks.length = 0
      this.starts.length = 0
      this.ends.length = 0
    }
    this.count = 0
  }
}

/**
 * Where appended batches wait for the end of the turn: one arena of blocks, shared by all logs of a broker, so that a
 * thousand idle partitions cost nothing and the block in use stays in the processor's cache.
 *
 *   block   ┌ log a ┄┄┄┬ log b ┬ log a ┬ log c ┄┬ free ──┐    filled from the left; `used` is where free space begins
 *
 * (┄ is room that a log keeps for its next batches of this turn.)
 *
 * Invariants: a block counts the runs in it that are not yet written (`pins`); it is filled again from the start only
 * when that count is zero. A batch never crosses blocks; one larger than a block gets a block of its own size, which is
 * forgotten after its write.
 */
import assert from 'node:assert/strict'

export const STAGING_BLOCK_BYTES = 1024 * 1024
/** Idle blocks beyond this many are given back to the garbage collector. */
const MAX_IDLE_BLOCKS = 8
/** A log that wrote much in its last turn does not keep more than this free for the next batches of this one. */
const MAX_RESERVED_BYTES = 16 * 1024

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

/** Staged bytes that lie together: `[start, end)` of a block. */
interface Run {
  readonly block: StagingBlock
  readonly start: number
  end: number
}

/**
 * The staged bytes of one segment, in order. A run begins with room for as much as the last write took, so that the
 * batches of a turn lie together although other logs stage in between, and go to the file as one piece.
 */
export class StagedRuns {
  private readonly staging: Staging
  /** The run that is filled. Up to `limit` its block is kept free for it. */
  private run: Run | null = null
  private limit = 0
  /** Full ones before it. */
  private readonly earlier: Run[] = []
  private bytes = 0
  private lastBytes = 0

  constructor(staging: Staging) {
    this.staging = staging
  }

  get isEmpty(): boolean {
    return this.run === null
  }

  /** Copies a batch in and answers where it now lies: at the answered position of `lastBlock.buffer`. */
  add(batch: Buffer): number {
    const size = batch.length
    const run = this.run !== null && this.hasRoom(this.run, size) ? this.run : this.begin(size)
    const start = run.end
    run.block.buffer.set(batch, start)
    run.end = start + size
    this.bytes += size
    return start
  }

  get lastBlock(): StagingBlock {
    return this.run!.block
  }

  /** Takes what lies behind the run if nobody else has it. */
  private hasRoom({ block, end }: Run, size: number): boolean {
    if (end + size <= this.limit) return true
    if (block.used !== this.limit || end + size > block.buffer.length) return false
    this.limit = end + size
    block.used = this.limit
    return true
  }

  private begin(size: number): Run {
    const block = this.staging.blockFor(size)
    const expected = Math.min(this.lastBytes - this.bytes, MAX_RESERVED_BYTES)
    const start = block.used
    block.used = Math.min(start + Math.max(size, expected), block.buffer.length)
    block.pins += 1
    if (this.run !== null) this.earlier.push(this.run)
    this.limit = block.used
    this.run = { block, start, end: start }
    return this.run
  }

  chunks(): Buffer[] {
    const chunks = this.earlier.map(viewOf)
    if (this.run !== null) chunks.push(viewOf(this.run))
    return chunks
  }

  /** Gives the space back; what was staged here must be written, or given up. */
  clear(): void {
    if (this.run !== null) this.staging.unpin(this.run.block)
    for (const { block } of this.earlier) this.staging.unpin(block)
    this.earlier.length = 0
    this.run = null
    this.lastBytes = this.bytes
    this.bytes = 0
  }
}

function viewOf({ block, start, end }: Run): Buffer {
  return block.buffer.subarray(start, end)
}

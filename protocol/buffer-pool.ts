/**
 * Reusable buffers in size classes (powers of two). A fresh buffer of a mebibyte costs page faults and garbage
 * collection, a pooled one nothing (node-io measurements in ARCHITECTURE.md).
 *
 * What is idle is bounded by `maxIdleBytes`; what is in use is bounded by whoever acquires (see MemoryBudget).
 */
import assert from 'node:assert/strict'

const SMALLEST = 4096
/** Larger buffers are rare: they are made to measure and left to the garbage collector. */
const LARGEST = 4 * 1024 * 1024

export class BufferPool {
  private readonly idle: Buffer[][] = []
  private readonly maxIdleBytes: number
  private idleBytes = 0

  constructor(maxIdleBytes: number) {
    this.maxIdleBytes = maxIdleBytes
  }

  /** A buffer of at least `size` bytes with arbitrary contents. Its length is that of its size class. */
  acquire(size: number): Buffer {
    if (size > LARGEST) return Buffer.allocUnsafeSlow(size)
    const index = classOf(size)
    const buffer = this.idle[index]?.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(SMALLEST * 2 ** index)
    this.idleBytes -= buffer.length
    return buffer
  }

  /** Gives back what `acquire` gave (the whole buffer, not a view). The caller must not touch it again. */
  release(buffer: Buffer): void {
    if (buffer.length > LARGEST) return
    const index = classOf(buffer.length)
    assert.equal(buffer.length, SMALLEST * 2 ** index, 'not a buffer of this pool')
    if (this.idleBytes + buffer.length > this.maxIdleBytes) return
    this.idleBytes += buffer.length
    const list = (this.idle[index] ??= [])
    list.push(buffer)
  }
}

function classOf(size: number): number {
  let index = 0
  for (let capacity = SMALLEST; capacity < size; capacity *= 2) index++
  return index
}

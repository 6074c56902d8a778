/**
 * One budget for the bytes of requests and answers in flight (`queued.max.request.bytes`). Who finds it empty waits:
 * connections stop reading, so that pressure reaches the senders instead of the heap.
 *
 * As in Kafka's memory pool, the last taker may exceed the limit by its one request, so that a request larger than the
 * whole budget is still served, alone.
 */
import assert from 'node:assert/strict'
import { BufferPool } from '../protocol/buffer-pool.ts'

/** Idle buffers that are kept for reuse. */
const MAX_IDLE_BYTES = 32 * 1024 * 1024

export class MemoryBudget {
  readonly limit: number
  readonly pool: BufferPool
  private taken = 0
  private waiting: (() => void)[] = []

  constructor(limit: number) {
    this.limit = limit
    this.pool = new BufferPool(Math.min(limit, MAX_IDLE_BYTES))
  }

  get used(): number {
    return this.taken
  }

  /** Bytes that may be taken without exceeding the limit; 0 when it is reached. */
  get available(): number {
    return Math.max(0, this.limit - this.taken)
  }

  /** Takes `bytes` if anything is left. */
  tryTake(bytes: number): boolean {
    if (this.taken >= this.limit) return false
    this.taken += bytes
    return true
  }

  /** Takes `bytes` that are already in memory, limit or not. */
  take(bytes: number): void {
    this.taken += bytes
  }

  give(bytes: number): void {
    this.taken -= bytes
    assert(this.taken >= 0, 'more given back to the memory budget than was taken')
    if (this.waiting.length === 0 || this.taken >= this.limit) return
    const woken = this.waiting
    this.waiting = []
    for (const wake of woken) wake()
  }

  /** Calls back once when something has been given back and the limit is not reached. */
  whenAvailable(callback: () => void): void {
    this.waiting.push(callback)
  }

  /** A pooled buffer of at least `size` bytes, or null when the budget is empty. Charged by `size`. */
  acquire(size: number): Buffer | null {
    return this.tryTake(size) ? this.pool.acquire(size) : null
  }

  /** Gives back a buffer that `acquire(size)` gave. */
  release(buffer: Buffer, size: number): void {
    this.pool.release(buffer)
    this.give(size)
  }
}

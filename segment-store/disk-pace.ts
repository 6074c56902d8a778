/**
 * `DiskPace`: whether writes should leave the event loop, judged by the time that they took on it.
 *
 * A `writeSync` into the page cache costs about a microsecond, a hop through the thread pool fifteen: as long as the disk
 * keeps up, synchronous is right. When the kernel makes writers wait (too many dirty pages) it stops the loop instead.
 * A single long write says little, because the process may just have been off the processor; so long writes run up a
 * debt that is paid off as time goes by, and only more of them than that makes the disk slow. A slow time ends by itself,
 * with half of the debt left, and each one that follows closely lasts twice as long.
 */

/** A write that took longer than this, plus `LONG_MS_PER_BYTE` for each byte, was kept waiting. */
const LONG_MS = 1
const LONG_MS_PER_BYTE = 1 / 1_500_000
/** So much waiting in excess of what is paid off makes the disk slow. */
const MAX_DEBT_MS = 50
/** The share of the time that writes may wait for good. */
const PAID_OFF_PER_MS = 0.2
const SLOW_FOR_MS = 200
const SLOW_FOR_MAX_MS = 3200
/** A slow time that begins within this of the last one is its continuation. */
const CONTINUATION_MS = 1000

export class DiskPace {
  /** Times that the disk became slow. */
  switches = 0
  private debtMs = 0
  private judgedAtMs = 0
  private slowUntilMs = Number.NEGATIVE_INFINITY
  private slowForMs = SLOW_FOR_MS

  /** Whether a write should go through the pool at this time. */
  isSlow(nowMs: number): boolean {
    return nowMs < this.slowUntilMs
  }

  /** A synchronous write of `bytes` that ended at `nowMs` took `tookMs`. */
  wrote(bytes: number, tookMs: number, nowMs: number): void {
    if (tookMs <= LONG_MS + bytes * LONG_MS_PER_BYTE) return
    const paidOff = (nowMs - this.judgedAtMs) * PAID_OFF_PER_MS
    this.debtMs = Math.max(0, this.debtMs - paidOff) + tookMs
    this.judgedAtMs = nowMs
    if (this.debtMs <= MAX_DEBT_MS) return
    const isContinuation = nowMs - this.slowUntilMs < CONTINUATION_MS
    this.slowForMs = isContinuation ? Math.min(this.slowForMs * 2, SLOW_FOR_MAX_MS) : SLOW_FOR_MS
    this.slowUntilMs = nowMs + this.slowForMs
    this.debtMs = MAX_DEBT_MS / 2
    this.judgedAtMs = this.slowUntilMs
    this.switches++
  }
}

/**
 * A number that only grows, and who waits for it. Produce with acks=-1, a consumer's long poll and a follower's long
 * poll are all waits for a number to pass a target before a deadline (house.md 2.4).
 */
import type { ErrorName } from '../../protocol/errors.ts'
import type { Clock, Timer } from '../../protocol/io.ts'

export type Outcome = 'reached' | 'timeout' | ErrorName

interface Wait {
  readonly target: number
  readonly done: (outcome: Outcome) => void
  readonly timer: Timer
}

/** Who hears of each advance and each failure. */
export interface WatermarkListener {
  advanced(): void
}

export class Watermark {
  private current: number
  private readonly waits = new Set<Wait>()
  private readonly listeners = new Set<WatermarkListener>()

  constructor(value: number) {
    this.current = value
  }

  get value(): number {
    return this.current
  }

  /** How many wait for a value or listen. */
  get waiting(): number {
    return this.waits.size + this.listeners.size
  }

  /** Never goes back. Wakes who is due, in this turn. */
  advanceTo(value: number): void {
    if (value <= this.current) return
    this.current = value
    // Most partitions have nobody here, and there may be thousands of them in a turn.
    if (this.waits.size > 0) {
      for (const wait of this.waits) if (wait.target <= value) this.settle(wait, 'reached')
    }
    if (this.listeners.size > 0) this.tell()
  }

  /** Calls `done` once: when the value is at least `target`, after `timeoutMs`, or when `failAll` says why not. */
  wait(target: number, clock: Clock, timeoutMs: number, done: (outcome: Outcome) => void): void {
    if (target <= this.current) return done('reached')
    const timer = clock.timer(Math.max(0, timeoutMs), () => this.settle(wait, 'timeout'))
    const wait: Wait = { target, done, timer }
    this.waits.add(wait)
  }

  /** Tells `listener` of each advance and each `failAll`, until it is removed with `unlisten`. */
  listen(listener: WatermarkListener): void {
    this.listeners.add(listener)
  }

  unlisten(listener: WatermarkListener): void {
    this.listeners.delete(listener)
  }

  /** Leadership was lost, the log was truncated or went offline: nobody may be answered with success any more. */
  failAll(error: ErrorName): void {
    for (const wait of this.waits) this.settle(wait, error)
    this.tell()
  }

  /** They may go away meanwhile. */
  private tell(): void {
    for (const listener of [...this.listeners]) listener.advanced()
  }

  private settle(wait: Wait, outcome: Outcome): void {
    if (!this.waits.delete(wait)) return
    wait.timer.cancel()
    wait.done(outcome)
  }
}

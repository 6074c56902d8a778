/** Who takes a consumer's records: two at a time would each take what the other is at work on for done. */
import type { Clock, Timer } from '../protocol/io.ts'
import { OptionError } from './errors.ts'

export class SingleReader {
  private running: string | null = null
  private ended: (() => void) | null = null

  get isFree(): boolean {
    return this.running === null
  }

  /** Throws an OptionError while a call hands out records to a handler. */
  check(call: string): void {
    if (this.running === null) return
    const advice = 'handle more at a time with concurrency, or make another consumer'
    throw new OptionError(`${call}: ${this.running} is running on this consumer: ${advice}.`)
  }

  /** Nobody else may read during this work. */
  async during(call: string, work: () => Promise<void>): Promise<void> {
    this.check(call)
    this.running = call
    try {
      await work()
    } finally {
      this.running = null
      this.ended?.()
    }
  }

  /** Until the call that is running has ended, at most so long. */
  async end(clock: Clock, timeoutMs: number): Promise<void> {
    if (this.running === null) return
    let timer: Timer | undefined
    await new Promise<void>(resolve => {
      this.ended = resolve
      timer = clock.timer(timeoutMs, resolve, true)
    })
    timer?.cancel()
  }
}

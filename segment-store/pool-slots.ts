/**
 * How many operations of a disk may be in the thread pool at a time. Each keeps a descriptor from being given back, and a
 * thousand logs that are synced at once would need a thousand of them, for a handful of threads.
 */
export class PoolSlots {
  private free: number
  private readonly waiting: (() => void)[] = []

  constructor(count: number) {
    this.free = count
  }

  /** Runs the task when its turn comes. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.free === 0) await new Promise<void>(resolve => this.waiting.push(resolve))
    else this.free -= 1
    try {
      return await task()
    } finally {
      const next = this.waiting.shift()
      if (next === undefined) this.free += 1
      else next()
    }
  }
}

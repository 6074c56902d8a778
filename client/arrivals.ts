/** Waits of readers for something to come in, such that nothing comes unseen between a look and a wait. */
export class Arrivals {
  /** How often something has come in. */
  count = 0
  private readonly waiting = new Set<() => void>()

  /** Whether somebody waits at the moment. */
  get isAwaited(): boolean {
    return this.waiting.size > 0
  }

  /** Something has come in. */
  wake(): void {
    this.count++
    for (const resolve of [...this.waiting]) resolve()
  }

  /** Until something comes in; at once if something has since `count` was `seen`, or if the signal says so. */
  after(seen: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.count !== seen || signal?.aborted === true) return Promise.resolve()
    return new Promise(resolve => {
      const end = () => {
        this.waiting.delete(end)
        signal?.removeEventListener('abort', end)
        resolve()
      }
      this.waiting.add(end)
      signal?.addEventListener('abort', end, { once: true })
    })
  }
}

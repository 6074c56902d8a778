/** How far long work has come, for a person who waits: at most once a second, and only where one looks. */
import type { Terminal } from './context.ts'

const EVERY_MS = 1000

export class Progress {
  private readonly terminal: Terminal
  private readonly nowMs: () => number
  private nextMs: number
  private isShown = false

  constructor(terminal: Terminal, nowMs: () => number = () => performance.now()) {
    this.terminal = terminal
    this.nowMs = nowMs
    this.nextMs = nowMs() + EVERY_MS
  }

  /** `text` is asked for only when it is shown. */
  step(text: () => string): void {
    if (this.terminal.status === undefined) return
    const nowMs = this.nowMs()
    if (nowMs < this.nextMs) return
    this.nextMs = nowMs + EVERY_MS
    this.isShown = true
    this.terminal.status(text())
  }

  /** Takes away what was shown. */
  end(): void {
    if (this.isShown) this.terminal.status?.('')
    this.isShown = false
  }
}

/**
 * When a log is synced to the medium before its records count: `flush.messages` and `flush.ms`.
 *
 * By default it is not: an acknowledged record is with the kernel, as in Kafka. With `flush.messages` = N, whoever makes
 * the N-th record that is not yet on the medium waits, together with everyone after it, until a sync has covered it;
 * while one sync runs the next group gathers behind it, so the cost is shared. `flush.ms` bounds how long a record stays
 * unsynced; nobody waits for that.
 */
import { INT64_MAX } from '../../protocol/buffer.ts'
import type { Clock, Timer } from '../../protocol/io.ts'
import type { Log } from '../../segment-store/log.ts'

export class FlushPolicy {
  private readonly log: Log
  private readonly clock: Clock
  /** Everything below this offset may be acknowledged. */
  private readonly reached: (offset: number) => void
  private messages: number
  private ms: number
  private isSyncing = false
  private timer: Timer | null = null

  constructor(log: Log, clock: Clock, reached: (offset: number) => void) {
    this.log = log
    this.clock = clock
    this.reached = reached
    this.messages = INT64_MAX
    this.ms = INT64_MAX
  }

  update(flushMessages: number, flushMs: number): void {
    this.messages = flushMessages
    this.ms = flushMs
  }

  /** Everything below `offset` has been written. */
  written(offset: number): void {
    if (offset - this.log.durableOffset < this.messages) {
      this.reached(offset)
      if (this.ms !== INT64_MAX) this.syncLater()
    } else this.syncFirst()
  }

  stop(): void {
    this.timer?.cancel()
    this.timer = null
  }

  /**
   * A failed sync has failed the log, and with it everything that waits. Only where there was no room for an index the log
   * goes on: then the next write asks again.
   */
  private syncFirst(): void {
    if (this.isSyncing) return
    this.isSyncing = true
    this.log.sync().then(
      () => {
        this.isSyncing = false
        this.reached(this.log.durableOffset)
        const { writtenOffset, durableOffset } = this.log
        if (writtenOffset > durableOffset) this.written(writtenOffset)
      },
      () => {
        this.isSyncing = false
      },
    )
  }

  private syncLater(): void {
    if (this.timer !== null) return
    this.timer = this.clock.timer(this.ms, () => {
      this.timer = null
      if (this.log.failure === null) this.log.sync().catch(() => {})
    })
  }
}

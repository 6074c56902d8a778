/**
 * A pass of compaction over a log of a simulated life, begun when it is made. It goes on by one buffer with each `goOn`, so
 * that other steps come in between; `end` lets it run to its end, `stop` makes it give up as a broker does that stops.
 *
 * It may end without a result: because there is nothing to do, or its segments went meanwhile. It fails only with its log
 * or its disk.
 */
import type { CleaningResult } from '../../segment-store/cleaner.ts'
import type { Log } from '../../segment-store/log.ts'
import { CrashError } from './disk.ts'
import type { LogModel } from './log-model.ts'

class StoppedError extends Error {
  override readonly name = 'StoppedError'
}

export class CleaningPass {
  readonly log: Log
  private readonly model: LogModel
  private readonly before: Log['segments']
  private readonly done: Promise<void>
  private outcome = ''
  private failure: unknown = null
  private isPaced = true
  private isStopped = false
  private proceed = () => {}

  /** `keys`: how many it can know. */
  constructor(log: Log, model: LogModel, nowMs: number, keys: number) {
    this.log = log
    this.model = model
    this.before = [...log.segments]
    model.compactionBegins(nowMs, log.config.deleteRetentionMs)
    const limits = { dedupeBufferBytes: 24 * keys, loadFactor: 0.9, ioBufferBytes: 4096 }
    this.done = log.compact(nowMs, { limits, pace: () => this.pace() }).then(
      result => this.ended(result),
      error => this.failed(error),
    )
  }

  private async pace(): Promise<void> {
    if (this.isPaced) {
      await new Promise<void>(resolve => {
        this.proceed = resolve
      })
    }
    if (this.isStopped) throw new StoppedError('the broker stops')
  }

  private ended(result: CleaningResult | null): void {
    this.model.compactionEnds(result?.endOffset ?? 0, this.reach())
    if (result === null) this.outcome = 'nothing'
    else {
      const { endOffset, recordsRead, recordsKept } = result
      this.outcome = `${recordsKept} of ${recordsRead} records kept below ${endOffset}`
    }
  }

  private failed(error: unknown): void {
    const { log, model } = this
    const isDead = error instanceof CrashError || log.failure !== null || log.writer.isClosed
    model.compactionEnds(0, isDead ? model.end : this.reach())
    this.outcome = String(error)
    if (!isDead && !(error instanceof StoppedError)) this.failure = error
  }

  /** Below which records may have been compacted: of what is sealed, if any segment was replaced. */
  private reach(): number {
    const { before, log } = this
    const old = new Set(before)
    const wasSwapped = log.segments.some(
      now => !old.has(now) && before.some(({ baseOffset }) => baseOffset === now.baseOffset),
    )
    return wasSwapped ? log.segments.at(-1)!.baseOffset : 0
  }

  goOn(): void {
    this.proceed()
  }

  stop(): void {
    this.isStopped = true
  }

  /** Answers what it did. */
  async end(): Promise<string> {
    this.isPaced = false
    this.proceed()
    await this.done
    if (this.failure !== null) throw new Error('a pass has failed', { cause: this.failure })
    return this.outcome
  }
}

/**
 * What a segment has staged and not yet written: batches gather here during a turn, and go to the file with one write at
 * its end. While the disk is slow a write takes longer than that; further batches gather behind it.
 */
import type { File } from './disk.ts'
import { StagedRuns, type Staging } from './staging.ts'

export class StagedWrites {
  private readonly staging: Staging
  /** None of a segment that was never written to: there are many of those. */
  private runs: StagedRuns | null = null
  private idleRuns: StagedRuns | null = null

  constructor(staging: Staging) {
    this.staging = staging
  }

  get isEmpty(): boolean {
    return this.runs === null || this.runs.isEmpty
  }

  /** Copies a batch in and answers where it now lies in `buffer`. */
  add(batch: Buffer): number {
    this.runs ??= new StagedRuns(this.staging)
    return this.runs.add(batch)
  }

  get buffer(): Buffer {
    return this.runs!.lastBlock.buffer
  }

  /**
   * Appends everything staged to the file, of which `writtenSize` bytes are written. A number: so many bytes were, at
   * once. A failed write leaves the file cut back to `writtenSize`.
   */
  write(file: File, writtenSize: number): number | Promise<number> {
    const runs = this.runs!
    try {
      const outcome = file.append(runs.chunks())
      if (typeof outcome === 'number') {
        runs.clear()
        return outcome
      }
      this.runs = this.idleRuns
      this.idleRuns = null
      return this.written(runs, outcome, file, writtenSize)
    } catch (error) {
      runs.clear()
      return cutBack(file, writtenSize, error)
    }
  }

  private async written(
    runs: StagedRuns,
    outcome: Promise<number>,
    file: File,
    writtenSize: number,
  ): Promise<number> {
    try {
      return await outcome
    } catch (error) {
      return await cutBack(file, writtenSize, error)
    } finally {
      runs.clear()
      this.idleRuns = runs
    }
  }

  /** Gives up what is staged: the log has failed, or is being deleted. */
  drop(): void {
    this.runs?.clear()
  }
}

/** After a full disk the file may end inside a batch. Nobody was told of these bytes, so they may go. */
async function cutBack(file: File, writtenSize: number, error: unknown): Promise<never> {
  try {
    if (file.size > writtenSize) await file.truncate(writtenSize)
  } catch {
    // Recovery will cut the same bytes at the next start; the first error is the one to report.
  }
  throw error
}

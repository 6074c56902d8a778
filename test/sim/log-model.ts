/**
 * What one log must hold, as a list of batches; and the comparison of a real log with it.
 *
 * Between two crashes the list is exact. After one, a log may have lost what was not synced, from the end on, and may have
 * forgotten an unfinished move of its start; `settle` holds it to that and takes over what it finds.
 */
import assert from 'node:assert/strict'
import * as batches from '../../protocol/record-batch.ts'
import type { Log } from '../../segment-store/log.ts'
import { bytesOf } from '../segment-store/store-harness.ts'

export interface ModelBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  /** As it lies in the log file. */
  readonly bytes: Buffer
  /** Of its first record; each that follows has one more. */
  readonly timestamp: number
}

export interface ModelProducer {
  readonly producerId: number
  readonly epoch: number
  readonly lastSequence: number
  readonly lastOffset: number
}

export class LogModel {
  /** Also those below the start: their bytes may still be in a file. */
  batches: readonly ModelBatch[] = []
  start = 0
  end = 0
  /** Everything below survives a power cut. */
  syncedEnd = 0
  /** The log never starts below this again. */
  syncedStart = 0

  clone(): LogModel {
    return Object.assign(new LogModel(), this)
  }

  append(batch: Buffer, leaderEpoch: number, timestamp: number): void {
    const bytes = Buffer.from(batch)
    batches.restamp(bytes, 0, this.end, leaderEpoch)
    const lastOffset = this.end + batches.lastOffsetDelta(bytes, 0)
    this.batches = [...this.batches, { baseOffset: this.end, lastOffset, bytes, timestamp }]
    this.end = lastOffset + 1
  }

  /** The log is about to be cut: from now on what lies behind may be there or not. */
  willTruncateTo(offset: number): void {
    this.syncedEnd = Math.min(this.syncedEnd, offset)
  }

  truncateTo(offset: number): void {
    this.batches = this.batches.filter(({ lastOffset }) => lastOffset < offset)
    this.end = offset
    this.syncedEnd = Math.min(this.syncedEnd, offset)
  }

  synced(end: number): void {
    this.syncedEnd = Math.max(this.syncedEnd, end)
  }

  /** Batches of which a record may be read. */
  get readable(): readonly ModelBatch[] {
    return this.batches.filter(({ lastOffset }) => lastOffset >= this.start)
  }

  /** What each producer's last batch says. Those of which nothing is left to be read may have been forgotten. */
  producers(): Map<number, ModelProducer> {
    const found = new Map<number, ModelProducer>()
    for (const { bytes, lastOffset } of this.batches) {
      const producerId = batches.producerId(bytes, 0)
      if (producerId < 0) continue
      const epoch = batches.producerEpoch(bytes, 0)
      const lastSequence = batches.lastSequence(bytes, 0)
      found.set(producerId, { producerId, epoch, lastSequence, lastOffset })
    }
    return found
  }

  /** After a crash: what is left must be what was synced and a prefix of the rest. Goes on from there. */
  settle(log: Log): void {
    const { logStartOffset, logEndOffset } = log
    assert(
      logStartOffset >= this.syncedStart && logStartOffset <= Math.max(this.start, 0),
      `starts at ${logStartOffset}, where ${this.syncedStart} to ${this.start} may be`,
    )
    const kept = this.batches.filter(({ lastOffset }) => lastOffset < logEndOffset)
    const keptEnd = (kept.at(-1)?.lastOffset ?? -1) + 1
    if (keptEnd !== logEndOffset) {
      const words = `ends at ${logEndOffset}, which is no end of a batch (the last is ${keptEnd})`
      assert(logEndOffset === logStartOffset && keptEnd < logStartOffset, words)
    }
    const due = Math.max(this.syncedEnd, logStartOffset)
    assert(logEndOffset >= due, `ends at ${logEndOffset}; up to ${due} was synced`)
    assert(logEndOffset <= Math.max(this.end, this.start), `ends at ${logEndOffset} of ${this.end}`)
    this.batches = keptEnd === logEndOffset ? kept : []
    this.start = logStartOffset
    this.end = logEndOffset
    this.syncedStart = Math.min(this.syncedStart, logStartOffset)
    this.syncedEnd = Math.min(this.syncedEnd, logEndOffset)
  }

  /** Compares everything that can be asked of a log. */
  async check(log: Log): Promise<void> {
    assert.equal(log.logStartOffset, this.start, 'start')
    assert.equal(log.logEndOffset, this.end, 'end')
    await this.checkRecords(log)
    this.checkEpochs(log)
    this.checkProducers(log)
  }

  private async checkRecords(log: Log): Promise<void> {
    const due = this.readable
    let next = this.start
    let at = 0
    while (next < log.writtenOffset) {
      const request = { offset: next, maxBytes: 700, upTo: this.end, minOneBatch: true }
      const bytes = bytesOf(await log.read({ ...request, committed: true }))
      const found = [...batches.batchPositions(bytes)]
      assert(found.length > 0, `nothing to read at ${next} of ${this.end}`)
      for (const position of found) {
        const expected = due[at]
        const base = batches.baseOffset(bytes, position)
        assert(expected !== undefined, `a batch at ${base} behind the last one`)
        const size = batches.sizeInBytes(bytes, position)
        const actual = bytes.subarray(position, position + size)
        assert(
          actual.equals(expected.bytes),
          `another batch at ${base} than the one that was appended at ${expected.baseOffset}`,
        )
        at += 1
        next = expected.lastOffset + 1
      }
    }
    assert.equal(at, due.length, 'batches that can be read')
  }

  private checkEpochs(log: Log): void {
    for (const { baseOffset, bytes } of this.readable) {
      if (baseOffset < this.start) continue
      assert.equal(log.epochAt(baseOffset), batches.leaderEpoch(bytes, 0), `epoch at ${baseOffset}`)
    }
  }

  private checkProducers(log: Log): void {
    const active = new Map(log.activeProducers().map(each => [each.producerId, each]))
    for (const { producerId, epoch, lastSequence, lastOffset } of this.producers().values()) {
      const found = active.get(producerId)
      if (found === undefined && lastOffset < this.start) continue
      const words = `producer ${producerId}, whose last batch ends at ${lastOffset}`
      assert.deepEqual(
        [found?.epoch, found?.lastSequence],
        [epoch, lastSequence],
        `${words}: epoch and sequence`,
      )
    }
    const strangers = [...active.keys()].filter(id => !this.producers().has(id))
    if (this.batches.length > 0 && this.batches[0]!.baseOffset === 0) {
      assert.deepEqual(strangers, [], 'producers that never wrote')
    }
  }

  /** The first record at or behind the start that is as late as `timestamp`. */
  offsetForTimestamp(timestamp: number): number | null {
    for (const { baseOffset, lastOffset, timestamp: first } of this.readable) {
      for (let offset = Math.max(baseOffset, this.start); offset <= lastOffset; offset++) {
        if (first + offset - baseOffset >= timestamp) return offset
      }
    }
    return null
  }
}

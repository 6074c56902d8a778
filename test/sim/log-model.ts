/**
 * What one log must hold, as a list of all batches that were appended; and the comparison of a real log with it.
 *
 * Between two crashes the list is exact, but for what compaction took (compaction-model.ts). After one, a log may have lost
 * what was not synced, from the end on, and may have forgotten an unfinished move of its start; `settle` holds it to that
 * and takes over what it finds.
 */
import assert from 'node:assert/strict'
import * as batches from '../../protocol/record-batch.ts'
import type { RecordInput } from '../../protocol/records.ts'
import type { Log } from '../../segment-store/log.ts'
import { bytesOf } from '../segment-store/store-harness.ts'
import { type CompactionState, NEVER_COMPACTED, Survivors } from './compaction-model.ts'

export interface ModelRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
}

export interface ModelBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  /** As it lay in the log file first. */
  readonly bytes: Buffer
  readonly records: readonly ModelRecord[]
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
  /** Below it nothing is ever cut off. */
  highWatermark = 0
  compaction: CompactionState = NEVER_COMPACTED
  /** Last offsets of batches that were not the last of their producers once, and are now because those were cut off. */
  private wereFollowed: ReadonlySet<number> = new Set()

  clone(): LogModel {
    return Object.assign(new LogModel(), this)
  }

  append(batch: Buffer, leaderEpoch: number, written: readonly RecordInput[]): void {
    const bytes = Buffer.from(batch)
    const baseOffset = this.end
    batches.restamp(bytes, 0, baseOffset, leaderEpoch)
    const lastOffset = baseOffset + batches.lastOffsetDelta(bytes, 0)
    const records = written.map(({ timestamp, key, value }, i) => ({
      offset: baseOffset + i,
      timestamp,
      key: key === null || key === undefined ? null : String(key),
      value: value === null ? null : String(value),
    }))
    this.batches = [...this.batches, { baseOffset, lastOffset, bytes, records }]
    this.end = lastOffset + 1
  }

  /** A pass of compaction begins, at this time. */
  compactionBegins(nowMs: number, deleteRetentionMs: number): void {
    const horizons = new Map(this.compaction.horizons)
    for (const { records } of this.batches) {
      for (const { offset, value } of records) {
        if (value === null && !horizons.has(offset)) horizons.set(offset, nowMs + deleteRetentionMs)
      }
    }
    this.compaction = { ...this.compaction, isUnderWay: true, nowMs, horizons }
  }

  /** It has ended: the log is clean below `hasReached`, and segments below `mayReach` were replaced. */
  compactionEnds(hasReached: number, mayReach: number): void {
    const { compaction } = this
    this.compaction = {
      ...compaction,
      isUnderWay: false,
      mayReach: Math.max(compaction.mayReach, hasReached, mayReach),
      hasReached: Math.max(compaction.hasReached, hasReached),
    }
  }

  /** The log is about to be cut: from now on what lies behind may be there or not. */
  willTruncateTo(offset: number): void {
    this.syncedEnd = Math.min(this.syncedEnd, offset)
  }

  truncateTo(offset: number): void {
    this.keepOnly(this.batches.filter(({ lastOffset }) => lastOffset < offset))
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

  private keepOnly(kept: readonly ModelBatch[]): void {
    const before = new Set(this.lastOfProducers())
    this.batches = kept
    const now = this.lastOfProducers().filter(offset => !before.has(offset))
    this.wereFollowed = new Set([...this.wereFollowed, ...now])
  }

  private lastOfProducers(): number[] {
    return [...this.producers().values()].map(({ lastOffset }) => lastOffset)
  }

  /** Last offsets of batches that compaction leaves, if empty, because a producer may still follow. */
  keptForProducers(): ReadonlySet<number> {
    return new Set(this.lastOfProducers().filter(offset => !this.wereFollowed.has(offset)))
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
    this.keepOnly(keptEnd === logEndOffset ? kept : [])
    if (this.compaction.isUnderWay) this.compactionEnds(0, this.end)
    this.start = logStartOffset
    this.end = logEndOffset
    this.syncedStart = Math.min(this.syncedStart, logStartOffset)
    this.syncedEnd = Math.min(this.syncedEnd, logEndOffset)
    this.highWatermark = Math.min(this.highWatermark, logEndOffset)
    const { mayReach } = this.compaction
    this.compaction = { ...this.compaction, mayReach: Math.min(mayReach, logEndOffset) }
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
    const found: Buffer[] = []
    let next = this.start
    while (next < log.writtenOffset) {
      const request = { offset: next, maxBytes: 700, upTo: this.end, minOneBatch: true }
      const some = batchesOf(bytesOf(await log.read({ ...request, committed: true })))
      assert(some.length > 0, `nothing to read at ${next} of ${this.end}`)
      found.push(...some)
      next = batches.lastOffset(some.at(-1)!, 0) + 1
    }
    await new Survivors(this).check(found, this.start, this.end)
  }

  private checkEpochs(log: Log): void {
    const survivors = new Survivors(this)
    for (const { baseOffset, bytes, records } of this.readable) {
      if (baseOffset < this.start) continue
      // Of batches that compaction took nobody may know any more.
      if (records.every(record => survivors.mayBeGone(record))) continue
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

  /** `found` answers the question for the first record that can be read and is as late as `timestamp`. */
  checkFirstAt(timestamp: number, found: number | null): void {
    const survivors = new Survivors(this)
    for (const record of this.readableRecords()) {
      if (record.timestamp < timestamp) continue
      if (record.offset === found) return
      assert(survivors.mayBeGone(record), `at ${timestamp}: ${found}, and not ${record.offset}`)
    }
    assert.equal(found, null, `timestamp ${timestamp}`)
  }

  /** `found` answers the question for the first record that can be read and is as late as any. */
  checkLatest(found: { readonly timestamp: number; readonly offset: number } | null): void {
    const survivors = new Survivors(this)
    const records = [...this.readableRecords()]
    const latest = records.reduce(
      (most, each) => (survivors.mayBeGone(each) ? most : Math.max(most, each.timestamp)),
      -1,
    )
    assert((found?.timestamp ?? -1) >= latest, `latest is ${found?.timestamp}, not ${latest}`)
    if (found === null) return
    const same = records.filter(each => each.timestamp === found.timestamp)
    const at = same.findIndex(each => each.offset === found.offset)
    assert(at >= 0, `no record at ${found.offset} has the timestamp ${found.timestamp}`)
    for (const earlier of same.slice(0, at)) {
      assert(survivors.mayBeGone(earlier), `latest is ${found.offset}, not ${earlier.offset}`)
    }
  }

  private *readableRecords(): Generator<ModelRecord> {
    for (const { records } of this.readable) {
      for (const record of records) if (record.offset >= this.start) yield record
    }
  }
}

/** The whole batches in some bytes. */
export function batchesOf(bytes: Buffer): Buffer[] {
  return [...batches.batchPositions(bytes)].map(at =>
    bytes.subarray(at, at + batches.sizeInBytes(bytes, at)),
  )
}

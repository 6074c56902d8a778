/**
 * What compaction may have done to a log: the model keeps every record that was ever appended, and this says which of them
 * may be missing, and which must be.
 *
 *   0            hasReached                 mayReach                       end
 *   ├─ of each key ──┼─ superseded records may ──┼─ everything is there ───────┤
 *      one record       be gone or not (a pass
 *                       was interrupted)
 *
 * While a pass is under way it may have come anywhere. A tombstone may go once a pass has begun behind its delete horizon;
 * then nothing older of its key may be there.
 */
import assert from 'node:assert/strict'
import * as batches from '../../protocol/record-batch.ts'
import { decodeBatch } from '../../protocol/records.ts'
import type { LogModel, ModelBatch, ModelRecord } from './log-model.ts'

export interface CompactionState {
  readonly isUnderWay: boolean
  readonly mayReach: number
  readonly hasReached: number
  /** The time of the last pass. */
  readonly nowMs: number
  /** From when on each tombstone that a pass has met may go. */
  readonly horizons: ReadonlyMap<number, number>
}

export const NEVER_COMPACTED: CompactionState = {
  isUnderWay: false,
  mayReach: 0,
  hasReached: 0,
  nowMs: -1,
  horizons: new Map(),
}

/** What the records of one log may look like at this moment. */
export class Survivors {
  private readonly model: LogModel
  private readonly mayReach: number
  private readonly newestMayBe: ReadonlyMap<string, number>
  private readonly newestMustBe: ReadonlyMap<string, number>
  private readonly keptForProducers: ReadonlySet<number>

  constructor(model: LogModel) {
    const { isUnderWay, mayReach, hasReached } = model.compaction
    this.model = model
    this.mayReach = isUnderWay ? model.end : mayReach
    this.newestMayBe = newestBelow(model, this.mayReach)
    this.newestMustBe = newestBelow(model, hasReached)
    this.keptForProducers = model.keptForProducers()
  }

  mayBeGone(record: ModelRecord): boolean {
    if (record.key === null || record.offset >= this.mayReach) return false
    if (this.newestMayBe.get(record.key)! > record.offset) return true
    return this.mayBeForgotten(record)
  }

  mustBeGone({ key, offset }: ModelRecord): boolean {
    const { start, compaction } = this.model
    // What lies in front of the start is nobody's business.
    if (key === null || offset < start || offset >= compaction.hasReached) return false
    return this.newestMustBe.get(key)! > offset
  }

  /** A tombstone whose time is over. */
  private mayBeForgotten({ value, offset }: ModelRecord): boolean {
    const { horizons, nowMs } = this.model.compaction
    const horizon = horizons.get(offset)
    return value === null && horizon !== undefined && horizon <= nowMs
  }

  /** The batches `found` must be what the log shows of the offsets [from, to). */
  async check(found: readonly Buffer[], from: number, to: number): Promise<void> {
    const due = this.model.batches.filter(each => each.lastOffset >= from && each.lastOffset < to)
    const there: ModelRecord[] = []
    const gone: ModelRecord[] = []
    let next = 0
    for (const bytes of found) {
      const base = batches.baseOffset(bytes, 0)
      for (; next < due.length && due[next]!.baseOffset < base; next++) {
        gone.push(...this.missing(due[next]!))
      }
      const expected = due[next++]
      const words = `a batch at ${base}, where ${expected?.baseOffset ?? 'none'} was due`
      assert.equal(expected?.baseOffset, base, words)
      if (bytes.equals(expected!.bytes)) there.push(...expected!.records)
      else await this.compare(bytes, expected!, there, gone)
    }
    for (; next < due.length; next++) gone.push(...this.missing(due[next]!))
    this.judge(there, gone)
  }

  private missing(batch: ModelBatch): readonly ModelRecord[] {
    const { baseOffset, lastOffset } = batch
    const isLast = this.keptForProducers.has(lastOffset)
    assert(!isLast, `batch at ${baseOffset} is gone, the last one of its producer`)
    return batch.records
  }

  /** A batch that is not as it was appended: compaction may have taken records out of it, and nothing else. */
  private async compare(
    bytes: Buffer,
    expected: ModelBatch,
    there: ModelRecord[],
    gone: ModelRecord[],
  ): Promise<void> {
    const words = `batch at ${expected.baseOffset}`
    const mayDiffer = expected.baseOffset < this.mayReach
    assert(mayDiffer, `${words} is not the one that was appended`)
    assert.equal(batches.crc(bytes, 0), batches.computeCrc(bytes, 0), `${words}: checksum`)
    assert.deepEqual(fixedFields(bytes), fixedFields(expected.bytes), `${words}: header`)
    const records = new Map(expected.records.map(each => [each.offset, each]))
    for (const { offset, timestamp, key, value } of await decodeBatch(bytes, 0, 1_000_000)) {
      const written = records.get(offset)
      assert(written !== undefined, `${words}: ${offset} was not written, or comes twice`)
      const found = { offset, timestamp, key: textOf(key), value: textOf(value) }
      assert.deepEqual(found, written, words)
      there.push(written)
      records.delete(offset)
    }
    gone.push(...records.values())
  }

  private judge(there: readonly ModelRecord[], gone: readonly ModelRecord[]): void {
    for (const record of gone) assert(this.mayBeGone(record), `${named(record)} is lost`)
    for (const record of there) {
      assert(!this.mustBeGone(record), `${named(record)} is there, superseded and compacted`)
    }
    const oldest = new Map<string | null, ModelRecord>()
    for (const record of there) if (!oldest.has(record.key)) oldest.set(record.key, record)
    for (const { key, value, offset } of gone) {
      const older = oldest.get(key)
      if (value !== null || older === undefined || older.offset > offset) continue
      const isSuperseded = this.newestMayBe.get(key!)! > offset
      assert(isSuperseded, `${named(older)} is there, its tombstone at ${offset} is not`)
    }
  }
}

/** Of each key the newest record below an offset. */
function newestBelow(model: LogModel, limit: number): ReadonlyMap<string, number> {
  const newest = new Map<string, number>()
  if (limit === 0) return newest
  for (const { records } of model.batches) {
    for (const { key, offset } of records) {
      if (key !== null && offset < limit) newest.set(key, offset)
    }
  }
  return newest
}

/** What compaction leaves as it is. */
function fixedFields(bytes: Buffer): object {
  return {
    lastOffset: batches.lastOffset(bytes, 0),
    leaderEpoch: batches.leaderEpoch(bytes, 0),
    producerId: batches.producerId(bytes, 0),
    producerEpoch: batches.producerEpoch(bytes, 0),
    baseSequence: batches.baseSequence(bytes, 0),
    timestampType: batches.timestampType(bytes, 0),
  }
}

function textOf(bytes: Buffer | null): string | null {
  return bytes === null ? null : String(bytes)
}

function named({ offset, key, value }: ModelRecord): string {
  return `record ${offset} (${key}: ${value === null ? 'tombstone' : `${value.length} bytes`})`
}

/**
 * A recorded run of a data directory, of at most 64 KiB of writes and other changes: two logs, one of them compacted, that
 * append, roll, sync, checkpoint, delete at both ends, retain and compact, save snapshots, stop and start; and a third
 * that is deleted and created again. With it goes what the model said at every moment (`marks`).
 */
import assert from 'node:assert/strict'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import { encodeBatch, type RecordInput } from '../../protocol/records.ts'
import type { LogConfig } from '../../segment-store/config.ts'
import type { Log } from '../../segment-store/log.ts'
import { LogDirectory } from '../../segment-store/log-directory.ts'
import { append, config, ManualTurn, NOW } from '../segment-store/store-harness.ts'
import { SimulatedDisk } from './disk.ts'
import { LogModel } from './log-model.ts'
import { Medium, type Mutation } from './medium.ts'

export const MAX_BYTES = 64 * 1024
const ROOT = '/data'
const ROUNDS = 4
const KEYS = 5
const HOUR = 3_600_000

const plain = config({
  segmentBytes: 1200,
  indexIntervalBytes: 400,
  segmentIndexBytes: 200,
  retentionBytes: 1000,
})
const compacted = {
  ...plain,
  segmentBytes: 900,
  cleanupPolicy: { compact: true, delete: false },
  minCleanableDirtyRatio: 0,
  deleteRetentionMs: HOUR,
  fileDeleteDelayMs: 0,
}

/** A log that the metadata knows at some moment, and what must be in it. */
export interface KnownLog {
  readonly topic: string
  readonly topicId: string
  readonly settings: LogConfig
  readonly model: LogModel
}

/** What must be left after a crash once so many changes of the journal were made. */
export interface Mark {
  readonly changes: number
  readonly logs: readonly KnownLog[]
}

export async function openDirectory(disk: SimulatedDisk, turn: ManualTurn): Promise<LogDirectory> {
  let ids = 100
  return await LogDirectory.open({
    path: ROOT,
    disk,
    io: {
      clock: { nowMs: () => NOW, monotonicMs: () => 0, timer: () => ({ cancel() {} }) },
      turn,
      uuid: () => idOf(ids++),
    },
    buffers: new BufferPool(1024 * 1024),
    producerIdExpirationMs: 1e12,
  })
}

export function openKnown(directory: LogDirectory, known: KnownLog): Promise<Log> {
  const on = { written() {}, failed() {} }
  return directory.openLog(known.topic, 0, known.topicId, known.settings, on)
}

function idOf(number: number): string {
  return Buffer.alloc(16, number).toString('base64url')
}

class Recorded {
  readonly known: KnownLog
  log!: Log
  private sequence = 0

  constructor(topic: string, id: number, settings: LogConfig) {
    this.known = { topic, topicId: idOf(id), settings, model: new LogModel() }
  }

  get model(): LogModel {
    return this.known.model
  }

  /** A batch of the producer; the keys repeat after a while, every seventh record is a tombstone. */
  next(count: number, leaderEpoch: number, valueBytes: number): Buffer {
    const { model, known } = this
    const records = Array.from({ length: count }, (_, i): RecordInput => {
      const offset = model.end + i
      const timestamp = NOW + offset
      const value = Buffer.alloc(valueBytes, 'v')
      if (!known.settings.cleanupPolicy.compact) return { timestamp, key: null, value }
      const key = Buffer.from(`k${(offset * 3 + Math.floor(offset / KEYS)) % KEYS}`)
      return { timestamp, key, value: offset % 7 === 6 ? null : value }
    })
    const producer = { producerId: 7, producerEpoch: 0, baseSequence: this.sequence }
    const bytes = encodeBatch(records, count === 3 ? 'gzip' : 'none', producer) as Buffer
    model.append(bytes, leaderEpoch, records)
    this.sequence += count
    return bytes
  }

  /** After what was cut off the producer goes on where it was then. */
  goBack(): void {
    this.sequence = this.model.producers().get(7)!.lastSequence + 1
  }
}

export class Recording {
  readonly journal: Mutation[] = []
  readonly marks: Mark[] = []
  private readonly disk: SimulatedDisk
  private readonly turn = new ManualTurn()
  private readonly orders = new Recorded('orders', 1, plain)
  private readonly changes = new Recorded('changes', 2, compacted)
  /** What the metadata knows. */
  private logs: readonly Recorded[] = [this.orders, this.changes]
  private directory!: LogDirectory
  private nowMs = NOW

  constructor() {
    this.disk = new SimulatedDisk(new Medium(), { random: () => 0, nowMs: () => NOW })
    this.disk.journal = this.journal
  }

  private mark(): void {
    const logs = this.logs.map(({ known }) => ({ ...known, model: known.model.clone() }))
    this.marks.push({ changes: this.journal.length, logs })
  }

  async make(): Promise<this> {
    await this.disk.makeDirectory(ROOT)
    await this.disk.syncDirectory('')
    await this.start()
    for (let round = 0; round < ROUNDS; round++) {
      await this.fill(this.orders, 3, round)
      await this.fill(this.changes, 4, round)
      await this.sync(this.orders)
      await this.compact(this.changes)
      const passing = await this.create('passing', 10 + round)
      await this.fill(this.orders, 3, round)
      await this.fill(passing, 1, 0)
      await this.directory.checkpoint()
      await this.retain(this.orders)
      await this.deleteBelow(this.orders, this.orders.model.start + 5)
      await this.deleteBelow(this.changes, this.changes.model.start + 3)
      await this.directory.deletedFiles.sweep(true)
      await this.fill(this.changes, 2, round)
      await this.truncateTo(this.orders, this.orders.model.end - 8)
      await this.compact(this.changes)
      await this.remove(passing)
      await this.fill(this.orders, 1, round)
      await this.stop()
      await this.start()
    }
    await this.stop()
    return this
  }

  private async start(): Promise<void> {
    this.directory = await openDirectory(this.disk, this.turn)
    for (const each of this.logs) each.log = await openKnown(this.directory, each.known)
    this.mark()
  }

  private async stop(): Promise<void> {
    const ends = this.logs.map(({ model }) => model.end)
    await this.directory.close()
    for (const [i, { model }] of this.logs.entries()) model.synced(ends[i]!)
    this.mark()
    this.nowMs += HOUR
  }

  private async create(topic: string, id: number): Promise<Recorded> {
    const recorded = new Recorded(topic, id, plain)
    this.logs = [...this.logs, recorded]
    this.mark()
    recorded.log = await openKnown(this.directory, recorded.known)
    return recorded
  }

  private async remove(recorded: Recorded): Promise<void> {
    this.logs = this.logs.filter(each => each !== recorded)
    this.mark()
    await this.directory.deleteLog(recorded.log)
    this.mark()
    await this.directory.deletedFiles.sweep(true)
  }

  private async fill(recorded: Recorded, turns: number, leaderEpoch: number): Promise<void> {
    for (let i = 0; i < turns; i++) {
      const ready = [1, 2, 3].map(n => recorded.next(n, leaderEpoch, 40 + ((i * n * 31) % 80)))
      this.mark()
      for (const bytes of ready) append(recorded.log, bytes, leaderEpoch)
      this.turn.end()
      await recorded.log.settle()
    }
  }

  private async sync({ log, model }: Recorded): Promise<void> {
    const { end } = model
    await log.sync()
    model.synced(end)
    this.mark()
  }

  private async retain({ log, model }: Recorded): Promise<void> {
    const { start } = model
    // Until it is done it may have come anywhere.
    model.start = model.end
    this.mark()
    const count = await log.enforceRetention(this.nowMs)
    assert(count > 0 && log.logStartOffset > start, 'retention had something to do')
    model.start = log.logStartOffset
    model.syncedStart = model.start
    this.mark()
  }

  private async compact({ log, model, known }: Recorded): Promise<void> {
    const { end } = model
    model.compactionBegins(this.nowMs, known.settings.deleteRetentionMs)
    this.mark()
    log.roll(NOW)
    const result = await log.compact(this.nowMs)
    assert(result !== null, 'compaction had something to do')
    model.compactionEnds(result.endOffset, result.endOffset)
    model.synced(end)
    this.mark()
  }

  private async deleteBelow({ log, model }: Recorded, offset: number): Promise<void> {
    model.start = offset
    this.mark()
    await log.advanceLogStartTo(offset)
    model.syncedStart = offset
    this.mark()
  }

  private async truncateTo(recorded: Recorded, near: number): Promise<void> {
    const { log, model } = recorded
    const kept = model.batches.findLast(({ lastOffset }) => lastOffset < near)!
    const offset = kept.lastOffset + 1
    model.willTruncateTo(offset)
    this.mark()
    await log.truncateTo(offset)
    model.truncateTo(offset)
    recorded.goBack()
    this.mark()
  }
}

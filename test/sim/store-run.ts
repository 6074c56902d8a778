/**
 * One seeded life of a data directory: the real `LogDirectory`, logs and recovery on a simulated disk, held against
 * `LogModel`. Appends, reads, syncs, rolls, compacts, deletes, truncates, stops, is killed, loses power at any operation
 * and any byte, and opens again, in random order. The records of one of its logs have keys: that one is compacted in most
 * lives, while other steps go on.
 *
 * What is done is written to `trace`, one line each; a seed always does the same.
 */
import assert from 'node:assert/strict'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import * as batches from '../../protocol/record-batch.ts'
import { LoadedIndexes } from '../../segment-store/loaded-indexes.ts'
import { LogDirectory } from '../../segment-store/log-directory.ts'
import { append, batch, bytesOf, config, ManualTurn, NOW } from '../segment-store/store-harness.ts'
import { seededRandom } from '../tiers.ts'
import { CleaningPass } from './cleaning-pass.ts'
import { Survivors } from './compaction-model.ts'
import { CrashError, SimulatedDisk } from './disk.ts'
import { batchesOf, LogModel } from './log-model.ts'
import { CRASH_MODES, Medium } from './medium.ts'
import { KEYED, newBatch, Partition } from './partition.ts'

const STEPS = 40
const PARTITIONS = 2
const POLICIES = [
  { compact: true, delete: false },
  { compact: true, delete: true },
  { compact: false, delete: true },
]
const ROOT = '/data'

export class StoreRun {
  readonly trace: string[] = []
  private readonly random: () => number
  private disk: SimulatedDisk
  private directory!: LogDirectory
  private readonly turn = new ManualTurn()
  private readonly partitions: Partition[] = []
  /** Under way: one at a time, as in a broker. */
  private pass: CleaningPass | null = null
  private nowMs = NOW
  private ids = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
    const settings = config({
      segmentBytes: 1000 + this.below(3000),
      indexIntervalBytes: 100 + this.below(400),
      segmentIndexBytes: 120 + this.below(200),
      retentionBytes: this.below(3) === 0 ? -1 : this.below(6000),
      retentionMs: this.below(3) === 0 ? -1 : this.below(10_000),
      fileDeleteDelayMs: this.below(2) * 1000,
      minCleanableDirtyRatio: this.below(3) === 0 ? 0.3 : 0,
      deleteRetentionMs: this.below(3) * 1500,
      minCompactionLagMs: this.below(3) === 0 ? 1000 : 0,
      ...(this.below(4) === 0 ? { maxCompactionLagMs: 3000 } : {}),
    })
    this.disk = new SimulatedDisk(new Medium(), {
      random: this.random,
      nowMs: () => this.nowMs,
      slowShare: this.random() < 0.5 ? 0 : 0.3,
    })
    for (let i = 0; i < PARTITIONS; i++) {
      this.partitions.push(new Partition(i, this.newId(), settings))
    }
    this.changePolicy(this.partitions[KEYED]!)
  }

  private below(limit: number): number {
    return Math.floor(this.random() * limit)
  }

  private newId(): string {
    return Buffer.alloc(16, ++this.ids).toString('base64url')
  }

  private say(words: string): void {
    this.trace.push(words)
  }

  /** Has the disk's operations in the trace too. */
  traceDisk(): void {
    this.disk.trace = ({ kind, path, bytes }) => {
      this.say(`    ${kind} ${path}${bytes > 0 ? ` (${bytes} bytes)` : ''}`)
    }
  }

  async go(): Promise<void> {
    // The directory's own name is not what is tried here.
    await this.disk.makeDirectory(ROOT)
    await this.disk.syncDirectory('')
    await this.open()
    for (let step = 0; step < STEPS; step++) {
      if (this.below(6) === 0) await this.crashDuringSteps()
      else await this.step()
      this.pass?.goOn()
      for (const { log, model } of this.partitions) {
        assert.equal(log.logEndOffset, model.end)
        assert.equal(log.logStartOffset, model.start)
      }
    }
    await this.restart()
    await this.checkAll()
    await this.directory.close()
  }

  private pick(): Partition {
    return this.partitions[this.below(PARTITIONS)]!
  }

  private async step(): Promise<void> {
    const partition = this.pick()
    const dice = this.below(100)
    this.nowMs += this.below(1000)
    if (dice < 40) this.appendSome(partition)
    else if (dice < 48) await this.readSome(partition)
    else if (dice < 52) await this.findTime(partition)
    else if (dice < 60) await this.sync(partition)
    else if (dice < 70) await this.compact(this.partitions[KEYED]!)
    else if (dice < 71) this.changePolicy(this.partitions[KEYED]!)
    else if (dice < 74) await this.deleteRecords(partition)
    else if (dice < 77) await this.retain(partition)
    else if (dice < 82) await this.truncate(partition)
    else if (dice < 88) await this.checkpoint()
    else if (dice < 90) await this.recreate(partition)
    else if (dice < 93) await this.restart()
    else if (dice < 95) await this.failSync(partition)
    else if (dice < 97) await this.kill()
    else await this.powerCut()
  }

  // ------------------------------------------------------------------------------------ what is done to a log

  private appendSome(partition: Partition): void {
    const { log, model } = partition
    for (let left = 1 + this.below(5); left > 0; left--) {
      if (this.below(20) === 0) partition.leaderEpoch += 1
      const { records, bytes } = newBatch(partition, this.nowMs, this.random)
      const what = records.map(({ key, value }) => `${key ?? ''}${value === null ? '†' : ''}`)
      this.say(`append to ${partition} at ${model.end}: ${what}, ${bytes.length} bytes`)
      model.append(bytes, partition.leaderEpoch, records)
      const info = append(log, bytes, partition.leaderEpoch, this.nowMs)
      assert.equal(info.lastOffset, model.end - 1)
      if (batches.producerId(bytes, 0) < 0) continue
      const again = append(log, bytes, partition.leaderEpoch, this.nowMs)
      assert.deepEqual([again.baseOffset, again.duplicate], [info.baseOffset, true])
    }
    this.turn.end()
  }

  private async readSome({ log, model }: Partition): Promise<void> {
    const offset = model.start + this.below(model.end - model.start + 1)
    const upTo = this.below(4) === 0 ? offset + this.below(20) : model.end
    const request = { offset, maxBytes: 1 + this.below(2000), upTo, minOneBatch: true }
    const { writtenOffset } = log
    const bytes = bytesOf(await log.read({ ...request, committed: false }))
    const found = batchesOf(bytes)
    const last = found.at(-1)
    const end = last === undefined ? offset : batches.lastOffset(last, 0) + 1
    const survivors = new Survivors(model)
    await survivors.check(found, offset, end)
    if (last !== undefined) return
    const due = model.readable.find(
      each => each.lastOffset >= offset && !each.records.every(one => survivors.mayBeGone(one)),
    )
    const isThere = due !== undefined && due.lastOffset < Math.min(upTo, writtenOffset)
    assert(!isThere, `${JSON.stringify(request)}: nothing read`)
  }

  private async findTime({ log, model }: Partition): Promise<void> {
    await log.flushNow()
    const target = this.nowMs - this.below(3000)
    const found = await log.offsetForTimestamp(target)
    model.checkFirstAt(target, found?.offset ?? null)
    model.checkLatest(await log.maxTimestamp())
  }

  private async sync(partition: Partition): Promise<void> {
    const { log, model } = partition
    const { end } = model
    this.say(`sync ${partition} up to ${end}`)
    await log.sync()
    model.synced(end)
  }

  private async deleteRecords(partition: Partition): Promise<void> {
    const { log, model } = partition
    await log.flushNow()
    const offset = model.start + this.below(model.end - model.start + 1)
    this.say(`delete records of ${partition} below ${offset}`)
    model.start = offset
    await log.advanceLogStartTo(offset)
    model.syncedStart = offset
  }

  /** Retention: only whole segments go, and no more than the settings say. */
  private async retain(partition: Partition): Promise<void> {
    const { log, model, settings } = partition
    await log.flushNow()
    const before = model.start
    this.say(`retention of ${partition} from ${before}`)
    // Until it is done it may have come anywhere.
    model.start = model.end
    await log.enforceRetention(this.nowMs)
    model.start = log.logStartOffset
    model.syncedStart = model.start
    const gone = model.batches.filter(
      ({ lastOffset }) => lastOffset >= before && lastOffset < model.start,
    )
    const survivors = new Survivors(model)
    const newest = gone
      .flatMap(({ records }) => records)
      .filter(record => !survivors.mayBeGone(record))
      .reduce((most, { timestamp }) => Math.max(most, timestamp), -1)
    const isOld = settings.retentionMs >= 0 && newest < this.nowMs - settings.retentionMs
    const kept = log.sizeBytes
    const isMuch = settings.retentionBytes >= 0 && kept >= settings.retentionBytes
    assert(gone.length === 0 || isOld || isMuch, `${partition}: records went that were to stay`)
  }

  private async truncate(partition: Partition): Promise<void> {
    const { log, model } = partition
    const share = 0.6 + 0.4 * this.random()
    const kept = model.batches[Math.floor(model.batches.length * share)]
    if (kept === undefined || kept.lastOffset < model.start) return
    const offset = kept.lastOffset + 1
    // Nobody truncates below the high watermark, and nothing above it is compacted.
    if (partition.isKeyed && offset < log.highWatermark) return
    this.say(`truncate ${partition} to ${offset} of ${model.end}`)
    model.willTruncateTo(offset)
    await log.truncateTo(offset)
    model.truncateTo(offset)
  }

  private async checkpoint(): Promise<void> {
    this.say('checkpoint')
    await this.directory.checkpoint()
    await this.directory.deletedFiles.sweep()
  }

  /** A pass of compaction, which is done at once or while the next steps go on. */
  private async compact(partition: Partition): Promise<void> {
    await this.endPass()
    const { log, model } = partition
    if (this.below(4) > 0) {
      log.highWatermark = log.writtenOffset
      model.highWatermark = log.writtenOffset
    }
    this.say(`compact ${partition} below ${log.highWatermark}`)
    const isSmall = this.below(3) === 0
    this.pass = new CleaningPass(log, model, this.nowMs, isSmall ? 8 : 1000)
    if (this.below(2) === 0) await this.endPass()
  }

  private async endPass(): Promise<void> {
    const { pass } = this
    if (pass === null) return
    this.pass = null
    const outcome = await pass.end()
    this.say(`  pass over ${pass.log.name}: ${outcome}`)
  }

  private changePolicy(partition: Partition): void {
    const cleanupPolicy = POLICIES[this.below(POLICIES.length)]!
    partition.settings = { ...partition.settings, cleanupPolicy }
    this.say(`${partition} has the policy ${JSON.stringify(cleanupPolicy)}`)
    partition.log?.updateConfig(partition.settings)
  }

  private async recreate(partition: Partition): Promise<void> {
    const { topicId, model } = partition
    this.say(`delete and create ${partition}`)
    partition.deleted = { topicId, model }
    partition.topicId = this.newId()
    partition.model = new LogModel()
    let removed = () => {}
    const isRemoved = new Promise<void>(resolve => {
      removed = resolve
    })
    await this.directory.deleteLog(partition.log, removed)
    partition.deleted = null
    await this.openLog(partition)
    await isRemoved
  }

  // ---------------------------------------------------------------------------------------- stops and starts

  private async open(): Promise<void> {
    this.directory = await LogDirectory.open({
      path: ROOT,
      disk: this.disk,
      io: {
        clock: {
          nowMs: () => this.nowMs,
          monotonicMs: () => this.nowMs - NOW,
          timer: () => ({ cancel() {} }),
        },
        turn: this.turn,
        uuid: () => this.newId(),
      },
      buffers: new BufferPool(1024 * 1024),
      // Hardly any: they come and go.
      indexes: new LoadedIndexes(100),
      producerIdExpirationMs: 1e12,
      log: {
        info: (event, fields) => this.say(`  ${event} ${JSON.stringify(fields)}`),
        warn: (event, fields) => this.say(`  ${event} ${JSON.stringify(fields)}`),
      },
    })
    const found = this.directory.unopened()
    for (const partition of this.partitions) {
      const before = partition.deleted
      const there = found.find(each => each.partition === partition.number)
      if (before !== null && there?.topicId === before.topicId) {
        // The crash came before the deletion took effect.
        partition.topicId = before.topicId
        partition.model = before.model
      }
      partition.deleted = null
      await this.openLog(partition)
    }
  }

  private async openLog(partition: Partition): Promise<void> {
    partition.failures = []
    const { number, topicId, settings, isKeyed, model } = partition
    partition.log = await this.directory.openLog('orders', number, topicId, settings, {
      written() {},
      failed: error => partition.failures.push(error),
    })
    // One that is not compacted needs none.
    if (!isKeyed) return
    partition.log.highWatermark = Math.min(model.highWatermark, partition.log.logEndOffset)
  }

  private async restart(): Promise<void> {
    this.say('clean stop and start')
    this.pass?.stop()
    await this.endPass()
    const ends = this.partitions.map(({ model }) => model.end)
    await this.directory.close()
    for (const [i, { model }] of this.partitions.entries()) model.synced(ends[i]!)
    for (const { model } of this.partitions) model.syncedStart = model.start
    if (this.below(3) === 0) this.disk = this.disk.reopened(this.crashMode())
    await this.open()
    await this.checkAll()
  }

  private crashMode(): (typeof CRASH_MODES)[number] {
    return CRASH_MODES[this.below(CRASH_MODES.length)]!
  }

  /** Only the process dies: what the kernel has stays, synced or not. */
  private async kill(): Promise<void> {
    this.say('kill')
    const written = this.partitions.map(({ log }) => log.writtenOffset)
    await this.goOnWith(this.disk.reopened('process'))
    for (const [i, { log }] of this.partitions.entries()) {
      assert(log.logEndOffset >= written[i]!, `${log.name} lost what the kernel had`)
    }
  }

  private async powerCut(isLast = true): Promise<void> {
    const mode = this.crashMode()
    this.say(`power cut, unsynced: ${mode}`)
    const disk = this.disk.reopened(mode)
    if (!isLast) disk.crashAfter(1 + this.below(100))
    await this.goOnWith(disk)
  }

  private async goOnWith(disk: SimulatedDisk): Promise<void> {
    // What the dead process still has under way fails on its dead disk.
    await this.endPass()
    for (const { log } of this.partitions) await log.abandon().catch(expectCrash)
    const { trace } = this.disk
    this.disk = disk
    disk.trace = trace
    await this.open()
    if (disk.isCrashed) throw new CrashError('the machine has stopped')
    for (const { log, model } of this.partitions) model.settle(log)
    disk.crashAfter(Number.POSITIVE_INFINITY)
    await this.checkAll()
  }

  /** The process or the power goes at any operation or byte of the next steps, or while the logs open again after that. */
  private async crashDuringSteps(): Promise<void> {
    const units = 1 + this.below(this.random() < 0.3 ? 30 : 3000)
    this.disk.crashAfter(units)
    this.say(`the power will go after ${units} units`)
    try {
      for (let steps = 1 + this.below(4); steps > 0; steps--) await this.step()
      this.disk.crash()
    } catch (error) {
      if (!this.disk.isCrashed) throw error
    }
    for (;;) {
      try {
        // Sometimes the next crash comes while the logs are being opened.
        if (this.below(5) > 0) await this.powerCut(this.below(3) > 0)
        else await this.goOnWith(this.disk.reopened('process'))
        return
      } catch (error) {
        if (!this.disk.isCrashed) throw error
      }
    }
  }

  /** A failed sync is final: nothing of this log is written or synced after it. */
  private async failSync(partition: Partition): Promise<void> {
    await this.endPass()
    const { log, model } = partition
    this.say(`a sync of ${partition} fails`)
    await log.settle()
    let hasFailed = false
    let after = 0
    this.disk.fault = ({ kind, path }) => {
      if (!path.startsWith(`${log.directory}/`)) return null
      if (!path.endsWith('.log')) return null
      if (hasFailed && (kind === 'sync' || kind === 'write')) after += 1
      if (kind !== 'sync') return null
      hasFailed = true
      return { code: 'EIO' }
    }
    this.appendSome(partition)
    await assert.rejects(log.sync(), isStorageError)
    if (this.disk.isCrashed) throw new CrashError('the machine has stopped')
    assert.equal(partition.failures.length, 1)
    assert.throws(() => append(log, batch(1)), isStorageError)
    await assert.rejects(log.sync(), isStorageError)
    await this.directory.checkpoint()
    assert.equal(after, 0, 'writes or syncs of a log that has failed')
    this.disk.fault = null
    model.end = Math.max(model.end, log.logEndOffset)
    await this.powerCut()
  }

  private async checkAll(): Promise<void> {
    for (const partition of this.partitions) {
      const words = `${partition} after ${this.trace.length} lines`
      try {
        await partition.log.flushNow()
        await partition.model.check(partition.log)
      } catch (error) {
        if (this.disk.isCrashed) throw error
        throw new Error(`${words}: ${(error as Error).message}`, { cause: error })
      }
    }
  }
}

function expectCrash(error: unknown): void {
  if (!(error instanceof CrashError)) throw error
}

function isStorageError(error: unknown): boolean {
  return error instanceof ProtocolError && error.error === 'KAFKA_STORAGE_ERROR'
}

/**
 * One seeded life of a data directory: the real `LogDirectory`, logs and recovery on a simulated disk, held against
 * `LogModel`. Appends, reads, syncs, rolls, deletes, truncates, stops, is killed, loses power at any operation and any
 * byte, and opens again, in random order.
 *
 * What is done is written to `trace`, one line each; a seed always does the same.
 */
import assert from 'node:assert/strict'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import * as batches from '../../protocol/record-batch.ts'
import type { LogConfig } from '../../segment-store/config.ts'
import type { Log } from '../../segment-store/log.ts'
import { LogDirectory } from '../../segment-store/log-directory.ts'
import { append, batch, bytesOf, config, ManualTurn, NOW } from '../segment-store/store-harness.ts'
import { seededRandom } from '../tiers.ts'
import { CrashError, SimulatedDisk } from './disk.ts'
import { LogModel, type ModelBatch } from './log-model.ts'
import { CRASH_MODES, Medium } from './medium.ts'

const STEPS = 40
const PARTITIONS = 2
const ROOT = '/data'

/** One partition as the run knows it. */
class Partition {
  readonly number: number
  topicId: string
  model = new LogModel()
  /** Of the log that a deletion under way may leave or not. */
  deleted: { readonly topicId: string; readonly model: LogModel } | null = null
  log!: Log
  leaderEpoch = 0
  failures: Error[] = []

  constructor(number: number, topicId: string) {
    this.number = number
    this.topicId = topicId
  }

  toString(): string {
    return `orders-${this.number}`
  }
}

export class StoreRun {
  readonly trace: string[] = []
  private readonly random: () => number
  private disk: SimulatedDisk
  private directory!: LogDirectory
  private readonly turn = new ManualTurn()
  private readonly partitions: Partition[] = []
  private readonly settings: LogConfig
  private nowMs = NOW
  private ids = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.settings = config({
      segmentBytes: 1000 + this.below(3000),
      indexIntervalBytes: 100 + this.below(400),
      segmentIndexBytes: 120 + this.below(200),
      retentionBytes: this.below(3) === 0 ? -1 : this.below(6000),
      retentionMs: this.below(3) === 0 ? -1 : this.below(10_000),
      fileDeleteDelayMs: this.below(2) * 1000,
    })
    this.disk = new SimulatedDisk(new Medium(), {
      random: this.random,
      nowMs: () => this.nowMs,
      slowShare: this.random() < 0.5 ? 0 : 0.3,
    })
    for (let i = 0; i < PARTITIONS; i++) this.partitions.push(new Partition(i, this.newId()))
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
    if (dice < 45) this.appendSome(partition)
    else if (dice < 55) await this.readSome(partition)
    else if (dice < 60) await this.findTime(partition)
    else if (dice < 70) await this.sync(partition)
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
      const count = 1 + this.below(5)
      if (this.below(20) === 0) partition.leaderEpoch += 1
      const timestamp = this.nowMs + this.below(50) - 10
      const bytes = batch(count, {
        timestamp,
        valueBytes: this.below(120),
        ...this.producer(model),
      })
      this.say(`append to ${partition}: ${count} records, ${bytes.length} bytes, at ${model.end}`)
      model.append(bytes, partition.leaderEpoch, timestamp)
      const info = append(log, bytes, partition.leaderEpoch, this.nowMs)
      assert.equal(info.lastOffset, model.end - 1)
      if (batches.producerId(bytes, 0) < 0) continue
      const again = append(log, bytes, partition.leaderEpoch, this.nowMs)
      assert.deepEqual([again.baseOffset, again.duplicate], [info.baseOffset, true])
    }
    this.turn.end()
  }

  /** Half of the batches come from one of two producers, who continue what the model knows of them. */
  private producer(model: LogModel): object {
    const producerId = 1 + this.below(4)
    if (producerId > 2) return {}
    const known = model.producers().get(producerId)
    if (known === undefined) return { producerId, producerEpoch: 0, baseSequence: 0 }
    if (this.below(10) === 0) {
      return { producerId, producerEpoch: known.epoch + 1, baseSequence: 0 }
    }
    const baseSequence = known.lastSequence + 1
    return { producerId, producerEpoch: known.epoch, baseSequence }
  }

  private async readSome({ log, model }: Partition): Promise<void> {
    const offset = model.start + this.below(model.end - model.start + 1)
    const upTo = this.below(4) === 0 ? offset + this.below(20) : model.end
    const request = { offset, maxBytes: 1 + this.below(2000), upTo, minOneBatch: true }
    const { writtenOffset } = log
    const bytes = bytesOf(await log.read({ ...request, committed: false }))
    const due = model.readable.filter(each => each.lastOffset >= offset && each.lastOffset < upTo)
    const expected = Buffer.concat(due.map(each => each.bytes))
    const words = JSON.stringify(request)
    assert(bytes.equals(expected.subarray(0, bytes.length)), `${words}: other bytes`)
    const [first] = due
    if (first === undefined || first.lastOffset >= writtenOffset) return
    assert(bytes.length >= first.bytes.length, `${words}: nothing read`)
  }

  private async findTime({ log, model }: Partition): Promise<void> {
    await log.flushNow()
    const target = this.nowMs - this.below(3000)
    const found = await log.offsetForTimestamp(target)
    assert.equal(found?.offset ?? null, model.offsetForTimestamp(target), `timestamp ${target}`)
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
    const { log, model } = partition
    const { settings } = this
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
    const newest = gone.reduce((most, each) => Math.max(most, newestTimestamp(each)), -1)
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
    this.say(`truncate ${partition} to ${offset} of ${model.end}`)
    model.willTruncateTo(offset)
    await log.truncateTo(offset)
    model.truncateTo(offset)
  }

  private async checkpoint(): Promise<void> {
    this.say('checkpoint')
    await this.directory.checkpoint()
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
      producerIdExpirationMs: 1e12,
      log: {
        info: (event, fields) => this.say(`  ${event} ${JSON.stringify(fields)}`),
        warn: (event, fields) => this.say(`  ${event} ${JSON.stringify(fields)}`),
      },
    })
    const found = await this.directory.partitions()
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
    const { number, topicId } = partition
    partition.log = await this.directory.openLog('orders', number, topicId, this.settings, {
      written() {},
      failed: error => partition.failures.push(error),
    })
  }

  private async restart(): Promise<void> {
    this.say('clean stop and start')
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

  private async powerCut(): Promise<void> {
    const mode = this.crashMode()
    this.say(`power cut, unsynced: ${mode}`)
    await this.goOnWith(this.disk.reopened(mode))
  }

  private async goOnWith(disk: SimulatedDisk): Promise<void> {
    // What the dead process still has under way fails on its dead disk.
    for (const { log } of this.partitions) await log.abandon().catch(expectCrash)
    const { trace } = this.disk
    this.disk = disk
    disk.trace = trace
    await this.open()
    for (const { log, model } of this.partitions) model.settle(log)
    await this.checkAll()
  }

  /** The power goes at any operation or byte of the next steps, or while the logs open again after that. */
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
        await this.powerCut()
        return
      } catch (error) {
        if (!this.disk.isCrashed) throw error
      }
    }
  }

  /** A failed sync is final: nothing of this log is written or synced after it. */
  private async failSync(partition: Partition): Promise<void> {
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

function newestTimestamp({ timestamp, baseOffset, lastOffset }: ModelBatch): number {
  return timestamp + lastOffset - baseOffset
}

function expectCrash(error: unknown): void {
  if (!(error instanceof CrashError)) throw error
}

function isStorageError(error: unknown): boolean {
  return error instanceof ProtocolError && error.error === 'KAFKA_STORAGE_ERROR'
}

/**
 * Property: whatever is appended, rolled, read, truncated, deleted, closed, killed and torn, a log holds exactly what a
 * list of batches would. The model is that list; a run is a seed, which is printed when it fails.
 *
 * A kill keeps everything handed to the kernel; a torn kill also cuts the newest log file somewhere behind the recovery
 * point, as a power cut would, and the model then keeps the whole batches in front of the cut.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { Disk } from '../../segment-store/disk.ts'
import type { LogOptions } from '../../segment-store/log.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { SystemDisk } from '../../segment-store/system-disk.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import {
  append,
  batch,
  batchesIn,
  bytesOf,
  config,
  disks,
  NOW,
  openLog,
  type SeenBatch,
  type TestLog,
} from './store-harness.ts'

const STEPS = 60
const settings = config({ segmentBytes: 3000, indexIntervalBytes: 250, segmentIndexBytes: 200 })
const all = disks()
after(() => {
  for (const disk of all) disk.remove()
})

interface ModelBatch extends SeenBatch {
  readonly timestamp: number
}

class Run {
  private readonly random: () => number
  private disk: Disk
  private readonly directory: string
  private opened!: TestLog
  private model: ModelBatch[] = []
  private start = 0
  private end = 0
  private clock = NOW
  private sequence = 0

  constructor(seed: number, disk: Disk, directory: string) {
    this.random = seededRandom(seed)
    this.disk = disk
    this.directory = directory
  }

  private below(limit: number): number {
    return Math.floor(this.random() * limit)
  }

  async go(): Promise<void> {
    await this.open({})
    for (let step = 0; step < STEPS; step++) {
      await this.step()
      assert.equal(this.opened.log.logEndOffset, this.end)
      assert.equal(this.opened.log.logStartOffset, this.start)
    }
    await this.checkEverything()
    await this.opened.log.close()
  }

  private async step(): Promise<void> {
    const dice = this.below(100)
    if (dice < 50) this.appendSome()
    else if (dice < 70) await this.readSome()
    else if (dice < 75) await this.findTime()
    else if (dice < 80) await this.opened.log.sync()
    else if (dice < 84) await this.deleteRecords()
    else if (dice < 88) await this.truncate()
    else if (dice < 92) await this.restart()
    else if (dice < 96) await this.kill(false)
    else await this.kill(true)
  }

  private async open(options: Partial<LogOptions>): Promise<void> {
    this.opened = await openLog(this.disk, this.directory, {
      config: settings,
      logStartOffset: this.start,
      ...options,
    })
  }

  private appendSome(): void {
    const { log, turn } = this.opened
    for (let left = 1 + this.below(6); left > 0; left--) {
      const count = 1 + this.below(5)
      this.clock += this.below(50) - 10
      const producer = { producerId: 1, producerEpoch: 0, baseSequence: this.sequence }
      const bytes = batch(count, {
        timestamp: this.clock,
        valueBytes: this.below(120),
        ...(this.random() < 0.5 ? producer : {}),
      })
      const isProducer = bytes.readInt32BE(53) >= 0
      const info = append(log, bytes)
      assert.equal(info.baseOffset, this.end)
      if (isProducer) {
        this.sequence += count
        assert.equal(append(log, bytes).baseOffset, this.end, 'a duplicate answers the same offset')
      }
      const timestamp = this.clock
      const lastOffset = this.end + count - 1
      this.model.push({ baseOffset: this.end, lastOffset, size: bytes.length, timestamp })
      this.end += count
    }
    turn.end()
  }

  private async readSome(): Promise<void> {
    const { log } = this.opened
    const offset = this.start + this.below(this.end - this.start + 1)
    const upTo = this.below(4) === 0 ? offset + this.below(20) : this.end
    const maxBytes = 1 + this.below(2000)
    const minOneBatch = this.below(3) > 0
    const request = { offset, maxBytes, upTo, minOneBatch, committed: false }
    const slice = await log.read(request)
    const { size } = slice
    const found = batchesIn(bytesOf(slice))
    const due = this.readable().filter(
      each => each.lastOffset >= offset && each.lastOffset < Math.min(upTo, this.end),
    )
    const words = JSON.stringify(request)
    assert.deepEqual(found, due.slice(0, found.length).map(seen), words)
    const first = due[0]
    if (first === undefined) assert.equal(size, 0, words)
    else if (minOneBatch || first.size <= maxBytes)
      assert(found.length > 0, `${words}: nothing read`)
    if (found.length > 0) assert(size <= Math.max(maxBytes, found[0]!.size), words)
    const available = due.reduce((sum, each) => sum + each.size, 0)
    assert(size <= available, words)
  }

  private async findTime(): Promise<void> {
    const target = this.clock - this.below(300)
    const found = await this.opened.log.offsetForTimestamp(target)
    const readable = this.readable()
    let expected: number | null = null
    for (const each of readable) {
      for (let at = each.baseOffset; at <= each.lastOffset; at++) {
        const timestamp = each.timestamp + at - each.baseOffset
        if (expected === null && at >= this.start && timestamp >= target) expected = at
      }
    }
    assert.equal(found?.offset ?? null, expected, `timestamp ${target}`)
  }

  private async deleteRecords(): Promise<void> {
    const offset = this.start + this.below((this.end - this.start) / 2 + 1)
    await this.opened.log.advanceLogStartTo(offset)
    this.start = offset
  }

  private async truncate(): Promise<void> {
    const { log } = this.opened
    const kept = this.model.slice(0, Math.ceil(this.model.length * (0.7 + 0.3 * this.random())))
    if (kept.length === this.model.length || (kept.at(-1)?.lastOffset ?? -1) < this.start) return
    await log.truncateTo(kept.at(-1)!.lastOffset + 1)
    this.cutTo(kept)
  }

  /** Deleted batches stay in the model: their bytes may still be in the file. */
  private readable(): ModelBatch[] {
    return this.model.filter(each => each.lastOffset >= this.start)
  }

  private cutTo(kept: ModelBatch[]): void {
    this.model = kept
    this.end = (kept.at(-1)?.lastOffset ?? -1) + 1
    if (this.end < this.start) {
      // Nothing that may be read is left: the log begins anew at its start.
      this.model = []
      this.end = this.start
    }
    const [producer] = this.opened.log.activeProducers()
    this.sequence = producer === undefined ? 0 : producer.lastSequence + 1
  }

  private async restart(): Promise<void> {
    await this.opened.log.close()
    await this.open({ wasCleanShutdown: true })
  }

  private async kill(isTorn: boolean): Promise<void> {
    const { log } = this.opened
    const { recoveryPoint } = log
    const active = log.segments.at(-1)!
    const before = active.size
    if (this.disk instanceof MemoryDisk) this.disk = this.disk.snapshot()
    await log.abandon()
    let kept = this.model
    if (isTorn && recoveryPoint < active.baseOffset + 1) {
      const cut = this.below(before + 1)
      await (await this.disk.open(`${active.path}.log`)).truncate(cut)
      let size = 0
      kept = this.model.filter(each => {
        if (each.baseOffset < active.baseOffset) return true
        size += each.size
        return size <= cut
      })
    }
    await this.open({ wasCleanShutdown: false, recoveryPoint })
    this.cutTo(kept)
  }

  private async checkEverything(): Promise<void> {
    const { log } = this.opened
    const found: SeenBatch[] = []
    for (let next = this.start; next < this.end; ) {
      const request = {
        offset: next,
        maxBytes: 700,
        upTo: this.end,
        minOneBatch: true,
        committed: true,
      }
      const slice = await log.read(request)
      found.push(...batchesIn(bytesOf(slice)))
      next = found.at(-1)!.lastOffset + 1
    }
    assert.deepEqual(found, this.readable().map(seen))
    const bytes = this.readable().reduce((sum, each) => sum + each.size, 0)
    assert(log.bytesBetween(this.start, this.end) >= Math.min(bytes, 1))
  }
}

function seen({ baseOffset, lastOffset, size }: ModelBatch): SeenBatch {
  return { baseOffset, lastOffset, size }
}

for (const { name, root } of all) {
  test(`a log equals a list of batches through anything that happens (${name} disk)`, async () => {
    const runs = name === 'memory' ? tier.seeds * 3 : tier.seeds
    const firstSeed = chooseSeed()
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
      const disk = name === 'memory' ? new MemoryDisk() : new SystemDisk()
      try {
        await new Run(seed, disk, `${root}/model-${seed}-0`).go()
      } catch (error) {
        throw new Error(`seed ${seed} (OTTLA_SEED=${seed} repeats it)`, { cause: error })
      }
    }
  })
}

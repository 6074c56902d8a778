/**
 * A power cut at every byte of a recorded run of at most 64 KiB, which appends, rolls, syncs, checkpoints, deletes at both
 * ends and saves snapshots: each time the log opens again with everything that was synced, and a prefix of the rest.
 *
 * The run is made once. Its changes are then played into a second medium, byte by byte; at each the medium is left as
 * that crash would leave it, opened, and compared with what the model said at that moment.
 */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import { encodeBatch } from '../../protocol/records.ts'
import type { Log } from '../../segment-store/log.ts'
import { LogDirectory } from '../../segment-store/log-directory.ts'
import { append, config, ManualTurn, NOW } from '../segment-store/store-harness.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import { SimulatedDisk } from './disk.ts'
import { LogModel } from './log-model.ts'
import { CRASH_MODES, type CrashMode, Medium, type Mutation } from './medium.ts'

const ROOT = '/data'
const TOPIC_ID = Buffer.alloc(16, 1).toString('base64url')
const MAX_BYTES = 64 * 1024
const settings = config({ segmentBytes: 1500, indexIntervalBytes: 400, segmentIndexBytes: 200 })

/** What must be left after a crash once so many changes of the journal were made. */
interface Mark {
  readonly changes: number
  readonly model: LogModel
}

async function open(disk: SimulatedDisk, turn: ManualTurn): Promise<[LogDirectory, Log]> {
  const directory = await LogDirectory.open({
    path: ROOT,
    disk,
    io: {
      clock: { nowMs: () => NOW, monotonicMs: () => 0, timer: () => ({ cancel() {} }) },
      turn,
      uuid: () => TOPIC_ID,
    },
    buffers: new BufferPool(1024 * 1024),
    producerIdExpirationMs: 1e12,
  })
  const on = { written() {}, failed() {} }
  return [directory, await directory.openLog('orders', 0, TOPIC_ID, settings, on)]
}

/** The run that is recorded. */
class Recording {
  readonly journal: Mutation[] = []
  readonly marks: Mark[] = []
  private readonly disk: SimulatedDisk
  private readonly turn = new ManualTurn()
  private readonly model = new LogModel()
  private sequence = 0

  constructor() {
    this.disk = new SimulatedDisk(new Medium(), { random: () => 0, nowMs: () => NOW })
    this.disk.journal = this.journal
  }

  private mark(): void {
    this.marks.push({ changes: this.journal.length, model: this.model.clone() })
  }

  async make(): Promise<void> {
    await this.disk.makeDirectory(ROOT)
    await this.disk.syncDirectory('')
    let [directory, log] = await open(this.disk, this.turn)
    this.mark()
    for (let round = 0; round < 3; round++) {
      await this.fill(log, 6, round)
      await this.sync(log)
      await this.fill(log, 4, round)
      await directory.checkpoint()
      await this.deleteBelow(log, this.model.start + 20)
      await this.fill(log, 3, round)
      await this.truncateTo(log, this.model.end - 12)
      await this.fill(log, 3, round)
      const { end } = this.model
      await directory.close()
      this.model.synced(end)
      this.mark()
      ;[directory, log] = await open(this.disk, this.turn)
    }
    await directory.close()
  }

  private async fill(log: Log, turns: number, leaderEpoch: number): Promise<void> {
    for (let i = 0; i < turns; i++) {
      const ready: Buffer[] = []
      for (let count = 1; count <= 3; count++) {
        const producer = { producerId: 7, producerEpoch: 0, baseSequence: this.sequence }
        const timestamp = NOW + this.model.end
        const value = Buffer.alloc(10 + ((i * 31) % 90), 'v')
        const records = Array.from({ length: count }, () => ({ timestamp, key: null, value }))
        const bytes = encodeBatch(records, 'none', producer) as Buffer
        this.model.append(bytes, leaderEpoch, records)
        ready.push(bytes)
        this.sequence += count
      }
      this.mark()
      for (const bytes of ready) append(log, bytes, leaderEpoch)
      this.turn.end()
      await log.settle()
    }
  }

  private async sync(log: Log): Promise<void> {
    const { end } = this.model
    await log.sync()
    this.model.synced(end)
    this.mark()
  }

  private async deleteBelow(log: Log, offset: number): Promise<void> {
    this.model.start = offset
    this.mark()
    await log.advanceLogStartTo(offset)
    this.model.syncedStart = offset
    this.mark()
  }

  private async truncateTo(log: Log, near: number): Promise<void> {
    const kept = this.model.batches.findLast(({ lastOffset }) => lastOffset < near)!
    const offset = kept.lastOffset + 1
    this.model.willTruncateTo(offset)
    this.mark()
    await log.truncateTo(offset)
    this.model.truncateTo(offset)
    this.sequence = this.model.producers().get(7)!.lastSequence + 1
    this.mark()
  }
}

const recording = new Recording()
before(() => recording.make())

function unitsOf(mutation: Mutation): number {
  return mutation.kind === 'write' ? mutation.bytes.length : 1
}

test('the recorded run is not longer than what is asked for, and not much shorter', () => {
  const bytes = recording.journal.reduce((sum, each) => sum + unitsOf(each), 0)
  assert(bytes > MAX_BYTES / 4 && bytes <= MAX_BYTES, `${bytes} bytes and operations`)
})

test('after a power cut at any byte a log has what was synced, and a prefix of the rest', async context => {
  const seed = chooseSeed()
  const random = seededRandom(seed)
  const { journal, marks } = recording
  const medium = new Medium()
  let mark = 0
  let point = 0
  let crashes = 0
  for (const [index, mutation] of journal.entries()) {
    while (marks[mark + 1] !== undefined && marks[mark + 1]!.changes <= index) mark++
    for (let byte = 0; byte < unitsOf(mutation); byte++) {
      if (point++ % tier.crashStride === 0 && marks[0]!.changes <= index) {
        const mode = CRASH_MODES[Math.floor(random() * CRASH_MODES.length)]!
        crashes++
        await reopen(medium, mode, marks[mark]!.model, random).catch((error: unknown) => {
          const where = `byte ${byte} of change ${index} (${mutation.kind}), unsynced: ${mode}`
          throw new Error(`${where}, seed ${seed}`, { cause: error })
        })
      }
      if (mutation.kind === 'write') medium.apply(oneByte(mutation, byte))
      else medium.apply(mutation)
    }
  }
  context.diagnostic(`${crashes} power cuts in ${point} bytes and operations; seed ${seed}`)
})

function oneByte(mutation: Mutation & { kind: 'write' }, byte: number): Mutation {
  const { position, bytes } = mutation
  return { ...mutation, position: position + byte, bytes: bytes.subarray(byte, byte + 1) }
}

async function reopen(
  medium: Medium,
  mode: CrashMode,
  expected: LogModel,
  random: () => number,
): Promise<void> {
  const left = medium.afterCrash(mode, random)
  const [directory, log] = await open(
    new SimulatedDisk(left, { random: () => 0, nowMs: () => NOW }),
    new ManualTurn(),
  )
  const model = expected.clone()
  model.settle(log)
  await model.check(log)
  await directory.abandon()
}

/** What a power cut must not do to a log: one case for each that the random runs once found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import type { Log } from '../../segment-store/log.ts'
import { LogDirectory } from '../../segment-store/log-directory.ts'
import { append, batch, config, ManualTurn, NOW, readAll } from '../segment-store/store-harness.ts'
import { SimulatedDisk } from './disk.ts'
import { type CrashMode, FileNode, Medium } from './medium.ts'

const settings = config({ segmentBytes: 500, indexIntervalBytes: 100, fileDeleteDelayMs: 0 })

/** A broker's data directory with one log, on a machine whose power can be cut. */
class Machine {
  readonly disk: SimulatedDisk
  readonly turn = new ManualTurn()
  directory!: LogDirectory
  log!: Log
  private ids = 0

  constructor(disk = new SimulatedDisk(new Medium(), { random: () => 0, nowMs: () => NOW })) {
    this.disk = disk
  }

  async start(): Promise<this> {
    await this.disk.makeDirectory('/data')
    await this.disk.syncDirectory('')
    this.directory = await LogDirectory.open({
      path: '/data',
      disk: this.disk,
      io: {
        clock: { nowMs: () => NOW, monotonicMs: () => 0, timer: () => ({ cancel() {} }) },
        turn: this.turn,
        uuid: () => Buffer.alloc(16, ++this.ids).toString('base64url'),
      },
      buffers: new BufferPool(1024 * 1024),
      producerIdExpirationMs: 1e12,
    })
    await this.open()
    return this
  }

  async open(): Promise<void> {
    const on = { written() {}, failed() {} }
    this.log = await this.directory.openLog('orders', 0, null, settings, on)
  }

  /** Batches of two records, about 150 bytes each, one a turn. */
  async fill(batches: number, leaderEpoch = 0): Promise<void> {
    for (let i = 0; i < batches; i++) {
      append(
        this.log,
        batch(2, { valueBytes: 30, timestamp: NOW + this.log.logEndOffset }),
        leaderEpoch,
      )
      this.turn.end()
    }
    await this.log.settle()
  }

  cut(mode: CrashMode): Promise<Machine> {
    return new Machine(this.disk.reopened(mode)).start()
  }

  /** As if this file, as it is now, had been written back, and nothing else. */
  writeBack(name: string): void {
    const node = this.disk.medium.find(`/data/orders-0/${name}`)
    assert(node instanceof FileNode)
    node.synced = Buffer.from(node.contents)
  }
}

async function offsets(log: Log): Promise<number[]> {
  return (await readAll(log, log.logStartOffset)).map(({ baseOffset }) => baseOffset)
}

test('where the end of a segment is lost, what came behind it in the next one goes too', async () => {
  const machine = await new Machine().start()
  await machine.fill(2)
  await machine.log.sync()
  const { disk, log, turn } = machine
  for (let i = 0; i < 3; i++) append(log, batch(2, { valueBytes: 30 }))
  turn.end()
  const [first, second] = log.segments
  assert.deepEqual([first?.baseOffset, first?.endOffset, second?.baseOffset], [0, 6, 6])
  // In the same turn, so before the roll's own sync: the kernel happens to write back the second segment only.
  disk.medium.apply({ kind: 'syncDirectory', path: '/data/orders-0' })
  machine.writeBack('00000000000000000006.log')
  const after = await machine.cut('lost')
  assert.deepEqual(await offsets(after.log), [0, 2])
  assert.equal(after.log.segments.length, 1)
})

test('deleted records stay deleted once DeleteRecords has answered, whatever the directory remembers', async () => {
  for (const mode of ['lost', 'kept', 'in order', 'torn'] as const) {
    const machine = await new Machine().start()
    await machine.fill(12)
    await machine.log.sync()
    await machine.log.advanceLogStartTo(10)
    await machine.directory.checkpoint()
    const after = await machine.cut(mode)
    assert.deepEqual([after.log.logStartOffset, after.log.logEndOffset], [10, 24], mode)
    assert.deepEqual(await offsets(after.log), [10, 12, 14, 16, 18, 20, 22], mode)
  }
})

test('a log that is created again does not begin with the offsets of the one that was deleted', async () => {
  const machine = await new Machine().start()
  await machine.fill(12)
  await machine.log.sync()
  await machine.log.advanceLogStartTo(10)
  await machine.directory.checkpoint()
  await new Promise<void>(resolve => {
    machine.directory.deleteLog(machine.log, resolve).catch(error => assert.fail(error))
  })
  await machine.open()
  await machine.fill(2)
  await machine.log.sync()
  await machine.disk.syncDirectory('/data')
  const after = await machine.cut('lost')
  assert.deepEqual([after.log.logStartOffset, after.log.logEndOffset], [0, 4])
})

test('what was truncated does not come back, and the recovery point goes back with it', async () => {
  const machine = await new Machine().start()
  await machine.fill(12)
  await machine.log.sync()
  await machine.directory.checkpoint()
  await machine.log.truncateTo(4)
  const after = await machine.cut('lost')
  assert.deepEqual(await offsets(after.log), [0, 2])
  const points = String(await after.disk.readFile('/data/recovery-point-offset-checkpoint'))
  assert.match(points, /orders 0 4\n/)
})

test('the recovery point waits for the epoch file', async () => {
  const machine = await new Machine().start()
  const { disk, log, turn } = machine
  let letGo = () => {}
  const held = new Promise<void>(resolve => {
    letGo = resolve
  })
  const rename = disk.rename.bind(disk)
  disk.rename = async (from, to) => {
    if (from.includes('leader-epoch')) await held
    await rename(from, to)
  }
  append(log, batch(2), 3)
  turn.end()
  await log.sync()
  assert.deepEqual([log.durableOffset, log.recoveryPoint], [2, 0])
  letGo()
  await log.settle()
  assert.equal(log.recoveryPoint, 2)
})

/** What a power cut must not do to a log: one case for each that the random runs once found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import { encodeBatch } from '../../protocol/records.ts'
import type { LogConfig } from '../../segment-store/config.ts'
import type { Log } from '../../segment-store/log.ts'
import { LogDirectory } from '../../segment-store/log-directory.ts'
import { append, batch, config, ManualTurn, NOW, readAll } from '../segment-store/store-harness.ts'
import { SimulatedDisk } from './disk.ts'
import { type CrashMode, FileNode, Medium } from './medium.ts'

const settings = config({ segmentBytes: 500, indexIntervalBytes: 100, fileDeleteDelayMs: 0 })
const compacted = {
  ...settings,
  cleanupPolicy: { compact: true, delete: false },
  minCleanableDirtyRatio: 0,
}

/** A broker's data directory with one log, on a machine whose power can be cut. */
class Machine {
  readonly disk: SimulatedDisk
  readonly turn = new ManualTurn()
  directory!: LogDirectory
  log!: Log
  private readonly settings: LogConfig
  private ids = 0

  constructor(config = settings, disk = diskOf(0)) {
    this.settings = config
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
    this.log = await this.directory.openLog('orders', 0, null, this.settings, on)
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

  /** One batch for each word, its letters the keys: about 60 bytes, and 90 for a key. */
  async fillWith(...words: readonly string[]): Promise<void> {
    const value = Buffer.alloc(80, 'v')
    for (const word of words) {
      const records = [...word].map(key => ({ timestamp: NOW, key: Buffer.from(key), value }))
      append(this.log, encodeBatch(records) as Buffer)
      this.turn.end()
    }
    await this.log.settle()
  }

  cut(mode: CrashMode): Promise<Machine> {
    return new Machine(this.settings, this.disk.reopened(mode)).start()
  }

  /** As if this file, as it is now, had been written back, and nothing else. */
  writeBack(name: string): void {
    const node = this.disk.medium.find(`/data/orders-0/${name}`)
    assert(node instanceof FileNode)
    node.synced = Buffer.from(node.contents)
  }
}

function diskOf(slowShare: number): SimulatedDisk {
  return new SimulatedDisk(new Medium(), { random: () => 0, nowMs: () => NOW, slowShare })
}

/** Lets the next such operation wait. */
function hold(
  disk: SimulatedDisk,
  name: 'rename' | 'syncDirectory' | 'wait',
  matches: (path: string) => boolean = () => true,
): { readonly reached: Promise<void>; letGo(): void } {
  const original = (disk[name] as (...given: string[]) => Promise<void>).bind(disk)
  let letGo = () => {}
  const held = new Promise<void>(resolve => {
    letGo = resolve
  })
  const reached = new Promise<void>(resolve => {
    const waiting = async (...given: string[]) => {
      if (matches(given[0] ?? '')) {
        Object.assign(disk, { [name]: original })
        resolve()
        await held
      }
      await original(...given)
    }
    Object.assign(disk, { [name]: waiting })
  })
  return { reached, letGo: () => letGo() }
}

async function offsets(log: Log): Promise<number[]> {
  return (await readAll(log, log.logStartOffset)).map(({ baseOffset }) => baseOffset)
}

for (const policy of ['delete', 'compact'] as const) {
  test(`where the end of a segment is lost, what came behind it in the next one goes too (${policy})`, () =>
    loseAnEnd(new Machine(policy === 'compact' ? compacted : settings)))
}

async function loseAnEnd(created: Machine): Promise<void> {
  const machine = await created.start()
  await machine.fill(2)
  await machine.log.sync()
  await loseAnEndOf(machine)
}

/** Of a log with two batches. */
async function loseAnEndOf(machine: Machine): Promise<void> {
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
}

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

test('what is appended in the place of what was cut off is looked at by the next recovery', async () => {
  const machine = await new Machine().start()
  await machine.fill(12)
  await machine.log.sync()
  await machine.directory.checkpoint()
  const first = machine.disk.medium.find('/data/orders-0/00000000000000000000.log') as FileNode
  const { size } = first
  // The machine stops when the file is cut, before the checkpoints tell of it.
  const told = hold(machine.disk, 'rename', () => first.synced.length < size)
  const truncating = machine.log.truncateTo(4)
  await told.reached
  const second = await machine.cut('lost')
  told.letGo()
  await assert.rejects(truncating)
  assert.deepEqual(await offsets(second.log), [0, 2])
  await loseAnEndOf(second)
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

test('the names of new segments are on the medium when a sync has covered them', async () => {
  const machine = await new Machine().start()
  await machine.fill(2)
  const { disk, log, turn } = machine
  // A roll also saves a snapshot, which syncs the directory: not in this test.
  const snapshot = hold(disk, 'rename')
  for (let i = 0; i < 3; i++) append(log, batch(2, { valueBytes: 30 }))
  turn.end()
  await log.sync()
  assert.equal(log.segments.length, 2)
  const after = await machine.cut('lost')
  snapshot.letGo()
  assert.deepEqual(await offsets(after.log), [0, 2, 4, 6, 8])
})

test('no file of a segment goes before the new start is on the medium', async () => {
  const machine = await new Machine().start()
  await machine.fill(12)
  const { disk, log } = machine
  await log.sync()
  assert.deepEqual(
    log.segments.map(({ baseOffset }) => baseOffset),
    [0, 6, 12, 18],
  )
  const renames = hold(disk, 'syncDirectory', path => path === '/data/orders-0')
  const deleting = log.advanceLogStartTo(14)
  await renames.reached
  // Of the files that go only the newer one is gone on the medium: a hole, unless the log is known to start behind it.
  const directory = disk.medium.directory('/data/orders-0')
  directory.pending = directory.pending.filter(({ names }) =>
    names.some(([name]) => name.startsWith('00000000000000000006.')),
  )
  const after = await machine.cut('kept')
  renames.letGo()
  await assert.rejects(deleting)
  assert.deepEqual([after.log.logStartOffset, after.log.logEndOffset], [14, 24])
  assert.deepEqual(await offsets(after.log), [14, 16, 18, 20, 22])
})

test('what is written while a sync runs is on the medium after the next one', async () => {
  const machine = await new Machine(settings, diskOf(1)).start()
  await machine.fill(1)
  const { disk, log, turn } = machine
  const directory = hold(disk, 'syncDirectory')
  const first = log.sync()
  await directory.reached
  const write = hold(disk, 'wait')
  append(log, batch(2, { valueBytes: 30 }))
  turn.end()
  await write.reached
  // Synced while the write is under way, so without what it writes.
  directory.letGo()
  await first
  write.letGo()
  await log.sync()
  assert.equal(log.durableOffset, 4)
  const after = await machine.cut('lost')
  assert.deepEqual(await offsets(after.log), [0, 2])
})

test('a pass of compaction that is cut off leaves no hole that looks like damage', async () => {
  const machine = await new Machine(compacted).start()
  const { log } = machine
  // The last record of the first segment is superseded: what takes its place ends before the next one begins.
  await machine.fillWith('a', 'bc', 'cd', 'ef', 'g')
  log.roll(NOW)
  const [first, second] = log.segments
  assert.deepEqual([first?.endOffset, second?.endOffset], [3, 7])
  const pace = () => {
    if (log.segments[0] !== first) throw new Error('enough')
  }
  await assert.rejects(log.compact(NOW, { pace }), /enough/)
  const after = await machine.cut('lost')
  assert.deepEqual(await offsets(after.log), [0, 1, 3, 5, 7])
  assert.equal(after.log.logEndOffset, 8)
})

test('an index that was made anew is on the medium as a whole, or not at all', async () => {
  const machine = await new Machine().start()
  await machine.fill(12)
  await machine.directory.close()
  const { disk } = machine
  await disk.remove('/data/orders-0/00000000000000000000.timeindex')
  await disk.syncDirectory('/data/orders-0')
  const restarted = await machine.cut('kept')
  assert.equal((await restarted.log.offsetForTimestamp(NOW + 2))?.offset, 2)
  // The new name has come to the medium by itself.
  restarted.disk.medium.apply({ kind: 'syncDirectory', path: '/data/orders-0' })
  const after = await restarted.cut('lost')
  assert.equal((await after.log.offsetForTimestamp(NOW + 2))?.offset, 2)
})

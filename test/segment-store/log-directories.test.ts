/** Several data directories: where logs go, which belong together, and what happens when the disk under one fails. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { encodePartitionMetadata } from '../../segment-store/checkpoint.ts'
import type { Log } from '../../segment-store/log.ts'
import { LogDirectories } from '../../segment-store/log-directories.ts'
import { type Fault, type Operation, SimulatedDisk } from '../sim/disk.ts'
import { Medium } from '../sim/medium.ts'
import { append, batch, config, ManualTurn, NOW, readAll } from './store-harness.ts'

const TOPIC_ID = 'QcBKM9xeQDGytqaz_D2Q_g'
const OTHER_ID = TOPIC_ID.replace('Q', 'R')
const turn = new ManualTurn()
let ids = 0
const io = {
  clock: { nowMs: () => NOW, monotonicMs: () => 0, timer: () => ({ cancel() {} }) },
  turn,
  uuid: () => Buffer.alloc(16, ++ids).toString('base64url'),
}
const ignore = { written() {}, failed() {} }

function newDisk(): SimulatedDisk {
  return new SimulatedDisk(new Medium(), { random: () => 0, nowMs: () => NOW })
}

interface Opened {
  readonly directories: LogDirectories
  /** Directories that went offline, with operation and file. */
  readonly failures: string[]
}

async function open(disk: SimulatedDisk, paths = ['/a', '/b', '/c']): Promise<Opened> {
  const failures: string[] = []
  const directories = await LogDirectories.open({
    paths,
    disk,
    io,
    buffers: new BufferPool(1024 * 1024),
    producerIdExpirationMs: 1e12,
    onFailed: ({ path }, { operation, file }) => void failures.push(`${path} ${operation} ${file}`),
  })
  return { directories, failures }
}

function openLog(directories: LogDirectories, index: number, isNew = true, id = TOPIC_ID) {
  return directories.openLog('orders', index, id, isNew, config(), ignore)
}

function write(log: Log, records = 3): void {
  append(log, batch(records))
  turn.end()
}

const parentOf = ({ directory }: Log) => directory.slice(0, directory.lastIndexOf('/'))
const isStorageError = (error: unknown) =>
  error instanceof ProtocolError && error.error === 'KAFKA_STORAGE_ERROR'

/** Lets every operation of this kind below a path fail. */
function failing(kind: Operation['kind'], below: string): (operation: Operation) => Fault | null {
  return operation =>
    operation.kind === kind && operation.path.startsWith(below) ? { code: 'EIO' } : null
}

test('new logs go where the fewest are, also when many are made at once, and are found again', async () => {
  const disk = newDisk()
  const { directories } = await open(disk)
  const logs = await Promise.all(Array.from({ length: 9 }, (_, i) => openLog(directories, i)))
  for (const log of logs) write(log)
  const places = logs.map(parentOf)
  for (const path of ['/a', '/b', '/c']) {
    assert.equal(places.filter(place => place === path).length, 3, `${path} of ${places}`)
  }
  await directories.deleteLog(logs[4]!)
  await directories.deleteLog(logs[7]!)
  const freed = [places[4], places[7]]
  const more = await Promise.all([9, 10].map(i => openLog(directories, i)))
  assert.deepEqual(more.map(parentOf).sort(), freed.sort())
  await directories.close()
  for (const path of ['/a', '/b', '/c']) {
    assert.notEqual(await disk.readFile(`${path}/.kafka_cleanshutdown`), null, path)
    assert.match(String(await disk.readFile(`${path}/recovery-point-offset-checkpoint`)), /^0\n3\n/)
  }
  const again = await open(disk)
  assert(again.directories.wasCleanShutdown)
  assert.equal(again.directories.unopened().length, 9)
  for (const [i, place] of places.entries()) {
    if (i === 4 || i === 7) continue
    const log = await openLog(again.directories, i, false)
    assert.deepEqual([parentOf(log), log.logEndOffset], [place, 3])
  }
})

test('one directory was not closed in order: only its logs are recovered', async () => {
  const disk = newDisk()
  const { directories } = await open(disk, ['/a', '/b'])
  const logs = [await openLog(directories, 0), await openLog(directories, 1)]
  for (const log of logs) write(log)
  await directories.close()
  await disk.remove('/b/.kafka_cleanshutdown')
  const again = await open(disk, ['/a', '/b'])
  assert.equal(again.directories.wasCleanShutdown, false)
  assert.deepEqual(
    again.directories.all.map(each => each.wasCleanShutdown),
    [true, false],
  )
})

test('one log in two directories is refused; one of an earlier topic of its name is not', async () => {
  const disk = newDisk()
  for (const path of ['/a', '/b']) {
    await disk.makeDirectory(`${path}/orders-0`)
    await disk.replaceFile(`${path}/orders-0/partition.metadata`, encodePartitionMetadata(TOPIC_ID))
  }
  await assert.rejects(
    open(disk),
    /the log orders-0 is in two data directories, \/a and \/b: find out which one is right/,
  )
  await disk.replaceFile('/a/orders-0/partition.metadata', encodePartitionMetadata(OTHER_ID))
  const { directories } = await open(disk)
  const log = await openLog(directories, 0, false)
  assert.equal(parentOf(log), '/b')
  assert.notEqual(await disk.readFile('/a/orders-0/partition.metadata'), null, 'left as it was')
})

for (const { kind, file, by } of [
  { kind: 'sync', file: '.log', by: (log: Log) => log.sync() },
  { kind: 'write', file: '.log', by: async (log: Log) => write(log) },
  {
    kind: 'read',
    file: '.log',
    by: async (log: Log) => void (await readAll(log, 0)),
  },
  { kind: 'syncDirectory', file: '', by: (log: Log) => log.sync() },
] as const) {
  test(`a ${kind} that fails takes its directory offline with all its logs, and no other`, async () => {
    const disk = newDisk()
    const { directories, failures } = await open(disk, ['/a', '/b'])
    const logs = await Promise.all(Array.from({ length: 4 }, (_, i) => openLog(directories, i)))
    for (const log of logs) {
      write(log)
      await log.writer.settled()
    }
    const [first, second] = logs.filter(log => parentOf(log) === '/a')
    const others = logs.filter(log => parentOf(log) === '/b')
    disk.fault = failing(kind, '/a/')
    if (kind === 'write') await by(first!)
    else await assert.rejects(by(first!), isStorageError)
    assert.equal(failures.length, 1, failures.join())
    assert.match(failures[0]!, new RegExp(`^/a \\w+ ${first!.directory}.*${file}$`))
    // The disk is well again, and that is not believed.
    const after: string[] = []
    disk.fault = ({ kind: what, path }) => {
      if (path.startsWith('/a')) after.push(`${what} ${path}`)
      return null
    }
    for (const log of [first!, second!]) {
      assert.throws(() => append(log, batch(1)), isStorageError)
      await assert.rejects(log.sync(), isStorageError)
      await assert.rejects(readAll(log, 0), isStorageError)
    }
    for (const log of others) {
      write(log)
      await log.sync()
      assert.equal((await readAll(log, 0)).length, 2)
    }
    assert.equal(parentOf(await openLog(directories, 9)), '/b')
    assert.deepEqual(
      directories.offline.map(({ path }) => path),
      ['/a'],
    )
    await directories.checkpoint()
    await directories.close()
    assert.deepEqual(after, [])
    assert.equal(await disk.readFile('/a/.kafka_cleanshutdown'), null)
    assert.notEqual(await disk.readFile('/b/.kafka_cleanshutdown'), null)
    // A restart has it back, with what was written.
    const again = await open(disk, ['/a', '/b'])
    assert.deepEqual(again.directories.offline, [])
    assert.equal((await openLog(again.directories, logs.indexOf(first!), false)).logEndOffset, 3)
  })
}

test('a full disk takes nothing offline, and new logs go where there is room', async () => {
  const disk = newDisk()
  const { directories, failures } = await open(disk, ['/a', '/b'])
  const [a] = directories.all
  a!.free.ranOut()
  for (let i = 0; i < 3; i++) assert.equal(parentOf(await openLog(directories, i)), '/b')
  assert.equal(directories.refusal('a topic'), null)
  directories.all[1]!.free.ranOut()
  assert.match(directories.refusal('a topic')!.message, /a topic is refused/)
  assert.deepEqual(failures, [])
})

test('a directory that cannot be read at the start is offline, and what may be in it is not made anew', async () => {
  const disk = newDisk()
  const before = await open(disk, ['/a', '/b'])
  const logs = await Promise.all([0, 1].map(i => openLog(before.directories, i)))
  for (const log of logs) write(log)
  await before.directories.close()
  for (const kind of ['list', 'read', 'remove'] as const) {
    const copy = disk.reopened('process')
    copy.fault = failing(kind, '/b/')
    const listing = failing(kind, '/b')
    if (kind === 'list') copy.fault = listing
    const { directories } = await open(copy, ['/a', '/b'])
    assert.deepEqual(
      directories.offline.map(({ path }) => path),
      ['/b'],
      kind,
    )
    assert.equal(directories.wasCleanShutdown, false)
    for (const [i, log] of logs.entries()) {
      if (parentOf(log) === '/a') {
        assert.equal((await openLog(directories, i, false)).logEndOffset, 3)
      } else {
        await assert.rejects(openLog(directories, i, false), /orders-1 is in no data directory/)
      }
    }
    assert.equal(parentOf(await openLog(directories, 5)), '/a')
    await directories.close()
  }
  const copy = disk.reopened('process')
  copy.fault = failing('read', '/')
  await assert.rejects(
    open(copy, ['/a', '/b']),
    /none of the data directories can be used: \/a: .*EIO/,
  )
})

test('a directory that fails while a log is opened in it: that log is offline, a new one is made elsewhere', async () => {
  const disk = newDisk()
  const before = await open(disk, ['/a', '/b'])
  write(await openLog(before.directories, 0))
  const { directories } = before
  disk.fault = failing('create', '/b/')
  const log = await openLog(directories, 1)
  assert.equal(parentOf(log), '/a')
  const next = disk.reopened('process')
  next.fault = failing('read', '/a/orders-0/')
  const again = await open(next, ['/a', '/b'])
  await assert.rejects(openLog(again.directories, 0, false), isStorageError)
  assert.equal(again.failures.length, 1)
  assert.equal(parentOf(await openLog(again.directories, 7)), '/b')
})

test('a directory that is missing altogether is no reason to make its logs anew', async () => {
  const disk = newDisk()
  const { directories } = await open(disk, ['/a'])
  directories.missing = ['the-id']
  await assert.rejects(openLog(directories, 0, false), /directory\.id the-id is not here/)
  assert.equal((await openLog(directories, 0)).logEndOffset, 0)
})

/** A data directory: its lock, its checkpoints, clean and unclean stops, deletion, and adopting one that Kafka wrote. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import type { Disk } from '../../segment-store/disk.ts'
import type { Log } from '../../segment-store/log.ts'
import { DirectoryLockedError, LogDirectory } from '../../segment-store/log-directory.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { SystemDisk } from '../../segment-store/system-disk.ts'
import {
  append,
  batch,
  config,
  copyOfGoldenDirectory,
  disks,
  GOLDEN,
  ManualTurn,
  NOW,
  readAll,
} from './store-harness.ts'

const TOPIC_ID = 'QcBKM9xeQDGytqaz_D2Q_g'
const all = disks()
after(() => {
  for (const disk of all) disk.remove()
})

const turn = new ManualTurn()
let ids = 0
const io = {
  clock: { nowMs: () => NOW, monotonicMs: () => 0, timer: () => ({ cancel() {} }) },
  turn,
  uuid: () => Buffer.alloc(16, ++ids).toString('base64url'),
}
const ignore = { written() {}, failed() {} }

function open(disk: Disk, at: string): Promise<LogDirectory> {
  const buffers = new BufferPool(1024 * 1024)
  return LogDirectory.open({ path: at, disk, io, buffers, producerIdExpirationMs: 1e12 })
}

function openOrders(directory: LogDirectory, partition = 0): Promise<Log> {
  return directory.openLog('orders', partition, TOPIC_ID, config(), ignore)
}

function write(log: Log, count: number): void {
  append(log, batch(count))
  turn.end()
}

for (const { name, disk, root } of all) {
  test(`a clean stop is marked, and everything is found again (${name} disk)`, async () => {
    const at = `${root}/clean`
    const directory = await open(disk, at)
    assert.equal(directory.metaProperties, null)
    const properties = { clusterId: 'c', nodeId: 7, directoryId: 'd' }
    await directory.writeMetaProperties(properties)
    const log = await openOrders(directory)
    write(log, 10)
    await log.advanceLogStartTo(4)
    await directory.close()
    assert.equal(
      String(await disk.readFile(`${at}/.kafka_cleanshutdown`)),
      '{"version":0,"brokerEpoch":-1}',
    )
    const text = async (file: string) => String(await disk.readFile(`${at}/${file}`))
    assert.equal(await text('recovery-point-offset-checkpoint'), '0\n1\norders 0 10\n')
    assert.equal(await text('log-start-offset-checkpoint'), '0\n1\norders 0 4\n')
    assert.equal(await text('replication-offset-checkpoint'), '0\n1\norders 0 10\n')
    const again = await open(disk, at)
    assert.equal(await disk.readFile(`${at}/.kafka_cleanshutdown`), null)
    assert.deepEqual(again.metaProperties, properties)
    assert.deepEqual(again.unopened(), [
      { topic: 'orders', partition: 0, topicId: TOPIC_ID, directory: `${at}/orders-0` },
    ])
    const reopened = await openOrders(again)
    assert.deepEqual([reopened.logStartOffset, reopened.logEndOffset], [4, 10])
    assert.equal(again.checkpointedHighWatermark('orders', 0), 10)
    await again.close()
  })

  test(`a directory in use is refused, and free again after a stop (${name} disk)`, async () => {
    const at = `${root}/locked`
    const directory = await open(disk, at)
    await assert.rejects(open(disk, at), (error: unknown) => {
      assert(error instanceof DirectoryLockedError)
      return error.message.includes(at) && error.message.includes('process')
    })
    await directory.close()
    await (await open(disk, at)).abandon()
    await (await open(disk, at)).abandon()
  })

  test(`a deleted log is out of the way at once and its name free (${name} disk)`, async () => {
    const at = `${root}/deleted`
    const directory = await open(disk, at)
    const log = await openOrders(directory)
    write(log, 10)
    await directory.checkpoint()
    log.updateConfig(config({ fileDeleteDelayMs: 0 }))
    await new Promise<void>(resolve => {
      directory.deleteLog(log, resolve).catch(error => assert.fail(error))
    })
    assert.deepEqual(
      (await disk.list(at)).filter(({ isDirectory }) => isDirectory),
      [],
    )
    const next = await openOrders(directory)
    assert.equal(next.logEndOffset, 0)
    await directory.close()
  })
}

test('a killed broker finds what it had written', async () => {
  const disk = new MemoryDisk()
  const directory = await open(disk, '/data')
  const log = await openOrders(directory)
  write(log, 10)
  await directory.checkpoint()
  write(log, 5)
  const again = await open(disk.snapshot(), '/data')
  assert.equal((await openOrders(again)).logEndOffset, 15)
})

test('another topic id, foreign directories and broken checkpoints are told apart', async () => {
  const disk = new MemoryDisk()
  for (const name of ['orders-0', 'gone-0.1f-delete', 'x-1-stray', 'y-1.2-future', 'lost+found']) {
    await disk.makeDirectory(`/data/${name}`)
  }
  await disk.makeDirectory('/data/__cluster_metadata-0')
  await disk.replaceFile(
    '/data/orders-0/partition.metadata',
    Buffer.from(`version: 0\ntopic_id: ${TOPIC_ID}`),
  )
  await disk.replaceFile('/data/recovery-point-offset-checkpoint', Buffer.from('0\n5\nbroken'))
  await disk.replaceFile('/data/log-start-offset-checkpoint', Buffer.alloc(0))
  const directory = await open(disk, '/data')
  assert.deepEqual(
    directory
      .leftAlone()
      .map(({ name }) => name)
      .sort(),
    ['__cluster_metadata-0', 'gone-0.1f-delete', 'lost+found', 'x-1-stray', 'y-1.2-future'],
  )
  assert.equal(directory.unopened().length, 1)
  await openOrders(directory)
  const other = TOPIC_ID.replace('Q', 'R')
  await assert.rejects(
    directory.openLog('orders', 0, other, config(), ignore),
    /INCONSISTENT_TOPIC_ID/,
  )
  await directory.close()
  assert.equal(await disk.readFile('/data/.kafka_cleanshutdown'), null)
})

/** Directories below /data, with the random part of a name taken out. */
async function names(disk: MemoryDisk): Promise<string[]> {
  const entries = await disk.list('/data')
  return entries
    .filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => name.replace(/[0-9a-f]{32}/, '…'))
    .sort()
}

test('a topic that is created anew does not meet the data of a deletion that a crash kept from beginning', async () => {
  const disk = new MemoryDisk()
  const before = await open(disk, '/data')
  write(await openOrders(before), 10)
  await before.checkpoint()
  const crashed = disk.snapshot()
  const after = await open(crashed, '/data')
  const log = await after.openLog('orders', 0, TOPIC_ID.replace('Q', 'R'), config(), ignore)
  assert.deepEqual([log.logStartOffset, log.logEndOffset], [0, 0])
  assert.deepEqual(await names(crashed), ['orders-0', 'orders-0.…-stray'])
  await after.close()
  const again = await open(crashed, '/data')
  const [found] = again.unopened()
  assert.equal(found!.topicId, TOPIC_ID.replace('Q', 'R'))
})

test('a crash at any moment of a deletion leaves the old log whole or a directory that the next start removes', async () => {
  const disk = new MemoryDisk()
  const directory = await open(disk, '/data')
  const log = await openOrders(directory)
  write(log, 10)
  const states: MemoryDisk[] = [disk.snapshot()]
  for (const method of ['rename', 'syncDirectory', 'remove'] as const) {
    const original = disk[method].bind(disk) as (...args: unknown[]) => Promise<void>
    Object.assign(disk, {
      [method]: async (...args: unknown[]) => {
        await original(...args)
        states.push(disk.snapshot())
      },
    })
  }
  log.updateConfig(config({ fileDeleteDelayMs: 0 }))
  await new Promise<void>(resolve => void directory.deleteLog(log, resolve))
  assert(states.length >= 5, `${states.length} states`)
  for (const [i, state] of states.entries()) {
    const next = await open(state, '/data')
    const removed = await next.removeDeleted(id => id !== TOPIC_ID)
    const fresh = await next.openLog('orders', 0, TOPIC_ID.replace('Q', 'R'), config(), ignore)
    assert.equal(fresh.logEndOffset, 0, `state ${i}`)
    const left = (await names(state)).filter(name => name !== 'orders-0')
    assert.deepEqual(left, i === 0 ? ['orders-0.…-stray'] : [], `state ${i}`)
    assert(removed.length === (i === 0 || i === states.length - 1 ? 0 : 1), `state ${i}`)
  }
})

test('a deleted log stays for file.delete.delay.ms, and what is not ours to remove stays for good', async () => {
  const disk = new MemoryDisk()
  const directory = await open(disk, '/data')
  const log = await openOrders(directory)
  write(log, 10)
  log.updateConfig(config({ fileDeleteDelayMs: 1 }))
  await directory.deleteLog(log)
  assert.deepEqual(await names(disk), ['orders-0.…-delete'])
  assert.equal(directory.deletedFiles.count, 1)
  const id = 'a'.repeat(32)
  for (const name of [`known-0.${id}-delete`, `nameless-0.${id}-delete`, 'odd-0.12-delete']) {
    await disk.makeDirectory(`/data/${name}`)
    await disk.replaceFile(`/data/${name}/00000000000000000000.log`, Buffer.alloc(1))
  }
  const known = TOPIC_ID.replace('Q', 'R')
  await disk.replaceFile(
    `/data/known-0.${id}-delete/partition.metadata`,
    Buffer.from(`version: 0\ntopic_id: ${known}`),
  )
  const next = await open(disk.snapshot(), '/data')
  const removed = await next.removeDeleted(topicId => topicId === known)
  assert.deepEqual(
    removed.map(name => name.slice(0, 6)),
    ['orders'],
  )
  assert.equal(next.leftAlone().length, 3)
})

/** Of each log file in Kafka's own dump: the offsets, positions and sizes of its batches. */
function dumpedBatches(): Map<string, string[]> {
  const logs = new Map<string, string[]>()
  for (const file of ['data-dir.dump.txt', 'data-dir.rolled.dump.txt']) {
    let current: string[] = []
    for (const line of fs.readFileSync(path.join(GOLDEN, file), 'utf8').split('\n')) {
      const name = /^Dumping (\S+)-0\/\S+\.log/.exec(line)
      if (name !== null) {
        current = logs.get(`${name[1]}-0`) ?? []
        logs.set(`${name[1]}-0`, current)
      }
      const found = /^baseOffset: (\d+) lastOffset: (\d+) .* size: (\d+) magic/.exec(line)
      if (found !== null) current.push(`${found[1]}-${found[2]} ${found[3]}`)
    }
  }
  return logs
}

const golden = copyOfGoldenDirectory()
after(() => {
  if (golden !== null) fs.rmSync(golden, { recursive: true, force: true })
})

for (const wasClean of [true, false]) {
  const stop = wasClean ? 'cleanly' : 'by force'
  test(`a data directory that Kafka left ${stop} is read as Kafka's dump tool lists it`, {
    skip: golden === null && 'no ../shared/kafka-protocol',
  }, async () => {
    const at = golden!
    if (!wasClean) {
      fs.rmSync(`${at}/.kafka_cleanshutdown`)
      fs.rmSync(`${at}/recovery-point-offset-checkpoint`)
      for (const name of fs.readdirSync(`${at}/transactions-0`)) {
        if (/index$|^0*24.snapshot/.test(name)) fs.rmSync(`${at}/transactions-0/${name}`)
      }
    }
    const directory = await open(new SystemDisk(), at)
    const dumped = dumpedBatches()
    // What these logs were written with: the rebuilt indexes show it.
    const settings = config({ indexIntervalBytes: 512 })
    for (const { topic, partition, topicId } of directory.unopened()) {
      const log = await directory.openLog(topic, partition, topicId, settings, ignore)
      const seen = (await readAll(log, 0, 100_000)).map(
        each => `${each.baseOffset}-${each.lastOffset} ${each.size}`,
      )
      assert.deepEqual(seen, dumped.get(log.name), log.name)
    }
    await directory.close()
    // Whatever had to be rebuilt is what Kafka had written.
    for (const name of fs.readdirSync(at, { recursive: true }) as string[]) {
      if (!/\.(index|timeindex|txnindex)$/.test(name)) continue
      const theirs = fs.readFileSync(path.join(GOLDEN, 'data-dir', name))
      assert.deepEqual(fs.readFileSync(path.join(at, name)), theirs, name)
    }
  })
}

test('readers of committed data are told the aborted transactions of an adopted log', {
  skip: golden === null && 'no ../shared/kafka-protocol',
}, async () => {
  const directory = await open(new SystemDisk(), golden!)
  const log = await directory.openLog('transactions', 0, null, config(), ignore)
  const request = { offset: 5, maxBytes: 1e6, upTo: 24, minOneBatch: true }
  const committed = await log.read({ ...request, committed: true })
  assert.deepEqual(
    committed.aborted!.map(({ producerId, firstOffset }) => [producerId, firstOffset]),
    [
      [1, 6],
      [1, 18],
    ],
  )
  committed.release()
  const uncommitted = await log.read({ ...request, committed: false })
  assert.equal(uncommitted.aborted, null)
  uncommitted.release()
  assert.equal(log.lastStableOffset, 24)
  await directory.close()
})

/** Holds back the first checkpoint file while a test does something else. */
class HeldDisk extends MemoryDisk {
  held: { reached(): void; gate: Promise<void> } | null = null

  override async replaceFile(file: string, bytes: Buffer): Promise<void> {
    const { held } = this
    if (held !== null && file.endsWith('recovery-point-offset-checkpoint')) {
      held.reached()
      await held.gate
    }
    return super.replaceFile(file, bytes)
  }
}

test('a topic that is deleted and created while checkpoints are written begins at 0, also after a crash', async () => {
  const disk = new HeldDisk()
  const directory = await open(disk, '/data')
  const log = await openOrders(directory)
  write(log, 10)
  await log.advanceLogStartTo(4)
  let release = () => {}
  const gate = new Promise<void>(resolve => {
    release = resolve
  })
  let saving = Promise.resolve()
  await new Promise<void>(reached => {
    disk.held = { reached, gate }
    saving = directory.checkpoint()
  })
  await directory.deleteLog(log)
  const opening = openOrders(directory)
  await new Promise(resolve => setImmediate(resolve))
  release()
  await saving
  const anew = await opening
  assert.deepEqual([anew.logStartOffset, anew.logEndOffset], [0, 0])
  const text = async (file: string) => String(await disk.readFile(`/data/${file}`))
  assert.equal(await text('recovery-point-offset-checkpoint'), '0\n0\n')
  assert.equal(await text('log-start-offset-checkpoint'), '0\n0\n')
  await directory.close()
})

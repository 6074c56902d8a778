/** Opening after a clean and an unclean stop: what is read, what is cut, what is rebuilt. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { File } from '../../segment-store/disk.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { OldFormatError } from '../../segment-store/recovery.ts'
import { appendNow, batch, config, NOW, openLog, readAll, type TestLog } from './store-harness.ts'

const DIRECTORY = '/data/orders-0'
const FIRST = `${DIRECTORY}/00000000000000000000`
const small = config({ segmentBytes: 2000, indexIntervalBytes: 300 })

async function filled(disk: MemoryDisk, count = 50): Promise<TestLog> {
  const opened = await openLog(disk, DIRECTORY, { config: small })
  for (let i = 0; i < count; i++) {
    const producer = { producerId: i % 3, producerEpoch: 1, baseSequence: Math.floor(i / 3) * 4 }
    appendNow(opened, batch(4, { ...producer, timestamp: NOW + i }), Math.floor(i / 20))
  }
  return opened
}

async function contents(disk: MemoryDisk): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const { name } of await disk.list(DIRECTORY)) {
    found.set(name, (await disk.readFile(`${DIRECTORY}/${name}`))!.toString('hex'))
  }
  return found
}

test('a killed process loses nothing it had written: indexes, epochs and producers are rebuilt', async () => {
  const disk = new MemoryDisk()
  const before = await filled(disk)
  const killed = disk.snapshot()
  await before.log.close()
  const expected = await contents(disk)
  for (const { name } of await killed.list(DIRECTORY)) {
    if (!name.endsWith('.log')) await killed.remove(`${DIRECTORY}/${name}`)
  }
  const after = await openLog(killed, DIRECTORY, { config: small, wasCleanShutdown: false })
  assert.equal(after.log.logEndOffset, 200)
  assert.deepEqual(after.log.activeProducers(), before.log.activeProducers())
  assert.equal(after.log.epochAt(79), 0)
  assert.equal(after.log.epochAt(80), 1)
  assert.equal((await readAll(after.log, 0)).length, 50)
  await after.log.close()
  const rebuilt = await contents(killed)
  for (const [name, bytes] of expected) {
    // Snapshots of the middle segments are not taken again.
    if (!name.endsWith('.snapshot') || name.includes('200'))
      assert.equal(rebuilt.get(name), bytes, name)
  }
})

test('a torn tail is cut at the last whole batch, wherever it is torn', async () => {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, DIRECTORY)
  for (let i = 0; i < 3; i++) appendNow(opened, batch(2))
  const size = opened.log.sizeBytes
  const each = size / 3
  for (let cut = 0; cut <= size; cut++) {
    const torn = disk.snapshot()
    await (await torn.open(`${FIRST}.log`)).truncate(cut)
    const { log, events } = await openLog(torn, DIRECTORY, { wasCleanShutdown: false })
    const whole = Math.floor(cut / each)
    assert.equal(log.logEndOffset, whole * 2, `cut at ${cut}`)
    assert.equal(log.sizeBytes, whole * each)
    const report = events.find(({ event }) => event === 'log recovered, damaged tail cut')
    assert.equal(report !== undefined, cut % each !== 0)
    if (report !== undefined) {
      assert.deepEqual([report.fields['bytesBefore'], report.fields['bytes']], [cut, whole * each])
    }
    await log.close()
  }
})

test('any damaged byte from the recovery point on ends the log there', async () => {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, DIRECTORY)
  for (let i = 0; i < 3; i++) appendNow(opened, batch(2))
  const each = opened.log.sizeBytes / 3
  // Offset and epoch of a batch stand in front of the checksummed part: of them only a falling offset can be seen.
  for (let at = each + 12; at < each * 2; at++) {
    if (at >= each + 12 && at < each + 16) continue
    const damaged = disk.snapshot()
    const file = await damaged.open(`${FIRST}.log`)
    const byte = Buffer.alloc(1)
    file.readSync(at, byte)
    file.writeAt(at, Buffer.from([byte[0]! ^ 0x40]))
    const { log } = await openLog(damaged, DIRECTORY, { wasCleanShutdown: false })
    assert.equal(log.logEndOffset, 2, `byte ${at}`)
    await log.close()
  }
})

test('damage in an earlier segment drops the later ones; below the recovery point nothing is read', async () => {
  const disk = new MemoryDisk()
  const { log } = await filled(disk)
  const second = log.segments[1]!
  const third = log.segments[2]!.baseOffset
  const damaged = disk.snapshot()
  const file = await damaged.open(`${second.path}.log`)
  file.writeAt(100, Buffer.from('damage'))
  const trusting = damaged.snapshot()
  const cut = await openLog(damaged, DIRECTORY, { config: small, wasCleanShutdown: false })
  assert.equal(cut.log.logEndOffset, second.baseOffset)
  assert.equal(cut.log.segments.length, 2)
  const known = { config: small, wasCleanShutdown: false, recoveryPoint: third + 1 }
  assert.equal((await openLog(trusting, DIRECTORY, known)).log.logEndOffset, 200)
})

test('zeros behind the last batch, as a crash on some file systems leaves, are cut', async () => {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, DIRECTORY)
  appendNow(opened, batch(2))
  const size = opened.log.sizeBytes
  const crashed = disk.snapshot()
  await (await crashed.open(`${FIRST}.log`)).append([Buffer.alloc(5000)])
  const { log } = await openLog(crashed, DIRECTORY, { wasCleanShutdown: false })
  assert.deepEqual([log.logEndOffset, log.sizeBytes], [2, size])
  assert.equal(appendNow(opened, batch(1)).baseOffset, 2)
})

/** Counts the bytes of log files that are read. */
class CountingDisk extends MemoryDisk {
  logBytesRead = 0

  override async open(path: string, options: { create?: boolean } = {}): Promise<File> {
    const file = await super.open(path, options)
    if (!path.endsWith('.log')) return file
    const read = file.read.bind(file)
    file.read = async (position, into) => {
      const count = await read(position, into)
      this.logBytesRead += count
      return count
    }
    return file
  }
}

test('after a clean stop only what lies behind the last index entry is read', async () => {
  const disk = new CountingDisk()
  const opened = await openLog(disk, DIRECTORY, { config: config({ indexIntervalBytes: 300 }) })
  for (let i = 0; i < 500; i++) appendNow(opened, batch(4))
  const size = opened.log.sizeBytes
  await opened.log.close()
  disk.logBytesRead = 0
  const again = await openLog(disk, DIRECTORY, { config: config({ indexIntervalBytes: 300 }) })
  assert.equal(again.log.logEndOffset, 2000)
  assert.equal(again.log.durableOffset, 2000)
  assert(disk.logBytesRead < 1000, `${disk.logBytesRead} of ${size} bytes read`)
  assert.equal(appendNow(again, batch(1)).baseOffset, 2000)
})

test('a log closed twice in a row leaves the same files', async () => {
  const disk = new MemoryDisk()
  await (await filled(disk)).log.close()
  const once = await contents(disk)
  await (await openLog(disk, DIRECTORY, { config: small })).log.close()
  assert.deepEqual(await contents(disk), once)
})

test('any missing or damaged index, snapshot or epoch file loses no record', async () => {
  const disk = new MemoryDisk()
  const { log } = await filled(disk)
  const producers = log.activeProducers()
  await log.close()
  for (const name of (await contents(disk)).keys()) {
    if (name.endsWith('.log')) continue
    for (const damage of ['missing', 'ragged', 'zeros']) {
      const damaged = disk.snapshot()
      const file = await damaged.open(`${DIRECTORY}/${name}`)
      if (damage === 'missing') await damaged.remove(`${DIRECTORY}/${name}`)
      else if (damage === 'ragged') await file.truncate(Math.max(0, file.size - 1))
      else file.writeAt(0, Buffer.alloc(file.size))
      const again = await openLog(damaged, DIRECTORY, { config: small })
      const seen = await readAll(again.log, 0, 500)
      assert.equal(seen.length, 50, `${name} ${damage}`)
      assert.deepEqual(again.log.activeProducers(), producers, `${name} ${damage}`)
      const found = await again.log.offsetForTimestamp(NOW + 30)
      // Batches overlap in time: the first one that reaches this time holds it.
      assert.equal(found?.timestamp, NOW + 30, `${name} ${damage}`)
      await again.log.close()
    }
  }
})

test('a checkpointed start behind the end of the log begins anew there', async () => {
  const disk = new MemoryDisk()
  await (await filled(disk)).log.close()
  const { log } = await openLog(disk, DIRECTORY, { config: small, logStartOffset: 500 })
  assert.deepEqual([log.logStartOffset, log.logEndOffset, log.segments.length], [500, 500, 1])
  await log.close()
})

test('segments below the log start that an interrupted deletion left are removed', async () => {
  const disk = new MemoryDisk()
  await (await filled(disk)).log.close()
  const { log } = await openLog(disk, DIRECTORY, { config: small, logStartOffset: 100 })
  await log.close()
  assert.equal((await disk.readFile(`${FIRST}.log`)) === null, true)
  assert.equal(log.logStartOffset, 100)
})

test('a log of an old message format is refused, not cut', async () => {
  const disk = new MemoryDisk()
  const old = Buffer.alloc(60)
  old.writeInt32BE(40, 8)
  old[16] = 1
  await disk.makeDirectory(DIRECTORY)
  await disk.replaceFile(`${FIRST}.log`, old)
  for (const wasCleanShutdown of [true, false]) {
    await assert.rejects(openLog(disk, DIRECTORY, { wasCleanShutdown }), OldFormatError)
  }
  assert.equal((await disk.readFile(`${FIRST}.log`))!.length, 60)
})

test('a batch larger than what recovery holds of a file is checked in full', async () => {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, DIRECTORY)
  appendNow(opened, batch(1))
  const first = opened.log.sizeBytes
  appendNow(opened, batch(1, { valueBytes: 900_000 }))
  appendNow(opened, batch(1))
  const size = opened.log.sizeBytes
  const whole = await openLog(disk.snapshot(), DIRECTORY, { wasCleanShutdown: false })
  assert.equal(whole.log.logEndOffset, 3)
  for (const at of [first + 100, first + 300_000, first + 900_000]) {
    const damaged = disk.snapshot()
    ;(await damaged.open(`${FIRST}.log`)).writeAt(at, Buffer.from('!'))
    const { log } = await openLog(damaged, DIRECTORY, { wasCleanShutdown: false })
    assert.deepEqual([log.logEndOffset, log.sizeBytes], [1, first], `byte ${at} of ${size}`)
  }
})

test('a long recovery says every few seconds how far it has come', async () => {
  const disk = new MemoryDisk()
  const large = config({ segmentBytes: 16 * 1024 * 1024 })
  const opened = await openLog(disk, DIRECTORY, { config: large })
  for (let i = 0; i < 50; i++) appendNow(opened, batch(1, { valueBytes: 1_000_000 }))
  const killed = disk.snapshot()
  let nowMs = 0
  const monotonicMs = () => {
    nowMs += 3000
    return nowMs
  }
  const after = await openLog(killed, DIRECTORY, {
    config: large,
    wasCleanShutdown: false,
    monotonicMs,
  })
  const told = after.events.filter(({ event }) => event === 'log is being recovered')
  assert.equal(told.length, 2)
  const { sizeBytes } = after.log
  for (const [i, { fields }] of told.entries()) {
    assert.equal(fields['directory'], DIRECTORY)
    assert.equal(fields['totalBytes'], sizeBytes)
    const checked = fields['checkedBytes'] as number
    assert(checked > 15e6 * (i + 1) && checked < sizeBytes)
  }
  const quick = await openLog(disk.snapshot(), DIRECTORY, {
    config: large,
    wasCleanShutdown: false,
    monotonicMs: () => 0,
  })
  assert(!quick.events.some(({ event }) => event === 'log is being recovered'))
})

test('a clean start reads nothing of any segment but the newest', async () => {
  const disk = new CountingDisk()
  await (await filled(disk)).log.close()
  disk.logBytesRead = 0
  const { log } = await openLog(disk, DIRECTORY, { config: small })
  const active = log.segments.at(-1)!
  assert(log.segments.length > 3)
  assert(disk.logBytesRead <= active.size + 61, `${disk.logBytesRead} bytes read`)
})

test('a snapshot or an index of another log in the place of ours loses no record', async () => {
  const disk = new MemoryDisk()
  const { log } = await filled(disk)
  const producers = log.activeProducers()
  await log.close()
  const other = new MemoryDisk()
  const foreign = await openLog(other, DIRECTORY, { config: config({ indexIntervalBytes: 100 }) })
  for (let i = 0; i < 90; i++) {
    const producer = { producerId: 70, producerEpoch: 1, baseSequence: i * 5 }
    appendNow(foreign, batch(5, { ...producer, timestamp: NOW + i }), 0)
  }
  await foreign.log.close()
  const ofKind = async (kind: string) => {
    const name = (await other.list(DIRECTORY)).find(entry => entry.name.endsWith(kind))!.name
    return (await other.readFile(`${DIRECTORY}/${name}`))!
  }
  for (const name of (await contents(disk)).keys()) {
    const kind = /\.(index|snapshot)$/.exec(name)?.[0]
    if (kind === undefined) continue
    for (const wasCleanShutdown of [true, false]) {
      const swapped = disk.snapshot()
      await swapped.replaceFile(`${DIRECTORY}/${name}`, await ofKind(kind))
      const again = await openLog(swapped, DIRECTORY, { config: small, wasCleanShutdown })
      const where = `${name} after a ${wasCleanShutdown ? 'clean' : 'unclean'} stop`
      assert.equal((await readAll(again.log, 0, 500)).length, 50, where)
      assert.deepEqual(again.log.activeProducers(), producers, where)
    }
  }
})

test('where deleted records were lost as well, nobody is held to how far producers had come before', async () => {
  const disk = new MemoryDisk()
  const opened = await filled(disk, 20)
  const [first, second] = opened.log.segments
  assert.ok(first !== undefined && second !== undefined)
  const { baseOffset } = second
  const held = opened.log.activeProducers().length
  assert.ok(held > 0)
  await opened.log.abandon()
  // The last batch of the first segment was not synced, and the second one has only its name.
  const whole = await disk.readFile(`${FIRST}.log`)
  await disk.replaceFile(`${FIRST}.log`, whole!.subarray(0, -batch(4).length))
  for (const { name } of await disk.list(DIRECTORY)) {
    const isLater = Number(name.slice(0, 20)) >= baseOffset
    if (isLater) await disk.remove(`${DIRECTORY}/${name}`)
  }
  await disk.replaceFile(`${second.path}.log`, Buffer.alloc(0))
  const open = (logStartOffset: number) =>
    openLog(disk.snapshot(), DIRECTORY, { config: small, wasCleanShutdown: false, logStartOffset })
  const deleted = (await open(baseOffset)).log
  assert.deepEqual([deleted.logStartOffset, deleted.logEndOffset], [baseOffset, baseOffset])
  assert.deepEqual(deleted.activeProducers(), [])
  // Records that nobody deleted are missing: the log is cut there, and producers are where it ends.
  const cut = (await open(0)).log
  assert.equal(cut.logEndOffset, first.endOffset - 4)
  assert.equal(cut.activeProducers().length, held)
})

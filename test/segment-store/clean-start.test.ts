/** After a clean stop no segment is read before it is used; what somebody changed in between is noticed all the same. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import { CLEAN_SEGMENTS } from '../../segment-store/clean-segments.ts'
import { LoadedIndexes } from '../../segment-store/loaded-indexes.ts'
import type { Log } from '../../segment-store/log.ts'
import { LogDirectory } from '../../segment-store/log-directory.ts'
import { SimulatedDisk } from '../sim/disk.ts'
import { Medium } from '../sim/medium.ts'
import { append, batch, config, ManualTurn, NOW, readAll } from './store-harness.ts'

const TOPIC_ID = 'QcBKM9xeQDGytqaz_D2Q_g'
const settings = config({ segmentBytes: 2000, indexIntervalBytes: 200 })
const turn = new ManualTurn()
let nowMs = NOW
const io = {
  clock: { nowMs: () => nowMs, monotonicMs: () => 0, timer: () => ({ cancel() {} }) },
  turn,
  uuid: () => 'AAAAAAAAAAAAAAAAAAAAAA',
}

async function open(disk: SimulatedDisk, indexes?: LoadedIndexes): Promise<LogDirectory> {
  nowMs += 1000
  return await LogDirectory.open({
    path: '/data',
    disk,
    io,
    buffers: new BufferPool(1024 * 1024),
    producerIdExpirationMs: 1e12,
    ...(indexes === undefined ? {} : { indexes }),
  })
}

function openLog(directory: LogDirectory, index = 0): Promise<Log> {
  const on = { written() {}, failed: (error: Error) => assert.fail(error) }
  return directory.openLog('orders', index, TOPIC_ID, settings, on)
}

/** Records with times that do not rise evenly, so that both indexes have something to say. */
function write(log: Log, batches: number): void {
  for (let i = 0; i < batches; i++) {
    nowMs += 1
    const timestamp = nowMs + (i % 3) * 50
    append(log, batch(2, { valueBytes: 60, timestamp }), 0, nowMs)
    turn.end()
  }
}

/** A directory with logs that were closed in order, and the disk with a trace of what is opened and read. */
async function closed(logs = 1, batches = 40) {
  const disk = new SimulatedDisk(new Medium(), { random: () => 0, nowMs: () => nowMs })
  const directory = await open(disk)
  const ends: number[] = []
  for (let i = 0; i < logs; i++) {
    const log = await openLog(directory, i)
    write(log, batches)
    ends.push(log.logEndOffset)
  }
  await directory.close()
  const touched: string[] = []
  disk.trace = ({ kind, path }) => {
    if (/\.(log|index|timeindex)$/.test(path)) touched.push(`${kind} ${path}`)
  }
  return { disk, touched, ends }
}

async function stateOf(log: Log) {
  const places = await readAll(log, log.logStartOffset, 10_000)
  const { logStartOffset, logEndOffset } = log
  const times: unknown[] = []
  for (let offset = 0; offset < 40; offset += 7) {
    times.push(await log.offsetForTimestamp(NOW + offset * 30))
  }
  return { places, logStartOffset, logEndOffset, times, newest: await log.maxTimestamp() }
}

const newest = (log: Log) => log.active.path

test('a clean start touches no segment and no index', async () => {
  const { disk, touched, ends } = await closed(3)
  const directory = await open(disk)
  for (let i = 0; i < 3; i++) {
    const log = await openLog(directory, i)
    assert.equal(log.logEndOffset, ends[i])
    assert(log.segments.length > 2 && !log.active.isLoaded)
  }
  await directory.close()
  // And again, although none of them was ever looked at.
  const again = await open(disk)
  for (let i = 0; i < 3; i++) assert.equal((await openLog(again, i)).logEndOffset, ends[i])
  assert.deepEqual(touched, [])
})

for (const [what, use] of [
  ['an append', (log: Log) => write(log, 1)],
  ['many appends', (log: Log) => write(log, 30)],
  ['a roll', (log: Log) => log.roll(nowMs)],
  ['a read', async (log: Log) => void (await readAll(log, 3))],
  [
    'a read while it is appended to',
    async (log: Log) => {
      const reading = readAll(log, log.active.baseOffset)
      write(log, 5)
      await reading
    },
  ],
  ['a search by time', async (log: Log) => void (await log.offsetForTimestamp(NOW))],
  ['a truncation', (log: Log) => log.truncateTo(log.logEndOffset - 3)],
  ['DeleteRecords', (log: Log) => log.advanceLogStartTo(log.logEndOffset - 1)],
  ['nothing', () => {}],
] as const) {
  test(`what follows a clean start is as after one that read everything: ${what}`, async () => {
    // Not at the end of an index interval, nor at its start.
    const { disk } = await closed(1, 46)
    const found = disk.reopened('process')
    const states: unknown[] = []
    const files: unknown[] = []
    const startMs = nowMs
    for (const isNoted of [true, false]) {
      nowMs = startMs
      const copy = new SimulatedDisk(
        found.medium.afterCrash('kept', () => 0),
        {
          random: () => 0,
          nowMs: () => nowMs,
        },
      )
      if (!isNoted) await copy.remove(`/data/${CLEAN_SEGMENTS}`)
      const directory = await open(copy)
      const log = await openLog(directory)
      await use(log)
      await log.flushNow()
      states.push(await stateOf(log))
      await directory.close()
      const names = (await copy.list('/data/orders-0')).map(({ name }) => name).sort()
      const contents = names.map(name =>
        copy.readFileSync(`/data/orders-0/${name}`)?.toString('hex'),
      )
      files.push(names.map((name, i) => `${name} ${contents[i]}`))
      const next = await openLog(await open(copy))
      states.push(await stateOf(next))
    }
    for (const state of states) assert.deepEqual(state, states[0])
    assert.deepEqual(files[0], files[1])
  })
}

test('a file that somebody has written to since is read', async () => {
  const { disk, ends } = await closed()
  const directory = await open(disk)
  const log = await openLog(directory)
  const path = `${newest(log)}.log`
  const more = batch(1, { valueBytes: 10, baseOffset: ends[0]! })
  await directory.close()
  const file = await disk.open(path)
  await file.append([more])
  const found = await openLog(await open(disk))
  assert.equal(found.logEndOffset, ends[0]! + 1)
})

test('the same size and another time of modification is another file', async () => {
  const { disk, touched, ends } = await closed()
  const directory = await open(disk)
  const path = `${newest(await openLog(directory))}.log`
  await directory.close()
  const file = await disk.open(path)
  const bytes = Buffer.alloc(file.size)
  await file.read(0, bytes)
  await file.truncate(0)
  nowMs += 1
  await file.append([bytes])
  touched.length = 0
  assert.equal((await openLog(await open(disk))).logEndOffset, ends[0])
  assert(touched.includes(`read ${path}`), touched.join())
})

test('what was noted is not believed when it is damaged, or without the clean mark', async () => {
  const { disk, touched, ends } = await closed()
  const { medium } = disk.reopened('process')
  const file = `/data/${CLEAN_SEGMENTS}`
  const { length } = (await new SimulatedDisk(medium, { random: () => 0 }).readFile(file))!
  for (let position = 0; position < length; position++) {
    const random = () => 0
    const damaged = new SimulatedDisk(medium.afterCrash('kept', random), { random })
    damaged.trace = disk.trace
    touched.length = 0
    damaged.flipBit(file, position, position % 3)
    const log = await openLog(await open(damaged))
    assert.equal(log.logEndOffset, ends[0])
    assert(touched.length > 0, `position ${position}`)
  }
  const again = await closed()
  await again.disk.remove('/data/.kafka_cleanshutdown')
  again.touched.length = 0
  assert.equal((await openLog(await open(again.disk))).logEndOffset, again.ends[0])
  assert(again.touched.length > 0)
})

for (const suffix of ['.index', '.timeindex']) {
  test(`a ${suffix} that is missing or has another length is made anew at the start`, async () => {
    for (const change of ['remove', 'cut'] as const) {
      const { disk, ends } = await closed()
      const probe = await open(disk)
      const path = `${newest(await openLog(probe))}${suffix}`
      await probe.close()
      const before = disk.readFileSync(path)!
      assert(before.length > 8)
      if (change === 'remove') await disk.remove(path)
      else await (await disk.open(path)).truncate(before.length - 3)
      const log = await openLog(await open(disk))
      assert.equal(log.logEndOffset, ends[0])
      assert.deepEqual(disk.readFileSync(path), before)
    }
  })

  test(`a ${suffix} with nonsense in it costs an append nothing and no reader an answer`, async () => {
    const { disk, ends } = await closed()
    const probe = await open(disk)
    const path = `${newest(await openLog(probe))}${suffix}`
    await probe.close()
    const size = disk.readFileSync(path)!.length
    const nonsense = await disk.open(path)
    nonsense.writeAt(0, Buffer.alloc(size, 0xff))
    const directory = await open(disk)
    const log = await openLog(directory)
    write(log, 1)
    const { places } = await stateOf(log)
    assert.equal(places.at(-1)!.lastOffset, ends[0]! + 1)
    assert.equal(places.length, 41)
    await directory.close()
    assert.notEqual(disk.readFileSync(path)?.at(-1), 0xff, 'nobody is to believe it')
    const next = await openLog(await open(disk))
    assert.equal((await stateOf(next)).places.length, 41)
  })
}

test('indexes in memory stay below their limit, of the newest segments too', async () => {
  const { disk } = await closed(30, 60)
  const limit = 4000
  const indexes = new LoadedIndexes(limit)
  const directory = await open(disk, indexes)
  const logs: Log[] = []
  for (let i = 0; i < 30; i++) logs.push(await openLog(directory, i))
  assert.equal(indexes.count, 0)
  const segments = () => logs.flatMap(log => log.segments)
  const bytes = () => segments().reduce((sum, segment) => sum + segment.indexBytes, 0)
  for (let round = 0; round < 3; round++) {
    for (const log of logs) {
      assert.equal((await readAll(log, 0)).length, 60 + 2 * round)
      write(log, 2)
      await indexes.trim()
      assert(bytes() <= limit + 2000, `${bytes()} bytes`)
    }
  }
  await directory.close()
  const after = await open(disk)
  for (let i = 0; i < 30; i++) {
    assert.equal((await readAll(await openLog(after, i), 0)).length, 66)
  }
})

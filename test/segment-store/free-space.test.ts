/** The room that is left: both sides of the limit, what is counted between two questions, and the reserve. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolError } from '../../protocol/errors.ts'
import { FreeSpace, RESERVE_FILE } from '../../segment-store/free-space.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'

const MIB = 1024 * 1024
const RESERVE = `/data/${RESERVE_FILE}`

/** Answers the room that a test says it has. */
class MeasuredDisk extends MemoryDisk {
  totalBytes = 1000 * MIB
  freeBytes = 500 * MIB

  override space(): Promise<{ totalBytes: number; freeBytes: number }> {
    const { totalBytes, freeBytes } = this
    return Promise.resolve({ totalBytes, freeBytes })
  }
}

async function watch(minBytes: number, disk = new MeasuredDisk()) {
  await disk.makeDirectory('/data')
  const events: string[] = []
  const say = (event: string) => events.push(event)
  const free = new FreeSpace({ disk, path: '/data', minBytes, log: { info: say, warn: say } })
  await free.open()
  return { disk, free, events }
}

const full = () => Object.assign(new Error('no room'), { code: 'ENOSPC' })

test('producers are refused below the limit, and welcome again a quarter above it', async () => {
  const { disk, free, events } = await watch(20 * MIB)
  const isLowAt = async (bytes: number) => {
    disk.freeBytes = bytes
    await free.check()
    return free.isLow
  }
  assert.equal(await isLowAt(20 * MIB), false)
  assert.equal(await isLowAt(20 * MIB - 1), true)
  assert.equal(await isLowAt(25 * MIB - 1), true)
  assert.equal(await isLowAt(25 * MIB), false)
  assert.deepEqual(
    events.filter(event => event.includes('producers')),
    ['disk nearly full, producers are refused', 'disk has room again, producers are welcome'],
  )
})

test('what is written between two questions counts', async () => {
  const { disk, free } = await watch(20 * MIB)
  disk.freeBytes = 30 * MIB
  await free.check()
  free.wrote(10 * MIB)
  assert.equal(free.isLow, false)
  free.wrote(1)
  assert.equal(free.isLow, true)
  // Something else was removed meanwhile: the system knows better.
  await free.check()
  assert.equal(free.isLow, false)
})

test('on a small disk the limit is a twentieth of it; 0 leaves it to the disk', async () => {
  const disk = new MeasuredDisk()
  disk.totalBytes = 100 * MIB
  disk.freeBytes = 5 * MIB
  assert.equal((await watch(50 * MIB, disk)).free.isLow, false)
  disk.freeBytes = 5 * MIB - 1
  const { free } = await watch(50 * MIB, disk)
  assert.equal(free.isLow, true)
  const refusal = free.refusal('a new topic')
  assert.ok(refusal instanceof ProtocolError && refusal.error === 'KAFKA_STORAGE_ERROR')
  assert.match(refusal.message, /a new topic is refused.*log\.dir\.free\.bytes\.min/)
  disk.freeBytes = 1
  const unlimited = (await watch(0, disk)).free
  assert.equal(unlimited.isLow, false)
  unlimited.ranOut()
  assert.deepEqual([unlimited.isLow, unlimited.isTight], [true, true])
})

test('the reserve is made where there is room, and given up for a task that finds none', async () => {
  const { disk, free, events } = await watch(20 * MIB)
  await free.check()
  assert.equal((await disk.readFile(RESERVE))?.length, 4 * MIB)
  const tries: boolean[] = []
  const answer = await free.withReserve(async () => {
    tries.push((await disk.readFile(RESERVE)) !== null)
    if (tries.length === 1) throw full()
    return 'done'
  })
  assert.deepEqual([answer, tries], ['done', [true, false]])
  assert.ok(free.isLow && events.includes('disk full, reserve given up'))
  // Without a reserve the task has one try.
  let count = 0
  const failing = free.withReserve(() => {
    count += 1
    return Promise.reject(full())
  })
  await assert.rejects(failing, { code: 'ENOSPC' })
  assert.equal(count, 1)
  // It is made again only when there is room for it above the point where producers are welcome.
  disk.freeBytes = 29 * MIB - 1
  await free.check()
  assert.deepEqual([free.isLow, await disk.readFile(RESERVE)], [false, null])
  disk.freeBytes = 29 * MIB
  await free.check()
  assert.notEqual(await disk.readFile(RESERVE), null)
})

test('another failure than a full disk keeps the reserve', async () => {
  const { disk, free } = await watch(20 * MIB)
  await free.check()
  const failing = free.withReserve(() => Promise.reject(new Error('EIO')))
  await assert.rejects(failing, /EIO/)
  assert.notEqual(await disk.readFile(RESERVE), null)
  assert.equal(free.isLow, false)
})

test('a start on a low disk gives the reserve up; a disk with no room for one does without', async () => {
  const { disk, free } = await watch(20 * MIB)
  await free.check()
  disk.freeBytes = 10 * MIB
  const again = await watch(20 * MIB, disk)
  assert.equal(again.free.isLow, true)
  assert.equal(await disk.readFile(RESERVE), null)
  disk.freeBytes = 500 * MIB
  const open = disk.open.bind(disk)
  disk.open = async (path, options) => {
    const file = await open(path, options)
    if (path === RESERVE) file.append = () => Promise.reject(full())
    return file
  }
  await again.free.check()
  assert.deepEqual([again.free.isLow, await disk.readFile(RESERVE)], [false, null])
})

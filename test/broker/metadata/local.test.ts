import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LocalStore, openLocalStore } from '../../../broker/metadata/local.ts'
import {
  MaybeAppliedError,
  type MetadataStore,
  NotSentError,
} from '../../../broker/metadata/store.ts'
import type { Disk, File } from '../../../segment-store/disk.ts'
import { MemoryDisk } from '../../../segment-store/memory-disk.ts'
import { CLUSTER_ID } from '../harness.ts'
import { recorder, storeContract } from './store.contract.ts'

const PATH = '/data/ottla-metadata'
const open = (disk: Disk, clusterId = CLUSTER_ID): Promise<LocalStore> =>
  openLocalStore({ disk, path: PATH, clusterId })
const put = (key: string, value: string | null) => ({ key, value })

async function contents(store: MetadataStore): Promise<string> {
  const { entries, revision } = await store.range('')
  const shown = entries.map(e => `${e.key}=${e.value}@${e.createRevision}/${e.modRevision}`)
  return [revision, ...shown].join(' ')
}

storeContract('in memory', () =>
  openLocalStore({ disk: new MemoryDisk(), path: null, clusterId: CLUSTER_ID }),
)
storeContract('on disk', () => open(new MemoryDisk()))
storeContract('on disk, opened again', async () => {
  const disk = new MemoryDisk()
  const first = await open(disk)
  await first.commit([], [put('zz', '1')])
  await first.commit([], [put('zz', null)])
  await first.close()
  return open(disk)
})

test('a store has no file until the first commit', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  assert.equal(await disk.readFile(PATH), null)
  await store.commit([{ key: 'a', modRevision: 7 }], [put('a', '1')])
  assert.equal(await disk.readFile(PATH), null)
  await store.commit([], [put('a', '1')])
  assert.notEqual(await disk.readFile(PATH), null)
})

test('what was committed is there after a restart, with its revisions and the id of the cluster', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await store.commit([], [put('a', '1'), put('ü', '"quoted"\n')])
  await store.commit([], [put('a', '2')])
  await Promise.all([store.commit([], [put('b', '1')]), store.commit([], [put('ü', null)])])
  const before = await contents(store)
  const again = await open(disk.snapshot(), 'another-cluster-id-here')
  assert.equal(await contents(again), before)
  assert.equal(again.clusterId, CLUSTER_ID)
})

test('a torn last line is cut, at whatever byte it was torn, and the store goes on from there', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await store.commit([], [put('a', '1')])
  await store.commit([], [put('a', '2')])
  const before = await contents(store)
  const whole = (await disk.readFile(PATH))!.length
  await store.commit([], [put('a', '3'), put('b', '3')])
  const after = await contents(store)
  const bytes = (await disk.readFile(PATH))!
  for (let end = whole; end <= bytes.length; end++) {
    const torn = new MemoryDisk()
    await torn.replaceFile(PATH, bytes.subarray(0, end))
    const reopened = await open(torn)
    assert.equal(await contents(reopened), end === bytes.length ? after : before)
    await reopened.commit([], [put('c', '4')])
    const expected = await contents(reopened)
    assert.equal(await contents(await open(torn)), expected)
  }
})

test('garbage in place of the last line is cut, damage before it refuses to open', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await store.commit([], [put('a', '1')])
  const second = (await disk.readFile(PATH))!.length
  await store.commit([], [put('a', '2')])
  const third = (await disk.readFile(PATH))!.length
  await store.commit([], [put('a', '3')])
  const bytes = (await disk.readFile(PATH))!
  const damagedAt = async (position: number) => {
    const damaged = Buffer.from(bytes)
    damaged[position] = damaged[position]! ^ 1
    const other = new MemoryDisk()
    await other.replaceFile(PATH, damaged)
    return open(other)
  }
  assert.match(await contents(await damagedAt(third + 12)), /^2 a=2/)
  await assert.rejects(damagedAt(second + 12), /ottla-metadata: damaged at byte/)
  await assert.rejects(damagedAt(2), /damaged at byte 0/)
})

test('a file of another kind is refused in words', async () => {
  const disk = new MemoryDisk()
  for (const text of ['', 'node.id=1\n', 'version=0']) {
    await disk.replaceFile(PATH, Buffer.from(text))
    await assert.rejects(open(disk), /not a metadata file of format 1/)
  }
})

test('the file is rewritten when it has grown well beyond its contents', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  const value = 'x'.repeat(100_000)
  let largest = 0
  for (let i = 0; i < 30; i++) {
    await store.commit([], [put('a', value + i)])
    largest = Math.max(largest, (await store.info()).dbSize)
  }
  assert.ok(largest < 1_400_000, `grew to ${largest}`)
  assert.equal(await contents(await open(disk.snapshot())), await contents(store))
})

test('leased keys are gone when the store is opened again, and stay gone', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await store.lease(6000, 'l')
  await store.commit([], [put('a', '1'), { key: 'b/1', value: 'x', lease: 'l' }])
  const revision = 2
  for (let i = 0; i < 2; i++) {
    assert.equal(await contents(await open(disk)), `${revision} a=1@1/1`)
  }
})

test('commits of one moment share a sync', async () => {
  const disk = new MemoryDisk()
  let syncs = 0
  const store = await open(
    faulty(disk, () => {
      syncs++
    }),
  )
  await store.commit([], [put('a', '0')])
  await Promise.all(Array.from({ length: 50 }, (_, i) => store.commit([], [put(`k${i}`, '1')])))
  assert.equal(syncs, 1)
})

test('after a failed sync nothing is believed: the commit may have happened, later ones did not', async () => {
  const disk = new MemoryDisk()
  let failing = false
  const store = await open(
    faulty(disk, () => {
      if (failing) throw new Error('EIO')
    }),
  )
  await store.commit([], [put('a', '1')])
  const watcher = recorder()
  store.watch('', 2, watcher)
  failing = true
  await assert.rejects(store.commit([], [put('a', '2')]), MaybeAppliedError)
  failing = false
  await assert.rejects(store.commit([], [put('a', '3')]), NotSentError)
  assert.equal(await contents(store), '1 a=1@1/1')
  assert.deepEqual(watcher.lines, [])
})

test('a watcher that falls behind the kept history is told to list again', async () => {
  const store = await openLocalStore({ disk: new MemoryDisk(), path: null, clusterId: CLUSTER_ID })
  for (let i = 0; i < 2100; i++) await store.commit([], [put('a', String(i))])
  const watcher = recorder()
  store.watch('', 1, watcher)
  const [line] = await watcher.heard(1)
  const compacted = Number(line!.replace('compacted ', ''))
  assert.ok(compacted >= 1024 && compacted < 2100, line)
})

test('the history is bounded by what was changed, not by how many commits did it', async () => {
  const store = await openLocalStore({ disk: new MemoryDisk(), path: null, clusterId: CLUSTER_ID })
  const current = recorder()
  store.watch('', 1, current)
  const many = Array.from({ length: 3000 }, (_, i) => put(`key ${i}`, 'x'))
  for (let i = 0; i < 3; i++) await store.commit([], many)
  // However much one commit changes, those who follow are given all of it.
  assert.equal((await current.heard(3))[2]!.split('key ').length, 3001)
  await store.commit([], [put('a', '1')])
  const late = recorder()
  store.watch('', 3, late)
  assert.deepEqual(await late.heard(1), ['compacted 3'])
  const next = recorder()
  store.watch('', 4, next)
  assert.deepEqual(await next.heard(1), ['4: a=1'])
})

test('a closed store has written what was under way and takes nothing more', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  const commit = store.commit([], [put('a', '1')])
  await store.close()
  assert.equal((await commit).ok, true)
  await assert.rejects(store.commit([], [put('a', '2')]), NotSentError)
  assert.match(await contents(await open(disk)), /^1 a=1/)
})

/** A disk whose files call `beforeSync` first. */
function faulty(disk: MemoryDisk, beforeSync: () => void): Disk {
  const wrap = (file: File): File =>
    new Proxy(file, {
      get(target, name) {
        if (name === 'sync') {
          return async () => {
            beforeSync()
            await target.sync()
          }
        }
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  return new Proxy(disk, {
    get(target, name) {
      if (name === 'open')
        return async (path: string, options = {}) => wrap(await target.open(path, options))
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Memory whose files take only so many more bytes. */
class FullDisk extends MemoryDisk {
  room = Number.POSITIVE_INFINITY

  override async open(path: string, options: { create?: boolean } = {}): Promise<File> {
    const file = await super.open(path, options)
    const write = file.append.bind(file)
    file.append = chunks => {
      const bytes = Buffer.concat(chunks)
      const fits = Math.min(this.room, bytes.length)
      this.room -= fits
      if (fits > 0) write([bytes.subarray(0, fits)])
      if (fits < bytes.length) throw Object.assign(new Error('no room'), { code: 'ENOSPC' })
      return fits
    }
    return file
  }

  override replaceFile(path: string, bytes: Buffer): Promise<void> {
    if (bytes.length <= this.room) return super.replaceFile(path, bytes)
    return Promise.reject(Object.assign(new Error('no room'), { code: 'ENOSPC' }))
  }
}

test('a commit that finds no room is refused as not done, leaves no half line, and the next one goes on', async () => {
  for (const room of [0, 1, 30]) {
    const disk = new FullDisk()
    const store = await open(disk)
    await store.commit([], [put('a', '1')])
    const before = await contents(store)
    const size = (await disk.readFile(PATH))!.length
    disk.room = room
    await assert.rejects(store.commit([], [put('a', 'x'.repeat(100))]), NotSentError)
    assert.equal(await contents(store), before)
    assert.equal((await disk.readFile(PATH))!.length, size, `${room} bytes of room`)
    disk.room = Number.POSITIVE_INFINITY
    await store.commit([], [put('a', '2')])
    const expected = await contents(store)
    await store.close()
    assert.equal(await contents(await open(disk)), expected)
  }
})

test('the first commit and a rewrite that find no room leave what there was', async () => {
  const disk = new FullDisk()
  disk.room = 10
  const store = await open(disk)
  await assert.rejects(store.commit([], [put('a', '1')]), NotSentError)
  assert.equal(await disk.readFile(PATH), null)
  disk.room = Number.POSITIVE_INFINITY
  await store.commit([], [put('a', '1')])
  assert.notEqual(await disk.readFile(PATH), null)
})

test('a commit on a full disk uses what is reserved for it', async () => {
  const disk = new FullDisk()
  let released = 0
  const space = {
    async withReserve<T>(task: () => Promise<T>): Promise<T> {
      try {
        return await task()
      } catch {
        released += 1
        disk.room = 1000
        return await task()
      }
    },
  }
  const store = await openLocalStore({ disk, path: PATH, clusterId: CLUSTER_ID, space })
  await store.commit([], [put('a', '1')])
  disk.room = 20
  assert.equal((await store.commit([], [put('a', '2')])).ok, true)
  assert.equal(released, 1)
  await store.close()
  assert.match(await contents(await open(disk)), /a=2/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openLocalStore } from '../../broker/metadata/local.ts'
import { ProducerIds } from '../../broker/producer-ids.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { CLUSTER_ID } from './harness.ts'

const open = (disk = new MemoryDisk()) =>
  openLocalStore({ disk, path: '/ottla-metadata', clusterId: CLUSTER_ID })

test('ids come one after the other, across blocks, and wait only for a new block', async () => {
  const ids = new ProducerIds(await open())
  const waits: number[] = []
  for (let i = 0; i < 2001; i++) {
    const id = ids.next()
    if (typeof id !== 'number') waits.push(i)
    assert.equal(await id, i)
  }
  assert.deepEqual(waits, [0, 1000, 2000])
})

test('all who find the block empty share a new one', async () => {
  const store = await open()
  const ids = new ProducerIds(store)
  const given = await Promise.all(Array.from({ length: 1500 }, () => ids.next()))
  assert.equal(new Set(given).size, 1500)
  assert.equal((await store.info()).revision, 2)
})

test('no id is given twice, after a crash or by two brokers', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  const [one, two] = [new ProducerIds(store), new ProducerIds(store)]
  const given = await Promise.all([one.next(), two.next(), one.next(), two.next()])
  const after = new ProducerIds(await open(disk.snapshot()))
  given.push(await after.next())
  assert.equal(new Set(given).size, given.length)
})

test('ids below those that adopted logs know are passed over', async () => {
  const store = await open()
  const ids = new ProducerIds(store)
  ids.startAt(4321)
  assert.equal(await ids.next(), 4321)
  ids.startAt(9000)
  ids.startAt(10)
  assert.equal(await ids.next(), 9000)
  assert.equal(await new ProducerIds(store).next(), 10000)
})

test('a store that fails is heard of, and asked again the next time', async () => {
  const store = await open()
  const ids = new ProducerIds(store)
  await store.close()
  await assert.rejects(async () => ids.next(), /metadata store/)
  await assert.rejects(async () => ids.next(), /metadata store/)
})

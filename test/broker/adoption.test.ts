import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adoptOnce, type FoundPartition, nameUnknown } from '../../broker/adoption.ts'
import { imageFromEntries } from '../../broker/metadata/image.ts'
import { openLocalStore } from '../../broker/metadata/local.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { CLUSTER_ID, recordingLogger } from './harness.ts'

const PATH = '/data/ottla-metadata'

function found(name: string, topicId: string | null): FoundPartition {
  const split = name.lastIndexOf('-')
  const partition = Number(name.slice(split + 1))
  return { topic: name.slice(0, split), partition, topicId, directory: `/data/${name}` }
}

async function adopt(partitions: readonly FoundPartition[], disk = new MemoryDisk()) {
  const store = await openLocalStore({ disk, path: PATH, clusterId: CLUSTER_ID })
  const logger = recordingLogger()
  const directory = { unopened: () => partitions }
  await adoptOnce({ store, directory, disk, nodeId: 7, logger })
  const { entries, revision } = await store.range('')
  const image = imageFromEntries(CLUSTER_ID, revision, entries)
  nameUnknown(image, directory, logger)
  const left = logger.lines
    .filter(({ event }) => event === 'directory left alone')
    .map(({ fields }) => `${fields['directory']}: ${fields['why']}`)
  return { image, left, disk, store }
}

test('each topic has the id of its partitions, as many as the highest number says, and is kept whole', async () => {
  const { image, left } = await adopt([
    found('a-2', 'idA'),
    found('b-0', 'idB'),
    found('a-0', 'idA'),
    found('__consumer_offsets-0', 'idO'),
  ])
  // What Kafka keeps there is of no use but compacted.
  assert.equal(image.topics.get('__consumer_offsets')!.configs['cleanup.policy'], 'compact')
  assert.deepEqual(
    [...image.topics.values()]
      .filter(t => !t.isInternal)
      .map(t => [t.name, t.id, t.partitions.length, t.configs]),
    [
      ['a', 'idA', 3, { 'retention.ms': '-1', 'retention.bytes': '-1' }],
      ['b', 'idB', 1, { 'retention.ms': '-1', 'retention.bytes': '-1' }],
    ],
  )
  assert.deepEqual(image.topics.get('a')!.partitions[1]!.replicas, [7])
  assert.deepEqual(left, [])
})

test('our term in an adopted log comes after all that are in it', async () => {
  const disk = new MemoryDisk()
  const text = '0\n2\n3 0\n12 100\n'
  await disk.replaceFile('/data/a-0/leader-epoch-checkpoint', Buffer.from(text))
  await disk.replaceFile('/data/a-1/leader-epoch-checkpoint', Buffer.from('0\n0\n'))
  const { image } = await adopt(
    [found('a-0', 'idA'), found('a-1', 'idA'), found('a-2', 'idA')],
    disk,
  )
  const epochs = image.topics.get('a')!.partitions.map(({ leaderEpoch }) => leaderEpoch)
  assert.deepEqual(epochs, [13, 0, 0])
})

test('what cannot be adopted is named and left alone', async () => {
  const { image, left } = await adopt([
    found('a-0', 'idA'),
    found('a-1', 'idOther'),
    found('b-0', null),
    found('no good-0', 'idN'),
    found('far-2000000000', 'idF'),
  ])
  assert.deepEqual([...image.topics.keys()], ['a'])
  assert.deepEqual(left, [
    '/data/a-1: the topic has fewer partitions',
    '/data/b-0: there is no such topic, and it has no partition.metadata',
    '/data/no good-0: there is no such topic',
    '/data/far-2000000000: there is no such topic',
  ])
})

test('a directory is adopted once: what appears later is named and never served', async () => {
  const { disk, store } = await adopt([])
  await store.close()
  const { image, left } = await adopt([found('late-0', 'idL')], disk)
  assert.equal(image.topics.size, 0)
  assert.deepEqual(left, ['/data/late-0: there is no such topic'])
})

test('a directory of another topic of the same name is named', async () => {
  const first = await adopt([found('a-0', 'idA')])
  await first.store.close()
  const { left } = await adopt([found('a-0', 'idOld')], first.disk)
  assert.deepEqual(left, ['/data/a-0: it belongs to another topic of this name'])
})

test('a crash leaves the directory adopted or untouched', async () => {
  const disk = new MemoryDisk()
  const untouched = disk.snapshot()
  await adopt([found('a-0', 'idA'), found('b-0', 'idB')], disk)
  const { image } = await adopt([found('a-0', 'idA'), found('b-0', 'idB')], untouched)
  assert.equal(image.topics.size, 2)
  assert.equal((await adopt([], disk.snapshot())).image.topics.size, 2)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  applyUpdates,
  type ClusterImage,
  emptyImage,
  imageFromEntries,
} from '../../../broker/metadata/image.ts'

const state = (leaderEpoch = 0) => ({
  leader: 1,
  leaderEpoch,
  partitionEpoch: 0,
  replicas: [1],
  isr: [1],
})
const update = (key: string, value: unknown) => ({
  key,
  value: value === null ? null : JSON.stringify(value),
  revision: 0,
})
const topic = (name: string, id: string, partitions: number) => [
  update(`t/${name}`, { id, partitions }),
  ...Array.from({ length: partitions }, (_, i) => update(`p/${id}/${i}`, state())),
]
const shown = (image: ClusterImage) =>
  [...image.topics.values()].map(
    ({ name, id, partitions, configs }) =>
      `${name} ${id} [${partitions.map(p => `${p.leader}@${p.leaderEpoch}`)}] ${JSON.stringify(configs)}`,
  )

test('a topic appears with its partitions and settings, whatever the order of the keys', () => {
  const updates = [...topic('a', 'idA', 2), update('c/topic/a', { 'retention.ms': '1' })]
  for (const order of [updates, [...updates].reverse()]) {
    const image = applyUpdates(emptyImage('c'), 3, order)
    assert.deepEqual(shown(image), ['a idA [1@0,1@0] {"retention.ms":"1"}'])
    assert.equal(image.topicsById.get('idA'), image.topics.get('a'))
    assert.equal(image.revision, 3)
  }
})

test('an update leaves the image before it, and all topics it does not touch, as they are', () => {
  const before = applyUpdates(emptyImage('c'), 1, [
    ...topic('a', 'idA', 1),
    ...topic('b', 'idB', 1),
  ])
  const after = applyUpdates(before, 2, [update('p/idA/0', state(5))])
  assert.deepEqual(shown(before)[0], 'a idA [1@0] {}')
  assert.deepEqual(shown(after)[0], 'a idA [1@5] {}')
  assert.equal(after.topics.get('b'), before.topics.get('b'))
})

test('partitions are added, settings replaced and taken back', () => {
  let image = applyUpdates(emptyImage('c'), 1, topic('a', 'idA', 1))
  image = applyUpdates(image, 2, [
    update('t/a', { id: 'idA', partitions: 2 }),
    update('p/idA/1', state(1)),
    update('c/topic/a', { x: '1' }),
  ])
  assert.deepEqual(shown(image), ['a idA [1@0,1@1] {"x":"1"}'])
  image = applyUpdates(image, 3, [update('c/topic/a', null)])
  assert.deepEqual(shown(image), ['a idA [1@0,1@1] {}'])
})

test('a topic made again in one step has nothing of its predecessor', () => {
  const before = applyUpdates(emptyImage('c'), 1, [
    ...topic('a', 'idA', 3),
    update('c/topic/a', { x: '1' }),
  ])
  const after = applyUpdates(before, 2, [
    update('p/idA/0', null),
    update('c/topic/a', null),
    ...topic('a', 'idB', 1),
  ])
  assert.deepEqual(shown(after), ['a idB [1@0] {}'])
  assert.deepEqual([...after.topicsById.keys()], ['idB'])
})

test('a deleted topic is gone by name and by id', () => {
  const before = applyUpdates(emptyImage('c'), 1, topic('a', 'idA', 1))
  const after = applyUpdates(before, 2, [update('t/a', null), update('p/idA/0', null)])
  assert.deepEqual([after.topics.size, after.topicsById.size], [0, 0])
})

test('partitions without a topic are invisible, a partition without state has no leader', () => {
  const image = applyUpdates(emptyImage('c'), 1, [
    update('p/ghost/0', state()),
    update('t/a', { id: 'idA', partitions: 1 }),
  ])
  assert.deepEqual(shown(image), ['a idA [-1@0] {}'])
})

test('settings of one broker and of all are kept apart', () => {
  let image = applyUpdates(emptyImage('c'), 1, [
    update('c/broker/1', { a: '1' }),
    update('c/broker/', { b: '2' }),
  ])
  assert.deepEqual(
    [...image.brokerConfigs],
    [
      ['1', { a: '1' }],
      ['', { b: '2' }],
    ],
  )
  image = applyUpdates(image, 2, [update('c/broker/1', null)])
  assert.deepEqual([...image.brokerConfigs.keys()], [''])
})

test("the brokers' own topics are internal", () => {
  const image = applyUpdates(emptyImage('c'), 1, [
    ...topic('__consumer_offsets', 'i', 1),
    ...topic('__mine', 'j', 1),
  ])
  assert.deepEqual(
    [...image.topics.values()].map(({ isInternal }) => isInternal),
    [true, false],
  )
})

test('an image from the entries of the store equals one from its updates', () => {
  const updates = [
    ...topic('a', 'idA', 2),
    update('meta', { format: 1 }),
    update('pid', { next: 9 }),
  ]
  const entries = updates.map(({ key, value }) => ({
    key,
    value: value!,
    modRevision: 1,
    createRevision: 1,
  }))
  assert.deepEqual(imageFromEntries('c', 4, entries), applyUpdates(emptyImage('c'), 4, updates))
})

test('a value that is not JSON is named', () => {
  const broken = { key: 't/a', value: '{', revision: 1 }
  assert.throws(() => applyUpdates(emptyImage('c'), 1, [broken]), /'t\/a' is not readable/)
})

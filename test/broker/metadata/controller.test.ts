import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Outcome } from '../../../broker/metadata/controller.ts'
import { openLocalStore } from '../../../broker/metadata/local.ts'
import { MAX_PARTITIONS_PER_REQUEST } from '../../../broker/metadata/placement.ts'
import type { Watcher } from '../../../broker/metadata/store.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { MemoryDisk } from '../../../segment-store/memory-disk.ts'
import { CLUSTER_ID, testBroker } from '../harness.ts'

const topic = (name: string, numPartitions = 1, configs = {}) => ({
  name,
  numPartitions,
  replicationFactor: 1,
  assignments: [],
  configs,
})
const errorOf = (outcome: Outcome<unknown> | undefined) => {
  assert.ok(outcome !== undefined && 'error' in outcome, 'it failed')
  assert.ok(outcome.error instanceof ProtocolError, String(outcome.error))
  return outcome.error
}

test('a change is answered only when everybody who follows the image has acted on it', async () => {
  const steps: string[] = []
  let release = () => {}
  const { broker } = await testBroker({
    async onImage(before, after) {
      if (after.topics.size === before.topics.size) return
      steps.push(`opening ${[...after.topics.keys()]}`)
      await new Promise<void>(resolve => {
        release = resolve
      })
      steps.push('opened')
    },
  })
  const created = broker.controller.createTopics([topic('a')]).then(() => steps.push('answered'))
  while (steps.length === 0) await new Promise(setImmediate)
  assert.equal(broker.image.topics.size, 0)
  release()
  await created
  assert.deepEqual(steps, ['opening a', 'opened', 'answered'])
  assert.equal(broker.image.topics.size, 1)
})

test('of concurrent creations of one topic one wins, and the others too answer when it is open', async () => {
  const { broker } = await testBroker({ onImage: () => new Promise(setImmediate) })
  const outcomes = await Promise.all(
    [1, 2, 3].map(async () => {
      const [outcome] = await broker.controller.createTopics([topic('a')])
      assert.ok(broker.image.topics.has('a'))
      return 'value' in outcome! ? 'created' : errorOf(outcome).error
    }),
  )
  assert.deepEqual(outcomes, ['created', 'TOPIC_ALREADY_EXISTS', 'TOPIC_ALREADY_EXISTS'])
})

test('two controllers on one store: a change that lost is decided again from the newer image', async () => {
  const store = await openLocalStore({ disk: new MemoryDisk(), path: null, clusterId: CLUSTER_ID })
  const [one, two] = [await testBroker({ store }), await testBroker({ store })]
  const outcomes = await Promise.all(
    [one, two].map(({ broker }) => broker.controller.createTopics([topic('a'), topic('b')])),
  )
  const won = outcomes.map(list => list.map(outcome => 'value' in outcome).join())
  assert.deepEqual(won.sort(), ['false,false', 'true,true'])
  await Promise.all([
    one.broker.controller.alterConfigs('topic', 'a', before => ({ ...before, x: '1' })),
    two.broker.controller.alterConfigs('topic', 'a', before => ({ ...before, y: '2' })),
  ])
  assert.deepEqual(one.broker.image.topics.get('a')!.configs, { x: '1', y: '2' })
})

test('what is wrong with one topic does not stop the others', async () => {
  const { broker, seen } = await testBroker()
  const outcomes = await broker.controller.createTopics([topic('a'), topic('no good'), topic('b')])
  assert.equal(errorOf(outcomes[1]).error, 'INVALID_TOPIC_EXCEPTION')
  assert.deepEqual(seen.at(-1), ['a', 'b'])
})

test('names that differ only in dots and underscores collide, within one request too', async () => {
  const { broker, createTopic } = await testBroker()
  await createTopic('a.b')
  const outcomes = await broker.controller.createTopics([topic('a_b'), topic('c_d'), topic('c.d')])
  assert.match(errorOf(outcomes[0]).detail, /collides with existing topic: a\.b/)
  assert.match(errorOf(outcomes[2]).detail, /collides with existing topic: c_d/)
})

test('a request may make so many partitions and no more', async () => {
  const { broker } = await testBroker()
  const { controller } = broker
  const half = MAX_PARTITIONS_PER_REQUEST / 2
  const fits = await controller.createTopics([topic('a', half), topic('b', half)], true)
  assert.ok(fits.every(outcome => 'value' in outcome))
  const tooMany = await controller.createTopics([topic('a', half), topic('b', half + 1)], true)
  assert.equal(errorOf(tooMany[1]).error, 'POLICY_VIOLATION')
  const huge = await controller.createTopics([topic('a', 2 ** 31 - 1)], true)
  assert.equal(errorOf(huge[0]).error, 'POLICY_VIOLATION')
})

test('topics survive a restart; settings go with their topic', async () => {
  const disk = new MemoryDisk()
  const open = () => openLocalStore({ disk, path: '/ottla-metadata', clusterId: CLUSTER_ID })
  const first = await testBroker({ store: await open() })
  await first.createTopic('a', 2, { 'retention.ms': '5' })
  await first.createTopic('b')
  await first.broker.controller.deleteTopics([{ name: 'b' }])
  await first.store.close()
  const second = await testBroker({ store: await open() })
  const { topics } = second.broker.image
  assert.deepEqual([...topics.keys()], ['a'])
  assert.deepEqual(topics.get('a'), first.broker.image.topics.get('a'))
  await second.broker.controller.deleteTopics([{ id: topics.get('a')!.id }])
  await second.createTopic('a')
  assert.deepEqual(second.broker.image.topics.get('a')!.configs, {})
})

test('ids of topics never start with a dash', async () => {
  const { broker } = await testBroker()
  let calls = 0
  Object.assign(broker.io, { uuid: () => (calls++ === 0 ? '-'.padEnd(22, 'A') : 'B'.repeat(22)) })
  await broker.controller.createTopics([topic('a')])
  assert.equal(broker.image.topics.get('a')!.id, 'B'.repeat(22))
})

test('settings that did not change are not written', async () => {
  const { broker, store, createTopic } = await testBroker()
  await createTopic('a', 1, { x: '1' }).catch(() => createTopic('a'))
  const { revision } = await store.info()
  await broker.controller.alterConfigs('topic', 'a', before => ({ ...before }))
  await broker.controller.alterConfigs('topic', 'a', () => ({ y: '1' }), true)
  assert.equal((await store.info()).revision, revision)
})

test('a new term raises the leader epoch of every partition', async () => {
  const { broker, createTopic } = await testBroker()
  await createTopic('a', 2)
  await broker.controller.beginNewTerms()
  const states = broker.image.topics.get('a')!.partitions
  assert.deepEqual(
    states.map(({ leaderEpoch, partitionEpoch }) => [leaderEpoch, partitionEpoch]),
    [
      [1, 1],
      [1, 1],
    ],
  )
})

test('a follower of the image that fails is logged and does not stop the others', async () => {
  let fails = true
  const { broker, logger, createTopic } = await testBroker({
    onImage() {
      if (fails) throw new Error('disk on fire')
    },
  })
  await createTopic('a')
  fails = false
  await createTopic('b')
  assert.equal(broker.image.topics.size, 2)
  assert.match(String(logger.lines.find(({ level }) => level === 'error')?.fields['error']), /fire/)
})

test('what was missed because the store forgot it is loaded anew', async () => {
  const store = await openLocalStore({ disk: new MemoryDisk(), path: null, clusterId: CLUSTER_ID })
  const watchers: Watcher[] = []
  const deaf = new Proxy(store, {
    get(target, name) {
      // The first watch hears nothing but that it came too late.
      if (name === 'watch' && watchers.length === 0)
        return (_prefix: string, _from: number, watcher: Watcher) => {
          watchers.push(watcher)
          return () => {}
        }
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const { broker, logger, createTopic } = await testBroker({ store: deaf })
  const missed = { key: 't/missed', value: JSON.stringify({ id: 'id', partitions: 0 }) }
  const { revision } = await store.commit([], [missed])
  assert.equal(broker.image.topics.size, 0)
  watchers[0]!.compacted(revision)
  while (broker.image.topics.size < 1) await new Promise(setImmediate)
  assert.ok(logger.lines.some(({ event }) => event.startsWith('metadata loaded anew')))
  await createTopic('after')
  assert.deepEqual([...broker.image.topics.keys()], ['missed', 'after'])
})

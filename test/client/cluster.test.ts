/** Routing, retries and deadlines of the client, in virtual time, against brokers that answer from a script. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../client/cluster.ts'
import type { ClientOptions } from '../../client/config.ts'
import {
  AnswerError,
  ClosedError,
  ConnectionError,
  isRetriable,
  rootError,
  TimeoutError,
} from '../../client/errors.ts'
import type { ResponseInput } from '../../protocol/apis.ts'
import { idle, MemoryIo, type Script, ScriptedBroker } from './memory-network.ts'

interface Picture {
  brokers: readonly number[]
  controllerId: number
  /** Leader of partition 0, 1, … of topic t. */
  leaders: readonly number[]
}

/** Brokers with node id n listen at `bn:9092`; b1 is the bootstrap address too, as `seed:9092`. */
class World {
  readonly io = new MemoryIo()
  readonly brokers = new Map<number, ScriptedBroker>()
  readonly seed: ScriptedBroker
  picture: Picture = { brokers: [1, 2], controllerId: 1, leaders: [1, 2] }

  constructor(script: Script = {}) {
    const all: Script = { Metadata: () => this.metadata(), ...script }
    this.seed = new ScriptedBroker(this.io, 'seed', 9092, all)
    for (const id of [1, 2]) this.brokers.set(id, new ScriptedBroker(this.io, `b${id}`, 9092, all))
  }

  cluster(options: Partial<ClientOptions> = {}): Cluster {
    return new Cluster(this.io, { bootstrap: 'seed:9092', ...options })
  }

  broker(id: number): ScriptedBroker {
    return this.brokers.get(id)!
  }

  metadata(): ResponseInput<'Metadata'> {
    const { brokers, controllerId, leaders } = this.picture
    const partitions = leaders.map((leaderId, partitionIndex) => ({
      errorCode: 0,
      partitionIndex,
      leaderId,
      leaderEpoch: 3,
      replicaNodes: [1, 2],
      isrNodes: [1, 2],
    }))
    return {
      brokers: brokers.map(nodeId => ({ nodeId, host: `b${nodeId}`, port: 9092 })),
      clusterId: 'c',
      controllerId,
      topics: [{ errorCode: 0, name: 't', partitions }],
    }
  }
}

const CREATE = { topics: [], timeoutMs: 1 }
const created = () => ({ topics: [] })

test('a request for the controller finds it through the bootstrap address', async () => {
  const world = new World({ CreateTopics: created })
  world.picture.controllerId = 2
  const cluster = world.cluster()
  await cluster.run('create', {}, a => cluster.request('controller', 'CreateTopics', CREATE, a))
  assert.deepEqual(world.seed.asked, ['Metadata'])
  assert.deepEqual(world.broker(2).asked, ['CreateTopics'])
  assert.equal(cluster.label(2), 'broker 2 at b2:9092')
  await idle()
  assert.equal(world.seed.connections, 0, 'the bootstrap connection is not needed any more')
})

test('when the controller has moved the next attempt asks who it is now', async () => {
  const world = new World({ CreateTopics: created })
  const cluster = world.cluster()
  let attempts = 0
  const call = cluster.run('create', {}, async attempt => {
    attempts++
    await cluster.request('controller', 'CreateTopics', CREATE, attempt)
    if (attempt.asked === 'broker 2 at b2:9092') return
    world.picture.controllerId = 2
    throw new AnswerError(41, { api: 'CreateTopics' })
  })
  await world.io.settle(call)
  assert.equal(attempts, 2)
  assert.deepEqual(world.broker(2).asked, ['CreateTopics'])
})

test('leaders are looked up once, and again after an error that says they have moved', async () => {
  const world = new World()
  const told: object[] = []
  const info = (fields: object, message: string) => void told.push({ message, ...fields })
  const cluster = world.cluster({ logger: { debug() {}, info, warn() {} } })
  const leaders = await cluster.run('look', {}, async attempt => [
    await cluster.leader('t', 0, attempt),
    await cluster.leader('t', 1, attempt),
  ])
  assert.deepEqual(
    leaders.map(l => [l.leaderId, l.leaderEpoch]),
    [
      [1, 3],
      [2, 3],
    ],
  )
  assert.equal(world.seed.asked.length, 1)
  let attempts = 0
  const moved = cluster.run('look', {}, async attempt => {
    const { leaderId } = await cluster.leader('t', 0, attempt)
    if (++attempts === 1) {
      world.picture.leaders = [2, 2]
      throw new AnswerError(6, { topic: 't', partition: 0 })
    }
    return leaderId
  })
  assert.equal(await world.io.settle(moved), 2)
  const moves = told.filter(line => 'from' in line)
  const place = { clientId: 'ottla', topic: 't', partition: 0, from: 1, to: 2, leaderEpoch: 3 }
  assert.deepEqual(moves, [{ message: 'the leader has moved', ...place }])
})

test('many topics are asked about in one request, and one that is new by itself', async () => {
  const asked: string[][] = []
  const world = new World({
    Metadata: ({ topics }) => {
      asked.push((topics ?? []).map(({ name }) => name ?? '').sort())
      const { brokers, clusterId, controllerId, topics: some } = world.metadata()
      const all = (topics ?? []).map(({ name }) => ({ ...some[0]!, name }))
      return { brokers, clusterId, controllerId, topics: all }
    },
  })
  const cluster = world.cluster({ metadataMaxAgeMs: 1_000 })
  const leadersOf = (names: string[]) =>
    cluster.run('look', {}, async attempt => {
      cluster.track(names)
      for (const name of names) await cluster.leader(name, 0, attempt)
    })
  await leadersOf(['a', 'b', 'c'])
  assert.deepEqual(asked, [['a', 'b', 'c']])
  await leadersOf(['d', 'a', 'e'])
  assert.deepEqual(asked.slice(1), [['d', 'e']], 'the others are known')
  await world.io.elapse(1_001)
  cluster.track(['', 7 as unknown as string])
  await leadersOf(['b'])
  assert.deepEqual(asked.slice(2), [['a', 'b', 'c', 'd', 'e']], 'all have grown old')
})

test('a topic that is named while a request is under way is not taken for missing', async () => {
  const world = new World({
    Metadata: ({ topics }) => {
      const { brokers, clusterId, controllerId, topics: some } = world.metadata()
      const all = (topics ?? []).map(({ name }) => ({ ...some[0]!, name }))
      return { brokers, clusterId, controllerId, topics: all }
    },
  })
  const cluster = world.cluster()
  const first = cluster.run('look', {}, attempt => cluster.leader('a', 0, attempt))
  while (world.seed.asked.length === 0) await Promise.resolve()
  cluster.track(['b'])
  const second = cluster.run('look', {}, attempt => cluster.leader('b', 0, attempt))
  assert.deepEqual(
    (await Promise.all([first, second])).map(leader => leader.leaderId),
    [1, 1],
  )
})

test('metadata grows old', async () => {
  const world = new World()
  const cluster = world.cluster({ metadataMaxAgeMs: 1_000 })
  const look = () => cluster.run('look', {}, attempt => cluster.leader('t', 0, attempt))
  await look()
  await world.io.elapse(999)
  await look()
  assert.equal(world.seed.asked.length, 1)
  await world.io.elapse(1)
  await look()
  assert.equal(world.seed.asked.length, 2)
})

test('a partition without a leader, and one that does not exist, are told apart', async () => {
  const world = new World()
  world.picture.leaders = [-1]
  const cluster = world.cluster({ apiTimeoutMs: 300 })
  for (const [partition, expected] of [
    [0, 'LEADER_NOT_AVAILABLE'],
    [1, 'UNKNOWN_TOPIC_OR_PARTITION'],
  ] as const) {
    const look = cluster.run('look', {}, attempt => cluster.leader('t', partition, attempt))
    const error = await world.io.settle(look).catch((reason: unknown) => reason)
    assert(error instanceof TimeoutError)
    const root = rootError(error)
    assert(root instanceof AnswerError)
    assert.deepEqual([root.error, root.topic, root.partition], [expected, 't', partition])
  }
})

test('waits between attempts double, up to a limit, with jitter', async () => {
  const world = new World()
  const cluster = world.cluster({ retryBackoffMs: 100, retryBackoffMaxMs: 500 })
  let attempts = 0
  const call = cluster.run('try', {}, async () => {
    if (++attempts < 6) throw new AnswerError(7, {})
  })
  await world.io.settle(call)
  assert.deepEqual(world.io.pausesMs, [100, 200, 400, 500, 500])
  world.io.pausesMs.length = 0
  world.io.random = () => 0
  attempts = 4
  await world.io.settle(
    cluster.run('try', {}, async () => {
      if (++attempts < 6) throw new AnswerError(7, {})
    }),
  )
  assert.deepEqual(world.io.pausesMs, [80])
})

test('what is not retriable is not repeated', async () => {
  const world = new World()
  const cluster = world.cluster()
  let attempts = 0
  const call = cluster.run('try', {}, async () => {
    attempts++
    throw new AnswerError(36, {})
  })
  await assert.rejects(call, AnswerError)
  assert.equal(attempts, 1)
})

test('a call gives up at its deadline and says what it kept running into', async () => {
  const world = new World()
  const cluster = world.cluster()
  const call = cluster.run('createTopics', { timeoutMs: 1_000 }, async () => {
    throw new AnswerError(41, { api: 'CreateTopics', broker: 'b1:9092' })
  })
  const error = await world.io.settle(call).catch((reason: unknown) => reason)
  assert(error instanceof TimeoutError)
  assert.match(error.message, /^createTopics gave up after 700 ms and 4 attempts; .*NOT_CONTROLLER/)
  assert.equal(isRetriable(error), true)
})

test('after a lost answer the next attempt knows that it may be done already', async () => {
  const world = new World()
  const seen: boolean[] = []
  const cluster = world.cluster()
  world.broker(1).script = { ...world.broker(1).script, CreateTopics: () => 'close' }
  const call = cluster.run('create', {}, async attempt => {
    seen.push(attempt.mayBeDone)
    if (seen.length === 2)
      world.broker(1).script = { ...world.broker(1).script, CreateTopics: created }
    return cluster.request('controller', 'CreateTopics', CREATE, attempt)
  })
  await world.io.settle(call)
  assert.deepEqual(seen, [false, true])
})

test('addresses that do not answer are passed over; if none answers, all are named', async () => {
  const world = new World()
  const options = { bootstrap: ['gone:1', 'seed:9092'] }
  const cluster = world.cluster(options)
  await cluster.run('look', {}, attempt => cluster.metadata([], attempt))
  assert.deepEqual(cluster.nodeIds, [1, 2])
  const nobody = world.cluster({ bootstrap: 'gone:1,away:2', bootstrapTimeoutMs: 0 })
  const look = nobody.run('look', {}, attempt => nobody.metadata([], attempt))
  const error = await look.catch((reason: unknown) => reason)
  assert(error instanceof ConnectionError)
  assert.equal(error.neverOpened, true)
  assert.match(error.message, /not one of 2 brokers can be reached: .*gone:1.*away:2/)
})

test('while no broker has ever answered it goes on for bootstrapTimeoutMs', async () => {
  const world = new World()
  const cluster = world.cluster({ bootstrap: 'late:9092', bootstrapTimeoutMs: 1_000 })
  const look = () => cluster.run('look', {}, attempt => cluster.metadata([], attempt))
  await assert.rejects(world.io.settle(look()), ConnectionError)
  const second = look()
  await world.io.elapse(500)
  new ScriptedBroker(world.io, 'late', 9092, { Metadata: () => world.metadata() })
  await world.io.settle(second)
})

test('when every known broker is gone the bootstrap addresses are tried again', async () => {
  const world = new World({ CreateTopics: created })
  const cluster = world.cluster()
  const create = () =>
    cluster.run('create', {}, a => cluster.request('controller', 'CreateTopics', CREATE, a))
  await create()
  for (const id of [1, 2]) {
    await world.io.network.listen(`b${id}`, 9092, socket => socket.destroy())
    world.broker(id).dropConnections()
  }
  new ScriptedBroker(world.io, 'b3', 9092, world.seed.script)
  world.picture = { brokers: [3], controllerId: 3, leaders: [3] }
  await world.io.settle(create())
  assert.deepEqual(cluster.nodeIds, [3])
})

test('a broker whose advertised address does not work is named with the setting to look at', async () => {
  const world = new World()
  world.picture = { brokers: [7], controllerId: 7, leaders: [7] }
  const cluster = world.cluster({ apiTimeoutMs: 100 })
  const call = cluster.run('create', {}, a => cluster.request(7, 'CreateTopics', CREATE, a))
  const error = await world.io.settle(call).catch((reason: unknown) => reason)
  const root = rootError(error)
  assert(root instanceof ConnectionError)
  assert.match(root.message, /cannot connect to broker 7 at b7:9092.*advertised\.listeners/)
})

test('a broker that is not in the cluster is not waited for longer than the deadline', async () => {
  const world = new World()
  const cluster = world.cluster({ apiTimeoutMs: 1_000 })
  const call = cluster.run('create', {}, a => cluster.request(99, 'CreateTopics', CREATE, a))
  await assert.rejects(world.io.settle(call), /broker 99 is not in the cluster/)
})

test('callers at the same time share one connection and one question for metadata', async () => {
  const world = new World({ CreateTopics: created })
  const cluster = world.cluster()
  const create = () =>
    cluster.run('create', {}, a => cluster.request('controller', 'CreateTopics', CREATE, a))
  await Promise.all([create(), create(), create()])
  assert.equal(world.io.connects, 2)
  assert.deepEqual(world.seed.asked, ['Metadata'])
  assert.equal(world.broker(1).asked.length, 3)
})

test('aborting ends a call at once, in a request as in a pause', async () => {
  const world = new World({ CreateTopics: () => 'hang' })
  const cluster = world.cluster()
  const attempts = [
    (a: Parameters<Parameters<typeof cluster.run>[2]>[0]) =>
      cluster.request('controller', 'CreateTopics', CREATE, a),
    () => Promise.reject(new AnswerError(41, {})),
  ]
  for (const attempt of attempts) {
    const controller = new AbortController()
    const call = cluster.run<unknown>('create', { signal: controller.signal }, attempt)
    await idle()
    controller.abort(new Error('enough'))
    await assert.rejects(call, /enough/)
  }
})

test('closing ends what is under way and refuses what comes after', async () => {
  const world = new World({ CreateTopics: () => 'hang' })
  const cluster = world.cluster()
  const calls = [
    cluster.run('a', {}, a => cluster.request('controller', 'CreateTopics', CREATE, a)),
    cluster.run('b', {}, () => Promise.reject(new AnswerError(41, {}))),
  ]
  const outcomes = Promise.allSettled(calls)
  await idle()
  cluster.close()
  for (const outcome of await outcomes) {
    assert(outcome.status === 'rejected' && outcome.reason instanceof ClosedError)
  }
  await assert.rejects(
    cluster.run('c', {}, a => cluster.metadata([], a)),
    ClosedError,
  )
  await idle()
  assert.equal(world.broker(1).connections + world.seed.connections, 0)
})

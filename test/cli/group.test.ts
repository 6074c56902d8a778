/** `ottla group` in this process, against a scripted coordinator: what it prints, what it asks, and its exit codes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCli } from '../../cli/main.ts'
import { Admin } from '../../client/admin.ts'
import { Cluster } from '../../client/cluster.ts'
import type { RequestOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import { MemoryIo, type Script, ScriptedBroker } from '../client/memory-network.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'
/** ConsumerProtocolAssignment: version 0, one topic `t` with partitions 0 and 1. */
const ASSIGNMENT = Buffer.from('00000000000100017400000002000000000000000100000000', 'hex')

/** A topic of two partitions with offsets 10 to 100, and one group that has read to 40 and 50. */
class ToyCoordinator {
  readonly io = new MemoryIo()
  readonly committed: (readonly [number, number])[] = []
  members = 0
  moved = 0
  /** How often ListGroups is answered; then it is refused. */
  lists = Number.POSITIVE_INFINITY
  private readonly broker: ScriptedBroker

  constructor() {
    const script: Script = {
      Metadata: ({ topics }) => ({
        brokers: [{ nodeId: 1, host: 'localhost', port: 9092 }],
        clusterId: 'c',
        controllerId: 1,
        topics: (topics ?? []).map(() => ({
          errorCode: 0,
          name: 't',
          topicId: TOPIC_ID,
          partitions: [0, 1].map(partitionIndex => ({
            errorCode: 0,
            partitionIndex,
            leaderId: 1,
            replicaNodes: [1],
            isrNodes: [1],
          })),
        })),
      }),
      FindCoordinator: ({ coordinatorKeys }) => ({
        coordinators: coordinatorKeys.map(key => ({
          key,
          nodeId: 1,
          host: 'localhost',
          port: 9092,
          errorCode: 0,
        })),
      }),
      ListGroups: () => ({
        errorCode: this.lists-- > 0 ? 0 : errorCode('CLUSTER_AUTHORIZATION_FAILED'),
        groups: ['g', 'a'].map(groupId => ({
          groupId,
          protocolType: 'consumer',
          groupState: 'Empty',
          groupType: 'classic',
        })),
      }),
      DescribeGroups: ({ groups }) => ({ groups: groups.map(groupId => this.described(groupId)) }),
      ConsumerGroupDescribe: ({ groupIds }) => ({
        groups: groupIds.map(groupId => this.describedConsumers(groupId)),
      }),
      OffsetFetch: ({ groups }) => ({
        groups: groups.map(({ groupId }) => ({
          groupId,
          topics:
            groupId === 'g' ? [{ topicId: TOPIC_ID, partitions: [at(1, 50), at(0, 40)] }] : [],
        })),
      }),
      OffsetCommit: request => this.commit(request),
      DeleteGroups: ({ groupsNames }) => ({
        results: groupsNames.map(groupId => ({
          groupId,
          errorCode: groupId === 'g' ? 0 : errorCode('GROUP_ID_NOT_FOUND'),
        })),
      }),
      ListOffsets: ({ topics }) => ({
        topics: topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex, timestamp }) => ({
            partitionIndex,
            errorCode: 0,
            offset: timestamp === -2 ? 10 : timestamp === -1 ? 100 : timestamp === 5000 ? 70 : -1,
          })),
        })),
      }),
    }
    this.broker = new ScriptedBroker(this.io, 'localhost', 9092, script)
  }

  private described(groupId: string) {
    const member = {
      memberId: 'm-1',
      clientId: 'c',
      clientHost: '/h',
      memberMetadata: Buffer.alloc(0),
      memberAssignment: ASSIGNMENT,
    }
    const absent = groupId !== 'g'
    return {
      errorCode: absent ? errorCode('GROUP_ID_NOT_FOUND') : 0,
      errorMessage: absent ? `Group ${groupId} not found.` : 'Waiting for m-2.',
      groupId,
      groupState: absent ? 'Dead' : this.members > 0 ? 'Stable' : 'Empty',
      protocolType: 'consumer',
      protocolData: this.members > 0 ? 'range' : '',
      members: this.members > 0 ? [member] : [],
    }
  }

  private describedConsumers(groupId: string) {
    const topicPartitions = [{ topicId: TOPIC_ID, topicName: 't', partitions: [1] }]
    const has = { topicPartitions }
    const member = { memberId: 'm-8', memberEpoch: 3, clientId: 'c', clientHost: '/h' }
    const absent = groupId !== 'k'
    return {
      errorCode: absent ? errorCode('GROUP_ID_NOT_FOUND') : 0,
      errorMessage: absent ? `Group ${groupId} not found.` : 'Epoch 3 waits.',
      groupId,
      groupState: 'Reconciling',
      groupEpoch: 3,
      assignmentEpoch: 3,
      assignorName: 'uniform',
      members: [{ ...member, subscribedTopicNames: ['t'], assignment: has, targetAssignment: has }],
    }
  }

  private commit({ topics }: RequestOf<'OffsetCommit'>) {
    const hasMoved = this.moved-- > 0
    return {
      topics: topics.map(({ topicId, partitions }) => ({
        topicId,
        partitions: partitions.map(({ partitionIndex, committedOffset }) => {
          if (!hasMoved) this.committed.push([partitionIndex, committedOffset])
          return { partitionIndex, errorCode: hasMoved ? errorCode('NOT_COORDINATOR') : 0 }
        }),
      })),
    }
  }

  asked(name: string): number {
    return this.broker.seen.filter(seen => seen.name === name).length
  }

  async run(...args: string[]) {
    return this.runWith(null, ...args)
  }

  /** With an answer a person is at the terminal and gives it. */
  async runWith(answer: string | null, ...args: string[]) {
    let [out, err] = ['', '']
    const call = runCli(['group', ...args], {
      terminal: {
        out: text => {
          out += text
        },
        err: text => {
          err += text
        },
        isInteractive: answer !== null,
        lines: () => assert.fail('nothing is read here'),
        ask: async () => answer ?? '',
      },
      openAdmin: async options => new Admin(new Cluster(this.io, options)),
      openClient: () => assert.fail('groups need no more than an admin'),
      runBroker: async () => {},
      printConfig: async () => {},
    })
    return { code: await call, out, err }
  }
}

function at(partitionIndex: number, committedOffset: number) {
  return { partitionIndex, committedOffset, metadata: '', errorCode: 0 }
}

test('list shows all groups by name', async () => {
  const { code, out } = await new ToyCoordinator().run('list')
  assert.equal(code, 0)
  assert.match(out, /^GROUP {2}STATE {2}TYPE {5}PROTOCOL TYPE\na .*\ng .*\n$/)
})

test('describe shows members with what they were assigned, and what the broker explains', async () => {
  const cluster = new ToyCoordinator()
  cluster.members = 1
  const { code, out } = await cluster.run('describe', 'g')
  assert.equal(code, 0)
  assert.match(out, /^Group g: Stable, range, 1 member\(s\)\nWaiting for m-2\.\nMEMBER/)
  assert.match(out, /m-1 .* c .* \/h .* t:0,1\n$/)
  const ofConsumers = await cluster.run('describe', 'k')
  assert.match(ofConsumers.out, /^Group k: Reconciling, uniform, 1 member\(s\)\nEpoch 3 waits\.\n/)
  assert.match(ofConsumers.out, /m-8 .* t:1\n$/)
  const absent = await cluster.run('describe', 'nobody')
  assert.equal(absent.code, 1)
  assert.match(absent.err, /group 'nobody': .*not found/)
})

test('lag compares what was committed with what is there', async () => {
  const { out } = await new ToyCoordinator().run('lag', 'g', '--json')
  const rows = JSON.parse(out) as { partition: number; offset: number; lag: number }[]
  assert.deepEqual(
    rows.map(({ partition, offset, lag }) => [partition, offset, lag]),
    [
      [0, 40, 60],
      [1, 50, 50],
    ],
  )
  const all = await new ToyCoordinator().run('lag')
  assert.match(all.out, /^GROUP {2}TOPIC {2}PARTITION {2}COMMITTED {2}START {2}END {2}LAG\ng /)
})

for (const [goal, expected] of [
  [
    '--to-earliest',
    [
      [0, 10],
      [1, 10],
    ],
  ],
  [
    '--to-latest',
    [
      [0, 100],
      [1, 100],
    ],
  ],
  [
    '--to-offset 45',
    [
      [0, 45],
      [1, 45],
    ],
  ],
  [
    '--to-offset 5',
    [
      [0, 10],
      [1, 10],
    ],
  ],
  [
    '--to-offset 101',
    [
      [0, 100],
      [1, 100],
    ],
  ],
  [
    '--shift-by -35',
    [
      [0, 10],
      [1, 15],
    ],
  ],
  [
    '--shift-by 55',
    [
      [0, 95],
      [1, 100],
    ],
  ],
  [
    '--to-timestamp 5000',
    [
      [0, 70],
      [1, 70],
    ],
  ],
  [
    '--to-timestamp 2020-01-01T00:00:00Z',
    [
      [0, 100],
      [1, 100],
    ],
  ],
  [
    '--by-duration 1h',
    [
      [0, 100],
      [1, 100],
    ],
  ],
  ['--to-earliest --topic t:1', [[1, 10]]],
  [
    '--to-earliest --topic t',
    [
      [0, 10],
      [1, 10],
    ],
  ],
] as const) {
  test(`reset ${goal} stays within what is there; a dry run sets nothing`, async () => {
    const cluster = new ToyCoordinator()
    const dry = await cluster.run('reset', 'g', ...goal.split(' '), '--dry-run')
    assert.deepEqual([dry.code, cluster.committed], [0, []])
    const { code } = await cluster.run('reset', 'g', ...goal.split(' '))
    assert.equal(code, 0)
    assert.deepEqual(cluster.committed, expected)
  })
}

test('reset wants one goal, a person to agree, and a group without members', async () => {
  const cluster = new ToyCoordinator()
  assert.equal((await cluster.run('reset', 'g')).code, 2)
  assert.equal((await cluster.run('reset', 'g', '--to-latest', '--to-earliest')).code, 2)
  assert.equal((await cluster.run('reset', 'g', '--by-duration', 'long')).code, 2)
  assert.equal((await cluster.run('reset', 'g', '--to-timestamp', 'soon')).code, 2)
  assert.equal((await cluster.run('reset', 'g', '--to-offset', 'x')).code, 2)
  assert.equal((await cluster.run('reset', 'g', '--to-latest', '--topic', 't:x')).code, 2)
  assert.equal((await cluster.runWith('n', 'reset', 'g', '--to-latest')).code, 2)
  cluster.members = 1
  const busy = await cluster.run('reset', 'g', '--to-latest')
  assert.match(busy.err, /group 'g' has 1 member\(s\): stop them first/)
  assert.deepEqual(cluster.committed, [])
  cluster.members = 0
  assert.equal((await cluster.runWith('y', 'reset', 'g', '--to-latest')).code, 0)
  const fresh = await new ToyCoordinator().run('reset', 'new', '--to-latest')
  assert.match(fresh.out, /has read nothing; name a topic/)
})

test('a coordinator that has moved is looked for again', async () => {
  const cluster = new ToyCoordinator()
  cluster.moved = 1
  const { code } = await cluster.io.settle(cluster.run('reset', 'g', '--to-latest'))
  assert.equal(code, 0)
  assert.equal(cluster.asked('FindCoordinator'), 2)
})

test('delete says what was deleted, and what was not there', async () => {
  const cluster = new ToyCoordinator()
  const deleted = await cluster.run('delete', 'g')
  assert.deepEqual([deleted.code, deleted.out], [0, 'Deleted group g.\n'])
  const absent = await cluster.run('delete', 'nobody', '-y')
  assert.equal(absent.code, 1)
  assert.match(absent.err, /group 'nobody'.*GROUP_ID_NOT_FOUND/)
  assert.equal((await cluster.runWith('n', 'delete', 'g')).code, 2)
})

test('--watch shows the newest picture again and again, until it fails', async () => {
  const cluster = new ToyCoordinator()
  cluster.lists = 3
  const { code, out, err } = await cluster.run('list', '--watch', '1')
  assert.equal(code, 1)
  assert.match(err, /CLUSTER_AUTHORIZATION_FAILED/)
  const pictures = out.split('\n\n').filter(one => one.trim() !== '')
  assert.equal(pictures.length, 3)
  assert.ok(
    pictures.every(one => /g .*Empty/.test(one)),
    out,
  )
  for (const wrong of ['0', 'often']) {
    assert.equal((await cluster.run('lag', '--watch', wrong)).code, 2)
  }
})

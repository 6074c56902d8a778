/** Looking for leaders of many partitions, in virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../client/cluster.ts'
import { LeaderSearch, type Wanted } from '../../client/leader-search.ts'
import { idle, MemoryIo, ScriptedBroker } from './memory-network.ts'

class World {
  readonly io = new MemoryIo()
  leaderId = 1
  readonly found: number[] = []
  readonly missed: string[] = []
  keepsLooking = true
  readonly search: LeaderSearch<Wanted>

  constructor() {
    new ScriptedBroker(this.io, 'b1', 9092, {
      Metadata: ({ topics }) => ({
        brokers: [{ nodeId: 1, host: 'b1', port: 9092 }],
        clusterId: 'c',
        controllerId: 1,
        topics: (topics ?? []).map(({ name }) => ({
          errorCode: 0,
          name,
          partitions: [
            {
              errorCode: 0,
              partitionIndex: 0,
              leaderId: this.leaderId,
              replicaNodes: [1],
              isrNodes: [1],
            },
          ],
        })),
      }),
    })
    this.search = new LeaderSearch(this.io, new Cluster(this.io, { bootstrap: 'b1:9092' }), {
      found: ({ partition }) => void this.found.push(partition),
      missed: (_, error) => {
        this.missed.push(error.message)
        return this.keepsLooking
      },
    })
  }

  want(partition = 0): Wanted {
    const wanted = { topic: 't', partition, leaderId: -1 }
    this.search.add(wanted)
    return wanted
  }
}

test('who is added while the search only brings the picture up to date is looked for, too', async () => {
  const world = new World()
  world.search.refresh()
  const wanted = world.want()
  await idle()
  assert.equal(wanted.leaderId, 1)
})

test('a partition without a leader is looked for again, with growing pauses, until it has one', async () => {
  const world = new World()
  world.leaderId = -1
  const wanted = world.want()
  await world.io.elapse(350)
  assert.ok(world.missed.length >= 2, `${world.missed.length} attempts`)
  world.leaderId = 1
  await world.io.elapse(1_000)
  assert.equal(wanted.leaderId, 1)
  assert.deepEqual(world.found, [0])
})

test('who is no longer wanted is not looked for any more', async () => {
  const world = new World()
  world.keepsLooking = false
  world.want(7)
  await world.io.elapse(5_000)
  assert.equal(world.missed.length, 1)
  assert.match(world.missed[0]!, /topic 't' partition 7/)
})

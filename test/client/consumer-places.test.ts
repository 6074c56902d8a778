/** A consumer whose partition gets another leader, or has a replica nearby, against brokers that answer from a script. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from '../../client/client.ts'
import type { Consumer } from '../../client/consumer.ts'
import type { ConsumerOptions } from '../../client/consumer-config.ts'
import { string } from '../../client/serializers.ts'
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import { encodeBatch } from '../../protocol/records.ts'
import { MemoryIo, ScriptedBroker } from './memory-network.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAABQ'
const NOTHING = Buffer.alloc(0)

function batch(baseOffset: number, leaderEpoch: number, values: string[]): Buffer {
  const records = values.map(value => ({ timestamp: 1, value: Buffer.from(value) }))
  return encodeBatch(records, 'none', { baseOffset, leaderEpoch }) as Buffer
}

/** Two brokers, one partition, and what each broker has of it: a batch by the offset at which it is asked for. */
class Scene {
  readonly io = new MemoryIo()
  leaderId = 1
  leaderEpoch = 5
  nearId = -1
  readonly logs: Map<number, Buffer>[] = [new Map(), new Map()]
  /** Where epoch 5 ends in the log of the second broker. */
  end: { errorCode: number; leaderEpoch: number; endOffset: number } = {
    errorCode: 0,
    leaderEpoch: 5,
    endOffset: 2,
  }
  readonly brokers = [1, 2].map(
    id =>
      new ScriptedBroker(this.io, `b${id}`, 9092, {
        Metadata: () => this.metadata(),
        ListOffsets: () => ({
          topics: [
            {
              name: 't',
              partitions: [{ partitionIndex: 0, errorCode: 0, offset: 0, leaderEpoch: -1 }],
            },
          ],
        }),
        OffsetForLeaderEpoch: () => ({
          topics: [{ topic: 't', partitions: [{ partition: 0, ...this.end }] }],
        }),
        Fetch: request => this.fetch(id, request),
      }),
  )
  readonly consumer: Consumer<Buffer, string>

  constructor(options: ConsumerOptions<Buffer, string> = {}) {
    const client = new Client({ bootstrap: 'b1:9092', retryBackoffMs: 1 }, this.io)
    this.consumer = client.consumer({ value: string, autoOffsetReset: 'earliest', ...options })
    this.consumer.assign([{ topic: 't', partition: 0, offset: 0 }])
  }

  async next(): Promise<string | null | undefined> {
    return (await this.io.settle(this.consumer.next()))?.value
  }

  asked(id: number, name: string): unknown[] {
    return this.brokers[id - 1]!.seen.filter(r => r.name === name).map(r => r.request)
  }

  private metadata(): ResponseInput<'Metadata'> {
    const { leaderId, leaderEpoch } = this
    const ids = [1, 2]
    return {
      brokers: ids.map(nodeId => ({ nodeId, host: `b${nodeId}`, port: 9092 })),
      clusterId: 'c',
      controllerId: 1,
      topics: [
        {
          errorCode: 0,
          name: 't',
          topicId: TOPIC_ID,
          partitions: [
            {
              errorCode: 0,
              partitionIndex: 0,
              leaderId,
              leaderEpoch,
              replicaNodes: ids,
              isrNodes: ids,
            },
          ],
        },
      ],
    }
  }

  private fetch(id: number, { topics }: RequestOf<'Fetch'>): ResponseInput<'Fetch'> | 'hang' {
    const asked = topics[0]?.partitions[0]
    const isNear = id === this.nearId
    const isServed = id === this.leaderId || isNear
    const records = isServed
      ? (this.logs[id - 1]!.get(asked?.fetchOffset ?? -1) ?? NOTHING)
      : NOTHING
    const isNamed = id === this.leaderId && this.nearId >= 0
    // Without a record there is nothing to answer, as behind the end of a log.
    if (isServed && records === NOTHING && !isNamed) return 'hang'
    const partition = {
      partitionIndex: 0,
      errorCode: isServed ? 0 : errorCode('NOT_LEADER_OR_FOLLOWER'),
      highWatermark: 9,
      preferredReadReplica: isNamed ? this.nearId : -1,
      records,
    }
    return { sessionId: 0, responses: [{ topicId: TOPIC_ID, partitions: [partition] }] }
  }

  /** The second broker leads now, and its log is another one from `offset` on. */
  moveLeader(offset: number): void {
    this.leaderId = 2
    this.leaderEpoch = 6
    this.logs[1]!.set(offset, batch(offset, 6, ['other']))
    this.brokers[0]!.dropConnections()
  }
}

test('a new leader whose log was cut: reading goes on where it was cut', async () => {
  const scene = new Scene()
  scene.logs[0]!.set(0, batch(0, 5, ['a', 'b', 'lost']))
  for (const value of ['a', 'b', 'lost']) assert.equal(await scene.next(), value)
  scene.moveLeader(2)
  assert.equal(await scene.next(), 'other')
  assert.equal(scene.consumer.position('t', 0), 3)
  const [question] = scene.asked(2, 'OffsetForLeaderEpoch') as RequestOf<'OffsetForLeaderEpoch'>[]
  assert.deepEqual(question!.topics[0]!.partitions, [
    { partition: 0, currentLeaderEpoch: 6, leaderEpoch: 5 },
  ])
  await scene.consumer.close()
})

test('a new leader that has everything: reading goes on', async () => {
  const scene = new Scene()
  scene.end = { errorCode: 0, leaderEpoch: 5, endOffset: 3 }
  scene.logs[0]!.set(0, batch(0, 5, ['a', 'b', 'c']))
  for (const value of ['a', 'b', 'c']) assert.equal(await scene.next(), value)
  scene.moveLeader(3)
  assert.equal(await scene.next(), 'other')
  assert.equal(scene.consumer.position('t', 0), 4)
  await scene.consumer.close()
})

test('without a reset a cut log is an error that says where, until a seek', async () => {
  const scene = new Scene({ autoOffsetReset: 'none' })
  scene.logs[0]!.set(0, batch(0, 5, ['a', 'b', 'lost']))
  for (const value of ['a', 'b', 'lost']) assert.equal(await scene.next(), value)
  scene.moveLeader(2)
  await assert.rejects(scene.next(), /cut at offset 2, below 3/)
  scene.consumer.seek('t', 0, 2)
  assert.equal(await scene.next(), 'other')
  await scene.consumer.close()
})

test('a leader that does not know the epoch: the reset says where', async () => {
  const scene = new Scene()
  scene.end = { errorCode: 0, leaderEpoch: -1, endOffset: -1 }
  scene.logs[0]!.set(0, batch(0, 5, ['a']))
  assert.equal(await scene.next(), 'a')
  scene.moveLeader(0)
  assert.equal(await scene.next(), 'other')
  assert.equal(scene.consumer.position('t', 0), 1)
  await scene.consumer.close()
})

test('a nearer replica is read from, and the leader again when that one fails', async () => {
  const scene = new Scene({ rackId: 'here' })
  scene.nearId = 2
  scene.logs[1]!.set(0, batch(0, 5, ['near']))
  scene.logs[0]!.set(1, batch(1, 5, ['leader']))
  assert.equal(await scene.next(), 'near')
  const [first] = scene.asked(1, 'Fetch') as RequestOf<'Fetch'>[]
  assert.equal(first!.rackId, 'here')
  scene.nearId = -1
  scene.brokers[1]!.dropConnections()
  assert.equal(await scene.next(), 'leader')
  await scene.consumer.close()
})

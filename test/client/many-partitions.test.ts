/** A consumer of more partitions than a connection takes requests: their places are asked for together. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from '../../client/client.ts'
import { string } from '../../client/serializers.ts'
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import { encodeBatch } from '../../protocol/records.ts'
import { MemoryIo, ScriptedBroker } from './memory-network.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAABQ'
const COUNT = 600
const PARTITIONS = Array.from({ length: COUNT }, (_, partition) => partition)

const NOT_LEADER = errorCode('NOT_LEADER_OR_FOLLOWER')

/** One record in each partition. */
class Cluster {
  leaderEpoch = 5
  isMoving = false
  readonly io = new MemoryIo()
  readonly broker = new ScriptedBroker(this.io, 'b1', 9092, {
    Metadata: () => this.metadata(),
    ListOffsets: ({ topics }) => ({
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          return { partitionIndex, errorCode: 0, offset: 0, leaderEpoch: 5 }
        }),
      })),
    }),
    OffsetForLeaderEpoch: ({ topics }) => ({
      topics: topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition }) => {
          const errorCode = this.isMoving && partition === 7 ? NOT_LEADER : 0
          return { partition, errorCode, leaderEpoch: 5, endOffset: 1 }
        }),
      })),
    }),
    Fetch: request => this.fetch(request),
  })

  private metadata(): ResponseInput<'Metadata'> {
    const { leaderEpoch } = this
    const place = { leaderId: 1, leaderEpoch, replicaNodes: [1], isrNodes: [1] }
    const partitions = PARTITIONS.map(partitionIndex => {
      return { errorCode: 0, partitionIndex, ...place }
    })
    return {
      brokers: [{ nodeId: 1, host: 'b1', port: 9092 }],
      clusterId: 'c',
      controllerId: 1,
      topics: [{ errorCode: 0, name: 't', topicId: TOPIC_ID, partitions }],
    }
  }

  private fetch({ topics }: RequestOf<'Fetch'>): ResponseInput<'Fetch'> | 'hang' {
    const asked = topics.flatMap(({ partitions }) => partitions)
    const partitions = asked
      .filter(({ fetchOffset }) => fetchOffset === 0)
      .map(({ partition, fetchOffset }) => {
        const records = encodeBatch(
          [{ timestamp: 1, value: Buffer.from(`${partition}`) }],
          'none',
          {
            baseOffset: fetchOffset,
            leaderEpoch: 5,
          },
        ) as Buffer
        return { partitionIndex: partition, errorCode: 0, highWatermark: 1, records }
      })
    if (partitions.length === 0) return 'hang'
    return { sessionId: 0, responses: [{ topicId: TOPIC_ID, partitions }] }
  }
}

test('all partitions find their place at the start', async () => {
  const cluster = new Cluster()
  const client = new Client({ bootstrap: 'b1:9092' }, cluster.io)
  const consumer = client.consumer({ value: string })
  consumer.assign(PARTITIONS.map(partition => ({ topic: 't', partition, offset: 'earliest' })))
  const values = new Set<string | null | undefined>()
  for (let i = 0; i < COUNT; i++) values.add((await cluster.io.settle(consumer.next()))?.value)
  assert.deepEqual(values, new Set(PARTITIONS.map(String)))
  const count = (api: string) => cluster.broker.asked.filter(name => name === api).length
  assert.equal(count('ListOffsets'), 1)
  assert.equal(count('OffsetForLeaderEpoch'), 0, 'a place that the leader has just named stands')
  await consumer.close()
})

test('when all have a new leader their places are held against it together', async () => {
  const cluster = new Cluster()
  const client = new Client({ bootstrap: 'b1:9092', retryBackoffMs: 1 }, cluster.io)
  const consumer = client.consumer({ value: string })
  consumer.assign(PARTITIONS.map(partition => ({ topic: 't', partition, offset: 0 })))
  for (let i = 0; i < COUNT; i++) await cluster.io.settle(consumer.next())
  cluster.leaderEpoch = 6
  cluster.isMoving = true
  cluster.broker.dropConnections()
  const questions = () =>
    cluster.broker.seen
      .filter(({ name }) => name === 'OffsetForLeaderEpoch')
      .map(({ request }) => (request as RequestOf<'OffsetForLeaderEpoch'>).topics[0]!.partitions)
  const timesAsked = (partition: number) =>
    questions()
      .flat()
      .filter(asked => asked.partition === partition).length
  const next = consumer.next()
  while (timesAsked(7) < 3) await cluster.io.elapse(1)
  cluster.isMoving = false
  const fetches = () => cluster.broker.asked.filter(name => name === 'Fetch').length
  for (const before = fetches(); fetches() === before; ) await cluster.io.elapse(1)
  assert.deepEqual(questions()[0]![0], { partition: 0, currentLeaderEpoch: 6, leaderEpoch: 5 })
  for (const partition of PARTITIONS) {
    if (partition !== 7) assert.equal(timesAsked(partition), 1, `partition ${partition}`)
  }
  assert.ok(questions().length <= 10, `${questions().length} requests`)
  await consumer.close()
  assert.equal(await next, null)
})

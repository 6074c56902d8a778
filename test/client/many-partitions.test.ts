/** A consumer of more partitions than a connection takes requests: their places are asked for together. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from '../../client/client.ts'
import { string } from '../../client/serializers.ts'
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { encodeBatch } from '../../protocol/records.ts'
import { MemoryIo, ScriptedBroker } from './memory-network.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAABQ'
const COUNT = 600
const PARTITIONS = Array.from({ length: COUNT }, (_, partition) => partition)

/** One record in each partition. */
class Cluster {
  readonly io = new MemoryIo()
  readonly broker = new ScriptedBroker(this.io, 'b1', 9092, {
    Metadata: () => this.metadata(),
    ListOffsets: ({ topics }) => ({
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          return { partitionIndex, errorCode: 0, offset: 0, leaderEpoch: -1 }
        }),
      })),
    }),
    Fetch: request => this.fetch(request),
  })

  private metadata(): ResponseInput<'Metadata'> {
    const place = { leaderId: 1, leaderEpoch: 5, replicaNodes: [1], isrNodes: [1] }
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
  assert.equal(cluster.broker.asked.filter(name => name === 'ListOffsets').length, 1)
  await consumer.close()
})

/** One connection to a broker, and the three requests that tests of many partitions are made of. */
import assert from 'node:assert/strict'
import { Connection } from '../../client/connection.ts'
import { errorName } from '../../protocol/errors.ts'
import * as batches from '../../protocol/record-batch.ts'
import { encodeBatch } from '../../protocol/records.ts'
import { systemIo } from '../../protocol/system-io.ts'
import type { Server } from './harness.ts'

export function connect({ port }: Server): Promise<Connection> {
  return Connection.open(systemIo(), {
    host: '127.0.0.1',
    port,
    clientId: 'e2e',
    connectTimeoutMs: 10_000,
    requestTimeoutMs: 120_000,
    maxResponseBytes: 1 << 28,
  })
}

/** Creates a topic; answers its id. */
export async function createTopic(
  connection: Connection,
  name: string,
  numPartitions: number,
  configs: Readonly<Record<string, string>> = {},
): Promise<string> {
  const settings = Object.entries(configs).map(([key, value]) => ({ name: key, value }))
  const topic = { name, numPartitions, replicationFactor: 1, assignments: [], configs: settings }
  const { topics } = await connection.send('CreateTopics', { topics: [topic], timeoutMs: 60_000 })
  assert.equal(topics[0]!.errorCode, 0, topics[0]!.errorMessage ?? '')
  return topics[0]!.topicId
}

/** Writes one record to each of the partitions; answers the error of each. */
export async function produceToAll(
  connection: Connection,
  name: string,
  topicId: string,
  indexes: readonly number[],
  record: { readonly timestamp: number; readonly value: Buffer },
): Promise<string[]> {
  const records = await encodeBatch([record], 'none')
  const partitionData = indexes.map(index => ({ index, records }))
  const { responses } = await connection.send('Produce', {
    acks: -1,
    timeoutMs: 60_000,
    topicData: [{ name, topicId, partitionData }],
  })
  return responses[0]!.partitionResponses.map(({ errorCode: code }) => errorName(code))
}

/** Reads the partitions from their start to their end; answers how many records each has. */
export async function countAll(
  connection: Connection,
  topic: string,
  topicId: string,
  indexes: readonly number[],
): Promise<number[]> {
  const next = new Map(indexes.map(index => [index, 0]))
  const left = new Set(indexes)
  while (left.size > 0) {
    const partitions = [...left].map(partition => {
      return { partition, fetchOffset: next.get(partition)!, partitionMaxBytes: 1 << 20 }
    })
    const { responses } = await connection.send('Fetch', {
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ topic, topicId, partitions }],
    })
    for (const { partitionIndex, errorCode: code, records, highWatermark } of responses[0]!
      .partitions) {
      assert.equal(errorName(code), 'NONE', `partition ${partitionIndex}`)
      const bytes = records ?? Buffer.alloc(0)
      for (const at of batches.batchPositions(bytes)) {
        next.set(partitionIndex, batches.lastOffset(bytes, at) + 1)
      }
      if (next.get(partitionIndex)! >= highWatermark) left.delete(partitionIndex)
    }
  }
  return indexes.map(index => next.get(index)!)
}

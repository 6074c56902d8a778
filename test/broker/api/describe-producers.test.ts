/** DescribeProducers: what a partition remembers of idempotent producers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { batchOf, produceOne } from '../batches.ts'
import { START_MS } from '../fake-network.ts'
import { startHost } from '../host.ts'

test('each producer is told with its epoch and last sequence; others leave no trace', async () => {
  const host = await startHost()
  await host.createTopic('t', 2)
  const client = host.connect()
  const send = async (options: Parameters<typeof batchOf>[2]) =>
    client.call('Produce', 9, produceOne('t', 0, await batchOf(['a', 'b'], 'none', options)))
  await send({})
  await send({ producerId: 7, producerEpoch: 0, baseSequence: 0 })
  await send({ producerId: 7, producerEpoch: 0, baseSequence: 2 })
  await send({ producerId: 9, producerEpoch: 3, baseSequence: 0 })
  const { topics } = await client.call('DescribeProducers', 0, {
    topics: [{ name: 't', partitionIndexes: [0, 1] }],
  })
  const producer = (producerId: number, producerEpoch: number, lastSequence: number) => ({
    producerId,
    producerEpoch,
    lastSequence,
    lastTimestamp: START_MS,
    coordinatorEpoch: -1,
    currentTxnStartOffset: -1,
  })
  const [first, second] = topics[0]!.partitions
  assert.deepEqual(first!.activeProducers, [producer(7, 0, 3), producer(9, 3, 1)])
  assert.deepEqual(second!.activeProducers, [])
  await host.stop()
})

test('unknown partitions are named', async () => {
  const host = await startHost()
  await host.createTopic('t')
  const { topics } = await host.connect().call('DescribeProducers', 0, {
    topics: [
      { name: 't', partitionIndexes: [1] },
      { name: 'nowhere', partitionIndexes: [0] },
    ],
  })
  for (const { partitions } of topics) {
    assert.equal(errorName(partitions[0]!.errorCode), 'UNKNOWN_TOPIC_OR_PARTITION')
  }
  await host.stop()
})

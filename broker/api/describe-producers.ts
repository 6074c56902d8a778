/**
 * DescribeProducers: the producers whose sequence numbers the partition's leader remembers (KIP-664).
 */
import { answerError } from '../answer-error.ts'
import type { Handler } from '../context.ts'

export const describeProducers: Handler<'DescribeProducers'> = (broker, request, context) => ({
  topics: request.topics.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map(partitionIndex => {
      try {
        const { log } = broker.replicas.partition(name, partitionIndex)
        const activeProducers = log.activeProducers().map(producer => ({
          producerId: producer.producerId,
          producerEpoch: producer.epoch,
          lastSequence: producer.lastSequence,
          lastTimestamp: producer.lastTimestamp,
          coordinatorEpoch: producer.coordinatorEpoch,
          currentTxnStartOffset: producer.currentTxnStartOffset,
        }))
        return { partitionIndex, errorCode: 0, activeProducers }
      } catch (error) {
        return { partitionIndex, ...answerError(broker, context, error), activeProducers: [] }
      }
    }),
  })),
})

/**
 * OffsetForLeaderEpoch: where the largest leader epoch at or below the one asked for ended in our log, so that a reader
 * finds the point from which its copy is no longer ours (KIP-101, KIP-320).
 */
import { answerError } from '../answer-error.ts'
import type { Handler } from '../context.ts'

export const offsetForLeaderEpoch: Handler<'OffsetForLeaderEpoch'> = (
  broker,
  request,
  context,
) => ({
  topics: request.topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map(asked => {
      try {
        const partition = broker.replicas.partition(topic, asked.partition)
        partition.checkEpoch(asked.currentLeaderEpoch)
        const { leaderEpoch, endOffset } = partition.endOffsetForEpoch(asked.leaderEpoch)
        return { errorCode: 0, partition: asked.partition, leaderEpoch, endOffset }
      } catch (error) {
        const { errorCode } = answerError(broker, context, error)
        return { errorCode, partition: asked.partition }
      }
    }),
  })),
})

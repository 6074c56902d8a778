/** Another leader for partitions: the preferred one, or one that may lack records where no other is left (KIP-460). */
import { AdminBatch } from './admin-batch.ts'
import type { CallOptions, Cluster } from './cluster.ts'
import { byTopic, partitionKey, type TopicPartition } from './topic-partition.ts'

const ELECTION_TYPES = { preferred: 0, unclean: 1 } as const

export type ElectionType = keyof typeof ELECTION_TYPES

/** The partitions that have their leader now. Throws an AnswerError, or a PartialError where some of several failed. */
export async function electLeaders(
  cluster: Cluster,
  type: ElectionType,
  partitions: readonly TopicPartition[],
  options: CallOptions,
): Promise<TopicPartition[]> {
  const batch = new AdminBatch<TopicPartition, TopicPartition>(partitions, partitionKey)
  const api = 'ElectLeaders'
  await cluster.run('electLeaders', options, async attempt => {
    const request = (version: number) => ({
      ...(version >= 1 ? { electionType: ELECTION_TYPES[type] } : {}),
      topicPartitions: [...byTopic(batch.pending)].map(([topic, those]) => ({
        topic,
        partitions: those.map(({ partition }) => partition),
      })),
      timeoutMs: cluster.config.requestTimeoutMs,
    })
    const answer = await cluster.request('controller', api, request, attempt)
    for (const { topic, partitionResult } of answer.replicaElectionResults) {
      for (const result of partitionResult) {
        const one = { topic, partition: result.partitionId }
        batch.settle(partitionKey(one), result, one, { api, ...one }, attempt)
      }
    }
    batch.endAttempt(api)
  })
  return batch.result()
}

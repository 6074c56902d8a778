/** Deleting records from the front of partitions: each partition's leader is asked, and asked again where it has moved. */
import { AdminBatch } from './admin-batch.ts'
import type { CallOptions, Cluster } from './cluster.ts'
import { AnswerError } from './errors.ts'
import { byTopic, partitionKey, type TopicPartition } from './topic-partition.ts'

export interface RecordsToDelete extends TopicPartition {
  /** The first offset that stays; `'latest'`: none does that is there now. */
  readonly before: number | 'latest'
}

export interface TrimmedPartition extends TopicPartition {
  readonly logStartOffset: number
}

const HIGH_WATERMARK = -1

/** Throws an AnswerError, or a PartialError where some of several failed. */
export async function deleteRecords(
  cluster: Cluster,
  places: readonly RecordsToDelete[],
  options: CallOptions,
): Promise<TrimmedPartition[]> {
  const batch = new AdminBatch<RecordsToDelete, TrimmedPartition>(places, partitionKey)
  const api = 'DeleteRecords'
  await cluster.run('deleteRecords', options, async attempt => {
    const byLeader = new Map<number, RecordsToDelete[]>()
    cluster.track(batch.pending.map(({ topic }) => topic))
    for (const place of batch.pending) {
      try {
        const { leaderId } = await cluster.leader(place.topic, place.partition, attempt)
        const those = byLeader.get(leaderId) ?? []
        byLeader.set(leaderId, those)
        those.push(place)
      } catch (error) {
        if (!(error instanceof AnswerError)) throw error
        const unchanged = { ...place, logStartOffset: -1 }
        batch.settle(
          partitionKey(place),
          { errorCode: error.code },
          unchanged,
          error.place,
          attempt,
        )
      }
    }
    for (const [leaderId, those] of byLeader) {
      const timeoutMs = cluster.config.requestTimeoutMs
      const request = { topics: topicsOf(those), timeoutMs }
      const { topics } = await cluster.request(leaderId, api, request, attempt)
      for (const { name: topic, partitions } of topics) {
        for (const answer of partitions) {
          const { partitionIndex: partition, lowWatermark: logStartOffset } = answer
          const place = { api, topic, partition }
          const result = { topic, partition, logStartOffset }
          batch.settle(partitionKey(place), answer, result, place, attempt)
        }
      }
    }
    batch.endAttempt(api)
  })
  return batch.result()
}

function topicsOf(places: readonly RecordsToDelete[]) {
  return [...byTopic(places)].map(([name, those]) => ({
    name,
    partitions: those.map(({ partition, before }) => ({
      partitionIndex: partition,
      offset: before === 'latest' ? HIGH_WATERMARK : before,
    })),
  }))
}

/**
 * DescribeLogDirs: the data directory, the space of its file system, and the size of each partition in it.
 */
import type { Handler } from '../context.ts'
import type { Partition } from '../replication/partition.ts'

export const describeLogDirs: Handler<'DescribeLogDirs'> = async (broker, request) => {
  const wanted =
    request.topics === null
      ? null
      : new Map(request.topics.map(({ topic, partitions }) => [topic, new Set(partitions)]))
  const topics = new Map<string, Partition[]>()
  for (const partition of broker.replicas.all()) {
    if (wanted !== null && !wanted.get(partition.topic)?.has(partition.index)) continue
    const list = topics.get(partition.topic)
    if (list === undefined) topics.set(partition.topic, [partition])
    else list.push(partition)
  }
  const { totalBytes, freeBytes } = await broker.logDirectory.space()
  return {
    results: [
      {
        errorCode: 0,
        logDir: broker.logDirectory.path,
        topics: Array.from(topics, ([name, partitions]) => ({
          name,
          partitions: partitions.map(({ index, log }) => ({
            partitionIndex: index,
            partitionSize: log.sizeBytes,
            offsetLag: 0,
            isFutureKey: false,
          })),
        })),
        totalBytes,
        usableBytes: freeBytes,
      },
    ],
  }
}

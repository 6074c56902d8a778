/**
 * DescribeLogDirs: the data directories, the space of their file systems, and the size of each partition in them. One that
 * is offline answers KAFKA_STORAGE_ERROR.
 */
import type { ResponseInput } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { LogDirectory } from '../../segment-store/log-directory.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import type { Partition } from '../replication/partition.ts'

type Result = ResponseInput<'DescribeLogDirs'>['results'][number]

export const describeLogDirs: Handler<'DescribeLogDirs'> = async (broker, request, context) => {
  const wanted =
    request.topics === null
      ? null
      : new Map(request.topics.map(({ topic, partitions }) => [topic, new Set(partitions)]))
  const partitions = new Map<LogDirectory, Partition[]>()
  for (const directory of broker.directories.online) partitions.set(directory, [])
  for (const partition of broker.replicas.all()) {
    if (wanted !== null && !wanted.get(partition.topic)?.has(partition.index)) continue
    partitions.get(broker.directories.directoryOf(partition.log))?.push(partition)
  }
  const results: Result[] = []
  for (const [directory, found] of partitions) {
    results.push(await describe(broker, context, directory, found))
  }
  for (const { path } of broker.directories.offline) {
    results.push(nothingOf(path, errorCode('KAFKA_STORAGE_ERROR')))
  }
  return { results }
}

async function describe(
  broker: Broker,
  context: RequestContext,
  directory: LogDirectory,
  partitions: readonly Partition[],
): Promise<Result> {
  const topics = new Map<string, Partition[]>()
  for (const partition of partitions) {
    const list = topics.get(partition.topic)
    if (list === undefined) topics.set(partition.topic, [partition])
    else list.push(partition)
  }
  try {
    const { totalBytes, freeBytes } = await directory.space()
    return {
      errorCode: 0,
      logDir: directory.path,
      topics: Array.from(topics, ([name, list]) => ({
        name,
        partitions: list.map(({ index, log }) => ({
          partitionIndex: index,
          partitionSize: log.sizeBytes,
          offsetLag: 0,
          isFutureKey: false,
        })),
      })),
      totalBytes,
      usableBytes: freeBytes,
    }
  } catch (error) {
    return nothingOf(directory.path, answerError(broker, context, error).errorCode)
  }
}

function nothingOf(logDir: string, error: number): Result {
  return { errorCode: error, logDir, topics: [], totalBytes: -1, usableBytes: -1 }
}

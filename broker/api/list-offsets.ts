/**
 * ListOffsets: the offset at a timestamp, or at a mark.
 *
 *   -1 latest   -2 earliest   -3 the record with the highest timestamp
 *
 * Without tiered storage -4 (earliest local) is the log start; -5 (latest tiered) and -6 (earliest not yet tiered) answer
 * offset -1, as Kafka does. A consumer with read_committed is told the last stable offset as the latest.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { TimestampAndOffset } from '../../segment-store/log.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'
import type { Partition } from '../replication/partition.ts'

type PartitionRequest = RequestOf<'ListOffsets'>['topics'][number]['partitions'][number]
type PartitionResponse = ResponseInput<'ListOffsets'>['topics'][number]['partitions'][number]

const LATEST = -1
const EARLIEST = -2
const MAX_TIMESTAMP = -3
const EARLIEST_LOCAL = -4
const LATEST_TIERED = -5
const EARLIEST_PENDING_UPLOAD = -6
const READ_COMMITTED = 1
/** The first version that knows each of the marks; before it they are plain, unanswerable timestamps. */
const SINCE_VERSION: Readonly<Record<number, number>> = {
  [MAX_TIMESTAMP]: 7,
  [EARLIEST_LOCAL]: 8,
  [LATEST_TIERED]: 9,
  [EARLIEST_PENDING_UPLOAD]: 11,
}

export const listOffsets: Handler<'ListOffsets'> = (broker, request, context) => {
  const committed = request.isolationLevel === READ_COMMITTED
  const duplicates = duplicatePartitions(request)
  const refused = new Set<string>()
  const answers: (PartitionResponse | Promise<PartitionResponse>)[] = []
  const topics = request.topics.map(({ name, partitions }) => {
    const from = answers.length
    for (const asked of partitions) {
      const key = `${name}/${asked.partitionIndex}`
      const isTwice = duplicates.has(key)
      // Refused once, however often it is named.
      if (isTwice && refused.has(key)) continue
      if (isTwice) refused.add(key)
      answers.push(answerOne(broker, context, name, asked, committed, isTwice))
    }
    return { name, from, to: answers.length }
  })
  const assemble = (all: readonly PartitionResponse[]) => ({
    topics: topics.map(({ name, from, to }) => ({ name, partitions: all.slice(from, to) })),
  })
  const isWaiting = answers.some(answer => answer instanceof Promise)
  if (!isWaiting) return assemble(answers as PartitionResponse[])
  return Promise.all(answers).then(assemble)
}

function duplicatePartitions(request: RequestOf<'ListOffsets'>): Set<string> {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const { name, partitions } of request.topics) {
    for (const { partitionIndex } of partitions) {
      const key = `${name}/${partitionIndex}`
      if (seen.has(key)) twice.add(key)
      seen.add(key)
    }
  }
  return twice
}

function answerOne(
  broker: Broker,
  context: RequestContext,
  topic: string,
  asked: PartitionRequest,
  committed: boolean,
  isTwice: boolean,
): PartitionResponse | Promise<PartitionResponse> {
  const { partitionIndex } = asked
  const refuse = (error: unknown): PartitionResponse => ({
    partitionIndex,
    errorCode: answerError(broker, context, error).errorCode,
  })
  try {
    if (isTwice) {
      const said = `${topic}-${partitionIndex} is named twice in one request`
      throw new ProtocolError('INVALID_REQUEST', said)
    }
    const partition = broker.replicas.partition(topic, partitionIndex)
    partition.checkEpoch(asked.currentLeaderEpoch)
    const respond = (found: TimestampAndOffset | null): PartitionResponse => {
      const end = partition.readableEnd(committed)
      const isVisible = found !== null && (found.offset < end || asked.timestamp === LATEST)
      const isMark = asked.timestamp === EARLIEST || asked.timestamp === EARLIEST_LOCAL
      if (found === null || !(isVisible || isMark)) return { partitionIndex, errorCode: 0 }
      const { timestamp, offset, leaderEpoch } = found
      return { partitionIndex, errorCode: 0, timestamp, offset, leaderEpoch }
    }
    const found = lookUp(partition, asked.timestamp, context.apiVersion, committed)
    return found instanceof Promise ? found.then(respond).catch(refuse) : respond(found)
  } catch (error) {
    return refuse(error)
  }
}

function lookUp(
  partition: Partition,
  timestamp: number,
  apiVersion: number,
  committed: boolean,
): TimestampAndOffset | null | Promise<TimestampAndOffset | null> {
  const { log } = partition
  const since = SINCE_VERSION[timestamp]
  if (timestamp < EARLIEST && (since === undefined || apiVersion < since)) {
    const said = `timestamp ${timestamp} means nothing in ListOffsets version ${apiVersion}`
    throw new ProtocolError('UNSUPPORTED_VERSION', said)
  }
  switch (timestamp) {
    case LATEST: {
      const offset = partition.readableEnd(committed)
      return { timestamp: -1, offset, leaderEpoch: partition.leaderEpoch }
    }
    case EARLIEST:
    case EARLIEST_LOCAL: {
      const offset = log.logStartOffset
      return { timestamp: -1, offset, leaderEpoch: partition.epochAt(offset) }
    }
    case MAX_TIMESTAMP:
      return log.maxTimestamp()
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return null
    default:
      return log.offsetForTimestamp(timestamp)
  }
}

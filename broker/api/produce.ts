/**
 * Produce: appends one batch to each named partition. Room 2 of 5.
 *
 * Answers when the turn's write is done (acks=1), when every in-sync replica has the batch (acks=-1), or not at all
 * (acks=0; a failure then closes the connection, which makes the client ask for metadata). Transactional ids are refused
 * until transactions exist.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { type ErrorName, errorName, ProtocolError } from '../../protocol/errors.ts'
import { codec, isTransactional, RECORD_BATCH_OVERHEAD } from '../../protocol/record-batch.ts'
import { InvalidRecordError } from '../../segment-store/validator.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import { AfterTurn, CloseConnection, type Handler, type RequestContext } from '../context.ts'
import type { Appended, Partition } from '../replication/partition.ts'

type Topic = RequestOf<'Produce'>['topicData'][number]
type Response = ResponseInput<'Produce'>
type TopicResponse = Response['responses'][number]
type PartitionResponse = TopicResponse['partitionResponses'][number]

/** One partition of the request: refused, or appended and on its way to being acknowledged. */
interface Pending {
  readonly topic: Topic
  readonly index: number
  readonly bytes: number
  partition: Partition | null
  appended: Appended | null
  error: unknown
}

const ZSTD = 4
/** Older clients cannot know this codec (KIP-110). */
const ZSTD_SINCE_VERSION = 7
const TOPIC_IDS_SINCE_VERSION = 13
/** The one client that Kafka lets write into the brokers' own topics. */
const ADMIN_CLIENT = '__admin_client'

export const produce: Handler<'Produce'> = (broker, request, context) => {
  const job = new ProduceJob(broker, request, context)
  job.append()
  // Batches with an asynchronous codec are appended later: their turn's write is waited for like any other.
  if (job.waits.length > 0) return Promise.all(job.waits).then(() => job.finish())
  return new AfterTurn(() => job.finish())
}

function refuse(request: RequestOf<'Produce'>): ProtocolError | null {
  if (request.acks !== 0 && request.acks !== 1 && request.acks !== -1) {
    const said = `acks must be 0, 1 or -1 (all), not ${request.acks}`
    return new ProtocolError('INVALID_REQUIRED_ACKS', said)
  }
  if (request.transactionalId !== null) {
    const said = 'transactions are not supported yet: produce without a transactional.id'
    return new ProtocolError('INVALID_TXN_STATE', said)
  }
  return null
}

class ProduceJob {
  readonly waits: Promise<void>[] = []
  private readonly broker: Broker
  private readonly request: RequestOf<'Produce'>
  private readonly context: RequestContext
  /** In the order of the request, topic by topic. */
  private pending: Pending[] = []

  constructor(broker: Broker, request: RequestOf<'Produce'>, context: RequestContext) {
    this.broker = broker
    this.request = request
    this.context = context
  }

  append(): void {
    const { broker, request, context } = this
    const { nowMs } = context
    const refused = refuse(request)
    for (const topic of request.topicData) {
      for (const { index, records } of topic.partitionData) {
        const bytes = records?.length ?? 0
        const one: Pending = {
          topic,
          index,
          bytes,
          partition: null,
          appended: null,
          error: refused,
        }
        this.pending = withOne(this.pending, one)
        if (refused !== null) continue
        try {
          const partition = find(broker, context, topic, index)
          one.partition = partition
          if (partition.isInternal && context.clientId !== ADMIN_CLIENT) throw internal(partition)
          checkBatch(records, partition, context.apiVersion)
          const appended = partition.append(records!, request.acks, nowMs)
          if (appended instanceof Promise) this.appendLater(one, appended)
          else one.appended = appended
        } catch (error) {
          one.error = error
        }
      }
    }
  }

  private appendLater(one: Pending, appended: Promise<Appended>): void {
    const { broker } = this
    // It waits in a copy: the frame is gone by then.
    broker.budget.take(one.bytes)
    const settled = appended.then(
      value => {
        one.appended = value
      },
      error => {
        one.error = error
      },
    )
    this.waits.push(settled.then(() => broker.budget.give(one.bytes)))
  }

  /** The answer, once everything is acknowledged or known to have failed. */
  finish(): Response | null | Promise<Response | null> {
    const { acks } = this.request
    const timeoutMs = Math.max(0, this.request.timeoutMs)
    let unfinished: Promise<void>[] | null = null
    for (const one of this.pending) {
      const wait = acknowledge(this.broker, one, acks === 0 ? 1 : acks, timeoutMs)
      if (wait !== null) (unfinished ??= []).push(wait)
    }
    if (unfinished === null) return this.answer()
    return Promise.all(unfinished).then(() => this.answer())
  }

  private answer(): Response | null {
    let responses: TopicResponse[] = []
    let topic: Topic | null = null
    let partitionResponses: PartitionResponse[] = []
    for (const one of this.pending) {
      const response = partitionResponse(this.broker, this.context, one)
      if (one.topic === topic) partitionResponses.push(response)
      else {
        topic = one.topic
        partitionResponses = [response]
        const { name, topicId } = topic
        responses = withOne(responses, { name, topicId, partitionResponses })
      }
    }
    if (this.request.acks !== 0) return { responses }
    closeOnFailure(responses)
    return null
  }
}

/** The list with one more. Most get only one, and an array that grows takes room for seventeen. */
function withOne<T>(list: T[], one: T): T[] {
  if (list.length === 0) return [one]
  list.push(one)
  return list
}

function find(broker: Broker, context: RequestContext, topic: Topic, index: number): Partition {
  if (context.apiVersion < TOPIC_IDS_SINCE_VERSION) {
    return broker.replicas.partition(topic.name, index)
  }
  return broker.replicas.partitionById(topic.topicId, index)
}

function internal(partition: Partition): ProtocolError {
  const said = `${partition} belongs to the brokers: it is written through requests for groups`
  return new ProtocolError('INVALID_TOPIC_EXCEPTION', said)
}

/** What depends on the request rather than on the log. */
function checkBatch(records: Buffer | null, partition: Partition, apiVersion: number): void {
  if (records === null || records.length === 0) {
    throw new ProtocolError('INVALID_RECORD', `no record batch for ${partition}`)
  }
  if (records.length < RECORD_BATCH_OVERHEAD) return // the validator says what is wrong with it
  if (isTransactional(records, 0)) {
    // What Kafka answers to a batch of a transaction in a request that names none.
    const said = `a transactional batch for ${partition}: transactions are not supported yet`
    throw new ProtocolError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', said)
  }
  if (codec(records, 0) === ZSTD && apiVersion < ZSTD_SINCE_VERSION) {
    const said = `zstd needs Produce version ${ZSTD_SINCE_VERSION} or newer, not ${apiVersion}`
    throw new ProtocolError('UNSUPPORTED_COMPRESSION_TYPE', said)
  }
}

/** Null when the outcome is known; otherwise resolves when it is. */
function acknowledge(
  broker: Broker,
  pending: Pending,
  acks: number,
  timeoutMs: number,
): Promise<void> | null {
  const { partition, appended } = pending
  if (partition === null || appended === null) return null
  try {
    if (partition.isAcknowledged(acks, appended.endOffset, appended.drops)) return null
  } catch (error) {
    pending.error = error
    return null
  }
  return new Promise(resolve => {
    const { clock } = broker.io
    partition.whenAcknowledged(acks, appended.endOffset, clock, timeoutMs, outcome => {
      if (outcome === 'timeout') {
        const said = `${partition} was not acknowledged within ${timeoutMs} ms (acks=${acks})`
        pending.error = new ProtocolError('REQUEST_TIMED_OUT', said)
      } else if (outcome !== 'reached') {
        pending.error = new ProtocolError(outcome as ErrorName, `${partition} could not be written`)
      }
      resolve()
    })
  })
}

/** Nobody is told of a failure with acks=0, except by the end of the connection: what Kafka does. */
function closeOnFailure(responses: readonly TopicResponse[]): void {
  for (const { partitionResponses } of responses) {
    for (const { index, errorCode: code, errorMessage } of partitionResponses) {
      if (code === 0) continue
      const why = `${errorName(code)} for partition ${index}: ${errorMessage ?? ''}`
      throw new CloseConnection(`a Produce with acks=0 failed, ${why}`)
    }
  }
}

function partitionResponse(
  broker: Broker,
  context: RequestContext,
  pending: Pending,
): PartitionResponse {
  const { index, bytes, partition, appended, error } = pending
  if (partition !== null) partition.meter.produceRequests++
  if (error === null && appended !== null) {
    const { baseOffset, logAppendTimeMs, logStartOffset } = appended
    return { index, errorCode: 0, baseOffset, logAppendTimeMs, logStartOffset }
  }
  if (partition !== null) {
    partition.meter.failedProduceRequests++
    partition.meter.bytesRejected += bytes
  }
  const { errorCode, errorMessage } = answerError(broker, context, error)
  const recordErrors =
    error instanceof InvalidRecordError
      ? error.recordErrors.map(({ batchIndex, message }) => ({
          batchIndex,
          batchIndexErrorMessage: named(partition, message),
        }))
      : []
  const message = errorMessage === null ? null : named(partition, errorMessage)
  return { index, errorCode, baseOffset: -1, recordErrors, errorMessage: message }
}

/** Clients print the words without saying which partition they were about. */
function named(partition: Partition | null, message: string): string {
  const name = partition?.toString() ?? ''
  return message.includes(name) ? message : `${name}: ${message}`
}

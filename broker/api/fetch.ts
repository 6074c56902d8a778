/**
 * Fetch: reads batches of the named partitions, or waits until there are `minBytes` of them. Room 2 of 5.
 *
 * A request that has enough is answered at once. Otherwise one object waits at the high watermarks of its partitions and
 * is answered in the turn of the append that completes it, at an error, or after `maxWaitMs` with what there is.
 *
 * Answers are charged to the broker's memory budget until the socket has taken them; while the budget is empty nothing
 * is read.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { LogSlice } from '../../segment-store/log.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import { type Handler, RELEASE, type Releasable, type RequestContext } from '../context.ts'
import type { FetchContext, FetchPartition } from '../fetch-sessions.ts'
import type { Partition } from '../replication/partition.ts'
import type { WatermarkListener } from '../replication/watermark.ts'

type Request = RequestOf<'Fetch'>
type Response = ResponseInput<'Fetch'> & Releasable
type PartitionResponse = Response['responses'][number]['partitions'][number]

const TOPIC_IDS_SINCE_VERSION = 13
const READ_COMMITTED = 1
const NOTHING = Buffer.alloc(0)
/**
 * Who asks to wait longer is answered with nothing and asks again: a connection that is not read, because a request is held
 * behind the wait, cannot be seen to end.
 */
export const MAX_WAIT_MS = 30_000

/** One partition of the request, found or refused. It listens at its high watermark while the request waits. */
class Target implements WatermarkListener {
  readonly job: FetchJob
  readonly asked: FetchPartition
  readonly partition: Partition | null
  readonly error: unknown
  /** Where the client's log stops matching ours, if it does (KIP-595). */
  readonly divergingEpoch: DivergingEpoch | null
  /** Bytes that could be read when it was looked at last. */
  readable = 0

  constructor(
    job: FetchJob,
    asked: FetchPartition,
    partition: Partition | null,
    error: unknown,
    divergingEpoch: DivergingEpoch | null,
  ) {
    this.job = job
    this.asked = asked
    this.partition = partition
    this.error = error
    this.divergingEpoch = divergingEpoch
  }

  advanced(): void {
    this.job.advanced(this)
  }

  /** Whether a reader in a session has read and heard everything: of thousands of partitions that is the case of most. */
  isAsTold(): boolean {
    const { asked, partition, error, divergingEpoch } = this
    if (partition === null || error !== null || divergingEpoch !== null) return false
    const end = asked.toldHighWatermark
    const isSame =
      partition.isServing &&
      asked.fetchOffset === end &&
      partition.highWatermark.value === end &&
      partition.log.logStartOffset === asked.toldLogStartOffset
    if (isSame) partition.meter.fetchRequests++
    return isSame
  }
}

interface DivergingEpoch {
  readonly epoch: number
  readonly endOffset: number
}

export const fetch: Handler<'Fetch'> = (broker, request, context) => {
  let fetched: FetchContext
  try {
    const usesTopicIds = context.apiVersion >= TOPIC_IDS_SINCE_VERSION
    fetched = broker.fetchSessions.contextFor(request, usesTopicIds)
  } catch (error) {
    const { errorCode: code } = answerError(broker, context, error)
    return { errorCode: code, sessionId: 0, responses: [] }
  }
  const job = new FetchJob(broker, request, context, fetched)
  if (job.isReady || request.maxWaitMs <= 0) return job.answer()
  return job.wait()
}

class FetchJob {
  private readonly broker: Broker
  private readonly request: Request
  private readonly context: RequestContext
  private readonly fetched: FetchContext
  private readonly targets: readonly Target[]
  private readonly committed: boolean
  /** Most bytes of records in the answer. */
  private readonly maxBytes: number
  /** Never more than an answer may have, or it could not be reached. */
  private readonly minBytes: number
  /** Of all targets: what each has more is added when its watermark says so, for there may be thousands of them. */
  private readable = 0
  /** Something has to be said about a target, however many bytes there are. */
  private hasTrouble = false
  /** Answers what waits; null while nothing does. */
  private finish: (() => void) | null = null

  constructor(broker: Broker, request: Request, context: RequestContext, fetched: FetchContext) {
    this.broker = broker
    this.request = request
    this.context = context
    this.fetched = fetched
    this.committed = request.isolationLevel === READ_COMMITTED
    this.maxBytes = Math.min(request.maxBytes, broker.config.fetchMaxBytes)
    this.minBytes = Math.min(request.minBytes, this.maxBytes)
    this.targets = Array.from(fetched.partitions, asked => this.find(asked))
    for (const target of this.targets) this.look(target)
  }

  /** Whether there are enough bytes, or something else to say. */
  get isReady(): boolean {
    if (this.targets.length === 0) return true
    if (this.broker.budget.available === 0) return false
    return this.hasTrouble || this.readable >= this.minBytes
  }

  private look(target: Target): void {
    const { asked, partition, error, divergingEpoch } = target
    if (partition === null || error !== null || divergingEpoch !== null) {
      this.hasTrouble = true
      return
    }
    try {
      const bytes = Math.min(
        partition.readableBytes(asked.fetchOffset, this.committed),
        asked.maxBytes,
      )
      this.readable += bytes - target.readable
      target.readable = bytes
    } catch {
      this.hasTrouble = true
    }
  }

  /** The watermark of a target says that there is more, or nothing any more. */
  advanced(target: Target): void {
    if (this.finish === null) return
    this.look(target)
    if (this.isReady) this.finish()
  }

  /** Answers when ready, or after the client's `maxWaitMs`. */
  wait(): Promise<Response> {
    const { budget, io } = this.broker
    return new Promise<Response>((resolve, reject) => {
      const stop = () => {
        this.finish = null
        timer.cancel()
        for (const target of this.targets) target.partition?.highWatermark.unlisten(target)
        this.context.onClosed = null
      }
      const finish = () => {
        if (this.finish === null) return
        stop()
        try {
          resolve(this.answer())
        } catch (error) {
          reject(error)
        }
      }
      const checkBudget = () => {
        if (this.finish === null) return
        if (this.isReady) finish()
        else if (budget.available === 0) budget.whenAvailable(checkBudget)
      }
      this.finish = finish
      this.context.onClosed = stop
      const timer = io.clock.timer(Math.min(this.request.maxWaitMs, MAX_WAIT_MS), finish)
      for (const target of this.targets) target.partition?.highWatermark.listen(target)
      if (budget.available === 0) budget.whenAvailable(checkBudget)
    })
  }

  /** Reads what may be read now, within the limits of the request, the broker and the budget. */
  answer(): Response | Promise<Response> {
    const { budget } = this.broker
    let left = Math.min(this.maxBytes, budget.available)
    const results: PartitionResponse[] = []
    const slices: LogSlice[] = []
    let pending: Promise<void> | null = null
    const told = this.fetched.isIncremental
      ? this.targets.filter(target => !target.isAsTold())
      : this.targets
    for (const target of told) {
      const take = (slice: LogSlice | null, error: unknown) => {
        if (slice !== null && slice.size > 0) {
          left -= slice.size
          slices.push(slice)
          budget.take(slice.size)
        } else slice?.release()
        results.push(this.respond(target, slice, error))
      }
      // Once one read waits for the disk the rest waits for it too: what is left is known only then.
      if (pending !== null)
        pending = pending.then(() => this.read(target, left, slices, take) ?? undefined)
      else pending = this.read(target, left, slices, take)
    }
    if (pending === null) return this.respondWith(told, results, slices)
    return pending.then(() => this.respondWith(told, results, slices))
  }

  /** Null when it was done at once. */
  private read(
    target: Target,
    left: number,
    before: readonly LogSlice[],
    take: (slice: LogSlice | null, error: unknown) => void,
  ): Promise<void> | null {
    const { asked, partition, error, divergingEpoch } = target
    const { budget } = this.broker
    if (partition === null || error !== null || divergingEpoch !== null) {
      take(null, error)
      return null
    }
    const minOneBatch = before.length === 0 && budget.available > 0
    if (left <= 0 && !minOneBatch) {
      take(null, this.rangeError(partition, asked.fetchOffset))
      return null
    }
    try {
      const maxBytes = Math.max(0, Math.min(asked.maxBytes, left, budget.available))
      const slice = partition.read(asked.fetchOffset, maxBytes, this.committed, minOneBatch)
      if (!(slice instanceof Promise)) {
        take(slice, null)
        return null
      }
      // Reserved while it is read, or many reads at a time would each find the budget free.
      budget.take(maxBytes)
      const taken = slice.then(
        value => take(value, null),
        failure => take(null, failure),
      )
      return taken.then(() => budget.give(maxBytes))
    } catch (failure) {
      take(null, failure)
      return null
    }
  }

  /** A partition that gets no bytes is still told when its offset is out of range. */
  private rangeError(partition: Partition, offset: number): unknown {
    try {
      partition.readableBytes(offset, this.committed)
      return null
    } catch (error) {
      return error
    }
  }

  private find(asked: FetchPartition): Target {
    try {
      const { replicas } = this.broker
      const partition =
        this.context.apiVersion < TOPIC_IDS_SINCE_VERSION
          ? replicas.partition(asked.topic, asked.index)
          : replicas.partitionById(asked.topicId, asked.index)
      partition.checkEpoch(asked.currentLeaderEpoch)
      return new Target(this, asked, partition, null, diverging(partition, asked))
    } catch (error) {
      return new Target(this, asked, null, error, null)
    }
  }

  private respond(target: Target, slice: LogSlice | null, error: unknown): PartitionResponse {
    const { asked, partition, divergingEpoch } = target
    if (partition !== null) partition.meter.fetchRequests++
    if (error !== null || partition === null) {
      if (partition !== null) partition.meter.failedFetchRequests++
      const { errorCode: code } = answerError(this.broker, this.context, error)
      return {
        partitionIndex: asked.index,
        errorCode: code,
        highWatermark: -1,
        records: NOTHING,
      }
    }
    const size = slice?.size ?? 0
    partition.meter.bytesOut += size
    return {
      partitionIndex: asked.index,
      errorCode: 0,
      highWatermark: partition.highWatermark.value,
      lastStableOffset: partition.lastStableOffset,
      logStartOffset: partition.log.logStartOffset,
      abortedTransactions: this.committed ? (slice?.aborted ?? []) : null,
      records: slice === null || size === 0 ? NOTHING : joined(slice.chunks),
      ...(divergingEpoch === null ? {} : { divergingEpoch }),
    }
  }

  /** Groups the partitions by topic and remembers in the session what was said. */
  private respondWith(
    targets: readonly Target[],
    results: readonly PartitionResponse[],
    slices: readonly LogSlice[],
  ): Response {
    const { session, sessionId, isIncremental } = this.fetched
    const topics: { topic: string; topicId: string; partitions: PartitionResponse[] }[] = []
    results.forEach((result, i) => {
      const { asked } = targets[i]!
      const isNews = hasNews(asked, result)
      if (result.errorCode === 0) {
        asked.toldHighWatermark = result.highWatermark
        asked.toldLogStartOffset = result.logStartOffset ?? -1
      }
      if (isIncremental && !isNews) return
      if ((result.records?.length ?? 0) > 0) session?.moveToEnd(asked)
      const last = topics.at(-1)
      if (last !== undefined && last.topic === asked.topic && last.topicId === asked.topicId) {
        last.partitions.push(result)
      } else topics.push({ topic: asked.topic, topicId: asked.topicId, partitions: [result] })
    })
    const response: Response = { sessionId, responses: topics }
    if (slices.length > 0) response[RELEASE] = () => this.release(slices)
    return response
  }

  private release(slices: readonly LogSlice[]): void {
    for (const slice of slices) {
      slice.release()
      this.broker.budget.give(slice.size)
    }
  }
}

function joined(chunks: readonly Buffer[]): Buffer {
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}

function hasNews(asked: FetchPartition, result: PartitionResponse): boolean {
  return (
    result.errorCode !== 0 ||
    (result.records?.length ?? 0) > 0 ||
    result.divergingEpoch !== undefined ||
    result.highWatermark !== asked.toldHighWatermark ||
    result.logStartOffset !== asked.toldLogStartOffset
  )
}

/** Where the reader's log, whose last batch had `lastFetchedEpoch`, stops matching ours; null where it does not. */
function diverging(partition: Partition, asked: FetchPartition): DivergingEpoch | null {
  if (asked.lastFetchedEpoch < 0) return null
  const { leaderEpoch, endOffset } = partition.endOffsetForEpoch(asked.lastFetchedEpoch)
  if (leaderEpoch < 0 || endOffset < 0) {
    const said = `${partition} knows no leader epoch at or below ${asked.lastFetchedEpoch}`
    throw new ProtocolError('OFFSET_OUT_OF_RANGE', said)
  }
  const matches = leaderEpoch === asked.lastFetchedEpoch && endOffset >= asked.fetchOffset
  return matches ? null : { epoch: leaderEpoch, endOffset }
}

/** Batches of several partitions as one Produce request, and its answer as one verdict for each of them. */
import type { RequestInput, ResponseOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import type { Cluster } from './cluster.ts'
import { answerTo, type ProduceBatch } from './produce-batch.ts'

/** What became of one batch. */
export interface Verdict {
  /** Null: it is written. */
  readonly error: Error | null
  /** -1 where the broker does not say. */
  readonly baseOffset: number
  readonly logAppendTimeMs: number
}

const DUPLICATE = errorCode('DUPLICATE_SEQUENCE_NUMBER')

/** Seals the batches; they are sent from where they lie. */
export function produceRequest(
  cluster: Cluster,
  acks: -1 | 0 | 1,
  batches: readonly ProduceBatch[],
): RequestInput<'Produce'> {
  const topics = new Map<string, { index: number; records: Buffer }[]>()
  for (const batch of batches) {
    const part = { index: batch.partition, records: batch.seal(false) }
    const parts = topics.get(batch.topic)
    if (parts === undefined) topics.set(batch.topic, [part])
    else parts.push(part)
  }
  const topicData = []
  for (const [name, partitionData] of topics) {
    const topicId = cluster.knownTopic(name)?.topicId
    topicData.push({ name, ...(topicId === undefined ? {} : { topicId }), partitionData })
  }
  return { acks, timeoutMs: cluster.config.requestTimeoutMs, topicData }
}

/** Calls `settle` once for each of what was sent, also for what the broker has left out. */
export function readAnswer<S extends { readonly batch: ProduceBatch }>(
  cluster: Cluster,
  sent: readonly S[],
  { responses }: ResponseOf<'Produce'>,
  broker: string,
  settle: (one: S, verdict: Verdict) => void,
): void {
  const idOf = ({ topic }: ProduceBatch) => cluster.knownTopic(topic)?.topicId
  // Brokers answer in the order of the request, so the search ends at once.
  let from = 0
  for (const topic of responses) {
    const named = topic.name === '' ? null : topic.name
    for (const part of topic.partitionResponses) {
      for (let i = 0; i < sent.length; i++) {
        const one = sent[(from + i) % sent.length]!
        if (one.batch.partition !== part.index || !one.batch.isInFlight) continue
        if (named !== null && one.batch.topic !== named) continue
        if (named === null && idOf(one.batch) !== topic.topicId) continue
        from = (from + i + 1) % sent.length
        settle(one, verdictOn(one.batch, part, broker))
        break
      }
    }
  }
  for (const one of sent) {
    if (!one.batch.isInFlight) continue
    const error = answerTo(one.batch, -1, 'the broker left it out', broker)
    settle(one, { error, baseOffset: -1, logAppendTimeMs: -1 })
  }
}

function verdictOn(
  batch: ProduceBatch,
  part: ResponseOf<'Produce'>['responses'][number]['partitionResponses'][number],
  broker: string,
): Verdict {
  const { errorCode: code, errorMessage, baseOffset, logAppendTimeMs } = part
  if (code === 0) return { error: null, baseOffset, logAppendTimeMs }
  const error = code === DUPLICATE ? null : answerTo(batch, code, errorMessage, broker)
  return { error, baseOffset: -1, logAppendTimeMs: -1 }
}

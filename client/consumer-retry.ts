/**
 * What happens to a record whose handler throws: it is tried again, then sent to the next retry topic, where it waits its time
 * without holding up others, and at last to the dead-letter topic. Only when it is written there does the consumer go on.
 *
 *   orders ─(attempts)─▶ orders-retry-1m ─(after 1 min, attempts)─▶ orders-retry-10m ─▶ … ─▶ orders-dead
 *
 * Keys, values and headers are written as they came. Headers say what went wrong, by the names of Kafka Connect's
 * dead-letter queue (DeadLetterQueueReporter): `__connect.errors.topic`, `.partition`, `.offset` of the first topic,
 * `.connector.name` (the group), `.task.id`, `.stage`, `.class.name`, `.exception.class.name`, `.exception.message`,
 * `.exception.stacktrace`. `ottla.retry.due` is when a retry topic's record may be handled, in milliseconds since 1970.
 */
import { type Bounds, checkTypes, numberOptions } from './config.ts'
import type { RawRecord } from './errors.ts'
import { checkNames, type Names, told } from './option-names.ts'
import type { Producer } from './producer.ts'
import type { Bytes } from './serializers.ts'

export interface RetryOptions {
  /** How often the handler is called for a record before it is passed on. Default: 3. */
  readonly attempts?: number | undefined
  /** The wait before the second attempt; it doubles with each. Default: 100 ms. */
  readonly backoffMs?: number | undefined
  /** Default: 10 s. */
  readonly backoffMaxMs?: number | undefined
  /** Where it is tried later, one after the other; a consumer of a group reads them, too. Default: none. */
  readonly topics?: readonly { readonly topic: string; readonly delayMs: number }[] | undefined
  /** Where it goes when nothing has helped, and what no serializer can read. Default: none, `eachMessage` throws. */
  readonly deadLetterTopic?: string | undefined
}

export interface RetryConfig {
  readonly attempts: number
  readonly backoffMs: number
  readonly backoffMaxMs: number
  readonly topics: readonly { readonly topic: string; readonly delayMs: number }[]
  readonly deadLetterTopic: string | null
}

const NUMBERS = {
  attempts: [3, 1],
  backoffMs: [100, 0, 0x7fffffff],
  backoffMaxMs: [10_000, 0, 0x7fffffff],
} as const satisfies { readonly [name: string]: Bounds }

const NAMES: Names<RetryOptions> = {
  attempts: true,
  backoffMs: true,
  backoffMaxMs: true,
  topics: true,
  deadLetterTopic: true,
}

/** Null without options. What is wrong is added to `wrong`. */
export function resolveRetry(
  options: RetryOptions | undefined,
  wrong: string[],
): RetryConfig | null {
  if (options === undefined) return null
  checkNames(options, NAMES, wrong, 'retry.')
  checkTypes('string', ['deadLetterTopic'], options, wrong)
  const topics = options.topics ?? []
  if (Array.isArray(topics)) for (const one of topics) checkTopic(one, wrong)
  else wrong.push(`retry.topics is ${told(topics)}: give [{ topic, delayMs }]`)
  const numbers = numberOptions(NUMBERS, options, wrong)
  return { ...numbers, topics, deadLetterTopic: options.deadLetterTopic ?? null }
}

function checkTopic(given: NonNullable<RetryOptions['topics']>[number], wrong: string[]): void {
  checkNames(given, { topic: true, delayMs: true }, wrong, 'retry.topics.')
  const { topic, delayMs } = given
  if (typeof topic !== 'string' || topic === '') {
    wrong.push(`topic in retry.topics is ${told(topic)}: give its name`)
  }
  const isDelay = Number.isSafeInteger(delayMs) && delayMs >= 0 && delayMs <= 0x7fffffff
  if (!isDelay) {
    wrong.push(`delayMs of '${topic}' is ${told(delayMs)}, not a whole number of at least 0`)
  }
}

const ERRORS = '__connect.errors.'
const DUE = 'ottla.retry.due'
/** What stays of the first failure when a record fails again. */
const ORIGIN = [`${ERRORS}topic`, `${ERRORS}partition`, `${ERRORS}offset`]

export class FailedRecords {
  private readonly config: RetryConfig
  private readonly who: string
  private readonly makeProducer: () => Producer<Bytes, Bytes>
  private producer: Producer<Bytes, Bytes> | null = null

  /** `who`: the group, in the headers. */
  constructor(config: RetryConfig, who: string, makeProducer: () => Producer<Bytes, Bytes>) {
    this.config = config
    this.who = who
    this.makeProducer = makeProducer
  }

  /** How long a record of a retry topic has to wait, in milliseconds; 0: it may be handled. */
  waitMs(
    record: { readonly topic: string; readonly headers: RawRecord['headers'] },
    nowMs: number,
  ): number {
    const retry = this.config.topics.find(({ topic }) => topic === record.topic)
    const due = retry && record.headers.find(({ key }) => key === DUE)?.value?.toString('utf8')
    if (due === undefined || !/^\d{1,15}$/.test(due)) return 0
    // Never longer than the topic says, whatever the header and the clocks do.
    return Math.max(0, Math.min(Number(due) - nowMs, retry!.delayMs))
  }

  /** Writes the record to where it goes next; throws `error` where it goes nowhere. */
  async pass(record: RawRecord, error: unknown, nowMs: number, stage: Stage): Promise<void> {
    const { topics, deadLetterTopic } = this.config
    const at = topics.findIndex(({ topic }) => topic === record.topic)
    // What cannot be read will not be readable later either.
    const next = stage === 'TASK_PUT' ? topics[at + 1] : undefined
    const topic = next?.topic ?? deadLetterTopic
    if (topic === null) throw error
    this.producer ??= this.makeProducer()
    const { key, value } = record
    const headers = this.headersFor(record, error, stage)
    if (next !== undefined) headers.push({ key: DUE, value: `${nowMs + next.delayMs}` })
    await this.producer.send({ topic, key, value, headers })
  }

  async close(): Promise<void> {
    await this.producer?.close()
  }

  private headersFor(
    { topic, partition, offset, headers }: RawRecord,
    error: unknown,
    stage: Stage,
  ): { key: string; value: Bytes | null }[] {
    const isKept = (name: string) =>
      name !== DUE && (!name.startsWith(ERRORS) || ORIGIN.includes(name))
    const kept: { key: string; value: Bytes | null }[] = headers.filter(({ key }) => isKept(key))
    const hasOrigin = kept.some(({ key }) => key === ORIGIN[0])
    const { name, message, stack } =
      error instanceof Error ? error : { name: 'Error', message: String(error), stack: undefined }
    const said: [string, string][] = [
      ...(hasOrigin
        ? []
        : ORIGIN.map((k, i): [string, string] => [k, `${[topic, partition, offset][i]}`])),
      [`${ERRORS}connector.name`, this.who],
      [`${ERRORS}task.id`, '0'],
      [`${ERRORS}stage`, stage],
      [`${ERRORS}class.name`, 'ottla.Consumer'],
      [`${ERRORS}exception.class.name`, name],
      [`${ERRORS}exception.message`, message],
      [`${ERRORS}exception.stacktrace`, stack ?? ''],
    ]
    return [...kept, ...said.map(([key, value]) => ({ key, value }))]
  }
}

/** Where Connect would say it failed: in the sink, or in a converter. */
export type Stage = 'TASK_PUT' | 'VALUE_CONVERTER'

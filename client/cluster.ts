/**
 * The cluster as a client sees it: which brokers there are, who leads what, one connection to each, and the loop that
 * repeats what may be repeated.
 *
 * `run` is one call of the application: a deadline and any number of attempts, with exponential backoff and jitter in
 * between. Inside an attempt, `request` sends one request to one broker and `leader` looks up whom to ask. An attempt that
 * throws a retriable error is repeated from its start, so it works out anew which broker to ask; an error that says our
 * picture is old (NOT_CONTROLLER, NOT_LEADER_OR_FOLLOWER, a lost connection, …) makes the next attempt ask for
 * metadata first.
 *
 * Addresses come from the bootstrap list until a broker has told us about the cluster. The list stays in reserve: when
 * no broker that we know can be reached any more, it is tried again.
 */
import type { ApiName, RequestInput, ResponseOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import type { Io } from '../protocol/io.ts'
import { abortable, Brokers, leftMs, type RequestHooks } from './brokers.ts'
import { type ClientConfig, type ClientOptions, resolveClientConfig } from './config.ts'
import type { Connection } from './connection.ts'
import {
  AnswerError,
  ClosedError,
  ConnectionError,
  isRetriable,
  needsMetadata,
  OptionError,
  TimeoutError,
} from './errors.ts'

/** Whom to ask: any broker, the controller, or the broker with this node id. */
export type Target = 'any' | 'controller' | number

export interface CallOptions {
  /** For the call with all its retries; default apiTimeoutMs. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What an attempt knows of the call that it belongs to. */
export interface Attempt {
  /** On the monotonic clock. */
  readonly deadlineMs: number
  readonly signal: AbortSignal | undefined
  /** Whether an earlier attempt was sent and its answer lost: what was asked may be done already. */
  readonly mayBeDone: boolean
  /** How errors name the broker that was asked last. */
  asked: string | undefined
}

export interface Leader {
  readonly leaderId: number
  readonly leaderEpoch: number
}

/** Who sees what goes to and fro. */
export interface ClusterHooks extends RequestHooks {
  /** Sees the answer to a `request` before its caller, who waits for it and fails as it does. */
  readonly answered?: (name: ApiName, answer: unknown, attempt: Attempt) => Promise<void> | void
}

export interface PartitionPicture extends Leader {
  readonly errorCode: number
  readonly replicaNodes: readonly number[]
  readonly isrNodes: readonly number[]
  readonly offlineReplicas: readonly number[]
}

/** A topic as the last metadata showed it. */
export interface TopicPicture {
  readonly topicId: string
  /** By partition. */
  readonly partitions: readonly PartitionPicture[]
}

/** A request, or how to write it in the version that is going to be used. */
export type RequestFor<N extends ApiName> = RequestInput<N> | ((version: number) => RequestInput<N>)

export class Cluster {
  readonly config: ClientConfig
  private readonly io: Io
  private readonly hooks: ClusterHooks
  private readonly brokers: Brokers
  private readonly topics = new Map<string, TopicPicture>()
  /** What metadata said of topics that cannot be used. */
  private readonly refusals = new Map<string, number>()
  /** Topics whose leaders someone wants to know. */
  private readonly tracked = new Set<string>()
  private readonly pauses = new Set<(error: Error) => void>()
  /** How often metadata has come: whoever keeps conclusions from it draws them anew when this has changed. */
  metadataCount = 0
  private controllerId = -1
  private metadataAtMs = Number.NEGATIVE_INFINITY
  private isStale = true
  private refreshing: Promise<unknown> | null = null
  /** What the request under way asks about. */
  private asking: ReadonlySet<string> = new Set()
  private isClosed = false

  /** Connects only when the first call is made. Throws an OptionError. */
  constructor(io: Io, options: ClientOptions, hooks: ClusterHooks = {}) {
    this.io = io
    this.hooks = hooks
    this.config = resolveClientConfig(options)
    this.brokers = new Brokers(io, this.config, hooks)
  }

  /** Node ids of the brokers, as of the last metadata. */
  get nodeIds(): readonly number[] {
    return this.brokers.ids
  }

  /** How errors name a broker. */
  label(nodeId: number): string {
    return this.brokers.label(nodeId)
  }

  /** Repeats `attempt` until it succeeds, fails for good, or the deadline passes. `what` names the call in errors. */
  async run<T>(
    what: string,
    options: CallOptions,
    attempt: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    const startMs = this.io.clock.monotonicMs()
    const deadlineMs = startMs + (options.timeoutMs ?? this.config.apiTimeoutMs)
    const { signal } = options
    let mayBeDone = false
    for (let tries = 1; ; tries++) {
      this.check(signal)
      try {
        return await attempt({ deadlineMs, signal, mayBeDone, asked: undefined })
      } catch (error) {
        this.check(signal)
        const { telemetry } = this.config
        if (!isRetriable(error)) telemetry.failed(error)
        if (!isRetriable(error)) throw error
        mayBeDone ||= isAnswerLost(error)
        const nowMs = this.io.clock.monotonicMs()
        const afterMs = nowMs - startMs
        const isNowhere = !this.brokers.hasConnected && afterMs >= this.config.bootstrapTimeoutMs
        const waitMs = this.backoffMs(tries)
        const isLast = tries > this.config.retries || nowMs + waitMs >= deadlineMs
        if (isNowhere || isLast) {
          telemetry.failed(error)
          throw isNowhere ? error : gaveUp(what, afterMs, tries, error)
        }
        telemetry.retrying(what, error, tries, waitMs)
        if (needsMetadata(error)) this.isStale = true
        await this.pause(waitMs, signal)
      }
    }
  }

  /** One request to one broker. Errors inside the response are the caller's to find. */
  async request<N extends ApiName>(
    target: Target,
    name: N,
    request: RequestFor<N>,
    attempt: Attempt,
    requestTimeoutMs: number = this.config.requestTimeoutMs,
  ): Promise<ResponseOf<N>> {
    const connection = await this.connect(target, attempt)
    attempt.asked = connection.label
    const body = typeof request === 'function' ? request(connection.version(name)) : request
    const timeoutMs = Math.min(requestTimeoutMs, leftMs(this.io, attempt))
    const answer = connection.send(name, body, { timeoutMs, signal: attempt.signal })
    if (this.hooks.answered !== undefined) await this.hooks.answered(name, await answer, attempt)
    return answer
  }

  /** Asks any broker about these topics (null: all; none: only the brokers) and brings our picture up to date. */
  async metadata(
    topics: readonly string[] | null,
    attempt: Attempt,
  ): Promise<ResponseOf<'Metadata'>> {
    const asked = topics?.map(name => ({ name })) ?? null
    const { allowAutoTopicCreation } = this.config
    const request = {
      topics: asked,
      allowAutoTopicCreation: allowAutoTopicCreation && asked !== null,
    }
    const names = new Set(topics)
    const isWhole = topics === null || [...this.tracked].every(name => names.has(name))
    const answer = await this.request('any', 'Metadata', request, attempt)
    if (answer.errorCode === errorCode('REBOOTSTRAP_REQUIRED')) this.brokers.forgetAll()
    if (answer.errorCode !== 0)
      throw new AnswerError(answer.errorCode, { api: 'Metadata', broker: attempt.asked })
    this.brokers.learn(answer.brokers)
    this.controllerId = answer.controllerId
    if (isWhole) {
      this.metadataAtMs = this.io.clock.monotonicMs()
      this.isStale = false
    }
    for (const topic of answer.topics) this.learnTopic(topic)
    this.metadataCount++
    return answer
  }

  /** The next look at one of these topics asks about all of them that are not known, in one request. */
  track(names: Iterable<string>): void {
    for (const name of names) if (isName(name)) this.tracked.add(name)
  }

  /** Who leads this partition. Throws a retriable AnswerError while nobody does. */
  async leader(topic: string, partition: number, attempt: Attempt): Promise<Leader> {
    const isLed = (picture: TopicPicture) => (picture.partitions[partition]?.leaderId ?? -1) >= 0
    const leader = (await this.topic(topic, attempt, isLed)).partitions[partition]
    if (leader !== undefined && leader.leaderId >= 0) return leader
    const reason = leader === undefined ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'LEADER_NOT_AVAILABLE'
    throw new AnswerError(errorCode(reason), { api: 'Metadata', topic, partition })
  }

  /** The topic's partitions; asks once more where what is known will not do. Throws an AnswerError where there is none. */
  async topic(
    name: string,
    attempt: Attempt,
    willDo: (picture: TopicPicture) => boolean = () => true,
  ): Promise<TopicPicture> {
    if (!isName(name)) {
      throw new OptionError(`topic is ${name === '' ? 'empty' : String(name)}, not a name.`)
    }
    for (let asked = false; ; ) {
      const picture = asked || this.isFresh ? this.topics.get(name) : undefined
      if (picture !== undefined && (asked || willDo(picture))) return picture
      if (asked) {
        const code = this.refusals.get(name) ?? errorCode('UNKNOWN_TOPIC_OR_PARTITION')
        throw new AnswerError(code, { api: 'Metadata', topic: name })
      }
      // A request that is under way already may not ask about this topic.
      asked = this.refreshing === null || this.asking.has(name)
      this.tracked.add(name)
      await this.refresh(attempt, name)
    }
  }

  /** What is known of a topic right now, however old. */
  knownTopic(name: string): TopicPicture | undefined {
    return this.topics.get(name)
  }

  /** Whether what is known needs no refreshing. */
  get isFresh(): boolean {
    const ageMs = this.io.clock.monotonicMs() - this.metadataAtMs
    return !this.isStale && ageMs < this.config.metadataMaxAgeMs
  }

  /** What is known has proved wrong: the next look asks for metadata first. */
  distrust(): void {
    this.isStale = true
  }

  /** The open connection to this broker, or null. */
  openConnection(nodeId: number): Connection | null {
    return this.brokers.openConnection(nodeId)
  }

  /** Closes all connections; what is under way fails with a ClosedError. */
  close(): void {
    this.isClosed = true
    const error = new ClosedError()
    this.brokers.close(error)
    for (const reject of [...this.pauses]) reject(error)
  }

  private check(signal: AbortSignal | undefined): void {
    if (this.isClosed) throw new ClosedError()
    signal?.throwIfAborted()
  }

  private backoffMs(tries: number): number {
    const { retryBackoffMs, retryBackoffMaxMs } = this.config
    const fullMs = Math.min(retryBackoffMaxMs, retryBackoffMs * 2 ** Math.min(tries - 1, 30))
    return fullMs * (0.8 + 0.4 * this.io.random())
  }

  /**
   * Asks about all tracked topics, or while what is known of them is fresh only about those that are not known and `name`, as
   * KIP-526 has it; callers at the same time share one request.
   */
  private refresh(attempt: Attempt, name?: string): Promise<unknown> {
    if (this.refreshing === null) {
      const isNeeded = (one: string) => !this.isFresh || one === name || !this.topics.has(one)
      this.asking = new Set([...this.tracked].filter(isNeeded))
      const deadlineMs = Math.min(
        attempt.deadlineMs,
        this.io.clock.monotonicMs() + this.config.requestTimeoutMs,
      )
      const own = { deadlineMs, signal: undefined, mayBeDone: false, asked: undefined }
      this.refreshing = this.metadata([...this.asking], own).finally(() => {
        this.refreshing = null
      })
    }
    return abortable(this.refreshing, attempt.signal)
  }

  /** An open connection to one broker, for callers that send on it themselves. */
  async connect(target: Target, attempt: Attempt): Promise<Connection> {
    if (target === 'any') return this.brokers.openAny(attempt)
    const isKnown = target === 'controller' ? this.controllerId >= 0 : this.brokers.has(target)
    if (!isKnown || !this.isFresh) await this.refresh(attempt)
    const id = target === 'controller' ? this.controllerId : target
    // A cluster without a controller at the moment: any broker answers, with the error that fits.
    if (target === 'controller' && id < 0) return this.brokers.openAny(attempt)
    return this.brokers.open(id, attempt)
  }

  private learnTopic(topic: ResponseOf<'Metadata'>['topics'][number]): void {
    const { errorCode: code, name } = topic
    if (name === null || !this.tracked.has(name)) return
    if (code === 0) {
      const partitions: PartitionPicture[] = []
      for (const p of topic.partitions) partitions[p.partitionIndex] = p
      this.tellOfLeaders(name, partitions)
      this.topics.set(name, { topicId: topic.topicId, partitions })
      this.refusals.delete(name)
      return
    }
    this.topics.delete(name)
    this.refusals.set(name, code)
    // Asked for again by whoever still wants to know.
    if (code === errorCode('UNKNOWN_TOPIC_OR_PARTITION')) {
      this.tracked.delete(name)
      this.refusals.delete(name)
    }
  }

  private tellOfLeaders(topic: string, partitions: readonly PartitionPicture[]): void {
    const before = this.topics.get(topic)?.partitions ?? []
    for (const [partition, { leaderId, leaderEpoch }] of partitions.entries()) {
      const from = before[partition]?.leaderId
      if (from === undefined || from === leaderId) continue
      const fields = { topic, partition, from, to: leaderId, leaderEpoch }
      if (leaderId >= 0) this.config.telemetry.info('the leader has moved', fields)
      else this.config.telemetry.warn('the partition has no leader', fields)
    }
  }

  /** Keeps the process alive, unlike other timers: someone waits for what comes after. */
  private pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = () => {
        timer.cancel()
        this.pauses.delete(fail)
        signal?.removeEventListener('abort', abort)
      }
      const fail = (error: Error) => {
        end()
        reject(error)
      }
      const abort = () => fail(signal?.reason as Error)
      const wake = () => {
        end()
        resolve()
      }
      const timer = this.io.clock.timer(delayMs, wake, true)
      this.pauses.add(fail)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }
}

/** Whether one can ask about it at all: what comes from an application may be anything. */
function isName(name: unknown): name is string {
  return typeof name === 'string' && name !== ''
}

/** Whether a request that may change something was sent and nobody knows what became of it. */
function isAnswerLost(error: unknown): boolean {
  if (!(error instanceof TimeoutError || error instanceof ConnectionError)) return false
  const wasSent = error instanceof TimeoutError || !error.neverOpened
  return wasSent && error.place.api !== undefined && error.place.api !== 'Metadata'
}

function gaveUp(what: string, afterMs: number, tries: number, cause: unknown): TimeoutError {
  const attempts = tries === 1 ? '1 attempt' : `${tries} attempts`
  const last = cause instanceof Error ? cause.message.replace(/\.$/, '') : String(cause)
  const reason = `${what} gave up after ${Math.round(afterMs)} ms and ${attempts}; the last one: ${last}`
  return new TimeoutError(reason, { cause })
}

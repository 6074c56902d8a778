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
import {
  type Address,
  type ClientConfig,
  type ClientOptions,
  formatAddress,
  resolveClientConfig,
} from './config.ts'
import { Connection, type RequestWatch } from './connection.ts'
import {
  AnswerError,
  ClosedError,
  ConnectionError,
  isRetriable,
  needsMetadata,
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
export interface ClusterHooks {
  /** Makes what hears of all requests to one broker; `nodeId` is below 0 for bootstrap addresses. */
  readonly watch?: (nodeId: number, label: string) => RequestWatch
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

interface Node extends Address {
  /** Bootstrap addresses have ids below 0. */
  readonly id: number
  connection: Connection | null
  opening: Promise<Connection> | null
  /** When connecting failed last; 0 if it did not. */
  failedAtMs: number
}

const READ_BUFFER_BYTES = 65_536

export class Cluster {
  readonly config: ClientConfig
  private readonly io: Io
  private readonly hooks: ClusterHooks
  private readonly readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
  private readonly bootstrap: readonly Node[]
  private readonly brokers = new Map<number, Node>()
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
  private hasConnected = false
  private isClosed = false

  /** Connects only when the first call is made. Throws an OptionError. */
  constructor(io: Io, options: ClientOptions, hooks: ClusterHooks = {}) {
    this.io = io
    this.hooks = hooks
    this.config = resolveClientConfig(options)
    this.bootstrap = this.config.bootstrap.map((address, i) => newNode(-1 - i, address))
  }

  /** Node ids of the brokers, as of the last metadata. */
  get nodeIds(): readonly number[] {
    return [...this.brokers.keys()]
  }

  /** How errors name a broker. */
  label(nodeId: number): string {
    const node = this.brokers.get(nodeId)
    return node === undefined ? `broker ${nodeId}` : labelOf(node)
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
        if (!isRetriable(error)) throw error
        mayBeDone ||= isAnswerLost(error)
        const nowMs = this.io.clock.monotonicMs()
        if (!this.hasConnected && nowMs - startMs >= this.config.bootstrapTimeoutMs) throw error
        const waitMs = this.backoffMs(tries)
        const isLast = tries > this.config.retries || nowMs + waitMs >= deadlineMs
        if (isLast) throw gaveUp(what, nowMs - startMs, tries, error)
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
    const timeoutMs = Math.min(requestTimeoutMs, this.leftMs(attempt))
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
    const answer = await this.request('any', 'Metadata', request, attempt)
    if (answer.errorCode === errorCode('REBOOTSTRAP_REQUIRED')) this.forgetBrokers()
    if (answer.errorCode !== 0)
      throw new AnswerError(answer.errorCode, { api: 'Metadata', broker: attempt.asked })
    this.learnBrokers(answer)
    for (const topic of answer.topics) this.learnTopic(topic)
    this.metadataCount++
    return answer
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
    for (let asked = false; ; ) {
      const picture = asked || this.isFresh ? this.topics.get(name) : undefined
      if (picture !== undefined && (asked || willDo(picture))) return picture
      if (asked) {
        const code = this.refusals.get(name) ?? errorCode('UNKNOWN_TOPIC_OR_PARTITION')
        throw new AnswerError(code, { api: 'Metadata', topic: name })
      }
      // A request that is under way already may not ask about this topic.
      asked = this.refreshing === null || this.tracked.has(name)
      this.tracked.add(name)
      await this.refresh(attempt)
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
    const connection = this.brokers.get(nodeId)?.connection ?? null
    return connection?.isOpen === true ? connection : null
  }

  /** Closes all connections; what is under way fails with a ClosedError. */
  close(): void {
    this.isClosed = true
    const error = new ClosedError()
    for (const node of [...this.bootstrap, ...this.brokers.values()]) node.connection?.close(error)
    for (const reject of [...this.pauses]) reject(error)
  }

  private check(signal: AbortSignal | undefined): void {
    if (this.isClosed) throw new ClosedError()
    signal?.throwIfAborted()
  }

  private leftMs(attempt: Attempt): number {
    return Math.max(1, Math.ceil(attempt.deadlineMs - this.io.clock.monotonicMs()))
  }

  private backoffMs(tries: number): number {
    const { retryBackoffMs, retryBackoffMaxMs } = this.config
    const fullMs = Math.min(retryBackoffMaxMs, retryBackoffMs * 2 ** Math.min(tries - 1, 30))
    return fullMs * (0.8 + 0.4 * this.io.random())
  }

  /** Asks about all tracked topics; callers at the same time share one request. */
  private refresh(attempt: Attempt): Promise<unknown> {
    this.refreshing ??= this.metadata([...this.tracked], {
      deadlineMs: Math.min(
        attempt.deadlineMs,
        this.io.clock.monotonicMs() + this.config.requestTimeoutMs,
      ),
      signal: undefined,
      mayBeDone: false,
      asked: undefined,
    }).finally(() => {
      this.refreshing = null
    })
    return abortable(this.refreshing, attempt.signal)
  }

  /** An open connection to one broker, for callers that send on it themselves. */
  async connect(target: Target, attempt: Attempt): Promise<Connection> {
    if (target === 'any') return this.connectAny(attempt)
    const isKnown = target === 'controller' ? this.controllerId >= 0 : this.brokers.has(target)
    if (!isKnown || !this.isFresh) await this.refresh(attempt)
    const id = target === 'controller' ? this.controllerId : target
    // A cluster without a controller at the moment: any broker answers, with the error that fits.
    if (target === 'controller' && id < 0) return this.connectAny(attempt)
    const node = this.brokers.get(id)
    if (node === undefined) {
      const advice = 'see whether it runs'
      throw new ConnectionError(`broker ${id} is not in the cluster at the moment`, { advice })
    }
    return this.open(node, attempt)
  }

  /** The least busy of the open connections; else the first broker that can be reached, bootstrap addresses last. */
  private async connectAny(attempt: Attempt): Promise<Connection> {
    const nodes = [...this.brokers.values(), ...this.bootstrap]
    const open = nodes.map(n => n.connection).filter(c => c?.isOpen === true)
    if (open.length > 0) {
      return open.reduce((a, b) => (b!.inFlightCount < a!.inFlightCount ? b : a))!
    }
    // Those that failed longest ago come first; the sort is stable, so that otherwise bootstrap addresses come last.
    nodes.sort((a, b) => a.failedAtMs - b.failedAtMs)
    const failures: ConnectionError[] = []
    for (const node of nodes) {
      try {
        return await this.open(node, attempt)
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error
        failures.push(error)
        if (this.io.clock.monotonicMs() >= attempt.deadlineMs) break
      }
    }
    throw failures.length === 1 ? failures[0] : noneReachable(failures)
  }

  private open(node: Node, attempt: Attempt): Promise<Connection> {
    if (node.connection?.isOpen === true) return Promise.resolve(node.connection)
    node.opening ??= this.openNew(node, this.leftMs(attempt)).finally(() => {
      node.opening = null
    })
    return abortable(node.opening, attempt.signal)
  }

  private async openNew(node: Node, timeoutMs: number): Promise<Connection> {
    const isAdvertised = node.id >= 0 && this.hasConnected
    try {
      const connection = await Connection.open(this.io, {
        ...this.config,
        host: node.host,
        port: node.port,
        label: labelOf(node),
        connectTimeoutMs: Math.min(this.config.connectTimeoutMs, timeoutMs),
        readBuffer: this.readBuffer,
        watch: this.hooks.watch?.(node.id, labelOf(node)),
        unreachableAdvice: isAdvertised
          ? "the cluster itself gave this address: check that the broker runs, and its setting 'advertised.listeners'"
          : undefined,
      })
      this.adopt(node, connection)
      return connection
    } catch (error) {
      node.failedAtMs = this.io.clock.monotonicMs()
      throw error
    }
  }

  private adopt(node: Node, connection: Connection): void {
    if (this.isClosed) {
      connection.close()
      throw new ClosedError()
    }
    this.hasConnected = true
    node.failedAtMs = 0
    node.connection = connection
    connection.whenClosed(() => {
      if (node.connection === connection) node.connection = null
    })
    if (node.id < 0) return
    for (const { connection: spare } of this.bootstrap) {
      if (spare !== null && spare.inFlightCount === 0) spare.close()
    }
  }

  private learnBrokers(answer: ResponseOf<'Metadata'>): void {
    const gone = new Set(this.brokers.keys())
    for (const { nodeId, host, port } of answer.brokers) {
      const node = this.brokers.get(nodeId)
      if (node?.host === host && node.port === port) gone.delete(nodeId)
    }
    for (const nodeId of gone) this.forget(nodeId)
    for (const { nodeId, host, port } of answer.brokers) {
      if (!this.brokers.has(nodeId)) this.brokers.set(nodeId, newNode(nodeId, { host, port }))
    }
    this.controllerId = answer.controllerId
    this.metadataAtMs = this.io.clock.monotonicMs()
    this.isStale = false
  }

  private learnTopic(topic: ResponseOf<'Metadata'>['topics'][number]): void {
    const { errorCode: code, name } = topic
    if (name === null || !this.tracked.has(name)) return
    if (code === 0) {
      const partitions: PartitionPicture[] = []
      for (const p of topic.partitions) partitions[p.partitionIndex] = p
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

  private forgetBrokers(): void {
    for (const nodeId of [...this.brokers.keys()]) this.forget(nodeId)
  }

  private forget(nodeId: number): void {
    const node = this.brokers.get(nodeId)
    this.brokers.delete(nodeId)
    node?.connection?.close(
      new ConnectionError(`${this.label(nodeId)} has left the cluster or moved`, {}),
    )
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

function newNode(id: number, { host, port }: Address): Node {
  return { id, host, port, connection: null, opening: null, failedAtMs: 0 }
}

function labelOf(node: Node): string {
  return node.id < 0 ? formatAddress(node) : `broker ${node.id} at ${formatAddress(node)}`
}

/** Settles as `promise` does, or rejects when the signal says so; `promise` goes on for its other users. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Whether a request that may change something was sent and nobody knows what became of it. */
function isAnswerLost(error: unknown): boolean {
  if (!(error instanceof TimeoutError || error instanceof ConnectionError)) return false
  const wasSent = error instanceof TimeoutError || !error.neverOpened
  return wasSent && error.place.api !== undefined && error.place.api !== 'Metadata'
}

function noneReachable(failures: readonly ConnectionError[]): ConnectionError {
  const reasons = failures.map(f => f.message.replace(/\.$/, '')).join('; ')
  return new ConnectionError(`not one of ${failures.length} brokers can be reached: ${reasons}`, {
    neverOpened: true,
    cause: failures.at(-1),
  })
}

function gaveUp(what: string, afterMs: number, tries: number, cause: unknown): TimeoutError {
  const attempts = tries === 1 ? '1 attempt' : `${tries} attempts`
  const last = cause instanceof Error ? cause.message.replace(/\.$/, '') : String(cause)
  const reason = `${what} gave up after ${Math.round(afterMs)} ms and ${attempts}; the last one: ${last}`
  return new TimeoutError(reason, { cause })
}

/**
 * kafkajs's consumer on ours: subscriptions, `run` with its handlers, events, and a new start after a crash. Heartbeats go by
 * a timer, so a handler that takes long does not lose its partitions, and `heartbeat()` only says whether it has.
 */

import type { Cluster, ClusterHooks } from '../cluster.ts'
import { Consumer } from '../consumer.ts'
import { GroupAdmin } from '../group-admin.ts'
import { AssignerDesk, PartitionAssigners, partitionMetadata } from './assigner-protocol.ts'
import { kafkaJsError } from './error-mapping.ts'
import { KafkaJSNonRetriableError, KafkaJSNumberOfRetriesExceeded } from './errors.ts'
import { CONSUMER_EVENTS, Events } from './events.ts'
import type { Logger } from './logger.ts'
import { Membership } from './membership.ts'
import { checkSelections, Pauses, type TopicSelection } from './pauses.ts'
import { Run } from './run.ts'
import {
  openCluster,
  type Retries,
  reach,
  retriesOf,
  retryTimeMs,
  type Settings,
  watchRequests,
} from './settings.ts'
import type {
  ConsumerConfig,
  ConsumerRunConfig,
  ConsumerSubscribeTopic,
  ConsumerSubscribeTopics,
  GroupDescription,
  TopicPartitionOffset,
  TopicPartitionOffsetAndMetadata,
  TopicPartitions,
} from './shapes.ts'

const SESSION_TIMEOUT_MS = 30_000
const REBALANCE_TIMEOUT_MS = 60_000
const HEARTBEAT_INTERVAL_MS = 3_000
const MAX_WAIT_MS = 5_000
const MAX_BYTES = 10_485_760
const NOT_RUNNING = 'Consumer group was not initialized, consumer#run must be called first'

export class KafkaJsConsumer {
  readonly events = CONSUMER_EVENTS
  private readonly settings: Settings
  private readonly config: ConsumerConfig
  private readonly retries: Retries
  private readonly emitter: Events<typeof CONSUMER_EVENTS>
  private readonly topics = new Map<string, { readonly fromBeginning: boolean }>()
  private readonly pauses = new Pauses()
  private readonly log: Logger
  private cluster: Cluster | null = null
  private current: Run | null = null
  private held: Consumer | null = null
  private stopping: Promise<void> | null = null
  private cancelRestart: (() => void) | null = null

  constructor(settings: Settings, config: ConsumerConfig) {
    const { groupId, sessionTimeout = SESSION_TIMEOUT_MS } = config ?? {}
    if (!groupId) {
      throw new KafkaJSNonRetriableError('Consumer groupId must be a non-empty string.')
    }
    const { heartbeatInterval = HEARTBEAT_INTERVAL_MS } = config
    if (heartbeatInterval >= sessionTimeout) {
      const limits = `heartbeatInterval (${heartbeatInterval}) must be lower than sessionTimeout (${sessionTimeout})`
      throw new KafkaJSNonRetriableError(`Consumer ${limits}`)
    }
    this.settings = settings
    this.config = config
    this.retries = retriesOf(settings.kafka, config.retry)
    this.log = settings.logger.namespace('Consumer')
    this.emitter = new Events(settings.io.clock, 'consumer', CONSUMER_EVENTS, this.log)
  }

  connect = async (): Promise<void> => {
    await this.reachable()
    this.emitter.emit('connect', null)
  }

  disconnect = async (): Promise<void> => {
    await this.stop()
    this.cluster?.close()
    this.cluster = null
    this.emitter.emit('disconnect', null)
  }

  /** Topics by name or pattern; patterns stand for the topics that exist now. Those that do not exist are created. */
  subscribe = async (
    subscription: ConsumerSubscribeTopic | ConsumerSubscribeTopics,
  ): Promise<void> => {
    const {
      topic,
      topics,
      fromBeginning = false,
    } = subscription as Partial<ConsumerSubscribeTopic & ConsumerSubscribeTopics>
    if (this.current !== null) {
      throw new KafkaJSNonRetriableError('Cannot subscribe to topic while consumer is running')
    }
    if (topic === undefined && topics === undefined) {
      throw new KafkaJSNonRetriableError('Missing required argument "topics"')
    }
    if (topics !== undefined && !Array.isArray(topics)) {
      throw new KafkaJSNonRetriableError('Argument "topics" must be an array')
    }
    const wanted = topics ?? [topic!]
    const wrong = wanted.find(one => typeof one !== 'string' && !(one instanceof RegExp))
    if (wrong !== undefined) {
      const text = `Invalid topic ${wrong} (${typeof wrong}), the topic name has to be a String or a RegExp`
      throw new KafkaJSNonRetriableError(text)
    }
    const cluster = await this.reachable()
    await this.mapped(async () => {
      const names = await namesOf(cluster, wanted)
      for (const name of names) {
        await cluster.run(`looking up topic '${name}'`, {}, attempt => cluster.topic(name, attempt))
        this.topics.set(name, { fromBeginning })
      }
    })
  }

  /** Resolves when the group has given this consumer its share, and the handlers are at work. */
  run = async (config: ConsumerRunConfig = {}): Promise<void> => {
    if (this.current !== null) {
      const { groupId } = this.config
      this.log.warn('consumer#run was called, but the consumer is already running', { groupId })
      return
    }
    await this.start(config)
  }

  /** Waits for the handler, commits what it has done, and leaves the group; `run` may be called again. */
  stop = (): Promise<void> => {
    this.stopping ??= this.stopNow().finally(() => {
      this.stopping = null
    })
    return this.stopping
  }

  commitOffsets = async (
    offsets: readonly TopicPartitionOffsetAndMetadata[] = [],
  ): Promise<void> => {
    const places = offsets.map(place => ({ ...checkedPlace(place), metadata: place.metadata }))
    const run = this.running()
    const topics = places.map(({ topic, partition, next, metadata }) => ({
      topic,
      partitions: [{ partition, offset: String(next), metadata }],
    }))
    await this.mapped(() => run.commit({ topics }))
  }

  seek = (place: TopicPartitionOffset): void => {
    const { topic, partition, next } = checkedPlace(place, true)
    const special = next === -1 ? 'latest' : 'earliest'
    this.running().seek({ topic, partition }, next < 0 ? special : next)
  }

  pause = (selections: readonly TopicSelection[] = []): void => {
    checkSelections(selections, 'pause')
    const run = this.running()
    this.pauses.pause(selections)
    run.pause(this.assignment().filter(partition => this.pauses.isPaused(partition)))
  }

  resume = (selections: readonly TopicSelection[] = []): void => {
    checkSelections(selections, 'resume')
    const run = this.running()
    this.pauses.resume(selections)
    run.resume(this.assignment().filter(partition => !this.pauses.isPaused(partition)))
  }

  paused = (): TopicPartitions[] => {
    const topics = new Map<string, number[]>()
    for (const partition of this.assignment()) {
      if (!this.pauses.isPaused(partition)) continue
      topics.set(partition.topic, [...(topics.get(partition.topic) ?? []), partition.partition])
    }
    return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
  }

  describeGroup = async (): Promise<GroupDescription> => {
    const groups = new GroupAdmin(await this.reachable())
    const { groupId } = this.config
    const found = await this.mapped(() => groups.describeRaw(groupId))
    const { errorCode, members, protocolData: protocol, protocolType, groupState } = found
    const state = groupState as GroupDescription['state']
    return { errorCode, groupId, members, protocol, protocolType, state }
  }

  on: Events<typeof CONSUMER_EVENTS>['on'] = (name, listener) => this.emitter.on(name, listener)

  logger = (): Logger => this.log

  private async start(config: ConsumerRunConfig): Promise<void> {
    const { groupId } = this.config
    this.log.info('Starting', { groupId })
    await this.reachable()
    this.emitter.emit('connect', null)
    const run = await this.newRun(config)
    this.current = run
    await run.start(error => void this.crashed(error, config))
  }

  private async newRun(runConfig: ConsumerRunConfig): Promise<Run> {
    const { settings, config, emitter, pauses, retries } = this
    const { groupId } = config
    const topics = [...this.topics.keys()]
    const logger = settings.logger
    let run: Run | null = null
    const fetches = await openCluster(settings, config, this.watching())
    const lookups = await openCluster(settings, config, {
      ...this.watching(),
      answered: (name, answer) => membership.answered(name, answer),
    })
    const findTopicPartitionMetadata = (topic: string) =>
      partitionMetadata(lookups.knownTopic(topic)?.partitions ?? [])
    const assigners = (config.partitionAssigners ?? [PartitionAssigners.roundRobin]).map(create =>
      create({ cluster: { findTopicPartitionMetadata }, groupId, logger }),
    )
    const desk = new AssignerDesk(assigners)
    const membership = new Membership(settings.io, groupId, emitter, desk, {
      topics,
      leaving: async () => {
        await run?.autoCommit().catch(() => {})
      },
      // What fails is tried again at the next answer, and before the next batch.
      progressed: () => settings.io.turn.write(() => void run?.settle().catch(() => {})),
    })
    const isFromStart = [...this.topics.values()].some(({ fromBeginning }) => fromBeginning)
    const isMixed = isFromStart && [...this.topics.values()].some(t => !t.fromBeginning)
    const earliest = topics.filter(topic => this.topics.get(topic)!.fromBeginning)
    const consumer = this.mappedNow(
      () =>
        new Consumer(settings.io, fetches, lookups, {
          groupId,
          assignors: desk.assignors,
          sessionTimeoutMs: config.sessionTimeout ?? SESSION_TIMEOUT_MS,
          rebalanceTimeoutMs: config.rebalanceTimeout ?? REBALANCE_TIMEOUT_MS,
          heartbeatIntervalMs: config.heartbeatInterval ?? HEARTBEAT_INTERVAL_MS,
          autoCommit: false,
          autoOffsetReset: isFromStart && !isMixed ? 'earliest' : 'latest',
          isolation: config.readUncommitted ? 'read_uncommitted' : 'read_committed',
          rackId: config.rackId,
          maxWaitMs: config.maxWaitTimeInMs ?? MAX_WAIT_MS,
          minBytes: config.minBytes,
          maxBytes: config.maxBytes ?? MAX_BYTES,
          maxPartitionBytes: config.maxBytesPerPartition,
          batches: 'fetched',
        }),
    )
    consumer.subscribe(topics)
    this.held = consumer
    const otherwiseEarliest = new Set(isMixed ? earliest : [])
    const parts = { settings, groupId, config: runConfig, retries, emitter, pauses, membership }
    run = new Run({ ...parts, consumer, otherwiseEarliest })
    return run
  }

  private watching(): Required<Pick<ClusterHooks, 'watch'>> {
    const { emitter } = this
    return watchRequests(this.settings, emitter, {
      begun: nodeId => emitter.emit('fetch_start', { nodeId }),
      ended: (nodeId, duration) => emitter.emit('fetch', { numberOfBatches: 0, duration, nodeId }),
    })
  }

  private async stopNow(): Promise<void> {
    this.cancelRestart?.()
    this.cancelRestart = null
    const run = this.current
    if (run !== null) {
      await run.stop()
      this.current = null
      this.held = null
      this.emitter.emit('stop', null)
    }
    this.log.info('Stopped', { groupId: this.config.groupId })
  }

  /** A run has ended with an error: says so, and starts again where that may help. */
  private async crashed(error: Error, config: ConsumerRunConfig): Promise<void> {
    const { groupId } = this.config
    const { message, name, stack } = error
    this.log.error(`Crash: ${name}: ${message}`, { groupId, stack })
    await this.disconnect()
    const isRetriable =
      error instanceof KafkaJSNumberOfRetriesExceeded ||
      (rootCause(error) as { retriable?: unknown }).retriable === true
    const restart = isRetriable && (await this.mayRestart(error))
    this.emitter.emit('crash', { error, groupId, restart })
    if (!restart) return
    const retryTime =
      error instanceof KafkaJSNumberOfRetriesExceeded
        ? error.retryTime
        : retryTimeMs(this.retries, 0)
    this.log.error(`Restarting the consumer in ${retryTime}ms`, { retryTime, groupId })
    const again = () => this.start(config).catch(failure => this.crashed(failure as Error, config))
    const timer = this.settings.io.clock.timer(retryTime, () => void again(), true)
    this.cancelRestart = () => timer.cancel()
  }

  private async mayRestart(error: Error): Promise<boolean> {
    try {
      return (await this.config.retry?.restartOnFailure?.(error)) ?? true
    } catch (failure) {
      const text = 'The callback restartOnFailure failed, so the consumer is restarted'
      this.log.error(text, { error: (failure as Error).message, groupId: this.config.groupId })
      return true
    }
  }

  private async reachable(): Promise<Cluster> {
    if (this.cluster !== null) return this.cluster
    const cluster = await openCluster(this.settings, this.config, this.watching())
    try {
      await this.mapped(() => reach(cluster))
    } catch (error) {
      cluster.close()
      throw error
    }
    this.cluster = cluster
    return cluster
  }

  private assignment() {
    return this.held?.assignment ?? []
  }

  private running(): Run {
    if (this.current === null) throw new KafkaJSNonRetriableError(NOT_RUNNING)
    return this.current
  }

  private async mapped<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw kafkaJsError(error, this.retries)
    }
  }

  private mappedNow<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw kafkaJsError(error, this.retries)
    }
  }
}

async function namesOf(cluster: Cluster, wanted: readonly (string | RegExp)[]): Promise<string[]> {
  const patterns = wanted.filter(one => one instanceof RegExp)
  const names = wanted.filter(one => typeof one === 'string')
  if (patterns.length === 0) return names
  const { topics } = await cluster.run('listing topics', {}, attempt =>
    cluster.metadata(null, attempt),
  )
  const known = topics.map(({ name }) => name ?? '')
  const matching = known.filter(name => patterns.some(pattern => name.search(pattern) >= 0))
  return [...new Set([...names, ...matching])]
}

/** Reads a place; -1 and -2, the ends of the log, only where they mean something. */
function checkedPlace(
  { topic, partition, offset }: TopicPartitionOffset,
  takesEnds = false,
): { readonly topic: string; readonly partition: number; readonly next: number } {
  if (!topic) throw new KafkaJSNonRetriableError(`Invalid topic ${topic}`)
  if (!Number.isInteger(partition)) {
    const text = `Invalid partition, expected a number received ${partition}`
    throw new KafkaJSNonRetriableError(text)
  }
  const next = Number(offset)
  if (offset == null || offset === '' || !Number.isSafeInteger(next)) {
    throw new KafkaJSNonRetriableError(`Invalid offset, expected a long received ${offset}`)
  }
  if (next < (takesEnds ? -2 : 0)) {
    throw new KafkaJSNonRetriableError('Offset must not be a negative number')
  }
  return { topic, partition, next }
}

function rootCause(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? rootCause(error.cause) : error
}

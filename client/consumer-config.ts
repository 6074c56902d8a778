/** A consumer's options: what each means, its default and its bounds. Kafka's names stand in the remarks. */
import { checkTypes, numberOptions } from './config.ts'
import { type RetryConfig, type RetryOptions, resolveRetry } from './consumer-retry.ts'
import { OptionError } from './errors.ts'
import {
  GROUP_NAMES,
  type GroupConfig,
  type GroupOptions,
  resolveGroupConfig,
} from './group-config.ts'
import { checkNames, type Names, sentenceOf, told } from './option-names.ts'
import { checkSerializers, type Serializer } from './serializers.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface ConsumerOptions<K = Buffer, V = Buffer> extends GroupOptions {
  /** How bytes become keys. Default: bytes as they are. */
  readonly key?: Serializer<K> | undefined
  readonly value?: Serializer<V> | undefined
  /** Where to begin without a committed offset, or where it is gone: none is an error (auto.offset.reset). Default: latest. */
  readonly autoOffsetReset?: 'earliest' | 'latest' | 'none' | undefined
  /** Whether records of open and aborted transactions are shown (isolation.level). Default: read_uncommitted. */
  readonly isolation?: 'read_uncommitted' | 'read_committed' | undefined
  /** Where this consumer is, to read from a replica that is near (client.rack). */
  readonly rackId?: string | undefined
  /** How long a broker waits for minBytes (fetch.max.wait.ms). Default: 500 ms. */
  readonly maxWaitMs?: number | undefined
  /** Default: 1 (fetch.min.bytes). */
  readonly minBytes?: number | undefined
  /** What one answer brings at most (fetch.max.bytes). Default: 50 MiB. */
  readonly maxBytes?: number | undefined
  /** What one answer brings of one partition; also how far it is read ahead (max.partition.fetch.bytes). Default: 1 MiB. */
  readonly maxPartitionBytes?: number | undefined
  /** Read ahead of all partitions together; beyond it nothing is fetched. Default: 64 MiB. */
  readonly maxBufferedBytes?: number | undefined
  /** Largest batch after decompression. Default: 128 MiB. */
  readonly maxBatchBytes?: number | undefined
  /** What a batch is: records that were written together, or all that one Fetch brought of a partition. Default: written. */
  readonly batches?: 'written' | 'fetched' | undefined
  /** Verify the checksum of every batch (check.crcs). Default: yes. */
  readonly checkCrcs?: boolean | undefined
  /** Told of what a group gives and takes; it waits for promises. */
  readonly rebalance?: RebalanceListener | undefined
  /** What to do when the handler of `eachMessage` throws. Default: nothing, `eachMessage` throws. */
  readonly retry?: RetryOptions | undefined
}

/** Hears what happens to a group's share. */
export interface RebalanceListener {
  /** These have come, beside what was there. */
  assigned?(partitions: readonly TopicPartition[]): Promise<void> | void
  /** These are about to go; what is committed now still counts. */
  revoked?(partitions: readonly TopicPartition[]): Promise<void> | void
  /** These have gone already: nothing can be committed any more. */
  lost?(partitions: readonly TopicPartition[]): void
}

export interface ConsumerConfig<K, V> {
  readonly key: Serializer<K> | null
  readonly value: Serializer<V> | null
  readonly autoOffsetReset: 'earliest' | 'latest' | 'none'
  readonly isolation: 'read_uncommitted' | 'read_committed'
  readonly rackId: string
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly maxPartitionBytes: number
  readonly maxBufferedBytes: number
  readonly maxBatchBytes: number
  readonly batches: 'written' | 'fetched'
  readonly checkCrcs: boolean
  readonly rebalance: RebalanceListener
  /** Null: what a handler throws ends `eachMessage`. */
  readonly retry: RetryConfig | null
  /** Null: partitions are assigned by hand. */
  readonly group: GroupConfig | null
}

/** Default, lowest and highest value of each option that is a number. */
const NUMBERS = {
  maxWaitMs: [500, 0, 30_000],
  minBytes: [1, 0, 0x7fffffff],
  maxBytes: [52_428_800, 1, 0x7fffffff],
  maxPartitionBytes: [1_048_576, 1, 0x7fffffff],
  maxBufferedBytes: [67_108_864, 1, Number.MAX_SAFE_INTEGER],
  maxBatchBytes: [134_217_728, 1, 0x7fffffff],
} as const satisfies { readonly [Name in keyof ConsumerOptions]?: readonly number[] }

const RESETS = ['earliest', 'latest', 'none'] as const
const BATCHES = ['written', 'fetched'] as const
const ISOLATIONS = ['read_uncommitted', 'read_committed'] as const

const NAMES: Names<ConsumerOptions> = {
  ...GROUP_NAMES,
  key: true,
  value: true,
  autoOffsetReset: true,
  isolation: true,
  rackId: true,
  maxWaitMs: true,
  minBytes: true,
  maxBytes: true,
  maxPartitionBytes: true,
  maxBufferedBytes: true,
  maxBatchBytes: true,
  batches: true,
  checkCrcs: true,
  rebalance: true,
  retry: true,
}
const LISTENER: Names<RebalanceListener> = { assigned: true, revoked: true, lost: true }

/** Fills in the defaults. Throws one OptionError that lists everything that is wrong. */
export function resolveConsumerConfig<K, V>(options: ConsumerOptions<K, V>): ConsumerConfig<K, V> {
  const wrong: string[] = []
  checkNames(options, NAMES, wrong)
  checkSerializers(options, 'deserialize', wrong)
  checkTypes('boolean', ['checkCrcs', 'autoCommit'], options, wrong)
  checkTypes('string', ['groupId', 'groupInstanceId', 'serverAssignor', 'rackId'], options, wrong)
  checkListener(options.rebalance, wrong)
  const numbers = numberOptions(NUMBERS, options, wrong)
  const { autoOffsetReset = 'latest', isolation = 'read_uncommitted' } = options
  const { batches = 'written' } = options
  if (!BATCHES.includes(batches)) {
    wrong.push(`batches is ${told(batches)}, not one of ${BATCHES.join(', ')}`)
  }
  if (!RESETS.includes(autoOffsetReset)) {
    wrong.push(`autoOffsetReset is ${told(autoOffsetReset)}, not one of ${RESETS.join(', ')}`)
  }
  if (!ISOLATIONS.includes(isolation)) {
    wrong.push(`isolation is ${told(isolation)}, not one of ${ISOLATIONS.join(', ')}`)
  }
  const config: ConsumerConfig<K, V> = {
    key: options.key ?? null,
    value: options.value ?? null,
    autoOffsetReset,
    isolation,
    rackId: options.rackId ?? '',
    ...numbers,
    batches,
    checkCrcs: options.checkCrcs ?? true,
    rebalance: options.rebalance ?? {},
    retry: resolveRetry(options.retry, wrong),
    group: resolveGroupConfig(options, wrong),
  }
  if (wrong.length > 0) throw new OptionError(sentenceOf(wrong))
  return config
}

function checkListener(given: RebalanceListener | undefined, wrong: string[]): void {
  if (given === undefined) return
  checkNames(given, LISTENER, wrong, 'rebalance.')
  for (const [name, listener] of Object.entries(given)) {
    const isKnown = Object.hasOwn(LISTENER, name) && listener !== undefined
    if (!isKnown || typeof listener === 'function') continue
    wrong.push(`rebalance.${name} is ${told(listener)}, not a function`)
  }
}

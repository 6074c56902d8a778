/** A producer's options: what each means, its default and its bounds. Kafka's names stand in the remarks. */
import { type CodecName, codecs } from '../protocol/compression.ts'
import { type ClientConfig, checkTypes, numberOptions } from './config.ts'
import { OptionError } from './errors.ts'
import { checkNames, type Names, sentenceOf, told } from './option-names.ts'
import type { PartitionerName, PartitionFunction } from './partitioner.ts'
import { type Bytes, checkSerializers, raw, type Serializer } from './serializers.ts'

export type Acks = 'all' | -1 | 0 | 1

export interface ProducerOptions<K = Bytes, V = Bytes> {
  /** How keys become bytes. Default: bytes and text as they are. */
  readonly key?: Serializer<K> | undefined
  readonly value?: Serializer<V> | undefined
  /** Who has to have a record before it counts as written: all in-sync replicas, the leader, nobody (acks). Default: all. */
  readonly acks?: Acks | undefined
  /** What is sent again is written once (enable.idempotence). Default: yes, except with acks=0. */
  readonly idempotent?: boolean | undefined
  /** none, gzip, snappy, lz4 or zstd (compression.type). Default: none. */
  readonly compression?: CodecName | undefined
  /** On the codec's own scale (compression.gzip.level, …). */
  readonly compressionLevel?: number | undefined
  /** A batch of this many bytes, before compression, is full (batch.size). Default: 16 KiB. */
  readonly batchBytes?: number | undefined
  /** How long a batch waits for more records (linger.ms). Default: 0, only until the end of the turn. */
  readonly lingerMs?: number | undefined
  /** Requests to one broker without an answer (max.in.flight.requests.per.connection). Default: 5. */
  readonly maxInFlight?: number | undefined
  /** Largest request, and largest record with its batch header (max.request.size). Default: 1 MiB. */
  readonly maxRequestBytes?: number | undefined
  /** Memory for batches (buffer.memory). Default: 32 MiB. */
  readonly bufferBytes?: number | undefined
  /** How long a record may wait for memory, or for the first look at its topic (max.block.ms). Default: 60 s. */
  readonly maxBlockMs?: number | undefined
  /** How many records may wait so; one more is refused. Default: 100,000. */
  readonly maxBlockedRecords?: number | undefined
  /** From `send` until a record counts as lost, all attempts included (delivery.timeout.ms). Default: 120 s. */
  readonly deliveryTimeoutMs?: number | undefined
  /** Default: by the hash of the key, else sticky. */
  readonly partitioner?: PartitionerName | PartitionFunction | undefined
}

export interface ProducerConfig<K, V> {
  readonly key: Serializer<K>
  readonly value: Serializer<V>
  readonly acks: -1 | 0 | 1
  readonly idempotent: boolean
  readonly compression: CodecName
  readonly compressionLevel: number | undefined
  readonly batchBytes: number
  readonly lingerMs: number
  readonly maxInFlight: number
  readonly maxRequestBytes: number
  readonly bufferBytes: number
  readonly maxBlockMs: number
  readonly maxBlockedRecords: number
  readonly deliveryTimeoutMs: number
  readonly partitioner: PartitionerName | PartitionFunction
}

/** Default, lowest and highest value of each option that is a number. */
const NUMBERS = {
  batchBytes: [16_384, 128, 1_073_741_824],
  lingerMs: [0, 0, 3_600_000],
  maxInFlight: [5, 1, 100],
  maxRequestBytes: [1_048_576, 128, 1_073_741_824],
  bufferBytes: [33_554_432, 128, Number.MAX_SAFE_INTEGER],
  maxBlockMs: [60_000, 0, Number.MAX_SAFE_INTEGER],
  maxBlockedRecords: [100_000, 0, Number.MAX_SAFE_INTEGER],
  deliveryTimeoutMs: [120_000, 1, 0x7fffffff],
} as const satisfies { readonly [Name in keyof ProducerOptions]?: readonly number[] }

const NAMES: Names<ProducerOptions> = {
  key: true,
  value: true,
  acks: true,
  idempotent: true,
  compression: true,
  compressionLevel: true,
  batchBytes: true,
  lingerMs: true,
  maxInFlight: true,
  maxRequestBytes: true,
  bufferBytes: true,
  maxBlockMs: true,
  maxBlockedRecords: true,
  deliveryTimeoutMs: true,
  partitioner: true,
}

/** Fills in the defaults. Throws one OptionError that lists everything that is wrong. */
export function resolveProducerConfig<K, V>(
  options: ProducerOptions<K, V>,
  client: ClientConfig,
): ProducerConfig<K, V> {
  const wrong: string[] = []
  checkNames(options, NAMES, wrong)
  checkSerializers(options, 'serialize', wrong)
  checkTypes('boolean', ['idempotent'], options, wrong)
  const numbers = numberOptions(NUMBERS, options, wrong)
  const { acks: asked = 'all', compression = 'none', partitioner = 'default' } = options
  const acks = asked === 'all' ? -1 : asked
  if (acks !== -1 && acks !== 0 && acks !== 1)
    wrong.push(`acks is ${told(acks)}, not 'all', 1 or 0`)
  const idempotent = options.idempotent ?? acks !== 0
  if (idempotent && acks === 0) wrong.push('idempotent needs answers: acks=0 has none')
  if (!Object.hasOwn(codecs, compression)) {
    wrong.push(`compression is ${told(compression)}, not one of ${Object.keys(codecs).join(', ')}`)
  }
  const isKnown =
    typeof partitioner === 'function' || ['default', 'round-robin'].includes(partitioner)
  if (!isKnown)
    wrong.push(`partitioner is ${told(partitioner)}, not 'default', 'round-robin' or a function`)
  const { compressionLevel: level } = options
  if (level != null && !Number.isSafeInteger(level)) {
    wrong.push(`compressionLevel is ${told(level)}, not a whole number`)
  }
  const { lingerMs, deliveryTimeoutMs } = numbers
  if (deliveryTimeoutMs < lingerMs + client.requestTimeoutMs) {
    const least = lingerMs + client.requestTimeoutMs
    wrong.push(`deliveryTimeoutMs is less than lingerMs and requestTimeoutMs together, ${least}`)
  }
  const config: ProducerConfig<K, V> = {
    key: options.key ?? (raw as Serializer<unknown> as Serializer<K>),
    value: options.value ?? (raw as Serializer<unknown> as Serializer<V>),
    acks,
    idempotent,
    compression,
    compressionLevel: options.compressionLevel,
    ...numbers,
    partitioner,
  }
  if (wrong.length > 0) throw new OptionError(sentenceOf(wrong))
  return config
}

/**
 * Which partition a record goes to, where the record does not say so itself.
 *
 *   default      with a key: murmur2 of its bytes, as Kafka's Java clients have it, so that producers in every language
 *                put a key into the same partition. Without: one partition until a batch's worth of bytes has gone there,
 *                then another one by chance ("sticky", KIP-794), which makes few large batches of many small records
 *   round-robin  one after the other, whatever the key
 *
 * A function of the application's own may stand in their place. Partitions without a leader are passed over only where no
 * key decides.
 */
import type { Bytes } from './serializers.ts'

/** What a partitioner of one's own is told about a record. */
export interface PartitionQuestion {
  readonly topic: string
  readonly key: Bytes | null
  readonly value: Bytes | null
  /** How many partitions the topic has. */
  readonly partitionCount: number
  /** Those that have a leader at the moment, ascending. */
  readonly available: readonly number[]
}

/** Answers with a partition, from 0 to partitionCount - 1. */
export type PartitionFunction = (question: PartitionQuestion) => number

export type PartitionerName = 'default' | 'round-robin'

/** Where records of one topic without a key or with a key of no interest go next. */
export class Rotation {
  private readonly random: () => number
  private readonly stickyBytes: number
  private current = -1
  private bytesThere = 0
  private turn = -1

  /** `stickyBytes`: how much goes to one partition before the next is chosen. */
  constructor(random: () => number, stickyBytes: number) {
    this.random = random
    this.stickyBytes = stickyBytes
  }

  /** The sticky partition; `bytes` more are about to go there. */
  sticky(partitionCount: number, available: readonly number[], bytes: number): number {
    if (this.current < 0 || this.current >= partitionCount || this.bytesThere >= this.stickyBytes) {
      this.current = this.another(partitionCount, available)
      this.bytesThere = 0
    }
    this.bytesThere += bytes
    return this.current
  }

  /** The partition after the last one that was given. */
  next(partitionCount: number, available: readonly number[]): number {
    this.turn++
    return available.length > 0
      ? available[this.turn % available.length]!
      : this.turn % partitionCount
  }

  /** One by chance, not the current one if there is another. */
  private another(partitionCount: number, available: readonly number[]): number {
    const choice = available.length > 0 ? available.length : partitionCount
    const at = (index: number) => (available.length > 0 ? available[index]! : index)
    const first = Math.floor(this.random() * choice)
    if (at(first) !== this.current || choice === 1) return at(first)
    return at((first + 1) % choice)
  }
}

/** The partition of a key in Kafka's Java clients. */
export function partitionOfKey(key: Uint8Array, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount
}

const SEED = 0x9747b28c | 0
const MULTIPLIER = 0x5bd1e995
const SHIFT = 24

/** MurmurHash2 with the seed of Kafka's Java clients, as a signed 32-bit number. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length
  let hash = SEED ^ length
  let p = 0
  for (const whole = length & ~3; p < whole; p += 4) {
    let word = bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24)
    word = Math.imul(word, MULTIPLIER)
    word ^= word >>> SHIFT
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER)
  }
  const rest = length & 3
  if (rest > 0) {
    if (rest === 3) hash ^= bytes[p + 2]! << 16
    if (rest >= 2) hash ^= bytes[p + 1]! << 8
    hash = Math.imul(hash ^ bytes[p]!, MULTIPLIER)
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 15)
}

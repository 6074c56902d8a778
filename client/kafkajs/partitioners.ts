/**
 * kafkajs's partitioners. The default one is that of Java for records with a key, and turns for those without; the legacy one
 * differs in its hash only, which is murmur2 worked out in floating point, so that large products lose their low bits: keys
 * that were written with it stay where they are.
 */
import { partitionOfKey } from '../partitioner.ts'
import type { Message } from './shapes.ts'

export interface PartitionMetadata {
  readonly partitionErrorCode: number
  readonly partitionId: number
  readonly leader: number
  readonly replicas: number[]
  readonly isr: number[]
  readonly offlineReplicas?: number[]
}

export interface PartitionerArgs {
  readonly topic: string
  readonly partitionMetadata: PartitionMetadata[]
  readonly message: Message
}

export type Partitioner = (args: PartitionerArgs) => number
export type ICustomPartitioner = () => Partitioner

const MULTIPLIER = 0x5bd1e995
const POSITIVE = 0x7fffffff

/** kafkajs's hash before 2.0, a signed 32-bit number. */
export function legacyMurmur2(bytes: Uint8Array): number {
  const { length } = bytes
  const at = (i: number) => bytes[i] ?? 0
  let hash: number = 0x9747b28c ^ length
  // A last word that is not whole is taken here, too, and its bytes once more below.
  for (let p = 0; p < length; p += 4) {
    let word = at(p) + (at(p + 1) << 8) + (at(p + 2) << 16) + (at(p + 3) << 24)
    word *= MULTIPLIER
    word ^= word >>> 24
    word *= MULTIPLIER
    hash *= MULTIPLIER
    hash ^= word
  }
  const rest = length % 4
  const whole = length - rest
  if (rest === 3) hash ^= at(whole + 2) << 16
  if (rest >= 2) hash ^= at(whole + 1) << 8
  if (rest >= 1) {
    hash ^= at(whole)
    hash *= MULTIPLIER
  }
  hash ^= hash >>> 13
  hash *= MULTIPLIER
  return hash ^ (hash >>> 15)
}

function partitionerBy(hash: (key: Uint8Array, partitionCount: number) => number) {
  return (): Partitioner => {
    const turns = new Map<string, number>()
    return ({ topic, partitionMetadata, message }) => {
      if (message.partition != null) return message.partition
      const { key } = message
      if (key != null) {
        const bytes = Buffer.isBuffer(key) ? key : Buffer.from(String(key))
        return hash(bytes, partitionMetadata.length)
      }
      const led = partitionMetadata.filter(({ leader }) => leader >= 0)
      const choice = led.length > 0 ? led : partitionMetadata
      const turn = turns.get(topic) ?? 0
      turns.set(topic, turn + 1)
      return choice[turn % choice.length]!.partitionId
    }
  }
}

const byJava: ICustomPartitioner = partitionerBy(partitionOfKey)

export const Partitioners: {
  readonly DefaultPartitioner: ICustomPartitioner
  readonly LegacyPartitioner: ICustomPartitioner
  readonly JavaCompatiblePartitioner: ICustomPartitioner
} = {
  DefaultPartitioner: byJava,
  LegacyPartitioner: partitionerBy((key, count) => (legacyMurmur2(key) & POSITIVE) % count),
  JavaCompatiblePartitioner: byJava,
}

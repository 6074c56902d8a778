/** Where the replicas of new partitions go: checks what a client asks for against the brokers that there are. */
import { ProtocolError } from '../../protocol/errors.ts'

export interface ManualAssignment {
  readonly partitionIndex: number
  readonly brokerIds: readonly number[]
}

/** More partitions than this in one request are refused: they would make one commit too large. */
export const MAX_PARTITIONS_PER_REQUEST = 10_000

export interface NewTopic {
  readonly name: string
  /** -1: the broker's default, or what the assignments say. */
  readonly numPartitions: number
  /** -1: the broker's default, or what the assignments say. */
  readonly replicationFactor: number
  readonly assignments: readonly ManualAssignment[]
  readonly configs: Readonly<Record<string, string | null>>
}

export interface PlacementDefaults {
  readonly numPartitions: number
  readonly defaultReplicationFactor: number
}

/** The replicas of each partition of a new topic. */
export function placeTopic(
  topic: NewTopic,
  brokers: readonly number[],
  defaults: PlacementDefaults,
): readonly (readonly number[])[] {
  if (topic.assignments.length > 0) return placeManually(topic, brokers)
  const { replicationFactor, numPartitions } = topic
  if (replicationFactor < -1 || replicationFactor === 0) {
    throw new ProtocolError(
      'INVALID_REPLICATION_FACTOR',
      'Replication factor must be larger than 0, or -1 to use the default value.',
    )
  }
  if (numPartitions < -1 || numPartitions === 0) {
    throw new ProtocolError(
      'INVALID_PARTITIONS',
      'Number of partitions was set to an invalid non-positive value.',
    )
  }
  const count = numPartitions === -1 ? defaults.numPartitions : numPartitions
  const factor = replicationFactor === -1 ? defaults.defaultReplicationFactor : replicationFactor
  return place(count, factor, brokers)
}

/** Spreads `count` partitions over the brokers, each with `factor` replicas, first replicas round about. */
export function place(
  count: number,
  factor: number,
  brokers: readonly number[],
): readonly (readonly number[])[] {
  if (factor > brokers.length) {
    throw new ProtocolError(
      'INVALID_REPLICATION_FACTOR',
      `Unable to replicate the partition ${factor} time(s): The target replication factor of ${factor} cannot be reached because only ${brokers.length} broker(s) are registered or some brokers have all their log directories cordoned.`,
    )
  }
  return Array.from({ length: count }, (_, partition) =>
    Array.from({ length: factor }, (_, i) => brokers[(partition + i) % brokers.length]!),
  )
}

function placeManually(
  topic: NewTopic,
  brokers: readonly number[],
): readonly (readonly number[])[] {
  const refuse = (setting: string) =>
    new ProtocolError(
      'INVALID_REQUEST',
      `A manual partition assignment was specified, but ${setting} was not set to -1.`,
    )
  if (topic.replicationFactor !== -1) throw refuse('replication factor')
  if (topic.numPartitions !== -1) throw refuse('numPartitions')
  const replicas = new Map<number, readonly number[]>()
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    if (replicas.has(partitionIndex)) {
      throw new ProtocolError(
        'INVALID_REPLICA_ASSIGNMENT',
        `Found multiple manual partition assignments for partition ${partitionIndex}`,
      )
    }
    const [first] = replicas.values()
    checkReplicas(brokerIds, brokers, first?.length ?? null)
    replicas.set(partitionIndex, brokerIds)
  }
  return Array.from({ length: replicas.size }, (_, partition) => {
    const brokerIds = replicas.get(partition)
    if (brokerIds !== undefined) return brokerIds
    throw new ProtocolError(
      'INVALID_REPLICA_ASSIGNMENT',
      'partitions should be a consecutive 0-based integer sequence',
    )
  })
}

/** Throws INVALID_REPLICA_ASSIGNMENT unless a partition may have these replicas, `factor` of them if that is known. */
export function checkReplicas(
  brokerIds: readonly number[],
  brokers: readonly number[],
  factor: number | null,
): void {
  const refuse = (what: string) =>
    new ProtocolError(
      'INVALID_REPLICA_ASSIGNMENT',
      `The manual partition assignment includes ${what}`,
    )
  if (brokerIds.length === 0) throw refuse('an empty replica list.')
  const sorted = [...brokerIds].sort((a, b) => a - b)
  for (const [i, id] of sorted.entries()) {
    if (!brokers.includes(id)) throw refuse(`broker ${id}, but no such broker is registered.`)
    if (id === sorted[i - 1]) throw refuse(`the broker ${id} more than once.`)
  }
  if (factor !== null && sorted.length !== factor) {
    throw refuse(
      `a partition with ${sorted.length} replica(s), but this is not consistent with previous partitions, which have ${factor} replica(s).`,
    )
  }
}

/** What the random tests of groups that change have in common: groups of at most four, and topics of so many partitions. */
import type { PartitionImage } from '../../../broker/metadata/image.ts'

export const SETTINGS = {
  groupConsumerAssignors: ['uniform', 'range'],
  groupConsumerMaxSize: 4,
  groupConsumerMigrationPolicy: 'bidirectional',
  groupMinSessionTimeoutMs: 1000,
  groupMaxSessionTimeoutMs: 60_000,
  groupMaxSize: 4,
  groupInitialRebalanceDelayMs: 0,
  groupDropOnDisconnectMs: -1,
}

export function partitionsOf(count: number): readonly PartitionImage[] {
  const partition = { leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1], isr: [1] }
  return Array(count).fill(partition)
}

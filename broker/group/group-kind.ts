/**
 * Of which kind a group is: classic, or of KIP-848. An id without members takes the kind of who joins; what the log kept of
 * the other kind gets its tombstones then. A group that has members keeps its kind.
 */
import type { OffsetsRecord } from '../../protocol/messages/offsets-topic.ts'
import { ConsumerGroup, type ConsumerGroupOptions } from './consumer-group.ts'
import { ClassicGroup, type GroupSettings } from './group.ts'
import type { Group, GroupEvent } from './step.ts'

export interface GroupMakers {
  readonly classic: GroupSettings
  readonly consumer: ConsumerGroupOptions
}

/** The group that is to take this event in place of the present one; null if that takes it. */
export function groupInstead(group: Group, event: GroupEvent, makers: GroupMakers): Group | null {
  if (!group.isIdle) return null
  if (group.type === 'Consumer' && event.kind === 'join') {
    return new ClassicGroup(group.groupId, makers.classic)
  }
  const isJoin = event.kind === 'consumerHeartbeat' && event.request.memberEpoch === 0
  return group.type === 'Classic' && isJoin
    ? new ConsumerGroup(group.groupId, makers.consumer)
    : null
}

/** The group after a record of the log about it; offsets are no part of this. */
export function groupAfter(
  group: Group,
  record: Exclude<OffsetsRecord, { readonly name: 'OffsetCommit' }>,
  makers: GroupMakers,
): Group {
  const { groupId } = group
  const isOfClassic = record.name === 'GroupMetadata'
  const isSameKind = isOfClassic === (group.type === 'Classic')
  if (record.value === null) {
    const ends = isOfClassic || record.name === 'ConsumerGroupMetadata'
    if (isSameKind && ends) return new ClassicGroup(groupId, makers.classic)
    if (isSameKind) group.replay(record)
    return group
  }
  if (record.name === 'ConsumerGroupPartitionMetadata') return group
  let kept = group
  if (!isSameKind) {
    kept = isOfClassic
      ? new ClassicGroup(groupId, makers.classic)
      : new ConsumerGroup(groupId, makers.consumer)
  }
  kept.replay(record)
  return kept
}

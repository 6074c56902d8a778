/**
 * Of which kind a group is: classic, or of KIP-848. An id without members takes the kind of who joins; what the log kept of
 * the other kind gets its tombstones then. A group that has members changes its kind in upgrade.ts and downgrade.ts.
 */
import type { OffsetsRecord } from '../../protocol/messages/offsets-topic.ts'
import type { BrokerConfig } from '../config.ts'
import type { ClusterImage } from '../metadata/image.ts'
import { timingOf } from '../settings/group-configs.ts'
import { ConsumerGroup, type ConsumerGroupOptions } from './consumer-group.ts'
import { ClassicGroup, type GroupSettings } from './group.ts'
import type { Group, GroupEffect, GroupEvent } from './step.ts'
import { TopicPatterns } from './topic-patterns.ts'
import { stepOfUpgrade } from './upgrade.ts'

type ConsumerHeartbeat = Extract<GroupEvent, { readonly kind: 'consumerHeartbeat' }>

export interface GroupMakers {
  readonly classic: GroupSettings
  readonly consumer: ConsumerGroupOptions
}

/** How groups of either kind are made; `image` gives the newest one. */
export function makersOf(config: BrokerConfig, image: () => ClusterImage): GroupMakers {
  const timing = (groupId: string) => timingOf(config, image().groupConfigs.get(groupId))
  const patterns = new TopicPatterns()
  return { classic: config, consumer: { settings: config, timing, image, patterns } }
}

/** The group that is to take this event in place of the present one; null if that takes it. */
export function groupInstead(group: Group, event: GroupEvent, makers: GroupMakers): Group | null {
  // Ids that were given out are no members yet, and members of both kinds may come with one.
  if (group.state !== 'Empty') return null
  if (group.type === 'Consumer' && event.kind === 'join') {
    return new ClassicGroup(group.groupId, makers.classic)
  }
  return group.type === 'Classic' && isJoin(event)
    ? new ConsumerGroup(group.groupId, makers.consumer)
    : null
}

/** What a group makes of an event, a member of the consumer protocol in a classic group included. */
export function stepOf(
  group: Group,
  event: GroupEvent,
  makers: GroupMakers,
  nowMs: number,
): readonly GroupEffect[] {
  return group instanceof ClassicGroup && isJoin(event)
    ? stepOfUpgrade(group, event, makers.consumer, nowMs)
    : group.step(event, nowMs)
}

function isJoin(event: GroupEvent): event is ConsumerHeartbeat {
  return event.kind === 'consumerHeartbeat' && event.request.memberEpoch === 0
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

/**
 * A consumer group (KIP-848) whose last member of the consumer protocol goes becomes a classic one, if
 * `group.consumer.migration.policy` has it so: its members of the classic protocol stay where they are, at the group epoch as
 * their generation. As Kafka does it (GroupMetadataManager): all in one batch, the records of the old kind get their
 * tombstones, and a rebalance hands out what the others had. Unlike Kafka, the assignment that is kept is what members may
 * hold, not what they were to have: a group that changes over again before they rejoined must not give that to others.
 */
import { writeAssignment } from '../../protocol/messages/consumer-protocol.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { type ConsumerMember, heldPartitions, STABLE } from './consumer-member.ts'
import { ClassicGroup } from './group.ts'
import { metadataOf } from './group-record.ts'
import { type Member, Members } from './members.ts'
import { policyAllows } from './migration-policy.ts'
import type { RebalanceCause } from './step.ts'

/**
 * Whether only members of the classic protocol are left without these, of which one is not; `instead` comes in the place of
 * one of them.
 */
export function canDowngrade(
  group: ConsumerGroup,
  without: readonly ConsumerMember[],
  instead: ConsumerMember | null = null,
): boolean {
  const { members } = group.data
  const { settings } = group.options
  const gone = new Set(without.map(({ memberId }) => memberId))
  const size = members.size - gone.size + (instead === null ? 0 : 1)
  if (size <= 0 || without.every(({ classic }) => classic !== null)) return false
  for (const { memberId, classic } of members.values()) {
    if (classic === null && !gone.has(memberId)) return false
  }
  const isAllowed = policyAllows(settings.groupConsumerMigrationPolicy, 'downgrade')
  if (isAllowed && size <= settings.groupMaxSize) return true
  group.effect({
    kind: 'log',
    level: 'info',
    event: 'group stays a consumer group',
    fields: {
      members: size,
      'group.max.size': settings.groupMaxSize,
      'group.consumer.migration.policy': settings.groupConsumerMigrationPolicy,
    },
  })
  return false
}

/** The group goes on as a classic one without these members; `because` begins a rebalance, null does not. */
export function downgrade(
  group: ConsumerGroup,
  without: readonly ConsumerMember[],
  because: readonly [RebalanceCause, string] | null,
): void {
  const { groupId, data, options, nowMs } = group
  const gone = new Set(without.map(({ memberId }) => memberId))
  const members = new Members()
  for (const member of data.members.values()) {
    if (!gone.has(member.memberId)) members.add(classicMember(group, member))
  }
  const protocol = members.electProtocol()
  for (const member of members.all()) {
    const held = heldBy(group, data.members.get(member.memberId)!)
    members.setAssignment(member, writeAssignment(held, metadataOf(member, protocol)))
  }
  const classic = new ClassicGroup(groupId, options.settings, members)
  const effects = classic.continueFrom(data.groupEpoch, protocol, nowMs, because)
  group.effect({ kind: 'persist', records: data.tombstones() })
  for (const effect of effects) group.effect(effect)
  const fields = { generation: data.groupEpoch, members: members.size, protocol }
  group.effect({ kind: 'log', level: 'info', event: 'group is a classic group now', fields })
  group.effect({ kind: 'become', group: classic })
}

/** Whether every member has what it shall have: a downgrade changes nothing for anybody then. */
export function isSettled({ data }: ConsumerGroup): boolean {
  if (data.assignmentEpoch < data.groupEpoch) return false
  return [...data.members.values()].every(
    ({ state, memberEpoch }) => state === STABLE && memberEpoch === data.assignmentEpoch,
  )
}

function classicMember({ timers }: ConsumerGroup, member: ConsumerMember): Member {
  const { memberId, clientId, clientHost } = member
  const { sessionTimeoutMs, supportedProtocols } = member.classic!
  const connectionId = timers.connectionOf(memberId)
  return {
    memberId,
    groupInstanceId: member.instanceId,
    client: { clientId, clientHost, connectionId },
    connectionId,
    sessionTimeoutMs,
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    protocols: supportedProtocols,
    assignment: Buffer.alloc(0),
    joining: null,
    syncing: null,
    isNew: false,
    deadlineMs: Number.POSITIVE_INFINITY,
    isDisconnected: false,
  }
}

function heldBy({ options }: ConsumerGroup, member: ConsumerMember) {
  const { topicsById } = options.image()
  return [...heldPartitions(member)].flatMap(([topicId, partitions]) => {
    const topic = topicsById.get(topicId)
    const sorted = [...partitions].sort((a, b) => a - b)
    return topic === undefined ? [] : [{ topic: topic.name, partitions: sorted }]
  })
}

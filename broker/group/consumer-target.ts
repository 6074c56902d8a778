/**
 * Who shall read what in a consumer group (KIP-848): when that must be thought about anew, and the target assignment itself.
 *
 * A group makes no more than one target in `consumer.assignment.interval.ms`, however many members come and go meanwhile.
 * Members whose target is due are told to heartbeat at that moment: Kafka lets them wait for their next heartbeat.
 */
import { assignors } from './assignors.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { type ConsumerMember, samePartitions, targetRecord } from './consumer-member.ts'
import type { RebalanceCause } from './step.ts'
import { topicsHash } from './topics-hash.ts'

/** As Kafka 4.3 counts: an epoch without any assignment comes before it. */
const FIRST_EPOCH = 2

/** Looks what patterns match and how large topics are, where that may have changed; begins a new group epoch if so. */
export function refreshTopics(
  group: ConsumerGroup,
  because: readonly [RebalanceCause, string] | null,
): void {
  if (because === null && !group.topicsMayDiffer) return
  const { data, options } = group
  resolvePatterns(group)
  group.topicsMayDiffer = false
  const hash = topicsHash(data.subscriptions(), options.image())
  if (because !== null) nextEpoch(group, ...because, hash)
  else if (hash !== data.metadataHash) {
    nextEpoch(group, 'topics changed', 'topics that members subscribe to were changed', hash)
  }
}

function resolvePatterns(group: ConsumerGroup): void {
  const { data, groupId, options, nowMs } = group
  const image = options.image()
  for (const regularExpression of data.subscribedPatterns()) {
    const topics = [...options.patterns.resolve(regularExpression, image)]
    const known = data.patterns.get(regularExpression)
    if (known !== undefined && topics.join() === known.topics.join()) continue
    const value = { topics, version: image.revision, timestamp: nowMs }
    const key = { groupId, regularExpression }
    group.keep([{ name: 'ConsumerGroupRegularExpression', key, value }])
  }
  for (const regularExpression of data.patterns.keys()) {
    if (data.isSubscribedBy(regularExpression)) continue
    const key = { groupId, regularExpression }
    group.keep([{ name: 'ConsumerGroupRegularExpression', key, value: null }])
  }
}

function nextEpoch(
  group: ConsumerGroup,
  cause: RebalanceCause,
  detail: string,
  metadataHash: number,
): void {
  const epoch = Math.max(FIRST_EPOCH, group.data.groupEpoch + 1)
  const key = { groupId: group.groupId }
  group.keep([{ name: 'ConsumerGroupMetadata', key, value: { epoch, metadataHash } }])
  group.began(cause, detail)
}

/** For how long still no new target is made; 0 for not at all. */
export function untilTargetMs({ data, nowMs, timing }: ConsumerGroup): number {
  const { assignmentIntervalMs } = timing
  const { assignmentTimestamp } = data
  const sinceMs = nowMs - assignmentTimestamp
  // A clock that was set back must not hold the group up.
  if (assignmentTimestamp === 0 || sinceMs < 0) return 0
  return Math.max(0, assignmentIntervalMs - sinceMs)
}

/** Makes a target for the group epoch if there is none, and it may be made already. */
export function maybeAssign(group: ConsumerGroup): void {
  const { data, groupId, nowMs } = group
  if (data.assignmentEpoch >= data.groupEpoch || untilTargetMs(group) > 0) return
  const { topics } = group.options.image()
  const counts = new Map<string, number>()
  const members = [...data.members.values()].map(member => {
    const topicIds = topicIdsOf(group, member)
    return { memberId: member.memberId, topicIds, partitions: data.target(member.memberId) }
  })
  for (const name of data.subscriptions()) {
    const topic = topics.get(name)
    if (topic !== undefined) counts.set(topic.id, topic.partitions.length)
  }
  const assignor = group.assignorName
  const assignment = assignors[assignor]!(members, counts)
  for (const { memberId } of members) {
    const target = assignment.get(memberId)!
    if (samePartitions(target, data.target(memberId))) continue
    group.keep([targetRecord(groupId, memberId, target)])
  }
  const value = { assignmentEpoch: data.groupEpoch, assignmentTimestamp: nowMs }
  const key = { groupId }
  group.keep([{ name: 'ConsumerGroupTargetAssignmentMetadata', key, value }])
  const fields = { epoch: data.groupEpoch, members: members.length, assignor }
  group.effect({ kind: 'log', level: 'info', event: 'assignment made', fields })
}

/** The ids of the topics that a member subscribes to and that are there. */
export function topicIdsOf(group: ConsumerGroup, member: ConsumerMember): ReadonlySet<string> {
  const { topics } = group.options.image()
  const ids = new Set<string>()
  for (const name of group.data.subscription(member)) {
    const topic = topics.get(name)
    if (topic !== undefined) ids.add(topic.id)
  }
  return ids
}

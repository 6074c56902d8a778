/** Groups as others see them: as the two describing APIs list them, and in words (what it waits for, how long still, why). */
import type { ConsumerGroup } from './consumer-group.ts'
import {
  type ConsumerMember,
  heldPartitions,
  namedMember,
  partitionList,
  STABLE,
  STATIC_LEAVE_EPOCH,
  UNRELEASED_PARTITIONS,
  UNREVOKED_PARTITIONS,
} from './consumer-member.ts'
import type { ClassicGroup } from './group.ts'
import { metadataOf } from './group-record.ts'
import type { Overdue } from './member-timers.ts'
import { type Member, named } from './members.ts'
import type { RebalanceCause } from './step.ts'

export interface LastRebalance {
  readonly cause: RebalanceCause
  readonly detail: string
  readonly atMs: number
}

/** Which protocol a member speaks, as ConsumerGroupDescribe says it. */
const MEMBER_TYPES = { classic: 0, consumer: 1 } as const

/** So many members are named; the others are counted. */
const NAMED_AT_MOST = 5

/** The first few members by name, the others counted. */
export function namedList(members: readonly Member[]): string {
  return listed(members, named)
}

function listed<M>(members: readonly M[], named: (member: M) => string): string {
  const rest = members.length - NAMED_AT_MOST
  const shown = members.slice(0, NAMED_AT_MOST).map(named).join(', ')
  return rest > 0 ? `${shown} and ${rest} more` : shown
}

const seconds = (ms: number) => `${(Math.max(0, ms) / 1000).toFixed(1)} s`

/** Nobody but its application can make a member act. */
const ADVICE = 'A member does that when its application polls: look at what keeps it, or stop it.'

function lastly(last: LastRebalance | null, nowMs: number): string {
  return last === null ? '' : ` Last rebalance ${seconds(nowMs - last.atMs)} ago: ${last.detail}.`
}

/** What a classic group is doing, in words: whom it waits for, how long already and still, and what can be done. */
export function explainGroup(
  { state, generation, members, pending: given }: ClassicGroup,
  waiting: {
    readonly last: LastRebalance | null
    readonly unsynced: readonly Member[]
    readonly sinceMs: number
    readonly deadlineMs: number
  },
  nowMs: number,
): string {
  const { last, unsynced, sinceMs, deadlineMs } = waiting
  const why = lastly(last, nowMs)
  const time = `for ${seconds(nowMs - sinceMs)} already, at most ${seconds(deadlineMs - nowMs)} more`
  if (state === 'PreparingRebalance') {
    const pending = given.size === 0 ? '' : `; ${given.size} were given an id and have not joined`
    const unjoined = [...members.all()].filter(({ joining }) => joining === null)
    if (unjoined.length === 0) return `Waits ${time}, for more members${pending}.${why}`
    const whom = `${unjoined.length} of ${members.size} members to rejoin: ${namedList(unjoined)}`
    return `Waits ${time}, for ${whom}${pending}. ${ADVICE} Then the group goes on without it.${why}`
  }
  if (state === 'CompletingRebalance') {
    const leader = members.get(members.leader ?? '')
    const hasLeaderSynced = leader === undefined || !unsynced.includes(leader)
    const whom = hasLeaderSynced
      ? `${unsynced.length} members to sync: ${namedList(unsynced)}`
      : `the assignment of the leader ${named(leader)}`
    return `Generation ${generation} waits ${time}, for ${whom}. Who has not synced then is removed.${why}`
  }
  if (state === 'Empty') return `No members.${why}`
  const late =
    unsynced.length === 0
      ? ''
      : `; ${unsynced.length} have not fetched their assignment: ${namedList(unsynced)}`
  return `Generation ${generation} with ${members.size} members${late}.${why}`
}

const NOTHING = Buffer.alloc(0)

/** A group as DescribeGroups answers it: protocol and metadata only while they are in force, the assignment also beyond. */
export function describeClassicGroup(group: ClassicGroup) {
  const { state, protocolType, protocol, members } = group
  const isStable = state === 'Stable'
  return {
    groupState: state as string,
    protocolType,
    protocolData: isStable ? (protocol ?? '') : '',
    members: [...members.all()].map(member => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.client.clientId,
      clientHost: member.client.clientHost,
      memberMetadata: isStable ? metadataOf(member, protocol) : NOTHING,
      memberAssignment: member.assignment,
    })),
  }
}

/**
 * A group of KIP-848 as ConsumerGroupDescribe answers it: members have what they are giving up still; topics that are gone are
 * left out.
 */
export function describeConsumerGroup(group: ConsumerGroup) {
  const { data, state, assignorName } = group
  const { topicsById } = group.options.image()
  const listed = (partitions: Parameters<typeof partitionList>[0]) => ({
    topicPartitions: partitionList(partitions).flatMap(one => {
      const topic = topicsById.get(one.topicId)
      return topic === undefined ? [] : [{ ...one, topicName: topic.name }]
    }),
  })
  return {
    groupState: state as string,
    groupEpoch: data.groupEpoch,
    assignmentEpoch: data.assignmentEpoch,
    assignorName,
    members: [...data.members.values()].map(member => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: member.rackId,
      memberEpoch: member.memberEpoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: member.subscribedTopicNames,
      subscribedTopicRegex: member.subscribedTopicRegex,
      assignment: listed(heldPartitions(member)),
      targetAssignment: listed(data.target(member.memberId)),
      memberType: MEMBER_TYPES[member.classic === null ? 'consumer' : 'classic'],
    })),
  }
}

/** What a group of KIP-848 is doing, in words: whom it waits for, for what, until when, and what can be done. */
export function explainConsumerGroup(
  group: ConsumerGroup,
  last: LastRebalance | null,
  nowMs: number,
): string {
  const { members, groupEpoch, assignmentEpoch } = group.data
  const why = lastly(last, nowMs)
  if (members.size === 0) return `No members.${why}`
  const late: ConsumerMember[] = []
  const waiting: ConsumerMember[] = []
  const away: ConsumerMember[] = []
  for (const member of members.values()) {
    const { state, memberEpoch } = member
    const isBehind = state === STABLE && memberEpoch < assignmentEpoch
    if (memberEpoch === STATIC_LEAVE_EPOCH) away.push(member)
    else if (isBehind || state === UNREVOKED_PARTITIONS) late.push(member)
    else if (state === UNRELEASED_PARTITIONS) waiting.push(member)
  }
  const interval = seconds(group.timing.assignmentIntervalMs)
  const next = ` Who shall read what is decided with the next heartbeat, once in ${interval} at most.`
  const unmade = assignmentEpoch < groupEpoch ? next : ''
  let text = `Epoch ${groupEpoch} with ${members.size} member(s)`
  if (late.length > 0) {
    const mustAct = late.some(({ memberId }) => group.timers.awaited(memberId).what !== 'session')
    text += ` waits for ${listed(late, one => dueOf(group, one, nowMs))}.`
    text += `${mustAct ? ` ${ADVICE}` : ''} Who is late is removed`
  }
  if (waiting.length > 0)
    text += `. Partitions are not free yet for ${listed(waiting, namedMember)}`
  if (away.length > 0) text += `. Away for now: ${listed(away, one => dueOf(group, one, nowMs))}`
  return `${text}.${unmade}${why}`
}

/** A member, what it has to do, and how long it may still take. */
function dueOf({ options, timers }: ConsumerGroup, member: ConsumerMember, nowMs: number): string {
  const { memberId, pendingRevocation } = member
  const { what, deadlineMs } = timers.awaited(memberId)
  const { topicsById } = options.image()
  const topics = [...pendingRevocation.keys()].map(id => topicsById.get(id)?.name ?? id)
  const count = [...pendingRevocation.values()].reduce((sum, { size }) => sum + size, 0)
  const deeds: { readonly [W in Overdue]: string } = {
    rebalance: `give up ${count} partition(s) of ${listed(topics, name => name)}`,
    join: 'rejoin',
    sync: 'fetch its assignment',
    session: member.memberEpoch === STATIC_LEAVE_EPOCH ? 'come back' : 'send a heartbeat',
    disconnected: 'come back',
  }
  return `${namedMember(member)} to ${deeds[what]} within ${seconds(deadlineMs - nowMs)}`
}

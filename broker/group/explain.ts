/** Groups as others see them: a classic one as DescribeGroups lists it, and both kinds in words (what it waits for, how long still, why). */

import { type ConsumerMember, namedMember } from './consumer-member.ts'
import type { ClassicGroup } from './group.ts'
import { metadataOf } from './group-record.ts'
import { type Member, named } from './members.ts'
import type { RebalanceCause } from './step.ts'

export interface LastRebalance {
  readonly cause: RebalanceCause
  readonly detail: string
  readonly atMs: number
}

/** So many members are named; the others are counted. */
const NAMED_AT_MOST = 5

export function namedList(members: readonly Member[]): string {
  return listed(members, named)
}

function listed<M>(members: readonly M[], named: (member: M) => string): string {
  const rest = members.length - NAMED_AT_MOST
  const shown = members.slice(0, NAMED_AT_MOST).map(named).join(', ')
  return rest > 0 ? `${shown} and ${rest} more` : shown
}

const seconds = (ms: number) => `${(Math.max(0, ms) / 1000).toFixed(1)} s`

/** What a classic group is doing, in words. */
export function explainGroup(
  { state, generation, members, pending: given }: ClassicGroup,
  waiting: {
    readonly last: LastRebalance | null
    readonly unsynced: readonly Member[]
    readonly deadlineMs: number
  },
  nowMs: number,
): string {
  const { last, unsynced, deadlineMs } = waiting
  const why =
    last === null ? '' : ` Last rebalance ${seconds(nowMs - last.atMs)} ago: ${last.detail}.`
  const left = `at most ${seconds(deadlineMs - nowMs)} more`
  if (state === 'PreparingRebalance') {
    const pending = given.size === 0 ? '' : `; ${given.size} were given an id and have not joined`
    const unjoined = [...members.all()].filter(({ joining }) => joining === null)
    const whom =
      unjoined.length === 0
        ? `for more members`
        : `for ${unjoined.length} of ${members.size} members to rejoin: ${namedList(unjoined)}`
    return `Waiting ${left} ${whom}${pending}.${why}`
  }
  if (state === 'CompletingRebalance') {
    const leader = members.get(members.leader ?? '')
    const hasLeaderSynced = leader === undefined || !unsynced.includes(leader)
    const whom = hasLeaderSynced
      ? `${unsynced.length} members to sync: ${namedList(unsynced)}`
      : `the assignment of the leader ${named(leader)}`
    return `Generation ${generation} waits ${left} for ${whom}.${why}`
  }
  if (state === 'Empty') return `No members.${why}`
  const late =
    unsynced.length === 0
      ? ''
      : `; ${unsynced.length} have not fetched their assignment: ${namedList(unsynced)}`
  return `Generation ${generation} with ${members.size} members${late}.${why}`
}

const NOTHING = Buffer.alloc(0)

/** A group as DescribeGroups answers it: protocol and assignments only while they are in force. */
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
      memberAssignment: isStable ? member.assignment : NOTHING,
    })),
  }
}

/** What a group of KIP-848 is doing, in words. */
export function explainConsumerGroup(
  group: {
    readonly last: LastRebalance | null
    readonly groupEpoch: number
    readonly size: number
    /** Who must give up partitions first. */
    readonly revoking: readonly ConsumerMember[]
    /** Who waits for partitions that others have still. */
    readonly waiting: readonly ConsumerMember[]
    /** Who has not asked since the target was made. */
    readonly behind: readonly ConsumerMember[]
  },
  nowMs: number,
): string {
  const { last, groupEpoch, size, revoking, waiting, behind } = group
  const why =
    last === null ? '' : ` Last rebalance ${seconds(nowMs - last.atMs)} ago: ${last.detail}.`
  if (size === 0) return `No members.${why}`
  const parts: string[] = []
  if (revoking.length > 0) parts.push(`${listed(revoking, namedMember)} to give up partitions`)
  if (behind.length > 0) parts.push(`the next heartbeat of ${listed(behind, namedMember)}`)
  if (waiting.length > 0) parts.push(`partitions for ${listed(waiting, namedMember)} to be free`)
  const what = parts.length === 0 ? '' : ` waits for ${parts.join('; ')}`
  return `Epoch ${groupEpoch} with ${size} members${what}.${why}`
}

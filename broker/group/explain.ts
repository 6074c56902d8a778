/** A classic group as others see it: as DescribeGroups lists it, and in words (what it waits for, how long still, why). */
import type { ClassicGroup } from './group.ts'
import { metadataOf } from './group-record.ts'
import { type Member, named } from './members.ts'
import type { GroupStateName, RebalanceCause } from './step.ts'

export interface LastRebalance {
  readonly cause: RebalanceCause
  readonly detail: string
  readonly atMs: number
}

/** So many members are named; the others are counted. */
const NAMED_AT_MOST = 5

export function namedList(members: readonly Member[]): string {
  const rest = members.length - NAMED_AT_MOST
  const shown = members.slice(0, NAMED_AT_MOST).map(named).join(', ')
  return rest > 0 ? `${shown} and ${rest} more` : shown
}

const seconds = (ms: number) => `${(Math.max(0, ms) / 1000).toFixed(1)} s`

export function explainGroup(
  group: {
    readonly state: GroupStateName
    readonly generation: number
    readonly last: LastRebalance | null
    readonly unjoined: readonly Member[]
    readonly unsynced: readonly Member[]
    readonly leader: Member | null
    readonly size: number
    readonly pendingSize: number
    readonly deadlineMs: number
  },
  nowMs: number,
): string {
  const { state, last, generation } = group
  const why =
    last === null ? '' : ` Last rebalance ${seconds(nowMs - last.atMs)} ago: ${last.detail}.`
  const left = `at most ${seconds(group.deadlineMs - nowMs)} more`
  if (state === 'PreparingRebalance') {
    const pending =
      group.pendingSize === 0 ? '' : `; ${group.pendingSize} were given an id and have not joined`
    const whom =
      group.unjoined.length === 0
        ? `for more members`
        : `for ${group.unjoined.length} of ${group.size} members to rejoin: ${namedList(group.unjoined)}`
    return `Waiting ${left} ${whom}${pending}.${why}`
  }
  if (state === 'CompletingRebalance') {
    const { leader } = group
    const hasLeaderSynced = leader === null || !group.unsynced.includes(leader)
    const whom = hasLeaderSynced
      ? `${group.unsynced.length} members to sync: ${namedList(group.unsynced)}`
      : `the assignment of the leader ${named(leader)}`
    return `Generation ${generation} waits ${left} for ${whom}.${why}`
  }
  if (state === 'Empty') return `No members.${why}`
  const late =
    group.unsynced.length === 0
      ? ''
      : `; ${group.unsynced.length} have not fetched their assignment: ${namedList(group.unsynced)}`
  return `Generation ${generation} with ${group.size} members${late}.${why}`
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

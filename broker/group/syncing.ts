/** SyncGroup of a classic group: the leader hands in the assignment, everybody gets its share once it is written. */
import type { RequestOf } from '../../protocol/apis.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { ClassicGroup } from './group.ts'
import type { Member, Waiting } from './members.ts'
import { syncRefusal } from './replies.ts'
import type { GroupEvent } from './step.ts'

type Request = RequestOf<'SyncGroup'>

const NOTHING = Buffer.alloc(0)
/** Before, SyncGroup has no place for a protocol. */
const PROTOCOLS_SINCE_VERSION = 5

/** Whether a request says of which protocol it is, as far as its version can. */
export function saysWhichProtocol(request: Request, apiVersion: number): boolean {
  const { protocolType, protocolName } = request
  return apiVersion < PROTOCOLS_SINCE_VERSION || (protocolType !== null && protocolName !== null)
}

/** One SyncGroup. */
export function sync(group: ClassicGroup, event: Extract<GroupEvent, { kind: 'sync' }>): void {
  const { request, ticket, apiVersion, client } = event
  const error = syncError(group, request)
  if (error !== null) return group.effect(syncRefusal(ticket, error))
  const member = group.members.get(request.memberId)!
  group.hasSynced(member)
  if (group.state === 'PreparingRebalance') {
    return group.effect(syncRefusal(ticket, 'REBALANCE_IN_PROGRESS'))
  }
  // A request of it that waits already was given up by its client, which asks anew.
  group.refuseWaiting(member, 'REBALANCE_IN_PROGRESS')
  group.isAlive(member, client.connectionId)
  if (group.state === 'Stable') return answer(group, member, { ticket, apiVersion })
  member.syncing = { ticket, apiVersion }
  if (group.members.leader === member.memberId) assign(group, request.assignments)
}

function syncError(group: ClassicGroup, request: Request): ErrorName | null {
  const { memberId, groupInstanceId, generationId, protocolType, protocolName } = request
  const error = group.memberError(memberId, groupInstanceId)
  if (error !== null) return error
  if (generationId !== group.generation) return 'ILLEGAL_GENERATION'
  const isOther =
    (protocolType !== null && protocolType !== group.protocolType) ||
    (protocolName !== null && group.protocol !== null && protocolName !== group.protocol)
  return isOther ? 'INCONSISTENT_GROUP_PROTOCOL' : null
}

function assign(group: ClassicGroup, assignments: Request['assignments']): void {
  const { members } = group
  const shares = new Map(assignments.map(({ memberId, assignment }) => [memberId, assignment]))
  for (const member of members.all()) {
    // The frame that the request came in is reused.
    members.setAssignment(member, Buffer.from(shares.get(member.memberId) ?? NOTHING))
  }
  group.enter('Stable')
  group.persist()
  for (const member of members.all()) {
    const { syncing } = member
    if (syncing === null) continue
    member.syncing = null
    group.isAlive(member, member.connectionId)
    answer(group, member, syncing)
  }
  const { generation } = group
  const fields = { generation, members: members.size, leader: members.leader }
  group.log('info', 'assignment received', fields)
}

function answer(group: ClassicGroup, { assignment }: Member, { ticket }: Waiting): void {
  const { protocolType, protocol } = group
  const response = { errorCode: 0, protocolType, protocolName: protocol, assignment }
  group.effect({ kind: 'reply', ticket, response })
}

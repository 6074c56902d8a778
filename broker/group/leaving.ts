/** LeaveGroup of a classic group: members that go by their ids, or static ones that an operator removes by theirs. */
import type { ClassicGroup } from './group.ts'
import type { Member } from './members.ts'
import { type Left, leaveReply } from './replies.ts'
import type { GroupEvent } from './step.ts'

type Leave = Extract<GroupEvent, { readonly kind: 'leave' }>

/** Of a request for many members, so many reasons are kept, and so much of each. */
const REASONS = 5
const REASON_LENGTH = 200

/** Whom a request names: before version 3 one member. */
export function namedToLeave({ request, apiVersion }: Leave) {
  const single = { memberId: request.memberId, groupInstanceId: null, reason: null }
  return apiVersion < 3 ? [single] : request.members
}

/** The reasons that a request gives, as the end of a sentence. */
export function saidOnLeaving(event: Leave): string {
  const reasons = new Set<string>()
  for (const { reason } of namedToLeave(event)) {
    if (reasons.size === REASONS) break
    if (reason !== null && reason !== '') reasons.add(reason.slice(0, REASON_LENGTH))
  }
  return reasons.size === 0 ? '' : `; it says: ${[...reasons].join('; ')}`
}

/** One LeaveGroup: what is wrong with one member does not keep the others. */
export function leave(group: ClassicGroup, event: Leave): void {
  const gone: Member[] = []
  const left = namedToLeave(event).map((one): Left => {
    const { memberId, groupInstanceId } = one
    if (group.pending.delete(memberId)) return { memberId, groupInstanceId, error: 'NONE' }
    const isByInstance = memberId === '' && groupInstanceId !== null
    const id = (isByInstance ? group.members.staticId(groupInstanceId) : memberId) ?? ''
    const error = group.memberError(id, groupInstanceId)
    if (error !== null) return { memberId, groupInstanceId, error }
    const member = group.members.get(id)!
    gone.push(member)
    group.remove(member)
    return { memberId, groupInstanceId, error: 'NONE' }
  })
  group.effect(leaveReply(event, left))
  group.afterLoss('member left', gone, `left${saidOnLeaving(event)}`)
}

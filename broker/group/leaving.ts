/** LeaveGroup of a classic group: members that go by their ids, or static ones that an operator removes by theirs. */
import type { ClassicGroup } from './group.ts'
import type { Member } from './members.ts'
import { type Left, leaveReply } from './replies.ts'
import type { GroupEvent } from './step.ts'

/** Of a request for many members, so many reasons are kept, and so much of each. */
const REASONS = 5
const REASON_LENGTH = 200

/** One LeaveGroup: what is wrong with one member does not keep the others. */
export function leave(group: ClassicGroup, event: Extract<GroupEvent, { kind: 'leave' }>): void {
  const { request, ticket, apiVersion } = event
  const single = { memberId: request.memberId, groupInstanceId: null, reason: null }
  const gone: Member[] = []
  const reasons = new Set<string>()
  const left = (apiVersion < 3 ? [single] : request.members).map((one): Left => {
    const { memberId, groupInstanceId, reason } = one
    if (group.pending.delete(memberId)) return { memberId, groupInstanceId, error: 'NONE' }
    const isByInstance = memberId === '' && groupInstanceId !== null
    const id = (isByInstance ? group.members.staticId(groupInstanceId) : memberId) ?? ''
    const error = group.memberError(id, groupInstanceId)
    if (error !== null) return { memberId, groupInstanceId, error }
    const member = group.members.get(id)!
    gone.push(member)
    if (reason !== null && reason !== '' && reasons.size < REASONS) {
      reasons.add(reason.slice(0, REASON_LENGTH))
    }
    group.remove(member)
    return { memberId, groupInstanceId, error: 'NONE' }
  })
  group.effect(leaveReply({ ticket, apiVersion }, left))
  const said = reasons.size === 0 ? '' : `; it says: ${[...reasons].join('; ')}`
  group.afterLoss('member left', gone, `left${said}`)
}

/** DeleteGroups: groups without members go, with all offsets they have committed. */
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import type { Handler } from '../context.ts'
import type { GroupEntry } from '../group/coordinator.ts'
import { deleteGroup } from '../group/offset-changes.ts'

export const deleteGroups: Handler<'DeleteGroups'> = (broker, request, context) => {
  const touched: GroupEntry[] = []
  const results = [...new Set(request.groupsNames)].map(groupId => {
    try {
      touched.push(remove(broker, groupId))
      return { groupId, errorCode: 0 }
    } catch (error) {
      return { groupId, errorCode: answerError(broker, context, error).errorCode }
    }
  })
  return broker.groups.afterWrites(
    touched,
    () => ({ results }),
    error => {
      const { errorCode } = answerError(broker, context, new ProtocolError(error))
      return { results: results.map(({ groupId }) => ({ groupId, errorCode })) }
    },
  )
}

function remove(broker: Broker, groupId: string): GroupEntry {
  const entry = broker.groups.find(groupId)
  if (entry === undefined) {
    throw new ProtocolError('GROUP_ID_NOT_FOUND', `there is no group '${groupId}'`)
  }
  if (entry.group.memberCount > 0) {
    const members = `${entry.group.memberCount} member(s)`
    throw new ProtocolError('NON_EMPTY_GROUP', `group '${groupId}' has ${members}`)
  }
  deleteGroup(broker.groups, entry)
  return entry
}

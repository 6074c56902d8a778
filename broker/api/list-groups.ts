/** ListGroups: the groups that this broker coordinates, filtered by state and by type. */
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Handler } from '../context.ts'

export const listGroups: Handler<'ListGroups'> = (broker, request, context) => {
  if (broker.groups.isLoading) {
    const { errorCode } = answerError(
      broker,
      context,
      new ProtocolError('COORDINATOR_LOAD_IN_PROGRESS'),
    )
    return { errorCode, groups: [] }
  }
  const states = lowered(request.statesFilter)
  const types = lowered(request.typesFilter)
  const groups = []
  for (const { groupId, group } of broker.groups.entries()) {
    const groupType = group.type.toLowerCase()
    if (states.size > 0 && !states.has(group.state.toLowerCase())) continue
    if (types.size > 0 && !types.has(groupType)) continue
    groups.push({ groupId, protocolType: group.protocolType, groupState: group.state, groupType })
  }
  return { errorCode: 0, groups }
}

function lowered(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map(name => name.toLowerCase()))
}

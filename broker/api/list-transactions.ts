/** ListTransactions: there are no transactions yet; filters are checked all the same. */
import { errorCode } from '../../protocol/errors.ts'
import type { Handler } from '../context.ts'

const STATES = new Set([
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
])

export const listTransactions: Handler<'ListTransactions'> = (_broker, request, context) => {
  const unknownStateFilters = request.stateFilters.filter(state => !STATES.has(state))
  const { transactionalIdPattern } = request
  if (transactionalIdPattern !== null && !isPattern(transactionalIdPattern)) {
    context.countError('INVALID_REGULAR_EXPRESSION')
    const code = errorCode('INVALID_REGULAR_EXPRESSION')
    return { errorCode: code, unknownStateFilters: [], transactionStates: [] }
  }
  return { errorCode: 0, unknownStateFilters, transactionStates: [] }
}

/** Only compiled, never run: a pattern from the network may take forever. */
function isPattern(text: string): boolean {
  try {
    new RegExp(text)
    return true
  } catch {
    return false
  }
}

/**
 * ListTransactions: the transactional ids that this broker coordinates (KIP-664).
 *
 *   v0  flexible
 *   v1  durationFilter: running for longer than this, in ms (KIP-994)
 *   v2  transactionalIdPattern (KIP-1152)
 */
import {
  api,
  array,
  int16,
  int32,
  int64,
  nullableString,
  optional,
  since,
  string,
  struct,
} from '../schema.ts'

export const ListTransactions = api({
  key: 66,
  name: 'ListTransactions',
  versions: [0, 2],
  flexible: 0,
  request: struct({
    stateFilters: array(string),
    producerIdFilters: array(int64),
    durationFilter: since(1, int64, -1),
    transactionalIdPattern: since(2, nullableString, null),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: int16,
    unknownStateFilters: array(string),
    transactionStates: array(
      struct({ transactionalId: string, producerId: int64, transactionState: string }),
    ),
  }),
})

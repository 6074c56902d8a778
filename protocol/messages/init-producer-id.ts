/**
 * InitProducerId: an id and epoch for an idempotent or transactional producer.
 *
 *   v2  flexible
 *   v3  a producer may name the id and epoch it had, to have the epoch raised (KIP-360)
 *   v4  PRODUCER_FENCED may be answered (KIP-588)
 *   v5  TRANSACTION_ABORTABLE may be answered (KIP-890)
 *
 * Version 6 (two-phase commit) is unstable in 4.3.1: brokers do not advertise it and it is left out here.
 */
import { api, int16, int32, int64, nullableString, optional, since, struct } from '../schema.ts'

export const InitProducerId = api({
  key: 22,
  name: 'InitProducerId',
  versions: [0, 5],
  flexible: 2,
  request: struct({
    transactionalId: nullableString,
    transactionTimeoutMs: int32,
    producerId: since(3, int64, -1),
    producerEpoch: since(3, int16, -1),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: int16,
    producerId: optional(int64, -1),
    producerEpoch: int16,
  }),
})

/**
 * FindCoordinator: the broker that owns a group (keyType 0), a transactional id (1) or a share partition (2).
 *
 *   v1  keyType, errorMessage, throttleTimeMs
 *   v3  flexible
 *   v4  many keys at once (KIP-699): coordinatorKeys and coordinators take the place of the single ones
 *   v5  TRANSACTION_ABORTABLE may be answered (KIP-890)
 *   v6  keyType 2 (KIP-932)
 *
 * The single and the plural form exclude each other: writing one into a version of the other throws.
 */
import {
  api,
  array,
  between,
  ignorable,
  int8,
  int16,
  int32,
  nullableString,
  optional,
  since,
  string,
  struct,
  until,
} from '../schema.ts'

export const FindCoordinator = api({
  key: 10,
  name: 'FindCoordinator',
  versions: [0, 6],
  flexible: 3,
  request: struct({
    key: until(3, string),
    keyType: since(1, int8),
    coordinatorKeys: since(4, array(string)),
  }),
  response: struct({
    throttleTimeMs: ignorable(since(1, int32)),
    errorCode: until(3, int16),
    errorMessage: ignorable(between(1, 3, nullableString, null)),
    nodeId: until(3, int32),
    host: until(3, string),
    port: until(3, int32),
    coordinators: since(
      4,
      array(
        struct({
          key: string,
          nodeId: int32,
          host: string,
          port: int32,
          errorCode: int16,
          errorMessage: optional(nullableString, null),
        }),
      ),
    ),
  }),
})

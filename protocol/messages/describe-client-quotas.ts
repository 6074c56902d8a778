/**
 * DescribeClientQuotas: quotas of users, client ids and addresses (KIP-546).
 *
 *   v1  flexible
 *
 * matchType: 0 exactly `match`, 1 the default entity, 2 any that is named.
 */
import {
  api,
  array,
  bool,
  float64,
  int8,
  int16,
  int32,
  nullableArray,
  nullableString,
  optional,
  string,
  struct,
} from '../schema.ts'

export const DescribeClientQuotas = api({
  key: 48,
  name: 'DescribeClientQuotas',
  versions: [0, 1],
  flexible: 1,
  request: struct({
    components: array(struct({ entityType: string, matchType: int8, match: nullableString })),
    strict: bool,
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: int16,
    errorMessage: optional(nullableString, null),
    entries: nullableArray(
      struct({
        entity: array(struct({ entityType: string, entityName: nullableString })),
        values: array(struct({ key: string, value: float64 })),
      }),
    ),
  }),
})

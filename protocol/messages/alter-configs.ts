/**
 * AlterConfigs: replace all dynamic settings of a resource by the ones listed (see IncrementalAlterConfigs for the
 * careful way).
 *
 *   v2  flexible
 */
import {
  api,
  array,
  bool,
  int8,
  int16,
  int32,
  nullableString,
  optional,
  string,
  struct,
} from '../schema.ts'

export const AlterConfigs = api({
  key: 33,
  name: 'AlterConfigs',
  versions: [0, 2],
  flexible: 2,
  request: struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    validateOnly: bool,
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    responses: array(
      struct({
        errorCode: int16,
        errorMessage: optional(nullableString, null),
        resourceType: int8,
        resourceName: string,
      }),
    ),
  }),
})

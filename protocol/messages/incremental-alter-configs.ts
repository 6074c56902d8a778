/**
 * IncrementalAlterConfigs: set, delete, append to or subtract from single settings (KIP-339).
 *
 *   v1  flexible
 *
 * configOperation: 0 set, 1 delete, 2 append, 3 subtract (the last two for settings that are lists).
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

export const IncrementalAlterConfigs = api({
  key: 44,
  name: 'IncrementalAlterConfigs',
  versions: [0, 1],
  flexible: 1,
  request: struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configs: array(struct({ name: string, configOperation: int8, value: nullableString })),
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

/**
 * CreatePartitions: raise the number of partitions of a topic.
 *
 *   v2  flexible
 *   v3  THROTTLING_QUOTA_EXCEEDED may be answered (KIP-599)
 *
 * `count` is the number to reach; `assignments`, if given, has a list of replicas for each partition that is added.
 */
import {
  api,
  array,
  bool,
  int16,
  int32,
  nullableArray,
  nullableString,
  optional,
  string,
  struct,
} from '../schema.ts'

export const CreatePartitions = api({
  key: 37,
  name: 'CreatePartitions',
  versions: [0, 3],
  flexible: 2,
  request: struct({
    topics: array(
      struct({
        name: string,
        count: int32,
        assignments: nullableArray(struct({ brokerIds: array(int32) })),
      }),
    ),
    timeoutMs: int32,
    validateOnly: bool,
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    results: array(
      struct({ name: string, errorCode: int16, errorMessage: optional(nullableString, null) }),
    ),
  }),
})

/**
 * ListPartitionReassignments: partitions whose replicas are being moved (KIP-455).
 *
 *   v0  flexible
 *
 * No topics (null) asks for all.
 */
import {
  api,
  array,
  int16,
  int32,
  nullableArray,
  nullableString,
  optional,
  string,
  struct,
} from '../schema.ts'

export const ListPartitionReassignments = api({
  key: 46,
  name: 'ListPartitionReassignments',
  versions: [0, 0],
  flexible: 0,
  request: struct({
    timeoutMs: optional(int32, 60000),
    topics: optional(nullableArray(struct({ name: string, partitionIndexes: array(int32) })), null),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: int16,
    errorMessage: optional(nullableString, null),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            replicas: array(int32),
            addingReplicas: array(int32),
            removingReplicas: array(int32),
          }),
        ),
      }),
    ),
  }),
})

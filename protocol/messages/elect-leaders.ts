/**
 * ElectLeaders: another leader for partitions (KIP-183, KIP-460).
 *
 *   v1  electionType, 0 preferred and 1 unclean (before: preferred); errorCode of the whole
 *   v2  flexible
 *
 * No partitions (null) asks for all.
 */
import {
  api,
  array,
  int8,
  int16,
  int32,
  nullableArray,
  nullableString,
  optional,
  since,
  string,
  struct,
} from '../schema.ts'

export const ElectLeaders = api({
  key: 43,
  name: 'ElectLeaders',
  versions: [0, 2],
  flexible: 2,
  request: struct({
    electionType: since(1, int8),
    topicPartitions: optional(
      nullableArray(struct({ topic: string, partitions: array(int32) })),
      null,
    ),
    timeoutMs: optional(int32, 60000),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: since(1, int16),
    replicaElectionResults: array(
      struct({
        topic: string,
        partitionResult: array(
          struct({
            partitionId: int32,
            errorCode: int16,
            errorMessage: optional(nullableString, null),
          }),
        ),
      }),
    ),
  }),
})

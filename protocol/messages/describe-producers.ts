/**
 * DescribeProducers: the producers that wrote to a partition lately, as its leader remembers them (KIP-664).
 *
 *   v0  flexible
 */
import {
  api,
  array,
  int16,
  int32,
  int64,
  nullableString,
  optional,
  string,
  struct,
} from '../schema.ts'

export const DescribeProducers = api({
  key: 61,
  name: 'DescribeProducers',
  versions: [0, 0],
  flexible: 0,
  request: struct({
    topics: array(struct({ name: string, partitionIndexes: array(int32) })),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            errorMessage: optional(nullableString, null),
            activeProducers: array(
              struct({
                producerId: int64,
                producerEpoch: int32,
                lastSequence: optional(int32, -1),
                lastTimestamp: optional(int64, -1),
                coordinatorEpoch: int32,
                currentTxnStartOffset: optional(int64, -1),
              }),
            ),
          }),
        ),
      }),
    ),
  }),
})

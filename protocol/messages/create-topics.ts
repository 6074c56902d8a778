/**
 * CreateTopics: create topics, with a number of partitions or with each replica placed by hand.
 *
 *   v4  -1 partitions or replicas: the broker's default (KIP-464)
 *   v5  flexible; the answer tells what was created: partitions, replication factor, settings (KIP-525)
 *   v6  THROTTLING_QUOTA_EXCEEDED may be answered (KIP-599)
 *   v7  topicId in the answer (KIP-516)
 */
import {
  api,
  array,
  bool,
  ignorable,
  int8,
  int16,
  int32,
  nullableArray,
  nullableString,
  optional,
  since,
  string,
  struct,
  tagged,
  uuid,
} from '../schema.ts'

export const CreateTopics = api({
  key: 19,
  name: 'CreateTopics',
  versions: [2, 7],
  flexible: 5,
  request: struct({
    topics: array(
      struct({
        name: string,
        numPartitions: int32,
        replicationFactor: int16,
        assignments: array(struct({ partitionIndex: int32, brokerIds: array(int32) })),
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    timeoutMs: optional(int32, 60000),
    validateOnly: optional(bool),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    topics: array(
      struct({
        name: string,
        topicId: ignorable(since(7, uuid)),
        errorCode: int16,
        errorMessage: optional(nullableString, null),
        topicConfigErrorCode: ignorable(tagged(0, 5, int16)),
        numPartitions: ignorable(since(5, int32, -1)),
        replicationFactor: ignorable(since(5, int16, -1)),
        configs: ignorable(
          since(
            5,
            nullableArray(
              struct({
                name: string,
                value: nullableString,
                readOnly: bool,
                configSource: optional(int8, -1),
                isSensitive: bool,
              }),
            ),
          ),
        ),
      }),
    ),
  }),
})

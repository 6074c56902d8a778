/**
 * Produce: append record batches to partitions.
 *
 *   v3   record batch format v2, transactionalId; the lowest version that is served
 *   v5   logStartOffset in the response
 *   v7   zstd (KIP-110)
 *   v8   recordErrors, errorMessage (KIP-467)
 *   v9   flexible
 *   v10  currentLeader and nodeEndpoints in the response (KIP-951)
 *   v12  appending in a transaction also adds the partition to it (KIP-890)
 *   v13  topic ids instead of names (KIP-516)
 *
 * Advertised from 0, as Kafka does: librdkafka up to 2.11.0 looks for version 0 before it compresses (KAFKA-18659).
 */
import {
  api,
  array,
  ignorable,
  int16,
  int32,
  int64,
  nullableBytes,
  nullableString,
  optional,
  since,
  string,
  struct,
  tagged,
  until,
  uuid,
} from '../schema.ts'

const recordError = struct({
  batchIndex: int32,
  batchIndexErrorMessage: optional(nullableString, null),
})

const leaderIdAndEpoch = struct({
  leaderId: optional(int32, -1),
  leaderEpoch: optional(int32, -1),
})

const nodeEndpoint = struct({
  nodeId: int32,
  host: string,
  port: int32,
  rack: optional(nullableString, null),
})

export const Produce = api({
  key: 0,
  name: 'Produce',
  versions: [3, 13],
  advertised: [0, 13],
  flexible: 9,
  request: struct({
    transactionalId: optional(nullableString, null),
    acks: int16,
    timeoutMs: int32,
    topicData: array(
      struct({
        name: ignorable(until(12, string)),
        topicId: ignorable(since(13, uuid)),
        partitionData: array(struct({ index: int32, records: nullableBytes })),
      }),
    ),
  }),
  response: struct({
    responses: array(
      struct({
        name: ignorable(until(12, string)),
        topicId: ignorable(since(13, uuid)),
        partitionResponses: array(
          struct({
            index: int32,
            errorCode: int16,
            baseOffset: int64,
            logAppendTimeMs: optional(int64, -1),
            logStartOffset: ignorable(since(5, int64, -1)),
            recordErrors: ignorable(since(8, array(recordError))),
            errorMessage: ignorable(since(8, nullableString, null)),
            currentLeader: ignorable(tagged(0, 10, leaderIdAndEpoch)),
          }),
        ),
      }),
    ),
    throttleTimeMs: optional(int32),
    nodeEndpoints: ignorable(tagged(0, 10, array(nodeEndpoint))),
  }),
})

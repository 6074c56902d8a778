/**
 * DeleteRecords: move the log start of partitions forward (KIP-107).
 *
 *   v2  flexible
 *
 * Offset -1 means the high watermark; the answer's lowWatermark is the log start that resulted.
 */
import { api, array, int16, int32, int64, optional, string, struct } from '../schema.ts'

export const DeleteRecords = api({
  key: 21,
  name: 'DeleteRecords',
  versions: [0, 2],
  flexible: 2,
  request: struct({
    topics: array(
      struct({ name: string, partitions: array(struct({ partitionIndex: int32, offset: int64 })) }),
    ),
    timeoutMs: int32,
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    topics: array(
      struct({
        name: string,
        partitions: array(struct({ partitionIndex: int32, lowWatermark: int64, errorCode: int16 })),
      }),
    ),
  }),
})

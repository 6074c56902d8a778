/**
 * DescribeLogDirs: data directories of this broker, and the size of each partition in them.
 *
 *   v2  flexible
 *   v3  errorCode of the whole response (KIP-784)
 *   v4  size of and space left on the volume (KIP-827)
 *   v5  isCordoned: no new partitions go there (KIP-1066)
 *
 * No topics (null) asks for all.
 */
import {
  api,
  array,
  bool,
  ignorable,
  int16,
  int32,
  int64,
  nullableArray,
  optional,
  since,
  string,
  struct,
} from '../schema.ts'

export const DescribeLogDirs = api({
  key: 35,
  name: 'DescribeLogDirs',
  versions: [1, 5],
  flexible: 2,
  request: struct({
    topics: nullableArray(struct({ topic: string, partitions: array(int32) })),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: ignorable(since(3, int16)),
    results: array(
      struct({
        errorCode: int16,
        logDir: string,
        topics: array(
          struct({
            name: string,
            partitions: array(
              struct({
                partitionIndex: int32,
                partitionSize: int64,
                offsetLag: int64,
                isFutureKey: bool,
              }),
            ),
          }),
        ),
        totalBytes: ignorable(since(4, int64, -1)),
        usableBytes: ignorable(since(4, int64, -1)),
        isCordoned: ignorable(since(5, bool)),
      }),
    ),
  }),
})

/**
 * The records of `__consumer_offsets`: what groups keep.
 *
 *   key    int16 type of the record (the table below), then the key's fields
 *   value  int16 version, then the value's fields; null is a tombstone: what the key names is gone
 *
 * Types 0 and 1 are the same: 0 is what brokers before 0.9 wrote, 1 is written. Keys have no versions. Types that are not
 * in the table (share and streams groups) are kept by whoever wrote them and mean nothing to us.
 */
import { MalformedError, Reader, Writer } from '../buffer.ts'
import { RECORD_BATCH_OVERHEAD, writeBatchHeader } from '../record-batch.ts'
import { writeRecord } from '../records.ts'
import {
  array,
  between,
  bytes,
  type Codec,
  type Infer,
  type InferInput,
  ignorable,
  int8,
  int32,
  int64,
  nullableArray,
  nullableString,
  nullableStruct,
  optional,
  since,
  string,
  struct,
  type Type,
  tagged,
  uuid,
} from '../schema.ts'

const classicMemberMetadata = struct({
  sessionTimeoutMs: int32,
  supportedProtocols: array(struct({ name: string, metadata: bytes })),
})

const offsetKey = struct({ group: string, topic: string, partition: int32 })
const groupKey = struct({ groupId: string })
const memberKey = struct({ groupId: string, memberId: string })
const topicPartitions = struct({
  topicId: uuid,
  partitions: array(int32),
  assignmentEpochs: tagged(0, 0, nullableArray(int32), null),
})

/** By name: the type that a key begins with, key and value, versions of the value, and the first flexible one. */
export const offsetsTopicRecords = {
  OffsetCommit: {
    type: 1,
    key: offsetKey,
    value: struct({
      offset: int64,
      leaderEpoch: ignorable(since(3, int32, -1)),
      metadata: string,
      commitTimestamp: int64,
      expireTimestamp: ignorable(between(1, 1, int64, -1)),
      topicId: ignorable(tagged(0, 4, uuid)),
    }),
    lastVersion: 4,
    flexible: 4,
  },
  GroupMetadata: {
    type: 2,
    key: struct({ group: string }),
    value: struct({
      protocolType: string,
      generation: int32,
      protocol: nullableString,
      leader: nullableString,
      currentStateTimestamp: ignorable(since(2, int64, -1)),
      members: array(
        struct({
          memberId: string,
          groupInstanceId: ignorable(since(3, nullableString, null)),
          clientId: string,
          clientHost: string,
          rebalanceTimeout: ignorable(since(1, int32, -1)),
          sessionTimeout: int32,
          subscription: bytes,
          assignment: bytes,
        }),
      ),
    }),
    lastVersion: 4,
    flexible: 4,
  },
  ConsumerGroupMetadata: {
    type: 3,
    key: groupKey,
    value: struct({ epoch: int32, metadataHash: tagged(0, 0, int64) }),
    lastVersion: 0,
    flexible: 0,
  },
  ConsumerGroupPartitionMetadata: {
    type: 4,
    key: groupKey,
    value: struct({
      topics: array(
        struct({
          topicId: uuid,
          topicName: string,
          numPartitions: int32,
          partitionMetadata: array(struct({ partition: int32, racks: array(string) })),
        }),
      ),
    }),
    lastVersion: 0,
    flexible: 0,
  },
  ConsumerGroupMemberMetadata: {
    type: 5,
    key: memberKey,
    value: struct({
      instanceId: nullableString,
      rackId: nullableString,
      clientId: string,
      clientHost: string,
      subscribedTopicNames: array(string),
      subscribedTopicRegex: nullableString,
      rebalanceTimeoutMs: optional(int32, -1),
      serverAssignor: nullableString,
      // Absent it is an empty one to Kafka, so that a member without one says null.
      classicMemberMetadata: tagged(0, 0, nullableStruct(classicMemberMetadata), {
        sessionTimeoutMs: 0,
        supportedProtocols: [],
      }),
    }),
    lastVersion: 0,
    flexible: 0,
  },
  ConsumerGroupTargetAssignmentMetadata: {
    type: 6,
    key: groupKey,
    value: struct({ assignmentEpoch: int32, assignmentTimestamp: ignorable(tagged(0, 0, int64)) }),
    lastVersion: 0,
    flexible: 0,
  },
  ConsumerGroupTargetAssignmentMember: {
    type: 7,
    key: memberKey,
    value: struct({
      topicPartitions: array(struct({ topicId: uuid, partitions: array(int32) })),
    }),
    lastVersion: 0,
    flexible: 0,
  },
  ConsumerGroupCurrentMemberAssignment: {
    type: 8,
    key: memberKey,
    value: struct({
      memberEpoch: int32,
      previousMemberEpoch: int32,
      state: int8,
      assignedPartitions: array(topicPartitions),
      partitionsPendingRevocation: array(topicPartitions),
    }),
    lastVersion: 0,
    flexible: 0,
  },
  ConsumerGroupRegularExpression: {
    type: 16,
    key: struct({ groupId: string, regularExpression: string }),
    value: struct({ topics: array(string), version: int64, timestamp: int64 }),
    lastVersion: 0,
    flexible: 0,
  },
} as const

type Records = typeof offsetsTopicRecords
export type OffsetsRecordName = keyof Records

/** A record as it is read: every field is there; a null value is a tombstone. */
export type OffsetsRecord = {
  [N in OffsetsRecordName]: {
    readonly name: N
    readonly key: Infer<Records[N]['key']>
    readonly value: Infer<Records[N]['value']> | null
  }
}[OffsetsRecordName]

/** A record to be written; `version` is the value's, the newest that has no need of a reader newer than Kafka 3.0. */
export type OffsetsRecordInput = {
  [N in OffsetsRecordName]: {
    readonly name: N
    readonly key: InferInput<Records[N]['key']>
    readonly value: InferInput<Records[N]['value']> | null
    readonly version?: number
  }
}[OffsetsRecordName]

const byType = new Map<number, OffsetsRecordName>(
  Object.entries(offsetsTopicRecords).map(([name, { type }]) => [type, name as OffsetsRecordName]),
)
byType.set(0, 'OffsetCommit')

/** Kafka 4.3 writes these, so that older brokers of its cluster can read them. */
const WRITTEN_VERSION: { readonly [N in OffsetsRecordName]?: number } = {
  OffsetCommit: 3,
  GroupMetadata: 3,
}

function valueCodec(name: OffsetsRecordName, version: number): Codec<unknown> {
  const { value, flexible } = offsetsTopicRecords[name]
  return (value as Type<unknown>).at(version, version >= flexible)
}

function keyCodec(name: OffsetsRecordName): Codec<unknown> {
  return (offsetsTopicRecords[name].key as Type<unknown>).at(0, false)
}

/** The bytes of a record's key and value. */
export function encodeOffsetsRecord(record: OffsetsRecordInput): {
  key: Buffer
  value: Buffer | null
} {
  const [key, value] = [new Writer(64), new Writer(128)]
  const hasValue = writeKeyAndValue(record, key, value)
  return { key: key.bytes(), value: hasValue ? value.bytes() : null }
}

/** Writes a record's parts; false for a tombstone, which has no value. */
function writeKeyAndValue(record: OffsetsRecordInput, key: Writer, value: Writer): boolean {
  const { name } = record
  key.int16(offsetsTopicRecords[name].type)
  keyCodec(name).write(key, record.key)
  if (record.value === null) return false
  const version = record.version ?? WRITTEN_VERSION[name] ?? 0
  value.int16(version)
  valueCodec(name, version).write(value, record.value)
  return true
}

/** What one synchronous pass writes in; a larger one has writers of its own. */
const scratch = { key: new Writer(256), value: new Writer(4096), batch: new Writer(16_384) }
const SCRATCH_MAX_BYTES = 1 << 20

/** All records as one batch, with this time. The bytes are valid until the next call. */
export function encodeOffsetsBatch(
  records: readonly OffsetsRecordInput[],
  timestampMs: number,
): Buffer {
  const { key, value, batch } = scratch
  batch.position = 0
  batch.reserve(RECORD_BATCH_OVERHEAD)
  for (let i = 0; i < records.length; i++) {
    key.position = 0
    value.position = 0
    const hasValue = writeKeyAndValue(records[i]!, key, value)
    const parts = { key: key.bytes(), value: hasValue ? value.bytes() : null }
    writeRecord(batch, i, 0, { timestamp: timestampMs, ...parts })
  }
  const bytes = batch.bytes()
  writeBatchHeader(bytes, 0, bytes.length, {
    recordCount: records.length,
    baseTimestamp: timestampMs,
    maxTimestamp: timestampMs,
  })
  for (const writer of [key, value, batch]) {
    if (writer.buffer.length > SCRATCH_MAX_BYTES) writer.buffer = Buffer.allocUnsafe(4096)
  }
  return bytes
}

/**
 * What a record says; null for a type that we do not know. Bytes in it are views into the arguments.
 *
 * @throws MalformedError for bytes that cannot be read, or a version that is newer than we know
 */
export function decodeOffsetsRecord(key: Buffer, value: Buffer | null): OffsetsRecord | null {
  const keyReader = new Reader(key)
  const name = byType.get(keyReader.int16())
  if (name === undefined) return null
  const readKey = keyCodec(name).read(keyReader)
  if (value === null) return { name, key: readKey, value: null } as OffsetsRecord
  const reader = new Reader(value)
  const version = reader.int16()
  const { lastVersion } = offsetsTopicRecords[name]
  if (version < 0 || version > lastVersion) {
    throw new MalformedError(`${name} has version ${version}; known are 0 to ${lastVersion}`)
  }
  return { name, key: readKey, value: valueCodec(name, version).read(reader) } as OffsetsRecord
}

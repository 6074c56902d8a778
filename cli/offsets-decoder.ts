/**
 * Records of `__consumer_offsets` for `ottla log dump --offsets-decoder`, as Kafka's dump tool shows them with the option of the
 * same name: key `{"type","data"}`, value `{"version","data"}`, fields as the message definitions have them, without those that
 * the version does not have and tagged ones at their default. What consumers embed in a classic group is shown decoded. Only the
 * lowest digits of a `metadataHash` of Kafka's are lost: it has 64 bits.
 */
import { MalformedError, ZERO_UUID } from '../protocol/buffer.ts'
import { readWholeAssignment, readWholeFields } from '../protocol/messages/consumer-protocol.ts'
import {
  decodeOffsetsRecord,
  type OffsetsRecord,
  offsetsTopicRecords,
} from '../protocol/messages/offsets-topic.ts'
import type { DecodedRecord } from '../protocol/records.ts'
import { plainDecoder, type RecordDecoder } from './log-dump-text.ts'

/** The first version that has a field, where that is not 0; other tagged fields are left out at these values. */
const SINCE: Readonly<Record<string, number>> = {
  leaderEpoch: 3,
  currentStateTimestamp: 2,
  groupInstanceId: 3,
  rebalanceTimeout: 1,
}
const LEFT_OUT_AT: Readonly<Record<string, unknown>> = {
  topicId: ZERO_UUID,
  metadataHash: 0,
  assignmentTimestamp: 0,
  assignmentEpochs: null,
}
const DELETED = '<DELETE>'

export const offsetsDecoder: RecordDecoder = { decode }

function decode(record: DecodedRecord): { readonly key: unknown; readonly value: unknown } {
  const read = recordOf(record)
  if (read === null) return plainDecoder.decode(record)
  const { type } = offsetsTopicRecords[read.name]
  const key = { type: String(type), data: read.key }
  if (read.value === null) return { key, value: DELETED }
  const version = record.value!.readInt16BE(0)
  return { key, value: { version: String(version), data: shown(embedded(read), version) } }
}

/** Null for a type that is not known and for bytes that are not what they should be. */
function recordOf({ key, value }: DecodedRecord): OffsetsRecord | null {
  try {
    return key === null ? null : decodeOffsetsRecord(key, value)
  } catch (error) {
    if (error instanceof MalformedError) return null
    throw error
  }
}

function embedded({ name, value }: OffsetsRecord): unknown {
  if (name !== 'GroupMetadata' || value === null || value.protocolType !== 'consumer') return value
  const members = value.members.map(member => ({
    ...member,
    subscription: readWholeFields(member.subscription) ?? member.subscription,
    assignment: readWholeAssignment(member.assignment) ?? member.assignment,
  }))
  return { ...value, members }
}

function shown(value: unknown, version: number): unknown {
  if (Buffer.isBuffer(value)) return value.toString('base64')
  if (Array.isArray(value)) return value.map(one => shown(one, version))
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([name, field]) => {
    // The only field that went away.
    if (name === 'expireTimestamp') return version === 1
    if (name === 'classicMemberMetadata') return !isEmptyPart(field)
    if (Object.hasOwn(LEFT_OUT_AT, name)) return field !== LEFT_OUT_AT[name]
    return version >= (SINCE[name] ?? 0)
  })
  return Object.fromEntries(fields.map(([name, field]) => [name, shown(field, version)]))
}

/** What an absent one is to Kafka. */
function isEmptyPart(field: unknown): boolean {
  const part = field as { readonly supportedProtocols: readonly unknown[] } | null
  return part !== null && part.supportedProtocols.length === 0
}

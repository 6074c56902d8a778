/**
 * What consumers put into the fields that the classic group protocol only passes on (Kafka's ConsumerProtocolSubscription and
 * ConsumerProtocolAssignment): a version, then fields of which later versions only add to the end. Only what is the same in
 * all versions is read, but of members that a broker assigns partitions to (online migration).
 */
import { MalformedError, Reader, Writer } from '../buffer.ts'
import {
  array,
  int32,
  nullableBytes,
  nullableString,
  since,
  string,
  struct,
  type Type,
} from '../schema.ts'

const topics = array(string)
const assignment = array(struct({ topic: string, partitions: array(int32) }))
const subscription = struct({
  topics,
  userData: nullableBytes,
  ownedPartitions: since(1, assignment),
  generationId: since(2, int32, -1),
  rackId: since(3, nullableString, null),
})
const wholeAssignment = struct({ assignedPartitions: assignment, userData: nullableBytes })
const LAST_VERSION = 3

function readFirst<T>(type: Type<T>, bytes: Buffer): T | null {
  return readAt(type, bytes, () => 0)
}

function readAt<T>(type: Type<T>, bytes: Buffer, as: (version: number) => number): T | null {
  try {
    const reader = new Reader(bytes)
    const version = reader.int16()
    return version < 0 ? null : type.at(as(version), false).read(reader)
  } catch (error) {
    if (error instanceof MalformedError) return null
    throw error
  }
}

/** The topics that a member subscribes to; null for bytes of another make. */
export function readSubscription(bytes: Buffer): readonly string[] | null {
  return readFirst<readonly string[]>(topics as Type<readonly string[]>, bytes)
}

/** The partitions that a member was assigned; null for bytes of another make. */
export function readAssignment(
  bytes: Buffer,
): readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null {
  return readFirst(assignment as Type<{ topic: string; partitions: number[] }[]>, bytes)
}

export type TopicPartitions = readonly {
  readonly topic: string
  readonly partitions: readonly number[]
}[]

export interface Subscription {
  readonly topics: readonly string[]
  /** What the member has still; nothing before version 1. */
  readonly ownedPartitions: TopicPartitions
  readonly rackId: string | null
}

/** Later versions only add to the end, so bytes of a version that is not known yet are read as the last one. */
const knownVersion = (version: number) => Math.min(version, LAST_VERSION)

/** The fields of a subscription that its version has, by Kafka's names; null for bytes of another make. */
export function readWholeFields(bytes: Buffer): Readonly<Record<string, unknown>> | null {
  const read = readAt(subscription, bytes, knownVersion)
  if (read === null) return null
  const { topics: names, userData, ownedPartitions, generationId, rackId } = read
  const later = [{ ownedPartitions }, { generationId }, { rackId }].slice(0, bytes.readInt16BE(0))
  return Object.assign({ topics: names, userData }, ...later)
}

/** All that a member says of itself; null for bytes of another make. */
export function readWholeSubscription(bytes: Buffer): Subscription | null {
  const read = readAt(subscription, bytes, knownVersion)
  if (read === null) return null
  const { topics: names, ownedPartitions = [], rackId } = read
  return { topics: names, ownedPartitions, rackId: rackId || null }
}

/** An assignment with what a client's assignor added for its own use; null for bytes of another make. */
export function readWholeAssignment(
  bytes: Buffer,
): { readonly assignedPartitions: TopicPartitions; readonly userData: Buffer | null } | null {
  return readAt(wholeAssignment, bytes, knownVersion)
}

/** An assignment for a member, in the version of this subscription of it. */
export function writeAssignment(assignedPartitions: TopicPartitions, saidIn: Buffer): Buffer {
  const version = saidIn.length < 2 ? 0 : knownVersion(Math.max(0, saidIn.readInt16BE(0)))
  const writer = new Writer()
  writer.int16(version)
  const copied = assignedPartitions.map(one => ({ ...one, partitions: [...one.partitions] }))
  wholeAssignment.at(version, false).write(writer, { assignedPartitions: copied, userData: null })
  return Buffer.from(writer.bytes())
}

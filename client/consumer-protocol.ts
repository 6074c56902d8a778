/**
 * What members of a classic consumer group tell each other through the coordinator, which does not look into it:
 *
 *   subscription  int16 version | topics: array of string | userData: nullable bytes | from version 1 on ownedPartitions:
 *                 array of (string topic, array of int32) | 2: int32 generation | 3: nullable string rackId
 *   assignment    int16 version | partitions: array of (string topic, array of int32) | userData: nullable bytes
 *
 * Readers take what they know and ignore the rest, so a higher version is read as the highest that is known here.
 */
import { MalformedError, Reader, Writer } from '../protocol/buffer.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface Subscription {
  readonly topics: readonly string[]
  /** What the assignor adds. */
  readonly userData: Buffer | null
  /** What the member has at the moment, from version 1 on. */
  readonly owned: readonly TopicPartition[]
  /** When it got that, from version 2 on; else -1. */
  readonly generation: number
  /** Where it is, from version 3 on; null: it does not say. */
  readonly rackId: string | null
}

const VERSION = 3
const ASSIGNMENT_VERSION = 3

export function encodeSubscription({
  topics,
  userData,
  owned,
  generation,
  rackId,
}: Subscription): Buffer {
  const writer = new Writer(128)
  writer.int16(VERSION)
  writer.int32(topics.length)
  for (const topic of topics) writeText(writer, topic)
  writer.int32(userData === null ? -1 : userData.length)
  if (userData !== null) writer.raw(userData)
  writePartitions(writer, owned)
  writer.int32(generation)
  if (rackId === null || rackId === '') writer.int16(-1)
  else writeText(writer, rackId)
  return writer.bytes()
}

/** Throws a MalformedError. */
export function decodeSubscription(bytes: Buffer): Subscription {
  const reader = new Reader(bytes)
  const version = reader.int16()
  const topics = readArray(reader, () => readText(reader))
  const userData = readBytes(reader)
  const owned = version >= 1 ? readPartitions(reader) : []
  const generation = version >= 2 ? reader.int32() : -1
  const rackId = version >= 3 ? readNullable(reader) : null
  return { topics, userData, owned, generation, rackId }
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const writer = new Writer(128)
  writer.int16(ASSIGNMENT_VERSION)
  writePartitions(writer, partitions)
  writer.int32(-1)
  return writer.bytes()
}

/** No bytes are no partitions. Throws a MalformedError. */
export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return []
  const reader = new Reader(bytes)
  reader.int16()
  return readPartitions(reader)
}

/** By topic: `array of (string topic, array of int32)`. */
export function writePartitions(writer: Writer, partitions: readonly TopicPartition[]): void {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    const list = topics.get(topic)
    if (list === undefined) topics.set(topic, [partition])
    else list.push(partition)
  }
  writer.int32(topics.size)
  for (const [topic, list] of topics) {
    writeText(writer, topic)
    writer.int32(list.length)
    for (const partition of list) writer.int32(partition)
  }
}

/** What `writePartitions` writes. Throws a MalformedError. */
export function readPartitions(reader: Reader): TopicPartition[] {
  return readArray(reader, () => {
    const topic = readText(reader)
    return readArray(reader, () => ({ topic, partition: reader.int32() }))
  }).flat()
}

function readArray<T>(reader: Reader, item: () => T): T[] {
  const count = reader.int32()
  if (count > reader.remaining)
    throw new MalformedError(`${count} items in ${reader.remaining} bytes`)
  const items: T[] = []
  for (let i = 0; i < count; i++) items.push(item())
  return items
}

function writeText(writer: Writer, text: string): void {
  writer.int16(Buffer.byteLength(text))
  writer.text(text)
}

function readText(reader: Reader): string {
  return reader.text(reader.int16())
}

function readNullable(reader: Reader): string | null {
  const length = reader.int16()
  return length < 0 ? null : reader.text(length)
}

function readBytes(reader: Reader): Buffer | null {
  const length = reader.int32()
  return length < 0 ? null : Buffer.from(reader.view(length))
}

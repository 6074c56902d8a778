/**
 * What consumers put into the fields that the classic group protocol only passes on (Kafka's ConsumerProtocolSubscription and
 * ConsumerProtocolAssignment): a version, then fields of which later versions only add to the end. Only what is the same in
 * all versions is read.
 */
import { MalformedError, Reader } from '../buffer.ts'
import { array, int32, string, struct, type Type } from '../schema.ts'

const topics = array(string)
const assignment = array(struct({ topic: string, partitions: array(int32) }))

function readFirst<T>(type: Type<T>, bytes: Buffer): T | null {
  try {
    const reader = new Reader(bytes)
    return reader.int16() < 0 ? null : type.at(0, false).read(reader)
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

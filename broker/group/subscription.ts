/**
 * What consumers put into the metadata that the coordinator only passes on (Kafka's ConsumerProtocolSubscription): the
 * coordinator reads the names of topics from it, to know which offsets are in use.
 *
 *   int16 version · array of topics (string) · what later versions add, which is not looked at
 */
import { MalformedError, Reader } from '../../protocol/buffer.ts'
import { array, string } from '../../protocol/schema.ts'
import { metadataOf } from './group-record.ts'
import type { Members } from './members.ts'

export const CONSUMER_PROTOCOL = 'consumer'

const topics = array(string).at(0, false)

/** The topics that a member subscribes to; null if its metadata is of another make. */
export function subscribedTopics(metadata: Buffer): readonly string[] | null {
  try {
    const reader = new Reader(metadata)
    const version = reader.int16()
    return version < 0 ? null : topics.read(reader)
  } catch (error) {
    if (error instanceof MalformedError) return null
    throw error
  }
}

/** The topics of all members; null if one cannot be told, or these are no consumers. */
export function subscriptionsOf(group: {
  readonly protocolType: string
  readonly protocol: string | null
  readonly members: Members
}): ReadonlySet<string> | null {
  const all = new Set<string>()
  if (group.protocolType !== CONSUMER_PROTOCOL) return null
  for (const member of group.members.all()) {
    const names = subscribedTopics(metadataOf(member, group.protocol))
    if (names === null) return null
    for (const name of names) all.add(name)
  }
  return all
}

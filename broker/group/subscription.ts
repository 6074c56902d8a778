/** Which topics the members of a classic group read: so that it is known which offsets are in use. */
import { readSubscription } from '../../protocol/messages/consumer-protocol.ts'
import { metadataOf } from './group-record.ts'
import type { Members } from './members.ts'

export const CONSUMER_PROTOCOL = 'consumer'

/** The topics of all members; null if one cannot be told, or these are no consumers. */
export function subscriptionsOf(group: {
  readonly protocolType: string
  readonly protocol: string | null
  readonly members: Members
}): ReadonlySet<string> | null {
  const all = new Set<string>()
  if (group.protocolType !== CONSUMER_PROTOCOL) return null
  for (const member of group.members.all()) {
    const names = readSubscription(metadataOf(member, group.protocol))
    if (names === null) return null
    for (const name of names) all.add(name)
  }
  return all
}

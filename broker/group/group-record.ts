/** A classic group as a record of `__consumer_offsets`, and back. */
import type { OffsetsRecord, OffsetsRecordInput } from '../../protocol/messages/offsets-topic.ts'
import type { Member } from './members.ts'

export type GroupValue = NonNullable<Extract<OffsetsRecord, { name: 'GroupMetadata' }>['value']>

const NOTHING = Buffer.alloc(0)

/** What is written for a generation; `protocol` chooses whose metadata is kept of each member. */
export function groupRecord(
  group: string,
  generation: {
    readonly protocolType: string
    readonly generation: number
    readonly protocol: string | null
    readonly leader: string | null
    readonly currentStateTimestamp: number
  },
  members: Iterable<Member>,
): OffsetsRecordInput {
  const value = { ...generation, members: [...members].map(m => memberValue(m, generation)) }
  return { name: 'GroupMetadata', key: { group }, value }
}

function memberValue(member: Member, { protocol }: { readonly protocol: string | null }) {
  return {
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    clientId: member.client.clientId,
    clientHost: member.client.clientHost,
    rebalanceTimeout: member.rebalanceTimeoutMs,
    sessionTimeout: member.sessionTimeoutMs,
    subscription: metadataOf(member, protocol),
    assignment: member.assignment,
  }
}

/** What a member says under the protocol that was chosen. */
export function metadataOf(member: Member, protocol: string | null): Buffer {
  return member.protocols.find(({ name }) => name === protocol)?.metadata ?? NOTHING
}

/** The members of a record, as they are after a start: in a generation, nobody waiting. */
export function membersOf(value: GroupValue): Member[] {
  return value.members.map(member => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    client: { clientId: member.clientId, clientHost: member.clientHost, connectionId: -1 },
    connectionId: -1,
    sessionTimeoutMs: member.sessionTimeout,
    rebalanceTimeoutMs:
      member.rebalanceTimeout < 0 ? member.sessionTimeout : member.rebalanceTimeout,
    protocols: [{ name: value.protocol ?? '', metadata: Buffer.from(member.subscription) }],
    assignment: Buffer.from(member.assignment),
    joining: null,
    syncing: null,
    isNew: false,
    deadlineMs: Number.POSITIVE_INFINITY,
    isDisconnected: false,
  }))
}

/** What makes a classic group disappear from the log. */
export function groupTombstone(group: string): OffsetsRecordInput {
  return { name: 'GroupMetadata', key: { group }, value: null }
}

/**
 * A group as the two describing APIs show it, in lines that a scenario can hold: every field but those that differ from
 * broker to broker (address of the client) or that only ours fills (the explanation in the message of a group that is there).
 */
import assert from 'node:assert/strict'
import { type ApiName, apis, type ResponseInput, type ResponseOf } from '../../protocol/apis.ts'
import { Reader, Writer } from '../../protocol/buffer.ts'
import { errorName } from '../../protocol/errors.ts'
import { readWholeSubscription } from '../../protocol/messages/consumer-protocol.ts'
import { shownAssignment, shownPartitions } from './script.ts'

type OfConsumers = ResponseOf<'ConsumerGroupDescribe'>['groups'][number]
type OfClassic = ResponseOf<'DescribeGroups'>['groups'][number]

const MEMBER_TYPES = new Map([
  [0, 'classic'],
  [1, 'consumer'],
])

/** What a client reads of this answer in the newest version: also what a handler leaves to defaults. */
export function answered<N extends ApiName>(name: N, response: ResponseInput<N>): ResponseOf<N> {
  const api = apis[name]
  const type = api.response.at(api.versions[1], true)
  const writer = new Writer()
  type.write(writer, response as never)
  return type.read(new Reader(Buffer.from(writer.bytes()))) as ResponseOf<N>
}

/** One line for the group, one for each member. */
export function consumersDescribed(group: OfConsumers): string[] {
  const { groupState, groupEpoch, assignmentEpoch, assignorName, authorizedOperations } = group
  const head = [
    ...failure(group),
    `'${groupState}' epoch ${groupEpoch}`,
    `assigned in ${assignmentEpoch} by '${assignorName}'`,
    `operations ${authorizedOperations.toString(2)}`,
  ]
  const members = group.members.map(member => {
    const { memberId, memberEpoch, memberType, clientId, clientHost, instanceId, rackId } = member
    assert.match(clientHost, /^\/[\d.]+$/)
    return [
      `${memberId}@${memberEpoch} ${MEMBER_TYPES.get(memberType) ?? memberType}`,
      `client ${quoted(clientId)} instance ${quoted(instanceId)} rack ${quoted(rackId)}`,
      `topics ${[...member.subscribedTopicNames].sort()} regex ${quoted(member.subscribedTopicRegex)}`,
      `has ${listed(member.assignment)}`,
      `shall have ${listed(member.targetAssignment)}`,
    ].join(', ')
  })
  return [head.join(', '), ...members].map(line => `described: ${line}`)
}

/** `embeds`: members say what consumers embed, so it can be read. */
export function classicDescribed(group: OfClassic, embeds: boolean): string[] {
  const { groupState, protocolType, protocolData, authorizedOperations } = group
  const head = [
    ...failure(group),
    `'${groupState}' type '${protocolType}' protocol '${protocolData}'`,
    `operations ${authorizedOperations.toString(2)}`,
  ]
  const members = group.members.map(member => {
    const { memberId, groupInstanceId, clientId, clientHost } = member
    const { memberMetadata: said, memberAssignment: has } = member
    assert.match(clientHost, /^\/[\d.]+$/)
    const topics = () => readWholeSubscription(said)?.topics ?? 'nothing'
    return [
      `${memberId} client ${quoted(clientId)} instance ${quoted(groupInstanceId)}`,
      `says ${embeds ? topics() : quoted(said.toString())}`,
      `has ${embeds ? shownAssignment(has) : quoted(has.toString())}`,
    ].join(', ')
  })
  return [head.join(', '), ...members].map(line => `described: ${line}`)
}

function failure(group: { readonly errorCode: number; readonly errorMessage: string | null }) {
  if (group.errorCode === 0) return []
  return [`${errorName(group.errorCode)} ${quoted(group.errorMessage)}`]
}

const quoted = (text: string | null) => (text === null ? 'none' : `'${text}'`)

function listed({ topicPartitions }: OfConsumers['members'][number]['assignment']): string {
  return shownPartitions(
    topicPartitions.map(({ topicName, partitions }) => ({ topic: topicName, partitions })),
  )
}

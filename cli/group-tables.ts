/** What `ottla group` prints. */
import type { GroupDescription, GroupLag, GroupListing } from '../client/group-admin.ts'
import { table } from './topic-tables.ts'

export function listText(groups: readonly GroupListing[]): string {
  if (groups.length === 0) return 'There are no groups.\n'
  const rows = groups.map(({ groupId, state, type, protocolType }) => [
    groupId,
    state,
    type,
    protocolType,
  ])
  return table(['GROUP', 'STATE', 'TYPE', 'PROTOCOL TYPE'], rows)
}

export function describeText(group: GroupDescription): string {
  const { groupId, state, protocol, explanation, members } = group
  const chosen = protocol === '' ? '' : `, ${protocol}`
  const head = `Group ${groupId}: ${state}${chosen}, ${members.length} member(s)\n`
  // A sentence a line.
  const why = explanation === null ? '' : `${explanation.replace(/\. (?=[A-Z])/g, '.\n')}\n`
  if (members.length === 0) return head + why
  const rows = members.map(member => [
    member.memberId,
    member.groupInstanceId ?? '',
    member.clientId,
    member.clientHost,
    member.assignment.map(({ topic, partitions }) => `${topic}:${partitions.join(',')}`).join(' '),
  ])
  return head + why + table(['MEMBER', 'INSTANCE', 'CLIENT', 'HOST', 'ASSIGNED'], rows)
}

export function lagText(lags: readonly (GroupLag & { readonly group: string })[]): string {
  if (lags.length === 0) return 'Nothing has been committed.\n'
  const rows = lags.map(({ group, topic, partition, offset, start, end, lag }) => [
    group,
    topic,
    partition,
    offset,
    start,
    end,
    lag ?? 'unknown',
  ])
  return table(['GROUP', 'TOPIC', 'PARTITION', 'COMMITTED', 'START', 'END', 'LAG'], rows)
}

/** Members of classic groups for the tests of handlers: they join, sync and leave over a fake connection. */
import assert from 'node:assert/strict'
import { errorName } from '../../protocol/errors.ts'
import type { FakeClient, Host } from './host.ts'
import { startHost } from './host.ts'

/** ConsumerProtocolSubscription, version 0: topics, no user data. */
export function subscription(...topics: readonly string[]): Buffer {
  const parts = [Buffer.from([0, 0, 0, 0, 0, topics.length])]
  for (const topic of topics) {
    const text = Buffer.from(topic)
    parts.push(Buffer.from([0, text.length]), text)
  }
  return Buffer.concat([...parts, Buffer.from([0xff, 0xff, 0xff, 0xff])])
}

/** A broker with a topic `t` of two partitions, whose groups can be used. */
export async function withGroups(
  run: (host: Host, client: FakeClient) => Promise<void>,
  overrides: readonly string[] = [],
): Promise<void> {
  const host = await startHost({ overrides: ['offsets.topic.num.partitions=3', ...overrides] })
  await host.createTopic('t', 2)
  const client = host.connect()
  await client.call('FindCoordinator', 4, { keyType: 0, coordinatorKeys: ['g'] })
  try {
    await run(host, client)
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
}

export interface JoinAs {
  readonly group?: string
  readonly memberId?: string
  readonly instance?: string | null
  readonly topics?: readonly string[]
  readonly protocolType?: string
  readonly version?: number
}

export function joinRequest(as: JoinAs) {
  const { group = 'g', memberId = '', instance = null, topics = ['t'], version = 9 } = as
  return {
    groupId: group,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 20_000,
    memberId,
    ...(version >= 5 && { groupInstanceId: instance }),
    protocolType: as.protocolType ?? 'consumer',
    protocols: [{ name: 'range', metadata: subscription(...topics) }],
  }
}

/** Joins as the only member and syncs: the group is stable then. */
export async function joinAlone(client: FakeClient, as: JoinAs = {}) {
  const { group = 'g' } = as
  const joined = await client.call('JoinGroup', 3, joinRequest({ ...as, version: 3 }))
  assert.equal(errorName(joined.errorCode), 'NONE')
  const { memberId, generationId } = joined
  const assignments = [{ memberId, assignment: Buffer.from('everything') }]
  const request = { groupId: group, generationId, memberId, assignments }
  const synced = await client.call('SyncGroup', 3, request)
  assert.equal(errorName(synced.errorCode), 'NONE')
  return { groupId: group, memberId, generationId }
}

export interface CommitAs {
  readonly groupId?: string
  readonly memberId?: string
  readonly generationId?: number
}

/** One offset of `t`-0. */
export function commitRequest(offset: number, as: CommitAs = {}, topic = 't', metadata = '') {
  const { groupId = 'g', memberId = '', generationId = -1 } = as
  const partition = { partitionIndex: 0, committedOffset: offset, committedMetadata: metadata }
  const topics = [{ name: topic, partitions: [partition] }]
  return { groupId, memberId, generationIdOrMemberEpoch: generationId, topics }
}

/** Commits one offset and gives back the name of the error. */
export async function commit(
  client: FakeClient,
  offset: number,
  as: CommitAs = {},
  topic = 't',
): Promise<string> {
  const { topics } = await client.call('OffsetCommit', 8, commitRequest(offset, as, topic))
  return errorName(topics[0]!.partitions[0]!.errorCode)
}

/** The committed offset of a partition; -1 for none. */
export async function fetchOffset(client: FakeClient, group = 'g', topic = 't', index = 0) {
  const { groups } = await client.call('OffsetFetch', 8, {
    groups: [{ groupId: group, topics: [{ name: topic, partitionIndexes: [index] }] }],
  })
  assert.equal(errorName(groups[0]!.errorCode), 'NONE')
  return groups[0]!.topics[0]!.partitions[0]!.committedOffset
}

/** ConsumerGroupHeartbeat over a connection: members share a topic, commit by epoch, leave; and which kind a group has. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestInput } from '../../../protocol/apis.ts'
import { errorName } from '../../../protocol/errors.ts'
import { joinAlone, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'
import type { FakeClient } from '../host.ts'

const JOIN = {
  groupId: 'g',
  memberId: 'm1',
  memberEpoch: 0,
  rebalanceTimeoutMs: 30_000,
  subscribedTopicNames: ['t'],
  topicPartitions: [],
}

async function beat(
  client: FakeClient,
  request: RequestInput<'ConsumerGroupHeartbeat'>,
  version = 1,
) {
  const { errorCode, ...answer } = await client.call('ConsumerGroupHeartbeat', version, request)
  return { error: errorName(errorCode), ...answer }
}

for (const version of versionsOf('ConsumerGroupHeartbeat')) {
  test(`version ${version}: a member gets all partitions, then shares them, and is out when it is silent`, () =>
    withGroups(async (host, client) => {
      const first = await beat(client, JOIN, version)
      assert.equal(first.error, 'NONE')
      assert.deepEqual(first.assignment?.topicPartitions[0]?.partitions, [0, 1])
      assert.equal((await beat(client, { ...JOIN, memberId: 'm2' }, version)).memberEpoch, 2)
      const alive = { groupId: 'g', memberId: 'm1', memberEpoch: 1 }
      const topicPartitions = first.assignment!.topicPartitions
      const told = await beat(client, { ...alive, topicPartitions }, version)
      assert.deepEqual(told.assignment?.topicPartitions[0]?.partitions, [0])
      await host.io.advance(44_999)
      assert.equal(
        (await beat(client, { ...alive, groupId: 'g' }, version)).error,
        'UNKNOWN_MEMBER_ID',
      )
      assert.equal(
        (await beat(client, { ...alive, groupId: 'x' }, version)).error,
        'GROUP_ID_NOT_FOUND',
      )
      assert.equal((await beat(client, { ...JOIN, groupId: '' }, version)).error, 'INVALID_REQUEST')
    }))
}

test('a member makes its own id from version 1 on, and is given one before', () =>
  withGroups(async (_host, client) => {
    assert.equal((await beat(client, { ...JOIN, memberId: '' }, 1)).error, 'INVALID_REQUEST')
    const { error, memberId } = await beat(client, { ...JOIN, memberId: '' }, 0)
    assert.equal(error, 'NONE')
    assert.ok(memberId !== null && memberId.length > 0)
  }))

test('offsets are committed and fetched in the epoch of the member, and in no other', () =>
  withGroups(async (_host, client) => {
    await beat(client, JOIN)
    const commit = async (epoch: number) => {
      const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: '' }]
      const request = { groupId: 'g', memberId: 'm1', generationIdOrMemberEpoch: epoch }
      const topics = [{ name: 't', partitions }]
      const answer = await client.call('OffsetCommit', 9, { ...request, topics })
      return errorName(answer.topics[0]!.partitions[0]!.errorCode)
    }
    assert.equal(await commit(1), 'NONE')
    assert.equal(await commit(0), 'STALE_MEMBER_EPOCH')
    const fetch = async (memberEpoch: number) => {
      const topics = [{ name: 't', partitionIndexes: [0] }]
      const groups = [{ groupId: 'g', memberId: 'm1', memberEpoch, topics }]
      const answer = await client.call('OffsetFetch', 9, { groups, requireStable: false })
      return errorName(answer.groups[0]!.errorCode)
    }
    assert.equal(await fetch(1), 'NONE')
    assert.equal(await fetch(2), 'STALE_MEMBER_EPOCH')
  }))

test('a group takes the protocol of who joins while it is empty, keeps its offsets, and refuses the other with members', () =>
  withGroups(async (_host, client) => {
    const types = async () =>
      (await client.call('ListGroups', 5, {})).groups.map(
        one => `${one.groupType} ${one.groupState}`,
      )
    await beat(client, JOIN)
    assert.deepEqual(await types(), ['consumer Stable'])
    const join = {
      groupId: 'g',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      memberId: '',
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
    }
    const refused = await client.call('JoinGroup', 3, join)
    assert.equal(errorName(refused.errorCode), 'INCONSISTENT_GROUP_PROTOCOL')
    await beat(client, { groupId: 'g', memberId: 'm1', memberEpoch: -1 })
    assert.deepEqual(await types(), ['consumer Empty'])
    const member = await joinAlone(client)
    assert.deepEqual(await types(), ['classic Stable'])
    assert.equal((await beat(client, JOIN)).error, 'GROUP_ID_NOT_FOUND')
    const members = [{ memberId: member.memberId }]
    await client.call('LeaveGroup', 3, { groupId: 'g', members })
    assert.equal((await beat(client, JOIN)).error, 'NONE')
    assert.deepEqual(await types(), ['consumer Stable'])
  }))

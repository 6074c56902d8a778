/** ConsumerGroupHeartbeat over a connection: members share a topic, commit by epoch, leave; and which kind a group has. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestInput } from '../../../protocol/apis.ts'
import { errorName } from '../../../protocol/errors.ts'
import { writeAssignment } from '../../../protocol/messages/consumer-protocol.ts'
import { joinAlone, joinRequest, withGroups } from '../group-members.ts'
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

async function fetchAs(client: FakeClient, memberId: string, memberEpoch: number) {
  const topics = [{ name: 't', partitionIndexes: [0] }]
  const groups = [{ groupId: 'g', memberId, memberEpoch, topics }]
  const answer = await client.call('OffsetFetch', 9, { groups, requireStable: false })
  return errorName(answer.groups[0]!.errorCode)
}

const classicJoin = (metadata: Buffer) => ({
  groupId: 'g',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  memberId: '',
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata }],
})

for (const version of versionsOf('ConsumerGroupHeartbeat')) {
  test(`version ${version}: a member gets all partitions, then shares them, and is out when it is silent`, () =>
    withGroups(async (host, client) => {
      const first = await beat(client, JOIN, version)
      assert.equal(first.error, 'NONE')
      assert.deepEqual(first.assignment?.topicPartitions[0]?.partitions, [0, 1])
      assert.equal(first.heartbeatIntervalMs, 5000)
      // One target in a second: the next member is told to ask for its own when it may be made.
      await host.io.advance(400)
      const second = await beat(client, { ...JOIN, memberId: 'm2' }, version)
      assert.deepEqual([second.memberEpoch, second.heartbeatIntervalMs], [2, 600])
      await host.io.advance(600)
      const beaten = { groupId: 'g', memberId: 'm2', memberEpoch: 2 }
      assert.equal((await beat(client, beaten, version)).memberEpoch, 3)
      const alive = { groupId: 'g', memberId: 'm1', memberEpoch: 2 }
      const topicPartitions = first.assignment!.topicPartitions
      const told = await beat(client, { ...alive, topicPartitions }, version)
      assert.deepEqual(told.assignment?.topicPartitions[0]?.partitions, [0])
      await host.io.advance(44_999)
      assert.equal(
        (await beat(client, { ...alive, groupId: 'g' }, version)).error,
        'UNKNOWN_MEMBER_ID',
      )
      const nowhere = await beat(client, { ...alive, groupId: 'x' }, version)
      assert.equal(nowhere.error, 'GROUP_ID_NOT_FOUND')
      assert.equal(nowhere.errorMessage, 'Consumer group x not found.')
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
    assert.equal(await commit(2), 'NONE')
    assert.equal(await commit(1), 'STALE_MEMBER_EPOCH')
    const fetch = (memberEpoch: number) => fetchAs(client, 'm1', memberEpoch)
    assert.equal(await fetch(2), 'NONE')
    assert.equal(await fetch(1), 'STALE_MEMBER_EPOCH')
  }))

test('a member of the classic protocol may be behind when it fetches offsets, as in a classic group', () =>
  withGroups(async (host, client) => {
    await beat(client, JOIN)
    // Version 1: topics, no user data, nothing owned.
    const metadata = Buffer.from('000100000001000174ffffffff00000000', 'hex')
    const join = classicJoin(metadata)
    const { errorCode, memberId, generationId } = await host.connect().call('JoinGroup', 3, join)
    assert.equal(errorName(errorCode), 'NONE')
    const fetch = (memberEpoch: number, id = memberId) => fetchAs(client, id, memberEpoch)
    assert.deepEqual([await fetch(generationId), await fetch(generationId - 1)], ['NONE', 'NONE'])
    assert.equal(await fetch(generationId + 1), 'ILLEGAL_GENERATION')
    assert.equal(await fetch(generationId, 'nobody'), 'UNKNOWN_MEMBER_ID')
  }))

test('a group takes the protocol of who joins while it is empty, keeps its offsets, and refuses the other with members', () =>
  withGroups(async (_host, client) => {
    const types = async () =>
      (await client.call('ListGroups', 5, {})).groups.map(
        one => `${one.groupType} ${one.groupState}`,
      )
    await beat(client, JOIN)
    assert.deepEqual(await types(), ['consumer Stable'])
    const join = classicJoin(Buffer.alloc(0))
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

test("a group's own settings take effect at once, and the broker's again when they are gone", () =>
  withGroups(async (host, client) => {
    const alter = async (name: string, value: string | null) => {
      const configs = [{ name, configOperation: value === null ? 1 : 0, value }]
      const resources = [{ resourceType: 32, resourceName: 'g', configs }]
      const request = { resources, validateOnly: false }
      const { responses } = await client.call('IncrementalAlterConfigs', 1, request)
      assert.equal(errorName(responses[0]!.errorCode), 'NONE', responses[0]!.errorMessage ?? '')
    }
    await alter('consumer.session.timeout.ms', '60000')
    await alter('consumer.heartbeat.interval.ms', '9000')
    await alter('consumer.assignment.interval.ms', '0')
    assert.equal((await beat(client, JOIN)).heartbeatIntervalMs, 9000)
    assert.equal((await beat(client, { ...JOIN, memberId: 'm2' })).memberEpoch, 3)
    const alive = { groupId: 'g', memberId: 'm2', memberEpoch: 3 }
    await host.io.advance(59_000)
    assert.equal((await beat(client, alive)).error, 'NONE')
    await alter('consumer.session.timeout.ms', null)
    await alter('consumer.heartbeat.interval.ms', null)
    assert.equal((await beat(client, alive)).heartbeatIntervalMs, 5000)
    await host.io.advance(45_000)
    assert.equal((await beat(client, alive)).error, 'UNKNOWN_MEMBER_ID')
  }))

test('a classic group with a member becomes a consumer group and a classic one again', () =>
  withGroups(async (_host, client) => {
    const assignment = writeAssignment([{ topic: 't', partitions: [0, 1] }], Buffer.from([0, 0]))
    const joined = await client.call('JoinGroup', 3, joinRequest({ version: 3 }))
    const { memberId } = joined
    const member = { groupId: 'g', memberId, generationId: 1 }
    const assignments = [{ memberId, assignment }]
    await client.call('SyncGroup', 3, { ...member, assignments })
    assert.equal((await beat(client, JOIN)).memberEpoch, 2)
    const kind = async () => (await client.call('ListGroups', 5, {})).groups[0]!.groupType
    assert.equal(await kind(), 'consumer')
    const described = await client.call('ConsumerGroupDescribe', 1, {
      groupIds: ['g'],
      includeAuthorizedOperations: false,
    })
    assert.deepEqual(described.groups[0]!.members.map(one => one.memberType).sort(), [0, 1])
    const classic = async (version = 4) =>
      errorName((await client.call('Heartbeat', version, member)).errorCode)
    assert.equal(await classic(), 'REBALANCE_IN_PROGRESS')
    const again = await client.call('JoinGroup', 9, joinRequest({ memberId }))
    assert.deepEqual([again.generationId, again.leader, again.members], [2, '', []])
    const synced = await client.call('SyncGroup', 5, {
      ...member,
      generationId: 2,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: [],
    })
    assert.equal(synced.assignment.toString('hex').slice(0, 4), '0000')
    await beat(client, { groupId: 'g', memberId: 'm1', memberEpoch: -1 })
    assert.equal(await kind(), 'classic')
    assert.equal(
      errorName((await client.call('Heartbeat', 4, { ...member, generationId: 2 })).errorCode),
      'REBALANCE_IN_PROGRESS',
    )
  }))

test('what members say together is bounded', () =>
  withGroups(async (host, client) => {
    // Topics of a megabyte in all, near the most that fits into one record.
    const names = Array.from({ length: 4000 }, (_, i) => `${i}-${'x'.repeat(230)}`)
    const join = (i: number) =>
      beat(client, { ...JOIN, memberId: `m${i}`, subscribedTopicNames: names })
    const answers = []
    for (let i = 0; i < 40; i++) answers.push(await join(i))
    const refused = answers.filter(({ error }) => error !== 'NONE')
    assert.deepEqual([...new Set(refused.map(({ error }) => error))], ['GROUP_MAX_SIZE_REACHED'])
    assert.match(refused[0]!.errorMessage!, /more than 33554432 bytes/)
    const [entry] = host.broker.groups.entries()
    assert.equal(entry!.group.memberCount, 40 - refused.length)
    const large = Array.from({ length: 9000 }, (_, i) => `${i}-${'x'.repeat(230)}`)
    const lone = { ...JOIN, groupId: 'h', subscribedTopicNames: large }
    assert.equal((await beat(client, lone)).error, 'UNKNOWN_SERVER_ERROR')
    const line = host.logger.lines.findLast(({ event }) => event === 'group not written')
    assert.match(String(line!.fields['hint']), /max.message.bytes/)
  }))

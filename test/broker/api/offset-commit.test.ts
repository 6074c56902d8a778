/** OffsetCommit over a connection: who may commit, what is taken, what is kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { commit, commitRequest, fetchOffset, joinAlone, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'

for (const version of versionsOf('OffsetCommit')) {
  test(`version ${version}: an offset is kept, and comes back from OffsetFetch`, () =>
    withGroups(async (host, client) => {
      const { id } = host.broker.image.topics.get('t')!
      const request = commitRequest(42, {}, 't', 'why')
      const topics = request.topics.map(topic => ({ ...topic, topicId: id }))
      const committed = await client.call('OffsetCommit', version, { ...request, topics })
      assert.equal(errorName(committed.topics[0]!.partitions[0]!.errorCode), 'NONE')
      assert.equal(await fetchOffset(client), 42)
      const unknown = topics.map(topic => ({ ...topic, name: 'u', topicId: host.io.uuid() }))
      const refused = await client.call('OffsetCommit', version, { ...request, topics: unknown })
      const expected = version >= 10 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION'
      assert.equal(errorName(refused.topics[0]!.partitions[0]!.errorCode), expected)
    }))
}

test('what is wrong with one partition does not keep the others', () =>
  withGroups(async (_host, client) => {
    const one = (partitionIndex: number, committedMetadata: string) => ({
      partitionIndex,
      committedOffset: 5,
      committedMetadata,
    })
    const partitions = [one(0, 'm'.repeat(4096)), one(1, 'm'.repeat(4097)), one(2, '')]
    const request = { ...commitRequest(0), topics: [{ name: 't', partitions }] }
    const { topics } = await client.call('OffsetCommit', 8, request)
    assert.deepEqual(
      topics[0]!.partitions.map(({ errorCode }) => errorName(errorCode)),
      ['NONE', 'OFFSET_METADATA_TOO_LARGE', 'UNKNOWN_TOPIC_OR_PARTITION'],
    )
    assert.deepEqual([await fetchOffset(client), await fetchOffset(client, 'g', 't', 1)], [5, -1])
  }))

test('members commit in their generation; nobody else does while there are members', () =>
  withGroups(async (_host, client) => {
    assert.equal(await commit(client, 1), 'NONE')
    const member = await joinAlone(client)
    assert.equal(await commit(client, 2, member), 'NONE')
    assert.equal(await commit(client, 3, { ...member, generationId: 0 }), 'ILLEGAL_GENERATION')
    assert.equal(await commit(client, 3, { ...member, memberId: 'x' }), 'UNKNOWN_MEMBER_ID')
    assert.equal(await commit(client, 3), 'UNKNOWN_MEMBER_ID')
    assert.equal(await commit(client, 3, { ...member, groupId: 'h' }), 'ILLEGAL_GENERATION')
    assert.equal(await fetchOffset(client), 2)
  }))

test('a commit of more than a record batch can hold is refused whole', () =>
  withGroups(async (host, client) => {
    await host.createTopic('wide', 400)
    const partitions = Array.from({ length: 400 }, (_, partitionIndex) => ({
      partitionIndex,
      committedOffset: 1,
      committedMetadata: 'm'.repeat(4000),
    }))
    const request = { ...commitRequest(0), topics: [{ name: 'wide', partitions }] }
    const { topics } = await client.call('OffsetCommit', 8, request)
    const errors = new Set(topics[0]!.partitions.map(({ errorCode }) => errorName(errorCode)))
    assert.deepEqual([...errors], ['INVALID_COMMIT_OFFSET_SIZE'])
    assert.equal(await fetchOffset(client, 'g', 'wide'), -1)
  }))

test('a commit keeps a member alive', () =>
  withGroups(async (host, client) => {
    const member = await joinAlone(client)
    for (let i = 1; i < 4; i++) {
      await host.io.advance(9999)
      assert.equal(await commit(client, i, member), 'NONE')
    }
  }))

test('a flood of pipelined commits is answered in order, in few writes', () =>
  withGroups(async (host, client) => {
    const requests = Array.from({ length: 100 }, (_, i) => commitRequest(i))
    for (let round = 0; round < 20; round++) {
      const answers = await client.callAll('OffsetCommit', 8, requests)
      assert.ok(answers.every(({ topics }) => topics[0]!.partitions[0]!.errorCode === 0))
    }
    assert.equal(await fetchOffset(client), 99)
    assert.equal(host.broker.metrics.groups.commits, 2000)
  }))

/** OffsetFetch over a connection, in every version. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { commit, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'

for (const version of versionsOf('OffsetFetch')) {
  test(`version ${version}: what was committed, -1 for what was not, all of it when nothing is named`, () =>
    withGroups(async (host, client) => {
      await commit(client, 7)
      const { id } = host.broker.image.topics.get('t')!
      const fetch = async (groupId: string, topics: unknown) => {
        const request = version < 8 ? { groupId, topics } : { groups: [{ groupId, topics }] }
        const answer = await client.call('OffsetFetch', version, request as never)
        const group = version < 8 ? answer : answer.groups[0]!
        assert.equal(errorName(group.errorCode), 'NONE')
        return group.topics.map(({ name, partitions }) => [
          version >= 10 ? 't' : name,
          ...partitions.map(one => [one.partitionIndex, one.committedOffset, one.errorCode]),
        ])
      }
      const named = [{ name: 't', topicId: id, partitionIndexes: [0, 1] }]
      assert.deepEqual(await fetch('g', named), [['t', [0, 7, 0], [1, -1, 0]]])
      assert.deepEqual(await fetch('nobody', named), [['t', [0, -1, 0], [1, -1, 0]]])
      if (version >= 2) assert.deepEqual(await fetch('g', null), [['t', [0, 7, 0]]])
      if (version >= 2) assert.deepEqual(await fetch('nobody', null), [])
      if (version < 10) return
      const unknown = [{ topicId: host.io.uuid(), partitionIndexes: [0] }]
      const { groups } = await client.call('OffsetFetch', version, {
        groups: [{ groupId: 'g', topics: unknown }],
      })
      const { errorCode } = groups[0]!.topics[0]!.partitions[0]!
      assert.equal(errorName(errorCode), 'UNKNOWN_TOPIC_ID')
    }))
}

test('several groups at once, each for itself', () =>
  withGroups(async (_host, client) => {
    await commit(client, 1, { groupId: 'one' })
    await commit(client, 2, { groupId: 'two' })
    const groups = ['one', 'two', 'three'].map(groupId => ({ groupId, topics: null }))
    const answer = await client.call('OffsetFetch', 8, { groups })
    assert.deepEqual(
      answer.groups.map(group => [
        group.groupId,
        group.topics[0]?.partitions[0]?.committedOffset ?? null,
      ]),
      [
        ['one', 1],
        ['two', 2],
        ['three', null],
      ],
    )
  }))

test('a topic that was deleted takes its offsets along', () =>
  withGroups(async (_host, client) => {
    await commit(client, 7)
    await client.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 1000 })
    const answer = await client.call('OffsetFetch', 7, { groupId: 'g', topics: null })
    assert.deepEqual(answer.topics, [])
  }))

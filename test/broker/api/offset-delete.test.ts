/** OffsetDelete: offsets of topics that nobody reads. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { commit, fetchOffset, joinAlone, withGroups } from '../group-members.ts'
import type { FakeClient } from '../host.ts'

async function remove(client: FakeClient, groupId: string, name: string) {
  const topics = [{ name, partitions: [{ partitionIndex: 0 }] }]
  const answer = await client.call('OffsetDelete', 0, { groupId, topics })
  const inner = answer.topics[0]?.partitions[0]?.errorCode
  return [answer.errorCode, ...(inner === undefined ? [] : [inner])].map(errorName)
}

test('version 0: an offset is gone, for a topic without readers only', () =>
  withGroups(async (host, client) => {
    await host.createTopic('u')
    await commit(client, 1, {}, 't')
    await commit(client, 1, {}, 'u')
    const member = await joinAlone(client, { topics: ['t'] })
    assert.deepEqual(await remove(client, 'g', 't'), ['NONE', 'GROUP_SUBSCRIBED_TO_TOPIC'])
    assert.deepEqual(await remove(client, 'g', 'u'), ['NONE', 'NONE'])
    assert.deepEqual(await remove(client, 'g', 'x'), ['NONE', 'UNKNOWN_TOPIC_OR_PARTITION'])
    assert.deepEqual(await remove(client, 'h', 't'), ['GROUP_ID_NOT_FOUND'])
    assert.equal(await fetchOffset(client, 'g', 'u'), -1)
    assert.equal(await fetchOffset(client, 'g', 't'), 1)
    await client.call('LeaveGroup', 2, member)
    assert.deepEqual(await remove(client, 'g', 't'), ['NONE', 'NONE'])
    assert.equal(await fetchOffset(client), -1)
  }))

test('members that are no consumers might read anything', () =>
  withGroups(async (_host, client) => {
    await joinAlone(client, { protocolType: 'connect' })
    assert.deepEqual(await remove(client, 'g', 't'), ['NON_EMPTY_GROUP'])
  }))

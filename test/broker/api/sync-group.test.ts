/** SyncGroup over a connection, in every version: the share comes when the generation is written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { joinAlone, joinRequest, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'

for (const version of versionsOf('SyncGroup')) {
  test(`version ${version}: the leader gets its share of what it handed in`, () =>
    withGroups(async (host, client) => {
      const joined = await client.call('JoinGroup', 3, joinRequest({ version: 3 }))
      const { memberId, generationId } = joined
      const assignments = [{ memberId, assignment: Buffer.from('all') }]
      const names = version >= 5 ? { protocolType: 'consumer', protocolName: 'range' } : {}
      const request = { groupId: 'g', generationId, memberId, assignments, ...names }
      const synced = await client.call('SyncGroup', version, request)
      assert.equal(errorName(synced.errorCode), 'NONE')
      assert.equal(synced.assignment.toString(), 'all')
      assert.equal(synced.protocolName, version >= 5 ? 'range' : null)
      const written = [...host.broker.groups.entries()].map(({ endOffset }) => endOffset)
      assert.deepEqual(written, [1])
      const wrong = await client.call('SyncGroup', version, { ...request, memberId: 'x' })
      assert.equal(errorName(wrong.errorCode), 'UNKNOWN_MEMBER_ID')
      const nowhere = await client.call('SyncGroup', version, { ...request, groupId: 'h' })
      assert.equal(errorName(nowhere.errorCode), 'UNKNOWN_MEMBER_ID')
    }))
}

test('who does not say which protocol it means is refused from version 5 on, whatever the group', () =>
  withGroups(async (_host, client) => {
    const member = await joinAlone(client)
    const request = { ...member, assignments: [] }
    for (const names of [{}, { protocolType: 'consumer' }, { protocolName: 'range' }]) {
      for (const groupId of [member.groupId, 'nowhere']) {
        const synced = await client.call('SyncGroup', 5, { ...request, ...names, groupId })
        assert.equal(errorName(synced.errorCode), 'INCONSISTENT_GROUP_PROTOCOL')
      }
    }
    assert.equal((await client.call('SyncGroup', 4, request)).errorCode, 0)
  }))

test('an assignment too large for the offsets topic is an error, and the group begins anew', () =>
  withGroups(async (host, client) => {
    const { memberId, generationId } = await client.call(
      'JoinGroup',
      3,
      joinRequest({ version: 3 }),
    )
    const request = { groupId: 'g', generationId, memberId }
    const assignments = [{ memberId, assignment: Buffer.alloc(2 * 1024 * 1024) }]
    const synced = await client.call('SyncGroup', 3, { ...request, assignments })
    assert.equal(errorName(synced.errorCode), 'UNKNOWN_SERVER_ERROR')
    const line = host.logger.lines.find(({ event }) => event === 'group not written')
    assert.match(String(line?.fields['error']), /max\.message\.bytes|MESSAGE_TOO_LARGE/)
    const again = await client.call('JoinGroup', 3, joinRequest({ memberId, version: 3 }))
    assert.deepEqual([errorName(again.errorCode), again.generationId], ['NONE', 2])
  }))

test('a second sync of a stable group answers what is in force', () =>
  withGroups(async (_host, client) => {
    const member = await joinAlone(client)
    const synced = await client.call('SyncGroup', 3, { ...member, assignments: [] })
    assert.equal(synced.assignment.toString(), 'everything')
  }))

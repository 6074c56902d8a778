/** LeaveGroup over a connection, in every version. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { joinAlone, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'

for (const version of versionsOf('LeaveGroup')) {
  test(`version ${version}: who leaves is out at once; strangers are told so`, () =>
    withGroups(async (_host, client) => {
      const { memberId } = await joinAlone(client)
      const leave = async (groupId: string, id: string) => {
        const who = version < 3 ? { memberId: id } : { members: [{ memberId: id }] }
        const left = await client.call('LeaveGroup', version, { groupId, ...who })
        return [left.errorCode, ...left.members.map(one => one.errorCode)].map(errorName)
      }
      const single = (error: string) => (version < 3 ? [error] : ['NONE', error])
      assert.deepEqual(await leave('g', 'x'), single('UNKNOWN_MEMBER_ID'))
      assert.deepEqual(await leave('h', memberId), single('UNKNOWN_MEMBER_ID'))
      assert.deepEqual(await leave('', memberId), ['INVALID_GROUP_ID'])
      assert.deepEqual(await leave('g', memberId), single('NONE'))
      const { groups } = await client.call('ListGroups', 4, {})
      assert.deepEqual(
        groups.map(({ groupState }) => groupState),
        ['Empty'],
      )
    }))
}

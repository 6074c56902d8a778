/** DeleteGroups over a connection, in every version: only groups without members, and all that they kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { commit, fetchOffset, joinAlone, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'

for (const version of versionsOf('DeleteGroups')) {
  test(`version ${version}: an empty group goes with its offsets, others are told why not`, () =>
    withGroups(async (_host, client) => {
      const member = await joinAlone(client)
      await commit(client, 9, member)
      await commit(client, 9, { groupId: 'stored' })
      const remove = async (...groupsNames: string[]) => {
        const { results } = await client.call('DeleteGroups', version, { groupsNames })
        return results.map(({ groupId, errorCode }) => `${groupId} ${errorName(errorCode)}`)
      }
      assert.deepEqual(await remove('g', 'stored', 'nobody'), [
        'g NON_EMPTY_GROUP',
        'stored NONE',
        'nobody GROUP_ID_NOT_FOUND',
      ])
      assert.equal(await fetchOffset(client, 'stored'), -1)
      await client.call('LeaveGroup', 2, member)
      assert.deepEqual(await remove('g'), ['g NONE'])
      assert.deepEqual((await client.call('ListGroups', 4, {})).groups, [])
      assert.deepEqual(await remove('g'), ['g GROUP_ID_NOT_FOUND'])
    }))
}

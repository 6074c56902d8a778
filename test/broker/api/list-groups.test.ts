/** ListGroups over a connection: every version, and its filters. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commit, joinAlone, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'

test('every version lists all groups; filters are by state and type, in any case', () =>
  withGroups(async (_host, client) => {
    await joinAlone(client)
    await commit(client, 1, { groupId: 'stored' })
    for (const version of versionsOf('ListGroups')) {
      const { errorCode, groups } = await client.call('ListGroups', version, {})
      assert.equal(errorCode, 0)
      const sorted = groups.sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
      const state = (name: string) => (version >= 4 ? name : '')
      const groupType = version >= 5 ? 'classic' : ''
      assert.deepEqual(sorted, [
        { groupId: 'g', protocolType: 'consumer', groupState: state('Stable'), groupType },
        { groupId: 'stored', protocolType: '', groupState: state('Empty'), groupType },
      ])
    }
    const filtered = async (filter: object) =>
      (await client.call('ListGroups', 5, filter)).groups.map(({ groupId }) => groupId)
    assert.deepEqual(await filtered({ statesFilter: ['stable'] }), ['g'])
    assert.deepEqual(await filtered({ statesFilter: ['Dead'] }), [])
    assert.deepEqual((await filtered({ typesFilter: ['Classic'] })).sort(), ['g', 'stored'])
    assert.deepEqual(await filtered({ typesFilter: ['consumer'] }), [])
  }))

/** Heartbeat over a connection: a member that beats stays, one that does not is out at its session timeout. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { idle } from '../fake-network.ts'
import { joinAlone, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'

for (const version of versionsOf('Heartbeat')) {
  test(`version ${version}: alive until the session timeout after the last beat, and not longer`, () =>
    withGroups(async (host, client) => {
      const member = await joinAlone(client)
      const beat = async (as = member) =>
        errorName((await client.call('Heartbeat', version, as)).errorCode)
      for (let i = 0; i < 3; i++) {
        await host.io.advance(9999)
        assert.equal(await beat(), 'NONE')
      }
      assert.equal(await beat({ ...member, generationId: 7 }), 'ILLEGAL_GENERATION')
      assert.equal(await beat({ ...member, memberId: 'x' }), 'UNKNOWN_MEMBER_ID')
      assert.equal(await beat({ ...member, groupId: 'h' }), 'UNKNOWN_MEMBER_ID')
      assert.equal(await beat({ ...member, groupId: '' }), 'INVALID_GROUP_ID')
      await host.io.advance(10_000)
      assert.equal(await beat(), 'UNKNOWN_MEMBER_ID')
    }))
}

test('group.drop.on.disconnect.ms: a member whose connection closed is out that much later', () =>
  withGroups(
    async (host, client) => {
      const mine = host.connect()
      await joinAlone(mine)
      mine.socket.destroy()
      await idle()
      await host.io.advance(999)
      const states = async () =>
        (await client.call('ListGroups', 4, {})).groups.map(({ groupState }) => groupState)
      assert.deepEqual(await states(), ['Stable'])
      await host.io.advance(1)
      assert.deepEqual(await states(), ['Empty'])
      assert.equal(host.broker.metrics.groups.rebalances.get('member disconnected'), 1)
    },
    ['group.drop.on.disconnect.ms=1000'],
  ))

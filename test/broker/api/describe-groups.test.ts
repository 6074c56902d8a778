/** DescribeGroups over a connection, in every version; what it says to people from version 6 on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { idle } from '../fake-network.ts'
import { joinAlone, joinRequest, subscription, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'

for (const version of versionsOf('DescribeGroups')) {
  test(`version ${version}: a stable group with its member, and one that is not there`, () =>
    withGroups(async (_host, client) => {
      const { memberId } = await joinAlone(client)
      const request = { groups: ['g', 'h'] }
      const { groups } = await client.call('DescribeGroups', version, request)
      const [group, absent] = groups
      const head = [group!.groupId, group!.groupState, group!.protocolType, group!.protocolData]
      assert.deepEqual(head, ['g', 'Stable', 'consumer', 'range'])
      const [member] = group!.members
      assert.deepEqual([member!.memberId, member!.clientId], [memberId, 'test'])
      assert.equal(member!.clientHost, '/127.0.0.1')
      assert.deepEqual(member!.memberMetadata, subscription('t'))
      assert.equal(member!.memberAssignment.toString(), 'everything')
      assert.equal(absent!.groupState, 'Dead')
      const error = version >= 6 ? 'GROUP_ID_NOT_FOUND' : 'NONE'
      assert.equal(errorName(absent!.errorCode), error)
    }))
}

test('during a rebalance it tells what is waited for, and why', () =>
  withGroups(async (host, client) => {
    const { memberId } = await joinAlone(client)
    const bob = host.connect().call('JoinGroup', 3, joinRequest({ version: 3 }))
    bob.catch(() => {})
    await idle()
    await host.io.advance(1500)
    const request = { groups: ['g'], includeAuthorizedOperations: true }
    const { groups } = await client.call('DescribeGroups', 6, request)
    const { groupState, errorMessage, authorizedOperations } = groups[0]!
    assert.equal(groupState, 'PreparingRebalance')
    assert.match(
      errorMessage!,
      /^Waits for 1\.5 s already, at most 18\.5 s more, for 1 of 2 members to rejoin: '/,
    )
    assert.ok(errorMessage!.includes(memberId))
    assert.match(
      errorMessage!,
      /Last rebalance 1\.5 s ago: 'test-.*' \(client 'test' at .*joined\./,
    )
    assert.equal(authorizedOperations, 0b1101_0100_1000)
  }))

/** JoinGroup over a connection, in every version; the rules themselves are test/scenarios. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  MAX_GROUP_BYTES,
  MAX_MEMBER_BYTES,
  MAX_PENDING_MEMBERS,
} from '../../../broker/group/joining.ts'
import { errorName } from '../../../protocol/errors.ts'
import { idle } from '../fake-network.ts'
import { joinAlone, joinRequest, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'
import { startHost } from '../host.ts'

for (const version of versionsOf('JoinGroup')) {
  test(`version ${version}: a member comes into a generation that it leads`, () =>
    withGroups(async (_host, client) => {
      const first = await client.call('JoinGroup', version, joinRequest({ version }))
      const isKnown = version < 4
      assert.equal(errorName(first.errorCode), isKnown ? 'NONE' : 'MEMBER_ID_REQUIRED')
      const { memberId } = first
      assert.match(memberId, /^test-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      const joined = isKnown
        ? first
        : await client.call('JoinGroup', version, joinRequest({ memberId, version }))
      assert.equal(errorName(joined.errorCode), 'NONE')
      assert.equal(joined.generationId, 1)
      assert.equal(joined.leader, memberId)
      assert.equal(joined.protocolName, 'range')
      assert.equal(joined.protocolType, version >= 7 ? 'consumer' : null)
      assert.deepEqual(
        joined.members.map(member => member.memberId),
        [memberId],
      )
      const refused = await client.call('JoinGroup', version, joinRequest({ group: '', version }))
      assert.equal(errorName(refused.errorCode), 'INVALID_GROUP_ID')
    }))
}

test('members wait for each other over their connections', () =>
  withGroups(async (host, client) => {
    const alice = await joinAlone(client)
    const other = host.connect()
    const bob = other.call('JoinGroup', 3, joinRequest({ version: 3 }))
    await idle()
    const beat = await client.call('Heartbeat', 3, alice)
    assert.equal(errorName(beat.errorCode), 'REBALANCE_IN_PROGRESS')
    const again = joinRequest({ memberId: alice.memberId, version: 3 })
    const rejoined = await client.call('JoinGroup', 3, again)
    assert.equal(rejoined.generationId, 2)
    assert.equal((await bob).generationId, 2)
    assert.deepEqual([rejoined.members.length, (await bob).members.length], [2, 0])
  }))

test('a group of unknown members is not made by one that claims to be known', () =>
  withGroups(async (host, client) => {
    const joined = await client.call('JoinGroup', 9, joinRequest({ memberId: 'ghost' }))
    assert.equal(errorName(joined.errorCode), 'UNKNOWN_MEMBER_ID')
    assert.deepEqual([...host.broker.groups.entries()], [])
  }))

test('before the offsets topic is there, members are sent to look for their coordinator', async () => {
  const host = await startHost()
  const joined = await host.connect().call('JoinGroup', 9, joinRequest({}))
  assert.equal(errorName(joined.errorCode), 'NOT_COORDINATOR')
  await host.stop()
})

test('a waiting member is answered when the broker stops', () =>
  withGroups(async (host, client) => {
    await joinAlone(client)
    const waiting = host.connect().call('JoinGroup', 3, joinRequest({ version: 3 }))
    await idle()
    await Promise.all([
      host.server.stop(),
      waiting.then(({ errorCode }) => assert.equal(errorName(errorCode), 'NOT_COORDINATOR')),
    ])
  }))

test('metadata is bounded: as much as a record of the offsets topic holds is taken, a byte more is refused', () =>
  withGroups(async (_host, client) => {
    const error = async (bytes: number) => {
      const protocols = [{ name: 'range', metadata: Buffer.alloc(bytes - 'range'.length) }]
      const request = { ...joinRequest({ version: 3, group: `g${bytes}` }), protocols }
      return errorName((await client.call('JoinGroup', 3, request)).errorCode)
    }
    assert.equal(await error(MAX_MEMBER_BYTES), 'NONE')
    assert.equal(await error(MAX_MEMBER_BYTES + 1), 'GROUP_MAX_SIZE_REACHED')
  }))

test('what all members of a group say together is bounded too', () =>
  withGroups(async (host, client) => {
    const protocols = [{ name: 'range', metadata: Buffer.alloc(MAX_MEMBER_BYTES - 'range'.length) }]
    const request = { ...joinRequest({ version: 3 }), protocols }
    await client.call('JoinGroup', 3, request)
    const most = MAX_GROUP_BYTES / MAX_MEMBER_BYTES
    for (let i = 1; i < most; i++)
      void host
        .connect()
        .call('JoinGroup', 3, request)
        .catch(() => {})
    await idle()
    const refused = await host.connect().call('JoinGroup', 3, request)
    assert.equal(errorName(refused.errorCode), 'GROUP_MAX_SIZE_REACHED')
  }))

test('ids that nobody uses are bounded, lapse, and leave no group behind', () =>
  withGroups(async (host, client) => {
    const request = joinRequest({})
    for (let i = 0; i < MAX_PENDING_MEMBERS; i += 100) {
      const answers = await client.callAll('JoinGroup', 9, Array(100).fill(request))
      assert.ok(answers.every(({ errorCode }) => errorName(errorCode) === 'MEMBER_ID_REQUIRED'))
    }
    const refused = await client.call('JoinGroup', 9, request)
    assert.equal(errorName(refused.errorCode), 'GROUP_MAX_SIZE_REACHED')
    assert.equal([...host.broker.groups.entries()].length, 1)
    await host.io.advance(10_000)
    assert.deepEqual([...host.broker.groups.entries()], [])
  }))

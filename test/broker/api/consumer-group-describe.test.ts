/** ConsumerGroupDescribe: epochs, members and partitions of a group of KIP-848, and what there is none of. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { joinAlone, withGroups } from '../group-members.ts'
import { versionsOf } from '../harness.ts'

for (const version of versionsOf('ConsumerGroupDescribe')) {
  test(`version ${version}: a group is described with what its members have and shall have`, () =>
    withGroups(
      async (_host, client) => {
        const join = { memberEpoch: 0, rebalanceTimeoutMs: 30_000, subscribedTopicNames: ['t'] }
        for (const memberId of ['m1', 'm2']) {
          const request = { groupId: 'g', memberId, ...join, topicPartitions: [] }
          await client.call('ConsumerGroupHeartbeat', 1, request)
        }
        await joinAlone(client, { group: 'h' })
        const request = { groupIds: ['g', 'h', 'x', ''], includeAuthorizedOperations: true }
        const { groups } = await client.call('ConsumerGroupDescribe', version, request)
        const errors = groups.map(({ errorCode }) => errorName(errorCode))
        const none = 'GROUP_ID_NOT_FOUND'
        assert.deepEqual(errors, ['NONE', none, none, 'INVALID_GROUP_ID'])
        const { groupState, groupEpoch, assignorName, members, errorMessage } = groups[0]!
        assert.deepEqual(
          { groupState, groupEpoch, assignorName },
          {
            groupState: 'Reconciling',
            groupEpoch: 3,
            assignorName: 'uniform',
          },
        )
        assert.match(errorMessage!, /waits for 'm1' \(.*\) to send a heartbeat within 45\.0 s/)
        const shown = members.map(({ memberId, assignment, targetAssignment }) => [
          memberId,
          assignment.topicPartitions.map(one => `${one.topicName} ${one.partitions}`),
          targetAssignment.topicPartitions.map(one => `${one.topicName} ${one.partitions}`),
        ])
        assert.deepEqual(shown, [
          ['m1', ['t 0,1'], ['t 0']],
          ['m2', [], ['t 1']],
        ])
        assert.equal(members[0]!.memberType, version === 0 ? -1 : 1)
      },
      ['group.consumer.assignment.interval.ms=0'],
    ))
}

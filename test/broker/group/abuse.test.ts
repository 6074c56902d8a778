/**
 * Clients that take too much of groups: each has a bound and an answer, and does not disturb the others. Ten thousand members of a
 * classic group are in coordinator.test.ts, too much said by its members and ids that nobody uses in join-group.test.ts, a member that never syncs in `a-leader-that-never-syncs.txt` and
 * `migration-members-that-are-late.txt`, too much said by members of the consumer protocol in consumer-group-heartbeat.test.ts.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AfterTurn } from '../../../broker/context.ts'
import type { ResponseInput } from '../../../protocol/apis.ts'
import { errorName } from '../../../protocol/errors.ts'
import { commitRequest, fetchOffset, withGroups } from '../group-members.ts'

test('a flood of commits on one connection: all are answered in order, and the last one counts', () =>
  withGroups(async (host, client) => {
    const requests = Array.from({ length: 2000 }, (_, i) => commitRequest(i))
    const answers = await client.callAll('OffsetCommit', 8, requests)
    const errors = new Set(answers.map(one => one.topics[0]!.partitions[0]!.errorCode))
    assert.deepEqual([...errors], [0])
    assert.equal(await fetchOffset(host.connect()), 1999)
    const [entry] = host.broker.groups.entries()
    assert.equal(entry!.offsets.size, 1)
  }))

test('commits of more than fits are refused as a whole, and texts that are too long one by one', () =>
  withGroups(
    async (host, client) => {
      await host.createTopic('wide', 400)
      const metadata = 'm'.repeat(4096)
      const commit = async (count: number, text: string) => {
        const partitions = Array.from({ length: count }, (_, partitionIndex) => ({
          partitionIndex,
          committedOffset: 7,
          committedMetadata: text,
        }))
        const topics = [{ name: 'wide', partitions }]
        const request = { ...commitRequest(0), topics }
        const answer = await client.call('OffsetCommit', 8, request)
        return [...new Set(answer.topics[0]!.partitions.map(one => errorName(one.errorCode)))]
      }
      assert.deepEqual(await commit(300, metadata), ['INVALID_COMMIT_OFFSET_SIZE'])
      assert.equal(await fetchOffset(client, 'g', 'wide', 299), -1)
      assert.deepEqual(await commit(10, `${metadata}m`), ['OFFSET_METADATA_TOO_LARGE'])
      assert.deepEqual(await commit(200, metadata), ['NONE'])
    },
    ['offsets.topic.num.partitions=1'],
  ))

test('ten thousand members of the consumer protocol in one group: each has its answer and its share', () =>
  withGroups(async host => {
    const { groups } = host.broker
    const entry = groups.findOrCreate('crowd')
    const beat = async (i: number, memberEpoch: number) => {
      const request = {
        groupId: 'crowd',
        memberId: `m${i}`,
        memberEpoch,
        instanceId: null,
        rackId: null,
        rebalanceTimeoutMs: memberEpoch === 0 ? 30_000 : -1,
        subscribedTopicNames: ['t'],
        subscribedTopicRegex: null,
        serverAssignor: null,
        topicPartitions: [],
      }
      const client = { clientId: 'c', clientHost: '/h', connectionId: i }
      const base = { client, apiVersion: 1, request, newMemberId: '' }
      const answer = groups.submit(
        entry,
        ticket => ({ kind: 'consumerHeartbeat', ticket, ...base }),
        error => assert.fail(error),
      )
      const response = answer instanceof AfterTurn ? await answer.complete() : await answer
      return response as ResponseInput<'ConsumerGroupHeartbeat'>
    }
    for (let i = 0; i < 10_000; i++) {
      const { errorCode, memberEpoch } = await beat(i, 0)
      assert.deepEqual([errorCode, memberEpoch], [0, 2])
    }
    await host.io.advance(1000)
    // The group makes one target for all who came meanwhile.
    assert.equal((await beat(9999, 2)).memberEpoch, 10_001)
    assert.equal(entry.group.memberCount, 10_000)
  }))

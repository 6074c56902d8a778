/**
 * The coordinator around the groups, with a real log in memory: what a start finds again, what is answered while it loads, what
 * expires, and what a topic's end takes along.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GroupCoordinator } from '../../../broker/group/coordinator.ts'
import { GroupMeter } from '../../../broker/group/group-meter.ts'
import { partitionFor } from '../../../broker/group/offsets-partition.ts'
import { errorName } from '../../../protocol/errors.ts'
import { encodeBatch } from '../../../protocol/records.ts'
import { MemoryDisk } from '../../../segment-store/memory-disk.ts'
import { produceOne } from '../batches.ts'
import { START_MS } from '../fake-network.ts'
import { commit, commitRequest, fetchOffset, joinAlone, withGroups } from '../group-members.ts'
import { type Host, startHost } from '../host.ts'

const MINUTE_MS = 60_000

test("a group's partition is that of Kafka: Java's hash of its id", () => {
  // Math.abs("…".hashCode()) % 50, as Java says.
  assert.equal(partitionFor('', 50), 0)
  assert.equal(partitionFor('a', 50), 47)
  assert.equal(partitionFor('console-consumer-1', 50), 24)
  // The one whose hash is the smallest int, of which there is no positive.
  assert.equal(partitionFor('polygenelubricants', 50), 0)
  assert.equal(partitionFor('gruppe-ä-日本', 50), 2)
})

/** Everything that groups are, as text. */
function picture(host: Host): unknown {
  return [...host.broker.groups.entries()]
    .map(({ groupId, group, offsets }) => ({
      groupId,
      state: group.state,
      protocolType: group.protocolType,
      members: group.memberCount,
      offsets: [...offsets.topics()].map(([topic, partitions]) => [topic, [...partitions]]),
    }))
    .sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
}

test('after a restart all groups and offsets are what they were, and members go on', async () => {
  const disk = new MemoryDisk(() => 0)
  const overrides = ['offsets.topic.num.partitions=5']
  const first = await startHost({ disk, overrides })
  const client = first.connect()
  await first.createTopic('t', 2)
  await client.call('FindCoordinator', 4, { coordinatorKeys: ['g'] })
  const member = await joinAlone(client)
  await commit(client, 5, member)
  await commit(client, 6, member)
  await commit(client, 1, { groupId: 'stored' })
  await commit(client, 1, { groupId: 'gone' })
  await client.call('DeleteGroups', 2, { groupsNames: ['gone'] })
  const before = picture(first)
  await first.stop()

  const second = await startHost({ disk, overrides })
  await second.broker.groups.loaded
  assert.deepEqual(picture(second), before)
  const again = second.connect()
  assert.equal(await fetchOffset(again), 6)
  assert.equal(errorName((await again.call('Heartbeat', 4, member)).errorCode), 'NONE')
  assert.equal(await commit(again, 7, member), 'NONE')
  assert.deepEqual(second.loggedErrors, [])
  await second.stop()
})

test('while a partition is read, its groups answer that they are being loaded', () =>
  withGroups(async (host, client) => {
    await commit(client, 5)
    const { config, io, replicas, image } = host.broker
    const { logger } = host
    const meter = new GroupMeter()
    const groups = new GroupCoordinator({ config, io, logger, meter, replicas })
    assert.throws(() => groups.find('g'), /NOT_COORDINATOR/)
    groups.start(image)
    assert.equal(groups.isLoading, true)
    assert.throws(() => groups.find('g'), /COORDINATOR_LOAD_IN_PROGRESS/)
    await groups.loaded
    assert.equal(groups.isLoading, false)
    assert.equal(groups.find('g')?.offsets.get('t', 0)?.offset, 5)
    const line = logger.lines.findLast(({ event }) => event === 'groups loaded')
    assert.deepEqual([line?.fields['groups'], line?.fields['records']], [1, 1])
    groups.stop()
    assert.throws(() => groups.find('g'), /NOT_COORDINATOR/)
  }))

test('offsets expire after their retention once nobody reads, and the group with the last of them', () =>
  withGroups(
    async (host, client) => {
      const member = await joinAlone(client)
      await commit(client, 5, member)
      await commit(client, 5, { groupId: 'stored' })
      const left = () => [...host.broker.groups.entries()].map(({ groupId }) => groupId).sort()
      // A member reads the topic: its group keeps its offset however old; the other one loses it.
      for (let minute = 0; minute < 12; minute++) {
        assert.equal((await client.call('Heartbeat', 4, member)).errorCode, 0)
        await host.io.advance(5000)
        for (let i = 1; i < 12; i++) {
          await client.call('Heartbeat', 4, member)
          await host.io.advance(5000)
        }
      }
      assert.deepEqual(left(), ['g'])
      assert.equal(await fetchOffset(client), 5)
      await client.call('LeaveGroup', 2, member)
      await host.io.advance(10 * MINUTE_MS - 1)
      assert.deepEqual(left(), ['g'])
      await host.io.advance(MINUTE_MS + 1)
      assert.deepEqual(left(), [])
    },
    ['offsets.retention.minutes=10', 'offsets.retention.check.interval.ms=60000'],
  ))

test('an offset with a retention of its own expires then', () =>
  withGroups(
    async (host, client) => {
      const request = { ...commitRequest(5), retentionTimeMs: 90_000 }
      await client.call('OffsetCommit', 4, request)
      await host.io.advance(MINUTE_MS)
      assert.equal(await fetchOffset(client), 5)
      await host.io.advance(MINUTE_MS)
      assert.equal(await fetchOffset(client), -1)
    },
    ['offsets.retention.check.interval.ms=60000'],
  ))

test('a failed log: nothing is acknowledged, and clients are sent to look for their coordinator', () =>
  withGroups(async (host, client) => {
    await commit(client, 1)
    const [entry] = host.broker.groups.entries()
    entry!.shard.partition.fail('KAFKA_STORAGE_ERROR')
    assert.equal(await commit(client, 2), 'NOT_COORDINATOR')
    const deleted = await client.call('DeleteGroups', 2, { groupsNames: ['g'] })
    assert.notEqual(deleted.results[0]!.errorCode, 0)
  }))

test('deleting the offsets topic forgets all groups; the next one that is looked for makes it anew', () =>
  withGroups(async (host, client) => {
    await commit(client, 1)
    const topicNames = ['__consumer_offsets']
    await client.call('DeleteTopics', 5, { topicNames, timeoutMs: 1000 })
    assert.deepEqual([...host.broker.groups.entries()], [])
    assert.equal(await commit(client, 1), 'NOT_COORDINATOR')
    await client.call('FindCoordinator', 4, { coordinatorKeys: ['g'] })
    assert.equal(await fetchOffset(client), -1)
    assert.equal(await commit(client, 1), 'NONE')
  }))

test('ten thousand members in one group: each joins and is told of its generation', () =>
  withGroups(async host => {
    const { groups } = host.broker
    const entry = groups.findOrCreate('crowd')
    const client = (i: number) => ({ clientId: 'c', clientHost: '/h', connectionId: i })
    const protocols = [{ name: 'range', metadata: Buffer.alloc(100) }]
    const answers = Array.from({ length: 10_000 }, (_, i) => {
      const request = {
        groupId: 'crowd',
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 5000,
        memberId: '',
        groupInstanceId: null,
        protocolType: 'consumer',
        protocols,
        reason: null,
      }
      const base = { client: client(i), apiVersion: 3, request, newMemberId: `m${i}` }
      return groups.submit(
        entry,
        ticket => ({ kind: 'join', ticket, ...base }),
        error => assert.fail(error),
      )
    })
    // All but the first wait for the first to rejoin; it does not, and is out.
    await host.io.advance(5000)
    const joined = await Promise.all(answers.slice(1))
    assert.ok(joined.every(answer => 'generationId' in answer && answer.generationId === 2))
    assert.equal(entry.group.memberCount, 9999)
  }))

test('no client writes into the offsets topic by itself', () =>
  withGroups(async (host, client) => {
    const batch = await encodeBatch([{ timestamp: START_MS, key: Buffer.from('x') }])
    const request = produceOne('__consumer_offsets', 0, batch)
    const { responses } = await client.call('Produce', 9, request)
    const { errorCode, errorMessage } = responses[0]!.partitionResponses[0]!
    assert.equal(errorName(errorCode), 'INVALID_TOPIC_EXCEPTION')
    assert.match(errorMessage!, /__consumer_offsets-0 belongs to the brokers/)
    assert.equal(host.broker.replicas.partition('__consumer_offsets', 0).log.logEndOffset, 0)
  }))

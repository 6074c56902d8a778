/** OffsetForLeaderEpoch: where each leader epoch ended, also those in which nothing was written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { batchOf, produceOne } from '../batches.ts'
import { versionsOf } from '../harness.ts'
import { type FakeClient, type Host, startHost } from '../host.ts'

async function withHost(run: (host: Host, client: FakeClient) => Promise<void>): Promise<void> {
  const host = await startHost()
  await host.createTopic('t')
  try {
    await run(host, host.connect())
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
}

async function ask(
  client: FakeClient,
  leaderEpoch: number,
  more: { version?: number; currentLeaderEpoch?: number; topic?: string } = {},
) {
  const { version = 4, currentLeaderEpoch = -1, topic = 't' } = more
  const { topics } = await client.call('OffsetForLeaderEpoch', version, {
    topics: [{ topic, partitions: [{ partition: 0, currentLeaderEpoch, leaderEpoch }] }],
  })
  const answer = topics[0]!.partitions[0]!
  return [errorName(answer.errorCode), answer.leaderEpoch, answer.endOffset]
}

async function write(client: FakeClient): Promise<void> {
  await client.call('Produce', 9, produceOne('t', 0, await batchOf(['x'])))
}

for (const version of versionsOf('OffsetForLeaderEpoch')) {
  test(`version ${version}: each epoch ends where the next begins, the newest at the log's end`, () =>
    withHost(async (host, client) => {
      const partition = host.broker.replicas.partition('t', 0)
      await write(client)
      partition.leaderEpoch = 3
      await write(client)
      await write(client)
      assert.deepEqual(await ask(client, 0, { version }), ['NONE', 0, 1])
      assert.deepEqual(await ask(client, 2, { version }), ['NONE', 0, 1])
      assert.deepEqual(await ask(client, 3, { version }), ['NONE', 3, 3])
      assert.deepEqual(await ask(client, 4, { version }), ['NONE', -1, -1])
      assert.deepEqual(await ask(client, -1, { version }), ['NONE', -1, -1])
    }))
}

test('the leader’s epoch is known before its first record', () =>
  withHost(async (_host, client) => {
    assert.deepEqual(await ask(client, 0), ['NONE', 0, 0])
    assert.deepEqual(await ask(client, 1), ['NONE', -1, -1])
  }))

test('an epoch that cannot be is no failure', () =>
  withHost(async (_host, client) => {
    assert.deepEqual(await ask(client, -7), ['NONE', -1, -1])
    await write(client)
    assert.deepEqual(await ask(client, -7), ['NONE', -7, 0])
    assert.deepEqual(await ask(client, 0x7fffffff), ['NONE', -1, -1])
  }))

test('an epoch in which nothing was written ended where it began', () =>
  withHost(async (host, client) => {
    const partition = host.broker.replicas.partition('t', 0)
    partition.leaderEpoch = 2
    assert.deepEqual(await ask(client, 1), ['NONE', 1, 0], 'in an empty log')
    partition.leaderEpoch = 0
    await write(client)
    partition.leaderEpoch = 2
    assert.deepEqual(await ask(client, 1), ['NONE', 0, 1], 'behind records')
    assert.deepEqual(await ask(client, 2), ['NONE', 2, 1])
  }))

test('unknown topics and epochs of the leader that are not ours have their errors', () =>
  withHost(async (host, client) => {
    const unknown = ['UNKNOWN_TOPIC_OR_PARTITION', -1, -1]
    assert.deepEqual(await ask(client, 0, { topic: 'nowhere' }), unknown)
    assert.deepEqual(await ask(client, 0, { currentLeaderEpoch: 1 }), [
      'UNKNOWN_LEADER_EPOCH',
      -1,
      -1,
    ])
    host.broker.replicas.partition('t', 0).leaderEpoch = 2
    assert.deepEqual(await ask(client, 0, { currentLeaderEpoch: 1 }), [
      'FENCED_LEADER_EPOCH',
      -1,
      -1,
    ])
    assert.equal((await ask(client, 0, { currentLeaderEpoch: 2 }))[0], 'NONE')
  }))

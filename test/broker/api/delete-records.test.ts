/** DeleteRecords: moves the start of a log, and says no where records may not go or are not there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { batchOf, fetchOne, produceOne } from '../batches.ts'
import { versionsOf } from '../harness.ts'
import { type FakeClient, type Host, startHost } from '../host.ts'

async function withHost(
  run: (host: Host, client: FakeClient) => Promise<void>,
  configs: Readonly<Record<string, string>> = {},
): Promise<void> {
  const host = await startHost()
  await host.createTopic('t', 1, configs)
  const client = host.connect()
  for (let i = 0; i < 5; i++) {
    const records = await batchOf([`${i}`.repeat(1000)])
    await client.call('Produce', 9, produceOne('t', 0, records))
  }
  try {
    await run(host, client)
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
}

async function remove(client: FakeClient, offset: number, topic = 't', index = 0, version = 2) {
  const { topics } = await client.call('DeleteRecords', version, {
    topics: [{ name: topic, partitions: [{ partitionIndex: index, offset }] }],
    timeoutMs: 1000,
  })
  const { errorCode, lowWatermark } = topics[0]!.partitions[0]!
  return [errorName(errorCode), lowWatermark]
}

for (const version of versionsOf('DeleteRecords')) {
  test(`version ${version}: what lies below the offset can no longer be read`, () =>
    withHost(async (_host, client) => {
      assert.deepEqual(await remove(client, 3, 't', 0, version), ['NONE', 3])
      const error = async (offset: number) => {
        const { responses } = await client.call('Fetch', 11, fetchOne('t', 0, offset))
        return errorName(responses[0]!.partitions[0]!.errorCode)
      }
      assert.equal(await error(2), 'OFFSET_OUT_OF_RANGE')
      assert.equal(await error(3), 'NONE')
    }))
}

test('-1 stands for the high watermark: nothing is left, and the next record follows', () =>
  withHost(async (_host, client) => {
    assert.deepEqual(await remove(client, -1), ['NONE', 5])
    const { responses } = await client.call(
      'Produce',
      9,
      produceOne('t', 0, await batchOf(['next'])),
    )
    const { baseOffset, logStartOffset } = responses[0]!.partitionResponses[0]!
    assert.deepEqual({ baseOffset, logStartOffset }, { baseOffset: 5, logStartOffset: 5 })
  }))

test('an offset at or below the start changes nothing', () =>
  withHost(async (_host, client) => {
    assert.deepEqual(await remove(client, 3), ['NONE', 3])
    assert.deepEqual(await remove(client, 3), ['NONE', 3])
    assert.deepEqual(await remove(client, 0), ['NONE', 3])
  }))

test('the end is the last offset that may be asked for', () =>
  withHost(async (_host, client) => {
    assert.deepEqual(await remove(client, 6), ['OFFSET_OUT_OF_RANGE', -1])
    assert.deepEqual(await remove(client, -2), ['OFFSET_OUT_OF_RANGE', -1])
    assert.deepEqual(await remove(client, 5), ['NONE', 5])
  }))

test('unknown partitions are named', () =>
  withHost(async (_host, client) => {
    const unknown = ['UNKNOWN_TOPIC_OR_PARTITION', -1]
    assert.deepEqual(await remove(client, 0, 'nowhere'), unknown)
    assert.deepEqual(await remove(client, 0, 't', 1), unknown)
  }))

test('records of a topic that is only compacted stay', () =>
  withHost(
    async (_host, client) => {
      assert.deepEqual(await remove(client, 0), ['POLICY_VIOLATION', -1])
    },
    { 'cleanup.policy': 'compact' },
  ))

test('whole segments below the start go, and the size with them', () =>
  withHost(
    async (host, client) => {
      const large = await batchOf(['x'.repeat(600_000)])
      for (let i = 0; i < 4; i++) await client.call('Produce', 9, produceOne('t', 0, large))
      const { log } = host.broker.replicas.partition('t', 0)
      assert.equal(log.segments.length, 4, 'two large batches do not fit one segment')
      assert.deepEqual(await remove(client, 7), ['NONE', 7])
      assert.equal(log.segments.length, 2)
      assert.equal(log.sizeBytes, 2 * large.length)
    },
    { 'segment.bytes': '1048576' },
  ))

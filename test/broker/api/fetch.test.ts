/** Fetch: what is read, how much of it, when a request waits, and how sessions shorten requests and answers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestInput } from '../../../protocol/apis.ts'
import { ZERO_UUID } from '../../../protocol/buffer.ts'
import { errorName } from '../../../protocol/errors.ts'
import { batchOf, fetchOne, produceOne, valuesOf } from '../batches.ts'
import { idle } from '../fake-network.ts'
import { versionsOf } from '../harness.ts'
import { type FakeClient, type Host, startHost } from '../host.ts'

async function withHost(
  run: (host: Host, client: FakeClient, topicId: string) => Promise<void>,
  overrides: readonly string[] = [],
): Promise<void> {
  const host = await startHost({ overrides })
  const topicId = await host.createTopic('t', 3)
  try {
    await run(host, host.connect(), topicId)
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
  assert.equal(host.broker.budget.used, 0)
}

async function write(client: FakeClient, index: number, ...values: string[]): Promise<void> {
  const request = produceOne('t', index, await batchOf(values))
  const { responses } = await client.call('Produce', 9, request)
  assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0)
}

const highWatermarkOf = (host: Host, index = 0) =>
  host.broker.replicas.partition('t', index).highWatermark

/** Fetches one partition in version 11 and answers with its part of the answer. */
async function read(
  client: FakeClient,
  offset: number,
  more: Parameters<typeof fetchOne>[3] & { index?: number; isolationLevel?: number } = {},
) {
  const { index = 0, isolationLevel = 0, ...rest } = more
  const request = { ...fetchOne('t', index, offset, rest), isolationLevel }
  const { responses } = await client.call('Fetch', 11, request)
  const partition = responses[0]!.partitions[0]!
  return {
    ...partition,
    error: errorName(partition.errorCode),
    values: await valuesOf(partition.records),
  }
}

for (const version of versionsOf('Fetch')) {
  test(`version ${version} reads what was written, with the marks of the partition`, () =>
    withHost(async (_host, client, topicId) => {
      await write(client, 1, 'a')
      await write(client, 1, 'b', 'c')
      const id = version < 13 ? ZERO_UUID : topicId
      const response = await client.call(
        'Fetch',
        version,
        fetchOne('t', 1, 1, { topicId: id, maxWaitMs: 100 }),
      )
      assert.equal(response.errorCode, 0)
      assert.equal(response.sessionId, 0)
      const [topic] = response.responses
      assert.equal(topic![version < 13 ? 'topic' : 'topicId'], version < 13 ? 't' : topicId)
      const partition = topic!.partitions[0]!
      assert.deepEqual(await valuesOf(partition.records), ['b', 'c'])
      assert.equal(partition.partitionIndex, 1)
      assert.equal(partition.highWatermark, 3)
      assert.equal(partition.lastStableOffset, 3)
      assert.equal(partition.logStartOffset, version < 5 ? -1 : 0)
      assert.equal(partition.abortedTransactions, null)
      assert.equal(partition.preferredReadReplica, -1)
    }))
}

test('a wait for many bytes of many partitions looks only at the one that has more', async () => {
  const count = 300
  const host = await startHost({})
  const topicId = await host.createTopic('wide', count)
  const [reader, writer] = [host.connect(), host.connect()]
  let looks = 0
  for (let index = 0; index < count; index++) {
    const partition = host.broker.replicas.partition('wide', index)
    const look = partition.readableBytes.bind(partition)
    partition.readableBytes = (...args) => {
      looks++
      return look(...args)
    }
  }
  const batch = await batchOf(['a'])
  const partitions = Array.from({ length: count }, (_, partition) => {
    return { partition, fetchOffset: 0, partitionMaxBytes: 1_000_000, currentLeaderEpoch: -1 }
  })
  const fetched = reader.call('Fetch', 13, {
    maxWaitMs: 10_000,
    minBytes: count * batch.length,
    maxBytes: 10_000_000,
    topics: [{ topicId, partitions }],
  })
  await idle()
  for (let index = 0; index < count; index++) {
    await writer.call('Produce', 9, produceOne('wide', index, batch))
  }
  const { responses } = await fetched
  const received = responses[0]!.partitions.filter(
    ({ records }) => records?.length === batch.length,
  )
  assert.equal(received.length, count)
  assert.ok(looks <= 3 * count, `${looks} looks at ${count} partitions`)
  await host.stop()
})

test('an offset inside a batch gives the whole batch', () =>
  withHost(async (_host, client) => {
    await write(client, 0, 'a', 'b', 'c')
    assert.deepEqual((await read(client, 2)).values, ['a', 'b', 'c'])
  }))

test('read_committed sees up to the last stable offset and is told of no aborted transaction', () =>
  withHost(async (_host, client) => {
    await write(client, 0, 'a')
    const answer = await read(client, 0, { isolationLevel: 1 })
    assert.deepEqual(answer.values, ['a'])
    assert.deepEqual(answer.abortedTransactions, [])
    assert.equal(answer.lastStableOffset, 1)
  }))

test('at the end there is nothing; one further, and below the start, is OFFSET_OUT_OF_RANGE', () =>
  withHost(async (host, client) => {
    await write(client, 0, 'a', 'b', 'c')
    const end = await read(client, 3)
    assert.equal(end.error, 'NONE')
    assert.equal(end.records?.length, 0)
    assert.equal((await read(client, 4)).error, 'OFFSET_OUT_OF_RANGE')
    assert.equal((await read(client, -1)).error, 'OFFSET_OUT_OF_RANGE')
    await host.broker.replicas.partition('t', 0).log.advanceLogStartTo(2)
    assert.equal((await read(client, 1)).error, 'OFFSET_OUT_OF_RANGE')
    assert.equal((await read(client, 2)).error, 'NONE')
    assert.equal((await read(client, 2)).logStartOffset, 2)
  }))

test('what is written but not acknowledged by all is not shown', () =>
  withHost(async (host, client) => {
    await write(client, 0, 'a')
    const partition = host.broker.replicas.partition('t', 0)
    const { written } = partition
    partition.written = offset => partition.logEnd.advanceTo(offset)
    await write(client, 0, 'b')
    const answer = await read(client, 0)
    assert.deepEqual(answer.values, ['a'])
    assert.equal(answer.highWatermark, 1)
    assert.equal((await read(client, 2)).error, 'OFFSET_OUT_OF_RANGE')
    partition.written = written
    partition.written(2)
    assert.deepEqual((await read(client, 0)).values, ['a', 'b'])
  }))

test('partition max bytes cuts between batches, but the first batch comes whole', () =>
  withHost(async (_host, client) => {
    const size = (await batchOf(['x'.repeat(1000)])).length
    for (let i = 0; i < 3; i++) await write(client, 0, 'x'.repeat(1000))
    const count = async (partitionMaxBytes: number) =>
      (await read(client, 0, { partitionMaxBytes })).values.length
    assert.equal(await count(2 * size), 2)
    assert.equal(await count(2 * size - 1), 1)
    assert.equal(await count(1), 1, 'a batch larger than the limit is not held back')
  }))

test('max bytes of the request counts over all partitions, in their order', () =>
  withHost(async (_host, client) => {
    const size = (await batchOf(['x'.repeat(1000)])).length
    for (const index of [0, 1, 2]) await write(client, index, 'x'.repeat(1000))
    const ask = async (maxBytes: number) => {
      const { responses } = await client.call('Fetch', 11, {
        maxWaitMs: 0,
        minBytes: 1,
        maxBytes,
        topics: [
          {
            topic: 't',
            partitions: [2, 0, 1].map(partition => ({
              partition,
              fetchOffset: 0,
              partitionMaxBytes: 1_000_000,
            })),
          },
        ],
      })
      const got: number[] = []
      for (const { partitionIndex, records } of responses[0]!.partitions) {
        if ((await valuesOf(records)).length > 0) got.push(partitionIndex)
      }
      assert.equal(responses[0]!.partitions.length, 3)
      return got
    }
    assert.deepEqual(await ask(1), [2])
    assert.deepEqual(await ask(2 * size), [2, 0])
    assert.deepEqual(await ask(3 * size), [2, 0, 1])
  }))

test('fetch.max.bytes of the broker holds whatever the client asks', () =>
  withHost(
    async (_host, client) => {
      for (let i = 0; i < 5; i++) await write(client, 0, 'x'.repeat(400))
      assert.equal((await read(client, 0)).values.length, 2)
    },
    ['fetch.max.bytes=1024'],
  ))

test('a long poll is answered in the turn of the append that completes it', () =>
  withHost(async (host, client) => {
    const polled = read(client, 0, { maxWaitMs: 10_000 })
    await idle()
    assert.equal(highWatermarkOf(host).waiting, 1)
    const producer = host.connect()
    host.io.holdsTurns = true
    producer.tell('Produce', 9, produceOne('t', 0, await batchOf(['a']), 1))
    await idle()
    assert.deepEqual(client.answered, [])
    host.io.endTurn()
    await idle()
    host.io.endTurn()
    await idle()
    host.io.holdsTurns = false
    assert.equal(host.io.elapsedMs, 0)
    assert.deepEqual((await polled).values, ['a'])
    assert.equal(highWatermarkOf(host).waiting, 0)
  }))

test('a long poll waits for min bytes and no longer than max wait', () =>
  withHost(async (host, client) => {
    const size = (await batchOf(['x'.repeat(100)])).length
    const producer = host.connect()
    const enough = read(client, 0, { maxWaitMs: 1000, minBytes: 2 * size })
    await write(producer, 0, 'x'.repeat(100))
    assert.deepEqual(client.answered, [], 'one batch is not enough')
    await write(producer, 0, 'x'.repeat(100))
    assert.equal((await enough).values.length, 2)

    const late = read(client, 1, { maxWaitMs: 1000, minBytes: 2 * size })
    await host.io.advance(999)
    assert.equal(client.answered.length, 1)
    await host.io.advance(1)
    assert.equal((await late).values.length, 1, 'what there is, if it was not enough')
    assert.equal(highWatermarkOf(host).waiting, 0)
  }))

test('min bytes above what an answer may have is not waited for', () =>
  withHost(async (_host, client) => {
    await write(client, 0, 'x'.repeat(3000))
    const request = {
      ...fetchOne('t', 0, 0, { maxWaitMs: 10_000, minBytes: 1_000_000 }),
      maxBytes: 2000,
    }
    const { responses } = await client.call('Fetch', 11, request)
    assert.equal((await valuesOf(responses[0]!.partitions[0]!.records)).length, 1)
  }))

test('an error is told at once; so is a partition that is deleted while it is waited for', () =>
  withHost(async (host, client) => {
    assert.equal((await read(client, 99, { maxWaitMs: 10_000 })).error, 'OFFSET_OUT_OF_RANGE')
    const polled = read(client, 0, { maxWaitMs: 10_000 })
    await idle()
    const other = host.connect()
    await other.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 1000 })
    assert.equal((await polled).error, 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(host.io.elapsedMs, 0)
  }))

test('no partitions, or no max wait, is answered at once', () =>
  withHost(async (_host, client) => {
    const empty = await client.call('Fetch', 11, { maxWaitMs: 10_000, minBytes: 1, topics: [] })
    assert.deepEqual(empty.responses, [])
    for (const maxWaitMs of [0, -1]) {
      assert.equal((await read(client, 0, { maxWaitMs })).records?.length, 0)
    }
  }))

test('a Fetch that finds the budget used up waits for it, or answers with nothing', () =>
  withHost(async (host, client) => {
    await write(client, 0, 'a')
    const { budget } = host.broker
    budget.take(budget.limit)
    assert.equal((await read(client, 0)).records?.length, 0)
    const polled = read(client, 0, { maxWaitMs: 1000 })
    await host.io.advance(500)
    budget.give(1)
    assert.deepEqual((await polled).values, ['a'])
    budget.give(budget.limit - 1)
  }))

test('unknown names, ids and partitions have their errors', () =>
  withHost(async (_host, client, topicId) => {
    const ask = async (version: number, request: RequestInput<'Fetch'>) => {
      const { responses } = await client.call('Fetch', version, request)
      return errorName(responses[0]!.partitions[0]!.errorCode)
    }
    assert.equal(await ask(12, fetchOne('nowhere', 0, 0)), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await ask(12, fetchOne('t', 3, 0)), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await ask(13, fetchOne('', 3, 0, { topicId })), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await ask(13, fetchOne('', 0, 0)), 'UNKNOWN_TOPIC_ID')
    const unknown = { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ' }
    assert.equal(await ask(13, fetchOne('', 0, 0, unknown)), 'UNKNOWN_TOPIC_ID')
  }))

test('an epoch that is not the partition’s is fenced, on either side; without one nothing is checked', () =>
  withHost(async (host, client) => {
    const { leaderEpoch } = host.broker.replicas.partition('t', 0)
    const ask = async (currentLeaderEpoch: number) => {
      const { responses } = await client.call('Fetch', 11, {
        maxWaitMs: 0,
        minBytes: 1,
        topics: [
          {
            topic: 't',
            partitions: [
              { partition: 0, currentLeaderEpoch, fetchOffset: 0, partitionMaxBytes: 1000 },
            ],
          },
        ],
      })
      return errorName(responses[0]!.partitions[0]!.errorCode)
    }
    assert.equal(await ask(-1), 'NONE')
    assert.equal(await ask(leaderEpoch), 'NONE')
    assert.equal(await ask(leaderEpoch + 1), 'UNKNOWN_LEADER_EPOCH')
    host.broker.replicas.partition('t', 0).leaderEpoch = 5
    assert.equal(await ask(4), 'FENCED_LEADER_EPOCH')
  }))

test('a reader whose last epoch ended earlier here is told where, and gets no records', () =>
  withHost(async (host, client) => {
    await write(client, 0, 'a')
    const partition = host.broker.replicas.partition('t', 0)
    partition.leaderEpoch = 5
    await write(client, 0, 'b')
    const ask = async (fetchOffset: number, lastFetchedEpoch: number) => {
      const { responses } = await client.call('Fetch', 12, {
        maxWaitMs: 10_000,
        minBytes: 1,
        topics: [
          {
            topic: 't',
            partitions: [
              { partition: 0, fetchOffset, lastFetchedEpoch, partitionMaxBytes: 10_000 },
            ],
          },
        ],
      })
      return responses[0]!.partitions[0]!
    }
    const nothing = { epoch: -1, endOffset: -1 }
    const same = await ask(1, 0)
    assert.deepEqual(same.divergingEpoch, nothing)
    assert.deepEqual(await valuesOf(same.records), ['b'])
    const ahead = await ask(2, 0)
    assert.deepEqual(ahead.divergingEpoch, { epoch: 0, endOffset: 1 })
    assert.equal(ahead.records?.length, 0)
    const between = await ask(2, 3)
    assert.deepEqual(between.divergingEpoch, { epoch: 0, endOffset: 1 })
    const unknown = await ask(2, 6)
    assert.equal(errorName(unknown.errorCode), 'OFFSET_OUT_OF_RANGE')
  }))

/** ListOffsets: every mark in every version, timestamps, and what a reader may be told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { encodeBatch } from '../../../protocol/records.ts'
import { produceOne } from '../batches.ts'
import { START_MS } from '../fake-network.ts'
import { versionsOf } from '../harness.ts'
import { type FakeClient, type Host, startHost } from '../host.ts'

async function withHost(run: (host: Host, client: FakeClient) => Promise<void>): Promise<void> {
  const host = await startHost()
  await host.createTopic('t', 2)
  await host.createTopic('empty')
  try {
    await run(host, host.connect())
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
}

/** Records at these milliseconds after the start of the clock, in one batch. */
async function write(client: FakeClient, ...times: readonly number[]): Promise<void> {
  const records = times.map(time => ({ timestamp: START_MS + time, value: Buffer.from('x') }))
  const request = produceOne('t', 0, await encodeBatch(records))
  const { responses } = await client.call('Produce', 9, request)
  assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0)
}

interface Ask {
  readonly topic?: string
  readonly index?: number
  readonly isolationLevel?: number
  readonly currentLeaderEpoch?: number
}

async function list(client: FakeClient, timestamp: number, version: number, ask: Ask = {}) {
  const { topic = 't', index = 0, isolationLevel = 0, currentLeaderEpoch = -1 } = ask
  const { topics } = await client.call('ListOffsets', version, {
    replicaId: -1,
    ...(version < 2 ? {} : { isolationLevel }),
    topics: [
      {
        name: topic,
        partitions: [{ partitionIndex: index, timestamp, currentLeaderEpoch }],
      },
    ],
  })
  const { errorCode, timestamp: at, offset, leaderEpoch } = topics[0]!.partitions[0]!
  return { error: errorName(errorCode), at, offset, leaderEpoch }
}

const NOTHING = { error: 'NONE', at: -1, offset: -1, leaderEpoch: -1 }
const UNSUPPORTED = { ...NOTHING, error: 'UNSUPPORTED_VERSION' }

for (const version of versionsOf('ListOffsets')) {
  test(`version ${version}: latest, earliest and by time; the other marks from their versions on`, () =>
    withHost(async (_host, client) => {
      await write(client, 100, 300, 200)
      await write(client, 400)
      const leaderEpoch = version < 4 ? -1 : 0
      const found = { error: 'NONE', at: -1, leaderEpoch }
      assert.deepEqual(await list(client, -1, version), { ...found, offset: 4 })
      assert.deepEqual(await list(client, -2, version), { ...found, offset: 0 })
      const byTime = await list(client, START_MS + 150, version)
      assert.deepEqual(byTime, { ...found, at: START_MS + 300, offset: 1 })
      const max = { ...found, at: START_MS + 400, offset: 3 }
      assert.deepEqual(await list(client, -3, version), version < 7 ? UNSUPPORTED : max)
      const local = { ...found, offset: 0 }
      assert.deepEqual(await list(client, -4, version), version < 8 ? UNSUPPORTED : local)
      assert.deepEqual(await list(client, -5, version), version < 9 ? UNSUPPORTED : NOTHING)
      assert.deepEqual(await list(client, -6, version), version < 11 ? UNSUPPORTED : NOTHING)
      assert.deepEqual(await list(client, -7, version), UNSUPPORTED)
    }))
}

test('a time gives the first record at it or later, past the last none', () =>
  withHost(async (_host, client) => {
    await write(client, 100, 200)
    await write(client, 200, 300)
    for (const [time, offset] of [
      [-START_MS, 0],
      [100, 0],
      [101, 1],
      [200, 1],
      [201, 3],
      [300, 3],
      [301, -1],
    ] as const) {
      assert.equal((await list(client, START_MS + time, 7)).offset, offset, `time ${time}`)
    }
  }))

test('the greatest timestamp is that of the first record that has it', () =>
  withHost(async (_host, client) => {
    await write(client, 100, 300, 200)
    await write(client, 300, 50)
    const { offset, at } = await list(client, -3, 7)
    assert.deepEqual({ offset, at }, { offset: 1, at: START_MS + 300 })
  }))

test('an empty partition begins and ends at 0, in the epoch of its leader; no time is found in it', () =>
  withHost(async (_host, client) => {
    const topic = 'empty'
    const edge = { error: 'NONE', at: -1, offset: 0, leaderEpoch: 0 }
    for (const mark of [-1, -2, -4]) assert.deepEqual(await list(client, mark, 8, { topic }), edge)
    for (const time of [-3, 0, START_MS]) {
      assert.deepEqual(await list(client, time, 8, { topic }), NOTHING)
    }
  }))

test('a moved log start is the earliest, and nothing below it is found', () =>
  withHost(async (host, client) => {
    await write(client, 100, 200)
    await write(client, 300)
    await host.broker.replicas.partition('t', 0).log.advanceLogStartTo(2)
    assert.equal((await list(client, -2, 8)).offset, 2)
    assert.equal((await list(client, -4, 8)).offset, 2)
    assert.equal((await list(client, START_MS, 8)).offset, 2)
  }))

test('what is not on all replicas yet is neither the latest nor found', () =>
  withHost(async (host, client) => {
    await write(client, 100)
    const partition = host.broker.replicas.partition('t', 0)
    const { written } = partition
    partition.written = offset => partition.logEnd.advanceTo(offset)
    await write(client, 200)
    for (const isolationLevel of [0, 1]) {
      assert.equal((await list(client, -1, 7, { isolationLevel })).offset, 1)
      assert.equal((await list(client, START_MS + 150, 7, { isolationLevel })).offset, -1)
    }
    partition.written = written
    partition.written(2)
    assert.equal((await list(client, START_MS + 150, 7)).offset, 1)
  }))

test('read_committed is told the last stable offset as the latest', () =>
  withHost(async (host, client) => {
    await write(client, 100, 200)
    const { log } = host.broker.replicas.partition('t', 0)
    Object.defineProperty(log, 'lastStableOffset', { get: () => 1 })
    assert.equal((await list(client, -1, 7, { isolationLevel: 1 })).offset, 1)
    assert.equal((await list(client, -1, 7, { isolationLevel: 0 })).offset, 2)
    assert.equal((await list(client, START_MS + 200, 7, { isolationLevel: 1 })).offset, -1)
  }))

test('unknown partitions and epochs have their errors', () =>
  withHost(async (_host, client) => {
    const error = async (ask: Ask) => (await list(client, -1, 7, ask)).error
    assert.equal(await error({ topic: 'nowhere' }), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await error({ index: 2 }), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await error({ index: -1 }), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await error({ currentLeaderEpoch: 0 }), 'NONE')
    assert.equal(await error({ currentLeaderEpoch: 1 }), 'UNKNOWN_LEADER_EPOCH')
  }))

test('an older epoch than the partition’s is fenced', () =>
  withHost(async (host, client) => {
    host.broker.replicas.partition('t', 0).leaderEpoch = 3
    const { error } = await list(client, -1, 7, { currentLeaderEpoch: 2 })
    assert.equal(error, 'FENCED_LEADER_EPOCH')
  }))

test('a partition that is named twice is refused once, the others are answered', () =>
  withHost(async (_host, client) => {
    const { topics } = await client.call('ListOffsets', 7, {
      replicaId: -1,
      topics: [
        {
          name: 't',
          partitions: [0, 1, 0].map(partitionIndex => ({ partitionIndex, timestamp: -1 })),
        },
      ],
    })
    assert.deepEqual(
      topics[0]!.partitions.map(one => [one.partitionIndex, errorName(one.errorCode)]),
      [
        [0, 'INVALID_REQUEST'],
        [1, 'NONE'],
      ],
    )
  }))

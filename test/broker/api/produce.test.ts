/** Produce: what is stored, what is refused and with which of Kafka's errors, in the versions that clients send. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ZERO_UUID } from '../../../protocol/buffer.ts'
import { type ErrorName, errorName } from '../../../protocol/errors.ts'
import {
  ATTRIBUTES,
  BASE_OFFSET,
  CRC,
  computeCrc,
  LAST_OFFSET_DELTA,
  MAGIC,
  RECORD_COUNT,
  timestampType,
} from '../../../protocol/record-batch.ts'
import { encodeBatch } from '../../../protocol/records.ts'
import { batchOf, fetchOne, noAsynchronousCodec, produceOne, valuesOf } from '../batches.ts'
import { idle, START_MS } from '../fake-network.ts'
import { versionsOf } from '../harness.ts'
import { type FakeClient, type Host, startHost } from '../host.ts'

async function withHost(
  run: (host: Host, client: FakeClient, topicId: string) => Promise<void>,
  configs: Readonly<Record<string, string>> = {},
): Promise<void> {
  const host = await startHost()
  const topicId = await host.createTopic('t', 2, configs)
  try {
    await run(host, host.connect(), topicId)
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
  assert.equal(host.broker.budget.used, 0)
}

/** Sends one batch and answers with its partition's response, the error by name. */
async function send(
  client: FakeClient,
  records: Buffer | null,
  options: { version?: number; acks?: number; topic?: string; index?: number } = {},
) {
  const { version = 9, acks = -1, topic = 't', index = 0 } = options
  const request = produceOne(topic, index, records, acks)
  const { responses } = await client.call('Produce', version, request)
  const response = responses[0]!.partitionResponses[0]!
  return { ...response, error: errorName(response.errorCode) }
}

async function stored(client: FakeClient, index = 0): Promise<string[]> {
  const { responses } = await client.call('Fetch', 11, fetchOne('t', index, 0))
  return valuesOf(responses[0]!.partitions[0]!.records)
}

/** The batch with a change to its header, its checksum right again. */
function changed(batch: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(batch)
  change(copy)
  copy.writeUInt32BE(computeCrc(copy, 0), CRC)
  return copy
}

for (const version of versionsOf('Produce')) {
  test(`version ${version} stores a batch and says where`, () =>
    withHost(async (_host, client, topicId) => {
      const records = await batchOf(['a', 'b'])
      const request = {
        acks: version % 2 === 0 ? 1 : -1,
        timeoutMs: 1000,
        topicData: [
          {
            name: 't',
            topicId: version < 13 ? ZERO_UUID : topicId,
            partitionData: [{ index: 1, records }],
          },
        ],
      }
      for (const baseOffset of [0, 2]) {
        const { responses } = await client.call('Produce', version, request)
        assert.equal(responses[0]![version < 13 ? 'name' : 'topicId'], version < 13 ? 't' : topicId)
        const one = responses[0]!.partitionResponses[0]!
        assert.equal(one.errorCode, 0)
        assert.equal(one.index, 1)
        assert.equal(one.baseOffset, baseOffset)
        assert.equal(one.logAppendTimeMs, -1)
        assert.equal(one.logStartOffset, version < 5 ? -1 : 0)
        assert.deepEqual(one.recordErrors, [])
        assert.equal(one.errorMessage, null)
      }
      assert.deepEqual(await stored(client, 1), ['a', 'b', 'a', 'b'])
    }))
}

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
  test(`a batch in ${codec} is stored as it came`, () =>
    withHost(async (_host, client) => {
      const { error } = await send(client, await batchOf(['a', 'b'.repeat(500)], codec))
      assert.equal(error, 'NONE')
      assert.deepEqual(await stored(client), ['a', 'b'.repeat(500)])
    }))
}

test('zstd is refused below version 7, which cannot know it, and taken from it on', () =>
  withHost(async (_host, client) => {
    const records = await batchOf(['a'], 'zstd')
    assert.equal(
      (await send(client, records, { version: 6 })).error,
      'UNSUPPORTED_COMPRESSION_TYPE',
    )
    assert.equal((await send(client, records, { version: 7 })).error, 'NONE')
  }))

const good = batchOf(['a', 'b'])
const refused: readonly [string, ErrorName, () => Promise<Buffer | null>][] = [
  ['no batch', 'INVALID_RECORD', async () => null],
  ['an empty batch', 'INVALID_RECORD', async () => Buffer.alloc(0)],
  ['half a header', 'INVALID_RECORD', async () => (await good).subarray(0, 30)],
  ['a cut-off batch', 'INVALID_RECORD', async () => (await good).subarray(0, -1)],
  ['two batches', 'INVALID_RECORD', async () => Buffer.concat([await good, await good])],
  [
    'a wrong checksum',
    'CORRUPT_MESSAGE',
    async () => {
      const copy = Buffer.from(await good)
      copy[CRC]! ^= 1
      return copy
    },
  ],
  [
    'format 1',
    'INVALID_RECORD',
    async () => {
      const copy = Buffer.from(await good)
      copy[MAGIC] = 1
      return copy
    },
  ],
  [
    'a base offset',
    'INVALID_RECORD',
    async () => changed(await good, copy => copy.writeInt32BE(5, BASE_OFFSET + 4)),
  ],
  [
    'a count that is not the records',
    'INVALID_RECORD',
    async () => changed(await good, copy => copy.writeInt32BE(3, RECORD_COUNT)),
  ],
  [
    'a last offset that is not the count',
    'INVALID_RECORD',
    async () => changed(await good, copy => copy.writeInt32BE(7, LAST_OFFSET_DELTA)),
  ],
  [
    'a codec that does not exist',
    'UNSUPPORTED_COMPRESSION_TYPE',
    async () => changed(await good, copy => copy.writeInt16BE(6, ATTRIBUTES)),
  ],
  [
    'compressed bytes that are none',
    'INVALID_RECORD',
    async () => changed(await good, copy => copy.writeInt16BE(1, ATTRIBUTES)),
  ],
  [
    'a control batch',
    'INVALID_RECORD',
    async () => changed(await good, copy => copy.writeInt16BE(0x20, ATTRIBUTES)),
  ],
  [
    'a transactional batch',
    'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
    async () => changed(await good, copy => copy.writeInt16BE(0x10, ATTRIBUTES)),
  ],
  ['more than max.message.bytes', 'MESSAGE_TOO_LARGE', async () => batchOf(['x'.repeat(10_001)])],
  [
    'a time too far ahead',
    'INVALID_TIMESTAMP',
    async () => encodeBatch([{ timestamp: START_MS + 3_700_000, value: Buffer.from('a') }]),
  ],
]

for (const [what, error, records] of refused) {
  test(`${what} is refused with ${error} and nothing of it is stored`, () =>
    withHost(
      async (host, client) => {
        const answer = await send(client, await records())
        assert.equal(answer.error, error)
        assert.equal(answer.baseOffset, -1)
        assert.equal(answer.logStartOffset, -1)
        assert.equal(host.broker.replicas.partition('t', 0).log.logEndOffset, 0)
        assert.ok((answer.errorMessage ?? '').length > 0, 'and words that say why')
      },
      { 'max.message.bytes': '10000' },
    ))
}

test('the records at fault are listed, from version 8 on', () =>
  withHost(
    async (_host, client) => {
      const records = await encodeBatch([
        { timestamp: START_MS, key: Buffer.from('k'), value: null },
        { timestamp: START_MS, value: Buffer.from('no key') },
        { timestamp: START_MS, value: Buffer.from('no key') },
      ])
      const told = await send(client, records, { version: 8 })
      assert.equal(told.error, 'INVALID_RECORD')
      assert.deepEqual(
        told.recordErrors.map(({ batchIndex }) => batchIndex),
        [1, 2],
      )
      assert.match(String(told.recordErrors[0]!.batchIndexErrorMessage), /key/)
      assert.equal((await send(client, records, { version: 7 })).error, 'INVALID_RECORD')
    },
    { 'cleanup.policy': 'compact' },
  ))

test('an unknown topic, partition or topic id is named by its own error', () =>
  withHost(async (_host, client, topicId) => {
    const records = await batchOf(['a'])
    const byName = await send(client, records, { topic: 'nowhere' })
    assert.equal(byName.error, 'UNKNOWN_TOPIC_OR_PARTITION')
    for (const index of [2, -1]) {
      const { error } = await send(client, records, { index })
      assert.equal(error, 'UNKNOWN_TOPIC_OR_PARTITION')
    }
    const byId = (id: string, index: number) =>
      client.call('Produce', 13, {
        acks: 1,
        timeoutMs: 1000,
        topicData: [{ topicId: id, partitionData: [{ index, records }] }],
      })
    const unknown = 'AAAAAAAAAAAAAAAAAAAAAQ'
    for (const [id, index, error] of [
      [unknown, 0, 'UNKNOWN_TOPIC_ID'],
      [ZERO_UUID, 0, 'UNKNOWN_TOPIC_ID'],
      [topicId, 2, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ] as const) {
      const { responses } = await byId(id, index)
      assert.equal(responses[0]!.topicId, id)
      assert.equal(errorName(responses[0]!.partitionResponses[0]!.errorCode), error)
    }
  }))

test('acks other than 0, 1 and -1 are refused; nothing is stored', () =>
  withHost(async (host, client) => {
    for (const acks of [2, -2, 32767]) {
      const { error } = await send(client, await batchOf(['a']), { acks })
      assert.equal(error, 'INVALID_REQUIRED_ACKS')
    }
    assert.equal(host.broker.replicas.partition('t', 0).log.logEndOffset, 0)
  }))

test('min.insync.replicas above what there are refuses acks=-1 only', () =>
  withHost(
    async (_host, client) => {
      const records = await batchOf(['a'])
      assert.equal((await send(client, records, { acks: -1 })).error, 'NOT_ENOUGH_REPLICAS')
      assert.equal((await send(client, records, { acks: 1 })).error, 'NONE')
    },
    { 'min.insync.replicas': '2' },
  ))

test('a transactional id is refused until there are transactions', () =>
  withHost(async (_host, client) => {
    const request = { ...produceOne('t', 0, await batchOf(['a'])), transactionalId: 'x' }
    const { responses } = await client.call('Produce', 9, request)
    assert.equal(errorName(responses[0]!.partitionResponses[0]!.errorCode), 'INVALID_TXN_STATE')
  }))

test('one partition that fails does not hold up the others', () =>
  withHost(async (_host, client) => {
    const records = await batchOf(['a'])
    const bad = Buffer.from(records)
    bad[CRC]! ^= 1
    const { responses } = await client.call('Produce', 9, {
      acks: -1,
      timeoutMs: 1000,
      topicData: [
        {
          name: 't',
          partitionData: [
            { index: 0, records: bad },
            { index: 1, records },
            { index: 9, records },
          ],
        },
        { name: 'nowhere', partitionData: [{ index: 0, records }] },
      ],
    })
    const errors = responses.map(({ name, partitionResponses }) => [
      name,
      ...partitionResponses.map(({ index, errorCode }) => `${index} ${errorName(errorCode)}`),
    ])
    assert.deepEqual(errors, [
      ['t', '0 CORRUPT_MESSAGE', '1 NONE', '9 UNKNOWN_TOPIC_OR_PARTITION'],
      ['nowhere', '0 UNKNOWN_TOPIC_OR_PARTITION'],
    ])
    assert.deepEqual(await stored(client, 1), ['a'])
  }))

const idempotent = (baseSequence: number, count = 1, producerEpoch = 0) =>
  batchOf(
    Array.from({ length: count }, (_, i) => `${baseSequence + i}`),
    'none',
    { producerId: 7, producerEpoch, baseSequence },
  )

test('a batch that an idempotent producer sends again gets the offsets that it had, and is stored once', () =>
  withHost(async (_host, client) => {
    for (const [sequence, offset] of [
      [0, 0],
      [2, 2],
      [0, 0],
      [2, 2],
      [4, 4],
      [2, 2],
    ] as const) {
      const answer = await send(client, await idempotent(sequence, 2))
      assert.equal(answer.error, 'NONE')
      assert.equal(answer.baseOffset, offset)
    }
    assert.deepEqual(await stored(client), ['0', '1', '2', '3', '4', '5'])
  }))

test('a gap in the sequence and an old epoch are refused; a new epoch begins at 0', () =>
  withHost(async (_host, client) => {
    const answer = async (sequence: number, epoch: number) =>
      (await send(client, await idempotent(sequence, 1, epoch))).error
    assert.equal(await answer(0, 0), 'NONE')
    assert.equal(await answer(2, 0), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
    assert.equal(await answer(1, 0), 'NONE')
    assert.equal(await answer(1, 1), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
    assert.equal(await answer(0, 1), 'NONE')
    assert.equal(await answer(2, 0), 'INVALID_PRODUCER_EPOCH')
  }))

test("where the log's time counts, the answer tells it and the records carry it", () =>
  withHost(
    async (host, client) => {
      await host.io.advance(1234)
      const answer = await send(client, await batchOf(['a']))
      assert.equal(answer.logAppendTimeMs, START_MS + 1234)
      const { responses } = await client.call('Fetch', 11, fetchOne('t', 0, 0))
      const records = responses[0]!.partitions[0]!.records!
      assert.equal(timestampType(records, 0), 'LogAppendTime')
    },
    { 'message.timestamp.type': 'LogAppendTime' },
  ))

test("a Produce that was held behind another request carries the log's time of its start", () =>
  withHost(
    async (host, client) => {
      const polled = client.call('Fetch', 11, fetchOne('t', 1, 0, { maxWaitMs: 100 }))
      const produced = send(client, await batchOf(['a']))
      await host.io.advance(100)
      await polled
      assert.equal((await produced).logAppendTimeMs, START_MS + 100)
    },
    { 'message.timestamp.type': 'LogAppendTime' },
  ))

test('compression.type of the topic decides what is stored', () =>
  withHost(
    async (_host, client) => {
      const answer = await send(client, await batchOf(['a'.repeat(900)]))
      assert.equal(answer.error, 'NONE')
      const { responses } = await client.call('Fetch', 11, fetchOne('t', 0, 0))
      const records = responses[0]!.partitions[0]!.records!
      assert.equal(records.readInt16BE(ATTRIBUTES) & 7, 4)
      assert.ok(records.length < 300)
      assert.deepEqual(await valuesOf(records), ['a'.repeat(900)])
    },
    { 'compression.type': 'zstd' },
  ))

test('an acknowledgement that does not come in time is REQUEST_TIMED_OUT, and the batch stays', () =>
  withHost(async (host, client) => {
    const partition = host.broker.replicas.partition('t', 0)
    const { written } = partition
    partition.written = () => {}
    const answer = send(client, await batchOf(['a']))
    await idle()
    await host.io.advance(4999)
    assert.deepEqual(client.answered, [])
    await host.io.advance(1)
    assert.equal((await answer).error, 'REQUEST_TIMED_OUT')
    assert.equal(partition.log.logEndOffset, 1)
    assert.equal(partition.highWatermark.waiting, 0)
    partition.written = written
  }))

test('a topic that is deleted while a batch waits for its acknowledgement answers with an error', () =>
  withHost(async (host, client) => {
    host.broker.replicas.partition('t', 0).written = () => {}
    const answer = send(client, await batchOf(['a']))
    await idle()
    const other = host.connect()
    await other.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 1000 })
    assert.equal((await answer).error, 'UNKNOWN_TOPIC_OR_PARTITION')
  }))

test(
  'copies of batches that wait for an asynchronous codec are charged to the budget',
  { skip: noAsynchronousCodec },
  () =>
    withHost(async (host, client) => {
      const records = await batchOf(['a'.repeat(5000)], 'zstd')
      const answer = send(client, records)
      assert.ok(host.broker.budget.used >= records.length)
      assert.equal((await answer).error, 'NONE')
      assert.equal(host.broker.budget.used, 0)
    }),
)

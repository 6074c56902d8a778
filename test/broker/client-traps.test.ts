/**
 * What breaks real clients, found in their code and their bug reports: one test for each. The names say what would
 * happen to whom.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handlers } from '../../broker/handlers.ts'
import { type ApiName, apis } from '../../protocol/apis.ts'
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { errorCode, errorName } from '../../protocol/errors.ts'
import { batchOf, fetchOne, produceOne, valuesOf } from './batches.ts'
import { idle } from './fake-network.ts'
import { type FakeClient, type Host, requestFrame, startHost } from './host.ts'

const API = {
  Produce: 0,
  Fetch: 1,
  ListOffsets: 2,
  Metadata: 3,
  OffsetCommit: 8,
  OffsetFetch: 9,
  FindCoordinator: 10,
  JoinGroup: 11,
  Heartbeat: 12,
  LeaveGroup: 13,
  SyncGroup: 14,
  DescribeGroups: 15,
  ListGroups: 16,
  SaslHandshake: 17,
  ApiVersions: 18,
  CreateTopics: 19,
  DeleteTopics: 20,
  DeleteRecords: 21,
  InitProducerId: 22,
  AddPartitionsToTxn: 24,
  DescribeConfigs: 32,
  AlterConfigs: 33,
  SaslAuthenticate: 36,
  CreatePartitions: 37,
  ConsumerGroupHeartbeat: 68,
} as const

type Range = readonly [number, number]

async function withHost(
  run: (host: Host, client: FakeClient, ranges: ReadonlyMap<number, Range>) => Promise<void>,
): Promise<void> {
  const host = await startHost()
  const client = host.connect()
  const { apiKeys } = await client.call('ApiVersions', 0, {})
  const ranges = new Map(
    apiKeys.map(({ apiKey, minVersion, maxVersion }) => [
      apiKey,
      [minVersion, maxVersion] as const,
    ]),
  )
  try {
    await run(host, client, ranges)
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
}

const includes = (range: Range | undefined, version: number) =>
  range !== undefined && range[0] <= version && version <= range[1]

test('1: raised minimum versions would make librdkafka send old message formats and drop compression', () =>
  withHost(async (host, client, ranges) => {
    // Exact versions by which it decides, up to 2.11.0: record batches, gzip/snappy/lz4, zstd.
    for (const version of [0, 3, 7]) assert.ok(includes(ranges.get(API.Produce), version))
    for (const version of [4, 10]) assert.ok(includes(ranges.get(API.Fetch), version))
    assert.ok(includes(ranges.get(API.FindCoordinator), 0))
    const groups = [API.JoinGroup, API.SyncGroup, API.Heartbeat, API.LeaveGroup, API.SaslHandshake]
    for (const key of groups) if (ranges.has(key)) assert.ok(includes(ranges.get(key), 0))
    // Versions 0 to 2 are only said to be there: whoever sends one is disconnected, as by Kafka.
    client.socket.deliver(requestFrame('Produce', 3, produceOne('t', 0, null), 9).fill(2, 7, 8))
    await idle()
    assert.ok(client.isClosed)
    await host.connect().call('ApiVersions', 0, {})
  }))

/** The newest version of each API that kafkajs 2.2.4 knows. */
const KAFKAJS: Readonly<Record<number, number>> = {
  [API.Produce]: 7,
  [API.Fetch]: 11,
  [API.ListOffsets]: 3,
  [API.Metadata]: 6,
  [API.OffsetCommit]: 5,
  [API.OffsetFetch]: 4,
  [API.FindCoordinator]: 2,
  [API.JoinGroup]: 5,
  [API.Heartbeat]: 3,
  [API.LeaveGroup]: 3,
  [API.SyncGroup]: 3,
  [API.DescribeGroups]: 2,
  [API.ListGroups]: 2,
  [API.ApiVersions]: 2,
  [API.CreateTopics]: 3,
  [API.DeleteTopics]: 1,
  [API.DeleteRecords]: 1,
  [API.InitProducerId]: 1,
  [API.DescribeConfigs]: 2,
  [API.AlterConfigs]: 1,
  [API.CreatePartitions]: 1,
}

test('2: a minimum above what kafkajs knows would be ignored by it, and its requests refused', () =>
  withHost(async (_host, client, ranges) => {
    for (const [key, newest] of Object.entries(KAFKAJS)) {
      const range = ranges.get(Number(key))
      if (range !== undefined) assert.ok(range[0] <= newest, `API ${key} starts at ${range[0]}`)
    }
    const metadata = await client.call('Metadata', 6, {
      topics: [{ name: 't' }],
      allowAutoTopicCreation: true,
    })
    // It does not ask again for a topic that is not there at first.
    assert.equal(metadata.topics[0]!.errorCode, 0)
    assert.equal(metadata.topics[0]!.partitions[0]!.leaderId, metadata.brokers[0]!.nodeId)
    await client.call('Produce', 7, produceOne('t', 0, await batchOf(['a'])))
    const { responses } = await client.call('Fetch', 11, fetchOne('t', 0, 0))
    assert.deepEqual(await valuesOf(responses[0]!.partitions[0]!.records), ['a'])
    await client.call('ListOffsets', 3, {
      replicaId: -1,
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    })
  }))

test('3: a tagged header on ApiVersions, or no list beside error 35, would leave clients without a version', () =>
  withHost(async (_host, client, ranges) => {
    for (const version of [3, 4]) {
      const answer = client.expect(version)
      const named = { clientSoftwareName: 'c', clientSoftwareVersion: '1' }
      client.socket.deliver(requestFrame('ApiVersions', version, named, version))
      // Right behind the correlation id the error code, no section of tags between them.
      assert.equal((await answer).readInt16BE(4), 0)
    }
    const answer = client.expect(99)
    const newer = requestFrame('ApiVersions', 0, {}, 99)
    newer.writeInt16BE(77, 6)
    client.socket.deliver(newer)
    const frame = await answer
    assert.equal(frame.readInt16BE(4), errorCode('UNSUPPORTED_VERSION'))
    assert.equal(frame.readInt32BE(6), ranges.size)
    assert.equal(frame.length, 10 + ranges.size * 6)
  }))

test('4: without the newest versions of 2025, platformatic up to 2.9, which has no others, could not connect', () =>
  withHost(async (_host, client, ranges) => {
    const only: Readonly<Record<number, number>> = {
      [API.CreateTopics]: 7,
      [API.DeleteTopics]: 6,
      [API.DeleteRecords]: 2,
      [API.AlterConfigs]: 2,
      [API.Fetch]: 12,
      [API.Metadata]: 9,
      [API.FindCoordinator]: 4,
      [API.ApiVersions]: 3,
      [API.ListOffsets]: 5,
      [API.InitProducerId]: 3,
    }
    for (const [key, version] of Object.entries(only)) {
      assert.ok(includes(ranges.get(Number(key)), version), `API ${key} lacks ${version}`)
    }
    const created = await client.call('CreateTopics', 7, {
      topics: [{ name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: 1000,
    })
    assert.equal(created.topics[0]!.errorCode, 0)
    await client.call('Produce', 9, produceOne('t', 0, await batchOf(['a'])))
    const { responses } = await client.call('Fetch', 12, fetchOne('t', 0, 0))
    assert.deepEqual(await valuesOf(responses[0]!.partitions[0]!.records), ['a'])
    const deleted = await client.call('DeleteTopics', 6, {
      topics: [{ name: 't' }],
      timeoutMs: 1000,
    })
    assert.equal(deleted.responses[0]!.errorCode, 0)
  }))

test('5: AddPartitionsToTxn 4 and above would be sent by clients, although it is between brokers', () =>
  withHost(async (_host, _client, ranges) => {
    const range = ranges.get(API.AddPartitionsToTxn)
    assert.ok(range === undefined || range[1] <= 3)
  }))

test('6: topic ids in some versions but not in all would send librdkafka and Java clients astray', () =>
  withHost(async (host, client, ranges) => {
    const withIds = [
      includes(ranges.get(API.Fetch), 13),
      includes(ranges.get(API.Produce), 13),
      includes(ranges.get(API.Metadata), 10),
    ]
    assert.deepEqual(withIds, [true, true, true])
    for (const key of [API.OffsetCommit, API.OffsetFetch]) {
      if (ranges.has(key)) assert.ok(includes(ranges.get(key), 10))
    }
    const topicId = await host.createTopic('t')
    const metadata = await client.call('Metadata', 12, { topics: [{ name: 't' }] })
    assert.equal(metadata.topics[0]!.topicId, topicId)
    assert.notEqual(topicId, ZERO_UUID)
    const records = await batchOf(['a'])
    const produced = await client.call('Produce', 13, {
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ topicId, partitionData: [{ index: 0, records }] }],
    })
    assert.equal(produced.responses[0]!.partitionResponses[0]!.errorCode, 0)
    const fetched = await client.call('Fetch', 17, fetchOne('', 0, 0, { topicId }))
    assert.deepEqual(await valuesOf(fetched.responses[0]!.partitions[0]!.records), ['a'])
    const deleted = await client.call('DeleteTopics', 6, { topics: [{ topicId }], timeoutMs: 1000 })
    assert.equal(deleted.responses[0]!.errorCode, 0)
    assert.equal(deleted.responses[0]!.name, 't')
  }))

test('7: a transaction.version feature would make Java producers use a protocol that is not there', () =>
  withHost(async (_host, client) => {
    for (const version of [3, 4]) {
      const answer = await client.call('ApiVersions', version, {
        clientSoftwareName: 'c',
        clientSoftwareVersion: '1',
      })
      const names = [...answer.supportedFeatures, ...answer.finalizedFeatures].map(f => f.name)
      assert.ok(!names.includes('transaction.version'))
      assert.ok(answer.finalizedFeaturesEpoch >= 0, 'below 0 clients ignore the features')
    }
  }))

test('8: half of what the new group protocol needs would make librdkafka try it and fail', () =>
  withHost(async (_host, client, ranges) => {
    const isServed = ranges.has(API.ConsumerGroupHeartbeat)
    const needed = [
      includes(ranges.get(API.ConsumerGroupHeartbeat), 1),
      includes(ranges.get(API.OffsetCommit), 9),
      includes(ranges.get(API.OffsetFetch), 9),
    ]
    const { finalizedFeatures } = await client.call('ApiVersions', 3, {
      clientSoftwareName: 'c',
      clientSoftwareVersion: '1',
    })
    const isSaid = finalizedFeatures.some(({ name }) => name === 'group.version')
    assert.equal(isSaid, isServed)
    if (isServed) assert.deepEqual(needed, [true, true, true])
  }))

test('9: group requests served in part would let consumers join groups that cannot work', () =>
  withHost(async (_host, client, ranges) => {
    const group = [API.JoinGroup, API.SyncGroup, API.Heartbeat, API.LeaveGroup] as const
    const offsets = [API.OffsetCommit, API.OffsetFetch] as const
    const served = [...group, ...offsets].filter(key => ranges.has(key))
    assert.equal(served.length, group.length + offsets.length)
    const found = await client.call('FindCoordinator', 2, { key: 'g', keyType: 0 })
    assert.equal(errorName(found.errorCode), 'NONE')
    // Not one that promises that waiting helps.
    const none = await client.call('FindCoordinator', 2, { key: 't', keyType: 1 })
    assert.equal(errorName(none.errorCode), 'UNSUPPORTED_VERSION')
  }))

test('10: zstd from a Produce below 7 would be stored for readers that cannot know it', () =>
  withHost(async (host, client, ranges) => {
    assert.ok(includes(ranges.get(API.Produce), 7) && includes(ranges.get(API.Fetch), 10))
    await host.createTopic('t')
    const error = async (version: number) => {
      const request = produceOne('t', 0, await batchOf(['a'], 'zstd'))
      const { responses } = await client.call('Produce', version, request)
      return errorName(responses[0]!.partitionResponses[0]!.errorCode)
    }
    assert.equal(await error(6), 'UNSUPPORTED_COMPRESSION_TYPE')
    assert.equal(await error(7), 'NONE')
  }))

test('every API that is named here and served is the one that its key says', () => {
  for (const [name, key] of Object.entries(API)) {
    if (name in handlers) assert.equal(apis[name as ApiName].key, key)
  }
})

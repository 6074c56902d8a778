/** Several data directories, and a disk that fails under one: what clients, operators and the broker itself see of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionFor } from '../../broker/group/offsets-partition.ts'
import { type ErrorName, errorCode, errorName } from '../../protocol/errors.ts'
import { SimulatedDisk } from '../sim/disk.ts'
import { Medium } from '../sim/medium.ts'
import { batchOf, fetchOne, produceOne, valuesOf } from './batches.ts'
import { idle } from './fake-network.ts'
import { type FakeClient, type Host, startHost } from './host.ts'

const PARTITIONS = 4
const overrides = ['offsets.topic.num.partitions=4']
const NO_LEADER = errorCode('LEADER_NOT_AVAILABLE')

function newDisk(): SimulatedDisk {
  return new SimulatedDisk(new Medium(), { random: () => 0 })
}

function start(disk: SimulatedDisk, dataDir = '/meta,/more', more: string[] = []): Promise<Host> {
  return startHost({ disk, dataDir, overrides: [...overrides, ...more] })
}

async function produce(client: FakeClient, index: number, value: string, topic = 't') {
  const request = produceOne(topic, index, await batchOf([value]))
  const { responses } = await client.call('Produce', 9, request)
  return errorName(responses[0]!.partitionResponses[0]!.errorCode)
}

async function fetch(client: FakeClient, index: number, offset = 0, maxWaitMs = 0) {
  const { responses } = await client.call('Fetch', 11, fetchOne('t', index, offset, { maxWaitMs }))
  const { errorCode: code, records } = responses[0]!.partitions[0]!
  return { error: errorName(code), values: await valuesOf(records) }
}

/** The partitions of topic t by the directory they are in. */
function placesOf(host: Host): Map<string, number[]> {
  const places = new Map<string, number[]>()
  for (const { topic, index, log } of host.broker.replicas.all()) {
    if (topic !== 't') continue
    const place = log.directory.slice(0, log.directory.lastIndexOf('/'))
    places.set(place, [...(places.get(place) ?? []), index])
  }
  return places
}

function failBelow(disk: SimulatedDisk, directory: string): void {
  disk.fault = ({ path }) => (path.startsWith(`${directory}/`) ? { code: 'EIO' } : null)
}

/** What ElectLeaders answers of each partition; null asks for all. */
async function elections(
  client: FakeClient,
  electionType: number,
  partitions: readonly number[] | null,
  topic = 't',
): Promise<ErrorName[]> {
  const topicPartitions = partitions === null ? null : [{ topic, partitions: [...partitions] }]
  const answer = await client.call('ElectLeaders', 2, { electionType, topicPartitions })
  assert.equal(answer.errorCode, 0)
  return answer.replicaElectionResults.flatMap(({ partitionResult }) =>
    partitionResult.map(({ errorCode: code }) => errorName(code)),
  )
}

/** A host with topic t, a record in each partition of it, and the disk under /more gone. */
async function withLostDisk() {
  const disk = newDisk()
  const host = await start(disk)
  await host.createTopic('t', PARTITIONS)
  const client = host.connect()
  for (let index = 0; index < PARTITIONS; index++) {
    assert.equal(await produce(client, index, `value ${index}`), 'NONE')
  }
  const places = placesOf(host)
  const [kept, lost] = [places.get('/meta')!, places.get('/more')!]
  assert.deepEqual([kept.length, lost.length], [2, 2])
  return { disk, host, client, kept, lost }
}

test('one directory fails: its partitions answer KAFKA_STORAGE_ERROR, the rest is served', async () => {
  const { disk, host, client, kept, lost } = await withLostDisk()
  const waiting = fetch(host.connect(), lost[1]!, 1, 60_000)
  await idle()
  failBelow(disk, '/more')
  assert.equal(await produce(client, lost[0]!, 'x'), 'KAFKA_STORAGE_ERROR')
  assert.equal((await waiting).error, 'KAFKA_STORAGE_ERROR', 'of another partition there')
  for (const index of lost) {
    assert.equal(await produce(client, index, 'x'), 'KAFKA_STORAGE_ERROR')
    assert.equal((await fetch(client, index)).error, 'KAFKA_STORAGE_ERROR')
  }
  for (const index of kept) {
    assert.equal(await produce(client, index, 'x'), 'NONE')
    assert.deepEqual((await fetch(client, index)).values, [`value ${index}`, 'x'])
  }
  const { topics } = await client.call('Metadata', 12, { topics: null })
  const described = await client.call('DescribeTopicPartitions', 0, {
    topics: [{ name: 't' }],
    responsePartitionLimit: 100,
    cursor: null,
  })
  for (const { partitions } of [topics[0]!, described.topics[0]!]) {
    for (const { partitionIndex, leaderId, errorCode: code, offlineReplicas } of partitions) {
      const isLost = lost.includes(partitionIndex)
      const expected = isLost ? [-1, NO_LEADER, [1]] : [1, 0, []]
      assert.deepEqual([leaderId, code, offlineReplicas], expected)
    }
  }
  const { results } = await client.call('DescribeLogDirs', 4, { topics: null })
  assert.deepEqual(
    results.map(({ logDir, errorCode: code, topics: all, totalBytes }) => [
      logDir,
      errorName(code),
      all[0]?.partitions.map(({ partitionIndex }) => partitionIndex) ?? [],
      totalBytes > 0,
    ]),
    [
      ['/meta', 'NONE', kept, true],
      ['/more', 'KAFKA_STORAGE_ERROR', [], false],
    ],
  )
  const offsets = await client.call('ListOffsets', 7, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: 't', partitions: [{ partitionIndex: lost[0]!, timestamp: -1 }] }],
  })
  assert.equal(errorName(offsets.topics[0]!.partitions[0]!.errorCode), 'KAFKA_STORAGE_ERROR')
  const [line, ...others] = host.loggedErrors as { event: string; fields: object }[]
  assert.deepEqual(others, [], 'one line, whatever it takes along')
  assert.equal(line!.event, 'data directory offline')
  const text = JSON.stringify(line!.fields)
  for (const word of ['/more', '.log', 'EIO', 'restart']) assert(text.includes(word), text)
  await host.stop()
})

test('after the disk is well again a restart has everything that was acknowledged, in a new term', async () => {
  const { disk, host, client, kept, lost } = await withLostDisk()
  failBelow(disk, '/more')
  await produce(client, lost[0]!, 'x')
  await produce(client, kept[0]!, 'meanwhile')
  await host.createTopic('later', 2)
  assert.equal(await produce(client, 1, 'y', 'later'), 'NONE')
  await host.stop()
  const again = await start(disk.reopened('process'))
  const reader = again.connect()
  for (const index of lost) {
    assert.deepEqual((await fetch(reader, index)).values, [`value ${index}`])
    assert.equal(again.broker.replicas.partition('t', index).leaderEpoch, 1)
    assert.equal(await produce(reader, index, 'again'), 'NONE')
  }
  assert.deepEqual((await fetch(reader, kept[0]!)).values.at(-1), 'meanwhile')
  await again.stop()
})

test('a directory that cannot be read at the start is offline; what it holds is not made anew', async () => {
  const { disk, host, kept, lost } = await withLostDisk()
  await host.stop()
  const broken = disk.reopened('process')
  failBelow(broken, '/more')
  const second = await start(broken)
  const client = second.connect()
  for (const index of lost) assert.equal(await produce(client, index, 'x'), 'KAFKA_STORAGE_ERROR')
  for (const index of kept) assert.equal(await produce(client, index, 'x'), 'NONE')
  await second.createTopic('new', 2)
  assert.equal(await produce(client, 1, 'x', 'new'), 'NONE')
  const { topics } = await client.call('Metadata', 12, { topics: [{ name: 't' }] })
  const offline = topics[0]!.partitions.filter(({ offlineReplicas }) => offlineReplicas.length > 0)
  assert.deepEqual(
    offline.map(({ partitionIndex }) => partitionIndex),
    lost,
  )
  // Deleting works, and what is on the lost disk does not come back.
  await client.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 1000 })
  await second.stop()
  const third = await start(broken.reopened('process'))
  assert.equal(third.broker.replicas.find('t', lost[0]!), undefined)
  await third.createTopic('t', PARTITIONS)
  assert.deepEqual((await fetch(third.connect(), lost[0]!)).values, [])
  await third.stop()
})

test('a directory that is not among log.dirs any more, or not mounted, is missed', async () => {
  const { disk, host, kept, lost } = await withLostDisk()
  await host.stop()
  const without = disk.reopened('process')
  // The name is there, as an empty mount point would be.
  await without.rename('/more', '/elsewhere')
  const second = await start(without)
  const client = second.connect()
  for (const index of lost) assert.equal(await produce(client, index, 'x'), 'KAFKA_STORAGE_ERROR')
  for (const index of kept) assert.equal(await produce(client, index, 'x'), 'NONE')
  await second.stop()
  const mounted = without.reopened('process')
  const third = await start(mounted, '/meta,/more,/elsewhere')
  for (const index of lost) {
    assert.deepEqual((await fetch(third.connect(), index)).values, [`value ${index}`])
  }
  await third.stop()
  // Nothing is missed any more that was empty and is left out again.
  const fourth = await start(mounted.reopened('process'), '/meta,/elsewhere')
  assert.equal(fourth.broker.replicas.offlineCount, 0)
  await fourth.stop()
})

test('the broker cannot go on without the directory of its metadata, or without any', async () => {
  for (const [failing, why] of [
    ['/meta', /^\/meta, which holds the metadata, is offline: .*EIO/],
    ['', /^no data directory is left: .*EIO/],
  ] as const) {
    const { disk, host, client, kept, lost } = await withLostDisk()
    const reasons: string[] = []
    host.broker.onFailed = reason => reasons.push(reason)
    failBelow(disk, '/more')
    if (failing === '') {
      await produce(client, lost[0]!, 'x')
      assert.deepEqual(reasons, [])
    }
    failBelow(disk, failing)
    assert.equal(await produce(client, kept[0]!, 'x'), 'KAFKA_STORAGE_ERROR')
    assert.equal(reasons.length, 1)
    assert.match(reasons[0]!, why)
    await host.stop()
  }
})

test('a start without the metadata, or with directories of several brokers, is refused with the names', async () => {
  const disk = newDisk()
  await (await start(disk)).stop()
  const unreadable = disk.reopened('process')
  failBelow(unreadable, '/meta')
  await assert.rejects(
    start(unreadable),
    /no directory that can be read has the file ottla-metadata, and \/meta cannot be read/,
  )
  const other = unreadable.reopened('process')
  await (await start(other, '/other', ['node.id=7'])).stop()
  await assert.rejects(start(other, '/meta,/other'), /ottla-metadata: find out which one is right/)
  await other.remove('/other/ottla-metadata')
  await assert.rejects(
    start(other, '/meta,/other'),
    /\/meta belongs to node 1, but \/other to 7: log\.dirs may only name directories of one broker/,
  )
  await other.makeDirectory('/copy')
  await other.replaceFile('/copy/meta.properties', (await other.readFile('/more/meta.properties'))!)
  await assert.rejects(start(other, '/meta,/more,/copy'), /one is a copy of the other/)
})

test('groups whose partition of the offsets topic is lost have no coordinator; others go on', async () => {
  const disk = newDisk()
  const host = await start(disk)
  const client = host.connect()
  const find = async (group: string): Promise<ErrorName> => {
    const { coordinators } = await client.call('FindCoordinator', 4, {
      keyType: 0,
      coordinatorKeys: [group],
    })
    return errorName(coordinators[0]!.errorCode)
  }
  const commit = async (group: string): Promise<ErrorName> => {
    const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: null }]
    const { topics } = await client.call('OffsetCommit', 7, {
      groupId: group,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      topics: [{ name: 't', partitions }],
    })
    return errorName(topics[0]!.partitions[0]!.errorCode)
  }
  await host.createTopic('t')
  await find('any')
  const placeOf = (group: string) =>
    host.broker.replicas
      .find('__consumer_offsets', partitionFor(group, 4))!
      .log.directory.split('/')[1]
  const groups = ['a', 'b', 'c', 'd', 'e', 'f']
  const lost = groups.filter(group => placeOf(group) === 'more')
  const kept = groups.filter(group => placeOf(group) === 'meta')
  assert(lost.length > 1 && kept.length > 0, `${lost} and ${kept}`)
  for (const group of groups) assert.equal(await commit(group), 'NONE')
  const joining = client.call('JoinGroup', 3, {
    groupId: lost[1]!,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
  })
  failBelow(disk, '/more')
  await joining
  assert.equal(await commit(lost[0]!), 'NOT_COORDINATOR')
  for (const group of lost) {
    assert.equal(await find(group), 'COORDINATOR_NOT_AVAILABLE')
    assert.equal(await commit(group), 'NOT_COORDINATOR')
  }
  for (const group of kept) {
    assert.equal(await find(group), 'NONE')
    assert.equal(await commit(group), 'NONE')
  }
  await host.stop()
})

test('a disk that is lost for good: an unclean election brings its partitions back, empty, in a new term', async () => {
  const { disk, host, kept, lost } = await withLostDisk()
  await host.stop()
  const emptied = disk.reopened('process')
  await emptied.rename('/more', '/taken-out')
  const second = await start(emptied)
  const client = second.connect()
  const termOf = (index: number) => second.broker.replicas.partition('t', index).leaderEpoch
  const elect = (type: number, partitions: readonly number[]) => elections(client, type, partitions)
  const [line] = second.loggedErrors as { event: string; fields: Record<string, unknown> }[]
  assert.equal(line!.event, 'data directory missing')
  assert.equal(line!.fields['partitions'], lost.length)
  assert.match(String(line!.fields['remedy']), /ottla topic elect TOPIC --unclean/)
  const refused = await client.call('Produce', 9, produceOne('t', lost[0]!, await batchOf(['x'])))
  const said = refused.responses[0]!.partitionResponses[0]!.errorMessage
  assert.match(said!, /directory\.id .* is not here\. .*'ottla topic elect t --unclean'/)
  assert.deepEqual(await elect(0, [lost[0]!]), ['PREFERRED_LEADER_NOT_AVAILABLE'])
  assert.deepEqual(await elect(1, [kept[0]!, lost[0]!]), ['ELECTION_NOT_NEEDED', 'NONE'])
  assert.deepEqual(await elect(1, [lost[0]!]), ['ELECTION_NOT_NEEDED'])
  assert.deepEqual((await fetch(client, lost[0]!)).values, [])
  assert.equal(await produce(client, lost[0]!, 'new'), 'NONE')
  const [term, served] = [termOf(lost[0]!), termOf(kept[0]!)]
  assert.equal(term, served + 1)
  assert.equal(await produce(client, lost[1]!, 'x'), 'KAFKA_STORAGE_ERROR', 'not asked for')
  const { topics } = await client.call('Metadata', 12, { topics: [{ name: 't' }] })
  const leaders = topics[0]!.partitions.map(({ leaderId, leaderEpoch }) => [leaderId, leaderEpoch])
  assert.deepEqual([leaders[lost[0]!], leaders[lost[1]!]?.[0]], [[1, term], -1])
  await second.stop()
  const third = await start(emptied.reopened('process'))
  const reader = third.connect()
  assert.deepEqual((await fetch(reader, lost[0]!)).values, ['new'])
  // Null asks for all; those that have their leader are not told of.
  assert.deepEqual(await elections(reader, 1, null), ['NONE'])
  for (const index of kept)
    assert.deepEqual((await fetch(reader, index)).values, [`value ${index}`])
  await third.stop()
  const fourth = await start(emptied.reopened('process'))
  assert.deepEqual([fourth.broker.replicas.offlineCount, fourth.loggedErrors.length], [0, 0])
  await fourth.stop()
  // Whoever brings the old disk after all is not served two logs of one partition.
  await assert.rejects(
    start(emptied.reopened('process'), '/meta,/more,/taken-out'),
    /is in two data directories/,
  )
})

test('what may still be there is not brought back empty: its directory is only offline', async () => {
  const { disk, host, client, lost } = await withLostDisk()
  failBelow(disk, '/more')
  await produce(client, lost[0]!, 'x')
  assert.deepEqual(await elections(client, 1, lost), [
    'ELIGIBLE_LEADERS_NOT_AVAILABLE',
    'ELIGIBLE_LEADERS_NOT_AVAILABLE',
  ])
  const { replicaElectionResults } = await client.call('ElectLeaders', 2, {
    electionType: 1,
    topicPartitions: [{ topic: 't', partitions: [lost[0]!] }],
  })
  const { errorMessage } = replicaElectionResults[0]!.partitionResult[0]!
  assert.match(errorMessage!, /is not lost for good: it may be in \/more, which is offline: .*EIO/)
  await host.stop()
  const again = await start(disk.reopened('process'))
  assert.deepEqual((await fetch(again.connect(), lost[0]!)).values, [`value ${lost[0]}`])
  await again.stop()
})

test('a log that an earlier topic of that name left does not stand in for one on a lost disk', async () => {
  const { disk, host, lost } = await withLostDisk()
  await host.stop()
  const without = disk.reopened('process')
  failBelow(without, '/more')
  // With other ids than those of the first life.
  const dataDir = '/meta,/more,/third'
  const second = await startHost({ disk: without, dataDir, overrides, seed: 2 })
  const writer = second.connect()
  await writer.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 1000 })
  await second.createTopic('t', PARTITIONS)
  assert.deepEqual(placesOf(second).get('/third'), lost, 'what is in /more is of the old topic')
  assert.equal(await produce(writer, lost[0]!, 'of the new topic'), 'NONE')
  await second.stop()
  const third = await start(without.reopened('process'))
  const client = third.connect()
  for (const index of lost) assert.equal(await produce(client, index, 'x'), 'KAFKA_STORAGE_ERROR')
  assert.deepEqual(await elections(client, 1, lost), ['NONE', 'NONE'])
  assert.deepEqual((await fetch(client, lost[0]!)).values, [])
  await third.stop()
})

test('groups of a partition of the offsets topic that is brought back have a coordinator again', async () => {
  const disk = newDisk()
  const host = await start(disk)
  const find = async (client: FakeClient, group: string) => {
    const asked = { keyType: 0, coordinatorKeys: [group] }
    return errorName((await client.call('FindCoordinator', 4, asked)).coordinators[0]!.errorCode)
  }
  await find(host.connect(), 'any')
  const lost = Array.from(host.broker.replicas.all())
    .filter(({ log }) => log.directory.startsWith('/more/'))
    .map(({ index }) => index)
  assert.equal(lost.length, 2)
  await host.stop()
  const emptied = disk.reopened('process')
  await emptied.rename('/more', '/taken-out')
  const second = await start(emptied)
  const client = second.connect()
  const group = ['a', 'b', 'c', 'd', 'e', 'f'].find(id => lost.includes(partitionFor(id, 4)))!
  assert.equal(await find(client, group), 'COORDINATOR_NOT_AVAILABLE')
  assert.deepEqual(await elections(client, 1, lost, '__consumer_offsets'), ['NONE', 'NONE'])
  assert.equal(await find(client, group), 'NONE')
  const { errorCode: code } = await client.call('JoinGroup', 3, {
    groupId: group,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
  })
  assert.equal(errorName(code), 'NONE')
  await second.stop()
})

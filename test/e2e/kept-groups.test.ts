/**
 * What groups keep: groups of both protocols, and such that changed over, go on here with the members and offsets that Kafka
 * wrote, and both dump tools print the same of what either wrote.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeAssignment } from '../../protocol/messages/consumer-protocol.ts'
import { RawClient } from '../broker/raw-client.ts'
import { classicDescribed, consumersDescribed } from '../scenarios/described.ts'
import { subscription } from '../scenarios/script.ts'
import {
  KAFKA,
  missing,
  OTTLA,
  runWell,
  type Server,
  startKafka,
  startOttla,
  subjectIsKafka,
  until,
} from './harness.ts'

const overrides = {
  'group.consumer.assignment.interval.ms': '0',
  'group.initial.rebalance.delay.ms': '0',
  'offsets.topic.num.partitions': '3',
}
const PARTITIONS = [0, 1, 2, 3]
const GROUPS = ['classic', 'consumers', 'mixed', 'there-and-back', 'static', 'left']
const ALL = [{ topic: 'read', partitions: PARTITIONS }]

async function withClient<R>(server: Server, run: (client: RawClient) => Promise<R>): Promise<R> {
  const client = await RawClient.connect(server.port)
  try {
    return await run(client)
  } finally {
    await client.close()
  }
}

/** Every group can be spoken to. */
function coordinated(client: RawClient): Promise<void> {
  return until(async () => {
    const asked = { keyType: 0, coordinatorKeys: GROUPS }
    const { coordinators } = await client.call('FindCoordinator', 4, asked)
    const groups = GROUPS.map(groupId => ({ groupId, topics: null }))
    const { groups: fetched } = await client.call('OffsetFetch', 8, {
      groups,
      requireStable: false,
    })
    return [...coordinators, ...fetched].every(({ errorCode }) => errorCode === 0)
  }, 'a coordinator of every group')
}

/** A classic member that is alone, with all partitions; cooperative, so that it may be in a group of both protocols. */
async function joinClassic(client: RawClient, groupId: string, instance: string | null = null) {
  const said = subscription(['read'], [])
  const joined = await client.call('JoinGroup', 5, {
    ...{ groupId, memberId: '', groupInstanceId: instance, protocolType: 'consumer' },
    ...{ sessionTimeoutMs: 300_000, rebalanceTimeoutMs: 300_000 },
    protocols: [{ name: 'cooperative-sticky', metadata: said }],
  })
  let { memberId, generationId } = joined
  if (joined.errorCode !== 0) {
    const again = await client.call('JoinGroup', 5, {
      ...{ groupId, memberId, groupInstanceId: instance, protocolType: 'consumer' },
      ...{ sessionTimeoutMs: 300_000, rebalanceTimeoutMs: 300_000 },
      protocols: [{ name: 'cooperative-sticky', metadata: said }],
    })
    ;({ memberId, generationId } = again)
  }
  const assignments = [{ memberId, assignment: writeAssignment(ALL, said) }]
  const member = { groupId, memberId, generationId, groupInstanceId: instance }
  const synced = await client.call('SyncGroup', 3, { ...member, assignments })
  assert.equal(synced.errorCode, 0)
  return { memberId, generationId }
}

async function beat(client: RawClient, groupId: string, memberId: string, memberEpoch: number) {
  const isJoin = memberEpoch === 0
  const answer = await client.call('ConsumerGroupHeartbeat', 1, {
    ...{ groupId, memberId, memberEpoch, instanceId: groupId === 'static' ? 'i1' : null },
    ...{ rackId: null, rebalanceTimeoutMs: isJoin ? 300_000 : -1, serverAssignor: null },
    subscribedTopicNames: isJoin ? ['read'] : null,
    subscribedTopicRegex: null,
    topicPartitions: isJoin ? [] : null,
  })
  assert.equal(answer.errorCode, 0, answer.errorMessage ?? '')
  return answer.memberEpoch
}

async function commit(client: RawClient, groupId: string, memberId: string, epoch: number) {
  const partitions = PARTITIONS.map(partitionIndex => ({
    partitionIndex,
    committedOffset: partitionIndex * 7,
    committedMetadata: `${groupId} ${partitionIndex}`,
  }))
  const { topics } = await client.call('OffsetCommit', 9, {
    ...{ groupId, memberId, generationIdOrMemberEpoch: epoch },
    topics: [{ name: 'read', partitions }],
  })
  assert.deepEqual([...new Set(topics[0]!.partitions.map(one => one.errorCode))], [0])
}

/** Groups as they come to be in either broker; answers the epoch of the second of the consumers. */
async function form(client: RawClient): Promise<number> {
  const request = { name: 'read', numPartitions: PARTITIONS.length, replicationFactor: 1 }
  const topics = [{ ...request, assignments: [], configs: [] }]
  await client.call('CreateTopics', 7, { topics, timeoutMs: 10_000, validateOnly: false })
  await coordinated(client)
  const alone = await joinClassic(client, 'classic')
  await commit(client, 'classic', alone.memberId, alone.generationId)
  for (const groupId of ['consumers', 'static']) {
    // The first heartbeats of a group may come before Kafka knows of the topic.
    const epoch = await beat(client, groupId, `m-${groupId}`, 0)
    await commit(client, groupId, `m-${groupId}`, epoch)
  }
  const epochOfSecond = await beat(client, 'consumers', 'second', 0)
  for (const groupId of ['mixed', 'there-and-back']) {
    const first = await joinClassic(client, groupId)
    await commit(client, groupId, first.memberId, first.generationId)
    await beat(client, groupId, `m-${groupId}`, 0)
  }
  await beat(client, 'there-and-back', 'm-there-and-back', -1)
  const gone = await joinClassic(client, 'left', 'i2')
  await commit(client, 'left', gone.memberId, gone.generationId)
  const members = [{ memberId: gone.memberId, groupInstanceId: 'i2', reason: null }]
  await client.call('LeaveGroup', 5, { groupId: 'left', members })
  return epochOfSecond
}

/** All that can be seen of the groups from outside; a classic group that was in a rebalance is stable after a start. */
async function shown(client: RawClient): Promise<readonly string[]> {
  const lines: string[] = []
  for (const groupId of GROUPS) {
    const classic = await client.call('DescribeGroups', 6, { groups: [groupId] })
    const request = { groupIds: [groupId], includeAuthorizedOperations: false }
    const { groups } = await client.call('ConsumerGroupDescribe', 1, request)
    lines.push(...classicDescribed(classic.groups[0]!, true), ...consumersDescribed(groups[0]!))
    const asked = { groups: [{ groupId, topics: null }], requireStable: false }
    const fetched = await client.call('OffsetFetch', 8, asked)
    for (const { name, partitions } of fetched.groups[0]!.topics) {
      for (const { partitionIndex, committedOffset, metadata } of partitions) {
        lines.push(`${groupId}: ${name} ${partitionIndex} at ${committedOffset} '${metadata}'`)
      }
    }
  }
  return lines
    .map(line =>
      line.replace(/'PreparingRebalance' (type '\w*') protocol ''/, "'Stable' $1 protocol"),
    )
    .map(line => line.replace(/('Stable' type '\w*' protocol) '\S*'/, '$1'))
    .map(line => line.replace(/says (\S+|''), /, ''))
    .sort()
}

function offsetsFiles({ dataDir }: Server): string[] {
  const data = join(dataDir, 'data')
  const logs = readdirSync(data).filter(name => /^__consumer_offsets-\d+$/.test(name))
  return logs.sort().map(name => join(data, name, '00000000000000000000.log'))
}

/** What both tools print of the records; hashes of Kafka's have more digits than our numbers. */
async function dumped(server: Server): Promise<void> {
  const files = offsetsFiles(server)
  const ours = await runWell(process.execPath, [
    OTTLA,
    'log',
    'dump',
    '--offsets-decoder',
    ...files,
  ])
  const args = ['--offsets-decoder', '--print-data-log', '--files', files.join(',')]
  const theirs = await runWell(KAFKA, ['dump-log', ...args])
  const records = (text: Buffer) =>
    text
      .toString()
      .split('\n')
      .filter(line => line.startsWith('| offset'))
      .map(line => line.replace(/"metadataHash":-?\d+/, 'hash'))
  assert.ok(records(ours).length > 30)
  assert.deepEqual(records(ours), records(theirs))
}

const skip = missing('kafka') || subjectIsKafka

test('groups that Kafka kept go on here, and both dump tools print the same of them', {
  skip,
}, async () => {
  const kafka = await startKafka({ overrides })
  const epoch = await withClient(kafka, form)
  const before = await withClient(kafka, shown)
  await kafka.kill9()
  await dumped(kafka)
  const ours = await startOttla({ dataDir: kafka.dataDir, overrides })
  try {
    await withClient(ours, coordinated)
    assert.deepEqual(await withClient(ours, shown), before)
    const go = (client: RawClient) => beat(client, 'consumers', 'second', epoch)
    assert.ok((await withClient(ours, go)) >= epoch)
  } finally {
    await ours.stop()
  }
  await dumped(ours)
})

test("Kafka's dump tool and ours print the same of groups that we kept", { skip }, async () => {
  const ours = await startOttla({ overrides })
  await withClient(ours, form)
  await ours.kill9()
  await dumped(ours)
})

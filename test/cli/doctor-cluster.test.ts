/** What the doctor says of clusters that are ill, which answer from a script. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Finding } from '../../cli/doctor.ts'
import { checkCluster } from '../../cli/doctor-cluster.ts'
import { Admin } from '../../client/admin.ts'
import { Cluster } from '../../client/cluster.ts'
import type { ApiName, ResponseInput } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import { MemoryIo, type Script, ScriptedBroker } from '../client/memory-network.ts'

type Metadata = ResponseInput<'Metadata'>
type Partition = NonNullable<NonNullable<Metadata['topics']>[number]['partitions']>[number]

const GB = 2 ** 30

/** Two brokers that are well, but for what a test changes. */
async function diagnose(
  change: {
    readonly metadata?: Partial<Metadata>
    readonly partitions?: readonly Partial<Partition>[]
    readonly script?: Script
    readonly second?: Script
    /** What the second does not serve. */
    readonly lacks?: ApiName
  } = {},
): Promise<Finding[]> {
  const io = new MemoryIo()
  const partitions = (change.partitions ?? [{}]).map((partition, partitionIndex) => ({
    errorCode: 0,
    partitionIndex,
    leaderId: 1,
    replicaNodes: [1, 2],
    isrNodes: [1, 2],
    ...partition,
  }))
  const metadata: Metadata = {
    brokers: [1, 2].map(nodeId => ({ nodeId, host: `10.0.0.${nodeId}`, port: 9092 })),
    clusterId: 'c',
    controllerId: 1,
    topics: [{ errorCode: 0, name: 't', partitions }],
    ...change.metadata,
  }
  const script = (nodeId: number): Script => ({
    Metadata: () => metadata,
    Produce: () => 'hang',
    Fetch: () => 'hang',
    ListOffsets: () => 'hang',
    JoinGroup: () => 'hang',
    OffsetCommit: () => 'hang',
    DescribeConfigs: ({ resources }) => ({
      results: resources.map(resource => {
        const isOther = resource.resourceType === 4 && resource.resourceName !== String(nodeId)
        const value = { readOnly: false, isSensitive: false, synonyms: [] }
        return {
          ...resource,
          errorCode: isOther ? errorCode('INVALID_REQUEST') : 0,
          configs: [{ name: 'min.insync.replicas', value: '1', ...value }],
        }
      }),
    }),
    DescribeLogDirs: () => ({
      results: [
        { errorCode: 0, logDir: '/data', topics: [], totalBytes: 100 * GB, usableBytes: 50 * GB },
      ],
    }),
    FindCoordinator: () => ({
      coordinators: [{ key: 'g', nodeId: 2, host: '10.0.0.2', port: 9092, errorCode: 0 }],
    }),
    ...change.script,
  })
  new ScriptedBroker(io, '10.0.0.1', 9092, script(1))
  const second = new ScriptedBroker(io, '10.0.0.2', 9092, { ...script(2), ...change.second })
  if (change.lacks !== undefined) second.ranges[change.lacks] = null
  const options = { bootstrap: '10.0.0.1:9092', apiTimeoutMs: 5_000, connectTimeoutMs: 1_000 }
  const admin = new Admin(new Cluster(io, options))
  const findings: Finding[] = []
  const examination = {
    io,
    admin,
    connectTimeoutMs: 1_000,
    report: (level: Finding['level'], about: string, text: string, advice = '') =>
      void findings.push({ level, about, text, advice }),
  }
  await io.settle(checkCluster(examination, [], 'g'))
  admin.close()
  return findings
}

const ill = (findings: readonly Finding[]) =>
  findings
    .filter(({ level }) => level !== 'ok')
    .map(({ level, about, text }) => ({ level, about, text }))

test('a cluster that is well', async () => {
  const findings = await diagnose()
  assert.deepEqual(ill(findings), [])
  const texts = findings.map(({ about, text }) => `${about}: ${text}`)
  assert(texts.includes('broker 2 at 10.0.0.2:9092: 50.0 of 100.0 GiB (50 %) are free in /data'))
  assert(texts.includes("group 'g': its coordinator is broker 2 at 10.0.0.2:9092"))
})

test('partitions without a leader, with too few replicas, with one that is behind', async () => {
  const findings = await diagnose({
    partitions: [
      { leaderId: -1, isrNodes: [] },
      { isrNodes: [1] },
      {},
      { leaderId: -1, isrNodes: [] },
    ],
  })
  assert.deepEqual(ill(findings), [
    {
      level: 'problem',
      about: "topic 't'",
      text: '2 partitions (0, 3) have no leader: nothing can be written or read there',
    },
    {
      level: 'warning',
      about: "topic 't'",
      text: 'partition 1 has a replica that is down or behind',
    },
  ])
})

test('no controller', async () => {
  const [problem] = ill(await diagnose({ metadata: { controllerId: -1 } }))
  assert.equal(problem?.text, 'there is no controller at the moment')
})

test('a coordinator that is missing, or is a broker that is not there', async () => {
  const missing = { key: 'g', nodeId: -1, host: '', port: -1 }
  const notYet = { ...missing, errorCode: errorCode('COORDINATOR_NOT_AVAILABLE') }
  const [none] = ill(
    await diagnose({
      script: { FindCoordinator: () => ({ coordinators: [notYet] }) },
    }),
  )
  assert.equal(none?.about, "group 'g'")
  assert.match(none?.text ?? '', /^no coordinator: .*COORDINATOR_NOT_AVAILABLE/)
  const gone = { ...missing, nodeId: 9, errorCode: 0 }
  const [elsewhere] = ill(
    await diagnose({ script: { FindCoordinator: () => ({ coordinators: [gone] }) } }),
  )
  assert.equal(elsewhere?.text, 'its coordinator is broker 9, which is not there')
})

test('a disk that has failed, and one that is nearly full', async () => {
  const failed = { errorCode: errorCode('KAFKA_STORAGE_ERROR'), logDir: '/a', topics: [] }
  const full = { errorCode: 0, logDir: '/b', topics: [], totalBytes: 100 * GB, usableBytes: 9 * GB }
  const findings = await diagnose({
    second: { DescribeLogDirs: () => ({ results: [failed, full] }) },
  })
  assert.deepEqual(ill(findings), [
    {
      level: 'problem',
      about: 'broker 2 at 10.0.0.2:9092',
      text: 'its directory /a has failed (KAFKA_STORAGE_ERROR)',
    },
    {
      level: 'warning',
      about: 'broker 2 at 10.0.0.2:9092',
      text: '9.0 of 100.0 GiB (9 %) are free in /b',
    },
  ])
})

test('an address that leads to another broker of the cluster', async () => {
  const twice = [1, 2].map(nodeId => ({ nodeId, host: '10.0.0.1', port: 9092 }))
  const [problem] = ill(await diagnose({ metadata: { brokers: twice } }))
  assert.deepEqual(problem, {
    level: 'problem',
    about: 'broker 2 at 10.0.0.1:9092',
    text: 'another broker of the cluster answers there',
  })
})

test('a broker that lacks what groups need is warned about; a controller is no broker', async () => {
  const groupless = await diagnose({ lacks: 'JoinGroup' })
  assert.match(ill(groupless)[0]?.text ?? '', /^it serves no groups: JoinGroup is missing/)
  const fetchless = await diagnose({ lacks: 'Fetch' })
  assert.match(ill(fetchless)[0]?.text ?? '', /^no version of Fetch in common with this client/)
  const controller = await diagnose({ lacks: 'Metadata' })
  assert.match(ill(controller)[0]?.text ?? '', /this is the port of a controller/)
})

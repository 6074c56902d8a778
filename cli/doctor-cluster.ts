/**
 * A cluster as a client meets it once one of its brokers answers: whether the addresses that brokers give for themselves lead
 * to them, whether every partition has a leader and enough replicas, whether a coordinator is found, and how full disks are.
 */
import type { Admin, TopicDescription } from '../client/admin.ts'
import { formatAddress } from '../client/config.ts'
import type { Connection } from '../client/connection.ts'
import { AnswerError, rootError } from '../client/errors.ts'
import type { ResponseOf } from '../protocol/apis.ts'
import { codecs, compress } from '../protocol/compression.ts'
import { errorCode, errorName } from '../protocol/errors.ts'
import type { Io } from '../protocol/io.ts'
import type { Report } from './doctor.ts'
import { checkAddress } from './doctor-address.ts'

export interface ClusterExamination {
  readonly io: Io
  readonly admin: Admin
  readonly connectTimeoutMs: number
  readonly report: Report
}

type Metadata = ResponseOf<'Metadata'>
type Broker = Metadata['brokers'][number]

const PACKAGES: { readonly [codec: string]: string } = {
  snappy: 'snappy',
  lz4: 'lz4-napi',
  zstd: '@mongodb-js/zstd',
}

/** Whether each codec can be loaded on this machine. */
export async function checkCodecs(report: Report): Promise<void> {
  const loaded: string[] = []
  for (const [name, codec] of Object.entries(codecs)) {
    try {
      await compress(codec, Buffer.from('ottla'))
      loaded.push(name)
    } catch (error) {
      const text = `${name} does not work here: ${(error as Error).message}`
      report('warning', 'codecs', text, `install the package ${PACKAGES[name] ?? name}`)
    }
  }
  report('ok', 'codecs', `${loaded.join(', ')} work here`)
}

/** Everything behind the bootstrap addresses. `topics` have to be there; none: all that there are. */
export async function checkCluster(
  examination: ClusterExamination,
  topics: readonly string[],
  group: string,
): Promise<void> {
  const { admin, report } = examination
  const { cluster } = admin
  const metadata = await cluster.run('metadata', {}, attempt =>
    cluster.metadata(topics.length === 0 ? null : topics, attempt),
  )
  const { clusterId, brokers, controllerId } = metadata
  const size = `${brokers.length} ${brokers.length === 1 ? 'broker' : 'brokers'}`
  report('ok', 'cluster', `id ${clusterId ?? 'unknown'}, ${size}`)
  if (!brokers.some(({ nodeId }) => nodeId === controllerId)) {
    const text = 'there is no controller at the moment'
    report('problem', 'cluster', text, 'topics cannot be created: see whether a broker is down')
  }
  for (const broker of brokers) await checkBroker(examination, broker, clusterId)
  await checkTopics(examination, metadata)
  await checkCoordinator(examination, group)
}

async function checkBroker(
  examination: ClusterExamination,
  broker: Broker,
  clusterId: string | null,
): Promise<void> {
  const { io, connectTimeoutMs, report } = examination
  const label = `broker ${broker.nodeId} at ${formatAddress(broker)}`
  const advice =
    "clients are told this address by the cluster: check that the broker runs, and its setting 'advertised.listeners'"
  const connection = await checkAddress(io, broker, { label, advice, connectTimeoutMs, report })
  if (connection === null) return
  try {
    const metadata = await connection.send('Metadata', { topics: [] })
    if (metadata.clusterId !== clusterId) {
      const text = `a broker of another cluster answers there, ${metadata.clusterId}`
      report('problem', label, text, advice)
    } else if (await isBroker(connection, broker.nodeId))
      await checkDisks(connection, label, report)
    else report('problem', label, 'another broker of the cluster answers there', advice)
  } catch (error) {
    report('problem', label, (error as Error).message.replace(/\.$/, ''))
  } finally {
    connection.close()
  }
}

/** A broker describes no settings but its own. */
async function isBroker(connection: Connection, nodeId: number): Promise<boolean> {
  const resource = { resourceType: 4, resourceName: String(nodeId) }
  const { results } = await connection.send('DescribeConfigs', {
    resources: [{ ...resource, configurationKeys: ['broker.id'] }],
  })
  return results[0]?.errorCode !== errorCode('INVALID_REQUEST')
}

/** Below it a disk is nearly full. */
const FEW_PERCENT = 10

async function checkDisks(connection: Connection, label: string, report: Report): Promise<void> {
  if (!connection.serves('DescribeLogDirs')) return
  // An empty list of topics: only the directories.
  const answer = await connection.send('DescribeLogDirs', { topics: [] })
  if (answer.errorCode !== 0) {
    report('warning', label, `it does not show its disks (${errorName(answer.errorCode)})`)
  }
  for (const { errorCode: code, logDir, totalBytes, usableBytes } of answer.results) {
    if (code !== 0) {
      const text = `its directory ${logDir} has failed (${errorName(code)})`
      report('problem', label, text, "look at the disk and into the broker's log, then restart it")
    } else if (totalBytes > 0) {
      const percent = Math.floor((usableBytes / totalBytes) * 100)
      const text = `${gibibytes(usableBytes)} of ${gibibytes(totalBytes)} GiB (${percent} %) are free in ${logDir}`
      if (percent >= FEW_PERCENT) report('ok', label, text)
      else report('warning', label, text, 'a full disk refuses records: delete some, or add space')
    }
  }
}

function gibibytes(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1)
}

async function checkTopics(
  { admin, report }: ClusterExamination,
  { topics }: Metadata,
): Promise<void> {
  const usable: TopicDescription[] = []
  for (const topic of topics) {
    const { name, errorCode: code } = topic
    if (name !== null && code === 0) usable.push({ ...topic, name })
    else if (code !== 0) {
      const { message } = new AnswerError(code, { api: 'Metadata' })
      report('problem', `topic '${name}'`, message.replace(/\.$/, ''))
    }
  }
  const least = await leastReplicas(admin, usable)
  let sound = 0
  for (const topic of usable) if (checkTopic(topic, least.get(topic.name) ?? 1, report)) sound++
  if (sound > 0) report('ok', 'topics', `${sound} with a leader and all replicas everywhere`)
}

function checkTopic({ name, partitions }: TopicDescription, least: number, report: Report) {
  const about = `topic '${name}'`
  const those = (wanted: (partition: TopicDescription['partitions'][number]) => boolean) =>
    partitions.filter(wanted).map(({ partitionIndex }) => partitionIndex)
  const leaderless = those(({ leaderId }) => leaderId < 0)
  if (leaderless.length > 0) {
    const text = `${listed(leaderless)} no leader: nothing can be written or read there`
    report('problem', about, text, 'start the brokers that hold it')
  }
  const few = those(({ leaderId, isrNodes }) => leaderId >= 0 && isrNodes.length < least)
  if (few.length > 0) {
    const text = `${listed(few)} fewer replicas in sync than min.insync.replicas (${least}): acks=all is refused`
    report('problem', about, text, 'start the brokers that hold it, or lower min.insync.replicas')
  }
  const behind = those(
    p => p.leaderId >= 0 && p.isrNodes.length >= least && p.isrNodes.length < p.replicaNodes.length,
  )
  if (behind.length > 0) {
    const text = `${listed(behind)} a replica that is down or behind`
    report('warning', about, text, 'see whether a broker is down or overloaded')
  }
  return leaderless.length + few.length + behind.length === 0
}

const LISTED_MAX = 5

function listed(indexes: readonly number[]): string {
  if (indexes.length === 1) return `partition ${indexes[0]} has`
  const more = indexes.length > LISTED_MAX ? ', …' : ''
  return `${indexes.length} partitions (${indexes.slice(0, LISTED_MAX).join(', ')}${more}) have`
}

/** min.insync.replicas of each topic, as far as the cluster shows settings. */
async function leastReplicas(
  admin: Admin,
  topics: readonly TopicDescription[],
): Promise<Map<string, number>> {
  if (topics.length === 0) return new Map()
  const resources = topics.map(({ name }) => ({ type: 'topic', name }) as const)
  const found = await admin.describeConfigs(resources).catch(() => [])
  const setting = 'min.insync.replicas'
  return new Map(
    found.map(({ name, configs }) => {
      const value = configs.find(config => config.name === setting)?.value
      return [name, Number(value ?? 1)]
    }),
  )
}

/** A first consumer may have the offsets topic created: that takes a moment. */
const COORDINATOR_WITHIN_MS = 10_000

async function checkCoordinator(
  { admin, report }: ClusterExamination,
  group: string,
): Promise<void> {
  const { cluster } = admin
  const about = `group '${group}'`
  const timeoutMs = Math.min(COORDINATOR_WITHIN_MS, cluster.config.apiTimeoutMs)
  try {
    const found = await cluster.run('looking for a coordinator', { timeoutMs }, async attempt => {
      const request = (version: number) =>
        version < 4
          ? { key: group, ...(version > 0 && { keyType: 0 }) }
          : { keyType: 0, coordinatorKeys: [group] }
      const answer = await cluster.request('any', 'FindCoordinator', request, attempt)
      const coordinator = answer.coordinators[0] ?? answer
      const { errorCode: code, errorMessage } = coordinator
      if (code === 0) return coordinator
      const place = { api: 'FindCoordinator', broker: attempt.asked, subject: about }
      throw new AnswerError(code, place, errorMessage)
    })
    const isKnown = cluster.nodeIds.includes(found.nodeId)
    if (isKnown) report('ok', about, `its coordinator is ${cluster.label(found.nodeId)}`)
    else report('problem', about, `its coordinator is broker ${found.nodeId}, which is not there`)
  } catch (error) {
    const reason = (rootError(error) as Error).message.replace(/\.$/, '')
    const advice =
      "consumer groups cannot work: check that the brokers of the topic '__consumer_offsets' run, and that offsets.topic.replication.factor is at most the number of brokers"
    report('problem', about, `no coordinator: ${reason}`, advice)
  }
}

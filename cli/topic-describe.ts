/** `ottla topic describe`: what is known of a topic, for people and as JSON. */
import { ackSentences, durabilityOf } from '../broker/acks.ts'
import type { Admin, ConfigEntry, TopicDescription } from '../client/admin.ts'
import { sourceOf } from './config-tables.ts'
import { table } from './topic-tables.ts'

interface PartitionOffsets {
  readonly earliest: number | null
  readonly latest: number | null
}

export interface Described {
  readonly topic: TopicDescription
  readonly configs: readonly ConfigEntry[]
  /** By partition; null where the leader did not say. */
  readonly offsets: ReadonlyMap<number, PartitionOffsets>
}

/** A partition that is slow to answer should not hold up the description for long. */
const OFFSETS_WITHIN_MS = 5_000

const DEFAULT_SOURCE = 5

/** Adds settings and offsets to what the metadata says. */
export async function readDescriptions(
  admin: Admin,
  topics: readonly TopicDescription[],
): Promise<Described[]> {
  if (topics.length === 0) return []
  const resources = topics.map(({ name }) => ({ type: 'topic', name }) as const)
  const [configs, offsets] = await Promise.all([
    admin.describeConfigs(resources),
    readOffsets(admin, topics),
  ])
  const byName = new Map(configs.map(({ name, configs }) => [name, configs]))
  return topics.map(topic => ({
    topic,
    configs: byName.get(topic.name) ?? [],
    offsets: offsets.get(topic.name) ?? new Map(),
  }))
}

async function readOffsets(
  admin: Admin,
  topics: readonly TopicDescription[],
): Promise<Map<string, Map<number, PartitionOffsets>>> {
  const queries = topics.flatMap(({ name, partitions }) =>
    partitions
      .filter(({ leaderId }) => leaderId >= 0)
      .flatMap(({ partitionIndex: partition }) => [
        { topic: name, partition, at: 'earliest' } as const,
        { topic: name, partition, at: 'latest' } as const,
      ]),
  )
  const timeoutMs = Math.min(OFFSETS_WITHIN_MS, admin.cluster.config.apiTimeoutMs)
  const answers = queries.length === 0 ? [] : await admin.listOffsets(queries, { timeoutMs })
  const found = new Map<string, Map<number, PartitionOffsets>>()
  for (const { topic, partition, at, offset, error } of answers) {
    const ofTopic = found.get(topic) ?? new Map<number, PartitionOffsets>()
    const before = ofTopic.get(partition) ?? { earliest: null, latest: null }
    ofTopic.set(partition, { ...before, [at]: error === null ? offset : null })
    found.set(topic, ofTopic)
  }
  return found
}

export function describeText(described: Described): string {
  const { topic, configs } = described
  const { name, topicId, isInternal, partitions } = topic
  const lines = [`Topic ${name}${isInternal ? ' (internal)' : ''}, id ${topicId}`, '']
  const rows = topic.partitions.map(partition => partitionRow(described, partition))
  lines.push(table(HEAD, rows))
  const changed = configs.filter(isChanged)
  lines.push(changed.length === 0 ? 'Settings: all default' : 'Settings that differ:')
  for (const config of changed) {
    lines.push(`  ${config.name}=${config.value ?? '(hidden)'}  (${sourceOf(config)})`)
  }
  lines.push('', 'What an ack means:')
  const durability = durabilityOf(valuesOf(configs), partitions)
  for (const sentence of ackSentences(durability)) lines.push(`  ${sentence}`)
  return `${lines.join('\n')}\n`
}

const HEAD = [
  'PARTITION',
  'LEADER',
  'REPLICAS',
  'IN SYNC',
  'OFFLINE',
  'EARLIEST',
  'LATEST',
  'COUNT',
]

type Partition = TopicDescription['partitions'][number]

function partitionRow({ offsets }: Described, partition: Partition): (string | number)[] {
  const { partitionIndex, leaderId, replicaNodes, isrNodes, offlineReplicas } = partition
  const { earliest = null, latest = null } = offsets.get(partitionIndex) ?? {}
  return [
    partitionIndex,
    leaderId < 0 ? 'none' : leaderId,
    replicaNodes.join(','),
    isrNodes.join(','),
    offlineReplicas.length === 0 ? '-' : offlineReplicas.join(','),
    earliest ?? '?',
    latest ?? '?',
    earliest === null || latest === null ? '?' : latest - earliest,
  ]
}

export function describeJson(described: Described) {
  const { topic, configs, offsets } = described
  return {
    name: topic.name,
    topicId: topic.topicId,
    isInternal: topic.isInternal,
    partitions: topic.partitions.map(partition => ({
      partition: partition.partitionIndex,
      leader: partition.leaderId < 0 ? null : partition.leaderId,
      leaderEpoch: partition.leaderEpoch,
      replicas: partition.replicaNodes,
      inSync: partition.isrNodes,
      offline: partition.offlineReplicas,
      earliest: offsets.get(partition.partitionIndex)?.earliest ?? null,
      latest: offsets.get(partition.partitionIndex)?.latest ?? null,
    })),
    configs: Object.fromEntries(
      configs
        .filter(isChanged)
        .map(config => [config.name, { value: config.value, source: sourceOf(config) }]),
    ),
    acks: ackSentences(durabilityOf(valuesOf(configs), topic.partitions)),
  }
}

function isChanged({ configSource }: ConfigEntry): boolean {
  return configSource !== DEFAULT_SOURCE
}

function valuesOf(configs: readonly ConfigEntry[]): Map<string, string | null> {
  return new Map(configs.map(({ name, value }) => [name, value]))
}

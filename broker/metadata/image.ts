/**
 * `ClusterImage`: an immutable picture of the metadata at one revision. Requests read only this, never the store; a
 * change of the store makes a new image that shares with the old one whatever did not change.
 *
 * Keys of the store, values in JSON:
 *
 *   meta                        { format, clusterId }                            the store belongs to a broker of ours
 *   t/<name>                    { id, partitions }                               a topic
 *   p/<topicId>/<partition>     { leader, leaderEpoch, partitionEpoch, replicas, isr }
 *   c/topic/<name>              { "<setting>": "<value>", … }                    dynamic settings
 *   c/broker/<nodeId>           the same; an empty node id: for all brokers
 *   c/group/<group>             the same of a consumer group, whose id is percent-encoded
 *   pid                         { next }                                         producer ids below it are given away
 *
 * Partitions hang on the topic's id, so that a topic made again never meets the state of its predecessor. A topic and
 * its partitions appear in one revision; partitions without a topic are invisible.
 */
import type { Entry, Update } from './store.ts'

export interface PartitionImage {
  /** -1: there is no leader. */
  readonly leader: number
  readonly leaderEpoch: number
  /** Rises with every change of this partition's state. */
  readonly partitionEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
}

export interface TopicImage {
  readonly name: string
  /** Kafka's text form of the UUID. */
  readonly id: string
  readonly partitions: readonly PartitionImage[]
  /** Settings that were given for this topic, by Kafka's names. */
  readonly configs: Configs
  readonly isInternal: boolean
}

export type Configs = Readonly<Record<string, string>>

export interface ClusterImage {
  readonly clusterId: string
  readonly revision: number
  readonly topics: ReadonlyMap<string, TopicImage>
  readonly topicsById: ReadonlyMap<string, TopicImage>
  /** Dynamic broker settings by node id; '' holds those for all brokers. */
  readonly brokerConfigs: ReadonlyMap<string, Configs>
  /** Settings of groups by group id. */
  readonly groupConfigs: ReadonlyMap<string, Configs>
}

export interface TopicRecord {
  readonly id: string
  readonly partitions: number
}

export const topicKey = (name: string): string => `t/${name}`
export const partitionKey = (topicId: string, index: number): string => `p/${topicId}/${index}`
/** A group id may contain anything. */
export const configKey = (type: 'topic' | 'broker' | 'group', name: string): string =>
  `c/${type}/${type === 'group' ? encodeURIComponent(name) : name}`

const INTERNAL_TOPICS = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
])

/** Whether a topic of this name belongs to the brokers themselves. */
export function isInternalTopic(name: string): boolean {
  return INTERNAL_TOPICS.has(name)
}

export function emptyImage(clusterId: string): ClusterImage {
  const none = new Map<string, never>()
  return {
    clusterId,
    revision: 0,
    topics: none,
    topicsById: none,
    brokerConfigs: none,
    groupConfigs: none,
  }
}

export function imageFromEntries(
  clusterId: string,
  revision: number,
  entries: readonly Entry[],
): ClusterImage {
  const updates = entries.map(({ key, value }) => ({ key, value, revision }))
  return applyUpdates(emptyImage(clusterId), revision, updates)
}

const NO_CONFIGS: Configs = {}
const LEADERLESS: PartitionImage = {
  leader: -1,
  leaderEpoch: 0,
  partitionEpoch: 0,
  replicas: [],
  isr: [],
}

/** What the updates say of one topic. */
interface TopicChange {
  record?: TopicRecord | null
  configs?: Configs
}

/** The image after a revision. Costs the topics that it touches, and one copy of each map that it changes. */
export function applyUpdates(
  image: ClusterImage,
  revision: number,
  updates: readonly Update[],
): ClusterImage {
  const changes = new Map<string, TopicChange>()
  const partitions = new Map<string, Map<number, PartitionImage | null>>()
  let { brokerConfigs, groupConfigs } = image
  for (const update of updates) {
    const [kind, first = '', second = ''] = splitKey(update.key)
    if (kind === 't') changeOf(changes, first).record = parse<TopicRecord>(update)
    else if (kind === 'p') {
      let ofTopic = partitions.get(first)
      if (ofTopic === undefined) partitions.set(first, (ofTopic = new Map()))
      ofTopic.set(Number(second), parse<PartitionImage>(update))
    } else if (kind === 'c' && first === 'topic') {
      changeOf(changes, second).configs = parse<Configs>(update) ?? NO_CONFIGS
    } else if (kind === 'c' && first === 'broker') {
      brokerConfigs = withConfigs(brokerConfigs, second, parse<Configs>(update))
    } else if (kind === 'c' && first === 'group') {
      groupConfigs = withConfigs(groupConfigs, decodeURIComponent(second), parse<Configs>(update))
    }
  }
  for (const id of partitions.keys()) {
    const topic = image.topicsById.get(id)
    if (topic !== undefined) changeOf(changes, topic.name)
  }
  if (changes.size === 0) return { ...image, revision, brokerConfigs, groupConfigs }
  const topics = new Map(image.topics)
  const topicsById = new Map(image.topicsById)
  for (const [name, change] of changes) {
    const before = topics.get(name)
    const after = changedTopic(name, before, change, partitions)
    if (before !== undefined && before.id !== after?.id) topicsById.delete(before.id)
    if (after === undefined) topics.delete(name)
    else {
      topics.set(name, after)
      topicsById.set(after.id, after)
    }
  }
  return { ...image, revision, topics, topicsById, brokerConfigs, groupConfigs }
}

function changedTopic(
  name: string,
  before: TopicImage | undefined,
  change: TopicChange,
  partitions: ReadonlyMap<string, ReadonlyMap<number, PartitionImage | null>>,
): TopicImage | undefined {
  if (change.record === null) return undefined
  const id = change.record?.id ?? before?.id
  if (id === undefined) return undefined
  const same = before !== undefined && before.id === id ? before : undefined
  const count = change.record?.partitions ?? same?.partitions.length ?? 0
  const changed = partitions.get(id)
  const list: PartitionImage[] = []
  for (let i = 0; i < count; i++) {
    list.push(changed?.get(i) ?? same?.partitions[i] ?? LEADERLESS)
  }
  const configs = change.configs ?? same?.configs ?? NO_CONFIGS
  return { name, id, partitions: list, configs, isInternal: isInternalTopic(name) }
}

function changeOf(changes: Map<string, TopicChange>, name: string): TopicChange {
  let change = changes.get(name)
  if (change === undefined) changes.set(name, (change = {}))
  return change
}

function withConfigs(
  all: ReadonlyMap<string, Configs>,
  name: string,
  configs: Configs | null,
): ReadonlyMap<string, Configs> {
  const changed = new Map(all)
  if (configs === null) changed.delete(name)
  else changed.set(name, configs)
  return changed
}

/** Neither topic names nor ids nor node ids contain a slash. */
function splitKey(key: string): readonly string[] {
  return key.split('/')
}

function parse<T>({ key, value }: Update): T | null {
  if (value === null) return null
  try {
    return JSON.parse(value) as T
  } catch (cause) {
    throw new Error(`metadata under '${key}' is not readable`, { cause })
  }
}

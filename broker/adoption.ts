/**
 * Adoption: a data directory that Kafka wrote becomes ours, once.
 *
 * Where the metadata store has nothing yet, each `<topic>-<n>` directory with a `partition.metadata` becomes a
 * partition: the topic's id from there, as many partitions as the highest number says. Kafka keeps settings elsewhere, so
 * nothing of an adopted topic is deleted before somebody says how long it is to be kept; those of Kafka itself are compacted. All of it is
 * one commit together with the `meta` key, so a crash leaves the directory either adopted or untouched. From then on the
 * store alone says what exists, and a directory that it does not know is named and left alone: serving it could bring
 * back a deleted topic.
 */
import { ProtocolError } from '../protocol/errors.ts'
import type { Disk } from '../segment-store/disk.ts'
import type { Logger } from './logger.ts'
import { creation } from './metadata/controller.ts'
import {
  type ClusterImage,
  isInternalTopic,
  type PartitionImage,
  type TopicImage,
} from './metadata/image.ts'
import type { MetadataStore } from './metadata/store.ts'
import { topicNameFault } from './metadata/topic-name.ts'

const META_KEY = 'meta'
const FORMAT = 1
/** It may be a compacted topic, or one that keeps everything: the default would delete its records a week after they came. */
const KEPT_WHOLE = { 'retention.ms': '-1', 'retention.bytes': '-1' }
/** What Kafka gives to topics of its own, whatever its settings are, and the sizes that it has unless told otherwise. */
const COMPACTED = { 'cleanup.policy': 'compact', 'segment.bytes': '104857600' }
const KNOWN: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  __consumer_offsets: { ...COMPACTED, 'compression.type': 'producer' },
  __transaction_state: { ...COMPACTED, 'compression.type': 'uncompressed' },
}
/** A number above this in the name of a directory is no partition: the ones below it would all be made. */
const MAX_PARTITION = 100_000

export interface FoundPartition {
  readonly topic: string
  readonly partition: number
  /** From `partition.metadata`; null where there is none. */
  readonly topicId: string | null
  readonly directory: string
}

/** What adoption needs to know of the data directory. */
export interface AdoptableDirectory {
  /** Those that are not open. */
  unopened(): readonly FoundPartition[]
}

export interface AdoptionOptions {
  readonly store: MetadataStore
  readonly directory: AdoptableDirectory
  readonly disk: Disk
  readonly nodeId: number
  readonly logger: Logger
}

/** Makes the store ours if it is empty; does nothing to one that is. */
export async function adoptOnce(options: AdoptionOptions): Promise<void> {
  const { store, directory, logger } = options
  const { entries } = await store.range(META_KEY)
  if (entries.some(({ key }) => key === META_KEY)) return
  const { clusterId } = await store.info()
  const changes = [{ key: META_KEY, value: JSON.stringify({ format: FORMAT, clusterId }) }]
  const topics = groupByTopic(directory.unopened())
  const adopted = await Promise.all(
    [...topics].map(([name, found]) => adoptTopic(name, found, options)),
  )
  const { ok } = await store.commit(
    [{ key: META_KEY, createRevision: 0 }],
    [...changes, ...adopted.flatMap(topic => creation(topic))],
  )
  if (!ok)
    throw new ProtocolError('UNKNOWN_SERVER_ERROR', 'another broker adopted at the same time')
  for (const { name: topic, id: topicId, partitions, configs } of adopted)
    logger.info('topic adopted', { topic, topicId, partitions: partitions.length, configs })
}

/** Names the directories of partitions that the metadata does not know; they are not touched. */
export function nameUnknown(
  image: ClusterImage,
  directory: AdoptableDirectory,
  logger: Logger,
): void {
  for (const found of directory.unopened()) {
    const why = whyUnknown(image.topics.get(found.topic), found)
    if (why === null) continue
    const { topic, partition } = found
    logger.warn('directory left alone', { directory: found.directory, topic, partition, why })
  }
}

function whyUnknown(topic: TopicImage | undefined, found: FoundPartition): string | null {
  if (topic === undefined) {
    return found.topicId === null
      ? 'there is no such topic, and it has no partition.metadata'
      : 'there is no such topic'
  }
  if (found.partition >= topic.partitions.length) return 'the topic has fewer partitions'
  const isOther = found.topicId !== null && found.topicId !== topic.id
  return isOther ? 'it belongs to another topic of this name' : null
}

/** What can be adopted, by topic; `nameUnknown` names the rest. */
function groupByTopic(
  found: readonly FoundPartition[],
): ReadonlyMap<string, readonly FoundPartition[]> {
  const topics = new Map<string, FoundPartition[]>()
  const usable = found.filter(
    ({ topic, topicId, partition }) =>
      topicId !== null && partition <= MAX_PARTITION && topicNameFault(topic) === null,
  )
  for (const each of usable.sort((a, b) => a.partition - b.partition)) {
    const same = topics.get(each.topic)
    if (same === undefined) topics.set(each.topic, [each])
    else if (same[0]!.topicId === each.topicId) same.push(each)
  }
  return topics
}

async function adoptTopic(
  name: string,
  found: readonly FoundPartition[],
  { disk, nodeId }: AdoptionOptions,
) {
  const replicas = [nodeId]
  const fresh = { leader: nodeId, leaderEpoch: 0, partitionEpoch: 0, replicas, isr: replicas }
  const partitions = Array.from(
    { length: found.at(-1)!.partition + 1 },
    (): PartitionImage => fresh,
  )
  for (const { partition, directory } of found) {
    // We are a new leader: our term comes after all that wrote to this log.
    const leaderEpoch = (await latestEpoch(disk, directory)) + 1
    partitions[partition] = { ...fresh, leaderEpoch }
  }
  const id = found[0]!.topicId!
  const configs = KNOWN[name] ?? KEPT_WHOLE
  return { name, id, partitions, configs, isInternal: isInternalTopic(name) }
}

/** The last epoch in `leader-epoch-checkpoint` (a version, a count, then "epoch startOffset" lines); -1 if none. */
async function latestEpoch(disk: Disk, directory: string): Promise<number> {
  const file = await disk.readFile(`${directory}/leader-epoch-checkpoint`)
  const lines = file?.toString('utf8').split('\n').slice(2) ?? []
  const epochs = lines.map(line => Number.parseInt(line, 10)).filter(Number.isSafeInteger)
  return epochs.reduce((a, b) => Math.max(a, b), -1)
}

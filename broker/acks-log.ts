/**
 * Says at the start in words what an acknowledgement means, once for each meaning that topics here have (acks.ts): an
 * operator should not learn it from a power cut.
 */
import { INT64_MAX } from '../protocol/buffer.ts'
import { logConfigFor } from '../segment-store/config.ts'
import { ackSentences } from './acks.ts'
import type { Broker } from './broker.ts'
import type { TopicImage } from './metadata/image.ts'

/** Names of topics in one line; of the rest the number is enough. */
const NAMED_TOPICS = 10

/** One line for each meaning, with its topics; where there is no topic, one for what new topics get. */
export function sayWhatAcksMean(broker: Broker): void {
  const topics = [...broker.image.topics.values()].filter(({ isInternal }) => !isInternal)
  const byMeaning = new Map<string, string[]>()
  for (const topic of topics) {
    const words = meaningOf(broker, topic)
    const names = byMeaning.get(words)
    if (names === undefined) byMeaning.set(words, [topic.name])
    else names.push(topic.name)
  }
  if (topics.length === 0) byMeaning.set(meaningOf(broker, null), [])
  for (const [words, names] of byMeaning) {
    broker.logger.info('what an acknowledgement means', {
      topics: names.length === 0 ? 'new ones' : names.slice(0, NAMED_TOPICS),
      ...(names.length > NAMED_TOPICS ? { more: names.length - NAMED_TOPICS } : {}),
      words,
    })
  }
}

function meaningOf({ config }: Broker, topic: TopicImage | null): string {
  const settings = logConfigFor(config.topicDefaults, topic?.configs ?? {})
  const orNull = (value: number) => (value >= INT64_MAX ? null : value)
  const partitions = topic?.partitions ?? []
  return ackSentences({
    replicationFactor: Math.max(1, ...partitions.map(({ replicas }) => replicas.length)),
    inSync: partitions.map(({ isr }) => isr.length),
    minInsyncReplicas: settings.minInsyncReplicas,
    flushMessages: orNull(settings.flushMessages),
    flushMs: orNull(settings.flushMs),
    uncleanLeaderElection: settings.uncleanLeaderElectionEnable,
  }).join(' ')
}

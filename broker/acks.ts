/**
 * What an acknowledgement means for a topic, in words: which copies exist when a producer hears that its record was
 * taken, in whose memory or on whose disk, and what could still lose it.
 */

export interface TopicDurability {
  readonly replicationFactor: number
  /** The in-sync replicas of each partition that has a leader. */
  readonly inSync: readonly number[]
  readonly minInsyncReplicas: number
  /** A sync after this many records; null: never for this reason. */
  readonly flushMessages: number | null
  /** A sync after this time; null: never for this reason. */
  readonly flushMs: number | null
  readonly uncleanLeaderElection: boolean
}

/** Settings at or above this are Kafka's "never" (Long.MAX_VALUE). */
const NEVER = 2 ** 62

/** Reads the settings that decide it; what the broker does not say counts as Kafka's default. */
export function durabilityOf(
  configs: ReadonlyMap<string, string | null>,
  partitions: readonly {
    readonly replicaNodes: readonly number[]
    readonly isrNodes: readonly number[]
  }[],
): TopicDurability {
  const number = (name: string): number | null => {
    const value = Number(configs.get(name) ?? Number.NaN)
    return Number.isNaN(value) || value >= NEVER ? null : value
  }
  return {
    replicationFactor: Math.max(0, ...partitions.map(p => p.replicaNodes.length)),
    inSync: partitions.map(p => p.isrNodes.length),
    minInsyncReplicas: number('min.insync.replicas') ?? 1,
    flushMessages: number('flush.messages'),
    flushMs: number('flush.ms'),
    uncleanLeaderElection: configs.get('unclean.leader.election.enable') === 'true',
  }
}

/** Sentences, the important ones first. */
export function ackSentences(topic: TopicDurability): string[] {
  const { replicationFactor: replicas, flushMessages } = topic
  const place = flushMessages === 1 ? 'on disk' : "in its machine's memory (page cache)"
  const risk = replicas > 1 ? '; it is lost if the leader fails before another has copied it' : ''
  return [
    `acks=1: the leader has the record ${place}${risk}.`,
    acksAll(topic),
    powerCut(topic),
    ...warnings(topic),
  ]
}

function acksAll({
  replicationFactor: replicas,
  minInsyncReplicas,
  flushMessages,
}: TopicDurability) {
  if (replicas <= 1) return 'acks=all: the same, as there is only one replica.'
  const where = flushMessages === 1 ? 'on disk' : 'in memory'
  const least = Math.min(minInsyncReplicas, replicas)
  return `acks=all: every replica in sync, at least ${least} of ${replicas}, has the record ${where}.`
}

function powerCut({
  replicationFactor: replicas,
  flushMessages,
  flushMs,
}: TopicDurability): string {
  if (flushMessages === 1) return 'What is acknowledged survives a power cut.'
  const where = replicas > 1 ? ' on every machine that has it' : ''
  const loss = `What is acknowledged survives the crash of a broker, but not a power cut${where}`
  const limits: string[] = []
  if (flushMessages !== null) limits.push(`${flushMessages} records (flush.messages)`)
  if (flushMs !== null) limits.push(`${flushMs} ms (flush.ms)`)
  return limits.length === 0
    ? `${loss} before the system has written it out; flush.messages=1 puts it on disk first.`
    : `${loss} before it is on disk: at the latest after ${limits.join(' or ')}.`
}

function warnings(topic: TopicDurability): string[] {
  const { replicationFactor: replicas, minInsyncReplicas: least, inSync } = topic
  const sentences: string[] = []
  const short = inSync.filter(count => count < least).length
  if (least > replicas) {
    sentences.push(
      `acks=all is refused: min.insync.replicas is ${least}, replicas are ${replicas}.`,
    )
  } else if (short > 0) {
    const where = short === 1 ? '1 partition has' : `${short} partitions have`
    sentences.push(`acks=all is refused now where ${where} fewer than ${least} replicas in sync.`)
  }
  if (topic.uncleanLeaderElection && replicas > 1) {
    sentences.push(
      'A replica that lags may become leader, which loses what is acknowledged (unclean.leader.election.enable).',
    )
  }
  return sentences
}

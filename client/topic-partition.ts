/** A partition by its name. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** One text for one partition, for keys of maps. */
export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic} ${partition}`
}

/** What there is of each topic, in the order of the list. */
export function byTopic<T extends { readonly topic: string }>(
  list: readonly T[],
): Map<string, T[]> {
  const topics = new Map<string, T[]>()
  for (const one of list) {
    const ofTopic = topics.get(one.topic)
    if (ofTopic === undefined) topics.set(one.topic, [one])
    else ofTopic.push(one)
  }
  return topics
}

/** Those of `list` that are not among `others`. */
export function without<P extends TopicPartition>(
  list: readonly P[],
  others: readonly TopicPartition[],
): P[] {
  const keys = new Set(others.map(partitionKey))
  return list.filter(partition => !keys.has(partitionKey(partition)))
}

/** A partition by its name. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** One text for one partition, for keys of maps. */
export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic} ${partition}`
}

/** Those of `list` that are not among `others`. */
export function without<P extends TopicPartition>(
  list: readonly P[],
  others: readonly TopicPartition[],
): P[] {
  const keys = new Set(others.map(partitionKey))
  return list.filter(partition => !keys.has(partitionKey(partition)))
}

/** A partition by its name. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** One text for one partition, for keys of maps. */
export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic} ${partition}`
}

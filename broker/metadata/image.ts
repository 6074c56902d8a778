/**
 * `ClusterImage`: an immutable picture of the metadata at one revision. Requests read only this, never the store; a
 * change of the store makes a new image.
 */

export interface PartitionImage {
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
}

export interface TopicImage {
  readonly name: string
  /** Kafka's text form of the UUID. */
  readonly id: string
  readonly partitions: readonly PartitionImage[]
  /** Settings that were given for this topic, by Kafka's names. */
  readonly configs: Readonly<Record<string, string>>
  readonly isInternal: boolean
}

export interface ClusterImage {
  readonly clusterId: string
  readonly revision: number
  readonly topics: ReadonlyMap<string, TopicImage>
  readonly topicsById: ReadonlyMap<string, TopicImage>
  /** Dynamic broker settings by node id; '' holds those for all brokers. */
  readonly brokerConfigs: ReadonlyMap<string, Readonly<Record<string, string>>>
}

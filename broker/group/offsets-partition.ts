/** Which partition of `__consumer_offsets` a group lives in, and how that topic is made. */
import { type ErrorName, ProtocolError } from '../../protocol/errors.ts'
import type { BrokerConfig } from '../config.ts'
import type { Logger } from '../logger.ts'
import type { Controller } from '../metadata/controller.ts'

export const OFFSETS_TOPIC = '__consumer_offsets'

/** Java's `String.hashCode`, made positive and reduced as Kafka does: another broker must find the same partition. */
export function partitionFor(groupId: string, partitions: number): number {
  let hash = 0
  for (let i = 0; i < groupId.length; i++) hash = (hash * 31 + groupId.charCodeAt(i)) | 0
  return (hash === -2_147_483_648 ? 0 : Math.abs(hash)) % partitions
}

/** What to do about a group that could not be written; null where its error says enough. */
export function hintFor(error: ErrorName): string | null {
  const isTooLarge = error === 'MESSAGE_TOO_LARGE' || error === 'RECORD_LIST_TOO_LARGE'
  return isTooLarge
    ? `what the group's members say does not fit into one batch: raise max.message.bytes of ${OFFSETS_TOPIC}, or have fewer members or shorter subscriptions`
    : null
}

/** Creates the topic; somebody else doing so at the same time is as good. @throws COORDINATOR_NOT_AVAILABLE */
export async function createOffsetsTopic(
  controller: Controller,
  config: BrokerConfig,
  logger: Logger,
): Promise<void> {
  const name = 'offsets.topic.replication.factor'
  const isSet = config.given.has(name)
  const replicationFactor = isSet ? config.offsetsTopicReplicationFactor : 1
  const brokers = controller.brokers.length
  if (replicationFactor > brokers) {
    const why = `${OFFSETS_TOPIC} needs ${replicationFactor} brokers (${name}), and there are ${brokers}`
    logger.warn('offsets topic not created', { replicationFactor, brokers, why })
    throw new ProtocolError(
      'COORDINATOR_NOT_AVAILABLE',
      `${why}: add brokers, or lower the setting`,
    )
  }
  const [outcome] = await controller.createTopics([
    {
      name: OFFSETS_TOPIC,
      numPartitions: config.offsetsTopicNumPartitions,
      replicationFactor,
      assignments: [],
      configs: {
        'cleanup.policy': 'compact',
        'compression.type': 'producer',
        'segment.bytes': String(config.offsetsTopicSegmentBytes),
      },
    },
  ])
  if (outcome === undefined || 'value' in outcome) return
  const { error } = outcome
  if (error instanceof ProtocolError && error.error === 'TOPIC_ALREADY_EXISTS') return
  logger.error('offsets topic not created', { error })
  const why = error instanceof Error ? error.message : String(error)
  throw new ProtocolError('COORDINATOR_NOT_AVAILABLE', `${OFFSETS_TOPIC} was not created: ${why}`)
}

/**
 * The resources that have settings, as DescribeConfigs and the two kinds of AlterConfigs name them. The layers of a
 * broker's dynamic settings are this broker's, by its node id, and those of all brokers, by the empty name.
 */
import { ProtocolError } from '../protocol/errors.ts'
import type { Broker } from './broker.ts'
import type { Configs } from './metadata/image.ts'
import { validateTopicName } from './metadata/topic-name.ts'
import type { DynamicLayer } from './settings/alter.ts'

export const resourceTypes = {
  TOPIC: 2,
  BROKER: 4,
  BROKER_LOGGER: 8,
  CLIENT_METRICS: 16,
  GROUP: 32,
} as const

export const isResourceType = (type: number): boolean =>
  Object.values<number>(resourceTypes).includes(type)

// Kafka's tools show these sentences, which differ by what is done.
const ALTER_WORDS = { id: 'Node id', expected: ',' }
export const DESCRIBE_WORDS = { id: 'Broker id', expected: ' or empty string,' }

/** The layer that a broker resource's name stands for. @throws INVALID_REQUEST for another broker */
export function brokerLayer(
  broker: Broker,
  name: string,
  words: { readonly id: string; readonly expected: string } = ALTER_WORDS,
): DynamicLayer {
  if (name === '') return 'clusterDefault'
  const { nodeId } = broker.config
  if (!/^[+-]?\d+$/.test(name))
    throw new ProtocolError('INVALID_REQUEST', `${words.id} must be an integer, but it is: ${name}`)
  if (Number(name) !== nodeId) {
    throw new ProtocolError(
      'INVALID_REQUEST',
      `Unexpected broker id, expected ${nodeId}${words.expected} but received ${name}`,
    )
  }
  return 'broker'
}

/** How the settings of each kind of resource change. */
export interface ConfigEdits {
  topic(before: Configs): Configs
  broker(config: Broker['config'], layer: DynamicLayer): Configs
  group(before: Configs): Configs
}

/** Changes the settings of one resource, or throws why not; with `validateOnly` only the latter. */
export async function alterResource(
  broker: Broker,
  resource: { readonly resourceType: number; readonly resourceName: string },
  edits: ConfigEdits,
  validateOnly: boolean,
): Promise<void> {
  const { resourceType, resourceName } = resource
  const { controller, config } = broker
  if (resourceType === resourceTypes.TOPIC) {
    validateTopicName(resourceName)
    return controller.alterConfigs('topic', resourceName, edits.topic, validateOnly)
  }
  if (resourceType === resourceTypes.BROKER) {
    const layer = brokerLayer(broker, resourceName)
    const key = layer === 'broker' ? String(config.nodeId) : ''
    const edit = (before: Configs) =>
      // The store is ahead of the settings in force while others are being applied.
      edits.broker({ ...config, dynamic: { ...config.dynamic, [layer]: before } }, layer)
    return controller.alterConfigs('broker', key, edit, validateOnly)
  }
  if (resourceType === resourceTypes.GROUP) {
    if (resourceName === '') {
      throw new ProtocolError('INVALID_REQUEST', 'Default group resources are not allowed.')
    }
    return controller.alterConfigs('group', resourceName, edits.group, validateOnly)
  }
  const why = isResourceType(resourceType)
    ? `Settings of resource type ${resourceType} cannot be changed here yet`
    : `Unknown resource type ${resourceType}`
  throw new ProtocolError('INVALID_REQUEST', why)
}

/** Throws INVALID_REQUEST for a resource that a request names twice. */
export function requireOnce(
  resource: { readonly resourceType: number; readonly resourceName: string },
  all: readonly { readonly resourceType: number; readonly resourceName: string }[],
): void {
  const same = all.filter(
    other =>
      other.resourceType === resource.resourceType && other.resourceName === resource.resourceName,
  )
  if (same.length > 1)
    throw new ProtocolError('INVALID_REQUEST', 'Each resource must appear at most once.')
}

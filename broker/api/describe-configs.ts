/**
 * DescribeConfigs: the settings of topics and of this broker, where each comes from and what it means.
 *
 * Synonyms and documentation only if asked for; no keys, or none listed, asks for all settings. Resources whose settings
 * are not kept yet (client metrics, loggers) have none.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import { brokerLayer, DESCRIBE_WORDS, isResourceType, resourceTypes } from '../config-resources.ts'
import type { Handler } from '../context.ts'
import { validateTopicName } from '../metadata/topic-name.ts'
import {
  type ConfigEntry,
  describeBrokerConfigs,
  describeClusterDefaults,
  describeGroupConfigs,
  describeTopicConfigs,
} from '../settings/describe.ts'

type Request = RequestOf<'DescribeConfigs'>
type Resource = Request['resources'][number]
type Answer = ResponseInput<'DescribeConfigs'>['results'][number]

export const describeConfigs: Handler<'DescribeConfigs'> = (broker, request, context) => ({
  results: request.resources.map((resource): Answer => {
    const { resourceType, resourceName } = resource
    try {
      const configs = describe(broker, resource).map(entry => asAsked(entry, request))
      return { errorCode: 0, errorMessage: '', resourceType, resourceName, configs }
    } catch (error) {
      const { errorCode, errorMessage } = answerError(broker, context, error)
      return {
        errorCode,
        errorMessage: errorMessage ?? '',
        resourceType,
        resourceName,
        configs: [],
      }
    }
  }),
})

function describe(broker: Broker, resource: Resource): readonly ConfigEntry[] {
  const { resourceType, resourceName, configurationKeys } = resource
  const names = configurationKeys?.length ? configurationKeys : null
  const { config, image } = broker
  if (resourceType === resourceTypes.TOPIC) {
    validateTopicName(resourceName)
    const topic = image.topics.get(resourceName)
    if (topic === undefined) throw new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION')
    return describeTopicConfigs(config, topic.configs, names)
  }
  if (resourceType === resourceTypes.BROKER) {
    return brokerLayer(broker, resourceName, DESCRIBE_WORDS) === 'clusterDefault'
      ? describeClusterDefaults(config, names)
      : describeBrokerConfigs(config, names)
  }
  if (!isResourceType(resourceType))
    throw new ProtocolError('INVALID_REQUEST', `Unsupported resource type: ${resourceType}`)
  requireName(broker, resourceType, resourceName)
  return resourceType === resourceTypes.GROUP
    ? describeGroupConfigs(config, image.groupConfigs.get(resourceName) ?? {}, names)
    : []
}

function requireName(broker: Broker, resourceType: number, name: string): void {
  const isLogger = resourceType === resourceTypes.BROKER_LOGGER
  if (name === '') {
    const isGroup = resourceType === resourceTypes.GROUP
    const what = isLogger
      ? 'Broker id'
      : isGroup
        ? 'Group name'
        : 'Client metrics subscription name'
    throw new ProtocolError('INVALID_REQUEST', `${what} must not be empty`)
  }
  if (isLogger) brokerLayer(broker, name, { ...DESCRIBE_WORDS, expected: '' })
}

function asAsked(entry: ConfigEntry, request: Request) {
  return {
    ...entry,
    synonyms: request.includeSynonyms ? entry.synonyms : [],
    documentation: request.includeDocumentation ? entry.documentation : null,
  }
}

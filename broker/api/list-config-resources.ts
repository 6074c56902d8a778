/**
 * ListConfigResources: the resources that can have settings. Version 0 asks only for subscriptions to client metrics,
 * of which there are none; later versions say which kinds they want, none of them meaning all.
 */
import { errorCode } from '../../protocol/errors.ts'
import { isResourceType, resourceTypes } from '../config-resources.ts'
import type { Handler } from '../context.ts'

const { TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP } = resourceTypes

export const listConfigResources: Handler<'ListConfigResources'> = (broker, request, context) => {
  const asked = context.apiVersion === 0 ? [CLIENT_METRICS] : request.resourceTypes
  if (!asked.every(isResourceType)) {
    context.countError('UNSUPPORTED_VERSION')
    return { errorCode: errorCode('UNSUPPORTED_VERSION'), configResources: [] }
  }
  const isAsked = (type: number) => asked.length === 0 || asked.includes(type)
  const topics = isAsked(TOPIC) ? [...broker.image.topics.keys()] : []
  const groups = isAsked(GROUP) ? [...broker.image.groupConfigs.keys()] : []
  const nodeId = String(broker.config.nodeId)
  return {
    errorCode: 0,
    configResources: [
      ...groups.map(resourceName => ({ resourceName, resourceType: GROUP })),
      ...topics.map(resourceName => ({ resourceName, resourceType: TOPIC })),
      ...[BROKER, BROKER_LOGGER]
        .filter(isAsked)
        .map(resourceType => ({ resourceName: nodeId, resourceType })),
    ],
  }
}

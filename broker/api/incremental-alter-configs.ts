/** IncrementalAlterConfigs: sets, deletes, appends to or subtracts from single settings; the others stay. */
import { answerError, NO_ERROR } from '../answer-error.ts'
import { alterResource, type ConfigEdits, requireOnce } from '../config-resources.ts'
import type { Handler } from '../context.ts'
import { alterBrokerConfigs, alterGroupConfigs, alterTopicConfigs } from '../settings/alter.ts'

export const incrementalAlterConfigs: Handler<'IncrementalAlterConfigs'> = async (
  broker,
  request,
  context,
) => ({
  responses: await Promise.all(
    request.resources.map(async ({ resourceType, resourceName, configs }) => {
      const resource = { resourceType, resourceName }
      const edits: ConfigEdits = {
        topic: before => alterTopicConfigs(broker.config, before, configs),
        group: before => alterGroupConfigs(broker.config, before, configs),
        broker: (config, layer) => alterBrokerConfigs(config, layer, configs),
      }
      try {
        requireOnce(resource, request.resources)
        await alterResource(broker, resource, edits, request.validateOnly)
        return { ...resource, ...NO_ERROR }
      } catch (error) {
        return { ...resource, ...answerError(broker, context, error) }
      }
    }),
  ),
})

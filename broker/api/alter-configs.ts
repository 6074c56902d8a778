/** AlterConfigs: replaces all dynamic settings of a resource by those listed; whatever is not listed goes back. */
import { answerError, NO_ERROR } from '../answer-error.ts'
import { alterResource, type ConfigEdits, requireOnce } from '../config-resources.ts'
import type { Handler } from '../context.ts'
import {
  replaceBrokerConfigs,
  replaceGroupConfigs,
  replaceTopicConfigs,
} from '../settings/alter.ts'

export const alterConfigs: Handler<'AlterConfigs'> = async (broker, request, context) => ({
  responses: await Promise.all(
    request.resources.map(async ({ resourceType, resourceName, configs }) => {
      const resource = { resourceType, resourceName }
      const edits: ConfigEdits = {
        topic: () => replaceTopicConfigs(broker.config, configs),
        group: () => replaceGroupConfigs(broker.config, configs),
        broker: (config, layer) => replaceBrokerConfigs(config, layer, configs),
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

/** kafkajs's describeConfigs and alterConfigs: settings of resources, with Kafka's numbers for their kinds. */
import type { Admin } from '../admin.ts'
import type { Attempt, Target } from '../cluster.ts'
import { AnswerError } from '../errors.ts'
import { checkResources, refusal } from './admin-input.ts'
import { ConfigResourceTypes, ConfigSource } from './constants.ts'

export interface ResourceQuery {
  readonly type: ConfigResourceTypes
  readonly name: string
  readonly configNames?: readonly string[]
}

export interface ResourceConfig {
  readonly type: ConfigResourceTypes
  readonly name: string
  readonly configEntries: readonly { readonly name: string; readonly value: string }[]
}

export async function describeConfigs(
  { cluster }: Admin,
  request: { readonly resources: readonly ResourceQuery[]; readonly includeSynonyms?: boolean },
) {
  const { resources, includeSynonyms = false } = request
  checkResources(resources)
  const wrong = resources.find(r => r.configNames != null && !Array.isArray(r.configNames))
  if (wrong !== undefined) {
    throw refusal(`Invalid resource configNames ${wrong.configNames}: ${JSON.stringify(wrong)}`)
  }
  const api = 'DescribeConfigs'
  return cluster.run('describeConfigs', {}, async attempt => {
    const found = []
    for (const [target, those] of byTarget(resources)) {
      const asked = those.map(({ type, name, configNames }) => ({
        resourceType: type,
        resourceName: name,
        configurationKeys: configNames ?? null,
      }))
      const answer = await cluster.request(
        target,
        api,
        { resources: asked, includeSynonyms },
        attempt,
      )
      for (const result of answer.results) {
        check(result, api, attempt)
        const { errorCode, errorMessage, resourceType, resourceName, configs } = result
        found.push({
          errorCode,
          errorMessage: errorMessage ?? '',
          resourceType: resourceType as ConfigResourceTypes,
          resourceName,
          configEntries: configs.map(config => ({
            configName: config.name,
            configValue: config.value ?? '',
            readOnly: config.readOnly,
            isDefault: config.configSource === ConfigSource.DEFAULT_CONFIG,
            configSource: config.configSource as ConfigSource,
            isSensitive: config.isSensitive,
            configSynonyms: config.synonyms.map(({ name, value, source }) => ({
              configName: name,
              configValue: value ?? '',
              configSource: source as ConfigSource,
            })),
          })),
        })
      }
    }
    return { resources: found, throttleTime: 0 }
  })
}

export async function alterConfigs(
  { cluster }: Admin,
  request: { readonly resources: readonly ResourceConfig[]; readonly validateOnly?: boolean },
) {
  const { resources, validateOnly = false } = request
  checkResources(resources)
  for (const resource of resources) {
    const { configEntries } = resource
    const text = JSON.stringify(resource)
    if (!Array.isArray(configEntries)) {
      throw refusal(`Invalid resource configEntries ${configEntries}: ${text}`)
    }
    const isText = configEntries.every(
      ({ name, value }) => typeof name === 'string' && typeof value === 'string',
    )
    if (!isText) throw refusal(`Invalid resource config value: ${text}`)
  }
  const api = 'AlterConfigs'
  return cluster.run('alterConfigs', {}, async attempt => {
    const done = []
    for (const [target, those] of byTarget(resources)) {
      const asked = those.map(({ type, name, configEntries }) => ({
        resourceType: type,
        resourceName: name,
        configs: configEntries,
      }))
      const answer = await cluster.request(target, api, { resources: asked, validateOnly }, attempt)
      for (const { errorCode, errorMessage, resourceType, resourceName } of answer.responses) {
        check({ errorCode, errorMessage, resourceName }, api, attempt)
        done.push({ errorCode, errorMessage, resourceType, resourceName })
      }
    }
    return { resources: done, throttleTime: 0 }
  })
}

/** A broker's own settings are asked of that broker, all others of the controller. */
function byTarget<R extends { readonly type: number; readonly name: string }>(
  resources: readonly R[],
): Map<Target, R[]> {
  const groups = new Map<Target, R[]>()
  for (const resource of resources) {
    const isOfBroker = resource.type === ConfigResourceTypes.BROKER
    const target = isOfBroker ? Number(resource.name) : 'controller'
    groups.set(target, [...(groups.get(target) ?? []), resource])
  }
  return groups
}

function check(
  answer: {
    readonly errorCode: number
    readonly errorMessage: string | null
    readonly resourceName: string
  },
  api: string,
  { asked: broker }: Attempt,
): void {
  const { errorCode, errorMessage, resourceName: subject } = answer
  if (errorCode !== 0) throw new AnswerError(errorCode, { api, broker, subject }, errorMessage)
}

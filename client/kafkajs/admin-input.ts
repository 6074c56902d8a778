/** Refusals of what kafkajs's admin refuses before it asks a broker, in its words. All throw a KafkaJSNonRetriableError. */
import { ConfigResourceTypes } from './constants.ts'
import { KafkaJSNonRetriableError } from './errors.ts'

export interface TopicNamed {
  readonly topic: string
}

/** `what` is `topics` or `topic partitions`. */
export function checkTopics(topics: readonly TopicNamed[], what: string): void {
  if (!Array.isArray(topics)) throw refusal(`Invalid ${what} array ${topics}`)
  if (topics.some(({ topic }) => typeof topic !== 'string')) {
    throw refusal(`Invalid ${what} array, the topic names have to be a valid string`)
  }
  if (new Set(topics.map(({ topic }) => topic)).size < topics.length) {
    throw refusal(`Invalid ${what} array, it cannot have multiple entries for the same topic`)
  }
}

export function checkName(name: unknown, what: string): void {
  if (typeof name !== 'string' || name === '') throw refusal(`Invalid ${what} ${name}`)
}

export function checkResources(
  resources: readonly { readonly type: number; readonly name: string }[],
): void {
  if (!Array.isArray(resources)) throw refusal(`Invalid resources array ${resources}`)
  if (resources.length === 0) throw refusal('Resources array cannot be empty')
  const types: readonly number[] = Object.values(ConfigResourceTypes)
  for (const resource of resources) {
    const { type, name } = resource
    const text = JSON.stringify(resource)
    if (!types.includes(type)) throw refusal(`Invalid resource type ${type}: ${text}`)
    if (typeof name !== 'string' || name === '') {
      throw refusal(`Invalid resource name ${name}: ${text}`)
    }
  }
}

export function refusal(text: string): KafkaJSNonRetriableError {
  return new KafkaJSNonRetriableError(text)
}

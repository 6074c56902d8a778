/** Which names topics may have. Kafka's rules; the words are the ones that its tools show. */
import { ProtocolError } from '../../protocol/errors.ts'

const MAX_LENGTH = 249

/** Why a topic may not have this name; null if it may. */
export function topicNameFault(name: string): string | null {
  if (name === '') return 'the empty string is not allowed'
  if (name === '.' || name === '..') return `'${name}' is not allowed`
  if (name.length > MAX_LENGTH)
    return `the length of '${name}' is longer than the max allowed length ${MAX_LENGTH}`
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return `'${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`
  }
  return null
}

/** Throws INVALID_TOPIC_EXCEPTION unless a topic may have this name. */
export function validateTopicName(name: string): void {
  const fault = topicNameFault(name)
  if (fault !== null)
    throw new ProtocolError('INVALID_TOPIC_EXCEPTION', `Topic name is invalid: ${fault}`)
}

/** Names that differ only in '.' and '_' give the same metric names: of those only one may exist. */
export function collisionKey(name: string): string {
  return name.replaceAll('.', '_')
}

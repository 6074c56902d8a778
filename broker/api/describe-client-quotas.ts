/** DescribeClientQuotas: there are no quotas; filters that make no sense are refused all the same. */
import type { RequestOf } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Handler } from '../context.ts'

type Component = RequestOf<'DescribeClientQuotas'>['components'][number]

const EXACT = 0
const DEFAULT = 1
const ANY = 2
const ENTITY_TYPES = ['user', 'client-id', 'ip']

export const describeClientQuotas: Handler<'DescribeClientQuotas'> = (broker, request, context) => {
  try {
    checkFilter(request.components)
    return { errorCode: 0, errorMessage: '', entries: [] }
  } catch (error) {
    return { ...answerError(broker, context, error), entries: null }
  }
}

function checkFilter(components: readonly Component[]): void {
  const invalid = (why: string) => new ProtocolError('INVALID_REQUEST', why)
  const types = components.map(({ entityType }) => entityType)
  for (const [i, { entityType, matchType, match }] of components.entries()) {
    if (entityType === '') throw invalid('Invalid empty entity type.')
    if (types.indexOf(entityType) !== i)
      throw invalid(`Entity type ${entityType} cannot appear more than once in the filter.`)
    if (!ENTITY_TYPES.includes(entityType))
      throw new ProtocolError('UNSUPPORTED_VERSION', `Unsupported entity type ${entityType}`)
    if (matchType === EXACT && match === null)
      throw invalid('Request specified MATCH_TYPE_EXACT, but set match string to null.')
    if ((matchType === DEFAULT || matchType === ANY) && match !== null)
      throw invalid(
        `Request specified MATCH_TYPE_${matchType === DEFAULT ? 'DEFAULT' : 'SPECIFIED'}, but also specified a match string.`,
      )
    if (matchType < EXACT || matchType > ANY) throw invalid(`Unknown match type ${matchType}`)
  }
  if (types.includes('ip') && types.length > 1)
    throw invalid(
      'Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.',
    )
}

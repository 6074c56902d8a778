/** DescribeUserScramCredentials: there are no credentials, so nobody is listed and whoever is asked for is unknown. */
import { refusal } from '../answer-error.ts'
import type { Handler } from '../context.ts'

export const describeUserScramCredentials: Handler<'DescribeUserScramCredentials'> = (
  _broker,
  request,
  context,
) => {
  const names = (request.users ?? []).map(({ name }) => name)
  const results = [...new Set(names)].map(user => ({
    user,
    credentialInfos: [],
    ...(names.filter(name => name === user).length > 1
      ? refusal(
          context,
          'DUPLICATE_RESOURCE',
          `Cannot describe SCRAM credentials for the same user twice in a single request: ${user}`,
        )
      : refusal(
          context,
          'RESOURCE_NOT_FOUND',
          `Attempt to describe a user credential that does not exist: ${user}`,
        )),
  }))
  return { errorCode: 0, errorMessage: '', results }
}

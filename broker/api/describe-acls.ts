/** DescribeAcls: there is no authorizer, and Kafka says so with an error rather than with an empty list. */
import { refusal } from '../answer-error.ts'
import type { Handler } from '../context.ts'

export const describeAcls: Handler<'DescribeAcls'> = (_broker, _request, context) => ({
  ...refusal(context, 'SECURITY_DISABLED', 'No Authorizer is configured on the broker'),
  resources: [],
})

/**
 * ListConfigResources: the resources that have dynamic settings.
 *
 *   v0  client metrics subscriptions only (KIP-714); flexible
 *   v1  resourceTypes: which kinds to list, none for all of them (KIP-1142)
 */
import {
  api,
  array,
  ignorable,
  int8,
  int16,
  int32,
  optional,
  since,
  string,
  struct,
} from '../schema.ts'

export const ListConfigResources = api({
  key: 74,
  name: 'ListConfigResources',
  versions: [0, 1],
  flexible: 0,
  request: struct({
    resourceTypes: since(1, array(int8)),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: int16,
    configResources: array(
      struct({ resourceName: string, resourceType: ignorable(since(1, int8, 16)) }),
    ),
  }),
})

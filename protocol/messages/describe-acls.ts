/**
 * DescribeAcls: the access rules that match a filter.
 *
 *   v1  pattern types (KIP-290)
 *   v2  flexible
 *   v3  users as a resource (KIP-373)
 */
import {
  api,
  array,
  int8,
  int16,
  int32,
  nullableString,
  optional,
  string,
  struct,
} from '../schema.ts'

export const DescribeAcls = api({
  key: 29,
  name: 'DescribeAcls',
  versions: [1, 3],
  flexible: 2,
  request: struct({
    resourceTypeFilter: int8,
    resourceNameFilter: nullableString,
    patternTypeFilter: optional(int8, 3),
    principalFilter: nullableString,
    hostFilter: nullableString,
    operation: int8,
    permissionType: int8,
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: int16,
    errorMessage: optional(nullableString, null),
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        patternType: optional(int8, 3),
        acls: array(
          struct({ principal: string, host: string, operation: int8, permissionType: int8 }),
        ),
      }),
    ),
  }),
})

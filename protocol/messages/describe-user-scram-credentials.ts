/**
 * DescribeUserScramCredentials: which users have SCRAM credentials, never the credentials themselves (KIP-554).
 *
 *   v0  flexible
 *
 * No users (null, or none listed) asks for all.
 */
import {
  api,
  array,
  int8,
  int16,
  int32,
  nullableArray,
  nullableString,
  optional,
  string,
  struct,
} from '../schema.ts'

export const DescribeUserScramCredentials = api({
  key: 50,
  name: 'DescribeUserScramCredentials',
  versions: [0, 0],
  flexible: 0,
  request: struct({
    users: nullableArray(struct({ name: string })),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: int16,
    errorMessage: optional(nullableString, null),
    results: array(
      struct({
        user: string,
        errorCode: int16,
        errorMessage: optional(nullableString, null),
        credentialInfos: array(struct({ mechanism: int8, iterations: int32 })),
      }),
    ),
  }),
})

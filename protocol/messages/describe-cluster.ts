/**
 * DescribeCluster: cluster id, controller and brokers (KIP-700).
 *
 *   v0  flexible
 *   v1  endpointType: 1 brokers, 2 controllers (KIP-919)
 *   v2  fenced brokers on request (KIP-1073)
 */
import {
  api,
  array,
  bool,
  ignorable,
  int8,
  int16,
  int32,
  nullableString,
  optional,
  since,
  string,
  struct,
} from '../schema.ts'
import { UNKNOWN_OPERATIONS } from './metadata.ts'

export const DescribeCluster = api({
  key: 60,
  name: 'DescribeCluster',
  versions: [0, 2],
  flexible: 0,
  request: struct({
    includeClusterAuthorizedOperations: bool,
    endpointType: since(1, int8, 1),
    includeFencedBrokers: since(2, bool),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    errorCode: int16,
    errorMessage: optional(nullableString, null),
    endpointType: ignorable(since(1, int8, 1)),
    clusterId: string,
    controllerId: optional(int32, -1),
    brokers: array(
      struct({
        brokerId: int32,
        host: string,
        port: int32,
        rack: optional(nullableString, null),
        isFenced: ignorable(since(2, bool)),
      }),
    ),
    clusterAuthorizedOperations: optional(int32, UNKNOWN_OPERATIONS),
  }),
})

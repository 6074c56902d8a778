/**
 * What the asking principal may do, as bit fields (bit = Kafka's number of the operation). Without an authorizer
 * everybody may do everything that a kind of resource has, which is what Kafka answers then, too.
 */

const bits = (...operations: readonly number[]) =>
  operations.reduce((sum, op) => sum | (1 << op), 0)

const READ = 3
const WRITE = 4
const CREATE = 5
const DELETE = 6
const ALTER = 7
const DESCRIBE = 8
const CLUSTER_ACTION = 9
const DESCRIBE_CONFIGS = 10
const ALTER_CONFIGS = 11
const IDEMPOTENT_WRITE = 12

export const ALL_TOPIC_OPERATIONS = bits(
  READ,
  WRITE,
  CREATE,
  DELETE,
  ALTER,
  DESCRIBE,
  DESCRIBE_CONFIGS,
  ALTER_CONFIGS,
)

export const ALL_CLUSTER_OPERATIONS = bits(
  CREATE,
  ALTER,
  DESCRIBE,
  CLUSTER_ACTION,
  DESCRIBE_CONFIGS,
  ALTER_CONFIGS,
  IDEMPOTENT_WRITE,
)

export const ALL_GROUP_OPERATIONS = bits(READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS)

/** A described group, with what may be done with it where that was asked for and the group is there. */
export function withOperations<G extends { readonly errorCode: number }>(
  group: G,
  isAsked: boolean,
) {
  const isTold = isAsked && group.errorCode === 0
  return isTold ? { ...group, authorizedOperations: ALL_GROUP_OPERATIONS } : group
}

/** `group.consumer.migration.policy`: which way groups with members may change over from one protocol to the other. */

export type Migration = 'upgrade' | 'downgrade'

/** Whether the policy, written in whatever case, allows it. */
export function policyAllows(policy: string, migration: Migration): boolean {
  const allowed = policy.toLowerCase()
  return allowed === 'bidirectional' || allowed === migration
}

/** Whether members of both protocols may be in one group at all. */
export function policyMixes(policy: string): boolean {
  return policy.toLowerCase() !== 'disabled'
}

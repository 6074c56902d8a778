/**
 * How a member of a consumer group gets from what it has to what it shall have, one step for each of its heartbeats:
 *
 *                    must give up partitions              they are given up
 *   STABLE ──────────────────────────▶ UNREVOKED_PARTITIONS ──────▶ (as from STABLE)
 *     │ ▲
 *     │ └── all it shall have is free ───────────┐
 *     └── others still have some of it ──▶ UNRELEASED_PARTITIONS
 *
 * A member that must give up partitions keeps its epoch until it no longer names them as its own; only then does it move
 * to the epoch of the target and get what is free there. So no partition has two owners.
 */
import type { Partitions } from './assignment.ts'
import {
  type ConsumerMember,
  type OwnedPartitions,
  STABLE,
  UNRELEASED_PARTITIONS,
  UNREVOKED_PARTITIONS,
} from './consumer-member.ts'

export interface Goal {
  readonly epoch: number
  readonly partitions: Partitions
  /** The topics that the member subscribes to now. */
  readonly topicIds: ReadonlySet<string>
  /** What the member says that it has; null: it does not say. */
  readonly owned: Partitions | null
  readonly isFree: (topicId: string, partition: number) => boolean
}

const NONE: ReadonlyMap<number, number> = new Map()
const NO_INDEXES: ReadonlySet<number> = new Set()

/** The member after this step; the same one if it cannot move. */
export function reconcile(member: ConsumerMember, goal: Goal): ConsumerMember {
  const isStable = member.state === STABLE && member.memberEpoch === goal.epoch
  const isConsistent = [...member.assigned.keys()].every(topicId => goal.topicIds.has(topicId))
  if (isStable && isConsistent) return member
  const isRevoking =
    member.state === UNREVOKED_PARTITIONS && stillHas(goal.owned, member.pendingRevocation)
  if (isRevoking) return isConsistent ? member : revokeMore(member, goal)
  const next = advance(member, goal)
  return isSame(member, next) ? member : next
}

function advance(member: ConsumerMember, goal: Goal): ConsumerMember {
  const kept = new Map<string, Map<number, number>>()
  const leaving = new Map<string, Map<number, number>>()
  const coming: [string, number][] = []
  let isUnreleased = false
  for (const topicId of new Set([...goal.partitions.keys(), ...member.assigned.keys()])) {
    const has = member.assigned.get(topicId) ?? NONE
    const shall = goal.topicIds.has(topicId)
      ? (goal.partitions.get(topicId) ?? NO_INDEXES)
      : NO_INDEXES
    for (const [partition, epoch] of has) {
      put(shall.has(partition) ? kept : leaving, topicId, partition, epoch)
    }
    for (const partition of shall) {
      if (has.has(partition)) continue
      const wasMine = member.pendingRevocation.get(topicId)?.has(partition) === true
      if (wasMine || goal.isFree(topicId, partition)) coming.push([topicId, partition])
      else isUnreleased = true
    }
  }
  if (leaving.size > 0 && stillHas(goal.owned, leaving)) {
    return { ...member, state: UNREVOKED_PARTITIONS, assigned: kept, pendingRevocation: leaving }
  }
  for (const [topicId, partition] of coming) put(kept, topicId, partition, goal.epoch)
  return {
    ...member,
    state: isUnreleased ? UNRELEASED_PARTITIONS : STABLE,
    ...atEpoch(member, goal.epoch),
    assigned: kept,
    pendingRevocation: new Map(),
  }
}

function atEpoch({ memberEpoch, previousMemberEpoch }: ConsumerMember, epoch: number) {
  return epoch === memberEpoch
    ? { memberEpoch, previousMemberEpoch }
    : { memberEpoch: epoch, previousMemberEpoch: memberEpoch }
}

/** While it gives up partitions it has unsubscribed from more of them. */
function revokeMore(member: ConsumerMember, { topicIds }: Goal): ConsumerMember {
  const assigned = new Map(member.assigned)
  const pendingRevocation = new Map(member.pendingRevocation)
  for (const [topicId, epochs] of member.assigned) {
    if (topicIds.has(topicId)) continue
    assigned.delete(topicId)
    pendingRevocation.set(topicId, new Map([...(pendingRevocation.get(topicId) ?? []), ...epochs]))
  }
  return { ...member, assigned, pendingRevocation }
}

/** Whether a member may still read some of these; it is taken to if it does not say. */
function stillHas(owned: Partitions | null, some: OwnedPartitions): boolean {
  if (owned === null) return true
  for (const [topicId, epochs] of some) {
    for (const partition of epochs.keys()) if (owned.get(topicId)?.has(partition)) return true
  }
  return false
}

function put(
  into: Map<string, Map<number, number>>,
  topicId: string,
  partition: number,
  epoch: number,
): void {
  const epochs = into.get(topicId)
  if (epochs === undefined) into.set(topicId, new Map([[partition, epoch]]))
  else epochs.set(partition, epoch)
}

function isSame(a: ConsumerMember, b: ConsumerMember): boolean {
  return (
    a.state === b.state &&
    a.memberEpoch === b.memberEpoch &&
    sameOwned(a.assigned, b.assigned) &&
    sameOwned(a.pendingRevocation, b.pendingRevocation)
  )
}

/** Whether these are the same partitions, in whichever epoch they were given. */
export function sameOwned(a: OwnedPartitions, b: OwnedPartitions): boolean {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [topicId, epochs] of a) {
    const others = b.get(topicId)
    if (others === undefined || others.size !== epochs.size) return false
    for (const partition of epochs.keys()) if (!others.has(partition)) return false
  }
  return true
}

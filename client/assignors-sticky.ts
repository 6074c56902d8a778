/**
 * The assignors that leave partitions where they are as far as balance allows: `sticky`, which begins each rebalance with
 * nobody owning anything, and `cooperative-sticky`, where members keep what they have while the group meets (KIP-429).
 *
 * Both come to the results of Kafka's Java classes (AbstractStickyAssignor and its two children, 4.3.1), without their
 * consideration for racks. What members had, and since when, stands in their subscriptions: a claim of a later generation
 * beats an earlier one, two claims of the same generation cancel each other out.
 *
 *   all want the same topics     quotas: everybody keeps up to its share, the rest is dealt out in turn
 *   they want different ones     `assignors-sticky-general.ts`
 *
 * Where Java goes through a HashMap of members, the order decides who may keep one more; `hashOrder` gives that order.
 */
import { Reader, Writer } from '../protocol/buffer.ts'
import type { Assignor, GroupSubscriber } from './assignors.ts'
import { byText, hashOrder } from './assignors-order.ts'
import { assignGeneral } from './assignors-sticky-general.ts'
import { readPartitions, writePartitions } from './consumer-protocol.ts'
import { partitionKey, type TopicPartition } from './topic-partition.ts'

/** What a member had. */
export interface Claim {
  readonly memberId: string
  readonly topics: readonly string[]
  readonly partitions: readonly TopicPartition[]
  /** When it had that; -1: it does not say. */
  readonly generation: number
  /** As its subscription says it, whatever the assignor's own data say; -1 before version 2. */
  readonly subscribedGeneration: number
}

/** Who keeps what, before anything is dealt out. */
export interface Kept {
  /** By member, in the order of `hashOrder`. */
  readonly owned: Map<string, TopicPartition[]>
  /** Claimed by two members of one generation: kept by neither, and to be given up by both before it is given away. */
  readonly disputed: Set<string>
  readonly isSameForAll: boolean
}

type Counts = ReadonlyMap<string, number>

/** Kafka's StickyAssignor: what a member had travels in its own data, `previous partitions | int32 generation`. */
export const sticky: Assignor = {
  name: 'sticky',
  userData(owned, generation) {
    if (generation < 0) return null
    const writer = new Writer(128)
    writePartitions(writer, owned)
    writer.int32(generation)
    return writer.bytes()
  },
  assign(members, partitionCounts) {
    return assignSticky(members.map(stickyClaim), partitionCounts).shares
  },
}

/**
 * Kafka's CooperativeStickyAssignor. What goes from one member to another is given to nobody in the round in which it is
 * taken away; the group meets again, and then it is free.
 */
export const cooperativeSticky: Assignor = {
  name: 'cooperative-sticky',
  isCooperative: true,
  userData(_owned, generation) {
    const writer = new Writer(4)
    writer.int32(generation)
    return writer.bytes()
  },
  assign(members, partitionCounts) {
    const claims = members.map(cooperativeClaim)
    const { shares, moving } = assignSticky(claims, partitionCounts)
    const isMoving = moving ?? movingBetween(members, shares)
    for (const [memberId, share] of shares) {
      shares.set(
        memberId,
        share.filter(partition => isMoving.get(partitionKey(partition)) !== memberId),
      )
    }
    return shares
  },
}

function stickyClaim(member: GroupSubscriber): Claim {
  const { memberId, topics, generation: subscribedGeneration, userData } = member
  const claim = { memberId, topics, subscribedGeneration }
  if (userData === null || userData.length === 0)
    return { ...claim, partitions: [], generation: -1 }
  try {
    const reader = new Reader(userData)
    const partitions = readPartitions(reader)
    return { ...claim, partitions, generation: reader.remaining >= 4 ? reader.int32() : -1 }
  } catch {
    // Somebody else's data under the same name: as if it had none.
    return { ...claim, partitions: [], generation: -1 }
  }
}

function cooperativeClaim(member: GroupSubscriber): Claim {
  const { memberId, topics, owned, generation: subscribedGeneration, userData } = member
  let generation = subscribedGeneration
  if (generation < 0 && userData !== null && userData.length >= 4)
    generation = userData.readInt32BE(0)
  return { memberId, topics, partitions: owned, generation, subscribedGeneration }
}

/** `moving`: partitions that change hands, with who gets them; null where that has to be found out from the result. */
function assignSticky(
  given: readonly Claim[],
  partitionCounts: Counts,
): { shares: Map<string, TopicPartition[]>; moving: Map<string, string> | null } {
  const wanted = new Set(given.flatMap(({ topics }) => topics))
  const counts = new Map([...partitionCounts].filter(([t, count]) => wanted.has(t) && count > 0))
  const claims = hashOrder(given, ({ memberId }) => memberId)
  const kept = settleClaims(claims, counts)
  if (kept.isSameForAll) return new Quotas(counts, kept).assign()
  return { shares: assignGeneral(counts, claims, kept.owned), moving: null }
}

/** Decides between members that claim the same partition. */
function settleClaims(claims: readonly Claim[], counts: Counts): Kept {
  const owned = new Map<string, TopicPartition[]>()
  const disputed = new Set<string>()
  const owners = new Map<string, Claim>()
  const first = new Set(claims[0]?.topics)
  let isSameForAll = true
  for (const claim of claims) {
    const { memberId, topics, partitions, generation } = claim
    if (topics.length !== first.size || !topics.every(t => first.has(t))) isSameForAll = false
    const list: TopicPartition[] = []
    owned.set(memberId, list)
    for (const partition of partitions) {
      if (partition.partition >= (counts.get(partition.topic) ?? 0)) continue
      const key = partitionKey(partition)
      const other = owners.get(key)
      if (other === undefined) list.push(partition)
      else {
        if (generation < other.subscribedGeneration) continue
        if (generation > other.subscribedGeneration) list.push(partition)
        else disputed.add(key)
        drop(owned.get(other.memberId)!, partition)
      }
      owners.set(key, claim)
    }
  }
  return { owned, disputed, isSameForAll }
}

function drop(list: TopicPartition[], { topic, partition }: TopicPartition): void {
  const at = list.findIndex(p => p.topic === topic && p.partition === partition)
  if (at >= 0) list.splice(at, 1)
}

/** Everybody wants the same: each gets `least` partitions or one more, and as many as divide with a rest get one more. */
class Quotas {
  private readonly kept: Kept
  private readonly counts: Counts
  private readonly least: number
  private readonly most: number
  /** How many members may have `most`. */
  private fullLeft: number
  private readonly shares = new Map<string, TopicPartition[]>()
  private readonly before = new Map<string, string>()
  private readonly moving = new Map<string, string>()
  private readonly poor: string[] = []
  private middling: string[] = []

  constructor(counts: Counts, kept: Kept) {
    this.kept = kept
    this.counts = counts
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
    this.least = Math.floor(total / kept.owned.size)
    this.most = Math.ceil(total / kept.owned.size)
    this.fullLeft = total % kept.owned.size
  }

  assign(): { shares: Map<string, TopicPartition[]>; moving: Map<string, string> } {
    for (const [memberId, owned] of this.kept.owned) this.keep(memberId, owned)
    this.poor.sort(byText)
    this.middling.sort(byText)
    this.deal(this.unassigned())
    return { shares: this.shares, moving: this.moving }
  }

  private keep(memberId: string, owned: readonly TopicPartition[]): void {
    const { least, most } = this
    const own = owned
      .filter(partition => !this.kept.disputed.has(partitionKey(partition)))
      .sort((a, b) => a.partition - b.partition || byText(a.topic, b.topic))
    let keeps = Math.min(own.length, least)
    if (own.length < least) this.poor.push(memberId)
    else if (own.length >= most && this.fullLeft > 0) {
      keeps = most
      if (--this.fullLeft === 0) this.middling = []
    } else if (this.fullLeft > 0) this.middling.push(memberId)
    this.shares.set(memberId, own.slice(0, keeps))
    for (const given of own.slice(keeps)) this.before.set(partitionKey(given), memberId)
  }

  private unassigned(): TopicPartition[] {
    const assigned = new Set([...this.shares.values()].flat().map(partitionKey))
    return [...this.counts]
      .sort(([a], [b]) => byText(a, b))
      .flatMap(([topic, count]) =>
        Array.from({ length: count }, (_, partition) => ({ topic, partition })),
      )
      .filter(partition => !assigned.has(partitionKey(partition)))
  }

  private deal(unassigned: readonly TopicPartition[]): void {
    const { poor, middling, least, shares, before, moving } = this
    let turn = 0
    for (const partition of unassigned) {
      if (turn >= poor.length) turn = 0
      const memberId = poor.length > 0 ? poor[turn]! : middling.shift()!
      const share = shares.get(memberId)!
      share.push(partition)
      const key = partitionKey(partition)
      const had = before.get(key)
      if ((had !== undefined && had !== memberId) || this.kept.disputed.has(key)) {
        moving.set(key, memberId)
      }
      if (poor.length === 0) continue
      if (share.length === least) middling.push(...poor.splice(turn, 1))
      else turn++
    }
  }
}

function movingBetween(
  members: readonly GroupSubscriber[],
  shares: ReadonlyMap<string, readonly TopicPartition[]>,
): Map<string, string> {
  const given = new Map<string, string>()
  const taken = new Set<string>()
  for (const { memberId, owned } of members) {
    const before = new Set(owned.map(partitionKey))
    const after = new Set((shares.get(memberId) ?? []).map(partitionKey))
    for (const key of after) if (!before.has(key)) given.set(key, memberId)
    for (const key of before) if (!after.has(key)) taken.add(key)
  }
  return new Map([...given].filter(([key]) => taken.has(key)))
}

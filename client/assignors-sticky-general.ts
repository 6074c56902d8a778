/**
 * The sticky assignment for members that want different topics. What is valid of the present assignment stays; what is
 * free goes to whoever has the least and wants it; then partitions move from who has more to who has less, until no move
 * helps, or everything is as it was before where all the moving has not made it better.
 *
 * A partition that has to move back along a way on which another one of its topic has come is spared: that other one goes
 * instead (`Movements`), so that two members never swap partitions of a topic.
 */
import { bucketOf, byText, capacityFor, textHash } from './assignors-order.ts'
import type { Claim } from './assignors-sticky.ts'
import { partitionKey, type TopicPartition } from './topic-partition.ts'

interface Topic {
  readonly name: string
  readonly partitions: readonly number[]
  /** Members that want it, in their order. */
  readonly consumers: readonly number[]
}

const NOBODY = -1

/** `counts` has only topics that somebody wants; `owned` is settled: nobody has what another has. */
export function assignGeneral(
  counts: ReadonlyMap<string, number>,
  claims: readonly Claim[],
  owned: ReadonlyMap<string, readonly TopicPartition[]>,
): Map<string, TopicPartition[]> {
  return new Balance(counts, claims, owned).assign()
}

class Balance {
  private readonly members: readonly string[]
  private readonly topics: Topic[] = []
  /** All partitions, those of topics that fewest want first; everything below speaks of them by their place here. */
  private readonly all: { readonly topic: Topic; readonly partition: number }[] = []
  private readonly numbers = new Map<string, number>()
  private readonly wants: readonly ReadonlySet<Topic>[]
  /** How many partitions each member could have. */
  private readonly reach: readonly number[]
  private owner: number[]
  private sizes: number[]
  /** Members that can take part, ordered by how much they have, then by name. */
  private order: number[]
  private readonly previous = new Map<number, number>()
  private readonly movements = new Movements()
  private isRevoking = false

  constructor(
    counts: ReadonlyMap<string, number>,
    claims: readonly Claim[],
    owned: ReadonlyMap<string, readonly TopicPartition[]>,
  ) {
    this.members = claims.map(({ memberId }) => memberId)
    this.layOut(counts, claims)
    this.wants = claims.map(
      claim => new Set(this.topics.filter(t => claim.topics.includes(t.name))),
    )
    this.reach = this.wants.map(wants =>
      [...wants].reduce((sum, { partitions }) => sum + partitions.length, 0),
    )
    this.owner = this.all.map(() => NOBODY)
    this.sizes = this.members.map(() => 0)
    this.order = this.members.map((_, member) => member)
    this.keep(owned)
    this.remember(claims)
  }

  assign(): Map<string, TopicPartition[]> {
    this.order.sort((a, b) => this.compare(a, b))
    const isFresh = this.sizes[this.order.at(-1)!] === 0
    const free = this.owner.flatMap((owner, p) => (owner === NOBODY ? [p] : []))
    for (const p of free) this.give(p)
    const isShared = (p: number) => this.all[p]!.topic.consumers.length >= 2
    this.order = this.order.filter(member => this.canTakePart(member))
    const [ownerBefore, sizesBefore] = [[...this.owner], [...this.sizes]]
    if (!this.isRevoking) this.reassign(free.filter(isShared))
    const hasMoved = this.reassign(this.all.flatMap((_, p) => (isShared(p) ? [p] : [])))
    if (!isFresh && hasMoved && this.imbalance(this.sizes) >= this.imbalance(sizesBefore)) {
      this.owner = ownerBefore
      this.sizes = sizesBefore
    }
    const shares = new Map<string, TopicPartition[]>(this.members.map(id => [id, []]))
    for (const [p, { topic, partition }] of this.all.entries()) {
      shares.get(this.members[this.owner[p]!]!)!.push({ topic: topic.name, partition })
    }
    return shares
  }

  private layOut(counts: ReadonlyMap<string, number>, claims: readonly Claim[]): void {
    const wanting = (name: string) =>
      claims.flatMap(({ topics }, member) => (topics.includes(name) ? [member] : []))
    const sorted = [...counts]
      .map(([name, count]) => ({ name, count, consumers: wanting(name) }))
      .sort((a, b) => a.consumers.length - b.consumers.length || byText(a.name, b.name))
    for (const { name, count, consumers } of sorted) {
      const start = this.all.length
      const partitions = Array.from({ length: count }, (_, i) => start + i)
      const topic = { name, consumers, partitions }
      this.topics.push(topic)
      for (let partition = 0; partition < count; partition++) {
        this.numbers.set(partitionKey({ topic: name, partition }), this.all.length)
        this.all.push({ topic, partition })
      }
    }
  }

  private keep(owned: ReadonlyMap<string, readonly TopicPartition[]>): void {
    for (const [member, id] of this.members.entries()) {
      for (const partition of owned.get(id) ?? []) {
        const p = this.numbers.get(partitionKey(partition))
        if (p === undefined) continue
        if (this.wants[member]!.has(this.all[p]!.topic)) {
          this.owner[p] = member
          this.sizes[member]!++
        } else this.isRevoking = true
      }
    }
  }

  /** Who had each partition before its present owner: there it goes back to first. */
  private remember(claims: readonly Claim[]): void {
    const latest = Math.max(...claims.map(({ generation }) => generation))
    const since = new Map<number, number>()
    for (const [member, { generation, partitions }] of claims.entries()) {
      if (generation >= latest) continue
      for (const partition of partitions) {
        const p = this.numbers.get(partitionKey(partition))
        if (p === undefined || !this.wants[member]!.has(this.all[p]!.topic)) continue
        if (generation <= (since.get(p) ?? Number.NEGATIVE_INFINITY)) continue
        since.set(p, generation)
        this.previous.set(p, member)
      }
    }
  }

  private compare(a: number, b: number): number {
    return this.sizes[a]! - this.sizes[b]! || byText(this.members[a]!, this.members[b]!)
  }

  private give(p: number): void {
    const { topic } = this.all[p]!
    const member = this.order.find(candidate => this.wants[candidate]!.has(topic))!
    this.withdraw(member)
    this.owner[p] = member
    this.sizes[member]!++
    this.enter(member)
  }

  private withdraw(member: number): void {
    const at = this.order.indexOf(member)
    if (at >= 0) this.order.splice(at, 1)
  }

  private enter(member: number): void {
    let [low, high] = [0, this.order.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.compare(this.order[middle]!, member) < 0) low = middle + 1
      else high = middle
    }
    this.order.splice(low, 0, member)
  }

  private canTakePart(member: number): boolean {
    if (this.sizes[member]! < this.reach[member]!) return true
    for (const { consumers, partitions } of this.wants[member]!) {
      if (consumers.length >= 2 && partitions.some(p => this.owner[p] === member)) return true
    }
    return false
  }

  private get isBalanced(): boolean {
    const [first, last] = [this.order[0]!, this.order.at(-1)!]
    if (this.sizes[first]! >= this.sizes[last]! - 1) return true
    const largest = new Map(
      this.topics.map(t => [t, Math.max(...t.partitions.map(p => this.sizes[this.owner[p]!]!))]),
    )
    return this.order.every(member =>
      [...this.wants[member]!].every(topic => this.sizes[member]! + 1 >= largest.get(topic)!),
    )
  }

  /** Moves partitions until nothing helps any more; whether it has moved any. */
  private reassign(partitions: readonly number[]): boolean {
    let hasMoved = false
    let seen = ''
    for (let passes = 1, isMoving = true; isMoving; passes++) {
      isMoving = false
      for (const p of partitions) {
        if (this.isBalanced) break
        const target = this.betterOwner(p)
        if (target === undefined) continue
        this.move(p, target)
        hasMoved = isMoving = true
      }
      // Partitions that go in the place of others can go round in circles; Java's assignor then never ends.
      const now = `${this.owner} ${this.movements.text}`
      if (now === seen) break
      if ((passes & (passes - 1)) === 0) seen = now
    }
    return hasMoved
  }

  private betterOwner(p: number): number | undefined {
    const has = this.sizes[this.owner[p]!]!
    const { topic } = this.all[p]!
    const before = this.previous.get(p)
    // Java takes the previous owner unseen, and fails where it cannot take part.
    const isThere = before !== undefined && this.order.includes(before)
    if (isThere && has > this.sizes[before]! + 1) return before
    if (!topic.consumers.some(other => has > this.sizes[other]! + 1)) return undefined
    return this.order.find(member => this.wants[member]!.has(topic))
  }

  private move(wanted: number, to: number): void {
    const { topic } = this.all[wanted]!
    const p = this.movements.instead(wanted, topic, this.owner[wanted]!, to)
    const from = this.owner[p]!
    this.withdraw(from)
    this.withdraw(to)
    this.movements.moved(p, this.all[p]!, from, to)
    this.sizes[from]!--
    this.sizes[to]!++
    this.owner[p] = to
    this.enter(to)
    if (from !== to) this.enter(from)
  }

  /** The differences of all pairs; of members that cannot take part nothing changes. */
  private imbalance(sizes: readonly number[]): number {
    let sum = 0
    for (const [i, a] of this.order.entries()) {
      for (const b of this.order.slice(i + 1)) sum += Math.abs(sizes[a]! - sizes[b]!)
    }
    return sum
  }
}

interface Way {
  readonly from: number
  readonly to: number
}

/** Which partitions have moved from whom to whom. */
class Movements {
  private readonly ways = new Map<number, Way>()
  private readonly byTopic = new Map<Topic, Map<string, HashSetOrder>>()

  moved(
    p: number,
    place: { readonly topic: Topic; readonly partition: number },
    from: number,
    to: number,
  ): void {
    const known = this.ways.get(p)
    if (known === undefined) return this.add(p, place, { from, to })
    this.ways.delete(p)
    const ways = this.byTopic.get(place.topic)!
    const set = ways.get(keyOf(known))!
    set.delete(p)
    if (set.size === 0) ways.delete(keyOf(known))
    if (known.from !== to) this.add(p, place, { from: known.from, to })
  }

  get text(): string {
    return [...this.ways]
      .map(([p, way]) => `${p} ${keyOf(way)}`)
      .sort()
      .join()
  }

  /** The partition to move in the place of `p`. */
  instead(p: number, topic: Topic, from: number, to: number): number {
    const source = this.ways.get(p)?.from ?? from
    return (
      this.byTopic
        .get(topic)
        ?.get(keyOf({ from: to, to: source }))
        ?.first() ?? p
    )
  }

  private add(
    p: number,
    { topic, partition }: { readonly topic: Topic; readonly partition: number },
    way: Way,
  ): void {
    this.ways.set(p, way)
    const ways = this.byTopic.get(topic) ?? new Map<string, HashSetOrder>()
    this.byTopic.set(topic, ways)
    const set = ways.get(keyOf(way)) ?? new HashSetOrder()
    ways.set(keyOf(way), set)
    // Java's TopicPartition.hashCode.
    set.add(p, (Math.imul(31, 31 + partition) + textHash(topic.name)) | 0)
  }
}

function keyOf({ from, to }: Way): string {
  return `${from} ${to}`
}

/** As much of a java.util.HashSet as decides which element comes first. */
class HashSetOrder {
  private readonly hashes = new Map<number, number>()
  private capacity = 16

  get size(): number {
    return this.hashes.size
  }

  add(item: number, hash: number): void {
    this.hashes.set(item, hash)
    this.capacity = Math.max(this.capacity, capacityFor(this.hashes.size))
  }

  delete(item: number): void {
    this.hashes.delete(item)
  }

  first(): number | undefined {
    let first: number | undefined
    let lowest = Number.POSITIVE_INFINITY
    for (const [item, hash] of this.hashes) {
      const bucket = bucketOf(hash, this.capacity)
      if (bucket >= lowest) continue
      lowest = bucket
      first = item
    }
    return first
  }
}

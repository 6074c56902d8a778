/**
 * Whether what was written is what is read. Each producer numbers its records within a partition from 0, so a reader knows
 * what it misses, what it has twice, and what came out of turn. In a group a partition goes from member to member, and
 * members may be in different processes: each says what it has met (`PartitionSeen`), and `checksOf` puts it together.
 *
 * A record that is in the log once and is read twice is no fault of the log: it has the same offset both times. A group
 * does that when a partition changes hands before its last offsets were committed.
 */
import type { Stream } from './messages.ts'
import { countBelow, type Met, Ranges, unionOf } from './ranges.ts'

/** Of a partition so many places are remembered at which something was odd; beyond it faults are counted only. */
const ODD_MAX = 20

/** Where something was odd: a fault, or, for a jump, the record before which some are missing, and may still come. */
export interface Odd {
  readonly kind: 'jump' | 'late' | 'again' | 'reread'
  readonly offset: number
  /** Null where the record was not looked into. */
  readonly producer: number | null
  readonly sequence: number | null
}

/** One partition, as the members of one group in one process meet it. */
export class PartitionCheck {
  reread = 0
  private readonly offsets = new Ranges()
  /** Offsets, too. */
  private readonly corrupt = new Ranges()
  /** By producer: sequence numbers, and how many came when a later one had been there. */
  private readonly streams = new Map<number, { readonly seen: Ranges; reordered: number }>()
  private readonly odd: Odd[] = []

  /** Whether it is the first time that the record at this offset is read. */
  isNew(offset: number): boolean {
    if (this.offsets.add(offset)) return true
    this.reread++
    this.note({ kind: 'reread', offset, producer: null, sequence: null })
    return false
  }

  isCorrupt(offset: number): void {
    this.corrupt.add(offset)
  }

  saw(producer: number, sequence: number, offset: number): void {
    let stream = this.streams.get(producer)
    if (stream === undefined) {
      stream = { seen: new Ranges(), reordered: 0 }
      this.streams.set(producer, stream)
    }
    const { end } = stream.seen
    const isNew = stream.seen.add(sequence)
    if (sequence === end) return
    const kind = sequence > end ? 'jump' : isNew ? 'late' : 'again'
    if (kind === 'late') stream.reordered++
    this.note({ kind, offset, producer, sequence })
  }

  private note(odd: Odd): void {
    if (this.odd.length < ODD_MAX) this.odd.push(odd)
  }

  /** For another process. */
  seen(group: number, topic: string, partition: number): PartitionSeen {
    const streams = [...this.streams].map(([producer, { seen, reordered }]) => {
      return { producer, seen: seen.met, reordered }
    })
    const { reread, odd } = this
    const [offsets, corrupt] = [this.offsets.met, this.corrupt.met]
    return { group, topic, partition, offsets, corrupt, reread, streams, odd }
  }
}

/** What a process has met of one partition for one group. */
export interface PartitionSeen {
  readonly group: number
  readonly topic: string
  readonly partition: number
  readonly offsets: Met
  readonly corrupt: Met
  readonly reread: number
  readonly streams: readonly {
    readonly producer: number
    readonly seen: Met
    readonly reordered: number
  }[]
  /** The first of them. */
  readonly odd: readonly Odd[]
}

export interface CheckCounts {
  /** Acknowledged, and never read. */
  readonly lost: number
  /** In the log more than once. */
  readonly duplicated: number
  readonly reordered: number
  /** Read, but not as they were written. */
  readonly corrupt: number
  /** In the log once and read more than once. */
  readonly reread: number
}

export const NO_FAULTS: CheckCounts = {
  lost: 0,
  duplicated: 0,
  reordered: 0,
  corrupt: 0,
  reread: 0,
}

/** Faults; that something is read again after a rebalance is none. */
export function faultsOf({ lost, duplicated, reordered, corrupt }: CheckCounts): number {
  return lost + duplicated + reordered + corrupt
}

/** Of all groups together: what was sent, beside what all processes have met. */
export function checksOf(
  streams: readonly Stream[],
  topics: readonly string[],
  groups: number,
  seen: readonly PartitionSeen[],
): CheckCounts {
  const total: Counts = { ...NO_FAULTS }
  for (const { sent, met } of partitionsOf(streams, topics, groups, seen)) {
    const counts = partitionChecks(sent, met)
    for (const kind of Object.keys(total) as (keyof CheckCounts)[]) total[kind] += counts[kind]
  }
  return total
}

/** A partition and a group that was to read it: what was sent there, and what the group's processes have met. */
export interface PartitionOfGroup {
  readonly group: number
  readonly topic: string
  readonly partition: number
  readonly sent: readonly Stream[]
  readonly met: readonly PartitionSeen[]
}

/** Of each group all partitions that something was sent to. */
export function partitionsOf(
  streams: readonly Stream[],
  topics: readonly string[],
  groups: number,
  seen: readonly PartitionSeen[],
): PartitionOfGroup[] {
  const met = listedBy(seen, one => `${one.group}/${one.topic}/${one.partition}`)
  const sent = listedBy(streams, one => `${topics[one.topic]}/${one.partition}`)
  return Array.from({ length: groups }, (_, group) => group).flatMap(group =>
    [...sent].map(([name, ofPartition]) => {
      const { topic, partition } = ofPartition[0]!
      return {
        group,
        topic: topics[topic]!,
        partition,
        sent: ofPartition,
        met: met.get(`${group}/${name}`) ?? [],
      }
    }),
  )
}

function listedBy<T>(list: readonly T[], nameOf: (one: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>()
  for (const one of list) {
    const name = nameOf(one)
    const before = found.get(name)
    if (before === undefined) found.set(name, [one])
    else before.push(one)
  }
  return found
}

type Counts = { -readonly [Name in keyof CheckCounts]: number }

/**
 * Of one group. What was read twice across a change of hands is told by its offset; a record that went out of turn just
 * there may be counted by both sides, or by none.
 */
function partitionChecks(streams: readonly Stream[], seen: readonly PartitionSeen[]): CheckCounts {
  const records = togetherOf(seen.map(({ offsets }) => offsets))
  const total: Counts = {
    ...NO_FAULTS,
    corrupt: togetherOf(seen.map(({ corrupt }) => corrupt)).count,
    reread: records.repeated + seen.reduce((sum, { reread }) => sum + reread, 0),
  }
  let different = 0
  for (const { producer, sent, failed } of streams) {
    const parts = seen.flatMap(one => one.streams.filter(part => part.producer === producer))
    const { ranges, count, givenUp } = togetherOf(parts.map(part => part.seen))
    different += count
    for (const { reordered } of parts) total.reordered += reordered
    const accounted = unionOf([ranges, failed.ranges]).ranges
    total.lost += sent - countBelow(accounted, sent) + givenUp
  }
  total.duplicated = Math.max(0, records.count - total.corrupt - different)
  return total
}

/** What several processes have met. */
function togetherOf(list: readonly Met[]) {
  const { ranges, repeated } = unionOf(list.map(one => one.ranges))
  const givenUp = list.reduce((sum, one) => sum + one.givenUp, 0)
  return { ranges, repeated, givenUp, count: countBelow(ranges, Infinity) - givenUp }
}

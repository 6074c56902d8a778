/** Where in the log the faults are that `checks.ts` counts: topic, partition, offset, and whose record it is. */
import { type Odd, type PartitionOfGroup, type PartitionSeen, partitionsOf } from './checks.ts'
import type { Stream } from './messages.ts'
import { gapsBelow, unionOf } from './ranges.ts'

export interface Finding {
  /** `reread`: the same place in the log, handed out twice. */
  readonly kind: 'lost' | 'duplicated' | 'reordered' | 'corrupt' | 'reread'
  /** The number of the group that found it. */
  readonly group: number
  readonly topic: string
  readonly partition: number
  /** Of what is lost, the offset of the record that came next; null where none came, or nobody remembers. */
  readonly offset: number | null
  /** Who sent it, and its number within producer and partition; null where the record does not say. */
  readonly producer: number | null
  readonly sequence: number | null
  /** Of what is lost, how many in turn; else 1. */
  readonly records: number
}

/** More are counted, and not listed. */
export const FINDINGS_MAX = 20

/**
 * The first faults by group and partition, at most `FINDINGS_MAX`. What several processes have met of one partition is told
 * as each of them met it, so a doubled record of which each process has one is counted and not found.
 */
export function findingsOf(
  streams: readonly Stream[],
  topics: readonly string[],
  groups: number,
  seen: readonly PartitionSeen[],
): Finding[] {
  const found: Finding[] = []
  for (const one of partitionsOf(streams, topics, groups, seen)) {
    if (found.length >= FINDINGS_MAX) break
    found.push(...ofPartition(one))
  }
  return found.slice(0, FINDINGS_MAX)
}

const KINDS = { late: 'reordered', again: 'duplicated', reread: 'reread' } as const

function ofPartition({ group, topic, partition, sent, met }: PartitionOfGroup): Finding[] {
  const where = { group, topic, partition, records: 1 }
  const odd = met.flatMap(one => one.odd)
  const damaged = unionOf(met.map(({ corrupt }) => corrupt.ranges)).ranges
  return [
    ...sent.flatMap(stream => lostOf(stream, met, odd).map(lost => ({ ...where, ...lost }))),
    ...odd.flatMap(({ kind, offset, producer, sequence }): Finding[] =>
      kind === 'jump' ? [] : [{ ...where, kind: KINDS[kind], offset, producer, sequence }],
    ),
    ...firstIn(damaged).map((offset): Finding => {
      return { ...where, kind: 'corrupt', offset, producer: null, sequence: null }
    }),
  ]
}

type Lost = Omit<Finding, 'group' | 'topic' | 'partition'>

function lostOf(
  { producer, sent, failed }: Stream,
  met: readonly PartitionSeen[],
  odd: readonly Odd[],
): Lost[] {
  const seen = met.flatMap(one => one.streams.filter(part => part.producer === producer))
  const { ranges } = unionOf([...seen.map(part => part.seen.ranges), failed.ranges])
  const gaps = gapsBelow(ranges, sent).slice(0, FINDINGS_MAX)
  return gaps.map(([from, to]) => {
    const next = odd.find(one => one.producer === producer && one.sequence === to)
    const offset = next?.offset ?? null
    return { kind: 'lost', offset, producer, sequence: from, records: to - from }
  })
}

/** The first numbers in the ranges. */
function firstIn(ranges: readonly number[]): number[] {
  const numbers: number[] = []
  for (let i = 0; i < ranges.length; i += 2) {
    for (let at = ranges[i]!; at < ranges[i + 1]!; at++) {
      if (numbers.push(at) === FINDINGS_MAX) return numbers
    }
  }
  return numbers
}

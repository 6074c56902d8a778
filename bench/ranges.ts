/** Whole numbers that have been met, as half-open ranges in order. What comes in turn costs a comparison. */

/** Beyond so many ranges the oldest gaps are given up, so that a log with a million holes does not fill the memory. */
const RANGES_MAX = 10_000
const GIVEN_UP_AT_ONCE = 1_000

/** As data. */
export interface Met {
  /** From, to, from, to, …, in order; none touches the next. */
  readonly ranges: readonly number[]
  /** How many of the numbers in them are of gaps that were too many to remember. */
  readonly givenUp: number
}

export const NONE_MET: Met = { ranges: [], givenUp: 0 }

export class Ranges {
  /** From, to, from, to, … */
  private readonly bounds: number[] = []
  private given = 0

  /** One more than the highest that was met. */
  get end(): number {
    return this.bounds.at(-1) ?? 0
  }

  get met(): Met {
    return { ranges: this.bounds, givenUp: this.given }
  }

  /** Whether it is new. */
  add(number: number): boolean {
    const { bounds } = this
    const last = bounds.length - 1
    if (number === bounds[last]) {
      bounds[last] = number + 1
      return true
    }
    if (last < 0 || number > bounds[last]!) bounds.push(number, number + 1)
    else if (!this.insert(number)) return false
    if (bounds.length > 2 * RANGES_MAX) this.giveUp()
    return true
  }

  /** Somewhere before the end. */
  private insert(number: number): boolean {
    const { bounds } = this
    // The first range that ends at the number or behind it.
    let [low, high] = [0, bounds.length / 2]
    while (low < high) {
      const middle = (low + high) >> 1
      if (bounds[2 * middle + 1]! < number) low = middle + 1
      else high = middle
    }
    const [from, to] = [bounds[2 * low]!, bounds[2 * low + 1]!]
    if (number >= from && number < to) return false
    if (number === to) {
      // It may close the gap to the next one.
      if (bounds[2 * low + 2] === number + 1) bounds.splice(2 * low + 1, 2)
      else bounds[2 * low + 1] = number + 1
    } else if (number === from - 1) bounds[2 * low] = number
    else bounds.splice(2 * low, 0, number, number + 1)
    return true
  }

  private giveUp(): void {
    const gaps = this.bounds.splice(1, 2 * GIVEN_UP_AT_ONCE)
    for (let i = 0; i < gaps.length; i += 2) this.given += gaps[i + 1]! - gaps[i]!
  }
}

/** What several have met together: the ranges, and how many numbers were met by more than one (once for each further one). */
export function unionOf(lists: readonly (readonly number[])[]): {
  readonly ranges: readonly number[]
  readonly repeated: number
} {
  const pairs = lists.flatMap(list =>
    Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i]!, list[2 * i + 1]!] as const),
  )
  pairs.sort(([a], [b]) => a - b)
  const ranges: number[] = []
  let repeated = 0
  for (const [from, to] of pairs) {
    const end = ranges.at(-1)
    if (end === undefined || from > end) {
      ranges.push(from, to)
      continue
    }
    repeated += Math.min(end, to) - from
    if (to > end) ranges[ranges.length - 1] = to
  }
  return { ranges, repeated }
}

/** The numbers below `end` that are in none of the ranges, as ranges. */
export function gapsBelow(
  ranges: readonly number[],
  end: number,
): (readonly [from: number, to: number])[] {
  const bounds = [0, ...ranges.filter(bound => bound < end), end]
  if (bounds.length % 2 === 1) bounds.pop()
  return Array.from(
    { length: bounds.length / 2 },
    (_, i) => [bounds[2 * i]!, bounds[2 * i + 1]!] as const,
  ).filter(([from, to]) => from < to)
}

/** How many of the numbers below `end` are in the ranges. */
export function countBelow(ranges: readonly number[], end: number): number {
  let count = 0
  for (let i = 0; i < ranges.length; i += 2) {
    count += Math.max(0, Math.min(ranges[i + 1]!, end) - ranges[i]!)
  }
  return count
}

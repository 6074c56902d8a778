/**
 * What Kafka's verifiable consumers say of themselves, and whether it can be true of members of one group: nothing is
 * lost, and no two who live read the same partition at the same time.
 */

/** One line of a verifiable consumer, or of another that says the same; times are the machine's. */
export interface ConsumerEvent {
  readonly timestamp: number
  readonly name: string
  readonly partitions?: readonly {
    readonly partition: number
    readonly minOffset?: number
    readonly maxOffset?: number
  }[]
  readonly success?: boolean
  readonly offsets?: readonly { readonly partition: number; readonly offset: number }[]
}

export interface ConsumerStory {
  readonly name: string
  readonly events: readonly ConsumerEvent[]
  /** When it was killed; what it held then is nobody's. */
  readonly killedMs: number | null
}

/** A member has a partition from one moment to another, and reads from one offset to another. */
interface Tenure {
  readonly member: string
  readonly partition: number
  readonly fromMs: number
  toMs: number
  readonly reads: Read[]
}

interface Read {
  readonly partition: number
  readonly minOffset: number
  readonly maxOffset: number
}

interface Told {
  readonly tenures: Tenure[]
  readonly reads: Read[]
  readonly commits: { readonly atMs: number; readonly partition: number; readonly offset: number }[]
  readonly faults: string[]
}

function tell({ name, events, killedMs }: ConsumerStory, told: Told): void {
  const held = new Map<number, Tenure>()
  for (const { timestamp, name: what, partitions = [], offsets = [], success } of events) {
    if (what === 'offsets_committed' && success === true) {
      for (const one of offsets) told.commits.push({ ...one, atMs: timestamp })
    }
    for (const { partition, minOffset, maxOffset } of partitions) {
      const tenure = held.get(partition)
      if (what === 'partitions_assigned') {
        if (tenure !== undefined) told.faults.push(`${name} is given ${partition} twice`)
        const toMs = Number.POSITIVE_INFINITY
        const begun = { member: name, partition, fromMs: timestamp, toMs, reads: [] }
        held.set(partition, begun)
        told.tenures.push(begun)
      } else if (what === 'partitions_revoked') {
        held.delete(partition)
        if (tenure !== undefined) tenure.toMs = timestamp
      } else if (what === 'records_consumed') {
        const read = { partition, minOffset: minOffset!, maxOffset: maxOffset! }
        told.reads.push(read)
        tenure?.reads.push(read)
        if (tenure === undefined) told.faults.push(`${name} reads ${partition} without having it`)
      }
    }
  }
  for (const tenure of held.values()) tenure.toMs = killedMs ?? Number.POSITIVE_INFINITY
}

/** Offsets of one partition that nobody read, as ranges in words. */
function unreadOf(partition: number, end: number, told: Told): string[] {
  const reads = told.reads.filter(one => one.partition === partition)
  reads.push({ partition, minOffset: end, maxOffset: end - 1 })
  const faults: string[] = []
  let next = 0
  for (const { minOffset, maxOffset } of reads.sort((a, b) => a.minOffset - b.minOffset)) {
    if (minOffset > next) faults.push(`${partition}: nobody read ${next} to ${minOffset - 1}`)
    next = Math.max(next, maxOffset + 1)
  }
  return faults
}

function overlaps(tenures: readonly Tenure[]): string[] {
  const inOrder = [...tenures].sort((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs)
  return inOrder.slice(1).flatMap((one, i) => {
    const before = inOrder.slice(0, i + 1).find(({ toMs }) => toMs > one.fromMs)
    if (before === undefined) return []
    const until = before.toMs === Number.POSITIVE_INFINITY ? 'the end' : before.toMs
    const who = `${before.member} had it from ${before.fromMs} to ${until}`
    return [`${one.partition}: ${one.member} has it from ${one.fromMs}, but ${who}`]
  })
}

/** A tenure reads without gaps, from what was committed when it began or behind it. */
function progress(tenure: Tenure, commits: Told['commits']): string[] {
  const { member, partition, fromMs, reads } = tenure
  const faults: string[] = []
  const known = commits.filter(one => one.partition === partition && one.atMs < fromMs)
  const committed = known.reduce((max, { offset }) => Math.max(max, offset), 0)
  for (const [i, { minOffset }] of reads.entries()) {
    const expected = reads[i - 1]?.maxOffset
    if (expected !== undefined && minOffset !== expected + 1) {
      faults.push(`${partition}: ${member} reads ${minOffset} after ${expected}`)
    }
    if (i === 0 && minOffset < committed) {
      faults.push(`${partition}: ${member} begins at ${minOffset}, ${committed} was committed`)
    }
  }
  return faults
}

function allTold(stories: readonly ConsumerStory[]): Told {
  const told: Told = { tenures: [], reads: [], commits: [], faults: [] }
  for (const story of stories) tell(story, told)
  return told
}

/** What nobody read; `ends` are the ends of the partitions, in order. */
export function unread(stories: readonly ConsumerStory[], ends: readonly number[]): string[] {
  const told = allTold(stories)
  return ends.flatMap((end, partition) => unreadOf(partition, end, told))
}

/** What cannot be; `ends` are the ends of the partitions, in order. */
export function faultsOf(stories: readonly ConsumerStory[], ends: readonly number[]): string[] {
  const told = allTold(stories)
  for (const [partition, end] of ends.entries()) {
    const tenures = told.tenures.filter(one => one.partition === partition)
    told.faults.push(...unreadOf(partition, end, told), ...overlaps(tenures))
    for (const tenure of tenures) told.faults.push(...progress(tenure, told.commits))
  }
  return told.faults
}

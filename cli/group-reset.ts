/** `ottla group reset`: where each partition shall be read from, shown, asked about, and set. */
import type { Admin } from '../client/admin.ts'
import { AnswerError } from '../client/errors.ts'
import type { GroupAdmin } from '../client/group-admin.ts'
import { listOffsets, type OffsetQuery } from '../client/list-offsets.ts'
import type { Terminal } from './context.ts'
import { UsageError } from './failure.ts'
import { table } from './topic-tables.ts'

export interface ResetOptions {
  readonly topic?: readonly string[]
  readonly toEarliest?: boolean
  readonly toLatest?: boolean
  readonly toOffset?: number
  readonly shiftBy?: number
  /** Milliseconds since 1970. */
  readonly toTimestamp?: number
  /** Milliseconds. */
  readonly byDuration?: number
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

interface Place {
  readonly topic: string
  readonly partition: number
}

interface Plan extends Place {
  /** -1: nothing was committed. */
  readonly before: number
  readonly offset: number
}

interface Tools {
  readonly admin: Admin
  readonly groups: GroupAdmin
  readonly terminal: Terminal
  readonly nowMs: number
}

const GOALS = [
  'toEarliest',
  'toLatest',
  'toOffset',
  'shiftBy',
  'toTimestamp',
  'byDuration',
] as const

export async function reset(tools: Tools, group: string, options: ResetOptions): Promise<void> {
  const goals = GOALS.filter(goal => options[goal] !== undefined)
  if (goals.length !== 1) {
    throw new UsageError(
      'give one of --to-earliest, --to-latest, --to-offset, --shift-by, --to-timestamp, --by-duration.',
    )
  }
  const { terminal, groups } = tools
  const plans = await planFor(tools, group, options)
  const isDry = options.dryRun === true
  if (options.json === true) terminal.out(`${JSON.stringify({ group, isDry, plans }, null, 2)}\n`)
  else terminal.out(planText(plans))
  if (isDry || plans.length === 0) return
  if (options.yes !== true && terminal.isInteractive) {
    const answer = await terminal.ask(`Set ${plans.length} offsets of ${group}? [y/N] `)
    if (!/^y(es)?$/i.test(answer)) throw new UsageError('nothing was set.')
  }
  await refuseWithMembers(groups, group)
  await groups.setOffsets(group, plans)
  if (options.json !== true) terminal.out(`Set ${plans.length} offsets of group ${group}.\n`)
}

/** Members would go on where they are and commit over it; the broker refuses it with an error that does not say so. */
async function refuseWithMembers(groups: GroupAdmin, group: string): Promise<void> {
  let members = 0
  try {
    members = (await groups.describe(group)).members.length
  } catch (error) {
    // A group that is not there yet may be given offsets.
    if (!(error instanceof AnswerError) || error.error !== 'GROUP_ID_NOT_FOUND') throw error
  }
  if (members > 0) {
    throw new UsageError(`group '${group}' has ${members} member(s): stop them first.`)
  }
}

function planText(plans: readonly Plan[]): string {
  if (plans.length === 0) return 'The group has read nothing; name a topic with --topic.\n'
  const rows = plans.map(({ topic, partition, before, offset }) => [
    topic,
    partition,
    before < 0 ? 'none' : String(before),
    offset,
  ])
  return table(['TOPIC', 'PARTITION', 'BEFORE', 'AFTER'], rows)
}

async function planFor(tools: Tools, group: string, options: ResetOptions): Promise<Plan[]> {
  const committed = await tools.groups.offsets(group)
  const places = options.topic === undefined ? committed : await named(tools.admin, options.topic)
  const before = (place: Place) =>
    committed.find(one => one.topic === place.topic && one.partition === place.partition)?.offset ??
    -1
  const bounds = (at: OffsetQuery['at']) => offsetsAt(tools.admin, places, at)
  const [starts, ends] = [await bounds('earliest'), await bounds('latest')]
  const timestampMs = options.toTimestamp ?? tools.nowMs - (options.byDuration ?? 0)
  const isByTime = options.toTimestamp !== undefined || options.byDuration !== undefined
  const byTime = isByTime ? await bounds(timestampMs) : []
  return places.map((place, i) => {
    const { topic, partition } = place
    const [start, end] = [starts[i]!, ends[i]!]
    const was = before(place)
    const wanted = () => {
      if (options.toEarliest === true) return start
      if (options.toLatest === true) return end
      if (options.toOffset !== undefined) return options.toOffset
      // Nothing that late: what comes next.
      if (isByTime) return byTime[i]! < 0 ? end : byTime[i]!
      return (was < 0 ? start : was) + (options.shiftBy ?? 0)
    }
    return { topic, partition, before: was, offset: Math.min(end, Math.max(start, wanted())) }
  })
}

async function offsetsAt(
  admin: Admin,
  places: readonly Place[],
  at: OffsetQuery['at'],
): Promise<number[]> {
  const queries = places.map(({ topic, partition }) => ({ topic, partition, at }))
  const answers = await listOffsets(admin.cluster, queries, {})
  const failed = answers.find(({ error }) => error !== null)
  if (failed !== undefined) throw failed.error
  return answers.map(({ offset }) => offset)
}

/** `orders`, or `orders:0,2`. */
async function named(admin: Admin, topics: readonly string[]): Promise<Place[]> {
  const places: Place[] = []
  for (const text of topics) {
    const [topic = '', list] = text.split(':')
    if (list !== undefined) {
      if (!/^\d+(,\d+)*$/.test(list)) throw new UsageError(`--topic ${text}: give name:0,1,2.`)
      for (const index of list.split(',')) places.push({ topic, partition: Number(index) })
      continue
    }
    const [described] = await admin.describeTopics([topic])
    for (const { partitionIndex } of described!.partitions) {
      places.push({ topic, partition: partitionIndex })
    }
  }
  return places
}

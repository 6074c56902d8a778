/** What a run waits for of its readers: before it that every partition answers and every group has shared them out, after it that all has been read. */
import type { Admin } from '../client/admin.ts'
import type { TopicPartition } from '../client/topic-partition.ts'
import { type CheckCounts, checksOf, type PartitionSeen } from './checks.ts'
import { type Finding, findingsOf } from './findings.ts'
import type { Stream } from './messages.ts'

const LOOK_EVERY_MS = 50
/** Nothing has come for so long: maybe that is because all of the log has been read. */
const SETTLED_MS = 500
/** Nothing has come for so long: nothing will. */
const GIVE_UP_MS = 10_000
/** Nothing runs yet. */
const PREPARED = { timeoutMs: 30_000 }
/** Of a cluster that does not answer by then, nobody knows where its logs end. */
const ANSWER = { timeoutMs: 5_000 }

export interface Reader {
  /** Records that its process has read, as of its last word. */
  readonly progress: number
  look(): Promise<readonly PartitionSeen[]>
}

export interface Written {
  readonly topics: readonly string[]
  readonly partitions: number
  readonly groups: number
}

/** Until every partition answers: a cluster may say that a topic is there while its logs are still being made. */
export async function topicsReady(
  admin: Admin,
  topics: readonly string[],
  partitions: number,
): Promise<void> {
  let left = partitionsOf(topics, partitions)
  while (left.length > 0) {
    const queries = left.map(one => ({ ...one, at: 'latest' as const }))
    const answers = await admin.listOffsets(queries, PREPARED)
    left = left.filter((_, i) => answers[i]!.error !== null)
    if (left.length > 0) await pause(LOOK_EVERY_MS)
  }
}

function partitionsOf(topics: readonly string[], partitions: number): TopicPartition[] {
  return topics.flatMap(topic =>
    Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
  )
}

/** A group that nobody has joined; a cluster that does not answer is told. */
function notYetThere(error: Error): null {
  if (error.name === 'TimeoutError' || error.name === 'ConnectionError') throw error
  return null
}

/** Until each group has so many members which together have all partitions. */
export async function groupsComplete(
  admin: Admin,
  groups: readonly string[],
  members: number,
  partitions: number,
): Promise<void> {
  for (const groupId of groups) {
    for (;;) {
      const found = await admin.groups.describe(groupId, PREPARED).catch(notYetThere)
      const shared = (found?.members ?? [])
        .flatMap(({ assignment }) => assignment.map(one => one.partitions.length))
        .reduce((sum, count) => sum + count, 0)
      const isStable = found?.state.toLowerCase() === 'stable'
      if (isStable && found?.members.length === members && shared === partitions) break
      await pause(LOOK_EVERY_MS)
    }
  }
}

export interface Checked {
  readonly checks: CheckCounts
  readonly findings: readonly Finding[]
}

/** Goes on until everything is there, or nothing more comes; says what is wrong with it. */
export async function drained(
  readers: readonly Reader[],
  streams: readonly Stream[],
  written: Written,
  admin: Admin,
): Promise<Checked> {
  const { topics, groups } = written
  const sent = streams.reduce((sum, stream) => sum + stream.sent, 0)
  // What was refused may be in the log or not: without refusals it is known when all has come.
  const isSure = streams.every(({ failed }) => failed.ranges.length === 0)
  let [last, sinceMs, lookedAt] = [-1, performance.now(), -1]
  let hasLooked = false
  for (;;) {
    const records = readers.reduce((sum, { progress }) => sum + progress, 0)
    if (records !== last) [last, sinceMs] = [records, performance.now()]
    const idleMs = performance.now() - sinceMs
    const hasGivenUp = idleMs > GIVE_UP_MS
    const isSettled = idleMs > SETTLED_MS && lookedAt !== records
    if (hasGivenUp || isSettled || (isSure && !hasLooked && records >= sent * groups)) {
      hasLooked = true
      if (isSettled) lookedAt = records
      const seen = (await Promise.all(readers.map(reader => reader.look()))).flat()
      const checks = checksOf(streams, topics, groups, seen)
      const isOver = hasGivenUp || (isSure && checks.lost === 0)
      if (isOver || (isSettled && (await isAtEnd(admin, written, seen)))) {
        return { checks, findings: findingsOf(streams, topics, groups, seen) }
      }
    }
    await pause(LOOK_EVERY_MS)
  }
}

/** Whether all that there is in the partitions has been read by each group; what is still missing is not there. */
async function isAtEnd(
  admin: Admin,
  { topics, partitions, groups }: Written,
  seen: readonly PartitionSeen[],
): Promise<boolean> {
  const all = partitionsOf(topics, partitions)
  const queries = all.map(one => ({ ...one, at: 'latest' as const }))
  const ends = await admin.listOffsets(queries, ANSWER).catch(() => [])
  const reached = new Map<string, number>()
  for (const { group, topic, partition, offsets } of seen) {
    const name = `${group}/${topic}/${partition}`
    reached.set(name, Math.max(reached.get(name) ?? 0, offsets.ranges.at(-1) ?? 0))
  }
  return all.every(({ topic, partition }, i) => {
    const end = ends[i]
    if (end === undefined || end.error !== null) return false
    return Array.from({ length: groups }, (_, group) => group).every(
      group => (reached.get(`${group}/${topic}/${partition}`) ?? 0) >= end.offset,
    )
  })
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

/** What `AssignorRecorder.java` writes, and our assignors on the same groups. */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { type GroupSubscriber, type PartitionRacks, roundRobin } from '../../client/assignors.ts'
import { range } from '../../client/assignors-range.ts'
import { cooperativeSticky, sticky } from '../../client/assignors-sticky.ts'
import type { TopicPartition } from '../../client/topic-partition.ts'

type Results = {
  readonly [Name in 'range' | 'roundrobin' | 'sticky' | 'cooperative-sticky']: string[] | null
}

interface Line extends Results {
  readonly counts: Readonly<Record<string, number>>
  /** Id, instance, topics, generation, whether its subscription is of a version without it, what it has. */
  readonly members: readonly [string, string | null, string, number, 0 | 1, string][]
}

const ASSIGNORS = [range, roundRobin, sticky, cooperativeSticky]

/** Each line is a group and what Kafka's classes say; null where they fail or do not end. Returns how many answers were compared. */
export function compareWithKafka(lines: string): number {
  let compared = 0
  for (const text of lines.trim().split('\n')) {
    const line = JSON.parse(text) as Line
    const counts = new Map(Object.entries(line.counts))
    for (const assignor of ASSIGNORS) {
      const theirs = line[assignor.name as keyof Results]
      const members = line.members.map(
        ([memberId, groupInstanceId, topics, generation, isOld, has]) => {
          const owned = partitionsOf(has)
          const userData = assignor.userData?.(owned, generation) ?? null
          const subscriber: GroupSubscriber = {
            memberId,
            groupInstanceId,
            topics: topics.split(' '),
            owned: assignor.isCooperative ? owned : [],
            generation: isOld ? -1 : generation,
            userData,
          }
          return subscriber
        },
      )
      const ours = assignor.assign(members, counts)
      // Ours has to end with something where Kafka's does not.
      if (theirs === null) continue
      const shares = members.map(({ memberId }) => textOf(ours.get(memberId)!))
      assert.deepEqual(shares, theirs, `${assignor.name}: ${text}`)
      compared++
    }
  }
  return compared
}

interface RackLine {
  /** By topic, the racks of each partition. */
  readonly racks: Readonly<Record<string, readonly string[]>>
  /** Id, instance, topics, rack. */
  readonly members: readonly [string, string | null, string, string | null][]
  readonly range: readonly string[]
}

/** The same of groups whose members are in racks. Returns in how many racks made a difference. */
export function compareRacksWithKafka(lines: string): number {
  let different = 0
  for (const text of lines.trim().split('\n')) {
    const line = JSON.parse(text) as RackLine
    const counts = new Map(Object.entries(line.racks).map(([topic, { length }]) => [topic, length]))
    const racks = new Map(
      Object.entries(line.racks).map(([topic, list]) => [
        topic,
        list.map(names => new Set(names.split(' ').filter(name => name !== ''))),
      ]),
    )
    const members: GroupSubscriber[] = line.members.map(
      ([memberId, groupInstanceId, topics, rackId]) => ({
        memberId,
        groupInstanceId,
        topics: topics.split(' '),
        owned: [],
        generation: -1,
        userData: null,
        rackId,
      }),
    )
    const sharesOf = (given?: PartitionRacks) => {
      const shares = range.assign(members, counts, given)
      return members.map(({ memberId }) => textOf(shares.get(memberId)!))
    }
    const ours = sharesOf(racks)
    assert.deepEqual(ours, line.range, text)
    if (!isDeepStrictEqual(ours, sharesOf())) different++
  }
  return different
}

function partitionsOf(text: string): TopicPartition[] {
  if (text === '') return []
  return text.split(',').flatMap(part => {
    const [topic, ...numbers] = part.split(' ')
    return numbers.map(number => ({ topic: topic!, partition: Number(number) }))
  })
}

function textOf(partitions: readonly TopicPartition[]): string {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    topics.set(topic, [...(topics.get(topic) ?? []), partition])
  }
  return [...topics]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([topic, numbers]) => `${topic} ${numbers.sort((a, b) => a - b).join(' ')}`)
    .join(',')
}

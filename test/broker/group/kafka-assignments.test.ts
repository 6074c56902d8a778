/**
 * Our assignors beside those of Apache Kafka 4.3.1. `kafka-assignments.jsonl` holds 200 changes of random groups as
 * Kafka's own classes answered them: what members had, who is in the group then with which topics, and what each gets.
 * Which of two equal members gets the larger share depends on the order of a Java HashMap, so shares are compared by size.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Assignment } from '../../../broker/group/assignment.ts'
import { assignors } from '../../../broker/group/assignors.ts'

type Shares = Record<string, Record<string, number[]>>

interface Change {
  readonly assignor: string
  readonly counts: readonly number[]
  readonly before: Shares
  readonly group: Record<string, string[]>
  readonly after: Shares
}

const changes = readFileSync(join('test', 'broker', 'group', 'kafka-assignments.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map(line => JSON.parse(line) as Change)

function ours({ assignor, counts, before, group }: Change): Shares {
  const members = Object.entries(group).map(([memberId, topics]) => {
    const had = Object.entries(before[memberId] ?? {})
    const partitions = new Map(had.map(([topic, list]) => [topic, new Set(list)]))
    return { memberId, topicIds: new Set(topics), partitions }
  })
  const sizes = new Map(counts.map((count, i) => ['abcd'[i]!, count]))
  return shares(assignors[assignor]!(members, sizes))
}

function shares(assignment: Assignment): Shares {
  const plain = [...assignment].map(([memberId, topics]) => [
    memberId,
    Object.fromEntries([...topics].map(([topic, partitions]) => [topic, [...partitions]])),
  ])
  return Object.fromEntries(plain) as Shares
}

const owned = (all: Shares) =>
  Object.entries(all).flatMap(([memberId, topics]) =>
    Object.entries(topics).flatMap(([topic, list]) => list.map(p => `${memberId} ${topic}-${p}`)),
  )

function kept({ before }: Change, after: Shares): number {
  const previous = new Set(owned(before))
  return owned(after).filter(one => previous.has(one)).length
}

const size = (topics: Record<string, number[]>, only?: string) =>
  Object.entries(topics).reduce(
    (sum, [topic, { length }]) => sum + (only === undefined || only === topic ? length : 0),
    0,
  )
const sizes = (all: Shares, topic?: string) =>
  Object.values(all)
    .map(topics => size(topics, topic))
    .sort((a, b) => a - b)

const isUniform = ({ group }: Change) => new Set(Object.values(group).map(String)).size === 1

test('uniform: sizes are those of Kafka, and no more moves, where all subscribe to the same', () => {
  const some = changes.filter(one => one.assignor === 'uniform' && isUniform(one))
  assert.ok(some.length >= 50)
  for (const change of some) {
    const mine = ours(change)
    assert.deepEqual(sizes(mine), sizes(change.after), JSON.stringify(change))
    assert.ok(kept(change, mine) >= kept(change, change.after), JSON.stringify(change))
  }
})

test('uniform: at least as even as Kafka where members subscribe to different topics', () => {
  const some = changes.filter(one => one.assignor === 'uniform' && !isUniform(one))
  assert.ok(some.length >= 20)
  const unevenness = (all: Shares) => sizes(all).reduce((sum, one) => sum + one * one, 0)
  for (const change of some) {
    assert.ok(unevenness(ours(change)) <= unevenness(change.after), JSON.stringify(change))
  }
})

test('range: sizes within each topic are those of Kafka', () => {
  const some = changes.filter(one => one.assignor === 'range')
  for (const change of some) {
    const mine = ours(change)
    for (const topic of 'abcd') {
      assert.deepEqual(sizes(mine, topic), sizes(change.after, topic), JSON.stringify(change))
    }
  }
})

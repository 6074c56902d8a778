/** Who gets what: worked examples of the rules that Kafka documents, a table of Kafka's own answers, and properties. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Assignor, roundRobin } from '../../client/assignors.ts'
import { range } from '../../client/assignors-range.ts'
import { cooperativeSticky, sticky } from '../../client/assignors-sticky.ts'
import { chooseSeed, tier } from '../tiers.ts'
import { compareRacksWithKafka, compareWithKafka } from './kafka-assignments.ts'

const member = (memberId: string, topics: string[], groupInstanceId: string | null = null) => ({
  memberId,
  groupInstanceId,
  topics,
  owned: [],
  generation: -1,
  userData: null,
})

function shares(
  assignor: Assignor,
  members: ReturnType<typeof member>[],
  counts: [string, number][],
) {
  const result = assignor.assign(members, new Map(counts))
  return [...result].map(([id, list]) => [id, list.map(p => `${p.topic}${p.partition}`).join(' ')])
}

test('range: runs of each topic, the first members get one more', () => {
  const members = [member('c1', ['a', 'b']), member('c2', ['a', 'b'])]
  assert.deepEqual(
    shares(range, members, [
      ['a', 3],
      ['b', 3],
    ]),
    [
      ['c1', 'a0 a1 b0 b1'],
      ['c2', 'a2 b2'],
    ],
  )
  const mixed = [member('c1', ['a']), member('c2', ['a', 'b']), member('c3', ['a'])]
  assert.deepEqual(
    shares(range, mixed, [
      ['a', 3],
      ['b', 2],
    ]),
    [
      ['c1', 'a0'],
      ['c2', 'a1 b0 b1'],
      ['c3', 'a2'],
    ],
  )
})

test('round-robin: partitions in turn, to those that subscribe', () => {
  const members = [member('c1', ['a', 'b']), member('c2', ['a', 'b'])]
  assert.deepEqual(
    shares(roundRobin, members, [
      ['b', 3],
      ['a', 3],
    ]),
    [
      ['c1', 'a0 a2 b1'],
      ['c2', 'a1 b0 b2'],
    ],
  )
  const mixed = [member('c1', ['a']), member('c2', ['a', 'b']), member('c3', ['a'])]
  assert.deepEqual(
    shares(roundRobin, mixed, [
      ['a', 3],
      ['b', 2],
    ]),
    [
      ['c1', 'a0'],
      ['c2', 'a1 b0 b1'],
      ['c3', 'a2'],
    ],
  )
})

test('static members come first, in the order of their names', () => {
  const members = [member('z', ['a']), member('x', ['a'], 'i2'), member('y', ['a'], 'i1')]
  assert.deepEqual(shares(range, members, [['a', 2]]), [
    ['z', ''],
    ['x', 'a1'],
    ['y', 'a0'],
  ])
})

test('every partition that somebody wants goes to exactly one of those who want it', () => {
  const topics = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'))
  const seed = chooseSeed()
  fc.assert(
    fc.property(
      fc.constantFrom(range, roundRobin, sticky, cooperativeSticky),
      fc.array(topics, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(7), { minLength: 4, maxLength: 4 }),
      (assignor, subscriptions, sizes) => {
        const members = subscriptions.map((list, i) => member(`m${i}`, list))
        const counts = new Map(['a', 'b', 'c', 'd'].map((name, i) => [name, sizes[i]!]))
        const got = [...assignor.assign(members, counts)].flatMap(([id, list]) => {
          for (const { topic } of list) {
            assert.ok(members.find(m => m.memberId === id)!.topics.includes(topic))
          }
          return list.map(p => `${p.topic}${p.partition}`)
        })
        const wanted = [...new Set(subscriptions.flat())].flatMap(topic =>
          Array.from({ length: counts.get(topic)! }, (_, p) => `${topic}${p}`),
        )
        assert.deepEqual(got.sort(), wanted.sort())
      },
    ),
    { seed, numRuns: tier.propertyRuns },
  )
})

test("on recorded groups every assignor comes to the result of Kafka's own class", () => {
  const lines = readFileSync(join('test', 'client', 'assignors.jsonl'), 'utf8')
  assert.equal(compareWithKafka(lines), 600)
})

test("on recorded groups in racks, range comes to the result of Kafka's own class", () => {
  const lines = readFileSync(join('test', 'client', 'range-racks.jsonl'), 'utf8')
  assert.equal(compareRacksWithKafka(lines), 48)
})

test('range: first what is in the rack of a member, no more than without racks', () => {
  const at = (memberId: string, rackId: string) => ({ ...member(memberId, ['a']), rackId })
  const racks = new Map([['a', ['east', 'west', 'east', 'west'].map(rack => new Set([rack]))]])
  const share = (members: ReturnType<typeof at>[]) =>
    [...range.assign(members, new Map([['a', 4]]), racks).values()].map(list =>
      list.map(({ partition }) => partition),
    )
  assert.deepEqual(share([at('c1', 'west'), at('c2', 'east')]), [
    [1, 3],
    [0, 2],
  ])
  const two = [at('c1', 'west'), at('c2', 'west')]
  assert.deepEqual(share(two), [
    [1, 3],
    [0, 2],
  ])
  assert.deepEqual(share([at('c1', 'north'), at('c2', 'north')]), [
    [0, 1],
    [2, 3],
  ])
})

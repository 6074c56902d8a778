/**
 * Assignors as properties: members with any subscriptions, in groups that change again and again. Each partition that is
 * subscribed to has exactly one owner, who subscribes to it; sizes are as equal as the assignor promises; nothing moves
 * without need.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Assignment, AssignorMember } from '../../../broker/group/assignment.ts'
import { assignors } from '../../../broker/group/assignors.ts'
import { tier } from '../../tiers.ts'

const TOPICS = ['a', 'b', 'c', 'd']
const countsArbitrary = fc
  .array(fc.nat(9), { minLength: 4, maxLength: 4 })
  .map(sizes => new Map(TOPICS.map((topic, i) => [topic, sizes[i]!])))
const groupArbitrary = fc.dictionary(
  fc.constantFrom('m1', 'm2', 'm3', 'm4', 'm5', 'm6'),
  fc.subarray(TOPICS),
  { minKeys: 1, noNullPrototype: true },
)
const sameArbitrary = fc
  .tuple(fc.integer({ min: 1, max: 7 }), fc.subarray(TOPICS))
  .map(([size, topics]) =>
    Object.fromEntries(Array.from({ length: size }, (_, i) => [`m${i}`, topics])),
  )

type Group = Record<string, string[]>

function membersOf(group: Group, before: Assignment): AssignorMember[] {
  return Object.entries(group).map(([memberId, topics]) => ({
    memberId,
    topicIds: new Set(topics),
    partitions: before.get(memberId) ?? new Map(),
  }))
}

const sizeOf = (topics: ReadonlyMap<string, ReadonlySet<number>> = new Map()) =>
  [...topics.values()].reduce((sum, { size }) => sum + size, 0)

function owners(assignment: Assignment): Map<string, string> {
  const all = new Map<string, string>()
  for (const [memberId, topics] of assignment) {
    for (const [topic, partitions] of topics) {
      for (const partition of partitions) {
        assert.ok(!all.has(`${topic}-${partition}`), 'two owners')
        all.set(`${topic}-${partition}`, memberId)
      }
    }
  }
  return all
}

function checkOwners(group: Group, counts: ReadonlyMap<string, number>, assignment: Assignment) {
  const owned = owners(assignment)
  const wanted = TOPICS.filter(topic => Object.values(group).some(list => list.includes(topic)))
  const all = wanted.flatMap(topic =>
    [...Array(counts.get(topic)!).keys()].map(p => `${topic}-${p}`),
  )
  assert.deepEqual([...owned.keys()].sort(), all.sort())
  for (const [partition, memberId] of owned) assert.ok(group[memberId]!.includes(partition[0]!))
}

for (const [name, assign] of Object.entries(assignors)) {
  test(`${name}: every partition has one owner who subscribes to it, and a second run changes nothing`, () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(groupArbitrary, countsArbitrary), { maxLength: 4 }), steps => {
        let before: Assignment = new Map()
        for (const [group, counts] of steps) {
          const after = assign(membersOf(group, before), counts)
          checkOwners(group, counts, after)
          const again = assign(membersOf(group, after), counts)
          assert.deepEqual(owners(again), owners(after))
          before = after
        }
      }),
      { numRuns: tier.propertyRuns },
    )
  })
}

test('uniform: with one subscription sizes differ by one at most, and only what must move does', () => {
  fc.assert(
    fc.property(sameArbitrary, sameArbitrary, countsArbitrary, (first, second, counts) => {
      const before = assignors['uniform']!(membersOf(first, new Map()), counts)
      const after = assignors['uniform']!(membersOf(second, before), counts)
      const sizes = [...after.values()].map(sizeOf)
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
      const subscribed = new Set(Object.values(second)[0])
      const held = Object.keys(second).map(id =>
        sizeOf(new Map([...(before.get(id) ?? [])].filter(([topic]) => subscribed.has(topic)))),
      )
      const total = sizes.reduce((a, b) => a + b, 0)
      assert.equal(kept(before, after), mostThatCanStay(held, total))
    }),
    { numRuns: tier.propertyRuns },
  )
})

test('uniform: with several subscriptions no single move would even the sizes out', () => {
  fc.assert(
    fc.property(groupArbitrary, countsArbitrary, (group, counts) => {
      const after = assignors['uniform']!(membersOf(group, new Map()), counts)
      for (const [partition, owner] of owners(after)) {
        for (const [other, topics] of Object.entries(group)) {
          if (!topics.includes(partition[0]!)) continue
          assert.ok(sizeOf(after.get(owner)) <= sizeOf(after.get(other)) + 1)
        }
      }
    }),
    { numRuns: tier.propertyRuns },
  )
})

test('range: within a topic its subscribers differ by one at most, and topics of one size go together', () => {
  fc.assert(
    fc.property(groupArbitrary, countsArbitrary, (group, counts) => {
      const after = assignors['range']!(membersOf(group, new Map()), counts)
      for (const topic of TOPICS) {
        const subscribers = Object.keys(group).filter(id => group[id]!.includes(topic))
        const sizes = subscribers.map(id => after.get(id)!.get(topic)?.size ?? 0)
        if (sizes.length > 0) assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
      }
    }),
    { numRuns: tier.propertyRuns },
  )
  const group = { x: ['a', 'b'], y: ['a', 'b'] }
  const after = assignors['range']!(
    membersOf(group, new Map()),
    new Map([
      ['a', 5],
      ['b', 5],
    ]),
  )
  assert.deepEqual(after.get('x')!.get('a'), new Set([0, 1, 2]))
  assert.deepEqual(after.get('x')!.get('b'), after.get('x')!.get('a'))
})

function kept(before: Assignment, after: Assignment): number {
  const previous = owners(before)
  return [...owners(after)].filter(([partition, owner]) => previous.get(partition) === owner).length
}

/** With sizes that differ by one at most: each may keep the smaller share, and some one more. */
function mostThatCanStay(held: readonly number[], total: number): number {
  const smaller = Math.floor(total / held.length)
  const larger = total % held.length
  const base = held.reduce((sum, count) => sum + Math.min(count, smaller), 0)
  return base + Math.min(larger, held.filter(count => count > smaller).length)
}

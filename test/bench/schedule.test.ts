/** The open loop: when records are due does not depend on when they are taken. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { phasesOf, Schedule } from '../../bench/schedule.ts'
import { tier } from '../tiers.ts'

const SECOND = 1e6

function takeAll(schedule: Schedule, nowUs: number): number[] {
  const taken: number[] = []
  for (let due = schedule.take(nowUs); due !== null; due = schedule.take(nowUs)) {
    taken.push(due.intendedUs)
  }
  return taken
}

test('records are due at even distances, and a late taker gets all of them with their moments', () => {
  const schedule = new Schedule(phasesOf(0, [{ rate: 4, seconds: 2 }]), 1)
  assert.deepEqual(takeAll(schedule, 0), [0])
  assert.deepEqual(takeAll(schedule, 249_999), [])
  assert.deepEqual(takeAll(schedule, 500_000), [250_000, 500_000])
  assert.equal(schedule.behind(1_600_000), 3)
  assert.equal(schedule.isOver(9 * SECOND), false)
  assert.deepEqual(
    takeAll(schedule, 9 * SECOND),
    [750_000, 1_000_000, 1_250_000, 1_500_000, 1_750_000],
  )
  assert.equal(schedule.isOver(9 * SECOND), true)
  assert.equal(schedule.isOver(1.9 * SECOND), false)
})

test('the warm-up has the rate of the first step, and steps follow each other', () => {
  const steps = [
    { rate: 10, seconds: 1 },
    { rate: 'max', seconds: 1 },
    { rate: 2, seconds: 1 },
  ] as const
  const phases = phasesOf(2, steps)
  assert.deepEqual(
    phases.map(({ name, rate, isMeasured }) => [name, rate, isMeasured]),
    [
      ['warm-up', 10, false],
      ['step 1', 10, true],
      ['step 2', 'max', true],
      ['step 3', 2, true],
    ],
  )
  const schedule = new Schedule(phases, 0.5)
  assert.equal(takeAll(schedule, 2 * SECOND - 1).length, 10)
  assert.equal(takeAll(schedule, 3 * SECOND - 1).length, 5)
  // As often as it is asked, at the moment of asking.
  assert.deepEqual(schedule.take(3 * SECOND), { intendedUs: 3 * SECOND, phase: 2 })
  assert.deepEqual(schedule.take(3 * SECOND), { intendedUs: 3 * SECOND, phase: 2 })
  assert.equal(schedule.behind(3 * SECOND), 0)
  assert.deepEqual(takeAll(schedule, 4.5 * SECOND), [4 * SECOND])
})

test('whenever and however often it is asked, each record comes once, at its moment or later', () => {
  const moments = fc.array(fc.integer({ min: 0, max: 5_000_000 }), { maxLength: 30 })
  const rates = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(rates, moments, fc.integer({ min: 1, max: 4 }), (list, at, producers) => {
      const steps = list.map(rate => ({ rate, seconds: 1 }))
      const make = () => new Schedule(phasesOf(1, steps), 1 / producers)
      const expected = takeAll(make(), 60 * SECOND)
      const [asked, taken]: [Schedule, number[]] = [make(), []]
      for (const nowUs of [...at.sort((a, b) => a - b), 60 * SECOND]) {
        const now = takeAll(asked, nowUs)
        assert(now.every(us => us <= nowUs))
        taken.push(...now)
      }
      assert.deepEqual(taken, expected)
      const all = steps.reduce((sum, { rate }) => sum + rate, list[0]!) / producers
      assert(Math.abs(expected.length - all) <= steps.length + 1)
    }),
    { numRuns: tier.propertyRuns },
  )
})

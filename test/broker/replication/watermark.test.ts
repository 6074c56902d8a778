/** Watermarks: who waits is told exactly once, in the call that decides it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Watermark } from '../../../broker/replication/watermark.ts'
import type { Clock } from '../../../protocol/io.ts'

/** A clock whose timers fire when the test says so. */
function manualClock() {
  const timers = new Set<() => void>()
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    timer(_delayMs, callback) {
      timers.add(callback)
      return { cancel: () => timers.delete(callback) }
    },
  }
  const fire = () => {
    for (const callback of [...timers]) {
      timers.delete(callback)
      callback()
    }
  }
  return { clock, fire, timers }
}

test('a wait ends when the value reaches its target, not before, and its timer is cancelled', () => {
  const { clock, timers } = manualClock()
  const mark = new Watermark(5)
  const outcomes: string[] = []
  mark.wait(8, clock, 100, outcome => outcomes.push(outcome))
  mark.advanceTo(7)
  assert.deepEqual(outcomes, [])
  mark.advanceTo(8)
  assert.deepEqual(outcomes, ['reached'])
  assert.equal(timers.size, 0)
  assert.equal(mark.waiting, 0)
})

test('a target that is reached already needs no timer', () => {
  const { clock, timers } = manualClock()
  const outcomes: string[] = []
  new Watermark(5).wait(5, clock, 100, outcome => outcomes.push(outcome))
  assert.deepEqual(outcomes, ['reached'])
  assert.equal(timers.size, 0)
})

test('the value never goes back', () => {
  const mark = new Watermark(5)
  mark.advanceTo(3)
  assert.equal(mark.value, 5)
})

test('after the deadline the wait is over, whatever comes later', () => {
  const { clock, fire } = manualClock()
  const mark = new Watermark(0)
  const outcomes: string[] = []
  mark.wait(1, clock, 100, outcome => outcomes.push(outcome))
  fire()
  mark.advanceTo(1)
  assert.deepEqual(outcomes, ['timeout'])
})

test('a failure ends all waits with its error and tells listeners', () => {
  const { clock } = manualClock()
  const mark = new Watermark(0)
  const outcomes: string[] = []
  let heard = 0
  const listener = { advanced: () => void heard++ }
  mark.listen(listener)
  for (const target of [1, 2]) mark.wait(target, clock, 100, outcome => outcomes.push(outcome))
  mark.failAll('KAFKA_STORAGE_ERROR')
  assert.deepEqual(outcomes, ['KAFKA_STORAGE_ERROR', 'KAFKA_STORAGE_ERROR'])
  assert.equal(heard, 1)
  mark.unlisten(listener)
  mark.advanceTo(9)
  assert.equal(heard, 1)
})

test('a listener may go away while it is being called', () => {
  const mark = new Watermark(0)
  let heard = 0
  const listener = {
    advanced: () => {
      heard++
      mark.unlisten(listener)
    },
  }
  mark.listen(listener)
  mark.advanceTo(1)
  mark.advanceTo(2)
  assert.equal(heard, 1)
})

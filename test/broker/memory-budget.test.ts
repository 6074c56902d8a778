/** The memory budget: what it gives, refuses and wakes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryBudget } from '../../broker/memory-budget.ts'

test('the last taker may exceed the limit by its one request, the next is refused', () => {
  const budget = new MemoryBudget(100)
  assert(budget.tryTake(99))
  assert(budget.tryTake(1000), 'a request larger than the budget is served when something is left')
  assert.equal(budget.tryTake(1), false)
  assert.equal(budget.available, 0)
  budget.give(999)
  assert.equal(budget.used, 100)
  assert.equal(budget.tryTake(1), false, 'exactly at the limit nothing is left')
  budget.give(1)
  assert(budget.tryTake(1))
})

test('who waits is called once, when the limit is no longer reached', () => {
  const budget = new MemoryBudget(10)
  let calls = 0
  budget.take(20)
  budget.whenAvailable(() => calls++)
  budget.give(10)
  assert.equal(calls, 0, 'still at the limit')
  budget.give(1)
  assert.equal(calls, 1)
  budget.give(1)
  assert.equal(calls, 1)
})

test('giving back more than was taken is a bug', () => {
  assert.throws(() => new MemoryBudget(10).give(1), /given back/)
})

test('buffers are charged by what was asked for, not by their size class', () => {
  const budget = new MemoryBudget(10_000)
  const buffer = budget.acquire(5000)!
  assert.equal(budget.used, 5000)
  budget.release(buffer, 5000)
  assert.equal(budget.used, 0)
  budget.take(10_000)
  assert.equal(budget.acquire(1), null)
})

/**
 * Property: whatever happens to a data directory, its logs hold what they must (store-run.ts). Begins with the seeds that
 * once failed; then new ones, as many as the tier says.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { chooseSeed, tier } from '../tiers.ts'
import { live } from './lives.ts'
import { inThreads } from './thread.ts'

test('seeds that once failed', async () => {
  const lines = readFileSync('test/sim/seeds.txt', 'utf8').split('\n')
  for (const line of lines) if (/^\d+$/.test(line)) await live(Number(line))
})

test('a store equals its model through crashes at any operation and any byte', async context => {
  const first = chooseSeed()
  const { simulations } = tier
  context.diagnostic(`${simulations} seeds from ${first} on (OTTLA_SEED=${first} repeats them)`)
  const counts = await inThreads((thread, threads) => ({
    kind: 'lives',
    first: first + thread,
    step: threads,
    end: first + simulations,
  }))
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    simulations,
  )
})

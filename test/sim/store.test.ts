/**
 * Property: whatever happens to a data directory, its logs hold what they must (store-run.ts). Begins with the seeds that
 * once failed; then new ones, as many as the tier says.
 */
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { chooseSeed, tier } from '../tiers.ts'
import { StoreRun } from './store-run.ts'

const SHOWN_LINES = 30

async function run(seed: number): Promise<void> {
  const life = new StoreRun(seed)
  try {
    await life.go()
  } catch (error) {
    const last = life.trace.slice(-SHOWN_LINES).join('\n')
    const advice = `'npm run sim -- ${seed}' shows all of it; the seed belongs into test/sim/seeds.txt`
    throw new Error(`seed ${seed}: ${advice}\n${last}`, { cause: error })
  }
}

test('seeds that once failed', async () => {
  const lines = readFileSync('test/sim/seeds.txt', 'utf8').split('\n')
  for (const line of lines) if (/^\d+$/.test(line)) await run(Number(line))
})

test('a store equals its model through crashes at any operation and any byte', async context => {
  const first = chooseSeed()
  context.diagnostic(
    `${tier.simulations} seeds from ${first} on (OTTLA_SEED=${first} repeats them)`,
  )
  for (let seed = first; seed < first + tier.simulations; seed++) await run(seed)
})

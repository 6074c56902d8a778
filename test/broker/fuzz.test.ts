/** Mutated and truncated frames, driven into the connection code without a socket. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseSeed, tier } from '../tiers.ts'
import { driveFrames } from './fuzz-driver.ts'

test('whatever is sent, the broker answers or closes, within its budget, and serves others', async t => {
  const seed = chooseSeed()
  t.diagnostic(`OTTLA_SEED=${seed}`)
  const started = performance.now()
  const totals = await driveFrames(seed, tier.driverFrames)
  const seconds = (performance.now() - started) / 1000
  t.diagnostic(JSON.stringify({ ...totals, perSecond: Math.round(totals.frames / seconds) }))
  assert.equal(totals.frames, tier.driverFrames)
})

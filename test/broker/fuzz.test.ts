/**
 * Mutated and truncated frames: driven into the connection code, and over TCP. OTTLA_SEED repeats a run; OTTLA_TIER says
 * how many frames (test/tiers.ts).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseSeed, tier } from '../tiers.ts'
import { driveFrames } from './fuzz-driver.ts'
import { fuzzOverTcp } from './fuzz-tcp.ts'

const seed = chooseSeed()

async function run<T extends { frames: number }>(
  count: number,
  drive: (seed: number, count: number) => Promise<T>,
): Promise<string> {
  const started = performance.now()
  const totals = await drive(seed, count)
  assert.equal(totals.frames, count)
  const perSecond = Math.round(count / ((performance.now() - started) / 1000))
  return `OTTLA_SEED=${seed} ${JSON.stringify({ ...totals, perSecond })}`
}

test('whatever is sent, the broker answers or closes, within its budget, and serves others', async t => {
  t.diagnostic(`OTTLA_SEED=${seed}`)
  t.diagnostic(await run(tier.driverFrames, driveFrames))
})

test('over TCP as well', async t => {
  t.diagnostic(`OTTLA_SEED=${seed}`)
  t.diagnostic(await run(tier.tcpFrames, fuzzOverTcp))
})

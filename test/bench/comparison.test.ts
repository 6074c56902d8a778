/** Ratios of two clusters: their interval, and when it says that nothing is known. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareResults, comparisonText, ratioOf } from '../../bench/comparison.ts'
import { madeResult } from './made-result.ts'

test('the interval is that of Student, on logarithms', () => {
  // Logarithms 0.1, 0.2, 0.3: mean 0.2, deviation 0.1; t for two degrees of freedom is 4.303.
  const pairs = [0.1, 0.2, 0.3].map(log => [Math.exp(log), 1] as const)
  const { ratio, low, high } = ratioOf(pairs)
  const half = (4.303 * 0.1) / Math.sqrt(3)
  for (const [value, expected] of [
    [ratio, Math.exp(0.2)],
    [low, Math.exp(0.2 - half)],
    [high, Math.exp(0.2 + half)],
  ] as const) {
    assert(Math.abs(value - expected) < 1e-9, `${value} for ${expected}`)
  }
  assert.deepEqual(ratioOf([[2, 2]]), { ratio: 1, low: 0, high: Number.POSITIVE_INFINITY })
})

test('the ratio of A to B is the inverse of that of B to A', () => {
  const pairs = [
    [3, 2],
    [5, 4],
    [1, 9],
  ] as const
  const there = ratioOf(pairs)
  const back = ratioOf(pairs.map(([a, b]) => [b, a] as const))
  assert(Math.abs(there.ratio * back.ratio - 1) < 1e-12)
  assert(Math.abs(there.low * back.high - 1) < 1e-12)
})

const rates = (label: string, list: readonly number[]) =>
  list.map(ackedPerSecond => madeResult({ label, phase: { ackedPerSecond } }))

test('what differs in every round differs; what goes either way is noise; two rounds tell nothing', () => {
  const verdict = (a: readonly number[], b: readonly number[]) =>
    compareResults(rates('a', a), rates('b', b)).rows.find(({ metric }) => metric === 'acked/s')
      ?.verdict
  assert.equal(verdict([200, 202, 199], [100, 101, 99]), 'better')
  assert.equal(verdict([100, 101, 99], [200, 202, 199]), 'worse')
  assert.equal(verdict([100, 120, 90], [110, 95, 105]), 'within the noise')
  assert.equal(verdict([200, 200], [100, 100]), 'too few rounds to tell')
})

test('less latency is better, and the text says who is who', () => {
  const made = (label: string, p99Ms: number) =>
    [1, 1.01, 0.99].map(factor =>
      madeResult({ label, phase: {}, produce: { p99Ms: p99Ms * factor } }),
    )
  const comparison = compareResults(made('ottla', 2), made('kafka', 4))
  const row = comparison.rows.find(({ metric }) => metric === 'produce p99 ms')
  assert.equal(row?.verdict, 'better')
  const text = comparisonText(comparison)
  assert.match(text, /^A: ottla\nB: kafka\n3 rounds, alternately\n/)
  assert.match(text, /produce p99 ms +2\.00 +4\.00 +0\.50 +0\.\d\d to 0\.\d\d +better/)
})

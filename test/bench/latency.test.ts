/** Histograms: percentiles, adding over processes, and seconds that are put away before the run ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addEncoded,
  distributionOf,
  encodeLatency,
  LatencyBySecond,
  newLatency,
  percentilesOf,
  recordUs,
} from '../../bench/latency.ts'

test('a count may be larger than 32 bits, in one process and added', () => {
  const [latency, sum] = [newLatency(), newLatency()]
  latency.recordValueWithCount(1_000, 5e9)
  recordUs(latency, 3_000)
  for (let i = 0; i < 2; i++) addEncoded(sum, encodeLatency(latency))
  for (const [one, count] of [
    [latency, 5e9 + 1],
    [sum, 1e10 + 2],
  ] as const) {
    const found = percentilesOf(one)!
    assert.deepEqual([found.count, found.p50Ms, found.p9999Ms], [count, 1, 1])
  }
})

test('percentiles are exact to three digits, and of an empty histogram there are none', () => {
  assert.equal(percentilesOf(newLatency()), null)
  assert.deepEqual(distributionOf(newLatency()), [])
  const latency = newLatency()
  for (let us = 1; us <= 100_000; us++) recordUs(latency, us)
  const found = percentilesOf(latency)!
  for (const [value, expected] of [
    [found.p50Ms, 50],
    [found.p99Ms, 99],
    [found.p9999Ms, 99.99],
    [found.maxMs, 100],
    [found.meanMs, 50],
  ] as const) {
    assert(Math.abs(value - expected) / expected < 0.002, `${value} for ${expected}`)
  }
  const points = distributionOf(latency)
  assert(points.every(([, ms], i) => i === 0 || ms >= points[i - 1]![1]))
})

test('what no clock can measure is bounded, not thrown', () => {
  const latency = newLatency(2)
  recordUs(latency, -5)
  recordUs(latency, 1e15)
  assert.equal(latency.totalCount, 2)
})

test('two processes together are what one would have counted', () => {
  const [a, b, both] = [newLatency(), newLatency(), newLatency()]
  for (let i = 0; i < 1000; i++) {
    recordUs(i % 2 === 0 ? a : b, i * 37)
    recordUs(both, i * 37)
  }
  const sum = newLatency()
  addEncoded(sum, encodeLatency(a))
  addEncoded(sum, encodeLatency(b))
  const [{ maxMs: summed, ...found }, { maxMs: max, ...expected }] = [
    percentilesOf(sum)!,
    percentilesOf(both)!,
  ]
  assert.deepEqual(found, expected)
  // What is added has the digits of the histogram, no more.
  assert(Math.abs(summed - max) / max < 0.001)
})

test('seconds that are put away early lose nothing, also what comes late', () => {
  const bySecond = new LatencyBySecond()
  for (let second = 0; second < 100; second++) bySecond.record(second, 1_000)
  bySecond.record(3, 50_000)
  const seconds = bySecond.encode()
  const third = newLatency(2)
  for (const [second, text] of seconds) if (second === 3) addEncoded(third, text)
  assert.equal(third.totalCount, 2)
  assert.equal(new Set(seconds.map(([second]) => second)).size, 100)
})

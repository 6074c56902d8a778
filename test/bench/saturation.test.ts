/** When a result says that the client, or the machine, was what was measured. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_FAULTS } from '../../bench/checks.ts'
import type { Interval } from '../../bench/messages.ts'
import type { Collected, Cores, PhaseResult } from '../../bench/result.ts'
import { saturationOf } from '../../bench/saturation.ts'
import { phasesOf } from '../../bench/schedule.ts'
import { DEFAULTS, workloadOf } from '../../bench/workload.ts'
import { madeResult } from './made-result.ts'

const STEPS = [{ rate: 10_000, seconds: 4 }]
const [made] = madeResult({ phase: { late: null } }).phases

/** A second of warm-up, then four of a process that used and missed so much of a core. */
function collected(
  cpu: number,
  waited: number,
  cores: Cores | null = null,
): Collected & { readonly cores: Cores | null } {
  const intervals = Array.from(
    { length: 5 },
    (_, second): Interval => ({
      type: 'interval',
      second,
      acked: 0,
      received: 0,
      failed: 0,
      behind: 0,
      cpuUs: second === 0 ? 1e6 : cpu * 1e6,
      waitedUs: second === 0 ? 1e6 : waited * 1e6,
      tookUs: 1e6,
      latency: '',
    }),
  )
  return {
    phases: phasesOf(1, STEPS),
    producers: [],
    consumers: [],
    producerIntervals: [intervals],
    consumerIntervals: [],
    usage: [],
    busy: [],
    checks: NO_FAULTS,
    findings: [],
    workload: DEFAULTS,
    endUs: 5e6,
    cores,
  }
}

const said = (all: ReturnType<typeof collected>, phase: PhaseResult, workload = DEFAULTS) =>
  saturationOf({ ...all, workload }, [phase], 2)

test('a client with time to spare is not named, whatever its warm-up took', () => {
  assert.deepEqual(said(collected(0.8, 0.1), made!), [])
})

test('a process at its core, and one that waits for it', () => {
  const [busy] = said(collected(0.91, 0), made!)
  assert.match(
    busy ?? '',
    /^A producer process was busy .* in 4 of 4 seconds: the client was the limit/,
  )
  assert.deepEqual(
    said(collected(0.95, 0.05), made!),
    said(collected(0.91, 0), made!),
    'a little waiting is no machine that is full',
  )
  const [both, ...others] = said(collected(0.5, 0.45), made!)
  assert.match(both ?? '', /waited 45 % .* It had no time left: the client was the limit/)
  assert.deepEqual(others, [])
  const [waiting] = said(collected(0.5, 0.11), made!)
  assert.match(
    waiting ?? '',
    /^A producer process waited 11 % of the time for a processor, and every figure shows it\.$/,
  )
})

test('who had the processors that a process waited for', () => {
  const waiting = (others: number) =>
    said(collected(0.5, 0.2, { brokers: 0.7, bench: 0.8, others }), made!)
  assert.deepEqual(waiting(0.09), [
    'A producer process waited 20 % of the time for a processor: brokers and bench share 2 cores, and every figure shows it.',
  ])
  assert.deepEqual(waiting(0.41), [
    'A producer process waited 20 % of the time for a processor: other work had 0.4 of 2 cores, and every figure shows it.',
  ])
})

test('more processes are proposed where there is a core for them', () => {
  const busy = (others: number) =>
    said(collected(0.95, 0, { brokers: 0.2, bench: 1.1, others }), made!)[0] ?? ''
  assert.match(busy(0.1), /the client was the limit, not the cluster: --workers gives it more/)
  assert.match(busy(0.3), /not the cluster\. More processes \(--workers\) would find no free core/)
})

test('a rate that was not kept, and records that left late', () => {
  const slow = { ...made!, ackedPerSecond: 9_799 }
  assert.deepEqual(said(collected(0, 0), slow), [
    'step 1: 98.0 % of the rate was acknowledged within it: nobody was busy.',
  ])
  assert.deepEqual(said(collected(0, 0), { ...slow, targetRate: 'max' }), [])
  const late = { ...made!, late: { ...made!.produce!, p99Ms: 51 } }
  assert.deepEqual(said(collected(0, 0), late), [
    'step 1: one record in a hundred left 51 ms late or more.',
  ])
})

test('why a rate was not kept: the client, the brokers, the machine, or the time of an answer', () => {
  const produce = { ...made!.produce!, meanMs: 9_700 }
  const slow = {
    ...made!,
    produce,
    ackedPerSecond: 780,
    targetRate: 5_000,
    brokerCpuPerMillion: 35,
  }
  const small = workloadOf({ partitions: 100, batchBytes: 128, idempotent: false }, 'small')
  const reason = (all: ReturnType<typeof collected>, phase: PhaseResult) =>
    / acknowledged within it: (.*)\.$/.exec(said(all, phase, small).at(-1) ?? '')?.[1]
  assert.equal(reason(collected(0.95, 0), slow), 'the client was at its limit')
  const trip =
    'this workload has at most 100 records on their way at once, so a round trip took 128 ms'
  assert.equal(reason(collected(0.1, 0.5), slow), `the machine was full; ${trip}`)
  assert.equal(reason(collected(0.1, 0), slow), `nobody was busy; ${trip}`)
  assert.equal(
    reason(collected(0.1, 0), { ...slow, failed: 1_234 }),
    `1,234 records failed; ${trip}`,
  )
  const busy = { ...slow, brokerCpuPerMillion: 1_230 }
  assert.equal(reason(collected(0.1, 0), busy), `the brokers used 1.0 cores; ${trip}`)
})

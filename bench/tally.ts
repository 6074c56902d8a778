/** What one process counts: by phase, by second, and in the second that is under way. */
import { readFileSync } from 'node:fs'
import { encodeLatency, type Latency, LatencyBySecond, newLatency, recordUs } from './latency.ts'
import type { Interval, PhaseCounts } from './messages.ts'
import type { Phase } from './schedule.ts'

interface PhaseTally {
  sent: number
  acked: number
  received: number
  receivedBytes: number
  failed: number
  readonly produce: Latency
  readonly endToEnd: Latency
  readonly late: Latency
}

/** Time that this process's main thread was ready and had no processor, from Linux's scheduler. */
function waitedUs(): number {
  try {
    const [, waitedNs] = readFileSync('/proc/self/schedstat', 'utf8').split(' ')
    return Number(waitedNs) / 1000
  } catch {
    return 0
  }
}

/** Different reasons that are told apart. */
const REASONS_MAX = 20

export class Tally {
  private readonly phases: readonly Phase[]
  private readonly tallies: readonly PhaseTally[]
  private readonly bySecond = new LatencyBySecond()
  private readonly errors = new Map<string, number>()
  private current = { acked: 0, received: 0, failed: 0 }
  private latency = newLatency(2)
  private cpu = process.cpuUsage()
  private waitedUs = waitedUs()
  private lastUs = 0

  constructor(phases: readonly Phase[]) {
    this.phases = phases
    this.tallies = phases.map(() => ({
      sent: 0,
      acked: 0,
      received: 0,
      receivedBytes: 0,
      failed: 0,
      produce: newLatency(),
      endToEnd: newLatency(),
      late: newLatency(),
    }))
  }

  sent(phase: number, lateUs: number): void {
    const tally = this.tallies[phase]!
    tally.sent++
    recordUs(tally.late, lateUs)
  }

  acked(intendedUs: number, phase: number, nowUs: number): void {
    this.current.acked++
    const us = nowUs - intendedUs
    recordUs(this.tallies[phase]!.produce, us)
    const now = this.phaseAt(nowUs)
    if (now !== null) now.acked++
    this.took(intendedUs, us)
  }

  received(intendedUs: number, nowUs: number, bytes: number): void {
    this.current.received++
    const us = nowUs - intendedUs
    const sentIn = this.phaseAt(intendedUs)
    if (sentIn !== null) recordUs(sentIn.endToEnd, us)
    const now = this.phaseAt(nowUs)
    if (now !== null) {
      now.received++
      now.receivedBytes += bytes
    }
    this.took(intendedUs, us)
  }

  failed(phase: number, reason: string): void {
    this.current.failed++
    this.tallies[phase]!.failed++
    this.error(reason)
  }

  /** Records that were due and are given up before they left. */
  unsent(phase: number, records: number, reason: string): void {
    this.tallies[phase]!.failed += records
    this.error(reason, records)
  }

  error(reason: string, count = 1): void {
    const known = this.errors.has(reason) || this.errors.size < REASONS_MAX
    const name = known ? reason : 'other reasons'
    this.errors.set(name, (this.errors.get(name) ?? 0) + count)
  }

  /** The second that ends now; counting begins anew. */
  interval(nowUs: number, behind: number): Interval {
    const { user, system } = process.cpuUsage(this.cpu)
    const interval: Interval = {
      type: 'interval',
      second: Math.round(nowUs / 1e6) - 1,
      ...this.current,
      behind,
      cpuUs: user + system,
      waitedUs: waitedUs() - this.waitedUs,
      tookUs: nowUs - this.lastUs,
      latency: encodeLatency(this.latency),
    }
    this.current = { acked: 0, received: 0, failed: 0 }
    this.latency.reset()
    this.cpu = process.cpuUsage()
    this.waitedUs = waitedUs()
    this.lastUs = nowUs
    return interval
  }

  result(): {
    phases: PhaseCounts[]
    bySecond: readonly (readonly [number, string])[]
    errors: [string, number][]
  } {
    const phases = this.tallies.map(({ produce, endToEnd, late, ...counts }) => ({
      ...counts,
      produce: encodeLatency(produce),
      endToEnd: encodeLatency(endToEnd),
      late: encodeLatency(late),
    }))
    return { phases, bySecond: this.bySecond.encode(), errors: [...this.errors] }
  }

  private took(intendedUs: number, us: number): void {
    recordUs(this.latency, us)
    this.bySecond.record(Math.floor(intendedUs / 1e6), us)
  }

  private phaseAt(us: number): PhaseTally | null {
    const index = this.phases.findIndex(({ fromUs, toUs }) => us >= fromUs && us < toUs)
    return this.tallies[index] ?? null
  }
}

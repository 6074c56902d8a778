/** Whether the client was at its own limit: then the figures are the client's, and the report says so. */
import type { Collected, PhaseResult } from './result.ts'

/** Of one core. Above it a process of Node cannot keep up. */
const BUSY = 0.9
/** A rate counts as kept from here on. */
const KEPT = 0.98
const LATE_MS = 50
/** Of the time. Above it other work on the machine takes part in every figure. */
const WAITED = 0.1

export function saturationOf(collected: Collected, phases: readonly PhaseResult[]): string[] {
  const found: string[] = []
  for (const [role, processes] of [
    ['producer', collected.producerIntervals],
    ['consumer', collected.consumerIntervals],
  ] as const) {
    const warmupSeconds = (collected.phases.find(p => p.isMeasured)?.fromUs ?? 0) / 1e6
    for (const intervals of processes) {
      const measured = intervals.filter(({ second }) => second >= warmupSeconds)
      const waited = measured.map(({ waitedUs, tookUs }) => waitedUs / tookUs)
      const mean = waited.reduce((sum, part) => sum + part, 0) / (waited.length || 1)
      if (mean > WAITED) {
        const percent = (mean * 100).toFixed(0)
        found.push(
          `A ${role} process waited ${percent} % of the time for a processor: the machine had other things to do, and every figure shows it.`,
        )
      }
      const busy = measured.filter(({ cpuUs, tookUs }) => cpuUs / tookUs > BUSY).length
      if (busy === 0 || busy < measured.length / 4) continue
      const advice = `the client was the limit, not the cluster: --workers gives it more processes`
      found.push(
        `A ${role} process was busy (over ${BUSY * 100} % of a core) in ${busy} of ${measured.length} seconds: ${advice}.`,
      )
    }
  }
  for (const { name, targetRate, ackedPerSecond, late } of phases) {
    if (targetRate === 'max') continue
    const part = ackedPerSecond / targetRate
    if (part < KEPT) {
      const percent = (part * 100).toFixed(1)
      found.push(`${name}: ${percent} % of the rate was acknowledged within it.`)
    }
    if (late !== null && late.p99Ms > LATE_MS) {
      const lateMs = late.p99Ms.toFixed(0)
      found.push(`${name}: one record in a hundred left ${lateMs} ms late or more.`)
    }
  }
  return found
}

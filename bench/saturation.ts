/** Whether the client was at its own limit: then the figures are the client's, and the report says so; and why a rate was not kept. */
import type { Interval } from './messages.ts'
import type { Collected, PhaseResult } from './result.ts'
import { meanBytes, type Workload } from './workload.ts'

/** Of the time, at work or waiting for a processor to be. Above it a process of Node cannot keep up. */
const BUSY = 0.9
/** A rate counts as kept from here on. */
const KEPT = 0.98
const LATE_MS = 50
/** Of the time. Above it other work on the machine takes part in every figure. */
const WAITED = 0.1
export const WAITED_FOR_PROCESSOR = 'the time for a processor'
/** Requests of an idempotent producer on their way to a broker; without that, a partition has one batch on its way. */
const IN_FLIGHT = 5

export function saturationOf(
  collected: Collected,
  phases: readonly PhaseResult[],
  workload: Workload,
): string[] {
  const processes = [
    ...processesOf(collected, 'producer', collected.producerIntervals),
    ...processesOf(collected, 'consumer', collected.consumerIntervals),
  ]
  const found = processes.flatMap(({ sentences }) => sentences)
  for (const phase of phases) {
    const { name, targetRate, ackedPerSecond, late } = phase
    if (targetRate === 'max') continue
    const part = ackedPerSecond / targetRate
    if (part < KEPT) {
      const percent = (part * 100).toFixed(1)
      const reason = reasonFor(phase, processes, workload)
      found.push(`${name}: ${percent} % of the rate was acknowledged within it: ${reason}.`)
    }
    if (late !== null && late.p99Ms > LATE_MS) {
      const lateMs = late.p99Ms.toFixed(0)
      found.push(`${name}: one record in a hundred left ${lateMs} ms late or more.`)
    }
  }
  return found
}

interface ProcessState {
  readonly isProducer: boolean
  readonly isBusy: boolean
  readonly isWaiting: boolean
  readonly sentences: readonly string[]
}

function processesOf(
  { phases }: Collected,
  role: 'producer' | 'consumer',
  processes: readonly (readonly Interval[])[],
): ProcessState[] {
  const warmupSeconds = (phases.find(p => p.isMeasured)?.fromUs ?? 0) / 1e6
  return processes.map(intervals => {
    const measured = intervals.filter(({ second }) => second >= warmupSeconds)
    const sentences: string[] = []
    const waited = measured.map(({ waitedUs, tookUs }) => waitedUs / tookUs)
    const mean = waited.reduce((sum, part) => sum + part, 0) / (waited.length || 1)
    const isWaiting = mean > WAITED
    const busy = measured.filter(
      ({ cpuUs, waitedUs, tookUs }) => (cpuUs + waitedUs) / tookUs > BUSY,
    ).length
    const isBusy = busy > 0 && busy >= measured.length / 4
    if (isWaiting) {
      const percent = (mean * 100).toFixed(0)
      const limit = isBusy ? ' It had no time left: the client was the limit, not the cluster.' : ''
      sentences.push(
        `A ${role} process waited ${percent} % of ${WAITED_FOR_PROCESSOR}: the machine had other things to do, and every figure shows it.${limit}`,
      )
    } else if (isBusy) {
      sentences.push(
        `A ${role} process was busy (over ${BUSY * 100} % of a core) in ${busy} of ${measured.length} seconds: the client was the limit, not the cluster: --workers gives it more processes.`,
      )
    }
    return { isProducer: role === 'producer', isBusy, isWaiting, sentences }
  })
}

function reasonFor(
  { brokerCpuPerMillion, ackedPerSecond, produce }: PhaseResult,
  processes: readonly ProcessState[],
  workload: Workload,
): string {
  const producers = processes.filter(({ isProducer }) => isProducer)
  if (producers.some(({ isBusy }) => isBusy)) return 'the client was at its limit'
  const cores = ((brokerCpuPerMillion ?? 0) * ackedPerSecond) / 1e6
  const reasons: string[] = []
  if (cores > BUSY) reasons.push(`the brokers used ${cores.toFixed(1)} cores`)
  if (producers.some(({ isWaiting }) => isWaiting)) reasons.push('the machine was full')
  if (reasons.length === 0) reasons.push('nobody was busy')
  const most = mostAtOnce(workload)
  // By Little's law so many were waiting or on their way.
  const waiting = (ackedPerSecond * (produce?.meanMs ?? 0)) / 1000
  if (waiting >= most) {
    const tripMs = (most / ackedPerSecond) * 1000
    reasons.push(
      `this workload has at most ${most} records on their way at once, so a round trip took ${tripMs.toFixed(0)} ms`,
    )
  }
  return reasons.join('; ')
}

/** Records of all producers that can be on their way: so many batches of each partition. */
function mostAtOnce(workload: Workload): number {
  const { topics, partitions, producers, batchBytes, idempotent } = workload
  const records = Math.max(1, Math.floor(batchBytes / (meanBytes(workload) + 10)))
  return topics * partitions * producers * records * (idempotent ? IN_FLIGHT : 1)
}

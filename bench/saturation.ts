/** Whether the client was at its own limit: then the figures are the client's, and the report says so; and why a rate was not kept. */
import { cpus } from 'node:os'
import type { Interval } from './messages.ts'
import type { Collected, Cores, PhaseResult } from './result.ts'
import { meanBytes, type Workload } from './workload.ts'

/** Of the time, at work or waiting for a processor to be. Above it a process of Node cannot keep up. */
const BUSY = 0.9
/** A rate counts as kept from here on. */
const KEPT = 0.98
const LATE_MS = 50
/** Of the time. Above it figures depend on who else had the processors. */
const WAITED = 0.1
export const WAITED_FOR_PROCESSOR = 'of the time for a processor'
/** Of all processors. Above it work that is neither brokers nor bench takes part in every figure. */
const OTHERS = 0.05
/** A core that is free for so much of the time has room for another process. */
const FREE = 0.5
/** Where nobody says otherwise, of the machine that this runs on. */
const CORES = cpus().length
/** Requests of an idempotent producer on their way to a broker; without that, a partition has one batch on its way. */
const IN_FLIGHT = 5

/** Whether work that has nothing to do with the bench took processors that it wanted. */
export function hasOthers(cores: Cores | null, all = CORES): boolean {
  return cores !== null && cores.others > OTHERS * all
}

/** `all`: processors of this machine. */
export function saturationOf(
  collected: Collected & { readonly cores: Cores | null },
  phases: readonly PhaseResult[],
  all = CORES,
): string[] {
  const { workload } = collected
  const words = { shared: sharedBy(collected.cores, all), room: roomFor(collected.cores, all) }
  const processes = [
    ...processesOf(collected, 'producer', collected.producerIntervals, words),
    ...processesOf(collected, 'consumer', collected.consumerIntervals, words),
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

/** Why a process had to wait. */
function sharedBy(cores: Cores | null, all: number): string {
  if (cores === null) return ', and every figure shows it.'
  const what = hasOthers(cores, all)
    ? `other work had ${cores.others.toFixed(1)} of ${all} cores`
    : `brokers and bench share ${all} cores`
  return `: ${what}, and every figure shows it.`
}

/** What to do about a process that is at its limit. */
function roomFor(cores: Cores | null, all: number): string {
  if (cores === null || all - cores.brokers - cores.bench - cores.others > FREE) {
    return ': --workers gives it more processes.'
  }
  return '. More processes (--workers) would find no free core here.'
}

interface Words {
  readonly shared: string
  readonly room: string
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
  { shared, room }: Words,
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
        `A ${role} process waited ${percent} % ${WAITED_FOR_PROCESSOR}${shared}${limit}`,
      )
    } else if (isBusy) {
      sentences.push(
        `A ${role} process was busy (over ${BUSY * 100} % of a core) in ${busy} of ${measured.length} seconds: the client was the limit, not the cluster${room}`,
      )
    }
    return { isProducer: role === 'producer', isBusy, isWaiting, sentences }
  })
}

function reasonFor(
  { brokerCpuPerMillion, ackedPerSecond, failed, produce }: PhaseResult,
  processes: readonly ProcessState[],
  workload: Workload,
): string {
  const producers = processes.filter(({ isProducer }) => isProducer)
  if (producers.some(({ isBusy }) => isBusy)) return 'the client was at its limit'
  const cores = ((brokerCpuPerMillion ?? 0) * ackedPerSecond) / 1e6
  const reasons: string[] = []
  if (failed > 0) reasons.push(`${failed.toLocaleString('en-US')} records failed`)
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

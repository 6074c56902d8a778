/**
 * One run of a workload against one cluster: makes the topics, starts the processes, lets them begin at one moment, follows
 * them second by second, and puts together what they counted. Ctrl-C ends the sending; what was sent is still
 * waited for and checked. Topics are deleted at the end.
 */
import { once } from 'node:events'
import { ProblemsFoundError } from '../cli/failure.ts'
import type { Admin } from '../client/admin.ts'
import { Client } from '../client/client.ts'
import { SOFTWARE_VERSION } from '../client/config.ts'
import { NO_FAULTS } from './checks.ts'
import { addEncoded, newLatency, percentilesOf } from './latency.ts'
import { busyOf, machineFacts, type UsageProbe } from './machine.ts'
import type { Done, Job } from './messages.ts'
import { monotonicUs } from './monotonic.ts'
import { type Checked, drained, groupsComplete, topicsReady } from './readers.ts'
import {
  assemble,
  type BenchResult,
  type BusySample,
  METHOD,
  type Sample,
  type SecondResult,
} from './result.ts'
import { type Phase, phasesOf } from './schedule.ts'
import { describeCluster } from './software.ts'
import { startWorkers, type Worker } from './worker-process.ts'
import { type Workload, withMembers } from './workload.ts'

export interface RunOptions {
  readonly bootstrap: string
  /** How the report names the cluster. */
  readonly label: string
  readonly workload: Workload
  /** Processes of producers, and as many of consumers. */
  readonly workers: number
  /** The brokers' program and version, where that is known. */
  readonly software?: string
  readonly usage: UsageProbe
  /** Brokers that run on this machine. */
  readonly brokerPids?: readonly number[]
  readonly interrupted?: AbortSignal | undefined
  /** Called each second. */
  live?(progress: LiveProgress): void
  readonly keepTopics?: boolean
}

export interface LiveProgress extends Omit<SecondResult, `${string}Cpu` | 'brokerRssBytes'> {
  readonly totalSeconds: number
  readonly phase: string
}

/** From the answer of the last process until the first record. */
const BEGIN_AFTER_US = 300_000
const READY_WITHIN_MS = 120_000
const SAMPLE_EVERY_MS = 500
/** What is left behind when this is over stays. */
const CLEANING = { timeoutMs: 10_000 }

/** Rejects with what keeps it from running; a cluster that fails while it runs is part of the result. */
export async function runWorkload(options: RunOptions): Promise<BenchResult> {
  const workload = withMembers(options.workload, options.workers)
  const startedAt = new Date().toISOString()
  const { bootstrap } = options
  const admin = new Client({ bootstrap, bootstrapTimeoutMs: 0, logger: null }).admin()
  const runId = Math.floor(Math.random() * 2 ** 32)
  const names = (count: number) =>
    Array.from({ length: count }, (_, i) => `bench-${workload.name}-${runId.toString(36)}-${i}`)
  const topics = names(workload.topics)
  const groups = names(workload.groups)
  let workers: Worker[] = []
  try {
    await createTopics(admin, topics, workload)
    const wire = await admin.cluster.run('describing the cluster', {}, attempt =>
      describeCluster(admin.cluster, attempt),
    )
    const cluster = [options.software ?? '', wire].filter(Boolean).join(': ')
    const phases = phasesOf(workload.warmupSeconds, workload.steps)
    const adjusted = { ...options, workload }
    workers = startWorkers(adjusted, phases, { topics, groups, runId })
    await ready(adjusted, workers, admin, topics, groups)
    const run = await drive(adjusted, phases, workers, admin, topics)
    return {
      version: SOFTWARE_VERSION,
      startedAt,
      label: options.label,
      workload,
      cluster,
      machine: machineFacts(),
      processes: workers.length,
      method: METHOD,
      isPartial: run.isPartial,
      ...assemble({ phases, workload, ...run }),
    }
  } finally {
    for (const { child } of workers) child.kill('SIGKILL')
    if (options.keepTopics !== true) {
      const isGrouped = workload.groupProtocol !== 'none'
      await Promise.allSettled([
        isGrouped ? admin.groups.delete(groups, CLEANING) : null,
        admin.deleteTopics(topics, CLEANING),
      ])
    }
    admin.close()
  }
}

async function createTopics(
  admin: Admin,
  topics: readonly string[],
  { partitions, replicationFactor, topicConfigs }: Workload,
): Promise<void> {
  const configs = Object.fromEntries(Object.entries(topicConfigs).map(([k, v]) => [k, String(v)]))
  await admin.createTopics(topics.map(name => ({ name, partitions, replicationFactor, configs })))
}

/** Until every process runs, and every group has shared out what there is. */
async function ready(
  { workload, interrupted }: RunOptions,
  workers: readonly Worker[],
  admin: Admin,
  topics: readonly string[],
  groups: readonly string[],
): Promise<void> {
  const { partitions, consumersPerGroup, groupProtocol } = workload
  const all = Promise.all(workers.map(worker => worker.ready)).then(async () => {
    await topicsReady(admin, topics, partitions)
    if (groupProtocol === 'none') return
    await groupsComplete(admin, groups, consumersPerGroup, topics.length * partitions)
  })
  await within(READY_WITHIN_MS, all, interrupted)
}

async function drive(
  options: RunOptions,
  phases: readonly Phase[],
  workers: readonly Worker[],
  admin: Admin,
  topics: readonly string[],
) {
  const producers = workers.filter(({ role }) => role === 'producer')
  const consumers = workers.filter(({ role }) => role === 'consumer')
  const beginUs = Math.ceil(monotonicUs()) + BEGIN_AFTER_US
  for (const worker of workers) worker.tell({ type: 'begin', atUs: beginUs })
  const usage: Sample[] = []
  const busy: BusySample[] = []
  const pids = [process.pid, ...workers.flatMap(({ child }) => child.pid ?? [])]
  const sampleNow = async () => {
    const us = monotonicUs() - beginUs
    const [used, all] = await Promise.all([options.usage(), busyOf(options.brokerPids ?? [], pids)])
    if (used !== null) usage.push({ us, ...used })
    if (all !== null) busy.push({ us, ...all })
  }
  const sampler = setInterval(() => void sampleNow(), SAMPLE_EVERY_MS)
  const follower = setInterval(() => follow(options, phases, workers, beginUs), 1000)
  const stop = () => {
    for (const worker of producers) worker.tell({ type: 'stop' })
  }
  options.interrupted?.addEventListener('abort', stop, { once: true })
  try {
    const sent = await Promise.all(producers.map(({ done }) => done))
    // Later there is nothing left to interrupt.
    const isPartial = options.interrupted?.aborted === true
    const endUs = isPartial ? monotonicUs() - beginUs : phases.at(-1)!.toUs
    await sampleNow()
    const checked = await check(options.workload, sent, consumers, admin, topics)
    for (const worker of consumers) worker.tell({ type: 'finish' })
    return {
      producers: sent,
      consumers: await Promise.all(consumers.map(({ done }) => done)),
      producerIntervals: producers.map(({ intervals }) => intervals),
      consumerIntervals: consumers.map(({ intervals }) => intervals),
      ...checked,
      usage,
      busy,
      endUs,
      isPartial,
    }
  } finally {
    clearInterval(sampler)
    clearInterval(follower)
    options.interrupted?.removeEventListener('abort', stop)
    await Promise.all(workers.map(ended))
  }
}

async function check(
  { partitions, groups }: Workload,
  sent: readonly Done[],
  consumers: readonly Worker[],
  admin: Admin,
  topics: readonly string[],
): Promise<Checked> {
  if (groups === 0) return { checks: NO_FAULTS, findings: [] }
  for (const worker of consumers) worker.tell({ type: 'drain' })
  const streams = sent.flatMap(one => one.streams)
  return drained(consumers, streams, { topics, partitions, groups }, admin)
}

const END_WITHIN_MS = 5_000

/** It leaves its groups, closes its connections, and ends when it is let go. */
async function ended({ child }: Worker): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  if (child.connected) child.disconnect()
  await Promise.race([once(child, 'exit'), pause(END_WITHIN_MS)])
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms).unref())
}

async function within(
  ms: number,
  promise: Promise<void>,
  interrupted: AbortSignal | undefined,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  let abort = () => {}
  const late = new Promise<never>((_, reject) => {
    const text = `its processes and groups were not ready in ${ms / 1000} seconds.`
    timer = setTimeout(() => reject(new ProblemsFoundError(text)), ms)
    abort = () => reject(new ProblemsFoundError('it was interrupted before the first record.'))
  })
  if (interrupted?.aborted === true) abort()
  interrupted?.addEventListener('abort', abort)
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    interrupted?.removeEventListener('abort', abort)
  }
}

/** What the last second brought, for whoever watches. */
function follow(
  options: RunOptions,
  phases: readonly Phase[],
  workers: readonly Worker[],
  beginUs: number,
): void {
  if (options.live === undefined) return
  const nowUs = monotonicUs() - beginUs
  const phase = phases.find(({ fromUs, toUs }) => nowUs >= fromUs && nowUs < toUs)
  const of = (role: Job['role']) => {
    const list = workers.filter(worker => worker.role === role)
    const latency = newLatency(2)
    for (const { intervals } of list) {
      const last = intervals.at(-1)
      if (last !== undefined) addEncoded(latency, last.latency)
    }
    const sum = (field: 'acked' | 'received' | 'failed', isLast: boolean) =>
      list
        .flatMap(({ intervals }) => (isLast ? intervals.slice(-1) : intervals))
        .reduce((total, interval) => total + interval[field], 0)
    return { sum, percentiles: percentilesOf(latency) }
  }
  const [produced, consumed] = [of('producer'), of('consumer')]
  const { groups } = options.workload
  const read = groups === 0 ? 0 : consumed.sum('received', false) / groups
  options.live({
    second: Math.max(0, Math.floor(nowUs / 1e6)),
    totalSeconds: Math.ceil(phases.at(-1)!.toUs / 1e6),
    phase: phase?.name ?? 'waiting for the last records',
    acked: produced.sum('acked', true),
    received: consumed.sum('received', true),
    failed: produced.sum('failed', false),
    lag: groups === 0 ? 0 : Math.max(0, Math.round(produced.sum('acked', false) - read)),
    produce: produced.percentiles,
    endToEnd: consumed.percentiles,
  })
}

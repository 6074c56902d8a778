/**
 * One run of a workload against one cluster: makes the topics, starts the processes, lets them begin at one moment, follows
 * them second by second, and puts together what they counted. Ctrl-C ends the sending; what was sent is still
 * waited for and checked. Topics are deleted at the end.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Admin } from '../client/admin.ts'
import { Client } from '../client/client.ts'
import { SOFTWARE_VERSION } from '../client/config.ts'
import { addEncoded, newLatency, percentilesOf } from './latency.ts'
import { machineFacts, type UsageProbe } from './machine.ts'
import type { Done, FromWorker, Interval, Job, ToWorker } from './messages.ts'
import { monotonicUs } from './monotonic.ts'
import { assemble, type BenchResult, METHOD, type Sample, type SecondResult } from './result.ts'
import { type Phase, phasesOf } from './schedule.ts'
import type { Workload } from './workload.ts'

export interface RunOptions {
  readonly bootstrap: string
  /** How the report names the cluster. */
  readonly label: string
  readonly workload: Workload
  /** Processes of producers, and as many of consumers. */
  readonly workers: number
  readonly usage: UsageProbe
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
const READY_WITHIN_MS = 60_000
const SAMPLE_EVERY_MS = 500

interface Worker {
  readonly child: ChildProcess
  readonly role: Job['role']
  readonly intervals: Interval[]
  readonly ready: Promise<void>
  readonly done: Promise<Done>
  tell(message: ToWorker): void
}

/** Rejects with what keeps it from running; a cluster that fails while it runs is part of the result. */
export async function runWorkload(options: RunOptions): Promise<BenchResult> {
  const { workload } = options
  const startedAt = new Date().toISOString()
  const admin = new Client({ bootstrap: options.bootstrap, bootstrapTimeoutMs: 0 }).admin()
  const runId = Math.floor(Math.random() * 2 ** 32)
  const topics = Array.from(
    { length: workload.topics },
    (_, i) => `bench-${workload.name}-${runId.toString(36)}-${i}`,
  )
  let workers: Worker[] = []
  try {
    await createTopics(admin, topics, workload)
    const cluster = await describeCluster(admin)
    const phases = phasesOf(workload.warmupSeconds, workload.steps)
    workers = startWorkers(options, phases, topics, runId)
    const run = await drive(options, phases, workers)
    return {
      version: SOFTWARE_VERSION,
      startedAt,
      label: options.label,
      workload,
      cluster,
      machine: machineFacts(),
      processes: workers.length,
      isPartial: options.interrupted?.aborted === true,
      method: METHOD,
      ...assemble({ phases, groups: workload.groups, ...run }),
    }
  } finally {
    for (const { child } of workers) child.kill('SIGKILL')
    if (options.keepTopics !== true) await admin.deleteTopics(topics).catch(() => {})
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

async function describeCluster(admin: Admin): Promise<string> {
  const { cluster } = admin
  return cluster.run('describing the cluster', {}, async attempt => {
    const { clusterId, brokers } = await cluster.metadata([], attempt)
    const connection = await cluster.connect('any', attempt)
    const versions = `Produce ${connection.version('Produce')}, Fetch ${connection.version('Fetch')}`
    return `${brokers.length} broker(s), cluster id ${clusterId ?? 'unknown'}, ${versions}`
  })
}

function startWorkers(
  options: RunOptions,
  phases: readonly Phase[],
  topics: readonly string[],
  runId: number,
): Worker[] {
  const { workload, bootstrap, workers } = options
  const start = (role: Job['role'], memberCount: number): Worker[] => {
    const processes = Math.min(workers, memberCount)
    return Array.from({ length: processes }, (_, process) => {
      const members = Array.from({ length: memberCount }, (_, member) => member).filter(
        member => member % processes === process,
      )
      return startWorker({
        role,
        bootstrap,
        workload,
        phases,
        topics,
        runId,
        members,
        memberCount,
      })
    })
  }
  return [
    ...start('consumer', workload.groups * workload.consumersPerGroup),
    ...start('producer', Math.max(workload.producers, Math.min(workers, 64))),
  ]
}

function startWorker(job: Job): Worker {
  const child = fork(new URL('./bench-worker.js', import.meta.url), { serialization: 'advanced' })
  const intervals: Interval[] = []
  let [isReady, isDone] = [() => {}, (_: Done) => {}]
  let fail: (error: Error) => void = () => {}
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  const ready = new Promise<void>(resolve => {
    isReady = resolve
  })
  const done = new Promise<Done>(resolve => {
    isDone = resolve
  })
  child.on('message', (message: FromWorker) => {
    if (message.type === 'ready') isReady()
    else if (message.type === 'interval') intervals.push(message)
    else if (message.type === 'done') isDone(message)
    else fail(new Error(`a ${job.role} process: ${message.message}`))
  })
  child.once('exit', code => fail(new Error(`a ${job.role} process ended with ${code}`)))
  const tell = (message: ToWorker) => {
    if (child.connected) child.send(message)
  }
  tell({ type: 'job', job })
  const [orReady, orDone] = [Promise.race([ready, failed]), Promise.race([done, failed])]
  // Whoever waits for one of them hears of a failure; nobody has to.
  for (const promise of [failed, orReady, orDone]) promise.catch(() => {})
  return { child, role: job.role, intervals, ready: orReady, done: orDone, tell }
}

async function drive(options: RunOptions, phases: readonly Phase[], workers: readonly Worker[]) {
  const producers = workers.filter(({ role }) => role === 'producer')
  const consumers = workers.filter(({ role }) => role === 'consumer')
  await within(READY_WITHIN_MS, Promise.all(workers.map(({ ready }) => ready)))
  const beginUs = Math.ceil(monotonicUs()) + BEGIN_AFTER_US
  for (const worker of workers) worker.tell({ type: 'begin', atUs: beginUs })
  const usage: Sample[] = []
  const sampler = setInterval(() => void sample(options.usage, beginUs, usage), SAMPLE_EVERY_MS)
  const follower = setInterval(() => follow(options, phases, workers, beginUs), 1000)
  const stop = () => {
    for (const worker of producers) worker.tell({ type: 'stop' })
  }
  options.interrupted?.addEventListener('abort', stop, { once: true })
  try {
    const sent = await Promise.all(producers.map(({ done }) => done))
    const endUs = options.interrupted?.aborted ? monotonicUs() - beginUs : phases.at(-1)!.toUs
    await sample(options.usage, beginUs, usage)
    const streams = sent.flatMap(({ streams }) => streams)
    for (const worker of consumers) worker.tell({ type: 'drain', streams })
    const read = await Promise.all(consumers.map(({ done }) => done))
    return {
      producers: sent,
      consumers: read,
      producerIntervals: producers.map(({ intervals }) => intervals),
      consumerIntervals: consumers.map(({ intervals }) => intervals),
      usage,
      endUs,
    }
  } finally {
    clearInterval(sampler)
    clearInterval(follower)
    options.interrupted?.removeEventListener('abort', stop)
    for (const { child } of workers) {
      child.disconnect()
      if (child.exitCode === null) await Promise.race([once(child, 'exit'), pause(2_000)])
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms).unref())
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the processes were not ready in ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

async function sample(probe: UsageProbe, beginUs: number, into: Sample[]): Promise<void> {
  const us = monotonicUs() - beginUs
  const usage = await probe()
  if (usage !== null) into.push({ us, ...usage })
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

/** The processes of a run, as their parent sees them. */
import { type ChildProcess, fork } from 'node:child_process'
import type { PartitionSeen } from './checks.ts'
import type { Done, FromWorker, Interval, Job, ToWorker } from './messages.ts'
import type { Reader } from './readers.ts'
import type { RunOptions } from './run.ts'
import type { Phase } from './schedule.ts'

export interface Worker extends Reader {
  readonly child: ChildProcess
  readonly role: Job['role']
  readonly intervals: Interval[]
  readonly ready: Promise<void>
  readonly done: Promise<Done>
  tell(message: ToWorker): void
}

/** Consumers first, so that they are there when the first record is. */
export function startWorkers(
  options: Pick<RunOptions, 'workload' | 'bootstrap' | 'workers'>,
  phases: readonly Phase[],
  { topics, groups, runId }: Pick<Job, 'topics' | 'groups' | 'runId'>,
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
        groups,
        runId,
        members,
        memberCount,
      })
    })
  }
  return [
    ...start('consumer', workload.groups * workload.consumersPerGroup),
    ...start('producer', workload.producers),
  ]
}

function startWorker(job: Job): Worker {
  const child = fork(new URL('./bench-worker.js', import.meta.url), { serialization: 'advanced' })
  const intervals: Interval[] = []
  let [isReady, isDone] = [() => {}, (_: Done) => {}]
  let looked: ((partitions: readonly PartitionSeen[]) => void) | null = null
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
    else if (message.type === 'progress') worker.progress = message.records
    else if (message.type === 'seen') looked?.(message.partitions)
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
  const look = () => {
    const answer = new Promise<readonly PartitionSeen[]>(resolve => {
      looked = resolve
    })
    tell({ type: 'look' })
    return Promise.race([answer, failed])
  }
  const worker = {
    child,
    role: job.role,
    intervals,
    progress: 0,
    ready: orReady,
    done: orDone,
    tell,
    look,
  }
  return worker
}

/** The producers of one process: records as the schedule says, each with its stamp, each answer counted. */
import type { Client } from '../client/client.ts'
import { partitionOfKey } from '../client/partitioner.ts'
import type { Producer } from '../client/producer.ts'
import type { Job, Stream } from './messages.ts'
import { monotonicUs } from './monotonic.ts'
import { Payloads } from './payload.ts'
import { NONE_MET, Ranges } from './ranges.ts'
import { type Due, Schedule } from './schedule.ts'
import type { Tally } from './tally.ts'
import { meanBytes } from './workload.ts'

/** So many records leave before sockets get their turn. */
const BURST = 500
/** Memory of all records that are on their way in this process. */
const OUTSTANDING_BYTES = 256 * 1024 * 1024
/** After the last step: what has not left or has no answer by then is given up. */
const PATIENCE_MS = 30_000
/** What leaves at the last moment has so long to be answered. */
const LAST_ANSWERS_MS = 5_000

interface Target {
  readonly topic: number
  readonly partition: number
  /** Sequence number of the next record of each producer here. */
  readonly next: number[]
}

export class ProducerLoad {
  private readonly job: Job
  private readonly tally: Tally
  private readonly producers: readonly Producer[]
  private readonly schedule: Schedule
  private readonly payloads: Payloads
  private readonly targets: readonly Target[]
  private readonly failures = new Map<string, Ranges>()
  private readonly stickyRecords: number
  private beginUs = 0
  private count = 0
  private outstanding = 0
  private outstandingBytes = 0
  private isBlocked = false
  private isStopped = false
  private notAnswered = ''
  private ended: (() => void) | null = null

  constructor(job: Job, client: Client, tally: Tally) {
    const { workload, members, memberCount, phases, topics } = job
    const { acks, idempotent, compression, lingerMs, batchBytes, maxOutstanding } = workload
    this.job = job
    this.tally = tally
    this.schedule = new Schedule(phases, members.length / memberCount)
    const { recordBytes } = workload
    const maxBytes = typeof recordBytes === 'number' ? recordBytes : recordBytes.max
    this.payloads = new Payloads(workload.compressibility, maxBytes, Math.random)
    this.stickyRecords = Math.max(1, Math.floor(batchBytes / (meanBytes(workload) + 10)))
    this.targets = topics.flatMap((_, topic) =>
      Array.from({ length: workload.partitions }, (_, partition) => ({
        topic,
        partition,
        next: members.map(() => 0),
      })),
    )
    this.producers = members.map(() =>
      client.producer({
        acks,
        idempotent,
        compression,
        lingerMs,
        batchBytes,
        maxRequestBytes: Math.max(1_048_576, maxBytes + 1024),
        bufferBytes: OUTSTANDING_BYTES,
        maxBlockedRecords: maxOutstanding,
      }),
    )
  }

  /** Resolves when all that was due has been sent and answered, or given up, and all producers are closed. */
  async run(beginUs: number, patienceMs = PATIENCE_MS, lastMs = LAST_ANSWERS_MS): Promise<void> {
    this.beginUs = beginUs
    const deadlineUs = beginUs + this.job.phases.at(-1)!.toUs + patienceMs * 1000
    const leftMs = () => (deadlineUs - monotonicUs()) / 1000
    const within = `within ${patienceMs / 1000} s after the end`
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      this.ended = resolve
      setTimeout(() => this.tick(), Math.max(0, (beginUs - monotonicUs()) / 1000))
      timer = setTimeout(() => this.giveUp(`not sent ${within}`), leftMs())
    })
    clearTimeout(timer)
    this.notAnswered = `no answer ${within}`
    const timeoutMs = Math.max(lastMs, leftMs())
    await Promise.all(this.producers.map(producer => producer.close({ timeoutMs })))
    // What closing has refused is counted before anybody asks.
    await new Promise(resolve => setImmediate(resolve))
  }

  stop(): void {
    this.isStopped = true
    this.tick()
  }

  /** Records that are due and not sent. */
  get behind(): number {
    return this.schedule.behind(monotonicUs() - this.beginUs)
  }

  streams(): Stream[] {
    return this.targets.flatMap(({ topic, partition, next }) =>
      next.map((sent, index) => {
        const producer = this.job.members[index]!
        const failed = this.failures.get(`${topic}/${partition}/${producer}`)?.met ?? NONE_MET
        return { topic, partition, producer, sent, failed }
      }),
    )
  }

  private giveUp(reason: string): void {
    for (const { phase, records } of this.schedule.untaken()) {
      this.tally.unsent(phase, records, reason)
    }
    this.stop()
  }

  private tick(): void {
    if (this.ended === null) return
    const nowUs = monotonicUs() - this.beginUs
    const { maxOutstanding } = this.job.workload
    let due: Due | null = null
    for (let burst = 0; burst < BURST && !this.isStopped; burst++) {
      this.isBlocked =
        this.outstanding >= maxOutstanding || this.outstandingBytes >= OUTSTANDING_BYTES
      due = this.isBlocked ? null : this.schedule.take(nowUs)
      if (due === null) break
      this.send(due, nowUs)
    }
    if (this.isStopped || this.schedule.isOver(nowUs)) {
      this.ended()
      this.ended = null
      return
    }
    // What waits for answers goes on with the next one.
    if (this.isBlocked) return
    if (due === null) setTimeout(() => this.tick(), 1)
    else setImmediate(() => this.tick())
  }

  private send({ intendedUs, phase }: Due, nowUs: number): void {
    const { workload, topics, runId, members } = this.job
    const index = this.count % this.producers.length
    const producer = members[index]!
    const key = workload.keys === 0 ? null : Buffer.from(String(this.chooseKey()))
    const target = this.targets[this.chooseTarget(key)]!
    const sequence = target.next[index]!++
    this.count++
    const stamp = { runId, producer, sequence, intendedUs: this.beginUs + Math.floor(intendedUs) }
    const value = this.payloads.make(stamp, this.chooseSize())
    const { topic, partition } = target
    this.outstanding++
    this.outstandingBytes += value.length
    this.tally.sent(phase, nowUs - intendedUs)
    this.producers[index]!.send({ topic: topics[topic]!, partition, key, value }).then(
      () => {
        this.tally.acked(intendedUs, phase, monotonicUs() - this.beginUs)
        this.settled(value.length)
      },
      (error: Error) => {
        this.tally.failed(phase, error.name === 'ClosedError' ? this.notAnswered : error.message)
        this.note(`${topic}/${partition}/${producer}`, sequence)
        this.settled(value.length)
      },
    )
  }

  private settled(bytes: number): void {
    this.outstanding--
    this.outstandingBytes -= bytes
    if (!this.isBlocked) return
    const isFull =
      this.outstanding > this.job.workload.maxOutstanding * 0.9 ||
      this.outstandingBytes > OUTSTANDING_BYTES * 0.9
    if (isFull) return
    this.isBlocked = false
    setImmediate(() => this.tick())
  }

  private note(stream: string, sequence: number): void {
    let failed = this.failures.get(stream)
    if (failed === undefined) {
      failed = new Ranges()
      this.failures.set(stream, failed)
    }
    failed.add(sequence)
  }

  private chooseKey(): number {
    const { keys, keyDistribution } = this.job.workload
    if (keyDistribution === 'uniform') return Math.floor(Math.random() * keys)
    return Math.floor(Math.exp(Math.random() * Math.log(keys + 1))) - 1
  }

  /** By the key as Java's producer does; without one, the next partition when a batch is full, as it does, too. */
  private chooseTarget(key: Buffer | null): number {
    const { targets, job } = this
    const { partitions, topics } = job.workload
    if (key === null) {
      return Math.floor(this.count / (this.stickyRecords * this.producers.length)) % targets.length
    }
    const topic = topics === 1 ? 0 : Math.floor(Math.random() * topics)
    return topic * partitions + partitionOfKey(key, partitions)
  }

  private chooseSize(): number {
    const { recordBytes } = this.job.workload
    if (typeof recordBytes === 'number') return recordBytes
    const { min, max } = recordBytes
    return min + Math.floor(Math.random() * (max - min + 1))
  }
}

/** The consumers of one process: every record read, its latency counted, its stamp checked. */
import type { Admin } from '../client/admin.ts'
import type { Client } from '../client/client.ts'
import type { Consumer, ConsumerBatch } from '../client/consumer.ts'
import { type CheckCounts, StreamCheck, sumOfChecks } from './checks.ts'
import type { Job, Stream } from './messages.ts'
import { monotonicUs } from './monotonic.ts'
import { readStamp } from './payload.ts'
import type { Tally } from './tally.ts'

/** Nothing has come for so long: nothing will. */
const GIVE_UP_MS = 10_000
/** Nothing has come for so long: maybe that is because all of the log has been read. */
const SETTLED_MS = 500
const LOOK_EVERY_MS = 50

interface Member {
  readonly consumer: Consumer
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
  /** By topic, partition and producer. */
  readonly checks: Map<string, StreamCheck>
}

export class ConsumerLoad {
  private readonly job: Job
  private readonly tally: Tally
  private readonly members: readonly Member[]
  private readonly admin: Admin
  private beginUs = 0
  private corrupt = 0
  private progress = 0
  private failure: Error | null = null

  constructor(job: Job, client: Client, tally: Tally) {
    this.job = job
    this.tally = tally
    this.admin = client.admin()
    const { topics, workload, members } = job
    const all = topics.flatMap(topic =>
      Array.from({ length: workload.partitions }, (_, partition) => ({ topic, partition })),
    )
    this.members = members.map(number => {
      const { consumersPerGroup } = workload
      const partitions = all.filter((_, i) => i % consumersPerGroup === number % consumersPerGroup)
      return { consumer: client.consumer(), partitions, checks: new Map() }
    })
  }

  /** Reads until `close`. */
  run(beginUs: number): void {
    this.beginUs = beginUs
    for (const member of this.members) {
      member.consumer.assign(member.partitions.map(one => ({ ...one, offset: 0 })))
      this.read(member).catch((error: Error) => {
        this.failure ??= error
        this.tally.error(error.message)
      })
    }
    const warmupUs = this.job.phases.find(({ isMeasured }) => isMeasured)!.fromUs
    for (const { atSeconds, seconds } of this.job.workload.pauses) {
      const startMs = (beginUs + warmupUs - monotonicUs()) / 1000 + atSeconds * 1000
      setTimeout(() => this.hold(true), startMs)
      setTimeout(() => this.hold(false), startMs + seconds * 1000)
    }
  }

  /** Goes on reading until everything is there, or nothing more comes; says what is wrong with it. */
  async drain(streams: readonly Stream[]): Promise<CheckCounts> {
    let [seen, sinceMs] = [-1, performance.now()]
    while (!this.isComplete(streams) && this.failure === null) {
      if (this.progress !== seen) [seen, sinceMs] = [this.progress, performance.now()]
      const idleMs = performance.now() - sinceMs
      if (idleMs > GIVE_UP_MS || (idleMs > SETTLED_MS && (await this.isAtEnd()))) break
      await new Promise(resolve => setTimeout(resolve, LOOK_EVERY_MS))
    }
    const counts = this.members.flatMap(member =>
      ownStreams(member, streams, this.job.topics).map(({ check, stream }) => ({
        lost: check.lost(stream.sent, stream.failed),
        duplicated: check.duplicated,
        reordered: check.reordered,
        corrupt: 0,
      })),
    )
    return { ...sumOfChecks(counts), corrupt: this.corrupt }
  }

  async close(): Promise<void> {
    this.admin.close()
    await Promise.all(this.members.map(({ consumer }) => consumer.close()))
  }

  private isComplete(streams: readonly Stream[]): boolean {
    return this.members.every(member =>
      ownStreams(member, streams, this.job.topics).every(({ check, stream }) =>
        stream.failed.length === 0
          ? check.isComplete(stream.sent)
          : check.lost(stream.sent, stream.failed) === 0,
      ),
    )
  }

  /** Whether everything that there is in the partitions has been read; what is still missing is not there. */
  private async isAtEnd(): Promise<boolean> {
    const all = this.members.flatMap(({ consumer, partitions }) =>
      partitions.map(one => ({ ...one, consumer })),
    )
    const queries = all.map(({ topic, partition }) => ({ topic, partition, at: 'latest' as const }))
    const ends = await this.admin.listOffsets(queries).catch(() => [])
    return all.every(({ consumer, topic, partition }, i) => {
      const end = ends[i]
      const position = consumer.position(topic, partition)
      return end !== undefined && end.error === null && position !== null && position >= end.offset
    })
  }

  private hold(isHeld: boolean): void {
    for (const { consumer, partitions } of this.members) {
      if (isHeld) consumer.pause(partitions)
      else consumer.resume(partitions)
    }
  }

  private async read(member: Member): Promise<void> {
    for (;;) {
      const batch = await member.consumer.nextBatch()
      if (batch === null) return
      this.take(member, batch)
    }
  }

  private take({ checks }: Member, { topic, partition, records }: ConsumerBatch): void {
    const nowUs = monotonicUs() - this.beginUs
    for (const { value } of records) {
      this.progress++
      const stamp = readStamp(value)
      if (stamp === null || stamp.runId !== this.job.runId) {
        this.corrupt++
        continue
      }
      const name = `${topic}/${partition}/${stamp.producer}`
      let check = checks.get(name)
      if (check === undefined) {
        check = new StreamCheck()
        checks.set(name, check)
      }
      check.saw(stamp.sequence)
      this.tally.received(stamp.intendedUs - this.beginUs, nowUs, value?.length ?? 0)
    }
  }
}

function ownStreams(
  { partitions, checks }: Member,
  streams: readonly Stream[],
  topics: readonly string[],
) {
  const own = new Set(partitions.map(({ topic, partition }) => `${topic}/${partition}`))
  return streams
    .filter(({ topic, partition }) => own.has(`${topics[topic]}/${partition}`))
    .map(stream => {
      const name = `${topics[stream.topic]}/${stream.partition}/${stream.producer}`
      return { stream, check: checks.get(name) ?? new StreamCheck() }
    })
}

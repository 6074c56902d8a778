/** The consumers of one process: every record read, its latency counted, its stamp noted for the checks. */
import type { Client } from '../client/client.ts'
import type { Consumer } from '../client/consumer.ts'
import type { ConsumerBatch } from '../client/consumer-handlers.ts'
import type { TopicPartition } from '../client/topic-partition.ts'
import { PartitionCheck, type PartitionSeen } from './checks.ts'
import type { Job, Rebalance } from './messages.ts'
import { monotonicUs } from './monotonic.ts'
import { readStamp } from './payload.ts'
import type { Tally } from './tally.ts'

/** The moments of the first ones are enough. */
const REBALANCES_MAX = 1_000

interface Member {
  readonly group: number
  /** Of its group. */
  readonly number: number
  consumer: Consumer
}

/** What the members of one group in this process have in common. */
interface Group {
  /** By topic, then partition. */
  readonly checks: Map<string, (PartitionCheck | undefined)[]>
  /** The latest that any of them has heard of. */
  generation: number
}

export class ConsumerLoad {
  /** Records so far. */
  progress = 0
  readonly rebalances: Rebalance[] = []
  private readonly job: Job
  private readonly client: Client
  private readonly tally: Tally
  private readonly members: readonly Member[]
  private readonly groups = new Map<number, Group>()
  private readonly timers: NodeJS.Timeout[] = []
  private beginUs = Number.POSITIVE_INFINITY
  private isHeld = false
  private isClosed = false

  constructor(job: Job, client: Client, tally: Tally) {
    this.job = job
    this.client = client
    this.tally = tally
    const { consumersPerGroup } = job.workload
    this.members = job.members.map(index => {
      const group = Math.floor(index / consumersPerGroup)
      if (!this.groups.has(group)) this.groups.set(group, { checks: new Map(), generation: -1 })
      const number = index % consumersPerGroup
      return { group, number, consumer: this.join(group, number) }
    })
  }

  /** What it has read since counts, and may be held up. */
  run(beginUs: number): void {
    this.beginUs = beginUs
    for (const member of this.members) this.noteGeneration(member)
    const { pauses, restarts } = this.job.workload
    const warmupUs = this.job.phases.find(({ isMeasured }) => isMeasured)!.fromUs
    const at = (seconds: number, act: () => void) => {
      const ms = (beginUs + warmupUs - monotonicUs()) / 1000 + seconds * 1000
      this.timers.push(setTimeout(act, ms))
    }
    for (const { atSeconds, seconds } of pauses) {
      at(atSeconds, () => this.hold(true))
      at(atSeconds + seconds, () => this.hold(false))
    }
    for (const { atSeconds, seconds } of restarts) {
      const first = this.members.filter(({ number }) => number === 0)
      at(atSeconds, () => {
        for (const { consumer } of first) this.attempt(consumer.close())
      })
      at(atSeconds + seconds, () => {
        for (const member of first) member.consumer = this.join(member.group, member.number)
      })
    }
  }

  /** Nothing is held up any more. */
  release(): void {
    for (const timer of this.timers) clearTimeout(timer)
    this.hold(false)
  }

  /** All that has been read, by partition. */
  seen(): PartitionSeen[] {
    return [...this.groups].flatMap(([group, { checks }]) =>
      [...checks].flatMap(([topic, ofTopic]) =>
        ofTopic.flatMap((check, partition) =>
          check === undefined ? [] : [check.seen(group, topic, partition)],
        ),
      ),
    )
  }

  async close(): Promise<void> {
    this.isClosed = true
    await Promise.all(this.members.map(({ consumer }) => consumer.close()))
  }

  /** A consumer that reads from now on: its share of the group, or what is assigned to it by hand. */
  private join(group: number, number: number): Consumer {
    const { groupProtocol, consumersPerGroup, partitions } = this.job.workload
    const { topics, groups } = this.job
    if (groupProtocol === 'none') {
      const consumer = this.client.consumer()
      const all = topics.flatMap(topic =>
        Array.from({ length: partitions }, (_, partition) => ({ topic, partition, offset: 0 })),
      )
      consumer.assign(all.filter((_, i) => i % consumersPerGroup === number))
      this.attempt(this.read(group, consumer))
      return consumer
    }
    const changed = (): void => this.changed({ group, number, consumer })
    const consumer: Consumer = this.client.consumer({
      groupId: groups[group],
      groupProtocol,
      autoOffsetReset: 'earliest',
      rebalance: {
        assigned: partitions => {
          if (this.isHeld) consumer.pause(partitions)
          changed()
        },
        revoked: changed,
        lost: changed,
      },
    })
    consumer.subscribe(topics)
    this.attempt(this.read(group, consumer))
    return consumer
  }

  /** What goes wrong stands in the report. */
  private attempt(work: Promise<void>): void {
    work.catch((error: Error) => {
      if (!this.isClosed) this.tally.error(error.message)
    })
  }

  private changed(member: Member): void {
    const nowUs = monotonicUs() - this.beginUs
    const { group } = member
    const isNew = this.noteGeneration(member)
    if (!isNew || nowUs < 0 || this.rebalances.length >= REBALANCES_MAX) return
    const { generation } = this.groups.get(group)!
    this.rebalances.push({ group, generation, second: Math.floor(nowUs / 1e6) })
  }

  /** Whether it is later than what was known of its group. */
  private noteGeneration({ group, consumer }: Member): boolean {
    if (this.job.workload.groupProtocol === 'none') return false
    const known = this.groups.get(group)!
    const { generation } = consumer.membership
    if (generation <= known.generation) return false
    known.generation = generation
    return true
  }

  private hold(isHeld: boolean): void {
    this.isHeld = isHeld
    for (const { consumer } of this.members) {
      if (isHeld) consumer.pause(consumer.assignment)
      else consumer.resume(consumer.assignment)
    }
  }

  private async read(group: number, consumer: Consumer): Promise<void> {
    const { checks } = this.groups.get(group)!
    for (;;) {
      const batch = await consumer.nextBatch()
      if (batch === null) return
      this.take(checkOf(checks, batch), batch)
    }
  }

  private take(check: PartitionCheck, { records }: ConsumerBatch): void {
    const nowUs = monotonicUs() - this.beginUs
    this.progress += records.length
    for (const { offset, value } of records) {
      if (!check.isNew(offset)) continue
      const stamp = readStamp(value)
      if (stamp === null || stamp.runId !== this.job.runId) {
        check.isCorrupt(offset)
        continue
      }
      check.saw(stamp.producer, stamp.sequence, offset)
      this.tally.received(stamp.intendedUs - this.beginUs, nowUs, value?.length ?? 0)
    }
  }
}

function checkOf(checks: Group['checks'], { topic, partition }: TopicPartition): PartitionCheck {
  let ofTopic = checks.get(topic)
  if (ofTopic === undefined) {
    ofTopic = []
    checks.set(topic, ofTopic)
  }
  ofTopic[partition] ??= new PartitionCheck()
  return ofTopic[partition]
}

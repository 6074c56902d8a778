/**
 * A group's coordinator as a member sees it: who it is, looked up again when it has moved, and the committed offsets that it
 * keeps. Both kinds of members (`group-member.ts`, `group-heartbeats.ts`) talk to their group through it.
 */
import type { Io, Timer } from '../protocol/io.ts'
import type { Attempt, CallOptions, Cluster } from './cluster.ts'
import { AnswerError, needsMetadata } from './errors.ts'
import {
  type CommittedOffset,
  type Committer,
  commitOffsets,
  fetchOffsets,
  findCoordinator,
  type OffsetToCommit,
} from './group-offsets.ts'
import type { TopicPartition } from './topic-partition.ts'

/** What a member tells the consumer that it works for. */
export interface GroupOwner {
  /** These are the member's now, beside what it has. */
  assigned(partitions: readonly TopicPartition[]): Promise<void>
  /** These are about to go to others: commit what is done, and let go. */
  revoked(partitions: readonly TopicPartition[]): Promise<void>
  /** Everything has gone to others already. */
  lost(): void
  /** The membership is over, for this reason. */
  failed(error: Error): void
}

/** A member of a group, by either protocol. */
export interface Membership {
  readonly memberId: string
  /** Generation, or member epoch; -1: it is not in the group at the moment. */
  readonly generation: number
  /** Topics by name and by pattern, in the place of what was subscribed to before. Joins the group. */
  subscribe(topics: readonly (string | RegExp)[]): void
  /** Throws when the group has gone on without this member, or the coordinator does not take it. */
  commit(offsets: readonly OffsetToCommit[], options?: CallOptions): Promise<void>
  committed(
    partitions: readonly TopicPartition[],
    options?: CallOptions,
  ): Promise<CommittedOffset[]>
  /** Gives up the share and leaves; a static member stays, so that it may come back. */
  close(): Promise<void>
}

/** The group goes through a change that ends soon: what was refused for it may be tried again. */
const PASSING: ReadonlySet<string> = new Set(['REBALANCE_IN_PROGRESS', 'STALE_MEMBER_EPOCH'])

export class GroupLink {
  readonly io: Io
  readonly cluster: Cluster
  readonly groupId: string
  coordinatorId = -1
  /** Topics that do not exist, as was said once. */
  private readonly missing = new Set<string>()

  constructor(io: Io, cluster: Cluster, groupId: string) {
    this.io = io
    this.cluster = cluster
    this.groupId = groupId
  }

  /** Runs at the coordinator, which is looked up again after an error that says it has moved. */
  async atCoordinator<T>(
    attempt: Attempt,
    work: (coordinatorId: number) => Promise<T>,
  ): Promise<T> {
    if (this.coordinatorId < 0) {
      this.coordinatorId = await findCoordinator(this.cluster, this.groupId, attempt)
    }
    try {
      return await work(this.coordinatorId)
    } catch (error) {
      const name = error instanceof AnswerError ? error.error : ''
      const hasMoved = name === 'NOT_COORDINATOR' || name === 'COORDINATOR_NOT_AVAILABLE'
      if (hasMoved || needsMetadata(error)) this.coordinatorId = -1
      throw error
    }
  }

  /** `committer` is asked for each attempt: the member's generation may have moved on. */
  commit(
    committer: () => Committer,
    offsets: readonly OffsetToCommit[],
    options: CallOptions,
  ): Promise<void> {
    const { meter } = this.cluster.config.telemetry
    const startMs = this.io.clock.monotonicMs()
    const committed = this.cluster.run('committing offsets', options, async attempt => {
      try {
        await this.atCoordinator(attempt, id =>
          commitOffsets(this.cluster, id, committer(), offsets, attempt),
        )
      } catch (error) {
        if (!(error instanceof AnswerError) || !PASSING.has(error.error)) throw error
        throw new AnswerError(error.code, error.place, error.detail, true)
      }
    })
    if (meter === null) return committed
    return committed.then(() =>
      meter.committed(this.groupId, this.io.clock.monotonicMs() - startMs),
    )
  }

  /** What the group has committed. */
  committed(
    partitions: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<CommittedOffset[]> {
    return this.cluster.run('asking for committed offsets', options, attempt =>
      this.atCoordinator(attempt, id =>
        fetchOffsets(this.cluster, id, this.groupId, partitions, attempt),
      ),
    )
  }

  /** A line about the group. */
  info(message: string, fields: object = {}): void {
    this.cluster.config.telemetry.info(message, { group: this.groupId, ...fields })
  }

  /** A line about the group, for who should look. */
  warn(message: string, fields: object): void {
    this.cluster.config.telemetry.warn(message, { group: this.groupId, ...fields })
  }

  /** A topic that is subscribed to exists, or does not, which may be a mistake: said once, and again when it was there since. */
  exists(topic: string, isThere: boolean): void {
    if (isThere) this.missing.delete(topic)
    if (isThere || this.missing.has(topic)) return
    this.missing.add(topic)
    const advice = 'check the name, or create it; it is read as soon as it is there'
    this.warn(`topic '${topic}' does not exist`, { topic, advice })
  }

  /** An attempt to be a member has failed. */
  retrying(error: unknown, tries: number, waitMs: number): void {
    this.cluster.config.telemetry.retrying(`membership of ${this.groupId}`, error, tries, waitMs)
  }

  rebalanced(): void {
    this.cluster.config.telemetry.meter?.rebalanced(this.groupId)
  }

  /** Throws an AnswerError unless the code is 0. */
  check(code: number, api: string, attempt: Attempt, detail: string | null = null): void {
    if (code === 0) return
    const subject = `group '${this.groupId}'`
    throw new AnswerError(code, { api, subject, broker: attempt.asked }, detail)
  }
}

/** A wait of one member's loop, which something that happens may end early. */
export class Pause {
  private readonly io: Io
  private end: (() => void) | null = null

  constructor(io: Io) {
    this.io = io
  }

  /** Ends the wait, if there is one. */
  wake(): void {
    this.end?.()
  }

  for(delayMs: number): Promise<void> {
    return new Promise(resolve => {
      let timer: Timer | null = null
      this.end = () => {
        timer?.cancel()
        this.end = null
        resolve()
      }
      timer = this.io.clock.timer(delayMs, this.end, true)
    })
  }
}

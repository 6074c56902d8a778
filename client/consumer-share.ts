/**
 * What a group gives a consumer to read, and what goes back to it: partitions are taken over where the group has committed,
 * offsets are committed in time and before partitions are given up, and handlers hear of what is lost by their signal.
 */
import type { Io, Timer } from '../protocol/io.ts'
import { CALL, checkCall, checkPartitions } from './arguments.ts'
import type { CallOptions, Cluster } from './cluster.ts'
import type { ConsumerConfig } from './consumer-config.ts'
import { checkOffsets } from './consumer-input.ts'
import { AssignedPartition, type Fetcher } from './fetcher.ts'
import type { GroupConfig } from './group-config.ts'
import { HeartbeatMember } from './group-heartbeats.ts'
import type { Membership } from './group-link.ts'
import { GroupMember } from './group-member.ts'
import type { CommittedOffset, OffsetToCommit } from './group-offsets.ts'
import { listed, type Telemetry } from './telemetry.ts'
import { type TopicPartition, without } from './topic-partition.ts'

export class GroupShare<K, V> {
  readonly member: Membership
  /** Why the membership is over. */
  error: Error | null = null
  private readonly io: Io
  private readonly telemetry: Telemetry
  private readonly group: GroupConfig
  private readonly config: ConsumerConfig<K, V>
  private readonly fetcher: Fetcher<K, V>
  private readonly changed: () => void
  private timer: Timer | null = null
  private isClosed = false

  /** `changed`: the assignment, or `error`. */
  constructor(
    io: Io,
    cluster: Cluster,
    group: GroupConfig,
    config: ConsumerConfig<K, V>,
    fetcher: Fetcher<K, V>,
    changed: () => void,
  ) {
    this.io = io
    this.telemetry = cluster.config.telemetry
    this.group = group
    this.config = config
    this.fetcher = fetcher
    this.changed = changed
    const owner = {
      assigned: (partitions: readonly TopicPartition[]) => this.takeOver(partitions),
      revoked: (partitions: readonly TopicPartition[]) => this.handOver(partitions),
      lost: () => this.lose(),
      failed: (error: Error) => {
        this.error = error
        changed()
      },
    }
    const isClassic = group.protocol === 'classic'
    this.member = isClassic
      ? new GroupMember(io, cluster, group, owner)
      : new HeartbeatMember(io, cluster, group, owner)
  }

  /** Commits the offsets given, or all that the application is done with. */
  async commit(
    offsets: readonly OffsetToCommit[] | undefined,
    options: CallOptions,
  ): Promise<void> {
    checkCall(options, CALL, 'commit')
    if (offsets !== undefined) checkOffsets(offsets)
    const list = offsets ?? this.done(this.fetcher.assignment)
    if (list.length > 0) await this.member.commit(list, options)
  }

  async committed(
    partitions: readonly TopicPartition[],
    options: CallOptions,
  ): Promise<CommittedOffset[]> {
    checkCall(options, CALL, 'committed')
    checkPartitions(partitions, 'partitions')
    return this.member.committed(partitions, options)
  }

  async close(): Promise<void> {
    this.isClosed = true
    this.timer?.cancel()
    await this.member.close()
  }

  private done(partitions: readonly AssignedPartition<K, V>[]): OffsetToCommit[] {
    return partitions
      .filter(({ done }) => done >= 0)
      .map(({ topic, partition, done, doneEpoch }) => {
        return { topic, partition, offset: done, leaderEpoch: doneEpoch }
      })
  }

  /** Each partition goes on where the group has committed. */
  private async takeOver(added: readonly TopicPartition[]): Promise<void> {
    this.tell('info', 'partitions are taken over', { partitions: listed(added) })
    const offsets = added.length === 0 ? [] : await this.member.committed(added)
    const assigned = offsets.map(({ topic, partition, offset, leaderEpoch }) => {
      const one = new AssignedPartition<K, V>(topic, partition)
      if (offset >= 0) one.seek(offset, leaderEpoch)
      return one
    })
    this.fetcher.assign([...this.fetcher.assignment, ...assigned])
    await this.config.rebalance.assigned?.(added)
    this.arm()
    this.changed()
  }

  private async handOver(partitions: readonly TopicPartition[]): Promise<void> {
    this.tell('info', 'partitions are given up', { partitions: listed(partitions) })
    try {
      const gone = without(this.fetcher.assignment, without(this.fetcher.assignment, partitions))
      for (const partition of gone) partition.isLeaving = true
      if (this.group.autoCommit) {
        const done = this.done(gone)
        if (done.length > 0) await this.member.commit(done)
      }
      await this.config.rebalance.revoked?.(partitions)
    } finally {
      this.letGo(partitions)
    }
  }

  private lose(): void {
    const partitions = this.fetcher.assignment.map(({ topic, partition }) => ({ topic, partition }))
    this.tell('warn', 'partitions have gone to others', { partitions: listed(partitions) })
    this.letGo(partitions)
    this.config.rebalance.lost?.(partitions)
  }

  private letGo(partitions: readonly TopicPartition[]): void {
    const left = without(this.fetcher.assignment, partitions)
    if (left.length === 0) this.timer?.cancel()
    this.fetcher.assign(left)
    this.changed()
  }

  private notCommitted({ message: reason }: Error): void {
    if (!this.isClosed) this.tell('warn', 'offsets were not committed', { reason })
  }

  private tell(level: 'info' | 'warn', message: string, fields: object): void {
    this.telemetry[level](message, { group: this.group.groupId, ...fields })
  }

  private arm(): void {
    const { autoCommit, autoCommitIntervalMs } = this.group
    if (!autoCommit || this.isClosed) return
    this.timer?.cancel()
    this.timer = this.io.clock.timer(autoCommitIntervalMs, () => {
      // What fails now is tried again the next time, and at the end.
      this.commit(undefined, {}).catch(error => this.notCommitted(error as Error))
      this.arm()
    })
  }
}

/**
 * What the coordinator (coordinator.ts) and a group agree on. A group is a pure step: it gets an event and the time, and
 * answers with effects; it never waits, reads no clock, does no I/O. Both kinds of group are built so: the classic one
 * (group.ts) and that of KIP-848.
 *
 * Rules of the shell:
 *
 *   - All `persist` effects of one step become one batch of `__consumer_offsets`, appended in the same turn.
 *   - Replies leave when all that the group has persisted so far is acknowledged: nobody hears of a state that a crash could
 *     take back.
 *   - If the batch cannot be appended (too large, disk failed), the replies of the step become errors, and the group gets
 *     `writeFailed` to put right what it had taken for granted.
 *   - `tick` comes when `nextDeadlineMs()` is reached or a little later. That time may be too early, never too late:
 *     heartbeats may leave it as it was, and the tick that finds nothing due computes it anew.
 *   - At start, records come through `replay`, tombstones included, in the order of the log; then `loaded` once, which
 *     starts the timers. A group sees no event before that.
 *   - Times are milliseconds of the wall clock, as `__consumer_offsets` has them.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { OffsetsRecord, OffsetsRecordInput } from '../../protocol/messages/offsets-topic.ts'

/** Stands for a request that was handed to a group and is to be answered once. */
export type Ticket = number

/** Who sent a request. */
export interface GroupClient {
  readonly clientId: string
  /** As Kafka shows it: a slash and the address. */
  readonly clientHost: string
  readonly connectionId: number
}

export interface GroupRequest<
  N extends 'JoinGroup' | 'SyncGroup' | 'Heartbeat' | 'LeaveGroup' | 'ConsumerGroupHeartbeat',
> {
  readonly ticket: Ticket
  readonly client: GroupClient
  readonly apiVersion: number
  readonly request: RequestOf<N>
}

export type GroupEvent =
  /** `newMemberId` is for a member that comes without one. */
  | ({ readonly kind: 'join'; readonly newMemberId: string } & GroupRequest<'JoinGroup'>)
  | ({ readonly kind: 'sync' } & GroupRequest<'SyncGroup'>)
  | ({ readonly kind: 'heartbeat' } & GroupRequest<'Heartbeat'>)
  | ({ readonly kind: 'leave' } & GroupRequest<'LeaveGroup'>)
  /** KIP-848: join, heartbeat and leave in one. */
  | ({
      readonly kind: 'consumerHeartbeat'
      readonly newMemberId: string
    } & GroupRequest<'ConsumerGroupHeartbeat'>)
  /** The deadline that the group named is reached. */
  | { readonly kind: 'tick' }
  /** A connection over which members of this group spoke is closed (group.drop.on.disconnect.ms is set). */
  | { readonly kind: 'disconnected'; readonly connectionId: number }
  /** The records of the last step were not kept. */
  | { readonly kind: 'writeFailed'; readonly error: ErrorName }
  /** Topics came, went or grew; the group reads the newest image where it needs it. */
  | { readonly kind: 'topicsChanged' }

export type GroupResponse =
  | ResponseInput<'JoinGroup'>
  | ResponseInput<'SyncGroup'>
  | ResponseInput<'Heartbeat'>
  | ResponseInput<'LeaveGroup'>
  | ResponseInput<'ConsumerGroupHeartbeat'>

/** Why a rebalance began: the label of the metric. */
export const REBALANCE_CAUSES = [
  'member joined',
  'member left',
  'member timed out',
  'member changed',
  'member disconnected',
  'leader rejoined',
  'member did not sync',
  'topics changed',
  'group too large',
  'write failed',
] as const
export type RebalanceCause = (typeof REBALANCE_CAUSES)[number]

export type GroupEffect =
  | { readonly kind: 'reply'; readonly ticket: Ticket; readonly response: GroupResponse }
  | { readonly kind: 'persist'; readonly records: readonly OffsetsRecordInput[] }
  /** For the log (`detail` names members, client ids and hosts) and the metric. */
  | { readonly kind: 'rebalance'; readonly cause: RebalanceCause; readonly detail: string }
  /** A line in the log. */
  | {
      readonly kind: 'log'
      readonly level: 'info' | 'warn'
      readonly event: string
      readonly fields: Readonly<Record<string, unknown>>
    }
  /**
   * The group goes on as another kind of group, which has taken over all it knew (online migration); not if the records of
   * the step are not kept.
   */
  | { readonly kind: 'become'; readonly group: Group }
  /** Nothing is left of the group; the coordinator forgets it. */
  | { readonly kind: 'end' }

/** Who wants to commit or fetch offsets: a generation, or the epoch of a member of a KIP-848 group. */
export interface OffsetsClient {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generationIdOrMemberEpoch: number
  readonly apiVersion: number
}

/** A partition that somebody wants to commit an offset of. */
export interface CommittedPartition {
  readonly topic: string
  readonly partition: number
}

/** Kafka's names, over both kinds of group. */
export type GroupStateName =
  | 'Empty'
  | 'PreparingRebalance'
  | 'CompletingRebalance'
  | 'Stable'
  | 'Dead'
  | 'Assigning'
  | 'Reconciling'

export interface Group {
  readonly groupId: string
  readonly type: 'Classic' | 'Consumer'
  readonly state: GroupStateName
  /** 'consumer' for consumers; '' for a group that only ever stored offsets. */
  readonly protocolType: string
  readonly memberCount: number
  /** Nobody is in it, and nobody is expected: without offsets it may be forgotten. */
  readonly isIdle: boolean

  step(event: GroupEvent, nowMs: number): readonly GroupEffect[]
  /** When `tick` is due; Infinity for never. */
  nextDeadlineMs(): number

  /** Takes a record of the log into the state. */
  replay(record: OffsetsRecord): void
  /** The log is read to its end: timers begin. May persist what the replay left unfinished. */
  loaded(nowMs: number): readonly GroupEffect[]
  /** What makes the group disappear from the log. */
  tombstones(): readonly OffsetsRecordInput[]

  /** Whether offsets may be committed; counts as a sign of life. Null: yes. */
  checkCommit(
    client: OffsetsClient,
    nowMs: number,
    partitions: readonly CommittedPartition[],
  ): ErrorName | null
  /** Whether offsets may be fetched (asked only where a member id or epoch was given). Null: yes. */
  checkFetch(memberId: string, memberEpoch: number): ErrorName | null
  /** Whether a member reads this topic: then its offsets may not be deleted. */
  isSubscribedTo(topic: string): boolean
  /**
   * From when the expiry of an offset counts (KIP-211): its commit, or the moment when the group became empty; null: it
   * does not expire now.
   */
  expiryBase(topic: string, commitTimestampMs: number): number | null
  /** A sentence for a person: what the group is doing or waiting for, and why its last rebalance began. */
  explain(nowMs: number): string
}

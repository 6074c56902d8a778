/** What the bench's processes tell each other. Times are microseconds of the machine's monotonic clock. */
import type { PartitionSeen } from './checks.ts'
import type { Met } from './ranges.ts'
import type { Phase } from './schedule.ts'
import type { Workload } from './workload.ts'

export interface Job {
  readonly role: 'producer' | 'consumer'
  readonly bootstrap: string
  readonly workload: Workload
  readonly phases: readonly Phase[]
  readonly topics: readonly string[]
  readonly groups: readonly string[]
  readonly runId: number
  /** Which producers, or consumers of all groups, this process is; and of how many. */
  readonly members: readonly number[]
  readonly memberCount: number
}

/** Records of one producer in one partition. */
export interface Stream {
  readonly topic: number
  readonly partition: number
  readonly producer: number
  readonly sent: number
  /** Sequence numbers of records whose fate is unknown. */
  readonly failed: Met
}

export type ToWorker =
  | { readonly type: 'job'; readonly job: Job }
  | { readonly type: 'begin'; readonly atUs: number }
  /** Nothing more is sent; what is on its way still counts. */
  | { readonly type: 'stop' }
  /** Everything has been sent: pauses are over, and from now on it is said how much has been read. */
  | { readonly type: 'drain' }
  /** Say what has been read. */
  | { readonly type: 'look' }
  /** Leave the groups, and end. */
  | { readonly type: 'finish' }

export interface Interval {
  readonly type: 'interval'
  /** The second that has ended, counted from the beginning. */
  readonly second: number
  /** Records in this second. */
  readonly acked: number
  readonly received: number
  readonly failed: number
  /** Waiting in the schedule now, which cannot be sent as fast. */
  readonly behind: number
  /** Of the process, in microseconds. */
  readonly cpuUs: number
  /** Ready to run, without a processor; 0 where the system does not say. */
  readonly waitedUs: number
  readonly tookUs: number
  /** What this second's records took, encoded: to be acknowledged, or to be read. */
  readonly latency: string
}

export interface PhaseCounts {
  readonly sent: number
  /** By the time of the acknowledgement. */
  readonly acked: number
  /** By the time of reading. */
  readonly received: number
  readonly receivedBytes: number
  /** By the time at which the record was to be sent. */
  readonly failed: number
  readonly produce: string
  readonly endToEnd: string
  /** How late the schedule was. */
  readonly late: string
}

export interface Done {
  readonly type: 'done'
  readonly phases: readonly PhaseCounts[]
  /** By the second in which a record was to be sent: to be acknowledged, or to be read. */
  readonly bySecond: readonly (readonly [second: number, histogram: string])[]
  readonly streams: readonly Stream[]
  readonly rebalances: readonly Rebalance[]
  /** Reasons of failures, with how often each was met. */
  readonly errors: readonly (readonly [reason: string, count: number])[]
}

/** A member's share of its group has changed. */
export interface Rebalance {
  readonly group: number
  /** The same for all members that the same rebalance touches. */
  readonly generation: number
  readonly second: number
}

/** An answer to `look`. */
export interface Seen {
  readonly type: 'seen'
  readonly partitions: readonly PartitionSeen[]
}

export type FromWorker =
  | { readonly type: 'ready' }
  /** While it drains: records read so far. */
  | { readonly type: 'progress'; readonly records: number }
  | Seen
  | Interval
  | Done
  | { readonly type: 'failed'; readonly message: string }

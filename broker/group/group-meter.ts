/** What the group coordinator counts; `metrics-registry.ts` shows it. */
import type { RebalanceCause } from './step.ts'

export class GroupMeter {
  /** Rebalances by what began them. */
  readonly rebalances = new Map<RebalanceCause, number>()
  /** Offsets that were committed. */
  commits = 0

  rebalance(cause: RebalanceCause): void {
    this.rebalances.set(cause, (this.rebalances.get(cause) ?? 0) + 1)
  }
}

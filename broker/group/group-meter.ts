/** What the group coordinator counts; `metrics-registry.ts` shows it. */
import { REBALANCE_CAUSES, type RebalanceCause } from './step.ts'

export class GroupMeter {
  /** Rebalances by what began them. */
  readonly rebalances = new Map<RebalanceCause, number>(REBALANCE_CAUSES.map(cause => [cause, 0]))
  /** Offsets that were committed. */
  commits = 0

  rebalance(cause: RebalanceCause): void {
    this.rebalances.set(cause, this.rebalances.get(cause)! + 1)
  }
}

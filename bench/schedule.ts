/**
 * When records are to be sent: an open loop. The moment of each follows from the rate alone, not from how the cluster keeps
 * up, and latency counts from that moment; so a stall shows in every record that was due while it lasted, and not only
 * in the few that were on their way ("coordinated omission").
 *
 * A step at `max` has no such moments: there the loop is closed by `maxOutstanding`, and a record is due when it is sent.
 */
import type { Step } from './workload.ts'

export interface Phase {
  readonly name: string
  readonly rate: number | 'max'
  /** Microseconds after the beginning. */
  readonly fromUs: number
  readonly toUs: number
  /** Warm-up is not reported. */
  readonly isMeasured: boolean
}

/** The warm-up, at the rate of the first step, then the steps. */
export function phasesOf(warmupSeconds: number, steps: readonly Step[]): Phase[] {
  const phases: Phase[] = []
  let fromUs = 0
  const add = (name: string, { rate, seconds }: Step, isMeasured: boolean) => {
    if (seconds <= 0) return
    const toUs = fromUs + seconds * 1e6
    phases.push({ name, rate, fromUs, toUs, isMeasured })
    fromUs = toUs
  }
  add('warm-up', { rate: steps[0]!.rate, seconds: warmupSeconds }, false)
  for (const [i, step] of steps.entries()) add(`step ${i + 1}`, step, true)
  return phases
}

export interface Due {
  /** Microseconds after the beginning; for `max` the time of asking. */
  readonly intendedUs: number
  readonly phase: number
}

/** The records of one producer process: its share of the rate, evenly spaced. */
export class Schedule {
  private readonly phases: readonly Phase[]
  private readonly share: number
  private phase = 0
  /** Records of the current phase that have been taken. */
  private taken = 0

  /** `share` of the rate, 0 to 1. */
  constructor(phases: readonly Phase[], share: number) {
    this.phases = phases
    this.share = share
  }

  /** Whether all that was ever due has been taken by then. */
  isOver(nowUs: number): boolean {
    const last = this.phases.at(-1)!
    return nowUs >= last.toUs && this.peek(nowUs) === null
  }

  /** The next record that is due at `nowUs`; null if none is. */
  take(nowUs: number): Due | null {
    const due = this.peek(nowUs)
    if (due !== null) this.taken++
    return due
  }

  /** How many records are due at `nowUs` and not taken; 0 in a step at `max`. */
  behind(nowUs: number): number {
    const phase = this.phases[this.phase]
    if (phase === undefined || phase.rate === 'max') return 0
    const dueUs = Math.min(nowUs, phase.toUs) - phase.fromUs
    return Math.max(0, Math.floor((dueUs / 1e6) * phase.rate * this.share) - this.taken)
  }

  /** By phase, how many records have not been taken and are to be when all is over; of a step at `max` none. */
  untaken(): { readonly phase: number; readonly records: number }[] {
    const rest = this.phases.slice(this.phase)
    return rest.flatMap(({ rate, fromUs, toUs }, i) => {
      if (rate === 'max') return []
      const all = Math.ceil(((toUs - fromUs) / 1e6) * rate * this.share)
      const records = all - (i === 0 ? this.taken : 0)
      return records > 0 ? [{ phase: this.phase + i, records }] : []
    })
  }

  private peek(nowUs: number): Due | null {
    for (let phase = this.phases[this.phase]; phase !== undefined; phase = this.next()) {
      if (nowUs < phase.fromUs) return null
      if (phase.rate === 'max') {
        if (nowUs < phase.toUs) return { intendedUs: nowUs, phase: this.phase }
        continue
      }
      const intendedUs = phase.fromUs + (this.taken * 1e6) / (phase.rate * this.share)
      if (intendedUs < phase.toUs) {
        return intendedUs <= nowUs ? { intendedUs, phase: this.phase } : null
      }
    }
    return null
  }

  private next(): Phase | undefined {
    this.taken = 0
    return this.phases[++this.phase]
  }
}

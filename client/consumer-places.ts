/**
 * Where a partition is read from: the place that was asked for, the reset where there is none, and whether a place still
 * stands in the log of a new leader.
 *
 * That is asked with the leader epoch of what was read last (OffsetForLeaderEpoch, KIP-320): where the leader's log left this
 * epoch before the place, a log has been cut, and reading goes on from there; without a reset that is an error.
 */
import { errorCode } from '../protocol/errors.ts'
import type { Io } from '../protocol/io.ts'
import type { Cluster } from './cluster.ts'
import { type EndOfEpoch, endsOfEpochs } from './end-of-epoch.ts'
import { AnswerError, isRetriable, OptionError, VersionError } from './errors.ts'
import type { AssignedPartition } from './fetcher.ts'
import { attemptNow, backoffMs } from './leader-search.ts'
import { listOffsets, type OffsetAnswer, type OffsetQuery } from './list-offsets.ts'

/** An offset, an end of the log, or the first record from a time on. */
export type Place = number | 'earliest' | 'latest' | { readonly timestampMs: number }

/** Whether it is one of those that have to be asked for. */
function isPlace(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return given === 'earliest' || given === 'latest'
  return 'timestampMs' in given && Number.isSafeInteger(given.timestampMs)
}

interface Lookup<K, V> {
  readonly partition: AssignedPartition<K, V>
  /** The place that it was at; if it has been sought elsewhere since, the answer counts for nothing. */
  readonly round: number
  readonly at: OffsetQuery['at']
}

/** A place that a new leader may not have. */
type Check<K, V> = Pick<Lookup<K, V>, 'partition' | 'round'>

export class Places<K, V> {
  private readonly io: Io
  private readonly cluster: Cluster
  private readonly reset: 'earliest' | 'latest' | 'none'
  private readonly changed: () => void
  private readonly lookups: Lookup<K, V>[] = []
  private readonly checks: Check<K, V>[] = []
  private readonly wanted = new WeakMap<AssignedPartition<K, V>, Place>()

  /** `changed`: a partition has a place, or an error. */
  constructor(
    io: Io,
    cluster: Cluster,
    reset: 'earliest' | 'latest' | 'none',
    changed: () => void,
  ) {
    this.io = io
    this.cluster = cluster
    this.reset = reset
    this.changed = changed
  }

  /** Forgets what was asked for before: from now on the offset counts that the partition is sought to. */
  forget(partition: AssignedPartition<K, V>): void {
    this.wanted.delete(partition)
    partition.isLocating = false
  }

  /** The partition is read from this place, which is looked up when it is needed. */
  ask(partition: AssignedPartition<K, V>, place: Exclude<Place, number>): void {
    if (!isPlace(place)) {
      const ways = "an offset, 'earliest', 'latest' or { timestampMs }"
      throw new OptionError(`a place is ${ways}, not ${JSON.stringify(place)}.`)
    }
    this.wanted.set(partition, place)
    partition.seek(-1)
    partition.isLocating = false
  }

  /** Finds out where to read this partition, and goes there. */
  locate(partition: AssignedPartition<K, V>, isOutOfRange: boolean): void {
    if (partition.isLocating) return
    partition.isLocating = true
    const { round, topic, partition: index } = partition
    const place = isOutOfRange ? undefined : this.wanted.get(partition)
    if (place === undefined && this.reset === 'none') {
      const from = { api: 'Fetch', topic, partition: index }
      const detail = noPlace(partition.position)
      this.located(
        { partition, round },
        new AnswerError(errorCode('OFFSET_OUT_OF_RANGE'), from, detail),
      )
      return
    }
    const wanted = place ?? this.reset
    const at = typeof wanted === 'object' ? wanted.timestampMs : wanted
    this.lookUp({ partition, round, at: at as OffsetQuery['at'] })
  }

  /** What is asked for in one turn is asked for together: a reader may have thousands of partitions. */
  private lookUp(lookup: Lookup<K, V>): void {
    this.lookups.push(lookup)
    if (this.lookups.length > 1) return
    this.io.turn.write(() => {
      void this.askAll(this.lookups.splice(0))
    })
  }

  private async askAll(lookups: readonly Lookup<K, V>[]): Promise<void> {
    const open = new Set(lookups)
    const settle = (lookup: Lookup<K, V>, answer: OffsetAnswer) => {
      if (!open.delete(lookup)) return
      // Nothing is that young: what comes next will be.
      if (answer.error === null && answer.offset < 0) this.lookUp({ ...lookup, at: 'latest' })
      else this.located(lookup, answer.error ?? answer)
    }
    const queries = lookups.map(({ partition: { topic, partition }, at }) => {
      return { topic, partition, at }
    })
    try {
      const answers = await listOffsets(this.cluster, queries, {}, (index, answer) =>
        settle(lookups[index]!, answer),
      )
      for (const [index, answer] of answers.entries()) settle(lookups[index]!, answer)
    } catch (error) {
      for (const lookup of open) this.located(lookup, error as Error)
    }
  }

  private located({ partition, round }: Check<K, V>, found: Error | OffsetAnswer): void {
    if (partition.round === round) {
      if (found instanceof Error) partition.error = found
      else {
        // Whoever leads in that epoch need not be asked whether the place stands.
        partition.leaderEpoch = Math.max(partition.leaderEpoch, found.leaderEpoch)
        partition.seek(found.offset, found.leaderEpoch)
      }
    }
    if (partition.round <= round + 1) partition.isLocating = false
    this.changed()
  }

  /** Holds the place against the epochs of the present leader, together with all that need it in this turn. */
  verify(partition: AssignedPartition<K, V>): void {
    if (partition.isLocating) return
    partition.isLocating = true
    this.checks.push({ partition, round: partition.round })
    if (this.checks.length > 1) return
    this.io.turn.write(() => {
      void this.checkAll(this.checks.splice(0))
    })
  }

  private async checkAll(checks: readonly Check<K, V>[]): Promise<void> {
    let open = checks
    for (let tries = 1; ; tries++) {
      const outcomes = await endsOfEpochs(this.cluster, open, attemptNow(this.io, this.cluster))
      open = open.filter((check, i) => !this.checked(check, outcomes[i]!))
      this.changed()
      if (open.length === 0) return
      this.cluster.distrust()
      const waitMs = backoffMs(this.io, this.cluster, tries)
      await new Promise<void>(resolve => this.io.clock.timer(waitMs, resolve, true))
    }
  }

  /** False: it is to be asked again. */
  private checked({ partition, round }: Check<K, V>, outcome: EndOfEpoch | Error): boolean {
    // Sought elsewhere meanwhile: then that place may have to be checked.
    if (partition.round === round) {
      // A broker that cannot tell: read on, as clients did before.
      const isUnable = outcome instanceof VersionError
      if (outcome instanceof Error && !isUnable) {
        if (isRetriable(outcome)) return false
        partition.error = outcome
      } else {
        partition.isUnverified = false
        if (!(outcome instanceof Error)) this.stands(partition, outcome)
      }
    }
    partition.isLocating = false
    return true
  }

  private stands(partition: AssignedPartition<K, V>, { leader, end }: EndOfEpoch): void {
    partition.leaderEpoch = Math.max(partition.leaderEpoch, leader.leaderEpoch)
    partition.leaderId = leader.leaderId
    if (end < partition.fetchOffset) this.cut(partition, end)
  }

  /** The log was cut at `end`: what was read ahead from there on is not in it any more. */
  private cut(partition: AssignedPartition<K, V>, end: number): void {
    const { topic, partition: index, position } = partition
    if (end >= position) {
      partition.seek(position, partition.positionEpoch)
    } else if (this.reset === 'none') {
      const detail = `the log was cut at offset ${end < 0 ? 'unknown' : end}, below ${position} where this consumer is, and autoOffsetReset is 'none': seek to an offset that is in it`
      const from = { api: 'OffsetForLeaderEpoch', topic, partition: index }
      partition.error = new AnswerError(errorCode('OFFSET_OUT_OF_RANGE'), from, detail)
    } else if (end >= 0) partition.seek(end)
    else this.ask(partition, this.reset)
  }
}

function noPlace(position: number): string {
  const what = position < 0 ? 'there is no position' : `offset ${position} is not in the log`
  return `${what} and autoOffsetReset is 'none': seek to one that is`
}

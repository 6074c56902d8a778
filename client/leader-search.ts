/**
 * Partitions whose leader a producer or consumer wants to know: they are looked up together, again and again with growing
 * pauses, until each is found or no longer wanted.
 */
import type { Io } from '../protocol/io.ts'
import type { Attempt, Cluster, Leader } from './cluster.ts'

export interface Wanted {
  readonly topic: string
  readonly partition: number
  /** -1: to be looked up. */
  leaderId: number
}

export interface SearchOwner<W extends Wanted> {
  /** Its leader is known now. */
  found(wanted: W, leader: Leader): void
  /** This attempt has failed; true: look again, after a pause. */
  missed(wanted: W, error: Error): boolean
}

export class LeaderSearch<W extends Wanted> {
  private readonly io: Io
  private readonly cluster: Cluster
  private readonly owner: SearchOwner<W>
  private readonly wanted = new Set<W>()
  private isRunning = false
  private isClosed = false
  private lastError: unknown = null

  constructor(io: Io, cluster: Cluster, owner: SearchOwner<W>) {
    this.io = io
    this.cluster = cluster
    this.owner = owner
  }

  /** Looks for the leader; the owner hears of it. */
  add(wanted: W): void {
    this.wanted.add(wanted)
    if (!this.isRunning) void this.run()
  }

  /** Brings an old picture up to date, in the background. */
  refresh(): void {
    if (!this.isRunning && !this.cluster.isFresh) void this.run()
  }

  close(): void {
    this.isClosed = true
    this.wanted.clear()
  }

  private async run(): Promise<void> {
    this.isRunning = true
    let hasLooked = false
    for (let tries = 1; !this.isClosed; tries++) {
      if (this.wanted.size === 0) {
        if (hasLooked || this.cluster.isFresh) break
        hasLooked = true
        await this.look()
        // Somebody may have come meanwhile.
        continue
      }
      this.cluster.track([...this.wanted].map(({ topic }) => topic))
      const isMissed = await Promise.all([...this.wanted].map(wanted => this.find(wanted)))
      if (!isMissed.includes(true)) continue
      const waitMs = backoffMs(this.io, this.cluster, tries)
      const what = `looking for the leaders of ${this.wanted.size} partitions`
      this.cluster.config.telemetry.retrying(what, this.lastError, tries, waitMs)
      await new Promise<void>(resolve => this.io.clock.timer(waitMs, resolve, true))
      this.cluster.distrust()
    }
    this.isRunning = false
  }

  /** Whether it has to be looked for again. */
  private async find(wanted: W): Promise<boolean> {
    try {
      const attempt = attemptNow(this.io, this.cluster)
      const leader = await this.cluster.leader(wanted.topic, wanted.partition, attempt)
      this.wanted.delete(wanted)
      if (this.isClosed) return false
      wanted.leaderId = leader.leaderId
      this.owner.found(wanted, leader)
      return false
    } catch (error) {
      if (this.isClosed) return false
      this.lastError = error
      if (this.owner.missed(wanted, error as Error)) return true
      this.wanted.delete(wanted)
      return false
    }
  }

  private async look(): Promise<void> {
    try {
      await this.cluster.connect('controller', attemptNow(this.io, this.cluster))
    } catch {
      // Only a look ahead: whoever needs the answer asks again, and hears of it.
    }
  }
}

/** One attempt outside of `Cluster.run`, with the time of one request. */
export function attemptNow(io: Io, cluster: Cluster): Attempt {
  const deadlineMs = io.clock.monotonicMs() + cluster.config.requestTimeoutMs
  return { deadlineMs, signal: undefined, mayBeDone: false, asked: undefined }
}

/** The wait before attempt number `tries + 1`: exponential, with 20 % of jitter. */
export function backoffMs(io: Io, { config }: Cluster, tries: number): number {
  const { retryBackoffMs, retryBackoffMaxMs } = config
  const fullMs = Math.min(retryBackoffMaxMs, retryBackoffMs * 2 ** Math.min(tries - 1, 30))
  return fullMs * (0.8 + 0.4 * io.random())
}

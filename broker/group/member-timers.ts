/**
 * When a member of a consumer group (KIP-848) counts as gone. None of this is kept: after a start every session begins anew.
 *
 *   session     from the last sign of life
 *   rebalance   a member of the consumer protocol has to give up partitions
 *   join        a member of the classic protocol was told to rejoin
 *   sync        it has joined and not fetched its assignment
 */

const NEVER = Number.POSITIVE_INFINITY

type Wait = 'rebalance' | 'join' | 'sync'

interface Timers {
  sessionDeadlineMs: number
  readonly waits: Map<Wait, number>
  connectionId: number
  isDisconnected: boolean
}

/** Why a member's time is up. */
export type Overdue = 'session' | 'disconnected' | Wait

export class MemberTimers {
  private readonly byMember = new Map<string, Timers>()
  /** Not after the first deadline. */
  wakeMs = NEVER

  /** The connection over which the member spoke last; -1 where it is not known. */
  connectionOf(memberId: string): number {
    return this.byMember.get(memberId)?.connectionId ?? -1
  }

  has(memberId: string): boolean {
    return this.byMember.has(memberId)
  }

  delete(memberId: string): void {
    this.byMember.delete(memberId)
  }

  /** A sign of life: the session lasts until then. */
  heard(memberId: string, sessionDeadlineMs: number, connectionId: number): void {
    const waits = this.byMember.get(memberId)?.waits ?? new Map<Wait, number>()
    this.byMember.set(memberId, { sessionDeadlineMs, waits, connectionId, isDisconnected: false })
    this.wakeAt(sessionDeadlineMs)
  }

  /** Begins to wait for the member, or goes on waiting as before. */
  expect(memberId: string, what: Wait, deadlineMs: number): void {
    const waits = this.byMember.get(memberId)?.waits
    if (waits === undefined) return
    waits.set(what, Math.min(deadlineMs, waits.get(what) ?? NEVER))
    this.wakeAt(deadlineMs)
  }

  hasDone(memberId: string, what: Wait): void {
    this.byMember.get(memberId)?.waits.delete(what)
  }

  /** What is awaited of the member, and until when: of what the group expects the first, else a sign of life. */
  awaited(memberId: string): { readonly what: Overdue; readonly deadlineMs: number } {
    const timers = this.byMember.get(memberId)
    if (timers === undefined) return { what: 'session', deadlineMs: NEVER }
    const [first] = [...timers.waits].sort(([, a], [, b]) => a - b)
    if (first !== undefined) return { what: first[0], deadlineMs: first[1] }
    const what = timers.isDisconnected ? 'disconnected' : 'session'
    return { what, deadlineMs: timers.sessionDeadlineMs }
  }

  disconnected(connectionId: number, deadlineMs: number): void {
    for (const timers of this.byMember.values()) {
      if (timers.connectionId !== connectionId) continue
      timers.isDisconnected = true
      timers.sessionDeadlineMs = Math.min(timers.sessionDeadlineMs, deadlineMs)
      this.wakeAt(timers.sessionDeadlineMs)
    }
  }

  /** Whose time is up, and why; sets the next deadline by the others. */
  due(nowMs: number): Map<string, Overdue> {
    const gone = new Map<string, Overdue>()
    this.wakeMs = NEVER
    for (const [memberId, { sessionDeadlineMs, waits, isDisconnected }] of this.byMember) {
      if (sessionDeadlineMs <= nowMs) {
        gone.set(memberId, isDisconnected ? 'disconnected' : 'session')
        continue
      }
      const [late] = [...waits].filter(([, deadlineMs]) => deadlineMs <= nowMs)
      if (late !== undefined) gone.set(memberId, late[0])
      else this.wakeAt(Math.min(sessionDeadlineMs, ...waits.values()))
    }
    return gone
  }

  private wakeAt(deadlineMs: number): void {
    if (deadlineMs < this.wakeMs) this.wakeMs = deadlineMs
  }
}

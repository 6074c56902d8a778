/** The classic group's steps for `ottla bench micro`. */
import { ClassicGroup, type GroupSettings } from '../broker/group/group.ts'
import type { GroupEffect } from '../broker/group/step.ts'
import { NOW_MS, type Piece } from './micro-batch.ts'

const SETTINGS = {
  groupMinSessionTimeoutMs: 1000,
  groupMaxSessionTimeoutMs: 60_000,
  groupMaxSize: 100,
  groupInitialRebalanceDelayMs: 0,
  groupDropOnDisconnectMs: -1,
} as GroupSettings

const MEMBERS = 10
const protocols = [{ name: 'range', metadata: Buffer.alloc(60) }]

class Members {
  readonly group = new ClassicGroup('g', SETTINGS)
  readonly ids: string[] = []
  generation = -1

  /** All join, the first one hands out shares. */
  rebalance(nowMs: number): void {
    for (let i = 0; i < MEMBERS; i++) this.generation = this.join(i, nowMs)
    for (let i = 0; i < MEMBERS; i++) this.sync(i, nowMs)
  }

  beat(i: number, nowMs: number): void {
    const request = { ...this.identity(i), generationId: this.generation }
    this.group.step({ kind: 'heartbeat', ...this.sender(i), request }, nowMs)
  }

  private join(i: number, nowMs: number): number {
    const newMemberId = `member-${i}`
    const request = {
      ...this.identity(i),
      rebalanceTimeoutMs: 60_000,
      sessionTimeoutMs: 10_000,
      protocols,
      reason: null,
      protocolType: 'consumer',
    }
    const effects = this.group.step(
      { kind: 'join', ...this.sender(i), request, newMemberId },
      nowMs,
    )
    this.ids[i] ??= newMemberId
    return generationIn(effects) ?? this.generation
  }

  private sync(i: number, nowMs: number): void {
    const assignments = this.ids.map(memberId => ({ memberId, assignment: Buffer.alloc(40) }))
    const request = {
      ...this.identity(i),
      generationId: this.generation,
      protocolType: null,
      protocolName: null,
      assignments: i === 0 ? assignments : [],
    }
    this.group.step({ kind: 'sync', ...this.sender(i), request }, nowMs)
  }

  private identity(i: number) {
    return { groupId: 'g', memberId: this.ids[i] ?? '', groupInstanceId: null }
  }

  /** Version 3: a member without an id is given one at once. */
  private sender(i: number) {
    const client = { clientId: 'bench', clientHost: '/10.0.0.1', connectionId: i }
    return { ticket: i, client, apiVersion: 3 }
  }
}

function generationIn(effects: readonly GroupEffect[]): number | undefined {
  for (const effect of effects) {
    if (effect.kind === 'reply' && 'generationId' in effect.response) {
      return effect.response.generationId
    }
  }
  return undefined
}

export function groupHeartbeats(): Piece {
  const members = new Members()
  members.rebalance(NOW_MS)
  return times => {
    for (let i = 0; i < times; i++) members.beat(i % MEMBERS, NOW_MS + i)
  }
}

export function groupRebalance(): Piece {
  const members = new Members()
  return times => {
    for (let i = 0; i < times; i++) members.rebalance(NOW_MS + i)
  }
}

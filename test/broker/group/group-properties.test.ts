/**
 * Random orders of what members do, of lost answers, deaths, time and restarts, against what must hold of a classic group:
 * one leader and one protocol in a generation, generations only grow, nobody is stuck, and what was persisted makes the same
 * group again.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ClassicGroup, type GroupSettings } from '../../../broker/group/group.ts'
import type { GroupEffect, GroupEvent, GroupResponse } from '../../../broker/group/step.ts'
import type { ResponseInput } from '../../../protocol/apis.ts'
import { errorName } from '../../../protocol/errors.ts'
import {
  decodeOffsetsRecord,
  encodeOffsetsRecord,
  type OffsetsRecordInput,
} from '../../../protocol/messages/offsets-topic.ts'
import { chooseSeed, tier } from '../../tiers.ts'

const SETTINGS: GroupSettings = {
  groupMinSessionTimeoutMs: 1000,
  groupMaxSessionTimeoutMs: 60_000,
  groupMaxSize: 4,
  groupInitialRebalanceDelayMs: 0,
  groupDropOnDisconnectMs: 500,
}
const SESSION_MS = 10_000
const REBALANCE_MS = 5000

interface Person {
  id: string
  generation: number
  isLeader: boolean
  members: readonly string[]
  /** What it waits for; the rest of its life is spent on nothing else. */
  asked: { readonly ticket: number; readonly what: string; readonly sinceMs: number } | null
}

type Act =
  | { readonly kind: 'go'; readonly who: number }
  | { readonly kind: 'join' | 'leave' | 'die' | 'close'; readonly who: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'restart' }
  | { readonly kind: 'fail' }

const who = fc.nat({ max: 5 })
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('go' as const), who }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('join', 'leave', 'die', 'close'), who }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(12_000) }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ kind: 'restart' as const }, { kind: 'fail' as const }),
  },
)

class World {
  group = new ClassicGroup('g', SETTINGS)
  readonly people: Person[]
  private readonly isStatic: boolean
  private readonly tickets = new Map<number, Person>()
  /** What is known of each generation. */
  private readonly generations = new Map<number, { leader: string; protocol: string | null }>()
  private persisted: OffsetsRecordInput[] = []
  private nowMs = 1000
  private nextTicket = 1
  private nextId = 1
  private highest = 0
  private failsNext = false

  constructor(count: number, isStatic: boolean) {
    this.isStatic = isStatic
    this.people = Array.from({ length: count }, () => this.newborn())
  }

  private newborn(): Person {
    return { id: '', generation: -1, isLeader: false, members: [], asked: null }
  }

  perform(act: Act): void {
    if (act.kind === 'wait') return this.wait(act.ms)
    if (act.kind === 'restart') return this.restart()
    if (act.kind === 'fail') {
      this.failsNext = true
      return
    }
    const person = this.people[act.who % this.people.length]!
    if (act.kind === 'close') {
      return this.step({ kind: 'disconnected', connectionId: this.people.indexOf(person) })
    }
    if (act.kind === 'die') return void Object.assign(person, this.newborn())
    if (act.kind === 'leave') return this.leave(person)
    if (person.asked !== null) return
    if (act.kind === 'join' || person.generation < 0) return this.join(person)
    this.beat(person)
  }

  private ask(person: Person, what: string) {
    const ticket = this.nextTicket++
    this.tickets.set(ticket, person)
    person.asked = { ticket, what, sinceMs: this.nowMs }
    const connectionId = this.people.indexOf(person)
    return { ticket, client: { clientId: 'c', clientHost: '/h', connectionId }, apiVersion: 9 }
  }

  private common(person: Person) {
    const groupInstanceId = this.isStatic ? `i${this.people.indexOf(person)}` : null
    return { groupId: 'g', memberId: person.id, groupInstanceId }
  }

  private join(person: Person): void {
    const request = {
      ...this.common(person),
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: REBALANCE_MS,
      protocolType: 'consumer',
      protocols: ['range', 'sticky'].map(name => ({ name, metadata: Buffer.from(name) })),
      reason: null,
    }
    const newMemberId = `m${this.nextId++}`
    this.step({ kind: 'join', newMemberId, ...this.ask(person, 'join'), request })
  }

  private beat(person: Person): void {
    const request = { ...this.common(person), generationId: person.generation }
    if (person.members.length === 0 || !person.isLeader) {
      return this.step({ kind: 'heartbeat', ...this.ask(person, 'beat'), request })
    }
    this.sync(person)
  }

  private sync(person: Person): void {
    const assignments = person.members.map(memberId => ({
      memberId,
      assignment: Buffer.from(`${memberId} in ${person.generation}`),
    }))
    const request = {
      ...this.common(person),
      generationId: person.generation,
      protocolType: 'consumer',
      protocolName: null,
      assignments,
    }
    this.step({ kind: 'sync', ...this.ask(person, 'sync'), request })
  }

  private leave(person: Person): void {
    const members = [{ ...this.common(person), reason: null }]
    person.asked = null
    const request = { groupId: 'g', memberId: '', members }
    this.step({ kind: 'leave', ...this.ask(person, 'leave'), request })
    Object.assign(person, this.newborn())
  }

  private wait(ms: number): void {
    const endMs = this.nowMs + ms
    for (let ticks = 0; this.group.nextDeadlineMs() <= endMs; ticks++) {
      assert.ok(ticks < 1000, 'ticks without end')
      this.nowMs = Math.max(this.nowMs, this.group.nextDeadlineMs())
      this.step({ kind: 'tick' })
    }
    this.nowMs = endMs
    for (const { asked } of this.people) {
      // A session and a rebalance of everybody else, and some.
      const limitMs = 300_000
      if (asked !== null) assert.ok(this.nowMs - asked.sinceMs <= limitMs, `stuck in ${asked.what}`)
    }
  }

  private restart(): void {
    for (const person of this.people) person.asked = null
    this.tickets.clear()
    this.group = this.replayed()
    // A generation that nobody was assigned to was not kept: its number comes again.
    this.highest = this.group.generation
    for (const known of this.generations.keys()) {
      if (known > this.highest) this.generations.delete(known)
    }
    this.effectsOf(this.group.loaded(this.nowMs))
  }

  private replayed(): ClassicGroup {
    const group = new ClassicGroup('g', SETTINGS)
    for (const record of this.persisted) {
      const { key, value } = encodeOffsetsRecord(record)
      group.replay(decodeOffsetsRecord(key, value)!)
    }
    return group
  }

  private step(event: GroupEvent): void {
    const effects = this.group.step(event, this.nowMs)
    const isKept = effects.some(({ kind }) => kind === 'persist')
    if (isKept && this.failsNext) {
      this.failsNext = false
      // Whoever was answered hears of the failure instead.
      for (const effect of effects) {
        if (effect.kind === 'reply') this.answered(effect.ticket, { errorCode: -1, members: [] })
      }
      return this.step({ kind: 'writeFailed', error: 'MESSAGE_TOO_LARGE' })
    }
    this.effectsOf(effects)
  }

  private effectsOf(effects: readonly GroupEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'persist') this.persisted.push(...effect.records)
      if (effect.kind === 'reply') this.answered(effect.ticket, effect.response)
    }
    this.check()
  }

  private answered(ticket: number, response: GroupResponse): void {
    const person = this.tickets.get(ticket)
    assert.ok(person !== undefined || !this.tickets.has(ticket))
    this.tickets.delete(ticket)
    if (person?.asked?.ticket !== ticket) return // somebody who has died or left since
    const { what } = person.asked
    person.asked = null
    const error = errorName(response.errorCode)
    if ('memberId' in response && error === 'MEMBER_ID_REQUIRED') person.id = response.memberId!
    else if (error === 'REBALANCE_IN_PROGRESS') person.generation = -1
    else if (error !== 'NONE') Object.assign(person, this.newborn())
    else if ('generationId' in response) this.joined(person, response)
    else if (what === 'sync' && 'assignment' in response && Buffer.isBuffer(response.assignment)) {
      const assignment = response.assignment.toString()
      const expected = `${person.id} in ${person.generation}`
      // A member that joined after the leader was told of the others has no share yet.
      assert.ok(assignment === expected || assignment === '' || this.isStatic, assignment)
      person.members = []
    }
  }

  private joined(person: Person, response: ResponseInput<'JoinGroup'>): void {
    const { memberId, generationId = -1, leader, protocolName, members } = response
    person.id = memberId
    person.generation = generationId
    person.isLeader = leader === memberId && response.skipAssignment !== true
    person.members = members.map(one => one.memberId)
    const known = this.generations.get(generationId)
    if (known === undefined) this.generations.set(generationId, { leader, protocol: protocolName })
    else {
      if (!this.isStatic) assert.equal(leader, known.leader, 'one leader in a generation')
      assert.equal(protocolName, known.protocol, 'one protocol in a generation')
    }
  }

  private check(): void {
    const { group } = this
    // Members who died still count as members while a rebalance waits for them; their places are given to others
    // (Kafka's acceptJoiningMember). So the limit is on who has joined, and on everybody once it is over.
    const joined = [...group.members.all()].filter(({ joining }) => joining !== null)
    assert.ok(joined.length <= SETTINGS.groupMaxSize)
    if (group.state !== 'PreparingRebalance') {
      assert.ok(group.members.size <= SETTINGS.groupMaxSize, `${group.members.size} members`)
    }
    if (group.generation < this.highest) assert.fail('generations only grow')
    this.highest = group.generation
    if (group.state !== 'PreparingRebalance') {
      assert.ok([...group.members.all()].every(({ joining }) => joining === null))
    }
    if (group.state !== 'CompletingRebalance') {
      assert.ok([...group.members.all()].every(({ syncing }) => syncing === null))
    }
    if (group.state === 'Empty') assert.equal(group.members.size, 0)
    else if (group.members.size > 0) assert.ok(group.members.get(group.members.leader!))
    if (group.state === 'Stable') this.compare(this.replayed())
  }

  private compare(other: ClassicGroup): void {
    const view = (group: ClassicGroup) => ({
      state: group.state,
      generation: group.generation,
      leader: group.members.leader,
      protocol: group.protocol,
      members: [...group.members.all()].map(({ memberId, assignment }) => [
        memberId,
        assignment.toString(),
      ]),
    })
    assert.deepEqual(view(other), view(this.group), 'what was persisted is the group')
  }

  /** Everybody carries on: all who take part end in one stable generation, or nobody is left. */
  settle(): void {
    this.failsNext = false
    this.wait(REBALANCE_MS)
    for (let round = 0; round < 60 && !this.isSettled(); round++) {
      for (const who of this.people.keys()) this.perform({ kind: 'go', who })
      this.wait(1000)
    }
    assert.ok(this.isSettled(), `${this.group.explain(this.nowMs)}`)
  }

  private isSettled(): boolean {
    const { group } = this
    if (group.state !== 'Stable') return false
    const inside = this.people.filter(({ generation }) => generation === group.generation)
    return inside.length === group.members.size && inside.length >= 1
  }
}

for (const isStatic of [false, true]) {
  test(`${isStatic ? 'static' : 'dynamic'} members: in any order of events the rules hold, and all settle`, t => {
    const seed = chooseSeed()
    t.diagnostic(`seed ${seed}`)
    const property = fc.property(fc.array(act, { maxLength: 60 }), acts => {
      const world = new World(4, isStatic)
      for (const one of acts) world.perform(one)
      world.settle()
    })
    fc.assert(property, { seed, numRuns: tier.propertyRuns })
  })
}

/**
 * Groups that change over between the protocols under random orders of events: clients of both kinds join, act as real ones
 * do, restart with the other protocol, fall silent, leave; topics grow; writes fail; the policy changes. Always: no partition
 * is held by two members that the group has not fenced, and what was persisted makes the same group again. In the end, when
 * everybody acts, every partition is read.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConsumerGroup } from '../../../broker/group/consumer-group.ts'
import { ClassicGroup } from '../../../broker/group/group.ts'
import type { GroupEvent } from '../../../broker/group/step.ts'
import { TopicPatterns } from '../../../broker/group/topic-patterns.ts'
import { type ClusterImage, emptyImage } from '../../../broker/metadata/image.ts'
import type { RequestOf, ResponseInput } from '../../../protocol/apis.ts'
import { errorName } from '../../../protocol/errors.ts'
import {
  readAssignment,
  readWholeSubscription,
  writeAssignment,
} from '../../../protocol/messages/consumer-protocol.ts'
import { GroupSeat } from '../../scenarios/group-seat.ts'
import { subscription } from '../../scenarios/script.ts'
import { chooseSeed, tier } from '../../tiers.ts'
import { partitionsOf, SETTINGS } from './small-groups.ts'

type Joined = ResponseInput<'JoinGroup'>
type Beaten = ResponseInput<'ConsumerGroupHeartbeat'>

const TOPIC = 'x'
const TOPIC_ID = 'x'.padEnd(22, 'A')
const FATAL = [
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
  'FENCED_MEMBER_EPOCH',
  'FENCED_INSTANCE_ID',
]
const REFUSALS = [
  'GROUP_ID_NOT_FOUND',
  'INCONSISTENT_GROUP_PROTOCOL',
  'GROUP_MAX_SIZE_REACHED',
  'UNRELEASED_INSTANCE_ID',
]

/** A client application: what it is and what it believes. */
class Client {
  readonly index: number
  readonly instance: string | null
  isClassic: boolean
  id = ''
  generation = 0
  has = new Set<number>()
  phase: 'out' | 'joining' | 'joined' | 'syncing' | 'in' = 'out'
  mustRejoin = false
  lives = 0

  constructor(index: number) {
    this.index = index
    this.instance = index < 2 ? `i${index}` : null
    this.isClassic = index % 2 === 0
  }

  /** Forgets that it was a member. */
  drop(): void {
    Object.assign(this, { phase: 'out', generation: 0, has: new Set(), mustRejoin: false, id: '' })
  }
}

class World {
  image: ClusterImage = emptyImage('c')
  readonly settings = { ...SETTINGS }
  readonly seat: GroupSeat
  readonly clients = [0, 1, 2, 3, 4].map(index => new Client(index))
  private readonly isEager: boolean
  private readonly waiting = new Map<number, Client>()
  private nextTicket = 1
  private nowMs = 1_000_000

  constructor(isEager: boolean, assignmentIntervalMs: number) {
    this.isEager = isEager
    const timing = { sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5000, assignmentIntervalMs }
    const consumer = {
      settings: this.settings,
      timing: () => timing,
      image: () => this.image,
      patterns: new TopicPatterns(),
    }
    this.seat = new GroupSeat({ classic: this.settings, consumer })
    this.grow(3)
  }

  grow(count: number): void {
    const partitions = partitionsOf(count)
    const topic = { name: TOPIC, id: TOPIC_ID, partitions, configs: {}, isInternal: false }
    const topics = new Map([[TOPIC, topic]])
    const topicsById = new Map([[TOPIC_ID, topic]])
    this.image = { ...this.image, revision: this.image.revision + 1, topics, topicsById }
    if (this.seat.group.type === 'Consumer') this.step({ kind: 'topicsChanged' })
  }

  wait(ms: number): void {
    this.nowMs += ms
    if (this.seat.group.nextDeadlineMs() <= this.nowMs) this.step({ kind: 'tick' })
  }

  // What clients do.

  act(client: Client): void {
    if (!client.isClassic) return this.beat(client)
    if (client.phase === 'out' || client.mustRejoin) return this.join(client)
    if (client.phase === 'joined') return this.sync(client, [])
    if (client.phase !== 'in') return
    const request = { groupId: 'g', memberId: client.id, ...this.said(client) }
    this.send(client, { kind: 'heartbeat', ...this.base(client, 4), request })
  }

  private said({ instance, generation }: Client) {
    return { groupInstanceId: instance, generationId: generation }
  }

  private join(client: Client): void {
    if (this.isEager) client.has.clear()
    client.mustRejoin = false
    client.phase = 'joining'
    const owned = [{ topic: TOPIC, partitions: [...client.has] }]
    const metadata = subscription([TOPIC], owned)
    const request = {
      groupId: 'g',
      memberId: client.id,
      groupInstanceId: client.instance,
      sessionTimeoutMs: 30_000,
      rebalanceTimeoutMs: 20_000,
      protocolType: 'consumer',
      protocols: [{ name: 'assignor', metadata }],
      reason: null,
    }
    const newMemberId = `c${client.index}-${client.lives++}`
    this.send(client, { kind: 'join', ...this.base(client, 5), newMemberId, request })
  }

  private sync(client: Client, assignments: RequestOf<'SyncGroup'>['assignments']): void {
    client.phase = 'syncing'
    const names = { protocolType: null, protocolName: null }
    const request = { groupId: 'g', memberId: client.id, ...this.said(client), ...names }
    const event = { kind: 'sync', ...this.base(client, 5) } as const
    this.send(client, { ...event, request: { ...request, assignments } })
  }

  private beat(client: Client): void {
    const isJoin = client.generation === 0
    if (client.id === '') client.id = `m${client.index}-${client.lives++}`
    const owned = [{ topicId: TOPIC_ID, partitions: [...client.has] }]
    this.heartbeat(client, {
      memberEpoch: client.generation,
      rebalanceTimeoutMs: isJoin ? 20_000 : -1,
      subscribedTopicNames: [TOPIC],
      topicPartitions: isJoin ? [] : owned,
    })
  }

  private heartbeat(client: Client, differing: Partial<RequestOf<'ConsumerGroupHeartbeat'>>): void {
    const request = {
      groupId: 'g',
      memberId: client.id,
      memberEpoch: 0,
      instanceId: client.instance,
      rackId: null,
      rebalanceTimeoutMs: -1,
      subscribedTopicNames: null,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: null,
      ...differing,
    }
    const event = { kind: 'consumerHeartbeat', ...this.base(client, 1), request } as const
    this.send(client, { ...event, newMemberId: '' })
  }

  leave(client: Client): void {
    const { id, instance } = client
    const isMember = client.generation > 0
    const wasClassic = client.isClassic
    client.drop()
    if (!isMember) return
    client.id = id
    if (wasClassic) {
      const members = [{ memberId: id, groupInstanceId: instance, reason: null }]
      const request = { groupId: 'g', memberId: id, members }
      this.send(client, { kind: 'leave', ...this.base(client, 5), request })
    } else this.heartbeat(client, { memberEpoch: -1 })
    client.drop()
  }

  /** Its process is killed and comes again, of this kind. */
  restart(client: Client, isClassic: boolean): void {
    client.drop()
    client.isClassic = isClassic
    for (const [ticket, other] of this.waiting) if (other === client) this.waiting.delete(ticket)
  }

  private base(client: Client, apiVersion: number) {
    const ticket = this.nextTicket++
    this.waiting.set(ticket, client)
    const clientId = `c${client.index}`
    return {
      ticket,
      apiVersion,
      client: { clientId, clientHost: '/h', connectionId: client.index },
    }
  }

  // What comes of it.

  private send(client: Client, event: GroupEvent & { readonly ticket: number }): void {
    this.step(event)
    // Its request was not kept: it hears an error and asks again.
    if (this.lost.delete(event.ticket) && client.isClassic) this.askAgain(client)
  }

  private readonly lost = new Set<number>()

  private askAgain(client: Client): void {
    if (client.phase === 'joining') client.mustRejoin = true
    if (client.phase === 'syncing') client.phase = 'joined'
  }

  private step(event: GroupEvent): void {
    const leaders: (() => void)[] = []
    for (const { effects, isKept } of this.seat.step(event, this.nowMs)) {
      for (const effect of effects) {
        if (effect.kind !== 'reply') continue
        const client = this.waiting.get(effect.ticket)
        this.waiting.delete(effect.ticket)
        if (client === undefined) continue
        if (!isKept) {
          this.lost.add(effect.ticket)
          if (client.isClassic) this.askAgain(client)
        } else if (client.isClassic) this.heard(client, effect.response as Joined, leaders)
        else this.beaten(client, effect.response as Beaten)
      }
    }
    for (const lead of leaders) lead()
  }

  private heard(client: Client, response: Joined, leaders: (() => void)[]): void {
    const error = errorName(response.errorCode)
    if (error === 'REBALANCE_IN_PROGRESS') client.mustRejoin = true
    else if (FATAL.includes(error)) client.drop()
    else if (error === 'MEMBER_ID_REQUIRED')
      Object.assign(client, { id: response.memberId, phase: 'out' })
    else if (error !== 'NONE') {
      assert.ok(REFUSALS.includes(error), error)
      client.drop()
    } else if (client.phase === 'joining') {
      client.id = response.memberId
      client.generation = response.generationId!
      client.phase = 'joined'
      const { members } = response
      if (members.length > 0) leaders.push(() => this.sync(client, this.assign(members)))
    } else if (client.phase === 'syncing') this.assigned(client, response as never)
  }

  private assigned(client: Client, { assignment }: { readonly assignment: Buffer }): void {
    const list = assignment.length === 0 ? [] : readAssignment(assignment)!
    const shall = new Set(list.flatMap(({ partitions }) => partitions))
    // A cooperative client that gives something up joins again for it to be given to others.
    client.mustRejoin = [...client.has].some(partition => !shall.has(partition))
    client.has = shall
    client.phase = 'in'
  }

  /** The leader's assignor: what others still own waits for the next generation. */
  private assign(members: Joined['members']) {
    const count = this.image.topics.get(TOPIC)!.partitions.length
    const owners = new Map<number, string>()
    for (const { memberId, metadata } of members) {
      for (const { partitions } of readWholeSubscription(metadata)!.ownedPartitions) {
        for (const partition of partitions) owners.set(partition, memberId)
      }
    }
    return members.map(({ memberId }, i) => {
      const partitions = []
      for (let partition = i; partition < count; partition += members.length) {
        if ((owners.get(partition) ?? memberId) === memberId) partitions.push(partition)
      }
      const assignment = writeAssignment([{ topic: TOPIC, partitions }], Buffer.from([0, 1]))
      return { memberId, assignment }
    })
  }

  private beaten(client: Client, response: Beaten): void {
    const error = errorName(response.errorCode)
    if (error !== 'NONE') {
      assert.ok([...FATAL, ...REFUSALS].includes(error), error)
      return client.drop()
    }
    client.generation = Math.max(0, response.memberEpoch!)
    if (!response.assignment) return
    client.has = new Set(response.assignment.topicPartitions.flatMap(one => [...one.partitions]))
  }

  // What must be true.

  check(): void {
    const { group } = this.seat
    // A static member that was late for a generation is still one, but acts in none.
    const epochOf = ({ id, isClassic, generation }: Client) => {
      if (group instanceof ClassicGroup) return group.members.get(id) && group.generation
      const member = (group as ConsumerGroup).data.members.get(id)
      return isClassic ? member?.memberEpoch : member && generation
    }
    const owners = new Map<number, number>()
    for (const client of this.clients) {
      const { index, has } = client
      // Who was fenced and does not know it yet has lost what it thinks it has.
      if (epochOf(client) !== client.generation) continue
      for (const partition of has) {
        const other = owners.get(partition)
        assert.equal(other, undefined, `partition ${partition} is held by ${other} and ${index}`)
        owners.set(partition, index)
      }
    }
    this.checkReplayed()
  }

  private checkReplayed(): void {
    const { group } = this.seat
    const again = this.seat.replayed()
    if (group instanceof ConsumerGroup) {
      // A group of which nothing was kept yet is none.
      if (group.data.groupEpoch === 0) return
      assert.ok(again instanceof ConsumerGroup)
      assert.deepEqual(again.data.members, group.data.members)
      for (const id of group.data.members.keys()) {
        assert.deepEqual(again.data.target(id), group.data.target(id))
      }
      const epochs = ({ data }: ConsumerGroup) => [data.groupEpoch, data.assignmentEpoch]
      return assert.deepEqual(epochs(again), epochs(group))
    }
    const classic = group as ClassicGroup
    if (classic.state !== 'Stable' || !(again instanceof ClassicGroup)) return
    assert.equal(again.generation, classic.generation)
    const shares = (of: ClassicGroup) =>
      new Map([...of.members.all()].map(one => [one.memberId, one.assignment.toString('hex')]))
    for (const [id, share] of shares(classic)) assert.equal(shares(again).get(id), share)
  }

  settle(): void {
    this.settings.groupConsumerMigrationPolicy = 'bidirectional'
    this.settings.groupConsumerMaxSize = 9
    this.settings.groupMaxSize = 9
    for (let round = 0; round < 60; round++) {
      for (const client of this.clients) this.act(client)
      this.wait(1000)
    }
    const { state, type } = this.seat.group
    const seen = this.clients.flatMap(({ has }) => [...has]).sort((a, b) => a - b)
    const count = this.image.topics.get(TOPIC)!.partitions.length
    assert.equal(state, 'Stable')
    assert.equal(type, this.clients.every(one => one.isClassic) ? 'Classic' : 'Consumer')
    assert.deepEqual(seen, [...Array(count).keys()])
  }
}

const who = fc.nat(4)
const kind = <K extends string>(name: K) => fc.constant(name)
const eventArbitrary = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: kind('act'), who }) },
  { weight: 2, arbitrary: fc.record({ do: kind('leave'), who }) },
  { weight: 2, arbitrary: fc.record({ do: kind('restart'), who, classic: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: kind('wait'), n: fc.integer({ min: 1, max: 35_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: kind('grow'), n: fc.integer({ min: 3, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ do: kind('fail') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: kind('policy'),
      to: fc.constantFrom('bidirectional', 'upgrade', 'downgrade', 'disabled'),
    }),
  },
)

test('each partition has one owner across migrations, nobody is stuck, and the log makes the same group', () => {
  const seed = chooseSeed()
  const run = { isEager: fc.boolean(), intervalMs: fc.constantFrom(0, 1000) }
  const events = fc.array(eventArbitrary, { maxLength: 80 })
  const property = fc.property(fc.record(run), events, ({ isEager, intervalMs }, all) => {
    const world = new World(isEager, intervalMs)
    let size = 3
    for (const event of all) {
      if (event.do === 'wait') world.wait(event.n)
      else if (event.do === 'fail') world.seat.failsNext = true
      else if (event.do === 'grow') world.grow((size = Math.max(size, event.n)))
      else if (event.do === 'policy') world.settings.groupConsumerMigrationPolicy = event.to
      else {
        const client = world.clients[event.who]!
        if (event.do === 'act') world.act(client)
        else if (event.do === 'leave') world.leave(client)
        else world.restart(client, event.classic)
      }
      world.check()
    }
    world.seat.failsNext = false
    world.settle()
  })
  fc.assert(property, { seed, numRuns: tier.propertyRuns })
})

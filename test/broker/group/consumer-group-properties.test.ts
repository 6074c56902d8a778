/**
 * A consumer group under random orders of events: members join, beat with what they have, change subscriptions, fall
 * silent, leave; topics grow; writes fail. Always: no partition is held by two members that the group has not fenced;
 * what was persisted makes the same group again. In the end, when everybody beats, each member reaches its target.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConsumerGroup, type ConsumerGroupOptions } from '../../../broker/group/consumer-group.ts'
import type { GroupEvent } from '../../../broker/group/step.ts'
import { TopicPatterns } from '../../../broker/group/topic-patterns.ts'
import { type ClusterImage, emptyImage } from '../../../broker/metadata/image.ts'
import type { RequestOf, ResponseInput } from '../../../protocol/apis.ts'
import { errorName } from '../../../protocol/errors.ts'
import {
  decodeOffsetsRecord,
  encodeOffsetsRecord,
  type OffsetsRecordInput,
} from '../../../protocol/messages/offsets-topic.ts'
import { chooseSeed, tier } from '../../tiers.ts'
import { partitionsOf, SETTINGS } from './small-groups.ts'

type Response = ResponseInput<'ConsumerGroupHeartbeat'>
type Owned = { topicId: string; partitions: readonly number[] }[]

interface Person {
  readonly id: string
  epoch: number
  has: Owned
  topics: readonly string[]
}

const timing = { sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5000, assignmentIntervalMs: 0 }
const topicId = (name: string) => name.padEnd(22, 'A')

class World {
  image: ClusterImage = emptyImage('c')
  private readonly options: ConsumerGroupOptions = {
    settings: SETTINGS,
    timing: () => timing,
    image: () => this.image,
    patterns: new TopicPatterns(),
  }
  readonly group = new ConsumerGroup('g', this.options)
  readonly people: Person[] = ['a', 'b', 'c', 'd', 'e'].map(id => ({
    id,
    epoch: 0,
    has: [],
    topics: ['x'],
  }))
  private readonly persisted: OffsetsRecordInput[] = []
  private nowMs = 1000
  failsNext = false

  constructor() {
    this.grow(2)
  }

  grow(count: number): void {
    const topics = new Map(
      ['x', 'y'].map((name, i) => {
        const partitions = partitionsOf(count + i)
        return [name, { name, id: topicId(name), partitions, configs: {}, isInternal: false }]
      }),
    )
    this.image = { ...this.image, revision: this.image.revision + 1, topics }
    this.step({ kind: 'topicsChanged' })
  }

  beat(person: Person): void {
    const isJoin = person.epoch === 0
    this.send(person, {
      memberEpoch: person.epoch,
      rebalanceTimeoutMs: isJoin ? 30_000 : -1,
      subscribedTopicNames: [...person.topics],
      topicPartitions: isJoin
        ? []
        : person.has.map(one => ({ ...one, partitions: [...one.partitions] })),
    })
  }

  leave(person: Person): void {
    if (person.epoch > 0) this.send(person, { memberEpoch: -1 })
    person.epoch = 0
    person.has = []
  }

  private send(person: Person, differing: Partial<RequestOf<'ConsumerGroupHeartbeat'>>): void {
    const request = {
      groupId: 'g',
      memberId: person.id,
      memberEpoch: 0,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: -1,
      subscribedTopicNames: null,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: null,
      ...differing,
    }
    const client = { clientId: person.id, clientHost: '/h', connectionId: 1 }
    const common = { ticket: 1, client, apiVersion: 1, newMemberId: '' }
    const response = this.step({ kind: 'consumerHeartbeat', request, ...common })
    if (response === undefined || request.memberEpoch < 0) return
    const error = errorName(response.errorCode)
    if (error === 'UNKNOWN_MEMBER_ID' || error === 'FENCED_MEMBER_EPOCH') {
      person.epoch = 0
      person.has = []
    } else if (error === 'NONE') {
      person.epoch = response.memberEpoch!
      if (response.assignment) person.has = [...response.assignment.topicPartitions] as Owned
    } else assert.equal(error, 'GROUP_MAX_SIZE_REACHED')
  }

  wait(ms: number): void {
    this.nowMs += ms
    if (this.group.nextDeadlineMs() <= this.nowMs) this.step({ kind: 'tick' })
  }

  private step(event: GroupEvent): Response | undefined {
    const effects = this.group.step(event, this.nowMs)
    const records = effects.flatMap(effect => (effect.kind === 'persist' ? effect.records : []))
    if (this.failsNext && records.length > 0) {
      this.failsNext = false
      this.group.step({ kind: 'writeFailed', error: 'MESSAGE_TOO_LARGE' }, this.nowMs)
      return undefined
    }
    this.persisted.push(...records)
    const reply = effects.find(effect => effect.kind === 'reply')
    return reply?.response as Response | undefined
  }

  check(): void {
    const owners = new Map<string, string>()
    for (const { id, has } of this.people) {
      // Who was fenced and does not know it yet has lost what it thinks it has.
      if (!this.group.data.members.has(id)) continue
      for (const { topicId: topic, partitions } of has) {
        for (const partition of partitions) {
          const key = `${topic}-${partition}`
          assert.ok(!owners.has(key), `${key} is held by ${owners.get(key)} and ${id}`)
          owners.set(key, id)
        }
      }
    }
    const again = new ConsumerGroup('g', this.options)
    for (const record of this.persisted) {
      const { key, value } = encodeOffsetsRecord(record)
      again.replay(decodeOffsetsRecord(key, value)!)
    }
    const { members, groupEpoch, assignmentEpoch, patterns } = this.group.data
    assert.deepEqual(again.data.members, members)
    assert.deepEqual(again.data.patterns, patterns)
    assert.deepEqual(
      [again.data.groupEpoch, again.data.assignmentEpoch],
      [groupEpoch, assignmentEpoch],
    )
  }

  settle(): void {
    for (let round = 0; round < 8; round++) for (const person of this.people) this.beat(person)
    assert.equal(this.group.state, 'Stable')
    const owned = this.people.flatMap(one => one.has.flatMap(({ partitions }) => partitions)).length
    const wanted = [...this.group.data.subscriptions()]
    const all = wanted.reduce(
      (sum, name) => sum + this.image.topics.get(name)!.partitions.length,
      0,
    )
    assert.equal(owned, all)
  }
}

const who = fc.nat(4)
const eventArbitrary = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('beat' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('subscribe' as const), who, n: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), who }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      n: fc.integer({ min: 1, max: 50_000 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('grow' as const), n: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const) }) },
)

test('each partition has at most one owner, nobody is stuck, and the log makes the same group', () => {
  const seed = chooseSeed()
  const property = fc.property(fc.array(eventArbitrary, { maxLength: 60 }), events => {
    const world = new World()
    let size = 2
    for (const event of events) {
      if (event.do === 'wait') world.wait(event.n)
      else if (event.do === 'fail') world.failsNext = true
      else if (event.do === 'grow') world.grow((size = Math.max(size, event.n)))
      else {
        const person = world.people[event.who]!
        if (event.do === 'leave') world.leave(person)
        else {
          if (event.do === 'subscribe') person.topics = [['x'], ['y'], ['x', 'y']][event.n]!
          world.beat(person)
        }
      }
      world.check()
    }
    world.failsNext = false
    world.settle()
  })
  fc.assert(property, { seed, numRuns: tier.propertyRuns })
})

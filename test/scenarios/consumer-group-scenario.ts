/**
 * Runs a scenario of a consumer group (KIP-848): as group-scenario.ts, with these lines. The first line of such a text is
 * `consumer group` and the topics there are.
 *
 *   consumer group a=3 b=1                     topics and their partitions; `> topics a=4` changes them
 *   > join alice topics=a,b rebalance=30s      the first heartbeat (v=1); `regex=o.*`, `assignor=range`, `id=` of another
 *   > beat alice owns=a:0,1                    a heartbeat with her epoch; `topics=` changes, `owns=none` has given up all
 *   > leave alice · away alice/i1 (epoch -2) · close alice · commit alice
 *   > wait 10s · fail · restart · set group.consumer.max.size=2
 */
import assert from 'node:assert/strict'
import { ConsumerGroup, type ConsumerGroupOptions } from '../../broker/group/consumer-group.ts'
import type { GroupEffect, GroupEvent } from '../../broker/group/step.ts'
import { TopicPatterns } from '../../broker/group/topic-patterns.ts'
import { type ClusterImage, emptyImage, type TopicImage } from '../../broker/metadata/image.ts'
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { errorName } from '../../protocol/errors.ts'
import {
  decodeOffsetsRecord,
  encodeOffsetsRecord,
  type OffsetsRecordInput,
} from '../../protocol/messages/offsets-topic.ts'
import { milliseconds } from './group-scenario.ts'

type Words = Readonly<Record<string, string>>
type Response = ResponseInput<'ConsumerGroupHeartbeat'>

interface Person {
  readonly id: string
  readonly instance: string | null
  readonly connectionId: number
  epoch: number
}

const STATES = ['STABLE', 'UNREVOKED_PARTITIONS', 'UNRELEASED_PARTITIONS']

export class ConsumerGroupScenario {
  private readonly settings: Record<string, unknown> = {
    groupConsumerAssignors: ['uniform', 'range'],
    groupConsumerHeartbeatIntervalMs: 5000,
    groupConsumerMaxSize: 100,
    groupConsumerSessionTimeoutMs: 45_000,
    groupDropOnDisconnectMs: -1,
  }
  private image: ClusterImage = emptyImage('c')
  private readonly patterns = new TopicPatterns()
  private group = this.make()
  private nowMs = 1_000_000
  private readonly people = new Map<string, Person>()
  private readonly asked = new Map<number, Person>()
  private persisted: OffsetsRecordInput[] = []
  private nextTicket = 1
  private failsNext = false

  /** The whole text with the results of this run. */
  static rewrite(text: string): string {
    const scenario = new ConsumerGroupScenario()
    const lines: string[] = []
    for (const line of text.split('\n')) {
      if (line.startsWith('  ')) continue
      lines.push(line)
      if (line.startsWith('consumer group')) scenario.setTopics(wordsOf(line.split(' ')))
      if (line.startsWith('> ')) lines.push(...scenario.run(line.slice(2)).map(one => `  ${one}`))
    }
    return lines.join('\n')
  }

  private make(): ConsumerGroup {
    const settings = this.settings as unknown as ConsumerGroupOptions['settings']
    return new ConsumerGroup('g', { settings, image: () => this.image, patterns: this.patterns })
  }

  private setTopics(words: Words): void {
    const topics = new Map<string, TopicImage>()
    for (const [name, count] of Object.entries(words)) {
      const partitions = Array.from({ length: Number(count) }, () => ({
        leader: 1,
        leaderEpoch: 0,
        partitionEpoch: 0,
        replicas: [1],
        isr: [1],
      }))
      topics.set(name, { name, id: idOf(name), partitions, configs: {}, isInternal: false })
    }
    this.image = { ...this.image, revision: this.image.revision + 1, topics }
  }

  private run(line: string): string[] {
    const [verb = '', ...rest] = line.split('#')[0]!.trim().split(/\s+/)
    const words = wordsOf(rest)
    const name = rest.find(one => !one.includes('=')) ?? ''
    switch (verb) {
      case 'wait':
        return this.wait(milliseconds(name))
      case 'restart':
        return this.restart()
      case 'fail':
        this.failsNext = true
        return []
      case 'topics':
        this.setTopics(words)
        return this.step({ kind: 'topicsChanged' })
      case 'set':
        for (const [key, value] of Object.entries(words)) {
          this.settings[key.replace(/\.(.)/g, (_, c: string) => c.toUpperCase())] = Number(value)
        }
        return []
      case 'close':
        return this.step({ kind: 'disconnected', connectionId: this.person(name).connectionId })
      case 'explain':
        return [this.group.explain(this.nowMs)]
      case 'commit': {
        const { id: memberId, epoch } = this.person(name)
        const generationIdOrMemberEpoch = Number(words['epoch'] ?? epoch)
        const client = { memberId, groupInstanceId: null, generationIdOrMemberEpoch, apiVersion: 9 }
        return [`commit: ${this.group.checkCommit(client) ?? 'NONE'}`]
      }
      default:
        return this.heartbeat(verb, name, words)
    }
  }

  private person(name: string, id?: string): Person {
    let person = this.people.get(name)
    if (person === undefined || (id !== undefined && person.id !== id)) {
      const instance = name.split('/')[1] ?? null
      const connectionId = this.people.size + 1
      person = { id: id ?? name.split('/')[0]!, instance, connectionId, epoch: 0 }
      this.people.set(name, person)
    }
    return person
  }

  private heartbeat(verb: string, name: string, words: Words): string[] {
    const person = this.person(name, words['id'])
    const epochs: Record<string, number> = { join: 0, beat: person.epoch, leave: -1, away: -2 }
    const epoch = epochs[verb] ?? assert.fail(`a scenario has no '${verb}'`)
    const isJoin = verb === 'join'
    const given = (word: string | undefined) => (word === 'none' ? [] : (word?.split(',') ?? null))
    const request: RequestOf<'ConsumerGroupHeartbeat'> = {
      groupId: 'g',
      memberId: person.id,
      memberEpoch: Number(words['epoch'] ?? epoch),
      instanceId: person.instance,
      rackId: null,
      rebalanceTimeoutMs: isJoin ? milliseconds(words['rebalance'] ?? '60s') : -1,
      subscribedTopicNames: given(words['topics']),
      subscribedTopicRegex: words['regex'] ?? null,
      serverAssignor: words['assignor'] ?? null,
      topicPartitions: isJoin ? [] : ownedOf(words['owns']),
    }
    const ticket = this.nextTicket++
    this.asked.set(ticket, person)
    const { connectionId } = person
    const client = { clientId: name.split('/')[0]!, clientHost: '/10.0.0.1', connectionId }
    const event = { kind: 'consumerHeartbeat', ticket, client, apiVersion: 1, request } as const
    return this.step({ ...event, newMemberId: '' })
  }

  private wait(ms: number): string[] {
    const endMs = this.nowMs + ms
    const lines: string[] = []
    for (let ticks = 0; this.group.nextDeadlineMs() <= endMs; ticks++) {
      assert.ok(ticks < 1000, 'the group ticks without end')
      this.nowMs = Math.max(this.nowMs, this.group.nextDeadlineMs())
      const at = `after ${(ms - (endMs - this.nowMs)) / 1000}s`
      lines.push(...this.step({ kind: 'tick' }, false).map(line => `${at}: ${line}`))
    }
    this.nowMs = endMs
    return [...lines, this.where()]
  }

  private restart(): string[] {
    const before = this.group.data
    this.group = this.make()
    for (const record of this.persisted) {
      const { key, value } = encodeOffsetsRecord(record)
      this.group.replay(decodeOffsetsRecord(key, value)!)
    }
    assert.deepEqual(this.group.data.members, before.members)
    const lines = this.group.loaded(this.nowMs).flatMap(effect => this.told(effect))
    return [...lines, this.where()]
  }

  private step(event: GroupEvent, withState = true): string[] {
    const effects = this.group.step(event, this.nowMs)
    const records = effects.flatMap(effect => (effect.kind === 'persist' ? effect.records : []))
    const lines: string[] = []
    if (this.failsNext && records.length > 0) {
      this.failsNext = false
      lines.push('not persisted')
      lines.push(...this.step({ kind: 'writeFailed', error: 'MESSAGE_TOO_LARGE' }, false))
    } else {
      this.persisted.push(...records)
      lines.push(...effects.flatMap(effect => this.told(effect)))
    }
    return withState ? [...lines, this.where()] : lines
  }

  private where(): string {
    const { state, data } = this.group
    const members = [...data.members.values()].map(member => {
      const { memberId, memberEpoch, assigned, pendingRevocation } = member
      const gives = pendingRevocation.size === 0 ? '' : ` gives ${shown(pendingRevocation)}`
      const note = member.state === 0 ? '' : ` ${STATES[member.state]}`
      return `${memberId}@${memberEpoch} ${shown(assigned)}${gives}${note}`
    })
    return `${state}, epoch ${data.groupEpoch}${members.map(one => `; ${one}`).join('')}`
  }

  private told(effect: GroupEffect): string[] {
    switch (effect.kind) {
      case 'reply': {
        const person = this.asked.get(effect.ticket)!
        this.asked.delete(effect.ticket)
        return [`${person.id}: ${answer(person, effect.response as Response)}`]
      }
      case 'rebalance':
        return [`rebalance, ${effect.cause}: ${effect.detail}`]
      default:
        return []
    }
  }
}

function answer(person: Person, response: Response): string {
  const error = errorName(response.errorCode)
  if (error !== 'NONE') return `${error} ${response.errorMessage}`
  person.epoch = response.memberEpoch!
  if (response.assignment === null || response.assignment === undefined)
    return `epoch ${person.epoch}`
  const partitions = response.assignment.topicPartitions.map(
    one => [one.topicId, new Set(one.partitions)] as const,
  )
  return `epoch ${person.epoch}, has ${shown(new Map(partitions))}`
}

function shown(
  owned: ReadonlyMap<string, ReadonlySet<number> | ReadonlyMap<number, number>>,
): string {
  if (owned.size === 0) return 'nothing'
  const topics = [...owned].map(
    ([id, partitions]) => `${nameOf(id)}:${[...partitions.keys()].sort()}`,
  )
  return topics.sort().join(' ')
}

/** A name as a topic id: its letters, padded to the 22 characters of a UUID in base64url. */
const idOf = (name: string) => `${name}_`.padEnd(22, 'A')
const nameOf = (id: string) => id.slice(0, id.indexOf('_'))

/** `a:0,1;b:2` */
function ownedOf(text: string | undefined) {
  if (text === undefined) return null
  if (text === 'none') return []
  return text.split(';').map(one => {
    const [name = '', partitions = ''] = one.split(':')
    return { topicId: idOf(name), partitions: partitions.split(',').map(Number) }
  })
}

function wordsOf(rest: readonly string[]): Record<string, string> {
  const words: Record<string, string> = {}
  for (const word of rest.filter(one => one.includes('='))) {
    const at = word.indexOf('=')
    words[word.slice(0, at)] = word.slice(at + 1)
  }
  return words
}

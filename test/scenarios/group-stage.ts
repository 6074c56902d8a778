/** Plays a scenario (script.ts) with a group in this process, in time that passes only when the text says so. */
import assert from 'node:assert/strict'
import { consumerGroupDescribe } from '../../broker/api/consumer-group-describe.ts'
import { describeGroups } from '../../broker/api/describe-groups.ts'
import type { Broker } from '../../broker/broker.ts'
import type { RequestContext } from '../../broker/context.ts'
import { ConsumerGroup, type ConsumerGroupOptions } from '../../broker/group/consumer-group.ts'
import { ClassicGroup } from '../../broker/group/group.ts'
import type { GroupMakers } from '../../broker/group/group-kind.ts'
import type { Group, GroupEffect, GroupEvent } from '../../broker/group/step.ts'
import { saysWhichProtocol } from '../../broker/group/syncing.ts'
import { TopicPatterns } from '../../broker/group/topic-patterns.ts'
import { type ClusterImage, emptyImage, type TopicImage } from '../../broker/metadata/image.ts'
import type { OffsetsRecordInput } from '../../protocol/messages/offsets-topic.ts'
import { answered, classicDescribed, consumersDescribed } from './described.ts'
import { GroupSeat } from './group-seat.ts'
import {
  type Line,
  milliseconds,
  parseLine,
  type Request,
  Script,
  shownAssignment,
  shownPartitions,
  type Words,
  wordsOf,
} from './script.ts'

const START_MS = 1_000_000
const STATES = ['STABLE', 'UNREVOKED_PARTITIONS', 'UNRELEASED_PARTITIONS']

type Settings = ConsumerGroupOptions['settings'] & Record<string, unknown>

export class GroupStage {
  private readonly script = new Script('g')
  private readonly settings: Settings = {
    groupConsumerAssignors: ['uniform', 'range'],
    groupConsumerMaxSize: 100,
    groupConsumerMigrationPolicy: 'bidirectional',
    groupMinSessionTimeoutMs: 1000,
    groupMaxSessionTimeoutMs: 60_000,
    groupMaxSize: 100,
    groupInitialRebalanceDelayMs: 0,
    groupDropOnDisconnectMs: -1,
    sessionTimeoutMs: 45_000,
    heartbeatIntervalMs: 5000,
    assignmentIntervalMs: 0,
  }
  private image: ClusterImage = emptyImage('c')
  private readonly makers: GroupMakers = {
    classic: this.settings,
    consumer: {
      settings: this.settings,
      timing: () => this.settings as never,
      image: () => this.image,
      patterns: new TopicPatterns(),
    },
  }
  private readonly seat = new GroupSeat(this.makers)
  private nowMs = START_MS
  private readonly asked = new Map<number, Request>()
  private nextTicket = 1

  private get group(): Group {
    return this.seat.group
  }

  /** The whole text with the results of this run. */
  static rewrite(text: string): string {
    const stage = new GroupStage()
    const lines: string[] = []
    for (const line of text.split('\n')) {
      if (line.startsWith('  ')) continue
      lines.push(line)
      if (line.startsWith('consumer group')) stage.begin(wordsOf(line.split(' ')))
      if (!line.startsWith('> ')) continue
      lines.push(...stage.run(parseLine(line.slice(2))).map(result => `  ${result}`))
    }
    return lines.join('\n')
  }

  private begin(topics: Words): void {
    this.script.isConsumer = true
    this.setTopics(topics)
  }

  private setTopics(words: Words): void {
    const topics = new Map<string, TopicImage>()
    const topicsById = new Map<string, TopicImage>()
    const one = { leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1], isr: [1] }
    for (const [name, count] of Object.entries(words)) {
      // A name as a topic id: its letters, padded to the 22 characters of a UUID in base64url.
      const id = `${name}_`.padEnd(22, 'A')
      const partitions = Array.from({ length: Number(count) }, () => one)
      const topic = { name, id, partitions, configs: {}, isInternal: false }
      this.script.topicIds.set(name, id)
      topics.set(name, topic)
      topicsById.set(id, topic)
    }
    this.image = { ...this.image, revision: this.image.revision + 1, topics, topicsById }
  }

  private run(line: Line): string[] {
    const { verb, names, words } = line
    const [name = ''] = names
    switch (verb) {
      case 'wait':
        return this.wait(milliseconds(name))
      case 'restart':
        return this.restart()
      case 'fail':
        this.seat.failsNext = true
        return []
      case 'topics':
        this.setTopics(words)
        return this.step({ kind: 'topicsChanged' })
      case 'set':
        for (const [key, value] of Object.entries(words)) this.set(key, value)
        return []
      case 'close': {
        const { connectionId } = this.script.person(name)
        return this.step({ kind: 'disconnected', connectionId })
      }
      case 'explain':
        return [this.group.explain(this.nowMs)]
      case 'describe':
        return name === 'classic' ? this.describeClassic() : this.describeConsumers()
    }
    const request = this.script.requestOf(line) ?? assert.fail(`a scenario has no '${verb}'`)
    return request.api === 'OffsetCommit' ? [this.commit(request.request)] : this.ask(request)
  }

  private set(name: string, value: string): void {
    const key = name.replace(/^consumer\./, '').replace(/\.(.)/g, (_, c: string) => c.toUpperCase())
    ;(this.settings as Record<string, unknown>)[key] = /^-?\d+$/.test(value) ? Number(value) : value
  }

  /** The handlers of the two describing APIs, with all of a broker that they look at. */
  private get broker(): Broker {
    const { group } = this
    const isThere = !group.isIdle || group.protocolType !== ''
    const groups = { find: () => (isThere ? { group } : undefined), nowMs: () => this.nowMs }
    return { groups, image: this.image } as unknown as Broker
  }

  private describeConsumers(): string[] {
    const request = { groupIds: ['g'], includeAuthorizedOperations: true }
    const context = { apiVersion: 1, countError: () => {} } as unknown as RequestContext
    const answer = consumerGroupDescribe(this.broker, request, context)
    const { groups } = answered('ConsumerGroupDescribe', answer as never)
    return consumersDescribed(groups[0]!)
  }

  private describeClassic(): string[] {
    const request = { groups: ['g'], includeAuthorizedOperations: true }
    const context = { apiVersion: 6, countError: () => {} } as unknown as RequestContext
    const answer = describeGroups(this.broker, request, context)
    const { groups } = answered('DescribeGroups', answer as never)
    return classicDescribed(groups[0]!, this.script.isConsumer)
  }

  private commit(request: Extract<Request, { api: 'OffsetCommit' }>['request']): string {
    const apiVersion = this.script.isConsumer ? 9 : 8
    const partitions = request.topics.flatMap(({ name, partitions: some }) =>
      some.map(({ partitionIndex }) => ({ topic: name, partition: partitionIndex })),
    )
    const error = this.group.checkCommit({ ...request, apiVersion }, this.nowMs, partitions)
    return `commit: ${error ?? 'NONE'}`
  }

  private ask(request: Request): string[] {
    const { person, version: apiVersion } = request
    if (this.isMissingFor(request)) {
      return [`${person.name.split('/')[0]}: GROUP_ID_NOT_FOUND Consumer group g not found.`]
    }
    if (request.api === 'SyncGroup' && !saysWhichProtocol(request.request, apiVersion)) {
      return [`${person.name}: INCONSISTENT_GROUP_PROTOCOL`]
    }
    const ticket = this.nextTicket++
    this.asked.set(ticket, request)
    const clientId = person.name.split('/')[0]!
    const { connectionId } = person
    const client = { clientId, clientHost: '/10.0.0.1', connectionId }
    const newMemberId = `${clientId}-${this.script.given}`
    const base = { ticket, client, apiVersion, newMemberId }
    const kinds = {
      JoinGroup: 'join',
      SyncGroup: 'sync',
      Heartbeat: 'heartbeat',
      LeaveGroup: 'leave',
      ConsumerGroupHeartbeat: 'consumerHeartbeat',
      OffsetCommit: 'commit',
    } as const
    const event = { kind: kinds[request.api], ...base, request: request.request } as GroupEvent
    return this.step(event)
  }

  /** A coordinator makes a group only for who joins. */
  private isMissingFor({ api, request }: Request): boolean {
    const { isIdle, protocolType } = this.group
    return (
      api === 'ConsumerGroupHeartbeat' && request.memberEpoch !== 0 && isIdle && protocolType === ''
    )
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
    const before = this.group
    const [wasThere, isOfClassic] = [this.where(), before instanceof ClassicGroup]
    this.seat.group = this.seat.replayed()
    if (before instanceof ConsumerGroup && this.group instanceof ConsumerGroup) {
      assert.deepEqual(this.group.data.members, before.data.members)
    }
    const lines = this.group.loaded(this.nowMs).flatMap(effect => this.told(effect))
    return [...lines, isOfClassic ? `${wasThere} before, ${this.where()} after` : this.where()]
  }

  private step(event: GroupEvent, withState = true): string[] {
    const lines: string[] = []
    for (const { effects, records, isKept } of this.seat.step(event, this.nowMs)) {
      if (!isKept) {
        lines.push('not persisted')
        continue
      }
      const isNewKind = effects.some(({ kind }) => kind === 'become')
      if (isNewKind) lines.push(`persisted: ${records.map(shortRecord).join(', ')}`)
      const told = effects.filter(({ kind }) => !isNewKind || kind !== 'persist')
      lines.push(...told.flatMap(effect => this.told(effect)))
    }
    return withState ? [...lines, this.where()] : lines
  }

  private where(): string {
    const { group } = this
    if (group instanceof ClassicGroup) {
      const members = `${group.members.size} member(s)`
      return `${group.state}, generation ${group.generation}, ${members}`
    }
    const { state, data } = group as ConsumerGroup
    const members = [...data.members.values()].map(member => {
      const { memberId, memberEpoch, assigned, pendingRevocation, classic } = member
      const gives = pendingRevocation.size === 0 ? '' : ` gives ${this.shown(pendingRevocation)}`
      const note = member.state === 0 ? '' : ` ${STATES[member.state]}`
      const kind = classic === null ? '' : ' (classic)'
      return `${memberId}@${memberEpoch}${kind} ${this.shown(assigned)}${gives}${note}`
    })
    return `${state}, epoch ${data.groupEpoch}${members.map(one => `; ${one}`).join('')}`
  }

  private shown(owned: ReadonlyMap<string, ReadonlyMap<number, number>>): string {
    const list = [...owned].map(([id, partitions]) => ({
      topic: this.script.topicName(id),
      partitions: partitions.keys(),
    }))
    return shownPartitions(list)
  }

  private told(effect: GroupEffect): string[] {
    switch (effect.kind) {
      case 'reply': {
        const request = this.asked.get(effect.ticket)!
        this.asked.delete(effect.ticket)
        const isConsumer = request.api === 'ConsumerGroupHeartbeat'
        const who = isConsumer ? request.request.memberId : request.person.name
        const response = effect.response as unknown as Record<string, unknown>
        return [`${who}: ${this.script.told(request, response)}`]
      }
      case 'persist':
        return effect.records.flatMap(record => this.persistedLine(record))
      case 'rebalance':
        return [`rebalance, ${effect.cause}: ${effect.detail}`]
      case 'log':
        return effect.level === 'warn' ? [`log: ${effect.event}`] : []
      case 'end':
        return ['end']
      case 'become':
        return [`the group is of the ${effect.group.type.toLowerCase()} protocol now`]
    }
  }

  /** Those of a consumer group are told by its state. */
  private persistedLine(record: OffsetsRecordInput): string[] {
    if (record.name !== 'GroupMetadata') return []
    const { value } = record
    if (value === null) return ['persisted: tombstone']
    const shown = (bytes: Uint8Array) =>
      this.script.isConsumer ? shownAssignment(bytes as Buffer) : `'${bytes}'`
    const members = value.members.map(one => `${one.memberId} ${shown(one.assignment)}`).join(', ')
    const { generation, protocol } = value
    return [`persisted: generation ${generation}, ${protocol}, ${members || 'no members'}`]
  }
}

/** The kind of a record and its member; a tombstone has a minus. */
function shortRecord({ name, key, value }: OffsetsRecordInput): string {
  const member = 'memberId' in key ? ` ${key.memberId}` : ''
  return `${value === null ? '-' : ''}${name}${member}`
}

/**
 * Scenarios of groups: text that a person can read. A line with '>' is what happens, the indented lines below it are what comes
 * of it; `UPDATE=1` writes those anew, to be reviewed as a diff. This file knows the language: which request a line stands
 * for, and how an answer is told. Who plays it is a group in this process (group-stage.ts) or any broker (wire-stage.ts).
 *
 * Members of the classic protocol:
 *
 *   > join alice protocols=range session=10s   alice sends JoinGroup (v=9 unless said), with the member id she knows
 *   > sync alice bob=1,2                        SyncGroup; what follows are the shares she hands out
 *   > beat alice · leave alice · leave alice,bob · commit alice · close alice (her connection)
 *
 * Members of the consumer protocol (KIP-848), in texts whose first line is `consumer group` and the topics there are; in those,
 * a member is of the classic protocol if it joins with `protocols=`, and then embeds `topics=` and `owns=`:
 *
 *   consumer group a=3 b=1                     topics and their partitions; `> topics a=4` changes them
 *   > join alice topics=a,b rebalance=30s      the first heartbeat (v=1); `regex=o.*`, `assignor=range`, `rack=`, `id=` of another
 *   > beat alice owns=a:0,1                    a heartbeat with her epoch; `topics=` changes, `owns=none` has given up all
 *   > leave alice · away alice/i1 (epoch -2) · close alice · commit alice a:0
 *
 * Both:
 *
 *   > wait 10s                                  time passes, deadlines are met
 *   > restart                                   the group is made anew from what was persisted
 *   > fail                                      what the next step persists is refused
 *   > explain                                   what the group waits for, in words
 *   > describe                                  what ConsumerGroupDescribe says of it; `describe classic`: DescribeGroups
 *   > set group.max.size=2
 *
 * A name may be followed by a static id: `join alice/i1`. `as=bob` uses another's member id, `gen=3` another generation,
 * `epoch=3` another epoch.
 *
 *   # Kafka answers: bob: epoch 2               where Apache Kafka 4.3.1 answers the step above otherwise, and why
 *   # Not against Kafka: why                  the steps after this are not compared
 */
import assert from 'node:assert/strict'
import type { RequestOf } from '../../protocol/apis.ts'
import { Writer } from '../../protocol/buffer.ts'
import { errorName } from '../../protocol/errors.ts'
import { readAssignment, writeAssignment } from '../../protocol/messages/consumer-protocol.ts'

export type Words = Readonly<Record<string, string>>

export interface Person {
  /** With the static id, if there is one. */
  readonly name: string
  readonly instance: string | null
  readonly connectionId: number
  speaks: 'classic' | 'consumer'
  id: string
  generation: number
  epoch: number
}

export interface Line {
  readonly verb: string
  /** The words without '='. */
  readonly names: readonly string[]
  readonly words: Words
}

type Asked = {
  readonly [N in GroupApi]: { readonly api: N; readonly request: RequestOf<N> }
}[GroupApi]
export type GroupApi =
  | 'JoinGroup'
  | 'SyncGroup'
  | 'Heartbeat'
  | 'LeaveGroup'
  | 'ConsumerGroupHeartbeat'
  | 'OffsetCommit'
/** What a line asks of a broker. */
export type Request = Asked & {
  readonly person: Person
  readonly verb: string
  readonly version: number
}

export function parseLine(text: string): Line {
  const [verb = '', ...rest] = text.split('#')[0]!.trim().split(/\s+/)
  return { verb, names: rest.filter(one => !one.includes('=')), words: wordsOf(rest) }
}

export function wordsOf(rest: readonly string[]): Record<string, string> {
  const words: Record<string, string> = {}
  for (const word of rest.filter(one => one.includes('='))) {
    const at = word.indexOf('=')
    words[word.slice(0, at)] = word.slice(at + 1)
  }
  return words
}

/** `10s`, `500ms` or `2m` */
export function milliseconds(text: string): number {
  const [, number = '', unit] = /^(-?[\d.]+)(ms|s|m)$/.exec(text) ?? assert.fail(`'${text}'`)
  return Number(number) * { ms: 1, s: 1000, m: 60_000 }[unit as 'ms' | 's' | 'm']
}

/** `a:0,1;b:2` */
export function partitionsOf(text: string) {
  if (text === 'none') return []
  return text.split(';').map(one => {
    const [topic = '', partitions = ''] = one.split(':')
    return { topic, partitions: partitions.split(',').map(Number) }
  })
}

/** `a:0,1 b:2` */
export function shownPartitions(
  list: readonly { readonly topic: string; readonly partitions: Iterable<number> }[],
): string {
  const topics = list.map(({ topic, partitions }) => `${topic}:${[...partitions].sort()}`)
  return topics.length === 0 ? 'nothing' : topics.sort().join(' ')
}

/** The people of a scenario, what they ask and what they hear. */
export class Script {
  readonly groupId: string
  /** In ms for each ms of the text. */
  readonly pace: number
  readonly topicIds = new Map<string, string>()
  /** Whether the text is about topics that are there, so that what members say must be understood. */
  isConsumer = false
  readonly people = new Map<string, Person>()
  given = 0

  constructor(groupId: string, pace = 1) {
    this.groupId = groupId
    this.pace = pace
  }

  person(name: string): Person {
    let person = this.people.get(name)
    if (person === undefined) {
      const [plain = '', instance = null] = name.split('/')
      const speaks = this.isConsumer ? 'consumer' : 'classic'
      const id = this.isConsumer ? plain : ''
      const connectionId = this.people.size + 1
      person = { name, instance, connectionId, speaks, id, generation: -1, epoch: 0 }
      this.people.set(name, person)
    }
    return person
  }

  topicName(id: string): string {
    for (const [name, other] of this.topicIds) if (other === id) return name
    return id
  }

  /** What the line asks; null if it is not a request. */
  requestOf({ verb, names: [name = '', ...more], words }: Line): Request | null {
    const person = this.person(name.split(',')[0]!)
    if (verb === 'join' && words['protocols'] !== undefined && person.speaks === 'consumer') {
      Object.assign(person, { speaks: 'classic', id: '' })
    } else if (verb === 'join' && words['id'] !== undefined) {
      Object.assign(person, { speaks: 'consumer', id: words['id'] })
    }
    if (verb === 'commit') return this.commit(person, words, more[0] ?? 'a:0')
    if (person.speaks === 'classic') return this.classic(verb, name, words)
    const isKnown = ['join', 'beat', 'leave', 'away'].includes(verb)
    return isKnown ? this.consumer(verb, person, words) : null
  }

  private classic(verb: string, name: string, words: Words): Request | null {
    const person = this.person(name.split(',')[0]!)
    const memberId = words['as'] === undefined ? person.id : this.idOf(words['as'])
    const generationId = Number(words['gen'] ?? person.generation)
    const common = { groupId: this.groupId, memberId, groupInstanceId: person.instance }
    const base = { person, verb, version: Number(words['v'] ?? defaultVersions[verb] ?? 9) }
    switch (verb) {
      case 'join': {
        const request = {
          ...common,
          rebalanceTimeoutMs: this.ms(words['rebalance'] ?? '60s'),
          sessionTimeoutMs: this.ms(words['session'] ?? '10s'),
          protocols: this.protocolsOf(words),
          reason: words['reason'] ?? null,
          protocolType: words['type'] ?? 'consumer',
        }
        this.given++
        return { ...base, api: 'JoinGroup', request }
      }
      case 'sync': {
        const shares = Object.entries(words).filter(([key]) => this.people.has(key))
        const assignments = shares.map(([key, value]) => ({
          memberId: this.person(key).id,
          assignment: this.isConsumer ? share(value) : Buffer.from(value),
        }))
        const protocolName = words['protocol'] ?? null
        // From version 5 on both are to be said.
        const protocolType = protocolName === null ? null : 'consumer'
        const version = Number(words['v'] ?? (protocolName === null ? 4 : 5))
        const request = { ...common, generationId, protocolType, protocolName, assignments }
        return { ...base, version, api: 'SyncGroup', request }
      }
      case 'beat':
        return { ...base, api: 'Heartbeat', request: { ...common, generationId } }
      case 'leave': {
        const members = name.split(',').map(one => ({
          memberId: words['by'] === 'instance' ? '' : this.person(one).id,
          groupInstanceId: this.person(one).instance,
          reason: words['reason'] ?? null,
        }))
        const request = { groupId: this.groupId, memberId, members }
        return { ...base, api: 'LeaveGroup', request }
      }
      default:
        return null
    }
  }

  private consumer(verb: string, person: Person, words: Words): Request {
    const epochs: Record<string, number> = { join: 0, beat: person.epoch, leave: -1, away: -2 }
    const isJoin = verb === 'join'
    const listed = (word: string | undefined) => (word === 'none' ? [] : (word?.split(',') ?? null))
    const owned = words['owns']
    const request: RequestOf<'ConsumerGroupHeartbeat'> = {
      groupId: this.groupId,
      memberId: words['id'] ?? person.id,
      memberEpoch: Number(words['epoch'] ?? epochs[verb]),
      instanceId: person.instance,
      rackId: words['rack'] ?? null,
      rebalanceTimeoutMs: isJoin ? this.ms(words['rebalance'] ?? '60s') : -1,
      subscribedTopicNames: listed(words['topics']),
      subscribedTopicRegex: words['regex'] ?? null,
      serverAssignor: words['assignor'] ?? null,
      topicPartitions: isJoin ? [] : owned === undefined ? null : this.withIds(owned),
    }
    return { person, verb, version: 1, api: 'ConsumerGroupHeartbeat', request }
  }

  private withIds(owned: string) {
    return partitionsOf(owned).map(({ topic, partitions }) => ({
      topicId: this.topicIds.get(topic) ?? assert.fail(`there is no topic '${topic}'`),
      partitions,
    }))
  }

  private commit(person: Person, words: Words, partition: string): Request {
    const isClassic = person.speaks === 'classic'
    const epoch = isClassic ? (words['gen'] ?? person.generation) : (words['epoch'] ?? person.epoch)
    const version = Number(words['v'] ?? (isClassic ? 8 : 9))
    const request = {
      groupId: this.groupId,
      generationIdOrMemberEpoch: Number(epoch),
      memberId: words['as'] ?? person.id,
      groupInstanceId: person.instance,
      retentionTimeMs: -1,
      topics: partitionsOf(partition).map(({ topic, partitions }) => ({
        name: topic,
        topicId: '',
        partitions: partitions.map(partitionIndex => ({
          partitionIndex,
          committedOffset: 1,
          committedLeaderEpoch: -1,
          commitTimestamp: -1,
          committedMetadata: '',
        })),
      })),
    }
    return { person, verb: 'commit', version, api: 'OffsetCommit', request }
  }

  private idOf(name: string): string {
    return name === 'nobody' ? '' : (this.people.get(name)?.id ?? name)
  }

  private ms(text: string): number {
    return Math.round(milliseconds(text) * this.pace)
  }

  /** `range,sticky:metadata`; with topics each protocol says those. */
  private protocolsOf(words: Words) {
    return (words['protocols'] ?? 'range').split(',').map(one => {
      const [name = '', metadata = ''] = one.split(':')
      if (!this.isConsumer) return { name, metadata: Buffer.from(metadata) }
      const owned = partitionsOf(words['owns'] ?? 'none')
      return { name, metadata: subscription(words['topics']?.split(',') ?? [], owned) }
    })
  }

  /** An answer in words; the person remembers what it must. */
  told(request: Request, response: Record<string, unknown>): string {
    const { person, verb } = request
    const error = errorName((response['errorCode'] as number | undefined) ?? 0)
    if (request.api === 'OffsetCommit') return commitErrors(response).join(' ')
    if (request.api === 'LeaveGroup' && request.version >= 3) {
      const members = response['members'] as readonly { errorCode: number }[] | undefined
      return `left: ${[error, ...(members ?? []).map(one => errorName(one.errorCode))].join(' ')}`
    }
    if (request.api === 'ConsumerGroupHeartbeat') return this.heartbeatTold(request, response)
    if (error !== 'NONE') {
      if (error === 'MEMBER_ID_REQUIRED') person.id = response['memberId'] as string
      return error
    }
    if (verb === 'join') return this.joinTold(person, response as unknown as Joined)
    if (verb !== 'sync') return 'NONE'
    const assignment = response['assignment'] as Buffer
    if (!this.isConsumer) return `gets '${assignment}'`
    return `gets ${shownAssignment(assignment)}`
  }

  private joinTold(person: Person, response: Joined): string {
    person.id = response.memberId
    person.generation = response.generationId
    const said = (metadata: Buffer) => (this.isConsumer ? '' : ` '${metadata}'`)
    const members = response.members.map(one => `${one.memberId}${said(one.metadata)}`).join(', ')
    const others = response.leader === '' ? 'led by nobody' : `led by ${response.leader}`
    const role = members === '' ? others : `leading ${members}`
    const skips = response.skipAssignment === true ? ', assignment skipped' : ''
    return `${person.id} in generation ${person.generation}, ${response.protocolName}, ${role}${skips}`
  }

  private heartbeatTold({ person }: Request, response: Record<string, unknown>): string {
    const error = errorName(response['errorCode'] as number)
    if (error !== 'NONE') return `${error} ${response['errorMessage']}`
    person.epoch = response['memberEpoch'] as number
    const assignment = response['assignment'] as Assigned | null | undefined
    if (assignment === null || assignment === undefined) return `epoch ${person.epoch}`
    const has = assignment.topicPartitions.map(({ topicId, partitions }) => ({
      topic: this.topicName(topicId),
      partitions,
    }))
    return `epoch ${person.epoch}, has ${shownPartitions(has)}`
  }
}

interface Joined {
  readonly memberId: string
  readonly generationId: number
  readonly protocolName: string | null
  readonly leader: string
  readonly skipAssignment?: boolean
  readonly members: readonly { readonly memberId: string; readonly metadata: Buffer }[]
}

interface Assigned {
  readonly topicPartitions: readonly {
    readonly topicId: string
    readonly partitions: readonly number[]
  }[]
}

const defaultVersions: Readonly<Record<string, number>> = { beat: 4, leave: 5 }

function commitErrors(response: Record<string, unknown>): string[] {
  const topics = response['topics'] as readonly {
    readonly partitions: readonly { readonly errorCode: number }[]
  }[]
  const errors = topics.flatMap(one => one.partitions.map(({ errorCode }) => errorName(errorCode)))
  return [...new Set(errors)]
}

export function shownAssignment(bytes: Buffer): string {
  return bytes.length === 0 ? 'nothing' : shownPartitions(readAssignment(bytes)!)
}

const share = (text: string) => writeAssignment(partitionsOf(text), Buffer.from([0, 1]))

/** ConsumerProtocolSubscription, version 1. */
export function subscription(
  topics: readonly string[],
  owned: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
): Buffer {
  const writer = new Writer()
  const text = (one: string) => {
    writer.int16(Buffer.byteLength(one))
    for (const byte of Buffer.from(one)) writer.int8(byte)
  }
  writer.int16(1)
  writer.int32(topics.length)
  topics.forEach(text)
  writer.int32(-1)
  writer.int32(owned.length)
  for (const { topic, partitions } of owned) {
    text(topic)
    writer.int32(partitions.length)
    for (const partition of partitions) writer.int32(partition)
  }
  return Buffer.from(writer.bytes())
}

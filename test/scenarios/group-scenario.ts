/**
 * Runs a scenario of a classic group: text that a person can read. A line with '>' is what happens, the indented lines below it
 * are what comes of it; `UPDATE=1` writes those anew, to be reviewed as a diff.
 *
 *   > join alice protocols=range session=10s   alice sends JoinGroup (v=9 unless said), with the member id she knows
 *   > sync alice bob=1,2                        SyncGroup; what follows are the shares she hands out
 *   > beat alice · leave alice · leave alice,bob · commit alice · close alice (her connection)
 *   > wait 10s                                  time passes, deadlines are met
 *   > restart                                   the group is made anew from what was persisted
 *   > fail                                      what the next step persists is refused
 *   > set group.max.size=2
 *
 * A name may be followed by a static id: `join alice/i1`. `as=bob` uses another's member id, `gen=3` another generation.
 */
import assert from 'node:assert/strict'
import { ClassicGroup, type GroupSettings } from '../../broker/group/group.ts'
import type { GroupEffect, GroupEvent, GroupResponse } from '../../broker/group/step.ts'
import { errorName } from '../../protocol/errors.ts'
import {
  decodeOffsetsRecord,
  encodeOffsetsRecord,
  type OffsetsRecordInput,
} from '../../protocol/messages/offsets-topic.ts'

type Words = Readonly<Record<string, string>>

interface Person {
  id: string
  generation: number
  readonly instance: string | null
  readonly connectionId: number
}

interface Asked {
  readonly who: string
  readonly what: string
}

const START_MS = 1_000_000

export class GroupScenario {
  private settings: Record<string, number> = {
    groupMinSessionTimeoutMs: 1000,
    groupMaxSessionTimeoutMs: 60_000,
    groupMaxSize: 100,
    groupInitialRebalanceDelayMs: 0,
    groupDropOnDisconnectMs: -1,
  }
  private group = this.make()
  private nowMs = START_MS
  private readonly people = new Map<string, Person>()
  private readonly asked = new Map<number, Asked>()
  private persisted: OffsetsRecordInput[] = []
  private nextTicket = 1
  private given = 0
  private failsNext = false

  /** The whole text with the results of this run. */
  static rewrite(text: string): string {
    const scenario = new GroupScenario()
    const lines: string[] = []
    for (const line of text.split('\n')) {
      if (line.startsWith('  ')) continue
      lines.push(line)
      if (!line.startsWith('> ')) continue
      lines.push(...scenario.run(line.slice(2)).map(result => `  ${result}`))
    }
    return lines.join('\n')
  }

  private make(): ClassicGroup {
    return new ClassicGroup('g', this.settings as unknown as GroupSettings)
  }

  private run(line: string): string[] {
    const [verb = '', ...rest] = line.split('#')[0]!.trim().split(/\s+/)
    const words: Record<string, string> = {}
    for (const word of rest.filter(one => one.includes('='))) {
      const at = word.indexOf('=')
      words[word.slice(0, at)] = word.slice(at + 1)
    }
    const name = rest.find(one => !one.includes('=')) ?? ''
    switch (verb) {
      case 'wait':
        return this.wait(milliseconds(name))
      case 'restart':
        return this.restart()
      case 'fail':
        this.failsNext = true
        return []
      case 'set':
        for (const [key, value] of Object.entries(words)) {
          this.settings[key.replace(/\.(.)/g, (_, c: string) => c.toUpperCase())] = Number(value)
        }
        return []
      case 'close':
        return this.step({ kind: 'disconnected', connectionId: this.person(name).connectionId })
      case 'explain':
        return [this.group.explain(this.nowMs)]
      case 'commit':
        return [`commit: ${this.commit(name, words)}`]
      default:
        return this.request(verb, name, words)
    }
  }

  private person(name: string): Person {
    let person = this.people.get(name)
    if (person === undefined) {
      const instance = name.split('/')[1] ?? null
      person = { id: '', generation: -1, instance, connectionId: this.people.size + 1 }
      this.people.set(name, person)
    }
    return person
  }

  private commit(name: string, words: Words): string {
    const { id, generation, instance } = this.person(name)
    const client = {
      memberId: words['as'] ?? id,
      groupInstanceId: instance,
      generationIdOrMemberEpoch: Number(words['gen'] ?? generation),
      apiVersion: 8,
    }
    return this.group.checkCommit(client, this.nowMs) ?? 'NONE'
  }

  private request(verb: string, name: string, words: Words): string[] {
    const who = name.split(',')[0]!
    const person = this.person(who)
    const ticket = this.nextTicket++
    this.asked.set(ticket, { who, what: verb })
    const client = {
      clientId: who.split('/')[0]!,
      clientHost: '/10.0.0.1',
      connectionId: person.connectionId,
    }
    const memberId = words['as'] === undefined ? person.id : this.idOf(words['as'])
    const generationId = Number(words['gen'] ?? person.generation)
    const common = { groupId: 'g', memberId, groupInstanceId: person.instance }
    const base = { ticket, client, apiVersion: Number(words['v'] ?? 9) }
    switch (verb) {
      case 'join': {
        const rebalanceTimeoutMs = milliseconds(words['rebalance'] ?? '60s')
        const sessionTimeoutMs = milliseconds(words['session'] ?? '10s')
        const protocols = protocolsOf(words['protocols'] ?? 'range')
        const reason = words['reason'] ?? null
        const protocolType = words['type'] ?? 'consumer'
        const request = {
          ...common,
          rebalanceTimeoutMs,
          sessionTimeoutMs,
          protocols,
          reason,
          protocolType,
        }
        const newMemberId = `${client.clientId}-${++this.given}`
        return this.step({ kind: 'join', ...base, request, newMemberId })
      }
      case 'sync': {
        const shares = Object.entries(words).filter(([key]) => this.people.has(key))
        const assignments = shares.map(([key, value]) => ({
          memberId: this.person(key).id,
          assignment: Buffer.from(value),
        }))
        const protocolName = words['protocol'] ?? null
        const request = { ...common, generationId, protocolType: null, protocolName, assignments }
        return this.step({ kind: 'sync', ...base, request })
      }
      case 'beat':
        return this.step({ kind: 'heartbeat', ...base, request: { ...common, generationId } })
      case 'leave': {
        const members = name.split(',').map(one => ({
          memberId: words['by'] === 'instance' ? '' : this.person(one).id,
          groupInstanceId: this.person(one).instance,
          reason: words['reason'] ?? null,
        }))
        return this.step({ kind: 'leave', ...base, request: { groupId: 'g', memberId, members } })
      }
      default:
        assert.fail(`a scenario has no '${verb}'`)
    }
  }

  private idOf(name: string): string {
    if (name === 'nobody') return ''
    return this.people.get(name)?.id ?? name
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
    const before = this.where()
    this.group = this.make()
    for (const record of this.persisted) {
      const { key, value } = encodeOffsetsRecord(record)
      this.group.replay(decodeOffsetsRecord(key, value)!)
    }
    const effects = this.group.loaded(this.nowMs)
    const lines = effects.flatMap(effect => this.told(effect))
    return [...lines, `${before} before, ${this.where()} after`]
  }

  private step(event: GroupEvent, withState = true): string[] {
    const effects = this.group.step(event, this.nowMs)
    const records = effects.flatMap(effect => (effect.kind === 'persist' ? effect.records : []))
    const hasFailed = this.failsNext && records.length > 0
    const lines: string[] = []
    if (hasFailed) {
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
    const { state, generation, members } = this.group
    return `${state}, generation ${generation}, ${members.size} member(s)`
  }

  private told(effect: GroupEffect): string[] {
    switch (effect.kind) {
      case 'reply': {
        const { who, what } = this.asked.get(effect.ticket)!
        this.asked.delete(effect.ticket)
        return [`${who}: ${this.answer(who, what, effect.response)}`]
      }
      case 'persist':
        return effect.records.map(persistedLine)
      case 'rebalance':
        return [`rebalance, ${effect.cause}: ${effect.detail}`]
      case 'log':
        return effect.level === 'warn' ? [`log: ${effect.event}`] : []
      default:
        return [effect.kind]
    }
  }

  private answer(who: string, what: string, response: GroupResponse): string {
    const person = this.person(who)
    const error = errorName(response.errorCode)
    if ('members' in response && what === 'leave') {
      const errors =
        response.members?.map(one => errorName((one as { errorCode: number }).errorCode)) ?? []
      return `left: ${[error, ...errors].join(' ')}`
    }
    if (error !== 'NONE') {
      if ('memberId' in response && error === 'MEMBER_ID_REQUIRED') person.id = response.memberId!
      return error
    }
    if ('generationId' in response) {
      person.id = response.memberId
      person.generation = response.generationId!
      const members = response.members.map(one => `${one.memberId} '${one.metadata}'`).join(', ')
      const role = members === '' ? `led by ${response.leader}` : `leading ${members}`
      const skips = response.skipAssignment === true ? ', assignment skipped' : ''
      return `${person.id} in generation ${person.generation}, ${response.protocolName}, ${role}${skips}`
    }
    if ('assignment' in response) return `gets '${response.assignment}'`
    return 'NONE'
  }
}

function persistedLine({ name, value }: OffsetsRecordInput): string {
  assert.equal(name, 'GroupMetadata')
  const group = value as Extract<OffsetsRecordInput, { name: 'GroupMetadata' }>['value']
  if (group === null) return 'persisted: tombstone'
  const members = group.members.map(one => `${one.memberId} '${one.assignment}'`).join(', ')
  return `persisted: generation ${group.generation}, ${group.protocol}, ${members || 'no members'}`
}

/** `range,sticky:metadata` */
function protocolsOf(text: string) {
  return text.split(',').map(one => {
    const [name = '', metadata = ''] = one.split(':')
    return { name, metadata: Buffer.from(metadata) }
  })
}

/** `10s`, `500ms` or `2m` */
export function milliseconds(text: string): number {
  const [, number = '', unit] = /^(-?[\d.]+)(ms|s|m)$/.exec(text) ?? assert.fail(`'${text}'`)
  return Number(number) * { ms: 1, s: 1000, m: 60_000 }[unit as 'ms' | 's' | 'm']
}

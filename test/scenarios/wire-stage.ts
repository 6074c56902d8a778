/**
 * Plays a scenario (script.ts) against any broker, over the wire: ours, or Apache Kafka to compare with. Time may pass faster
 * than the text says, then sessions and rebalance timeouts are as much shorter, and the broker must allow that (main.ts). Only answers can be compared: what a group persists and thinks is not seen from outside. What changes the
 * group from inside (`fail`, `restart`, `set`) cannot be played: a text is played up to there.
 */
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { errorName } from '../../protocol/errors.ts'
import { RawClient } from '../broker/raw-client.ts'
import { classicDescribed, consumersDescribed } from './described.ts'
import {
  type Line,
  milliseconds,
  type Person,
  parseLine,
  type Request,
  Script,
  wordsOf,
} from './script.ts'

/** How long an answer that is expected may take. */
const PATIENCE_MS = 3000
/** How long it takes until a group knows of a topic. */
const SPREAD_MS = 500
/** For so long it is looked for answers that are not expected. */
const QUIET_MS = 25

/** What a text says that somebody answers in one step, and what was answered. */
export interface Compared {
  readonly line: string
  readonly expected: readonly string[]
  readonly actual: readonly string[]
}

interface Step {
  readonly line: string
  readonly results: string[]
  /** What Kafka answers otherwise; null for the same. */
  kafka: string[] | null
  /** From here on it is not compared with Kafka. */
  isLastForKafka: boolean
}

const KAFKA_ANSWERS = '# Kafka answers: '
const NOT_AGAINST_KAFKA = '# Not against Kafka: '
const UNPLAYABLE = ['fail', 'restart', 'set']

function stepsOf(text: string): Step[] {
  const steps: Step[] = []
  for (const line of text.split('\n')) {
    const last = steps.at(-1)
    if (line.startsWith('> ')) {
      steps.push({ line: line.slice(2), results: [], kafka: null, isLastForKafka: false })
    } else if (line.startsWith(NOT_AGAINST_KAFKA) && last !== undefined) last.isLastForKafka = true
    else if (line.startsWith('  ')) last?.results.push(line.trim())
    else if (line.startsWith(KAFKA_ANSWERS) && last !== undefined) {
      last.kafka ??= []
      const answer = line.slice(KAFKA_ANSWERS.length)
      if (answer !== 'nothing') last.kafka.push(answer)
    }
  }
  return steps
}

export class WireStage {
  private readonly port: number
  private readonly script: Script
  private readonly control: RawClient
  private readonly clients = new Map<Person, RawClient>()
  private readonly labels = new Map<string, string>()
  private readonly opened: RawClient[] = []
  private arrived: string[] = []
  private beganMs = 0
  /** How long the text has waited, in real ms. */
  private waitedMs = 0
  private madeUpMs = 0

  private constructor(port: number, control: RawClient, groupId: string, pace: number) {
    this.port = port
    this.control = control
    this.script = new Script(groupId, pace)
  }

  /** All steps that somebody answers, as the text has them and as this broker does. */
  static async play(
    text: string,
    on: {
      readonly port: number
      readonly groupId: string
      readonly isKafka: boolean
      /** Real ms for one of the text. */
      readonly pace: number
    },
  ): Promise<readonly Compared[]> {
    const stage = new WireStage(on.port, await RawClient.connect(on.port), on.groupId, on.pace)
    const compared: Compared[] = []
    try {
      const [first = ''] = text.split('\n')
      await stage.begin(first.startsWith('consumer group') ? first : '')
      for (const { line, results, kafka, isLastForKafka } of stepsOf(text)) {
        const parsed = parseLine(line)
        if (UNPLAYABLE.includes(parsed.verb)) break
        const own = kafka !== null && on.isKafka
        const answers = results.map(one => one.replace(/^after [\d.]+s: /, ''))
        const isDue = results.some(one => one.startsWith('after '))
        const actual = await stage.run(parsed, own ? kafka : answers, isDue)
        const expected = own ? kafka : answers.filter(one => stage.isAnswer(one))
        compared.push({ line, expected: alike(expected), actual: alike(actual) })
        if (isLastForKafka && on.isKafka) break
      }
    } finally {
      await stage.end()
    }
    return compared
  }

  private async begin(head: string): Promise<void> {
    this.script.isConsumer = head !== ''
    await this.createTopics(head === '' ? { a: '1' } : wordsOf(head.split(' ')))
    for (let tries = 0; !(await this.isCoordinated()); tries++) {
      assert.ok(tries < 100, 'there is no coordinator')
      await setTimeout(100)
    }
    this.beganMs = performance.now()
  }

  /** Whether the group has a coordinator, and that has loaded what it knows. */
  private async isCoordinated(): Promise<boolean> {
    const { groupId } = this.script
    const asked = { keyType: 0, coordinatorKeys: [groupId] }
    const { coordinators } = await this.control.call('FindCoordinator', 4, asked)
    if (coordinators[0]!.errorCode !== 0) return false
    const request = { groups: [{ groupId, topics: null }], requireStable: false }
    const { groups } = await this.control.call('OffsetFetch', 8, request)
    return groups[0]!.errorCode === 0
  }

  private async createTopics(words: Readonly<Record<string, string>>): Promise<void> {
    const topics = Object.entries(words).map(([name, count]) => ({
      name,
      numPartitions: Number(count),
      replicationFactor: 1,
      assignments: [],
      configs: [],
    }))
    const request = { topics, timeoutMs: 5000, validateOnly: false }
    const created = await this.control.call('CreateTopics', 7, request)
    for (const one of created.topics) {
      assert.equal(errorName(one.errorCode), 'NONE', one.errorMessage ?? '')
      this.script.topicIds.set(one.name, one.topicId)
    }
    // Groups of Kafka hear of topics later than who made them.
    await setTimeout(SPREAD_MS)
  }

  private async deleteTopics(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    await this.control.call('DeleteTopics', 5, { topicNames: names, timeoutMs: 5000 })
    for (const name of names) this.script.topicIds.delete(name)
  }

  /** Topics are as this says: made, made larger, or gone. */
  private async setTopics(words: Readonly<Record<string, string>>): Promise<void> {
    const { topicIds } = this.script
    const known = [...topicIds.keys()]
    await this.deleteTopics(known.filter(name => words[name] === undefined))
    const fresh = Object.entries(words).filter(([name]) => !topicIds.has(name))
    await this.createTopics(Object.fromEntries(fresh))
    const topics = Object.entries(words)
      .filter(([name]) => known.includes(name))
      .map(([name, count]) => ({ name, count: Number(count), assignments: null }))
    await this.control.call('CreatePartitions', 3, { topics, timeoutMs: 5000, validateOnly: false })
    await setTimeout(SPREAD_MS)
  }

  private async run(
    line: Line,
    expected: readonly string[],
    isDue: boolean,
  ): Promise<readonly string[]> {
    const { verb, names, words } = line
    const [name = ''] = names
    this.arrived = []
    const person = this.script.people.get(name)
    if (verb === 'wait') await this.wait(milliseconds(name), isDue)
    else if (verb === 'topics') await this.setTopics(words)
    else if (verb === 'close') {
      await this.clients.get(person!)?.close()
      this.clients.delete(person!)
    } else if (verb === 'describe') this.arrived = await this.describe(name === 'classic')
    else if (verb !== 'explain') {
      await this.ask(this.script.requestOf(line) ?? assert.fail(`a scenario has no '${verb}'`))
    }
    const wanted = () => expected.filter(one => this.isAnswer(one)).length
    for (let waited = 0; this.arrived.length < wanted() && waited < PATIENCE_MS; waited += 5) {
      await setTimeout(5)
    }
    await setTimeout(QUIET_MS)
    return this.arrived.map(one => this.labelled(one))
  }

  /**
   * The text knows no time but what it waits: what its other steps took is made up for. Where something is to happen at the end
   * of this wait, it may have begun later by all that was made up for.
   */
  private async wait(ms: number, isDue: boolean): Promise<void> {
    const { pace } = this.script
    const lateMs = isDue ? 0 : Math.max(0, performance.now() - this.beganMs - this.waitedMs)
    const pauseMs = Math.max(0, ms * pace - lateMs) + (isDue ? this.madeUpMs : 0)
    this.madeUpMs = isDue ? 0 : this.madeUpMs + lateMs
    await setTimeout(pauseMs)
    this.waitedMs = isDue ? performance.now() - this.beganMs : this.waitedMs + ms * pace
  }

  private async ask(request: Request): Promise<void> {
    const { person, api, version } = request
    let client = this.clients.get(person)
    // Who waits for an answer and asks again does so over another connection: on one, requests wait for each other.
    if (client === undefined || client.isClosed || client.asked > client.answers) {
      client = await RawClient.connect(this.port)
      this.clients.set(person, client)
      this.opened.push(client)
    }
    const label = `${person.name.split('/')[0]}-${this.script.given}`
    const clientId = person.name.split('/')[0]!
    const answer = client.call(api, version, asSent(request) as never, clientId)
    const who = api === 'ConsumerGroupHeartbeat' ? request.request.memberId : person.name
    answer.then(
      response => this.hear(request, who, label, response as unknown as Record<string, unknown>),
      () => {},
    )
  }

  private async describe(isClassic: boolean): Promise<string[]> {
    const { groupId, isConsumer } = this.script
    const includeAuthorizedOperations = true
    if (isClassic) {
      const request = { groups: [groupId], includeAuthorizedOperations }
      const { groups } = await this.control.call('DescribeGroups', 6, request)
      return classicDescribed(groups[0]!, isConsumer)
    }
    const request = { groupIds: [groupId], includeAuthorizedOperations }
    const { groups } = await this.control.call('ConsumerGroupDescribe', 1, request)
    return consumersDescribed(groups[0]!)
  }

  private hear(
    request: Request,
    who: string,
    label: string,
    response: Record<string, unknown>,
  ): void {
    const memberId = response['memberId'] as string | undefined
    const isOfClassic = request.api === 'JoinGroup' && memberId !== undefined && memberId !== ''
    if (isOfClassic && !this.labels.has(memberId) && request.request.memberId === '') {
      this.labels.set(memberId, label)
    }
    const told = this.script.told(request, response)
    const line = request.api === 'OffsetCommit' ? `commit: ${told}` : `${who}: ${told}`
    this.arrived.push(line)
  }

  private labelled(line: string): string {
    let text = line.replaceAll(this.script.groupId, 'g')
    for (const [id, label] of this.labels) text = text.replaceAll(id, label)
    return text
  }

  /** Whether a line of the text is what somebody heard. */
  private isAnswer(line: string): boolean {
    const who = line.slice(0, Math.max(0, line.indexOf(': ')))
    if (['', 'commit', 'described'].includes(who)) return who !== ''
    const { people } = this.script
    return [...people.values()].some(one => one.name === who || who === one.id) || this.spoke(who)
  }

  /** Ids of the consumer protocol that a person had before. */
  private spoke(who: string): boolean {
    return this.arrived.some(line => line.startsWith(`${who}: `))
  }

  private async end(): Promise<void> {
    await this.deleteTopics([...this.script.topicIds.keys()])
    for (const client of this.opened) await client.close()
    await this.control.close()
  }
}

/** LeaveGroup names one member before version 3, and many from then on. */
function asSent({ api, version, request }: Request): unknown {
  if (api !== 'LeaveGroup') return request
  const { memberId, members, ...rest } = request
  return version < 3 ? { ...rest, memberId } : { ...rest, members }
}

/** Answers to several people come in any order, and so do the members that a leader is told. */
function alike(lines: readonly string[]): readonly string[] {
  const sorted = lines.map(line =>
    line.replace(/(?<=leading ).*/, members => members.split(', ').sort().join(', ')),
  )
  return sorted.sort()
}

/**
 * Groups of other people's clients: two members read what is written, a third comes, one is killed, one leaves. No record is
 * left out, what is committed at the end is the end, and who paused went on.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type ConsumerEvent, type ConsumerStory, unread } from './consumer-stories.ts'
import { clientFolder } from './foreign-clients.ts'
import { GroupTopic, groupTimes } from './group-topic.ts'
import { adopt, missing, type Server, startOttla, until } from './harness.ts'

const PARTITIONS = 6
const SESSION_MS = '10000'
/** The first two members of a group are classic ones, those who come later are not. */
const CHANGING = 'classic to consumer'
const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), 'foreign-member.js')

let server: Server

before(async () => {
  server = await startOttla({ overrides: groupTimes(SESSION_MS) })
})

after(async () => {
  await server.stop()
})

interface Place {
  readonly bootstrap: string
  readonly topic: string
  readonly group: string
  readonly protocol: string
  /** The how manieth member it is, from 0. */
  readonly place: number
}

/** A line of the member's output as an event, or null. */
type Hear = (line: string) => ConsumerEvent | null

class Member implements ConsumerStory {
  readonly name: string
  readonly events: ConsumerEvent[] = []
  readonly killedMs = null
  private readonly child: ChildProcess
  private readonly over: Promise<unknown>
  private complaints = ''

  constructor(command: readonly [string, readonly string[]], hear: Hear) {
    const child = spawn(command[0], command[1], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = adopt(child)
    this.name = `member ${child.pid}`
    child.stderr.on('data', chunk => {
      this.complaints += chunk
    })
    const lines = createInterface({ input: child.stdout })
    lines.on('line', line => {
      const event = hear(line)
      if (event !== null) this.events.push(event)
    })
    this.over = Promise.all([once(child, 'exit'), once(lines, 'close')])
  }

  /** Where it has read something. */
  get hasRead(): boolean {
    const failed = this.all('failed')[0]
    assert.equal(failed, undefined, JSON.stringify(failed))
    assert.ok([null, 0].includes(this.child.exitCode), this.complaints)
    return this.all('records_consumed').length > 0
  }

  all(name: string): ConsumerEvent[] {
    return this.events.filter(event => event.name === name)
  }

  /** What it did, for who has to find out why it did nothing more. */
  story(): string {
    const reads = this.all('records_consumed')
    const told = ['records_consumed', 'offsets_committed']
    const others = this.events.filter(({ name }) => !told.includes(name))
    const last = [reads.at(-1), ...others.slice(-8)].map(event => JSON.stringify(event))
    return `${this.name} read ${reads.length} times, ${last.join(' ')} ${this.complaints}`
  }

  /** Sends it a signal, unless it ends by itself, and waits until all that it said is here. */
  async end(signal: 'SIGKILL' | 'SIGTERM' | null): Promise<void> {
    if (signal !== null) this.child.kill(signal)
    await this.over
  }
}

const hearJson: Hear = line =>
  line.startsWith('{') && line.endsWith('}') ? JSON.parse(line) : null

/** kcat says partition and offset of each record. */
const hearKcat: Hear = line => {
  const found = /^(\d+) (\d+)$/.exec(line)
  if (found === null) return null
  const [partition, offset] = [Number(found[1]), Number(found[2])]
  const partitions = [{ partition, minOffset: offset, maxOffset: offset }]
  return { timestamp: Date.now(), name: 'records_consumed', partitions }
}

/**
 * kcat forgets a record that it has just been given when it is told to end, so the first two end by themselves, after so
 * many records.
 */
function kcat({ bootstrap, topic, group, protocol, place }: Place): Member {
  const times = protocol === 'classic' ? ['-X', `session.timeout.ms=${SESSION_MS}`] : []
  const kind = protocol === 'classic' ? [] : ['-X', `group.protocol=${protocol}`]
  const more = ['-X', 'auto.offset.reset=earliest', '-X', 'auto.commit.interval.ms=200']
  const end = place === 2 ? [] : ['-c', String(400 * (place + 1))]
  const args = ['-b', bootstrap, '-u', '-q', '-f', '%p %o\\n', ...end, ...times, ...kind, ...more]
  return new Member(['kcat', [...args, '-G', group, topic]], hearKcat)
}

function inNode(client: string, entry: string, node = process.execPath) {
  return ({ bootstrap, topic, group, protocol }: Place): Member => {
    const args = [PROGRAM, client, entry, bootstrap, topic, group, protocol]
    return new Member([node, args], hearJson)
  }
}

interface Client {
  readonly skip: string | false
  readonly start: (place: Place) => Member
  /** Whether it can be told to pause, to end, and be killed, without a fault of its own. */
  readonly obeys: boolean
}

const kafkajs = createRequire(import.meta.url).resolve('kafkajs')
const platformatic = clientFolder('platformatic')
const confluent = clientFolder('confluent')
const CLIENTS: Readonly<Record<string, Client>> = {
  'kcat, classic': { skip: missing('kcat'), start: kcat, obeys: false },
  'kcat, consumer': { skip: missing('kcat consumer'), start: kcat, obeys: false },
  'kafkajs, classic': { skip: false, start: inNode('kafkajs', kafkajs), obeys: true },
  ...Object.fromEntries(
    ['classic', 'consumer', CHANGING].flatMap(protocol => [
      [
        `@platformatic/kafka, ${protocol}`,
        {
          skip: platformatic.skip,
          start: inNode('platformatic', platformatic.entry, platformatic.node),
          obeys: true,
        },
      ],
      [
        `@confluentinc/kafka-javascript, ${protocol}`,
        { skip: confluent.skip, start: inNode('confluent', confluent.entry), obeys: true },
      ],
    ]),
  ),
}

for (const [name, { skip, start, obeys }] of Object.entries(CLIENTS)) {
  test(`a group loses nothing as members come, die and leave: ${name}`, { skip }, async t => {
    const topic = name.replace(/[^a-z]+/g, '-').replace(/^-/, '')
    const group = `of-${topic}`
    const protocol = name.split(', ')[1]!
    const protocolOf = (place: number) => {
      if (protocol !== CHANGING) return protocol
      return place < 2 ? 'classic' : 'consumer'
    }
    const written = await GroupTopic.start(server.bootstrap, topic, PARTITIONS)
    const all: Member[] = []
    const join = () => {
      const member = start({
        ...{ bootstrap: server.bootstrap, topic, group, place: all.length },
        protocol: protocolOf(all.length),
      })
      all.push(member)
      return member
    }
    try {
      const [one, two] = [join(), join()]
      await until(() => one.hasRead && two.hasRead, 'two members read')
      const three = join()
      await until(() => three.hasRead, 'the third member reads')
      await one.end(obeys ? 'SIGKILL' : null)
      const afterDeath = await written.ends()
      await until(
        () => unread(all, afterDeath).length === 0,
        'what was written is read when one is gone',
      )
      const left = [two, three]
      const havePaused = () =>
        left.every(member => member.hasRead && member.all('paused').length > 0)
      const more = () =>
        [...left.map(member => member.story()), ...server.output().split('\n').slice(-40)].join(
          '\n',
        )
      if (obeys) await until(havePaused, 'those who are left pause', { more })
      await two.end(obeys ? 'SIGTERM' : null)
      await written.settle()
      const ends = await written.ends()
      await until(() => unread(all, ends).length === 0, 'all is read')
      if (obeys) {
        for (const member of left) {
          const [paused, resumed] = [member.all('paused'), member.all('resumed')]
          assert.ok(resumed.length >= paused.length - 1, `${member.name} went on`)
        }
      }
      await three.end('SIGTERM')
      assert.deepEqual(await written.committed(group), ends, 'all is committed')
      const records = ends.reduce((sum, end) => sum + end)
      const failed = all.flatMap(member => member.all('commit_failed')).length
      t.diagnostic(`${records} records, ${failed} commits refused`)
    } finally {
      for (const member of all) await member.end('SIGKILL')
      await written.close()
    }
  })
}

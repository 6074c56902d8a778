/** A broker in a process of its own, and members of groups that speak to it in plain requests: what groups.ts measures with. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Connection } from '../client/connection.ts'
import type { ResponseOf } from '../protocol/apis.ts'
import { errorName } from '../protocol/errors.ts'
import { encodeBatch } from '../protocol/records.ts'
import { systemIo } from '../protocol/system-io.ts'

const OTTLA = process.env['OTTLA_BIN'] ?? join(process.cwd(), 'bin', 'ottla')
const READ_BUFFER = Buffer.allocUnsafeSlow(65_536)
/** What Linux counts processor time in, a second. */
const TICKS = 100
const io = systemIo()

export const rounded = (value: number): string => Math.round(value).toLocaleString('en-US')

function check(code: number, what: string): void {
  if (code !== 0) throw new Error(`${what}: ${errorName(code)}`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

export async function openMany(broker: BenchBroker, count: number): Promise<Connection[]> {
  const connections: Connection[] = []
  for (let i = 0; i < count; i += 100) {
    const some = Array.from({ length: Math.min(100, count - i) }, () => broker.connect())
    connections.push(...(await Promise.all(some)))
  }
  return connections
}

/** Topic and partitions in the form that the consumer protocol of classic groups has, version 0. */
function subscription(topic: string): Buffer {
  const name = Buffer.from(topic)
  const bytes = Buffer.alloc(2 + 4 + 2 + name.length + 4)
  bytes.writeInt32BE(1, 2)
  bytes.writeInt16BE(name.length, 6)
  name.copy(bytes, 8)
  bytes.writeInt32BE(-1, 8 + name.length)
  return bytes
}

export class Member {
  failure: string | null = null
  readonly memberId: string
  private readonly connection: Connection
  private readonly groupId: string
  private readonly generationId: number
  private readonly broker: BenchBroker
  private readonly isClassic: boolean

  constructor(
    broker: BenchBroker,
    connection: Connection,
    groupId: string,
    {
      memberId,
      generationId,
      isClassic,
    }: { memberId: string; generationId: number; isClassic: boolean },
  ) {
    this.broker = broker
    this.connection = connection
    this.groupId = groupId
    this.memberId = memberId
    this.generationId = generationId
    this.isClassic = isClassic
  }

  heartbeat(): void {
    const { groupId, memberId, generationId } = this
    const answered = ({ errorCode }: { errorCode: number }) => {
      if (errorCode !== 0) this.failure = errorName(errorCode)
    }
    const failed = (error: Error) => {
      this.failure = error.message
    }
    const completion = { keepsBytes: false, answered, failed }
    if (this.isClassic) {
      this.connection.submit('Heartbeat', { groupId, memberId, generationId }, 60_000, completion)
    } else {
      const request = { groupId, memberId, memberEpoch: generationId }
      this.connection.submit('ConsumerGroupHeartbeat', request, 60_000, completion)
    }
  }

  async commit(topic: string, partitionIndex: number, committedOffset: number): Promise<void> {
    const { topics } = await this.connection.send('OffsetCommit', {
      groupId: this.groupId,
      memberId: this.memberId,
      generationIdOrMemberEpoch: this.generationId,
      topics: [
        {
          name: topic,
          topicId: this.broker.topicId(topic),
          partitions: [{ partitionIndex, committedOffset, committedMetadata: '' }],
        },
      ],
    })
    check(topics[0]!.partitions[0]!.errorCode, 'commit')
  }

  produce(topic: string, index: number): Promise<void> {
    return this.broker.produce(this.connection, topic, index)
  }

  async leave(): Promise<void> {
    const { groupId, memberId } = this
    const left = await this.connection.send('LeaveGroup', { groupId, members: [{ memberId }] })
    check(left.errorCode, 'leave')
  }
}

export class BenchBroker {
  private readonly child: ChildProcess
  readonly port: number
  private readonly directory: string
  private readonly settings: Readonly<Record<string, string>>
  private readonly topicIds = new Map<string, string>()
  private record: Buffer = Buffer.alloc(0)

  private constructor(
    child: ChildProcess,
    port: number,
    directory: string,
    settings: Readonly<Record<string, string>>,
  ) {
    this.child = child
    this.port = port
    this.directory = directory
    this.settings = settings
    const kill = () => void child.kill('SIGKILL')
    process.once('exit', kill)
    child.once('exit', () => process.off('exit', kill))
  }

  static async start(
    settings: Readonly<Record<string, string>> = {},
    directory = mkdtempSync(join(tmpdir(), 'ottla-groups-')),
  ): Promise<BenchBroker> {
    const port = await freePort()
    const args = ['broker', '--port', String(port), '--data-dir', join(directory, 'data')]
    const all = Object.entries({ 'metrics.listener': '', ...settings })
    args.push(...all.flatMap(([name, value]) => ['--override', `${name}=${value}`]))
    const log = openSync(join(directory, 'log'), 'w')
    const profile = process.env['OTTLA_CPU_PROF']
    const node = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
    const child = spawn(process.execPath, [...node, OTTLA, ...args], {
      stdio: ['ignore', log, log],
    })
    const broker = new BenchBroker(child, port, directory, settings)
    for (const deadlineMs = performance.now() + 60_000; ; ) {
      try {
        const connection = await broker.connect()
        broker.record = await encodeBatch([
          { timestamp: Date.now(), value: Buffer.alloc(100, 'x') },
        ])
        await broker.findCoordinator(connection)
        connection.close()
        return broker
      } catch (error) {
        if (performance.now() > deadlineMs) throw error
        await new Promise(resolve => setTimeout(resolve, 20))
      }
    }
  }

  get pid(): number {
    return this.child.pid!
  }

  get dataDir(): string {
    return join(this.directory, 'data')
  }

  /** Where clients of their own may connect to. */
  get bootstrap(): string {
    return `127.0.0.1:${this.port}`
  }

  /** What it has logged. */
  lines(): string[] {
    return readFileSync(join(this.directory, 'log'), 'utf8').split('\n')
  }

  connect(): Promise<Connection> {
    const limits = { connectTimeoutMs: 20_000, requestTimeoutMs: 60_000, maxResponseBytes: 1 << 24 }
    const where = { host: '127.0.0.1', port: this.port, clientId: 'bench' }
    return Connection.open(io, { ...where, ...limits, readBuffer: READ_BUFFER })
  }

  private async findCoordinator(connection: Connection): Promise<void> {
    const request = { keyType: 0, coordinatorKeys: ['any'] }
    const { coordinators } = await connection.send('FindCoordinator', request)
    check(coordinators[0]!.errorCode, 'find the coordinator')
    // Answered without error only when the groups are loaded.
    const heartbeat = { groupId: 'any', memberId: 'nobody', generationId: 0 }
    const { errorCode } = await connection.send('Heartbeat', heartbeat)
    if (errorName(errorCode) !== 'UNKNOWN_MEMBER_ID') check(errorCode, 'heartbeat')
  }

  async stop(): Promise<void> {
    await this.end()
    rmSync(this.directory, { recursive: true, force: true })
  }

  private async end(): Promise<void> {
    if (this.child.exitCode !== null) return
    const gone = once(this.child, 'exit')
    this.child.kill('SIGTERM')
    await gone
  }

  async restart(): Promise<BenchBroker> {
    await this.end()
    return BenchBroker.start(this.settings, this.directory)
  }

  cpuSeconds(): number {
    const { user, system } = this.cpu()
    return user + system
  }

  /** Processor time so far, in seconds. */
  cpu(): { user: number; system: number } {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return { user: Number(fields[11]) / TICKS, system: Number(fields[12]) / TICKS }
  }

  /** What the broker said when it had loaded its groups. */
  loaded(): { tookMs: number; records: number } {
    const line = this.lines().find(one => one.includes('groups loaded'))
    if (line === undefined) throw new Error('the broker did not say that groups are loaded')
    return JSON.parse(line)
  }

  async createTopic(name: string, numPartitions: number): Promise<void> {
    const connection = await this.connect()
    const topics = [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }]
    const created = await connection.send('CreateTopics', { topics, timeoutMs: 20_000 })
    check(created.topics[0]!.errorCode, 'create the topic')
    this.topicIds.set(name, created.topics[0]!.topicId)
    connection.close()
  }

  async deleteTopic(name: string): Promise<void> {
    const connection = await this.connect()
    const topics = [{ name }]
    const { responses } = await connection.send('DeleteTopics', { topics, timeoutMs: 20_000 })
    check(responses[0]!.errorCode, 'delete the topic')
    connection.close()
  }

  topicId(name: string): string {
    return this.topicIds.get(name)!
  }

  async produce(connection: Connection, name: string, index: number): Promise<void> {
    const topicId = this.topicId(name)
    const partitionData = [{ index, records: this.record }]
    const topicData = [{ name, topicId, partitionData }]
    const { responses } = await connection.send('Produce', {
      acks: -1,
      timeoutMs: 20_000,
      topicData,
    })
    check(responses[0]!.partitionResponses[0]!.errorCode, 'produce')
  }

  async commitWithoutMember(
    connection: Connection,
    groupId: string,
    topic: string,
    indexes: readonly number[],
    committedOffset: number,
  ): Promise<void> {
    const partitions = indexes.map(partitionIndex => ({
      partitionIndex,
      committedOffset,
      committedMetadata: '',
    }))
    const topics = [{ name: topic, topicId: this.topicId(topic), partitions }]
    const { topics: answers } = await connection.send('OffsetCommit', {
      groupId,
      memberId: '',
      topics,
    })
    for (const { errorCode } of answers[0]!.partitions) check(errorCode, 'commit')
  }

  async ping(connection: Connection): Promise<void> {
    await connection.send('Heartbeat', { groupId: 'nobody', memberId: '', generationId: 0 })
  }

  /** One member on each connection, until the group is stable. */
  async formGroup(
    groupId: string,
    connections: readonly Connection[],
    protocol: 'classic' | 'consumer',
    topic: string,
  ): Promise<Member[]> {
    if (protocol === 'consumer') return this.formConsumerGroup(groupId, connections, topic)
    const { joined } = await this.joinAll(groupId, connections, topic)
    return joined.map(
      ({ memberId, generationId }, i) =>
        new Member(this, connections[i]!, groupId, { memberId, generationId, isClassic: true }),
    )
  }

  private async formConsumerGroup(
    groupId: string,
    connections: readonly Connection[],
    topic: string,
  ): Promise<Member[]> {
    const members = connections.map(connection => ({
      connection,
      memberId: randomUUID() as string,
      epoch: 0,
      owned: null as ResponseOf<'ConsumerGroupHeartbeat'>['assignment'],
    }))
    // Until everybody has heard of the last epoch, has given up and has taken what it says.
    for (let round = 0; round < 5; round++) {
      for (const member of members) {
        const first = { rebalanceTimeoutMs: 60_000, subscribedTopicNames: [topic] }
        const topicPartitions = member.owned?.topicPartitions ?? []
        const answer = await member.connection.send('ConsumerGroupHeartbeat', {
          ...{ groupId, memberId: member.memberId, memberEpoch: member.epoch, topicPartitions },
          ...(round === 0 ? first : {}),
        })
        check(answer.errorCode, 'heartbeat')
        member.epoch = answer.memberEpoch
        member.owned = answer.assignment ?? member.owned
      }
    }
    return members.map(
      ({ memberId, epoch }, i) =>
        new Member(this, connections[i]!, groupId, {
          memberId,
          generationId: epoch,
          isClassic: false,
        }),
    )
  }

  /** A new classic group with a member on each connection. `lastJoinMs` is when the JoinGroup that completes it went out. */
  private async joinAll(groupId: string, connections: readonly Connection[], topic: string) {
    const protocolType = 'consumer'
    const request = (memberId: string) => ({
      ...{ groupId, memberId, protocolType },
      ...{ sessionTimeoutMs: 45_000, rebalanceTimeoutMs: 300_000 },
      protocols: [{ name: 'range', metadata: subscription(topic) }],
    })
    // The first answer is an id to join with.
    const ids = await Promise.all(connections.map(one => one.send('JoinGroup', request(''))))
    const joinAndSync = async (i: number) => {
      const answer = await connections[i]!.send('JoinGroup', request(ids[i]!.memberId))
      check(answer.errorCode, 'join')
      const { memberId, generationId, leader, members } = answer
      const all = leader === memberId ? members : []
      const sync = { groupId, memberId, generationId, protocolType, protocolName: 'range' }
      const assignment = subscription(topic)
      const assignments = all.map(one => ({ memberId: one.memberId, assignment }))
      const synced = await connections[i]!.send('SyncGroup', { ...sync, assignments })
      check(synced.errorCode, 'sync')
      return answer
    }
    const others = connections.slice(1).map((_, i) => i + 1)
    // The first is alone in the first generation; all others begin a rebalance that it completes.
    if (others.length > 0) await joinAndSync(0)
    const waiting = others.map(joinAndSync)
    while (others.length > 0) {
      const { groups } = await connections[0]!.send('DescribeGroups', { groups: [groupId] })
      if (groups[0]!.members.length === connections.length) break
    }
    const lastJoinMs = performance.now()
    const joined = await Promise.all([joinAndSync(0), ...waiting])
    return { joined, lastJoinMs }
  }

  /** From the last member's JoinGroup to the last SyncGroup answer, in milliseconds. */
  async rebalanceMs(
    groupId: string,
    connections: readonly Connection[],
    topic: string,
  ): Promise<number> {
    const { lastJoinMs } = await this.joinAll(groupId, connections, topic)
    return performance.now() - lastJoinMs
  }

  /** What a consumer does from its JoinGroup to its first record. */
  async joinAndRead(
    connection: Connection,
    groupId: string,
    topic: string,
  ): Promise<{ ms: number; member: Member }> {
    const startMs = performance.now()
    const [member] = await this.formGroup(groupId, [connection], 'classic', topic)
    const topicId = this.topicId(topic)
    const topics = [{ name: topic, topicId, partitionIndexes: [0, 1, 2, 3] }]
    const { groups } = await connection.send('OffsetFetch', { groups: [{ groupId, topics }] })
    const partitions = groups[0]!.topics[0]!.partitions.map(one => ({
      partition: one.partitionIndex,
      fetchOffset: Math.max(0, one.committedOffset),
      partitionMaxBytes: 1 << 20,
    }))
    const { responses } = await connection.send('Fetch', {
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: 1 << 22,
      topics: [{ topic, topicId, partitions }],
    })
    const bytes = responses[0]!.partitions[0]!.records
    if (bytes === null || bytes.length === 0) throw new Error('no record')
    return { ms: performance.now() - startMs, member: member! }
  }
}

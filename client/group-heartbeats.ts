/**
 * A member of a consumer group by the protocol of KIP-848: the coordinator decides who has what, and everything is said in
 * heartbeats. A member says what it reads and what it has; an answer may bring a new share, towards which the member moves:
 *
 *   share arrives ─▶ what is not in it: committed and given up ─▶ what is new: taken over ─▶ said in the next heartbeat
 *
 * Heartbeats go on meanwhile. A first heartbeat (epoch 0), and one after a lost answer, says everything; others say only what
 * has changed. When the coordinator has given the member up (FENCED_MEMBER_EPOCH, UNKNOWN_MEMBER_ID) its share is lost, and
 * it joins again under the same id, which it has made itself.
 */
import type { RequestInput, ResponseOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import type { Io } from '../protocol/io.ts'
import type { CallOptions, Cluster } from './cluster.ts'
import { AnswerError, isRetriable } from './errors.ts'
import type { GroupConfig } from './group-config.ts'
import { GroupLink, type GroupOwner, type Membership, Pause } from './group-link.ts'
import type { CommittedOffset, OffsetToCommit } from './group-offsets.ts'
import { attemptNow, backoffMs } from './leader-search.ts'
import { type TopicPartition, without } from './topic-partition.ts'

type Heartbeat = RequestInput<'ConsumerGroupHeartbeat'>
type Share = NonNullable<ResponseOf<'ConsumerGroupHeartbeat'>['assignment']>['topicPartitions']

const UNKNOWN_TOPIC = errorCode('UNKNOWN_TOPIC_OR_PARTITION')
const JOIN_EPOCH = 0
const LEAVE_EPOCH = -1
const LEAVE_FOR_A_WHILE_EPOCH = -2
const FIRST_INTERVAL_MS = 5_000

export class HeartbeatMember implements Membership {
  readonly memberId: string
  private readonly io: Io
  private readonly cluster: Cluster
  private readonly config: GroupConfig
  private readonly owner: GroupOwner
  private readonly link: GroupLink
  private readonly pausing: Pause
  private epoch = JOIN_EPOCH
  private intervalMs = FIRST_INTERVAL_MS
  private names: readonly string[] = []
  private pattern: string | null = null
  private hadPattern = false
  /** Whether the next heartbeat says everything, what is subscribed to, what is owned. */
  private saysAll = true
  private saysTopics = true
  private saysOwned = true
  private owned: readonly TopicPartition[] = []
  /** The share to move to; null: it has been reached. */
  private target: Share | null = null
  /** Counts what makes a move to a share pointless: the member has lost everything. */
  private life = 0
  private readonly topicNames = new Map<string, string>()
  private isClosed = false
  private running: Promise<void> | null = null
  private moving: Promise<void> | null = null
  private mustBeat = false
  /** When it is looked again whether the topics exist. */
  private lookAtMs = 0

  constructor(io: Io, cluster: Cluster, config: GroupConfig, owner: GroupOwner) {
    this.io = io
    this.cluster = cluster
    this.config = config
    this.owner = owner
    this.link = new GroupLink(io, cluster, config.groupId)
    this.pausing = new Pause(io)
    this.memberId = io.uuid()
  }

  get generation(): number {
    return this.epoch === JOIN_EPOCH ? -1 : this.epoch
  }

  /** Patterns are matched by the coordinator, in the syntax of RE2: neither look-around nor back references. */
  subscribe(topics: readonly (string | RegExp)[]): void {
    this.names = topics.filter(topic => typeof topic === 'string')
    const patterns = topics.filter(topic => typeof topic !== 'string')
    this.pattern = patterns.length === 0 ? null : patterns.map(serverPattern).join('|')
    this.saysTopics = true
    this.lookAtMs = 0
    this.beatNow()
    this.running ??= this.run()
  }

  commit(offsets: readonly OffsetToCommit[], options: CallOptions = {}): Promise<void> {
    const { groupId, groupInstanceId } = this.config
    const committer = () => {
      const { memberId, generation } = this
      // Outside of the group as whoever commits for an empty one.
      return { groupId, groupInstanceId, memberId: generation < 0 ? '' : memberId, generation }
    }
    return this.link.commit(committer, offsets, options)
  }

  committed(
    partitions: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<CommittedOffset[]> {
    return this.link.committed(partitions, options)
  }

  async close(): Promise<void> {
    this.isClosed = true
    this.pausing.wake()
    await this.running
    await this.moving
    if (this.owned.length > 0) await this.owner.revoked(this.owned).catch(() => {})
    this.owned = []
    if (this.epoch === JOIN_EPOCH) return
    const isStatic = this.config.groupInstanceId !== null
    this.epoch = isStatic ? LEAVE_FOR_A_WHILE_EPOCH : LEAVE_EPOCH
    try {
      await this.send({ groupId: this.config.groupId, ...this.who() })
    } catch (error) {
      // It will be missed when its session ends.
      if (!(error instanceof Error)) throw error
    }
  }

  private async run(): Promise<void> {
    let failures = 0
    while (!this.isClosed) {
      this.mustBeat = false
      try {
        await this.beat()
        failures = 0
        this.move()
        this.look()
        await this.pause(this.intervalMs)
      } catch (error) {
        if (this.isClosed) return
        if (!this.recover(error as Error)) return
        failures++
        const waitMs = backoffMs(this.io, this.cluster, failures)
        this.link.retrying(error, failures, waitMs)
        await this.pause(waitMs)
      }
    }
  }

  /** Whether the member can go on, with a heartbeat that says everything. */
  private recover(error: Error): boolean {
    this.saysAll = true
    const name = error instanceof AnswerError ? error.error : ''
    if (name === 'FENCED_MEMBER_EPOCH' || name === 'UNKNOWN_MEMBER_ID') {
      const message = 'the group has gone on without this member, which joins again'
      this.link.warn(message, { error: name, generation: this.generation })
      this.lose()
      return true
    }
    if (isRetriable(error)) return true
    this.lose()
    this.link.warn('the membership is over', { reason: error.message })
    this.owner.failed(error)
    return false
  }

  private lose(): void {
    this.epoch = JOIN_EPOCH
    this.life++
    this.target = null
    if (this.owned.length > 0) this.owner.lost()
    this.owned = []
  }

  private async beat(): Promise<void> {
    const isJoining = this.epoch === JOIN_EPOCH
    const saysAll = this.saysAll || isJoining
    const { groupId, rebalanceTimeoutMs, rackId, serverAssignor } = this.config
    const request: Heartbeat = {
      groupId,
      ...this.who(),
      ...(saysAll ? { rebalanceTimeoutMs } : {}),
      ...(saysAll && rackId !== '' ? { rackId } : {}),
      ...(saysAll && serverAssignor !== null ? { serverAssignor } : {}),
      ...(saysAll || this.saysTopics ? this.topics() : {}),
      ...(saysAll || this.saysOwned ? { topicPartitions: this.withIds(this.owned) } : {}),
    }
    this.saysTopics = false
    this.saysOwned = false
    const answer = await this.send(request)
    this.saysAll = false
    this.epoch = answer.memberEpoch
    this.intervalMs = answer.heartbeatIntervalMs
    if (isJoining) {
      this.link.info('joined', { memberId: this.memberId, generation: this.generation })
    }
    if (answer.assignment === null) return
    this.target = answer.assignment.topicPartitions
    this.link.rebalanced()
  }

  /** What is subscribed to; an empty pattern takes back one that was there before (version 0 knows none). */
  private topics() {
    const { names: subscribedTopicNames, pattern, hadPattern } = this
    if (pattern === null && !hadPattern) return { subscribedTopicNames }
    this.hadPattern = true
    return { subscribedTopicNames, subscribedTopicRegex: pattern ?? '' }
  }

  private who() {
    const { groupInstanceId } = this.config
    return {
      memberId: this.memberId,
      memberEpoch: this.epoch,
      ...(groupInstanceId === null ? {} : { instanceId: groupInstanceId }),
    }
  }

  private async send(request: Heartbeat): Promise<ResponseOf<'ConsumerGroupHeartbeat'>> {
    const attempt = attemptNow(this.io, this.cluster)
    return this.link.atCoordinator(attempt, async id => {
      const answer = await this.cluster.request(id, 'ConsumerGroupHeartbeat', request, attempt)
      this.link.check(answer.errorCode, 'ConsumerGroupHeartbeat', attempt, answer.errorMessage)
      return answer
    })
  }

  /** Whether the topics exist, which the coordinator does not say. Heartbeats go on meanwhile; what fails is looked at later. */
  private look(): void {
    const nowMs = this.io.clock.monotonicMs()
    if (this.names.length === 0 || nowMs < this.lookAtMs) return
    this.lookAtMs = nowMs + this.cluster.config.metadataMaxAgeMs
    const attempt = attemptNow(this.io, this.cluster)
    void this.cluster.metadata(this.names, attempt).then(
      ({ topics }) => {
        for (const { name, errorCode: code } of topics) {
          if (name !== null) this.link.exists(name, code !== UNKNOWN_TOPIC)
        }
      },
      () => {
        this.lookAtMs = 0
      },
    )
  }

  /** Moves towards the share, one move at a time. */
  private move(): void {
    if (this.target === null || this.moving !== null) return
    this.moving = this.moveTo(this.target)
      .catch(error => {
        // What fails for now is tried again after the next heartbeat.
        if (isRetriable(error) || this.isClosed) return
        this.isClosed = true
        this.pausing.wake()
        this.lose()
        this.owner.failed(error as Error)
      })
      .finally(() => {
        this.moving = null
      })
  }

  private async moveTo(share: Share): Promise<void> {
    const { life } = this
    const wanted = await this.withNames(share)
    if (wanted === null || this.life !== life) return
    const revoked = without(this.owned, wanted)
    if (revoked.length > 0) {
      await this.owner.revoked(revoked)
      if (this.life !== life) return
      this.owned = without(this.owned, revoked)
    }
    if (this.isClosed) return
    const added = without(wanted, this.owned)
    if (added.length > 0) await this.owner.assigned(added)
    if (this.life !== life) return
    this.owned = wanted
    if (this.target === share) this.target = null
    this.saysOwned = true
    this.beatNow()
  }

  /** Null: metadata do not know a topic yet. */
  private async withNames(share: Share): Promise<TopicPartition[] | null> {
    const isKnown = () => share.every(({ topicId }) => this.topicNames.has(topicId))
    if (!isKnown()) {
      const all = await this.cluster.metadata(null, attemptNow(this.io, this.cluster))
      for (const { name, topicId } of all.topics) this.topicNames.set(topicId, name ?? '')
    }
    if (!isKnown()) return null
    return share.flatMap(({ topicId, partitions }) =>
      partitions.map(partition => ({ topic: this.topicNames.get(topicId)!, partition })),
    )
  }

  private withIds(owned: readonly TopicPartition[]) {
    const topics = new Map<string, number[]>()
    const ids = new Map([...this.topicNames].map(([id, name]) => [name, id]))
    for (const { topic, partition } of owned) {
      const topicId = ids.get(topic)!
      topics.set(topicId, [...(topics.get(topicId) ?? []), partition])
    }
    return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }))
  }

  private beatNow(): void {
    this.mustBeat = true
    this.pausing.wake()
  }

  private pause(delayMs: number): Promise<void> {
    if (this.mustBeat || this.isClosed) return Promise.resolve()
    return this.pausing.for(delayMs)
  }
}

/** A RegExp finds its text anywhere; the coordinator's patterns have to match the whole name. */
function serverPattern({ source, flags }: RegExp): string {
  const isCaseless = flags.includes('i') ? '(?i)' : ''
  return `${isCaseless}.*(?:${source}).*`
}

/**
 * A member of a consumer group by the classic protocol: it joins, hears its share, says that it lives, and joins again
 * whenever the group changes.
 *
 *   find coordinator ─▶ JoinGroup ─▶ SyncGroup ─▶ share ─▶ Heartbeat … ─▶ (rebalance) ─▶ share given up ─▶ JoinGroup
 *
 * Heartbeats are sent by a timer of their own and wait for nothing that the application does. A rebalance takes the whole
 * share away first (Kafka's eager protocol); the owner commits what is done and stops what is under way. Where all
 * assignors are cooperative (KIP-429), members go on with what they have, give up only what the new share has not, and then
 * meet again, so that it can be given to others. When the group has gone on without this member, nothing can be committed
 * any more: `lost` in the place of `revoked`.
 */
import { errorCode } from '../protocol/errors.ts'
import type { Io } from '../protocol/io.ts'
import type { Assignor, GroupSubscriber, PartitionRacks } from './assignors.ts'
import type { Attempt, CallOptions, Cluster } from './cluster.ts'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './consumer-protocol.ts'
import { AnswerError, ClosedError, isRetriable } from './errors.ts'
import type { GroupConfig } from './group-config.ts'
import { GroupLink, type GroupOwner, type Membership, Pause } from './group-link.ts'
import type { CommittedOffset, OffsetToCommit } from './group-offsets.ts'
import { attemptNow, backoffMs } from './leader-search.ts'
import { type TopicPartition, without } from './topic-partition.ts'

interface Joined {
  readonly protocol: string
  readonly isLeader: boolean
  readonly members: readonly GroupSubscriber[]
}

const CONSUMER = 'consumer'
const MEMBER_ID_REQUIRED = errorCode('MEMBER_ID_REQUIRED')
const REBALANCE = errorCode('REBALANCE_IN_PROGRESS')
/** The coordinator answers a join when the rebalance ends; this much later it is taken for gone. */
const JOIN_GRACE_MS = 5_000

export class GroupMember implements Membership {
  private readonly io: Io
  private readonly cluster: Cluster
  private readonly config: GroupConfig
  private readonly owner: GroupOwner
  private names: readonly string[] = []
  private patterns: readonly RegExp[] = []
  private readonly link: GroupLink
  private readonly pausing: Pause
  memberId = ''
  generation = -1
  private hasShare = false
  private readonly isCooperative: boolean
  /** What it has. */
  private owned: readonly TopicPartition[] = []
  /** The last share, and its generation: what assignors tell the leader. */
  private lastShare: readonly TopicPartition[] = []
  private lastGeneration = -1
  private isClosed = false
  private isJoining = false
  private readonly stop = new AbortController()
  private running: Promise<void> | null = null
  /** What the last share was computed from; when it has changed the group has to meet again. */
  private seenTopics = ''
  private mustRejoin = false

  constructor(io: Io, cluster: Cluster, config: GroupConfig, owner: GroupOwner) {
    this.io = io
    this.cluster = cluster
    this.config = config
    this.owner = owner
    this.link = new GroupLink(io, cluster, config.groupId)
    this.pausing = new Pause(io)
    this.isCooperative = config.assignors.every(assignor => assignor.isCooperative === true)
  }

  subscribe(topics: readonly (string | RegExp)[]): void {
    this.names = topics.filter(topic => typeof topic === 'string')
    this.patterns = topics.filter(topic => typeof topic !== 'string')
    this.mustRejoin = true
    this.pausing.wake()
    this.running ??= this.run()
  }

  commit(offsets: readonly OffsetToCommit[], options: CallOptions = {}): Promise<void> {
    const { groupId, groupInstanceId } = this.config
    const committer = () => {
      const { memberId, generation } = this
      return { groupId, groupInstanceId, memberId, generation }
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
    // Behind a join that waits for others nothing else would be answered.
    if (this.isJoining) this.cluster.openConnection(this.link.coordinatorId)?.close()
    this.stop.abort(new ClosedError())
    await this.running
    if (this.memberId === '' || this.config.groupInstanceId !== null) return
    const { groupId } = this.config
    const { memberId } = this
    try {
      await this.link.atCoordinator(attemptNow(this.io, this.cluster), id =>
        this.cluster.request(
          id,
          'LeaveGroup',
          version => (version < 3 ? { groupId, memberId } : { groupId, members: [{ memberId }] }),
          attemptNow(this.io, this.cluster),
        ),
      )
    } catch (error) {
      // It will be missed when its session ends.
      if (!(error instanceof Error)) throw error
    }
  }

  private async run(): Promise<void> {
    let failures = 0
    while (!this.isClosed) {
      try {
        await this.join()
        failures = 0
        await this.serve()
        if (!this.isCooperative) await this.giveUp()
      } catch (error) {
        if (this.isClosed) break
        if (!(await this.recover(error as Error))) return
        failures++
        const waitMs = backoffMs(this.io, this.cluster, failures)
        this.link.retrying(error, failures, waitMs)
        await this.pause(waitMs)
      }
    }
    await this.giveUp().catch(() => {})
  }

  /** Whether the member can go on, from a new join. */
  private async recover(error: Error): Promise<boolean> {
    const name = error instanceof AnswerError ? error.error : ''
    const isForgotten = name === 'UNKNOWN_MEMBER_ID' || name === 'ILLEGAL_GENERATION'
    if (isForgotten) {
      const message = 'the group has gone on without this member, which joins again'
      this.link.warn(message, { error: name, generation: this.generation })
      if (name === 'UNKNOWN_MEMBER_ID') this.memberId = ''
      this.drop()
      return true
    }
    if (isRetriable(error) || name === 'REBALANCE_IN_PROGRESS') {
      this.drop()
      return true
    }
    this.drop()
    this.link.warn('the membership is over', { reason: error.message })
    this.owner.failed(error)
    return false
  }

  private drop(): void {
    this.generation = -1
    if (this.hasShare) this.owner.lost()
    this.hasShare = false
    this.owned = []
  }

  private async giveUp(): Promise<void> {
    const { hasShare, owned } = this
    this.hasShare = false
    this.owned = []
    if (hasShare) await this.owner.revoked(owned)
  }

  private async join(): Promise<void> {
    const attempt = this.attempt(this.config.rebalanceTimeoutMs + JOIN_GRACE_MS)
    this.mustRejoin = false
    this.isJoining = true
    const counts = await this.partitionCounts(attempt)
    const topics = this.subscribed(counts)
    const joined = await this.link.atCoordinator(attempt, id => this.sendJoin(id, topics, attempt))
    const known = joined.isLeader ? await this.countsFor(joined.members, attempt) : counts
    this.seenTopics = textOf(known)
    const share = await this.link.atCoordinator(attempt, id =>
      this.sendSync(id, joined, known, attempt),
    )
    this.isJoining = false
    const { memberId, generation } = this
    const { protocol: assignor, isLeader } = joined
    this.link.rebalanced()
    this.link.info('joined', { memberId, generation, assignor, isLeader })
    await this.take(share)
  }

  /** Goes over to a new share; what was given up for it can go to others only when the group meets once more. */
  private async take(share: readonly TopicPartition[]): Promise<void> {
    const before = this.hasShare ? this.owned : []
    this.hasShare = true
    this.lastShare = share
    this.lastGeneration = this.generation
    const revoked = without(before, share)
    if (revoked.length > 0) {
      this.owned = without(before, revoked)
      this.mustRejoin = true
      await this.owner.revoked(revoked)
    }
    this.owned = share
    await this.owner.assigned(without(share, before))
  }

  private async sendJoin(
    coordinatorId: number,
    topics: readonly string[],
    attempt: Attempt,
  ): Promise<Joined> {
    const { groupId, groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs } = this.config
    const { lastShare, lastGeneration, owned } = this
    const generation = lastGeneration
    const metadataOf = ({ userData }: Assignor): Buffer =>
      encodeSubscription({
        topics,
        userData: userData?.(lastShare, generation) ?? null,
        owned,
        generation,
        rackId: this.config.rackId,
      })
    for (;;) {
      const request = {
        groupId,
        sessionTimeoutMs,
        rebalanceTimeoutMs,
        memberId: this.memberId,
        ...(groupInstanceId === null ? {} : { groupInstanceId }),
        protocolType: CONSUMER,
        protocols: this.config.assignors.map(a => ({ name: a.name, metadata: metadataOf(a) })),
      }
      const waitMs = rebalanceTimeoutMs + JOIN_GRACE_MS
      const answer = await this.cluster.request(
        coordinatorId,
        'JoinGroup',
        request,
        attempt,
        waitMs,
      )
      if (answer.memberId !== '') this.memberId = answer.memberId
      if (answer.errorCode === MEMBER_ID_REQUIRED) continue
      this.link.check(answer.errorCode, 'JoinGroup', attempt)
      this.generation = answer.generationId
      const isLeader = answer.leader === answer.memberId && !answer.skipAssignment
      const members = answer.members.map(member => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        ...decodeSubscription(member.metadata),
      }))
      return { protocol: answer.protocolName ?? '', isLeader, members }
    }
  }

  private async sendSync(
    coordinatorId: number,
    { protocol, isLeader, members }: Joined,
    counts: ReadonlyMap<string, number>,
    attempt: Attempt,
  ): Promise<TopicPartition[]> {
    const { groupId, groupInstanceId, assignors } = this.config
    const assignor = assignors.find(({ name }) => name === protocol)
    const shares =
      isLeader && assignor !== undefined
        ? assignor.assign(members, counts, await this.racks(members, counts, attempt))
        : new Map()
    const request = {
      groupId,
      generationId: this.generation,
      memberId: this.memberId,
      ...(groupInstanceId === null ? {} : { groupInstanceId }),
      protocolType: CONSUMER,
      protocolName: protocol,
      assignments: [...shares].map(([memberId, partitions]) => ({
        memberId,
        assignment: encodeAssignment(partitions),
      })),
    }
    const waitMs = this.config.rebalanceTimeoutMs + JOIN_GRACE_MS
    const answer = await this.cluster.request(coordinatorId, 'SyncGroup', request, attempt, waitMs)
    this.link.check(answer.errorCode, 'SyncGroup', attempt)
    return decodeAssignment(answer.assignment)
  }

  /** Heartbeats until there is a rebalance to take part in. Throws when the group does not know the member any more. */
  private async serve(): Promise<void> {
    let lastMs = this.io.clock.monotonicMs()
    while (!this.isClosed && !this.mustRejoin) {
      await this.pause(this.config.heartbeatIntervalMs)
      if (this.isClosed || this.mustRejoin) return
      try {
        if (await this.beat()) return this.link.info('rebalance', { reason: 'others come or go' })
        lastMs = this.io.clock.monotonicMs()
        if (this.cluster.isFresh || !(await this.hasChanged())) continue
        return this.link.info('rebalance', { reason: 'topics or their partitions have changed' })
      } catch (error) {
        const silentMs = this.io.clock.monotonicMs() - lastMs
        if (!isRetriable(error) || silentMs > this.config.sessionTimeoutMs) throw error
      }
    }
  }

  /** Whether a rebalance has begun. */
  private async beat(): Promise<boolean> {
    const { groupId, groupInstanceId } = this.config
    const attempt = attemptNow(this.io, this.cluster)
    const request = {
      groupId,
      generationId: this.generation,
      memberId: this.memberId,
      ...(groupInstanceId === null ? {} : { groupInstanceId }),
    }
    return this.link.atCoordinator(attempt, async id => {
      const { errorCode: code } = await this.cluster.request(id, 'Heartbeat', request, attempt)
      if (code === REBALANCE) return true
      this.link.check(code, 'Heartbeat', attempt)
      return false
    })
  }

  private async hasChanged(): Promise<boolean> {
    const counts = await this.partitionCounts(attemptNow(this.io, this.cluster))
    return textOf(counts) !== this.seenTopics
  }

  /** Partitions of the topics that are subscribed to and exist. */
  private async partitionCounts(attempt: Attempt): Promise<Map<string, number>> {
    let names = this.names
    if (this.patterns.length > 0) {
      const { topics } = await this.cluster.metadata(null, attempt)
      const matching = topics
        .filter(topic => !topic.isInternal && this.patterns.some(p => p.test(topic.name ?? '')))
        .map(topic => topic.name ?? '')
      names = [...new Set([...names, ...matching])]
    }
    return this.counts(names, attempt)
  }

  private countsFor(
    members: readonly GroupSubscriber[],
    attempt: Attempt,
  ): Promise<Map<string, number>> {
    return this.counts([...new Set(members.flatMap(({ topics }) => topics))], attempt)
  }

  private async counts(names: readonly string[], attempt: Attempt): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    this.cluster.track(names)
    for (const name of [...names].sort()) {
      try {
        counts.set(name, (await this.cluster.topic(name, attempt)).partitions.length)
        this.link.exists(name, true)
      } catch (error) {
        // A topic may come later; who subscribes to it has no share of it until then.
        const isMissing =
          error instanceof AnswerError && error.error === 'UNKNOWN_TOPIC_OR_PARTITION'
        if (!isMissing) throw error
        this.link.exists(name, false)
      }
    }
    return counts
  }

  /** Where replicas are, if some member says where it is. */
  private async racks(
    members: readonly GroupSubscriber[],
    counts: ReadonlyMap<string, number>,
    attempt: Attempt,
  ): Promise<PartitionRacks | undefined> {
    if (members.every(({ rackId }) => !rackId)) return undefined
    const { brokers } = await this.cluster.metadata([], attempt)
    const racks = new Map(brokers.map(({ nodeId, rack }) => [nodeId, rack]))
    const racksOf = (nodes: readonly number[]) =>
      new Set(nodes.map(id => racks.get(id)).filter(rack => typeof rack === 'string'))
    return new Map(
      [...counts.keys()].map(topic => {
        const partitions = this.cluster.knownTopic(topic)?.partitions ?? []
        return [topic, partitions.map(({ replicaNodes }) => racksOf(replicaNodes))]
      }),
    )
  }

  private subscribed(counts: ReadonlyMap<string, number>): string[] {
    return [...new Set([...this.names, ...counts.keys()])].sort()
  }

  private attempt(timeoutMs: number): Attempt {
    const deadlineMs = this.io.clock.monotonicMs() + timeoutMs
    return { deadlineMs, signal: this.stop.signal, mayBeDone: false, asked: undefined }
  }

  private pause(delayMs: number): Promise<void> {
    return this.isClosed ? Promise.resolve() : this.pausing.for(delayMs)
  }
}

function textOf(counts: ReadonlyMap<string, number>): string {
  return JSON.stringify([...counts])
}

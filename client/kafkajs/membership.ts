/**
 * What a kafkajs consumer knows of its place in the group. It reads along with our group member (`ClusterHooks.answered`), so
 * that events come as kafkajs sends them, and does two things while the member waits: it has the leader's assigner work, and
 * before a rebalance it has committed what is done.
 */
import type { ApiName, ResponseOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { Io } from '../../protocol/io.ts'
import { decodeAssignment } from '../consumer-protocol.ts'
import type { TopicPartition } from '../topic-partition.ts'
import type { AssignerDesk } from './assigner-protocol.ts'
import type { CONSUMER_EVENTS, Events, Payloads } from './events.ts'

export interface MembershipOwner {
  /** Topics that this member subscribes to. */
  readonly topics: readonly string[]
  /** The group is about to rebalance: the last moment to commit. */
  leaving(): Promise<void>
  /** Something of the group was answered; the share may be in place. */
  progressed(): void
}

const REBALANCE = errorCode('REBALANCE_IN_PROGRESS')

export class Membership {
  memberId = ''
  generation = -1
  /** Counts the shares: what was read of an earlier one belongs to others now. */
  epoch = 0
  /** The share that the group has given, until `joined` has been told. */
  pending: readonly TopicPartition[] | null = null
  private readonly io: Io
  private readonly groupId: string
  private readonly emitter: Events<typeof CONSUMER_EVENTS>
  private readonly desk: AssignerDesk
  private readonly owner: MembershipOwner
  private beganMs: number
  private event: Payloads['group_join'] | null = null
  private protocol = ''
  private leaderId = ''

  constructor(
    io: Io,
    groupId: string,
    emitter: Events<typeof CONSUMER_EVENTS>,
    desk: AssignerDesk,
    owner: MembershipOwner,
  ) {
    this.io = io
    this.groupId = groupId
    this.emitter = emitter
    this.desk = desk
    this.owner = owner
    this.beganMs = io.clock.monotonicMs()
  }

  async answered(name: ApiName, answer: unknown): Promise<void> {
    if (name === 'JoinGroup') await this.hasJoined(answer as ResponseOf<'JoinGroup'>)
    else if (name === 'SyncGroup') this.hasSynced(answer as ResponseOf<'SyncGroup'>)
    else if (name === 'Heartbeat') await this.hasBeaten(answer as ResponseOf<'Heartbeat'>)
    this.owner.progressed()
  }

  /** The share is in place: tells whoever listens. */
  joined(): void {
    this.pending = null
    if (this.event !== null) this.emitter.emit('group_join', this.event)
    this.event = null
  }

  private async hasJoined(answer: ResponseOf<'JoinGroup'>): Promise<void> {
    if (answer.errorCode !== 0) return
    this.memberId = answer.memberId
    this.generation = answer.generationId
    this.protocol = answer.protocolName ?? ''
    this.leaderId = answer.leader
    this.epoch++
    if (answer.leader !== answer.memberId) return
    const members = answer.members.map(({ memberId, metadata }) => ({
      memberId,
      memberMetadata: metadata,
    }))
    await this.desk.lead(this.protocol, members, [...this.owner.topics])
  }

  private hasSynced(answer: ResponseOf<'SyncGroup'>): void {
    if (answer.errorCode !== 0) return
    const share = decodeAssignment(answer.assignment)
    const memberAssignment: Record<string, number[]> = {}
    for (const { topic, partition } of share) {
      memberAssignment[topic] = [...(memberAssignment[topic] ?? []), partition]
    }
    this.pending = share
    this.event = {
      groupId: this.groupId,
      memberId: this.memberId,
      leaderId: this.leaderId,
      isLeader: this.leaderId === this.memberId,
      memberAssignment,
      groupProtocol: this.protocol,
      duration: Math.round(this.io.clock.monotonicMs() - this.beganMs),
    }
  }

  private async hasBeaten({ errorCode: code }: ResponseOf<'Heartbeat'>): Promise<void> {
    const { groupId, memberId, generation } = this
    if (code === 0) {
      this.emitter.emit('heartbeat', { groupId, memberId, groupGenerationId: generation })
    }
    if (code !== REBALANCE) return
    this.beganMs = this.io.clock.monotonicMs()
    await this.owner.leaving()
    this.epoch++
    this.emitter.emit('rebalancing', { groupId, memberId })
  }
}

/**
 * Assigners of kafkajs: what they write and read (`AssignerProtocol`), its own one (`RoundRobinAssigner`, with the same name
 * and the same results, so that members of both clients share a group), and how our group member uses an application's.
 * An assigner answers with a promise, and our assignors do not, so the answer is worked out before the member sees that it
 * leads (`AssignerDesk.lead`). What an assigner's own `protocol` adds as user data is not sent.
 */
import { Reader, Writer } from '../../protocol/buffer.ts'
import type { Assignor } from '../assignors.ts'
import type { PartitionPicture } from '../cluster.ts'
import { decodeAssignment } from '../consumer-protocol.ts'
import type { TopicPartition } from '../topic-partition.ts'
import type { PartitionMetadata } from './partitioners.ts'
import type { Assigner, GroupMember, PartitionAssigner } from './shapes.ts'

export interface MemberMetadata {
  version: number
  topics: string[]
  userData: Buffer
}

export interface MemberAssignment {
  version: number
  assignment: Record<string, number[]>
  userData: Buffer
}

const NOTHING = Buffer.alloc(0)

export const AssignerProtocol = {
  MemberMetadata: {
    encode({ version, topics, userData = NOTHING }: Optional<MemberMetadata>): Buffer {
      const writer = new Writer(128)
      writer.int16(version)
      writer.int32(topics.length)
      for (const topic of topics) writeText(writer, topic)
      writeBytes(writer, userData)
      return writer.bytes()
    },
    decode(buffer: Buffer): MemberMetadata {
      const reader = new Reader(buffer)
      const version = reader.int16()
      const topics = readArray(reader, () => reader.text(reader.int16()))
      return { version, topics, userData: readBytes(reader) }
    },
  },
  MemberAssignment: {
    encode({ version, assignment, userData = NOTHING }: Optional<MemberAssignment>): Buffer {
      const writer = new Writer(128)
      writer.int16(version)
      const topics = Object.entries(assignment)
      writer.int32(topics.length)
      for (const [topic, partitions] of topics) {
        writeText(writer, topic)
        writer.int32(partitions.length)
        for (const partition of partitions) writer.int32(partition)
      }
      writeBytes(writer, userData)
      return writer.bytes()
    },
    /** Null for no bytes: a member without partitions. */
    decode(buffer: Buffer): MemberAssignment | null {
      if (buffer.length < 2) return null
      const reader = new Reader(buffer)
      const version = reader.int16()
      const topics = readArray(reader, () => {
        const topic = reader.text(reader.int16())
        return [topic, readArray(reader, () => reader.int32())] as const
      })
      return { version, assignment: Object.fromEntries(topics), userData: readBytes(reader) }
    },
  },
}

type Optional<T extends { userData: Buffer }> = Omit<T, 'userData'> & { userData?: Buffer }

const roundRobin: PartitionAssigner = ({ cluster }) => ({
  name: 'RoundRobinAssigner',
  version: 0,
  async assign({ members, topics }) {
    const memberIds = members.map(({ memberId }) => memberId).sort()
    const shares = new Map<string, Record<string, number[]>>()
    let turn = 0
    for (const topic of topics) {
      for (const { partitionId } of cluster.findTopicPartitionMetadata(topic)) {
        const memberId = memberIds[turn++ % memberIds.length]!
        const share = shares.get(memberId) ?? {}
        share[topic] = [...(share[topic] ?? []), partitionId]
        shares.set(memberId, share)
      }
    }
    return [...shares].map(([memberId, assignment]) => ({
      memberId,
      memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment }),
    }))
  },
  protocol({ topics }) {
    return {
      name: 'RoundRobinAssigner',
      metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics }),
    }
  },
})

export const PartitionAssigners = { roundRobin }

/** kafkajs's picture of a partition. */
export function partitionMetadata(
  partitions: readonly PartitionPicture[],
): (PartitionMetadata & { offlineReplicas: number[] })[] {
  return partitions.map((partition, partitionId) => ({
    partitionErrorCode: partition.errorCode,
    partitionId,
    leader: partition.leaderId,
    replicas: [...partition.replicaNodes],
    isr: [...partition.isrNodes],
    offlineReplicas: [...partition.offlineReplicas],
  }))
}

/** Between a group member and the assigners of the application. */
export class AssignerDesk {
  readonly assignors: readonly Assignor[]
  private readonly assigners: readonly Assigner[]
  private shares: Map<string, TopicPartition[]> = new Map()

  constructor(assigners: readonly Assigner[]) {
    this.assigners = assigners
    this.assignors = assigners.map(({ name }) => ({ name, assign: () => this.shares }))
  }

  /** Works out who gets what, for the member that is about to hear that it leads. */
  async lead(protocol: string, members: GroupMember[], topics: string[]): Promise<void> {
    const assigner = this.assigners.find(({ name }) => name === protocol)
    if (assigner === undefined) return
    const shares = await assigner.assign({ members, topics })
    this.shares = new Map(
      shares.map(({ memberId, memberAssignment }) => [
        memberId,
        decodeAssignment(memberAssignment),
      ]),
    )
  }
}

function writeText(writer: Writer, text: string): void {
  writer.int16(Buffer.byteLength(text))
  writer.text(text)
}

function writeBytes(writer: Writer, bytes: Buffer): void {
  writer.int32(bytes.length)
  writer.raw(bytes)
}

function readBytes(reader: Reader): Buffer {
  const length = reader.remaining < 4 ? 0 : reader.int32()
  return length <= 0 ? NOTHING : Buffer.from(reader.view(length))
}

function readArray<T>(reader: Reader, item: () => T): T[] {
  const count = Math.min(reader.int32(), reader.remaining)
  return Array.from({ length: Math.max(0, count) }, item)
}

/** A topic that is written to while groups read it, and how far they should come. */
import { type Admin, Kafka, logLevel } from 'kafkajs'
import { pause, subjectIsKafka } from './harness.ts'

/** Settings of a broker whose consumer groups notice soon who has gone: this session, two heartbeats a second. */
export const groupTimes = (sessionMs: string) => ({
  'group.consumer.min.session.timeout.ms': sessionMs,
  'group.consumer.session.timeout.ms': sessionMs,
  'group.consumer.min.heartbeat.interval.ms': '500',
  'group.consumer.heartbeat.interval.ms': '500',
})

export class GroupTopic {
  readonly name: string
  private readonly kafka: Kafka
  private readonly admin: Admin
  private isOver = false
  private writing: Promise<void> = Promise.resolve()

  private constructor(kafka: Kafka, name: string) {
    this.kafka = kafka
    this.name = name
    this.admin = kafka.admin()
  }

  /** Makes the topic and begins to write numbered records to all of its partitions. */
  static async start(bootstrap: string, name: string, partitions: number): Promise<GroupTopic> {
    const topic = new GroupTopic(
      new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }),
      name,
    )
    await topic.admin.connect()
    await topic.admin.createTopics({ topics: [{ topic: name, numPartitions: partitions }] })
    topic.writing = topic.write()
    return topic
  }

  private async write(): Promise<void> {
    const producer = this.kafka.producer()
    await producer.connect()
    for (let i = 0; !this.isOver; i++) {
      const messages = Array.from({ length: 20 }, (_, n) => ({ key: `${i}-${n}`, value: `${i}` }))
      await producer.send({ topic: this.name, messages })
      await pause(50)
    }
    await producer.disconnect()
  }

  /** The end offset of each partition, in order. */
  async ends(): Promise<number[]> {
    const asked = this.admin.fetchTopicOffsets(this.name)
    // Kafka's new topics have no leaders for a moment.
    const offsets = subjectIsKafka ? await asked.catch(() => null) : await asked
    if (offsets === null) return pause(100).then(() => this.ends())
    return offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high))
  }

  /** The committed offset of each partition, in order. */
  async committed(groupId: string): Promise<number[]> {
    const [topic] = await this.admin.fetchOffsets({ groupId, topics: [this.name] })
    const partitions = topic!.partitions.sort((a, b) => a.partition - b.partition)
    return partitions.map(({ offset }) => Number(offset))
  }

  /** Writes no more. */
  async settle(): Promise<void> {
    this.isOver = true
    await this.writing
  }

  async close(): Promise<void> {
    await this.settle()
    await this.admin.disconnect()
  }
}

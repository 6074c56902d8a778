/**
 * An application changes from the classic protocol to the consumer protocol while it runs, one consumer after the other, and back:
 * Kafka's verifiable consumers read all, and never two of them one partition.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { faultsOf, unread } from './consumer-stories.ts'
import { missing, type Server, startOttla, until } from './harness.ts'
import { VerifiableConsumer } from './verifiable-consumer.ts'

const PARTITIONS = 4
const RANGE = 'org.apache.kafka.clients.consumer.RangeAssignor'
const COOPERATIVE = 'org.apache.kafka.clients.consumer.CooperativeStickyAssignor'

let server: Server

before(async () => {
  const overrides = {
    'group.consumer.min.heartbeat.interval.ms': '500',
    'group.consumer.heartbeat.interval.ms': '500',
  }
  server = await startOttla({ overrides })
})

after(async () => {
  await server.stop()
})

for (const [name, strategy] of [
  ['eager', RANGE],
  ['cooperative', COOPERATIVE],
] as const) {
  test(`consumers change their protocol one by one, and back: ${name}`, {
    skip: missing('kafka'),
  }, async () => {
    const topic = `rolled-${name}`
    const kafka = new Kafka({ brokers: [server.bootstrap], logLevel: logLevel.NOTHING })
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }] })
    const producer = kafka.producer()
    await producer.connect()
    const all: VerifiableConsumer[] = []
    let alive: VerifiableConsumer[] = []
    let written = 0
    const write = async () => {
      written += 25
      const messages = Array.from({ length: 25 * PARTITIONS }, (_, i) => ({
        partition: i % PARTITIONS,
        value: String(i),
      }))
      await producer.send({ topic, messages })
    }
    const ends = () => Array<number>(PARTITIONS).fill(written)
    const start = (protocol: 'classic' | 'consumer') => {
      const more = protocol === 'classic' ? ['--assignment-strategy', strategy] : []
      const where = { bootstrap: server.bootstrap, topic, group: topic }
      const consumer = new VerifiableConsumer({ ...where, protocol, more })
      all.push(consumer)
      alive.push(consumer)
    }
    /** All partitions are shared by all who live, and what is written is read. */
    const settled = async () => {
      await until(() => {
        const held = alive.map(consumer => consumer.held)
        return held.every(count => count > 0) && held.reduce((a, b) => a + b) === PARTITIONS
      }, 'all partitions are shared')
      await write()
      await until(() => unread(all, ends()).length === 0, 'all is read')
    }
    const typeOf = async () => {
      const { groups } = await admin.listGroups()
      assert.ok(groups.some(({ groupId }) => groupId === topic))
      const described = await admin.describeGroups([topic])
      return described.groups[0]!.state === 'Dead' ? 'consumer' : 'classic'
    }
    try {
      start('classic')
      start('classic')
      await settled()
      assert.equal(await typeOf(), 'classic')
      for (const protocol of ['consumer', 'classic'] as const) {
        for (let i = 0; i < 2; i++) {
          const [oldest, ...others] = alive
          alive = others
          start(protocol)
          await oldest!.end('SIGTERM')
          await settled()
        }
        assert.equal(await typeOf(), protocol)
      }
      while (alive.length > 0) await alive.pop()!.end('SIGTERM')
      assert.deepEqual(faultsOf(all, ends()), [])
    } finally {
      for (const consumer of all) await consumer.end('SIGKILL')
      await producer.disconnect()
      await admin.disconnect()
    }
  })
}

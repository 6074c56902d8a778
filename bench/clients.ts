/**
 * Clients side by side: our client and kafkajs against one broker, 100-byte records, 3 partitions, acks=1. Each workload runs in a
 * process of its own, after a warm-up; what is printed is records a second and the client's processor time.
 *
 *   node dist/bench/clients.js HOST:PORT [millions of records, default 0.3]
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Client } from '../client/client.ts'

const PARTITIONS = 3
const value = Buffer.alloc(100, 'x')

interface Sides {
  /** One record, to be awaited. */
  send(): Promise<unknown>
  /** A hundred records with one promise. */
  sendHundred(): Promise<unknown>
  /** Reads `count` records that are there, one by one or by the batch. */
  consume(count: number, isByBatch: boolean): Promise<void>
  close(): Promise<void>
}

const hundred = Array.from({ length: 100 }, () => ({ value }))

function ottla(bootstrap: string, topic: string): Sides {
  const client = new Client({ bootstrap })
  const producer = client.producer({ acks: 1 })
  return {
    send: () => producer.send({ topic, value }),
    sendHundred: () => producer.sendBatch(topic, hundred),
    async consume(count, isByBatch) {
      const consumer = client.consumer()
      const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition)
      consumer.assign(partitions.map(partition => ({ topic, partition, offset: 'earliest' })))
      let left = count
      if (isByBatch) while (left > 0) left -= (await consumer.nextBatch())!.records.length
      else for await (const _ of consumer) if (--left <= 0) break
      await consumer.close()
    },
    close: () => producer.close(),
  }
}

async function kafkajs(bootstrap: string, topic: string): Promise<Sides> {
  const { default: kafka } = await import('kafkajs')
  const client = new kafka.Kafka({ brokers: [bootstrap], logLevel: kafka.logLevel.NOTHING })
  const producer = client.producer({ createPartitioner: kafka.Partitioners.DefaultPartitioner })
  await producer.connect()
  return {
    send: () => producer.send({ topic, acks: 1, messages: [{ value }] }),
    sendHundred: () => producer.send({ topic, acks: 1, messages: hundred }),
    async consume(count, isByBatch) {
      const consumer = client.consumer({ groupId: `bench-${topic}-${process.pid}` })
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      let left = count
      await new Promise<void>(resolve => {
        const took = (records: number) => {
          left -= records
          if (left <= 0) resolve()
        }
        const handlers = isByBatch
          ? {
              eachBatch: async ({ batch }: { batch: { messages: unknown[] } }) =>
                took(batch.messages.length),
            }
          : { eachMessage: async () => took(1) }
        void consumer.run(handlers)
      })
      await consumer.disconnect()
    },
    close: () => producer.disconnect(),
  }
}

/** What is done for how many records. */
const WORKLOADS: Readonly<Record<string, (sides: Sides, records: number) => Promise<void>>> = {
  'one record, awaited': async (sides, records) => {
    for (let i = 0; i < records / 100; i++) await sides.send()
  },
  '1,000 sends in flight': async (sides, records) => {
    let left = records
    const sender = async () => {
      while (left-- > 0) await sides.send()
    }
    await Promise.all(Array.from({ length: 1_000 }, sender))
  },
  '100 records a send': async (sides, records) => {
    for (let i = 0; i < records; i += 100) await sides.sendHundred()
  },
  'consume, per record': (sides, records) => sides.consume(records, false),
  'consume, per batch': (sides, records) => sides.consume(records, true),
}

async function runOne(
  name: string,
  workload: string,
  bootstrap: string,
  topic: string,
  records: number,
) {
  const sides = name === 'ottla' ? ottla(bootstrap, topic) : await kafkajs(bootstrap, topic)
  const work = WORKLOADS[workload]!
  await work(sides, records / 10)
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  await work(sides, records)
  const seconds = (performance.now() - startMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const done = workload === 'one record, awaited' ? records / 100 : records
  const rate = Math.round(done / seconds).toLocaleString('en-US')
  console.log(`${rate}; ${((user + system) / done).toFixed(2)}`)
  await sides.close()
  // Consumers of some clients leave timers behind.
  process.exit(0)
}

async function runAll(bootstrap: string, records: number): Promise<void> {
  const topic = `bench-clients-${Date.now()}`
  const client = new Client({ bootstrap })
  const admin = client.admin()
  await admin.createTopics([{ name: topic, partitions: PARTITIONS }])
  admin.cluster.close()
  const producer = client.producer()
  for (let i = 0; i < records * 1.1; i += 100) await producer.sendBatch(topic, hundred)
  await producer.close()
  console.log('| records/s; client CPU s per million | kafkajs | ottla |\n| --- | --- | --- |')
  const script = fileURLToPath(import.meta.url)
  for (const workload of Object.keys(WORKLOADS)) {
    const cells = ['kafkajs', 'ottla'].map(name => {
      const args = [script, '--run', name, workload, bootstrap, topic, String(records)]
      return execFileSync(process.execPath, args, { encoding: 'utf8' }).trim()
    })
    console.log(`| ${workload} | ${cells.join(' | ')} |`)
  }
}

const [first = '127.0.0.1:9092', ...rest] = process.argv.slice(2)
if (first === '--run') {
  const [name, workload, bootstrap, topic, records] = rest as [
    string,
    string,
    string,
    string,
    string,
  ]
  await runOne(name, workload, bootstrap, topic, Number(records))
} else await runAll(first, Number(rest[0] ?? 0.3) * 1e6)

/**
 * Clients side by side against one broker: ours, ours under kafkajs's names, kafkajs, @platformatic/kafka and
 * @confluentinc/kafka-javascript. 100-byte records, 3 partitions, acks=1. Each workload runs in a process of its own, after a
 * warm-up; what is printed is records a second, and the processor time of client and broker in seconds per million records,
 * which says more on a machine that does other things, too.
 *
 *   node dist/bench/clients.js [millions of records, default 0.3] [--broker HOST:PORT PID]
 *
 * Without --broker it starts one of ours. kafkajs is among the development dependencies; the others are taken from the folder
 * that OTTLA_CLIENTS names (`npm install` them there), and left out where they are not.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '../client/client.ts'
import { Kafka } from '../client/kafkajs/kafka.ts'

const PARTITIONS = 3
const AWAITED_PART = 100
const value = Buffer.alloc(100, 'x')
const hundred = Array.from({ length: 100 }, () => ({ value }))

interface Sides {
  /** One record, to be awaited. */
  send(): Promise<unknown>
  /** A hundred records with one promise. */
  sendHundred(): Promise<unknown>
  /** Reads `count` records that are there, one by one or by the batch; null: this client has no such thing. */
  readonly consume: ((count: number, isByBatch: boolean) => Promise<void>) | null
  readonly consumesBatches: boolean
  close(): Promise<unknown>
}

/** Packages that this project does not depend on are used as their documentation has it, without their types. */
type Loose = { [name: string]: (...args: unknown[]) => Loose } & (new (...args: unknown[]) => Loose)

const outside = createRequire(join(resolve(process.env['OTTLA_CLIENTS'] ?? '.'), 'clients.js'))

function ottla(bootstrap: string, topic: string): Sides {
  const client = new Client({ bootstrap })
  const producer = client.producer({ acks: 1 })
  return {
    send: () => producer.send({ topic, value }),
    sendHundred: () => producer.sendBatch(topic, hundred),
    consumesBatches: true,
    async consume(count, isByBatch) {
      const consumer = client.consumer({ batches: isByBatch ? 'fetched' : 'written' })
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

/** kafkajs's own shape, which three of the packages have. `nested` is where confluent's keeps its options. */
async function shapedAsKafkajs(kafka: Loose, topic: string, nested: string | null): Promise<Sides> {
  const options = (own: object) => (nested === null ? own : { [nested]: own })
  const producer = kafka['producer']!(options(nested === null ? {} : { acks: 1 }))
  await producer['connect']!()
  const acks = nested === null ? { acks: 1 } : {}
  return {
    send: async () => producer['send']!({ topic, ...acks, messages: [{ value }] }),
    sendHundred: async () => producer['send']!({ topic, ...acks, messages: hundred }),
    consumesBatches: true,
    async consume(count, isByBatch) {
      const groupId = `bench-${topic}-${process.pid}-${Math.random()}`
      const fromBeginning = nested === null ? {} : { fromBeginning: true }
      const consumer = kafka['consumer']!(options({ groupId, ...fromBeginning }))
      await consumer['connect']!()
      await consumer['subscribe']!({ topic, ...(nested === null && { fromBeginning: true }) })
      let left = count
      await new Promise<void>(resolve => {
        const took = (records: number) => {
          left -= records
          if (left <= 0) resolve()
        }
        const eachBatch = async ({ batch }: { batch: { messages: unknown[] } }) =>
          took(batch.messages.length)
        void consumer['run']!(isByBatch ? { eachBatch } : { eachMessage: async () => took(1) })
      })
      await consumer['disconnect']!()
    },
    close: async () => producer['disconnect']!(),
  }
}

async function kafkajs(bootstrap: string, topic: string): Promise<Sides> {
  const { default: lib } = await import('kafkajs')
  process.env['KAFKAJS_NO_PARTITIONER_WARNING'] = '1'
  const kafka = new lib.Kafka({ brokers: [bootstrap], logLevel: lib.logLevel.NOTHING })
  return shapedAsKafkajs(kafka as unknown as Loose, topic, null)
}

function facade(bootstrap: string, topic: string): Promise<Sides> {
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: 0 })
  return shapedAsKafkajs(kafka as unknown as Loose, topic, null)
}

function confluent(bootstrap: string, topic: string): Promise<Sides> {
  const { KafkaJS } = outside('@confluentinc/kafka-javascript') as { KafkaJS: { Kafka: Loose } }
  const kafka = new KafkaJS.Kafka({ kafkaJS: { brokers: [bootstrap], logLevel: 0 } })
  return shapedAsKafkajs(kafka, topic, 'kafkaJS')
}

async function platformatic(bootstrap: string, topic: string): Promise<Sides> {
  // It is written for Node 22, which has this; else it runs here.
  Object.assign(Promise, {
    withResolvers() {
      let settle: unknown[] = []
      const promise = new Promise((...both) => {
        settle = both
      })
      return { promise, resolve: settle[0], reject: settle[1] }
    },
  })
  const lib = outside('@platformatic/kafka') as { Producer: Loose; Consumer: Loose }
  const common = { clientId: 'bench', bootstrapBrokers: [bootstrap] }
  const producer = new lib.Producer(common)
  const one = { acks: 1, messages: [{ topic, value }] }
  const many = { acks: 1, messages: hundred.map(message => ({ topic, ...message })) }
  return {
    send: async () => producer['send']!(one),
    sendHundred: async () => producer['send']!(many),
    consumesBatches: false,
    async consume(count) {
      const groupId = `bench-${topic}-${process.pid}-${Math.random()}`
      const consumer = new lib.Consumer({ ...common, groupId })
      // Its default of 50 MB a Fetch is four times slower.
      const options = { topics: [topic], mode: 'earliest', maxBytes: 1_048_576, maxWaitTime: 100 }
      const stream = (await consumer['consume']!(options)) as unknown as AsyncIterable<unknown>
      let left = count
      for await (const _ of stream) if (--left <= 0) break
      await consumer['close']!(true)
    },
    close: async () => producer['close']!(),
  }
}

const CLIENTS: Readonly<
  Record<string, (bootstrap: string, topic: string) => Sides | Promise<Sides>>
> = {
  kafkajs,
  '@platformatic/kafka': platformatic,
  '@confluentinc/kafka-javascript': confluent,
  ottla,
  'ottla as kafkajs': facade,
}

/** What is done for how many records. */
const WORKLOADS: Readonly<Record<string, (sides: Sides, records: number) => Promise<void>>> = {
  'one record, awaited': async (sides, records) => {
    for (let i = 0; i < records / AWAITED_PART; i++) await sides.send()
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
  'consume, per record': async (sides, records) => sides.consume!(records, false),
  'consume, per batch': async (sides, records) => sides.consume!(records, true),
}

/** Processor time that a process has had so far, in seconds. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function runOne(name: string, workload: string, where: Where): Promise<void> {
  const { bootstrap, topic, records, pid } = where
  const sides = await CLIENTS[name]!(bootstrap, topic)
  const isMissing = workload.includes('batch') && !sides.consumesBatches
  if (isMissing) return void console.log('–')
  const work = WORKLOADS[workload]!
  await work(sides, records / 10)
  const [cpu, brokerCpu] = [process.cpuUsage(), cpuOf(pid)]
  const startMs = performance.now()
  await work(sides, records)
  const seconds = (performance.now() - startMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const done = workload === 'one record, awaited' ? records / AWAITED_PART : records
  const rate = Math.round(done / seconds).toLocaleString('en-US')
  const brokerSeconds = ((cpuOf(pid) - brokerCpu) * 1e6) / done
  console.log(`${rate}; ${((user + system) / done).toFixed(2)}; ${brokerSeconds.toFixed(2)}`)
  await sides.close()
}

interface Where {
  readonly bootstrap: string
  readonly pid: number
  readonly topic: string
  readonly records: number
}

function isThere(name: string): boolean {
  if (!name.startsWith('@')) return true
  try {
    outside(name)
    return true
  } catch {
    console.log(`${name} is not here, and left out`)
    return false
  }
}

async function runAll(bootstrap: string, pid: number, records: number): Promise<void> {
  const topic = `bench-clients-${Date.now()}`
  const client = new Client({ bootstrap })
  const admin = client.admin()
  await admin.createTopics([{ name: topic, partitions: PARTITIONS }])
  admin.close()
  const producer = client.producer()
  for (let i = 0; i < records * 1.1; i += 100) await producer.sendBatch(topic, hundred)
  await producer.close()
  const names = Object.keys(CLIENTS).filter(isThere)
  const head = 'records/s; client, broker CPU s per million'
  console.log(`| ${head} | ${names.join(' | ')} |\n|${' --- |'.repeat(names.length + 1)}`)
  const script = fileURLToPath(import.meta.url)
  for (const workload of Object.keys(WORKLOADS)) {
    const cells = names.map(name => {
      const where: Where = { bootstrap, pid, topic, records }
      const args = [script, '--run', name, workload, JSON.stringify(where)]
      try {
        const output = execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 300_000 })
        return output.trim().split('\n').at(-1)
      } catch (error) {
        return `failed: ${(error as Error).message.split('\n', 1)[0]}`
      }
    })
    console.log(`| ${workload} | ${cells.join(' | ')} |`)
  }
}

/** A broker of ours in a process of its own. */
async function withBroker(run: (bootstrap: string, pid: number) => Promise<void>): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'ottla-clients-'))
  const args = ['bin/ottla', 'broker', '--port', '21690', '--data-dir', dataDir]
  const broker = spawn(process.execPath, [...args, '--override', 'metrics.listener='], {
    stdio: 'ignore',
  })
  try {
    await run('127.0.0.1:21690', broker.pid!)
  } finally {
    broker.kill()
    await new Promise(done => broker.once('exit', done))
    rmSync(dataDir, { recursive: true, force: true })
  }
}

const [first = '0.3', ...rest] = process.argv.slice(2)
if (first === '--run') {
  await runOne(rest[0]!, rest[1]!, JSON.parse(rest[2]!) as Where)
  // Consumers of some clients leave timers behind.
  process.exit(0)
}
const records = Number(first) * 1e6
if (rest[0] === '--broker') await runAll(rest[1]!, Number(rest[2]), records)
else await withBroker((bootstrap, pid) => runAll(bootstrap, pid, records))

/**
 * What producers lose while the same broker compacts: `node dist/bench/compaction-load.js [MB] [rounds]`. A producer sends as
 * fast as it can; in each round its rate is measured first with the cleaner at rest, then while it compacts so many MB of
 * 1 KB records. Broker, producer and the cleaner's thread share this machine's cores.
 */
import type { Admin } from '../client/admin.ts'
import { Client } from '../client/client.ts'
import type { Producer } from '../client/producer.ts'
import { median } from './bench-log.ts'
import { BenchBroker } from './group-bench.ts'

const MEGABYTES = Number(process.argv[2] ?? 300)
const ROUNDS = Number(process.argv[3] ?? 3)
const REST_MS = 4000
const HELD = '86400000'
const BATCH = 100
const IN_FLIGHT = 20

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

async function fill(producer: Producer, random: () => number): Promise<void> {
  const value = Buffer.alloc(1000, 'v')
  for (let i = 0; i < MEGABYTES; i++) {
    const messages = Array.from({ length: 1000 }, () => ({
      key: Buffer.from(`key-${Math.floor(random() * 20_000)}`),
      value,
    }))
    await producer.sendBatch('compacted', messages)
  }
}

/** Sends for as long as nobody stops it; counts what was acknowledged. */
class Load {
  count = 0
  private isStopped = false
  private readonly running: Promise<unknown>

  constructor(producer: Producer) {
    const messages = Array.from({ length: BATCH }, () => ({ value: Buffer.alloc(1000, 'w') }))
    const run = async () => {
      while (!this.isStopped) {
        await producer.sendBatch('load', messages)
        this.count += BATCH
      }
    }
    this.running = Promise.all(Array.from({ length: IN_FLIGHT }, run))
  }

  /** Records a second while `work` runs. */
  async rate(work: () => Promise<unknown>): Promise<number> {
    const before = this.count
    const startMs = performance.now()
    await work()
    return (this.count - before) / ((performance.now() - startMs) / 1000)
  }

  async stop(): Promise<void> {
    this.isStopped = true
    await this.running
  }
}

/** Lets the cleaner work, and waits for the line that says how its pass went. */
async function compactOnce(admin: Admin, output: () => string[], said: number): Promise<string> {
  const set = (value: string) => ({ 'min.compaction.lag.ms': value })
  await admin.incrementalAlterConfigs([{ type: 'topic', name: 'compacted', set: set('0') }])
  for (;;) {
    const passes = output().filter(line => line.includes('"log compacted"'))
    if (passes.length > said) {
      const change = { type: 'topic' as const, name: 'compacted', set: set(HELD) }
      await admin.incrementalAlterConfigs([change])
      return passes.at(-1)!
    }
    await pause(5)
  }
}

async function measure(client: Client, output: () => string[]): Promise<void> {
  const admin = client.admin()
  const configs = {
    'cleanup.policy': 'compact',
    'min.cleanable.dirty.ratio': '0.01',
    'min.compaction.lag.ms': HELD,
    'segment.bytes': String(64 * 1024 * 1024),
  }
  await admin.createTopics([{ name: 'compacted', partitions: 1, configs }])
  const kept = { 'retention.bytes': String(256 * 1024 * 1024) }
  await admin.createTopics([{ name: 'load', partitions: 1, configs: kept }])
  const filler = client.producer({ maxRequestBytes: 2_000_000, batchBytes: 1_000_000 })
  const producer = client.producer()
  const ratios: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await fill(filler, Math.random)
    const load = new Load(producer)
    await pause(1000)
    const before = await load.rate(() => pause(REST_MS))
    let line = ''
    const during = await load.rate(async () => {
      line = await compactOnce(admin, output, round)
    })
    const after = await load.rate(() => pause(REST_MS))
    await load.stop()
    const rest = (before + after) / 2
    ratios.push(during / rest)
    const { bytesRead, seconds } = JSON.parse(line) as { bytesRead: number; seconds: number }
    const speed = `${(bytesRead / 2e6 / seconds).toFixed(0)} MB/s in ${seconds.toFixed(1)} s`
    console.log(
      `at rest ${rest.toFixed(0)} records/s, during compaction ${during.toFixed(0)} (${speed})`,
    )
  }
  console.log(`producers keep ${(100 * median(ratios)).toFixed(0)} % (median of ${ROUNDS})`)
  await Promise.all([filler.close(), producer.close()])
  admin.close()
}

const broker = await BenchBroker.start({ 'log.cleaner.backoff.ms': '20' })
try {
  await measure(new Client({ bootstrap: broker.bootstrap }), () => broker.lines())
} finally {
  await broker.stop()
}

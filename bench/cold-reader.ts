/**
 * What a reader who catches up on a log that is not in memory does to producers: their latency alone, and while one
 * connection reads the whole log from its beginning as fast as it is given.
 *
 *   node dist/bench/cold-reader.js [--gb 10] [--seconds 10] [--rate 2000] [--rounds 3] [--json file]
 *
 * Producers keep an open loop: requests (one batch of ten records of 100 bytes, acks=all) are due at a rate, and latency
 * counts from then (HDR histogram). Before each turn of the reader the log is synced and dropped from the page cache with
 * posix_fadvise(POSIX_FADV_DONTNEED), which `dd iflag=nocache` does for a file, without being root; how much of it is left
 * there `fincore` says. On a busy machine the generator itself is late; what is left without that is FROM SENDING. Goal: a p99 of at most twice the one without a reader. Needs the space below TMPDIR.
 */
import { execFile } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { table } from '../cli/topic-tables.ts'
import { median } from './bench-log.ts'
import { BenchBroker } from './group-bench.ts'
import { addEncoded, newLatency, type Percentiles, percentilesOf } from './latency.ts'
import {
  fetching,
  type LeanResult,
  leanBatch,
  producing,
  runLean,
  startLean,
  stepsOf,
} from './lean-job.ts'
import { loadText, machineFacts, machineText } from './machine.ts'
import { shownMs } from './table.ts'

const PARTITIONS = 4
const TOPIC = 'cold'
/** Of the log that is read; producers send fewer records at a time. */
const RECORDS = 152
const FETCH_BYTES = 1 << 20
const WARMUP_SECONDS = 2
const CONNECTIONS = 8
const exec = promisify(execFile)

interface Turn {
  readonly latency: Percentiles
  readonly late: Percentiles
  readonly service: Percentiles
  /** Parts of one core that the broker used. */
  readonly cores: number
  readonly reader: {
    readonly mbPerSecond: number
    readonly gb: number
    readonly hasEnded: boolean
  } | null
}

/** Answers the log's batches a partition. */
async function fill(broker: BenchBroker, batch: Buffer): Promise<number> {
  const each = Math.ceil((gigabytes * 1e9) / batch.length / PARTITIONS)
  const rings = producing(broker.topicId(TOPIC), PARTITIONS, batch, 1)
  const pace = { inFlight: 20, warmup: 0, measured: each * PARTITIONS }
  await runLean({ port: broker.port, pid: broker.pid, connections: 1, rings, pace })
  return each
}

/** Answers how many MB of the logs are still in the page cache. */
async function dropFromCache(broker: BenchBroker): Promise<number> {
  const files = readdirSync(broker.dataDir, { recursive: true })
    .map(name => join(broker.dataDir, String(name)))
    .filter(name => name.endsWith('.log'))
  await exec('sync')
  for (const file of files) await exec('dd', [`if=${file}`, 'iflag=nocache', 'count=0'])
  const { stdout } = await exec('fincore', ['--bytes', '--noheadings', '--output', 'RES', ...files])
  return stdout.split('\n').reduce((sum, line) => sum + Number(line), 0) / 1e6
}

function produce(broker: BenchBroker, batch: Buffer): Promise<LeanResult> {
  const rings = producing(broker.topicId(TOPIC), PARTITIONS, batch, CONNECTIONS)
  const pace = { perSecond: rate, warmupSeconds: WARMUP_SECONDS, seconds }
  const { port, pid } = broker
  return runLean({ port, pid, connections: CONNECTIONS, rings, pace })
}

/** All partitions in each request, as a consumer of them asks. */
function startReader(broker: BenchBroker, batch: Buffer, each: number) {
  const indexes = Array.from({ length: PARTITIONS }, (_, i) => i)
  const steps = stepsOf(batch, RECORDS, 0, each * RECORDS, FETCH_BYTES)
  const ring = fetching(broker.topicId(TOPIC), indexes, steps)
  const measured = Math.floor(ring.bytes.length / ring.requestBytes)
  const pace = { inFlight: 1, warmup: 0, measured }
  const { port, pid } = broker
  return { run: startLean({ port, pid, connections: 1, rings: [ring], pace }), measured }
}

async function turn(
  broker: BenchBroker,
  batch: Buffer,
  read: { batch: Buffer; each: number } | null,
): Promise<Turn> {
  const reader = read === null ? null : startReader(broker, read.batch, read.each)
  const result = await produce(broker, batch)
  reader?.run.stop()
  const what = reader === null ? null : await reader.run.result
  return {
    latency: percentiles(result.latency),
    late: percentiles(result.late),
    service: percentiles(result.service),
    cores: result.cpu / result.seconds,
    reader: what && {
      mbPerSecond: what.bytesReceived / 1e6 / what.seconds,
      gb: what.bytesReceived / 1e9,
      hasEnded: what.requests === reader!.measured,
    },
  }
}

function percentiles(text: string): Percentiles {
  const latency = newLatency()
  addEncoded(latency, text)
  return percentilesOf(latency)!
}

function shown(alone: readonly Turn[], beside: readonly Turn[]): string {
  const rows = alone.flatMap((one, i) => [row('alone', one), row('reader', beside[i]!)])
  const head = [
    '',
    'P50 ms',
    'P99',
    'P99.9',
    'MAX',
    'SENT LATE P99',
    'FROM SENDING P99',
    'BROKER CORES',
    'READER MB/s',
    'GB',
  ]
  return table(head, rows)
}

function row(name: string, { latency, late, service, cores, reader }: Turn): string[] {
  const { p50Ms, p99Ms, p999Ms, maxMs } = latency
  const read =
    reader === null
      ? ['', '']
      : [reader.mbPerSecond.toFixed(0), `${reader.gb.toFixed(1)}${reader.hasEnded ? ', all' : ''}`]
  return [
    name,
    ...[p50Ms, p99Ms, p999Ms, maxMs, late.p99Ms, service.p99Ms].map(shownMs),
    cores.toFixed(2),
    ...read,
  ]
}

const { values } = parseArgs({
  options: {
    gb: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '10' },
    rate: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' },
  },
})
const [gigabytes, seconds] = [Number(values.gb), Number(values.seconds)]
const [rate, rounds] = [Number(values.rate), Number(values.rounds)]
const machine = machineFacts()
console.log(`${machineText(machine)}; load before: ${loadText()}`)
const broker = await BenchBroker.start({})
try {
  await broker.createTopic(TOPIC, PARTITIONS)
  const [stored, sent] = [await leanBatch(RECORDS, 100), await leanBatch(10, 100)]
  const each = await fill(broker, stored)
  const [alone, beside]: [Turn[], Turn[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    const leftMb = await dropFromCache(broker)
    console.log(`round ${round + 1}: ${leftMb.toFixed(0)} MB of the log in the page cache`)
    alone.push(await turn(broker, sent, null))
    beside.push(await turn(broker, sent, { batch: stored, each }))
  }
  const ratioOf = (key: 'latency' | 'service') =>
    median(beside.map((one, i) => one[key].p99Ms / alone[i]![key].p99Ms))
  const [ratio, serviceRatio] = [ratioOf('latency'), ratioOf('service')]
  console.log(shown(alone, beside))
  console.log(
    `p99 beside a reader to p99 alone, median: ${ratio.toFixed(2)} (goal 2), from sending ${serviceRatio.toFixed(2)}; load after: ${loadText()}`,
  )
  if (values.json !== undefined) {
    const json = { machine, gigabytes, seconds, rate, ratio, serviceRatio, alone, beside }
    writeFileSync(values.json, `${JSON.stringify(json, null, 2)}\n`)
  }
} finally {
  await broker.stop()
}

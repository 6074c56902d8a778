/**
 * A broker beside what Node, the kernel and a file can do at all, under load that costs its generator next to nothing
 * (lean-worker.ts): 16 KiB batches, batches of one record, fetches.
 *
 *   node dist/bench/lean.js [--size 1] [--rounds 3] [--json file] [name of a case]...
 *
 * The bar (raw-server.ts) and the broker take turns, each in a process of its own with a directory that is gone afterwards.
 * What is written stays below 2 GB a run, so that the page cache is measured and not the disk. On two cores generator and
 * server share the machine: the ratios count, and of those the ones of CPU are steadier. `--size` shortens all runs.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { table } from '../cli/topic-tables.ts'
import { median } from './bench-log.ts'
import { BenchBroker } from './group-bench.ts'
import {
  end,
  endOffsets,
  expectBytes,
  fetching,
  type LeanResult,
  leanBatch,
  type Pace,
  producing,
  type Ring,
  runLean,
  stepsOf,
} from './lean-job.ts'
import { loadText, machineFacts, machineText } from './machine.ts'
import type { RawJob } from './raw-server.ts'

const PARTITIONS = 4
const KIB = 1024

interface Case {
  readonly name: string
  readonly connections: number
  readonly inFlight: number
  /** Requests: before it counts, and then. */
  readonly warmup: number
  readonly measured: number
  /** Records of 100 bytes in a batch. */
  readonly records: number
  /** Of an answer to a Fetch; 0: the case produces. */
  readonly readBytes: number
}

/** 16 KiB: as many records of 100 bytes as go into a producer's batch. */
const FULL = 152

const CASES: readonly Case[] = [
  {
    name: 'produce 16 KiB, 4 × 5',
    connections: 4,
    inFlight: 5,
    warmup: 20_000,
    measured: 80_000,
    records: FULL,
    readBytes: 0,
  },
  {
    name: 'produce 1 record, 1 × 64',
    connections: 1,
    inFlight: 64,
    warmup: 500_000,
    measured: 1_500_000,
    records: 1,
    readBytes: 0,
  },
  {
    name: 'produce 1 record, 8 × 64',
    connections: 8,
    inFlight: 64,
    warmup: 500_000,
    measured: 2_000_000,
    records: 1,
    readBytes: 0,
  },
  {
    name: 'produce 1 record, 16 × 1',
    connections: 16,
    inFlight: 1,
    warmup: 50_000,
    measured: 200_000,
    records: 1,
    readBytes: 0,
  },
  {
    name: 'fetch 1 MiB, 4 × 1',
    connections: 4,
    inFlight: 1,
    warmup: 3_000,
    measured: 5_000,
    records: FULL,
    readBytes: KIB * KIB,
  },
  {
    name: 'fetch 64 KiB, 4 × 1',
    connections: 4,
    inFlight: 1,
    warmup: 20_000,
    measured: 40_000,
    records: FULL,
    readBytes: 64 * KIB,
  },
]

/** What is read: so much of each partition. */
const STORED_BYTES = 128 * KIB * KIB

interface Figures {
  readonly perSecond: number
  /** Of records and what is around them; MB is a million bytes. */
  readonly mbPerSecond: number
  readonly cpuPerGb: number
  readonly cpuMicros: number
  readonly generatorMicros: number
}

function figuresOf(one: Case, result: LeanResult, requestBytes: number): Figures {
  const bytes = one.readBytes > 0 ? result.bytesReceived : requestBytes * result.requests
  return {
    perSecond: result.requests / result.seconds,
    mbPerSecond: bytes / 1e6 / result.seconds,
    cpuPerGb: result.cpu / (bytes / 1e9),
    cpuMicros: (result.cpu / result.requests) * 1e6,
    generatorMicros: (result.ownCpu / result.requests) * 1e6,
  }
}

/** Batches stored in each partition, and how they are read. */
function readSteps({ readBytes }: Case, batch: Buffer) {
  const stored = Math.ceil((STORED_BYTES * Math.min(1, size)) / batch.length)
  return { stored, steps: stepsOf(batch, FULL, 0, stored * FULL, readBytes) }
}

function paceOf(one: Case): Pace {
  const { inFlight } = one
  return { inFlight, warmup: scaled(one.warmup), measured: scaled(one.measured) }
}

function scaled(count: number): number {
  return Math.max(100, Math.round(count * size))
}

async function onBroker(one: Case, batch: Buffer): Promise<Figures> {
  const broker = await BenchBroker.start({})
  try {
    await broker.createTopic('lean', PARTITIONS)
    const { connections } = one
    const topicId = broker.topicId('lean')
    const job = { port: broker.port, pid: broker.pid, connections }
    const writes = producing(topicId, PARTITIONS, batch, connections)
    if (one.readBytes === 0) {
      const pace = paceOf(one)
      const result = await runLean({ ...job, rings: writes, pace })
      await expectRecords(broker, (scaled(one.warmup) + scaled(one.measured)) * one.records)
      return figuresOf(one, result, writes[0]!.requestBytes)
    }
    const { stored, steps } = readSteps(one, batch)
    // One connection, so that no partition gets more than another.
    const fill = producing(topicId, PARTITIONS, batch, 1)
    const fillPace = { inFlight: 20, warmup: 0, measured: stored * PARTITIONS }
    await runLean({ ...job, connections: 1, rings: fill, pace: fillPace })
    await expectRecords(broker, stored * PARTITIONS * one.records)
    const rings = Array.from({ length: connections }, (_, i) =>
      fetching(topicId, [i % PARTITIONS], steps),
    )
    const result = await runLean({ ...job, rings, pace: paceOf(one) })
    expectBytes(result, steps)
    return figuresOf(one, result, rings[0]!.requestBytes)
  } finally {
    await broker.stop()
  }
}

/** All that was acknowledged is there, and nothing was refused. */
async function expectRecords(broker: BenchBroker, records: number): Promise<void> {
  const found = await endOffsets(broker, 'lean', PARTITIONS)
  if (found !== records) throw new Error(`${found} records were written, not ${records}`)
}

async function onBar(one: Case, batch: Buffer): Promise<Figures> {
  const home = mkdtempSync(join(tmpdir(), 'ottla-lean-'))
  const file = join(home, 'file')
  const isRead = one.readBytes > 0
  const child = fork(new URL('./raw-server.js', import.meta.url))
  try {
    const { steps, stored } = readSteps(one, batch)
    if (isRead) writeFileSync(file, Buffer.alloc(stored * PARTITIONS * batch.length, 'x'))
    child.send({ file, readBytes: isRead ? one.readBytes : null } satisfies RawJob)
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    const { connections } = one
    const nobody = 'AAAAAAAAAAAAAAAAAAAAAQ'
    const rings: Ring[] = isRead
      ? [fetching(nobody, [0], steps)]
      : producing(nobody, PARTITIONS, batch, connections)
    const result = await runLean({ port, pid: child.pid!, connections, rings, pace: paceOf(one) })
    return figuresOf(one, result, rings[0]!.requestBytes)
  } finally {
    await end(child)
    rmSync(home, { recursive: true, force: true })
  }
}

interface Outcome {
  readonly name: string
  readonly bar: readonly Figures[]
  readonly ottla: readonly Figures[]
  /** Ottla's to the bar's, medians of the rounds. */
  readonly rateRatio: number
  readonly cpuRatio: number
}

async function run(one: Case): Promise<Outcome> {
  const batch = await leanBatch(one.records, 100)
  const [bar, ottla]: [Figures[], Figures[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    bar.push(await onBar(one, batch))
    ottla.push(await onBroker(one, batch))
  }
  const ratio = (key: keyof Figures) => median(ottla.map((f, i) => f[key] / bar[i]![key]))
  return { name: one.name, bar, ottla, rateRatio: ratio('perSecond'), cpuRatio: ratio('cpuMicros') }
}

function shown(outcomes: readonly Outcome[]): string {
  const head = [
    'CASE',
    'BAR k/s',
    'OTTLA k/s',
    'BAR MB/s',
    'OTTLA MB/s',
    'RATE',
    'BAR µs',
    'OTTLA µs',
    'BAR s/GB',
    'OTTLA s/GB',
    'CPU',
    'GENERATOR µs',
  ]
  const rows = outcomes.map(({ name, bar, ottla, rateRatio, cpuRatio }) => {
    const both = (key: keyof Figures, digits: number, unit = 1) =>
      [bar, ottla].map(list => (median(list.map(f => f[key])) / unit).toFixed(digits))
    return [
      name,
      ...both('perSecond', 1, 1000),
      ...both('mbPerSecond', 0),
      rateRatio.toFixed(2),
      ...both('cpuMicros', 2),
      ...both('cpuPerGb', 2),
      cpuRatio.toFixed(2),
      both('generatorMicros', 2)[1]!,
    ]
  })
  return table(head, rows)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' },
  },
})
const size = Number(values.size)
const rounds = Number(values.rounds)
const chosen = CASES.filter(
  ({ name }) => positionals.length === 0 || positionals.some(part => name.includes(part)),
)
const machine = machineFacts()
console.log(`${machineText(machine)}; load before: ${loadText()}`)
const outcomes: Outcome[] = []
for (const one of chosen) outcomes.push(await run(one))
console.log(shown(outcomes))
console.log(`CPU is of the server, for a request or a GB (10^9 bytes); load after: ${loadText()}`)
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ machine, size, rounds, outcomes }, null, 2)}\n`)
}

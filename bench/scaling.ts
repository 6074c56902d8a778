/**
 * Whether what a record costs stays the same as there is more of everything: partitions (1 to 1,000), connections (1 to
 * 500), bytes in the log (1 MB to 20 GB, to which each round adds 270 MB). Batch size and requests under way, of all
 * connections together, stay the same.
 *
 *   node dist/bench/scaling.js [--size 1] [--rounds 3] [--json file] [--svg folder] [partitions|connections|log]...
 *
 * Prints processor time of the broker for a million records, and its ratio to the first row (goal: at most 1.5), and draws
 * the ratios. `log` needs 22 GB of disk below TMPDIR and some minutes. `--size` shortens runs and lowers what is swept.
 */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { table } from '../cli/topic-tables.ts'
import { median } from './bench-log.ts'
import { BenchBroker } from './group-bench.ts'
import { endOffsets, fetching, leanBatch, producing, runLean, stepsOf } from './lean-job.ts'
import { loadText, machineFacts, machineText } from './machine.ts'
import { type Line, lineChart } from './plot.ts'

/** One line of a plot: seconds of CPU for a million records at each value of what is swept, one number a round. */
interface Curve {
  readonly name: string
  readonly points: readonly { readonly value: number; readonly cpu: number[] }[]
}

interface Sweep {
  readonly name: string
  readonly title: string
  readonly xTitle: string
  measure(): Promise<Curve[]>
}

/** Batches of about 16 KiB and 1 KiB, of records of 100 bytes. */
const BATCHES = [
  { name: '16 KiB batches', records: 152, requests: 30_000 },
  { name: '1 KiB batches', records: 9, requests: 150_000 },
] as const
const IN_FLIGHT = 500
/** The system counts processor time in steps of 10 ms: less would measure those. */
const LEAST = { requests: 3_000, fetches: 400 }
const RECORD_BYTES = 100

interface Load {
  readonly topic: string
  readonly partitions: number
  readonly connections: number
  readonly batch: Buffer
  /** In a batch. */
  readonly records: number
  readonly inFlight: number
  readonly requests: number
}

/** Seconds of the broker's CPU for a million records. */
async function produceCost(broker: BenchBroker, load: Load): Promise<number> {
  const { topic, partitions, connections, batch, records, inFlight } = load
  const before = await endOffsets(broker, topic, partitions)
  const measured = Math.max(LEAST.requests, Math.round(load.requests * Math.min(1, size)))
  const warmup = Math.ceil(measured / 3)
  const rings = producing(broker.topicId(topic), partitions, batch, connections)
  const pace = { inFlight: Math.max(1, Math.round(inFlight / connections)), warmup, measured }
  const { port, pid } = broker
  const { cpu } = await runLean({ port, pid, connections, rings, pace })
  const written = (await endOffsets(broker, topic, partitions)) - before
  if (written !== (warmup + measured) * records) throw new Error('records are missing')
  return (cpu / (measured * records)) * 1e6
}

/** `shapeOf` says how many partitions and connections there are at a value. */
async function sweepProduce(
  values: readonly number[],
  shapeOf: (value: number) => { partitions: number; connections: number },
): Promise<Curve[]> {
  const broker = await BenchBroker.start({ 'log.segment.delete.delay.ms': '0' })
  try {
    const curves = BATCHES.map(({ name }) => {
      return { name, points: values.map(value => ({ value, cpu: [] as number[] })) }
    })
    // The first round is for the compiler.
    for (let round = -1; round < rounds; round++) {
      for (const [b, { records, requests }] of BATCHES.entries()) {
        const batch = await leanBatch(records, RECORD_BYTES)
        for (const [v, value] of values.entries()) {
          const topic = `sweep-${round}-${b}-${value}`
          const shape = shapeOf(value)
          await broker.createTopic(topic, shape.partitions)
          const load = { ...shape, topic, batch, records, requests, inFlight: IN_FLIGHT }
          const cpu = await produceCost(broker, load)
          if (round >= 0) curves[b]!.points[v]!.cpu.push(cpu)
          await broker.deleteTopic(topic)
        }
      }
    }
    return curves
  } finally {
    await broker.stop()
  }
}

const MB = 1e6
/** What of a long log is read at either end: it fits into the page cache. */
const READ_BYTES = 100 * MB
/** Of a request. */
const FETCH_BYTES = 1 << 20
/** Each round writes 270 MB: up to here it has a log of its own, beyond it goes on with the last one. */
const OWN_LOG_BYTES = 1000 * MB

async function sweepLog(sizes: readonly number[]): Promise<Curve[]> {
  const broker = await BenchBroker.start({ 'log.segment.delete.delay.ms': '0' })
  try {
    const { records } = BATCHES[0]
    const batch = await leanBatch(records, RECORD_BYTES)
    const curves = ['produce', 'fetch the newest 100 MB', 'fetch the oldest 100 MB'].map(name => {
      return { name, points: [] as { value: number; cpu: number[] }[] }
    })
    const shape = { partitions: 1, connections: 4, batch, records, inFlight: 20 }
    const requests = Math.round((200 * MB) / batch.length)
    // The first log is for the compiler.
    let load = { ...shape, topic: 'warm' }
    await broker.createTopic(load.topic, 1)
    await produceCost(broker, { ...load, requests })
    await fetchCost(broker, load, 0, await endOffsets(broker, load.topic, 1))
    for (const bytes of sizes) {
      const costs = [[], [], []] as number[][]
      for (let round = 0; round < rounds; round++) {
        if (bytes <= OWN_LOG_BYTES) {
          await broker.deleteTopic(load.topic)
          load = { ...shape, topic: `log-${bytes}-${round}` }
          await broker.createTopic(load.topic, 1)
        }
        await fillTo(broker, load, bytes)
        // What is being written back costs whoever writes; that is not what is asked here.
        await promisify(execFile)('sync')
        const end = await endOffsets(broker, load.topic, 1)
        const readRecords = Math.min(end, Math.floor(READ_BYTES / batch.length) * records)
        costs[1]!.push(await fetchCost(broker, load, end - readRecords, end))
        costs[2]!.push(await fetchCost(broker, load, 0, readRecords))
        costs[0]!.push(await produceCost(broker, { ...load, requests }))
      }
      for (const [i, cpu] of costs.entries()) curves[i]!.points.push({ value: bytes, cpu })
    }
    return curves
  } finally {
    await broker.stop()
  }
}

async function fillTo(
  broker: BenchBroker,
  { topic, batch, records }: Omit<Load, 'requests'>,
  bytes: number,
): Promise<void> {
  const stored = (await endOffsets(broker, topic, 1)) / records
  const measured = Math.ceil(bytes / batch.length) - stored
  if (measured <= 0) return
  const rings = producing(broker.topicId(topic), 1, batch, 4)
  const pace = { inFlight: 5, warmup: 0, measured }
  await runLean({ port: broker.port, pid: broker.pid, connections: 4, rings, pace })
}

/** Of records in [from, end), read by two connections, again and again. */
async function fetchCost(
  broker: BenchBroker,
  { topic, batch, records }: Omit<Load, 'requests'>,
  from: number,
  end: number,
): Promise<number> {
  const steps = stepsOf(batch, records, from, end, FETCH_BYTES)
  const ring = fetching(broker.topicId(topic), [0], steps)
  const once = Math.floor(ring.bytes.length / ring.requestBytes)
  const measured = Math.max(once, LEAST.fetches, Math.round(1500 * Math.min(1, size)))
  const pace = { inFlight: 1, warmup: once, measured }
  const { port, pid } = broker
  const result = await runLean({ port, pid, connections: 2, rings: [ring], pace })
  const received = (result.bytesReceived / batch.length) * records
  return (result.cpu / received) * 1e6
}

const upTo = (values: readonly number[], last: number) => {
  const fewer = values.filter(value => value < last)
  return [...fewer, last]
}

const SWEEPS: readonly Sweep[] = [
  {
    name: 'partitions',
    title: 'CPU for a record, by partitions written to',
    xTitle: 'partitions; 16 connections',
    measure: () =>
      sweepProduce(upTo([1, 10, 100], Math.ceil(1000 * size)), partitions => {
        return { partitions, connections: 16 }
      }),
  },
  {
    name: 'connections',
    title: 'CPU for a record, by connections',
    xTitle: 'connections; 16 partitions',
    measure: () =>
      sweepProduce(upTo([1, 10, 100], Math.ceil(500 * size)), connections => {
        return { partitions: 16, connections }
      }),
  },
  {
    name: 'log',
    title: 'CPU for a record, by bytes in the log',
    xTitle: 'bytes in the log',
    measure: () =>
      sweepLog(
        upTo(
          [1, 10, 100, 1000, 5000, 10_000].map(mb => mb * MB),
          20_000 * MB * size,
        ),
      ),
  },
]

const GOAL = 1.5

function shown(curves: readonly Curve[]): string {
  const rows = curves.flatMap(({ name, points }) => {
    const first = median(points[0]!.cpu)
    return points.map(({ value, cpu }, i) => {
      const [middle, ratio] = [median(cpu), median(cpu) / first]
      const spread = `${Math.min(...cpu).toFixed(3)}–${Math.max(...cpu).toFixed(3)}`
      const verdict = i === 0 ? '' : ratio <= GOAL ? 'met' : 'missed'
      return [
        i === 0 ? name : '',
        short(value),
        middle.toFixed(3),
        spread,
        ratio.toFixed(2),
        verdict,
      ]
    })
  })
  return table(['', 'VALUE', 'CPU s/M', 'SPREAD', 'TO THE FIRST', `GOAL ${GOAL}`], rows)
}

function short(value: number): string {
  const shown = (unit: number, name: string) => `${Number((value / unit).toPrecision(3))}${name}`
  return value < MB ? String(value) : value < 1000 * MB ? shown(MB, ' MB') : shown(1000 * MB, ' GB')
}

const STYLE =
  'text{font:12px sans-serif;fill:#222}.title{font-weight:600;font-size:14px}.grid{stroke:#ddd}'

/** Ratios to the first value, over a logarithmic axis, to stand alone. */
function drawn({ title, xTitle }: Sweep, curves: readonly Curve[]): string {
  const place = Math.log10
  const lines: Line[] = curves.map(({ name, points }) => {
    const first = median(points[0]!.cpu)
    return { name, points: points.map(p => [place(p.value), median(p.cpu) / first] as const) }
  })
  const values = curves[0]!.points.map(({ value }) => value)
  lines.push({
    name: `goal ${GOAL}`,
    isBound: true,
    points: values.map(value => [place(value), GOAL] as const),
  })
  const xTicks = values.map(value => [place(value), short(value)] as const)
  const svg = lineChart({ title, unit: '×', xTitle, lines, xTicks })
  const root = '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="260" '
  const ground = '<rect width="100%" height="100%" fill="#fff"/>'
  return svg.replace('<svg ', root).replace('>', `><style>${STYLE}</style>${ground}`)
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' },
    svg: { type: 'string' },
  },
})
const size = Number(options.size)
const rounds = Number(options.rounds)
const machine = machineFacts()
console.log(machineText(machine))
const results: { name: string; curves: Curve[] }[] = []
for (const sweep of SWEEPS) {
  if (positionals.length > 0 && !positionals.includes(sweep.name)) continue
  const before = loadText()
  const curves = await sweep.measure()
  results.push({ name: sweep.name, curves })
  console.log(`\n${sweep.title} (${sweep.xTitle}); load ${before}, then ${loadText()}`)
  console.log(shown(curves))
  if (options.svg !== undefined) {
    writeFileSync(join(options.svg, `scaling-${sweep.name}.svg`), `${drawn(sweep, curves)}\n`)
  }
}
if (options.json !== undefined) {
  writeFileSync(options.json, `${JSON.stringify({ machine, size, rounds, results }, null, 2)}\n`)
}

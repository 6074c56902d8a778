/**
 * `ottla bench micro`: what single pieces of the broker cost, as ratios to a calibration loop that runs in between. A slower
 * machine slows both, so the ratios travel, and `--check` compares them with those of an earlier commit. Time is processor
 * time of this process; of several samples the least counts, because what else runs on a machine only adds.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { batchPolicy } from '../broker/replication/replica-manager.ts'
import { UsageError } from '../cli/failure.ts'
import { apis, type RequestInput } from '../protocol/apis.ts'
import { Reader, Writer } from '../protocol/buffer.ts'
import { crc32c } from '../protocol/crc32c.ts'
import { decodeBatch, encodeBatch } from '../protocol/records.ts'
import { defaultLogConfig } from '../segment-store/config.ts'
import { validateBatch } from '../segment-store/validator.ts'
import { BATCH, NOW_MS, type Piece, RECORDS } from './micro-batch.ts'
import { groupHeartbeats, groupRebalance } from './micro-group.ts'
import { logAppends, logReads } from './micro-log.ts'

export interface Micro {
  readonly name: string
  /** Made anew for each sample, so that none grows into the next. */
  make(): Piece | Promise<Piece>
}

export interface MicroResult {
  readonly name: string
  /** Microseconds of processor time, on this machine now. */
  readonly micros: number
  /** In units of the calibration loop. */
  readonly ratio: number
}

const produceRequest: RequestInput<'Produce'> = {
  transactionalId: null,
  acks: -1,
  timeoutMs: 30_000,
  topicData: [
    {
      topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      partitionData: [0, 1, 2, 3].map(index => ({ index, records: BATCH })),
    },
  ],
}
const produceCodec = apis.Produce.request.at(13, true)

function producedBytes(): Buffer {
  const writer = new Writer(256)
  produceCodec.write(writer, produceRequest as never)
  return Buffer.concat(writer.chunks())
}

const repeated =
  (call: () => unknown): Piece =>
  times => {
    for (let i = 0; i < times; i++) call()
  }

const policy = batchPolicy(defaultLogConfig)

export const MICROS: readonly Micro[] = [
  { name: 'crc of 16 KB', make: () => repeated(() => crc32c(BATCH, 21, BATCH.length)) },
  { name: 'encode Produce, 4 partitions', make: () => repeated(producedBytes) },
  {
    name: 'decode Produce, 4 partitions',
    make() {
      const bytes = producedBytes()
      return repeated(() => produceCodec.read(new Reader(bytes)))
    },
  },
  { name: 'encode a batch of 150', make: () => repeated(() => encodeBatch(RECORDS)) },
  { name: 'decode a batch of 150', make: () => repeated(() => decodeBatch(BATCH, 0, 1 << 20)) },
  {
    name: 'validate a batch of 150',
    make: () => repeated(() => validateBatch(BATCH, policy, NOW_MS)),
  },
  { name: 'append a batch of 150', make: logAppends },
  { name: 'fetch 64 KB', make: logReads },
  { name: 'group: heartbeat', make: groupHeartbeats },
  { name: 'group: rebalance of 10', make: groupRebalance },
]

/** JavaScript and copies in fixed amounts, in a loop of its own: what other pieces do must not change its code. */
const calibration: Micro = {
  name: 'calibration',
  make() {
    const [from, to] = [Buffer.alloc(65_536, 7), Buffer.alloc(65_536)]
    return times => {
      let sink = 1
      for (let i = 0; i < times; i++) {
        from.copy(to)
        for (let k = 0; k < 10_000; k++)
          sink = (Math.imul(sink ^ k, 0x9e3779b1) + to[sink & 0xffff]!) | 0
      }
      to[0] = sink & 0xff
    }
  },
}

const SAMPLES = 15
const SAMPLE_MS = 60
/** So that what a piece keeps has a bound. */
const TIMES_MAX = 3_000

/**
 * Runs those whose names hold one of `only`, or all. Each has a process of its own (`program`, which is this one, is given its
 * name): what one piece makes of the code that they share would be measured in the next. @throws UsageError
 */
export async function runMicros(program: string, only: readonly string[]): Promise<MicroResult[]> {
  for (const part of only) {
    if (MICROS.some(({ name }) => name.includes(part))) continue
    const known = MICROS.map(({ name }) => `'${name}'`).join(', ')
    throw new UsageError(`no piece has '${part}' in its name. There are ${known}.`)
  }
  const chosen = MICROS.filter(({ name }) => only.length === 0 || only.some(o => name.includes(o)))
  const [first] = chosen
  if (first !== undefined && chosen.length === 1) return [await runMicro(first)]
  const results: MicroResult[] = []
  for (const { name } of chosen) {
    const args = [program, 'bench', 'micro', name, '--json']
    const { stdout } = await promisify(execFile)(process.execPath, args)
    results.push(...(JSON.parse(stdout) as MicroResult[]))
  }
  return results
}

/** Samples of the piece and of the calibration in turn. */
async function runMicro(micro: Micro): Promise<MicroResult> {
  const times = await timesFor(micro)
  const baseTimes = await timesFor(calibration)
  let [micros, base] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let i = 0; i < SAMPLES; i++) {
    base = Math.min(base, await sample(calibration, baseTimes))
    micros = Math.min(micros, await sample(micro, times))
  }
  return { name: micro.name, micros, ratio: micros / base }
}

/** Warms it up, and says how often it fits into a sample. */
async function timesFor(micro: Micro): Promise<number> {
  for (let times = 16; ; times *= 2) {
    const micros = await sample(micro, times)
    if (micros * times >= (SAMPLE_MS * 1000) / 2 || times * 2 > TIMES_MAX) return times
  }
}

async function sample(micro: Micro, times: number): Promise<number> {
  const piece = await micro.make()
  piece(Math.ceil(times / 10))
  const cpu = process.cpuUsage()
  piece(times)
  const { user, system } = process.cpuUsage(cpu)
  return (user + system) / times
}

/** Beyond it a piece counts as slower: on a shared machine two runs of one program differ by up to a third. */
export const TOLERANCE = 1.5

/** What is slower than it was, or was not there; empty if all is well. */
export function slowerThan(
  results: readonly MicroResult[],
  baseline: Readonly<Record<string, number>>,
): string[] {
  return results.flatMap(({ name, ratio }) => {
    const before = baseline[name]
    if (before === undefined) return [`${name} has no ratio in the baseline`]
    if (ratio <= before * TOLERANCE) return []
    return [
      `${name}: ${ratio.toFixed(3)} of the calibration, ${(ratio / before).toFixed(2)} times the ${before} it was`,
    ]
  })
}
